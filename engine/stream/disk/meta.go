package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

const (
	docMagic  = "millrdoc"
	docFormat = 1
	docHeader = 32
	docSuffix = ".doc"
	// maxDocument bounds a document; what is larger belongs into an object of its own.
	maxDocument = 64 << 20
	// maxKey keeps the file's name below the usual limit of 255 bytes.
	maxKey = 240
	// floorFile holds the highest revision of any document that was deleted.
	floorFile = "FLOOR"
)

// meta keeps one file per document. The lock of the data directory makes this process the only
// one that changes them.
type meta struct {
	fs  vfs.FS
	dir string

	mu sync.Mutex
	// floor is a revision that new documents begin above, so that none is ever used twice.
	floor uint64
	// unsure are the files whose last change failed: what they hold may not be durable. Whoever acts
	// on it could be contradicted by a power cut, so it is stored anew before it is shown.
	unsure map[string]bool
}

func openMeta(fsys vfs.FS, dir string) (*meta, error) {
	m := &meta{fs: fsys, dir: dir, unsure: map[string]bool{}}
	// The process before may have been killed between a rename and the sync of the name.
	if err := fsys.SyncDir(dir); err != nil {
		return nil, err
	}
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if strings.HasSuffix(n, tmpSuffix) {
			if err := fsys.Remove(path.Join(dir, n)); err != nil {
				return nil, err
			}
		}
	}
	_, m.floor, err = m.read(floorFile, "")
	if err != nil && !errors.Is(err, stream.ErrNotFound) {
		return nil, err
	}
	return m, nil
}

var validKey = regexp.MustCompile(`^[a-zA-Z0-9_./-]+$`)

func checkKey(key string) error {
	if !validKey.MatchString(key) || len(key) > maxKey {
		return fmt.Errorf("document key %q: want 1 to %d of a-z, A-Z, 0-9, '_', '-', '.' and '/'", key, maxKey)
	}
	return nil
}

// Get implements stream.Meta.
func (m *meta) Get(_ context.Context, key string) ([]byte, uint64, error) {
	if err := checkKey(key); err != nil {
		return nil, 0, err
	}
	// Without the lock a change that is being stored could be seen before it is durable.
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.settle(fileName(key) + docSuffix); err != nil {
		return nil, 0, fmt.Errorf("read document %s: %w", key, err)
	}
	return m.read(fileName(key)+docSuffix, key)
}

// settle makes what a file holds durable, or its absence, if that is unsure. mu must be held.
func (m *meta) settle(name string) error {
	if !m.unsure[name] {
		return nil
	}
	content, err := readFile(m.fs, path.Join(m.dir, name), docHeader+maxKey+maxDocument)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = m.fs.SyncDir(m.dir)
	case err == nil:
		err = writeFile(m.fs, path.Join(m.dir, name), content)
	}
	if err == nil {
		delete(m.unsure, name)
	}
	return err
}

// write replaces a file. mu must be held.
func (m *meta) write(name string, content []byte) error {
	err := writeFile(m.fs, path.Join(m.dir, name), content)
	if err != nil {
		m.unsure[name] = true
	}
	return err
}

// CAS implements stream.Meta.
func (m *meta) CAS(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	if len(value) > maxDocument {
		return 0, fmt.Errorf("document %s has %d bytes, more than %d", key, len(value), maxDocument)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.expect(key, revision); err != nil {
		return 0, err
	}
	next := revision + 1
	if revision == 0 {
		next = m.floor + 1
	}
	err := m.write(fileName(key)+docSuffix, encodeDocument(key, next, value))
	if err != nil {
		return 0, fmt.Errorf("write document %s: %w", key, err)
	}
	return next, nil
}

// Delete implements stream.Meta.
func (m *meta) Delete(_ context.Context, key string, revision uint64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.expect(key, revision); err != nil {
		return err
	}
	if revision == 0 {
		return nil
	}
	if revision > m.floor {
		if err := m.write(floorFile, encodeDocument("", revision, nil)); err != nil {
			return fmt.Errorf("delete document %s: %w", key, err)
		}
		m.floor = revision
	}
	err := m.fs.Remove(path.Join(m.dir, fileName(key)+docSuffix))
	if err == nil {
		err = m.fs.SyncDir(m.dir)
	}
	if err != nil {
		m.unsure[fileName(key)+docSuffix] = true
		return fmt.Errorf("delete document %s: %w", key, err)
	}
	return nil
}

// List implements stream.Meta.
func (m *meta) List(_ context.Context, prefix string) ([]string, error) {
	names, err := m.fs.List(m.dir)
	if err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
	}
	var keys []string
	for _, n := range names {
		if name, ok := strings.CutSuffix(n, docSuffix); ok && strings.HasPrefix(keyOf(name), prefix) {
			keys = append(keys, keyOf(name))
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// expect returns ErrConflict unless the document has the revision. mu must be held.
func (m *meta) expect(key string, revision uint64) error {
	if err := m.settle(fileName(key) + docSuffix); err != nil {
		return fmt.Errorf("document %s: %w", key, err)
	}
	_, have, err := m.read(fileName(key)+docSuffix, key)
	if err != nil && !errors.Is(err, stream.ErrNotFound) {
		return err
	}
	if have != revision {
		return fmt.Errorf("document %s has revision %d, not %d: %w", key, have, revision, stream.ErrConflict)
	}
	return nil
}

func (m *meta) read(name, key string) (value []byte, revision uint64, err error) {
	b, err := readFile(m.fs, path.Join(m.dir, name), docHeader+maxKey+maxDocument)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("document %s: %w", key, stream.ErrNotFound)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read document %s: %w", key, err)
	}
	value, revision, err = decodeDocument(key, b)
	if err != nil {
		return nil, 0, fmt.Errorf("read document %s: %s: %w", key, path.Join(m.dir, name), err)
	}
	return value, revision, nil
}

func encodeDocument(key string, revision uint64, value []byte) []byte {
	b := make([]byte, 0, docHeader+len(key)+len(value))
	b = append(b, docMagic...)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint16(b, docFormat)
	b = binary.LittleEndian.AppendUint16(b, docHeader)
	b = binary.LittleEndian.AppendUint64(b, revision)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(key)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(b, key...)
	b = append(b, value...)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	return b
}

func decodeDocument(key string, b []byte) (value []byte, revision uint64, err error) {
	if len(b) < docHeader || string(b[:8]) != docMagic {
		return nil, 0, errors.New("no document header")
	}
	if binary.LittleEndian.Uint32(b[8:]) != crc32.Checksum(b[12:], castagnoli) {
		return nil, 0, errBadCRC
	}
	if v := binary.LittleEndian.Uint16(b[12:]); v != docFormat {
		return nil, 0, &formatError{what: "document", version: int(v)}
	}
	size := uint64(binary.LittleEndian.Uint32(b[24:]))
	if size > uint64(len(b)-docHeader) {
		return nil, 0, errors.New("document is not plausible")
	}
	if have := b[docHeader : docHeader+size]; string(have) != key {
		return nil, 0, fmt.Errorf("holds the document %q", have)
	}
	return b[docHeader+size:], binary.LittleEndian.Uint64(b[16:]), nil
}
