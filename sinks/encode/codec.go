package encode

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/gzip"
	"github.com/parquet-go/parquet-go/compress/lz4"
	"github.com/parquet-go/parquet-go/compress/snappy"
	"github.com/parquet-go/parquet-go/format"
)

// codec compresses pages. It may be used from several goroutines.
type codec struct {
	id format.CompressionCodec
	// compress writes the compressed src over dst and returns it; nil when there is nothing to do.
	compress func(dst, src []byte) ([]byte, error)
	// even is another way to compress texts of one length; nil when there is none.
	even *evenFrames
}

func newCodec(c Compression, level int) (codec, error) {
	wrap := func(c compress.Codec) codec { return codec{id: c.CompressionCodec(), compress: c.Encode} }
	switch c {
	case None:
		return codec{id: format.Uncompressed}, nil
	case Snappy:
		c := wrap(new(snappy.Codec))
		encode := c.compress
		// It looks at the length of what it may write over, and makes as much anew if that is too short.
		c.compress = func(dst, src []byte) ([]byte, error) { return encode(dst[:cap(dst)], src) }
		return c, nil
	case Gzip:
		if level == 0 {
			level = 6
		}
		return wrap(&gzip.Codec{Level: level}), nil
	case LZ4Raw:
		return wrap(&lz4.Codec{Level: lz4.Fastest}), nil
	case Zstd:
		return newZstd(level)
	}
	return codec{}, fmt.Errorf("unknown compression %q", c)
}

// maxLevel is the highest level of zstd.
const maxLevel = 22

// An encoder holds up to 2 MiB, so all files of the process share them, by level. No more of them work than there are
// cores, however many tasks there are: each would hold one.
var (
	encoders [maxLevel + 1]sync.Pool
	atWork   = make(chan struct{}, runtime.GOMAXPROCS(0))
)

// newZstd is a codec of our own because that of parquet-go leaves literals without entropy coding
// when they do not repeat, which stores random hexadecimal ids at 6 instead of 4 bits a digit.
func newZstd(level int) (codec, error) {
	first, err := zstd.NewWriter(nil, zstdOptions(level)...)
	if err != nil {
		return codec{}, fmt.Errorf("zstd level %d: %w", level, err)
	}
	pool := &encoders[min(max(level, 1), maxLevel)]
	pool.Put(first)
	return codec{
		id: format.Zstd,
		compress: func(dst, src []byte) ([]byte, error) {
			if cap(dst) < len(src) && len(src) > keptBytes {
				// Memory that grew bit by bit would take several times as much.
				dst = make([]byte, 0, len(src))
			}
			atWork <- struct{}{}
			defer func() { <-atWork }()
			e, _ := pool.Get().(*zstd.Encoder)
			if e == nil {
				var err error
				if e, err = zstd.NewWriter(nil, zstdOptions(level)...); err != nil {
					return dst, err
				}
			}
			defer pool.Put(e)
			return e.EncodeAll(src, dst[:0]), nil
		},
		even: newEvenFrames(),
	}, nil
}

func zstdOptions(level int) []zstd.EOption {
	if level == 0 {
		level = 1
	}
	return []zstd.EOption{
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithAllLitEntropyCompression(true),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1 << 20),
		zstd.WithEncoderCRC(false),
		zstd.WithZeroFrames(true),
	}
}
