package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/sql"
)

// partsHeader begins a file of parts: a magic and the version of docs/formats/query-state.md.
var partsHeader = []byte("MRSTATE\x01")

const partsSuffix = ".state"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parts keeps pieces of a query's state in files, one for each snapshot that wrote any. A file is
// written once, under a number that none had before it: a chunk that is redone has the pieces of the
// first attempt, which its plan names. A file that could not be written whole is removed, so that it
// does not take the room it ran out of; the query then begins anew at what was committed.
type parts struct {
	fs   vfs.FS
	dir  string
	file vfs.File
	// number is that of the file, at where the next piece goes.
	number, at int64
	// written is the bytes of this run.
	written int64
	// cure says what to do about a file that cannot be read.
	cure string
}

func openParts(fs vfs.FS, dir, cure string) (*parts, error) {
	err := vfs.Mkdir(fs, dir)
	// A process before may have ended ahead of syncing the names in DATA/state/PIPELINE/QUERY.
	for up, n := path.Dir(dir), 0; err == nil && n < 3; up, n = path.Dir(up), n+1 {
		err = fs.SyncDir(up)
	}
	if err != nil {
		return nil, fmt.Errorf("make the directory of a query's state: %w", err)
	}
	p := &parts{fs: fs, dir: dir, cure: cure}
	return p, p.each(func(number int64) error {
		p.number = max(p.number, number)
		return nil
	})
}

func (p *parts) path(number int64) string {
	return path.Join(p.dir, fmt.Sprintf("%020d%s", number, partsSuffix))
}

// drop removes a file that was not ended.
func (p *parts) drop() error {
	if p.file == nil {
		return nil
	}
	f := p.file
	p.file = nil
	return errors.Join(f.Close(), p.fs.Remove(p.path(p.number)))
}

// Write appends a piece to the file. It is durable once sync returned nil. After an error no piece of the
// file is.
func (p *parts) Write(piece []byte) (sql.Part, error) {
	if p.file == nil {
		if err := p.begin(); err != nil {
			return sql.Part{}, errors.Join(err, p.drop())
		}
	}
	out := sql.Part{File: p.number, Offset: p.at, Size: int64(len(piece))}
	var sum [4]byte
	binary.LittleEndian.PutUint32(sum[:], crc32.Checksum(piece, castagnoli))
	err := vfs.WriteAllAt(p.file, slices.DeleteFunc([][]byte{sum[:], piece}, empty), p.at)
	if err != nil {
		return out, errors.Join(err, p.drop())
	}
	n := int64(len(sum) + len(piece))
	p.at, p.written = p.at+n, p.written+n
	return out, nil
}

func empty(b []byte) bool { return len(b) == 0 }

// begin makes the next file.
func (p *parts) begin() error {
	p.number++
	f, err := p.fs.Create(p.path(p.number))
	if err != nil {
		return err
	}
	p.file, p.at = f, int64(len(partsHeader))
	_, err = f.WriteAt(partsHeader, 0)
	return err
}

// sync makes what was written durable and ends the file.
func (p *parts) sync() error {
	if p.file == nil {
		return nil
	}
	if err := p.file.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", p.path(p.number), errors.Join(err, p.drop()))
	}
	f := p.file
	p.file = nil
	err := f.Close()
	if err == nil {
		err = p.fs.SyncDir(p.dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", p.path(p.number), errors.Join(err, p.fs.Remove(p.path(p.number))))
	}
	return nil
}

// maxPiece bounds what is read for a piece, in bytes.
const maxPiece = 1 << 32

// Read returns a piece.
func (p *parts) Read(at sql.Part) ([]byte, error) {
	piece, err := p.read(at)
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, p.cure)
	}
	return piece, nil
}

func (p *parts) read(at sql.Part) ([]byte, error) {
	if at.Size < 0 || at.Size > maxPiece || at.Offset < int64(len(partsHeader)) {
		return nil, fmt.Errorf("piece of %d bytes at %d: it cannot be one", at.Size, at.Offset)
	}
	name := p.path(at.File)
	f, err := p.fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	if size, err := f.Size(); err != nil || at.Offset+4+at.Size > size {
		return nil, fmt.Errorf("%s ends before the piece of %d bytes at %d", name, at.Size, at.Offset)
	}
	piece := make([]byte, 4+at.Size)
	if _, err := f.ReadAt(piece, at.Offset); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if binary.LittleEndian.Uint32(piece) != crc32.Checksum(piece[4:], castagnoli) {
		return nil, fmt.Errorf("%s is damaged at %d: the checksum differs", name, at.Offset)
	}
	return piece[4:], nil
}

// each visits the files.
func (p *parts) each(visit func(number int64) error) error {
	names, err := p.fs.List(p.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		name, ok := strings.CutSuffix(n, partsSuffix)
		number, err := strconv.ParseInt(name, 10, 64)
		if !ok || err != nil {
			continue
		}
		if err := visit(number); err != nil {
			return err
		}
	}
	return nil
}

// tidy removes the files that are not needed. No plan may be pending.
func (p *parts) tidy(needed []int64) error {
	return p.each(func(number int64) error {
		if slices.Contains(needed, number) {
			return nil
		}
		return p.fs.Remove(p.path(number))
	})
}
