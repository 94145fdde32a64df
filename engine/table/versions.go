package table

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/stream"
)

// documentVersion is that of the layout, see docs/formats/tables.md.
const documentVersion = 1

// document says what the latest version of a table is.
type document struct {
	Version int `json:"version"`
	checkpoint.TableVersion
	// Origin is where the content came from, and Seen when that last had it.
	Origin string    `json:"origin"`
	Seen   time.Time `json:"seen"`
	Bytes  int64     `json:"bytes"`
}

const (
	versionSuffix = ".table"
	fetchName     = "fetch.tmp"
)

// shelf keeps the contents of a table's versions in a directory, and what the latest is in a document.
type shelf struct {
	dir  string
	meta stream.Meta
	key  string
}

func (s *shelf) path(number int64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d%s", number, versionSuffix))
}

// latest is the document; a new one has the number 0.
func (s *shelf) latest(ctx context.Context) (document, uint64, error) {
	value, revision, err := s.meta.Get(ctx, s.key)
	d := document{Version: documentVersion}
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return d, 0, nil
	case err != nil:
		return d, 0, err
	}
	if err := json.Unmarshal(value, &d); err != nil {
		return d, 0, fmt.Errorf("read %s: %w", s.key, err)
	}
	if d.Version != documentVersion {
		return d, 0, fmt.Errorf("read %s: version %d; this program reads version %d", s.key, d.Version, documentVersion)
	}
	return d, revision, nil
}

// fetched is a content that was copied from its source.
type fetched struct {
	file *os.File
	hash string
	size int64
	tag  string
}

// fetch copies the content of a source; nil when nothing changed since a tag. drop or keep must follow.
func (s *shelf) fetch(ctx context.Context, from Source, tag string) (*fetched, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, fetchName), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	c := &fetched{file: f}
	if c.tag, err = from.Fetch(ctx, tag, io.MultiWriter(f, sum)); err != nil {
		return nil, errors.Join(err, c.drop())
	}
	if tag != "" && c.tag == tag {
		return nil, c.drop()
	}
	c.hash = hex.EncodeToString(sum.Sum(nil))
	c.size, err = f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, c.drop())
	}
	return c, nil
}

// drop gives the room on the disk back.
func (c *fetched) drop() error { return errors.Join(c.file.Close(), os.Remove(c.file.Name())) }

// keep makes a content a version, durably, and the latest one.
func (s *shelf) keep(ctx context.Context, c *fetched, d document, revision uint64) error {
	if err := c.file.Sync(); err != nil {
		return errors.Join(err, c.drop())
	}
	if err := c.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(s.dir, fetchName), s.path(d.Number)); err != nil {
		return err
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return err
	}
	return s.write(ctx, d, revision)
}

func (s *shelf) write(ctx context.Context, d document, revision uint64) error {
	value, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = s.meta.CAS(ctx, s.key, value, revision)
	return err
}

// open returns the content of a version. Error: fs.ErrNotExist, or one that names the damage.
func (s *shelf) open(v checkpoint.TableVersion) (*os.File, int64, error) {
	f, err := os.Open(s.path(v.Number))
	if err != nil {
		return nil, 0, err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err == nil && hex.EncodeToString(sum.Sum(nil)) != v.Hash {
		err = fmt.Errorf("%s is damaged: its content has another hash than %s", f.Name(), v.Hash)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, n, nil
}

// tidy removes the versions that nobody needs.
func (s *shelf) tidy(needed []int64) error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), versionSuffix)
		number, err := strconv.ParseInt(name, 10, 64)
		if !ok || err != nil || slices.Contains(needed, number) {
			continue
		}
		errs = append(errs, os.Remove(s.path(number)))
	}
	return errors.Join(errs...)
}
