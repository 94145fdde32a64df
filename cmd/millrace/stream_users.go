package main

import (
	"strings"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/record/aggregate"
)

// userRecords splits records into user records.
type userRecords struct {
	describe func() (control.Stream, error)
	reader   aggregate.Reader
	// keys are those of the shards that were met.
	keys map[record.ShardID]record.Range
}

// each calls f with the user records of a record, or with the record if it is no aggregate.
func (u *userRecords) each(r control.Stored, f func(r control.Stored, sub *int) error) error {
	if !u.reader.Open(r.Data) {
		return f(r, nil)
	}
	keys, err := u.keysOf(r.Shard)
	if err != nil {
		return err
	}
	for x, more := u.reader.Next(); more; x, more = u.reader.Next() {
		if !keys.Contains(x.Hash) {
			continue
		}
		r.Key, r.Data = strings.ToValidUTF8(string(x.Key), "\ufffd"), x.Data
		if err := f(r, &x.Sub); err != nil {
			return err
		}
	}
	return nil
}

// keysOf is the range of a shard. One that expired meanwhile is taken to have all.
func (u *userRecords) keysOf(id record.ShardID) (record.Range, error) {
	if keys, ok := u.keys[id]; ok {
		return keys, nil
	}
	d, err := u.describe()
	if err != nil {
		return record.Range{}, err
	}
	u.keys = map[record.ShardID]record.Range{id: record.AllKeys()}
	for _, sh := range d.Shards {
		u.keys[sh.ID] = sh.Range
	}
	return u.keys[id], nil
}
