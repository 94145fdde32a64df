package disk

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace-io/millrace/engine/stream"
)

// codec says how a frame's body is compressed.
type codec byte

const (
	codecNone codec = iota
	codecZstd
	codecSnappy
	codecLast = codecSnappy
)

func (c codec) String() string {
	switch c {
	case codecNone:
		return "none"
	case codecZstd:
		return "zstd"
	case codecSnappy:
		return "snappy"
	}
	return fmt.Sprintf("codec %d", byte(c))
}

func codecOf(c stream.Compression) codec {
	switch c {
	case stream.Zstd:
		return codecZstd
	case stream.Snappy:
		return codecSnappy
	}
	return codecNone
}

// minCompressed is the size from which on it is tried to compress a body.
const minCompressed = 128

var (
	// The coders are made when the first frame needs them; their methods used here may be called
	// from any goroutine.
	zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20))
	})
	zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderConcurrency(0))
	})
)

// compress appends the compressed body to dst[:0]. It returns codecNone if that saves too little.
func compress(c codec, dst, body []byte) (codec, []byte, error) {
	if c == codecNone || len(body) < minCompressed {
		return codecNone, body, nil
	}
	var out []byte
	switch c {
	case codecZstd:
		e, err := zstdEncoder()
		if err != nil {
			return codecNone, nil, err
		}
		if cap(dst) < len(body) && len(body) > keptPack {
			// Memory that grew bit by bit would take several times as much.
			dst = make([]byte, 0, len(body))
		}
		out = e.EncodeAll(body, dst[:0])
	case codecSnappy:
		out = snappy.Encode(dst[:cap(dst)], body)
	}
	if len(out) > len(body)-len(body)/16 {
		return codecNone, body, nil
	}
	return c, out, nil
}

var errBadBody = errors.New("compressed body is damaged")

// decompress appends the body of raw bytes that is compressed in b to dst. It never writes more
// than raw bytes, which are at most maxBody.
func decompress(c codec, dst, b []byte, raw int) ([]byte, error) {
	start := len(dst)
	if cap(dst)-start < raw {
		// What stands in dst belongs to frames that were decompressed before, and stays theirs.
		dst, start = make([]byte, 0, max(raw, min(2*cap(dst), keptPack))), 0
	}
	switch c {
	case codecZstd:
		d, err := zstdDecoder()
		if err != nil {
			return nil, err
		}
		out, err := d.DecodeAll(b, dst[start:start:start+raw])
		if err != nil || len(out) != raw {
			return nil, fmt.Errorf("%w: %d bytes for %d: %w", errBadBody, len(out), raw, errOr(err))
		}
	case codecSnappy:
		n, err := snappy.DecodedLen(b)
		if err != nil || n != raw {
			return nil, fmt.Errorf("%w: %d bytes for %d: %w", errBadBody, n, raw, errOr(err))
		}
		if _, err := snappy.Decode(dst[start:start+raw], b); err != nil {
			return nil, fmt.Errorf("%w: %w", errBadBody, err)
		}
	default:
		return nil, fmt.Errorf("%w: %s", errBadBody, c)
	}
	return dst[:start+raw], nil
}

func errOr(err error) error {
	if err == nil {
		return errors.New("wrong length")
	}
	return err
}
