package sqltest

import (
	"bytes"
	"errors"
	"slices"

	"github.com/millrace-io/millrace/sql"
)

// Drawer is sql.Parts in memory: a file for each snapshot.
type Drawer struct {
	// Files are what is there; Now is the number of the one that is written to.
	Files map[int64]*bytes.Buffer
	Now   int64
}

// NewDrawer is an empty one.
func NewDrawer() *Drawer { return &Drawer{Files: make(map[int64]*bytes.Buffer)} }

// Write appends a piece to the present file.
func (d *Drawer) Write(piece []byte) (sql.Part, error) {
	f := d.Files[d.Now]
	if f == nil {
		f = new(bytes.Buffer)
		d.Files[d.Now] = f
	}
	at := sql.Part{File: d.Now, Offset: int64(f.Len()), Size: int64(len(piece))}
	f.Write(piece)
	return at, nil
}

// Read returns a piece.
func (d *Drawer) Read(p sql.Part) ([]byte, error) {
	f := d.Files[p.File]
	if f == nil {
		return nil, errors.New("the file is gone")
	}
	return slices.Clone(f.Bytes()[p.Offset : p.Offset+p.Size]), nil
}

// Snapshot takes one, removes the files that nothing refers to, and begins the next file.
func (d *Drawer) Snapshot(op sql.Operator) ([]byte, error) {
	s, err := op.Snapshot()
	if err != nil {
		return nil, err
	}
	if p, ok := op.(sql.Parted); ok {
		needed := p.Files()
		for n := range d.Files {
			if !slices.Contains(needed, n) {
				delete(d.Files, n)
			}
		}
	}
	d.Now++
	return s, nil
}

// Keep gives an operator the drawer, if it has a use for it.
func (d *Drawer) Keep(op sql.Operator, room int64) {
	if p, ok := op.(sql.Parted); ok {
		p.Keep(d, room)
	}
}

// Shed lets an operator let go of memory, if it can.
func Shed(op sql.Operator, bytes int64) error {
	if p, ok := op.(sql.Parted); ok {
		return p.Shed(bytes)
	}
	return nil
}
