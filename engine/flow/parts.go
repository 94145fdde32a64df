package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/sql"
)

// partsHeader begins a file of parts: a magic and the version of docs/formats/query-state.md.
var partsHeader = []byte("MRSTATE\x01")

const partsSuffix = ".state"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parts keeps pieces of a query's state in files, one for each snapshot that wrote any. A file is
// written once, under a number that none had before it: a chunk that is redone has the pieces of the
// first attempt, which its plan names.
type parts struct {
	dir  string
	file *os.File
	// number is that of the file, at where the next piece goes.
	number, at int64
	// written is the bytes of this run.
	written int64
	// cure says what to do about a file that cannot be read.
	cure string
}

func openParts(dir, cure string) (*parts, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of a query's state: %w", err)
	}
	p := &parts{dir: dir, cure: cure}
	return p, p.each(func(number int64) error {
		p.number = max(p.number, number)
		return nil
	})
}

func (p *parts) path(number int64) string {
	return filepath.Join(p.dir, fmt.Sprintf("%020d%s", number, partsSuffix))
}

// drop forgets a file that was not ended.
func (p *parts) drop() error {
	if p.file == nil {
		return nil
	}
	f := p.file
	p.file = nil
	return f.Close()
}

// Write appends a piece to the file. It is durable once sync returned nil.
func (p *parts) Write(piece []byte) (sql.Part, error) {
	if p.file == nil {
		p.number++
		f, err := os.OpenFile(p.path(p.number), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
		if err != nil {
			return sql.Part{}, err
		}
		if _, err := f.Write(partsHeader); err != nil {
			return sql.Part{}, errors.Join(err, f.Close())
		}
		p.file, p.at = f, int64(len(partsHeader))
	}
	out := sql.Part{File: p.number, Offset: p.at, Size: int64(len(piece))}
	var sum [4]byte
	binary.LittleEndian.PutUint32(sum[:], crc32.Checksum(piece, castagnoli))
	if _, err := p.file.Write(sum[:]); err != nil {
		return out, err
	}
	if _, err := p.file.Write(piece); err != nil {
		return out, err
	}
	n := int64(len(sum) + len(piece))
	p.at, p.written = p.at+n, p.written+n
	return out, nil
}

// sync makes what was written durable and ends the file.
func (p *parts) sync() error {
	if p.file == nil {
		return nil
	}
	err := errors.Join(p.file.Sync(), p.file.Close())
	p.file = nil
	if err != nil {
		return fmt.Errorf("write %s: %w", p.path(p.number), err)
	}
	d, err := os.Open(p.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
	f, err := os.Open(p.path(at.File))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	if info, err := f.Stat(); err != nil || at.Offset+4+at.Size > info.Size() {
		return nil, fmt.Errorf("%s ends before the piece of %d bytes at %d", f.Name(), at.Size, at.Offset)
	}
	piece := make([]byte, 4+at.Size)
	if _, err := f.ReadAt(piece, at.Offset); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	if binary.LittleEndian.Uint32(piece) != crc32.Checksum(piece[4:], castagnoli) {
		return nil, fmt.Errorf("%s is damaged at %d: the checksum differs", f.Name(), at.Offset)
	}
	return piece[4:], nil
}

// each visits the files.
func (p *parts) each(visit func(number int64) error) error {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), partsSuffix)
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
		return os.Remove(p.path(number))
	})
}
