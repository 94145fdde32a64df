// Package audit keeps a log of who asked for what: a line of JSON for each call that looks at or changes more than
// records, and for those about records that were refused. Bodies, records and secrets are never in it.
//
// The invariant to remember: the log takes bounded space. Files are rotated by size, the oldest go, and what nobody
// is known to have sent, or comes as often as records do, is limited, so that it cannot push out what others did.
package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Entry is a line.
type Entry struct {
	Time time.Time `json:"time"`
	// RequestID is what the client was told in x-amzn-RequestId.
	RequestID string `json:"request_id"`
	// User is empty when nobody was asked who he is.
	User string `json:"user,omitempty"`
	// AccessKey as it was claimed; Verified says whether the sender is known to be who he says.
	AccessKey string `json:"access_key,omitempty"`
	Verified  bool   `json:"verified"`
	// From is the address of the client, TLS whether the connection has it.
	From string `json:"from"`
	TLS  bool   `json:"tls"`
	// Action with its service, for example kinesis:DeleteStream.
	Action string `json:"action"`
	// Resource is its ARN, * for none, and empty when the request was refused before it was looked at.
	Resource string `json:"resource,omitempty"`
	// Change says that the call is one that changes something.
	Change bool `json:"change"`
	// Outcome is ok, or the type of the error.
	Outcome string `json:"outcome"`
	// Omitted is how many lines were left out since the one before: of unknown senders, or about records.
	Omitted int `json:"omitted,omitempty"`
	// Records says that the call is about records, which come by the thousand.
	Records bool `json:"-"`
}

const (
	// maxText bounds what a stranger may write into a line.
	maxText = 256
	// perWindow is how many failed calls of unknown senders are kept in every window, and as many about records.
	perWindow = 60
	window    = time.Minute
)

// Options of a Log. The zero value of a field has the default.
type Options struct {
	// Size is how large a file gets, in bytes: 10 MiB by default.
	Size int64
	// Keep is how many full files are kept: 9 by default.
	Keep int
}

// Log appends to a file. Its methods may be called from any goroutine.
type Log struct {
	name string
	o    Options

	mu   sync.Mutex // guards what follows
	file *os.File
	size int64
	// since is when the window began; strangers and records are how many lines it has room for.
	since              time.Time
	strangers, records int
	omitted            int
}

// Open opens a log, or makes it with its directory. Others than its owner cannot read it.
func Open(name string, o Options) (*Log, error) {
	if o.Size == 0 {
		o.Size = 10 << 20
	}
	if o.Keep == 0 {
		o.Keep = 9
	}
	l := &Log{name: name, o: o}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	return l, l.open()
}

func (l *Log) open() error {
	f, err := os.OpenFile(l.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open audit log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open audit log: %w", err), f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Close closes the log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.file.Sync(), l.file.Close())
	l.file = nil
	return err
}

// Record appends a line. That of a change is on disk when nil is returned.
func (l *Log) Record(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.admit(&e) {
		return nil
	}
	for _, s := range []*string{&e.AccessKey, &e.Action, &e.Resource} {
		if len(*s) > maxText {
			*s = (*s)[:maxText] + "…"
		}
	}
	line, err := json.Marshal(e)
	if err == nil {
		err = l.append(append(line, '\n'))
	}
	if err == nil && e.Change {
		err = l.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	return nil
}

// admit reports whether a line is kept, and notes in it what was not.
func (l *Log) admit(e *Entry) bool {
	if e.Time.Sub(l.since).Abs() >= window {
		l.since, l.strangers, l.records = e.Time, perWindow, perWindow
	}
	var left *int
	switch {
	case !e.Verified && e.Outcome != "ok":
		left = &l.strangers
	case e.Records:
		left = &l.records
	}
	if left != nil {
		if *left == 0 {
			l.omitted++
			return false
		}
		*left--
	}
	e.Omitted, l.omitted = l.omitted, 0
	return true
}

func (l *Log) append(line []byte) error {
	if l.file == nil || l.size > 0 && l.size+int64(len(line)) > l.o.Size {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return err
}

// rotate puts the file behind those before it and begins another one. A crash in between leaves a gap in the numbers.
func (l *Log) rotate() error {
	if l.file != nil {
		file := l.file
		l.file = nil
		if err := errors.Join(file.Sync(), file.Close()); err != nil {
			return err
		}
		if err := l.shift(); err != nil {
			return err
		}
	}
	return l.open()
}

func (l *Log) shift() error {
	for i := l.o.Keep; i > 0; i-- {
		from := l.name
		if i > 1 {
			from = l.numbered(i - 1)
		}
		if err := os.Rename(from, l.numbered(i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (l *Log) numbered(i int) string { return l.name + "." + strconv.Itoa(i) }
