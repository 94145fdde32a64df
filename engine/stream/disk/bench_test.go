package disk

import (
	"context"
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// The benchmarks move records of 258 bytes, 4,000 to a batch, through two shards. ns/op is per
// record; user-ns/record is the CPU time outside the kernel.
const (
	benchBatch  = 4000
	benchShards = 2
)

func benchStream(b *testing.B) (*stream.Stream, func()) {
	back, err := Open(vfs.OS{}, b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := stream.Open(b.Context(), back, stream.Spec{Name: "clicks", Shards: benchShards})
	if err != nil {
		b.Fatal(err)
	}
	return s, func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
		if err := back.Close(); err != nil {
			b.Error(err)
		}
	}
}

func fill4000(batch *record.Batch, keys [][]byte, data []byte, from int64) {
	batch.Reset()
	batch.Producer = record.Producer{ID: 1}
	for i := range int64(benchBatch) {
		batch.Add(keys[i%int64(len(keys))], data, from+i+1)
	}
	batch.End = from + benchBatch
}

func benchKeys() [][]byte {
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "user_%06d", i*7919%100000)
	}
	return keys
}

func BenchmarkAdd(b *testing.B) {
	var batch record.Batch
	keys, data := benchKeys(), make([]byte, 258)
	b.ReportAllocs()
	cpu := cpuTimes(b)
	for i := 0; i < b.N; i += benchBatch {
		fill4000(&batch, keys, data, 0)
	}
	cpu.report(b)
}

func BenchmarkWrite(b *testing.B) {
	s, done := benchStream(b)
	defer done()
	var batch record.Batch
	fill4000(&batch, benchKeys(), make([]byte, 258), 0)
	batch.Producer = record.Producer{}
	b.ReportAllocs()
	b.SetBytes(258)
	b.ResetTimer()
	cpu := cpuTimes(b)
	for i := 0; i < b.N; i += benchBatch {
		if err := s.Write(context.Background(), &batch); err != nil {
			b.Fatal(err)
		}
	}
	cpu.report(b)
}

func BenchmarkRead(b *testing.B) {
	s, done := benchStream(b)
	defer done()
	var batch record.Batch
	fill4000(&batch, benchKeys(), make([]byte, 258), 0)
	batch.Producer = record.Producer{}
	for range 50 {
		if err := s.Write(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
	}
	log := s.Log(0)
	var buf stream.Buffer
	var at record.Ordinal
	b.ReportAllocs()
	b.SetBytes(258)
	b.ResetTimer()
	cpu := cpuTimes(b)
	for n := 0; n < b.N; {
		frames, err := log.Read(b.Context(), at, &buf)
		if err != nil {
			b.Fatal(err)
		}
		if len(frames) == 0 {
			at = 0
			continue
		}
		for _, f := range frames {
			n += f.Count
			at = f.Next()
		}
	}
	cpu.report(b)
}

func BenchmarkAppendSmall(b *testing.B) {
	s, done := benchStream(b)
	defer done()
	data := make([]byte, 1024)
	b.SetParallelism(128)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var batch record.Batch
		batch.Add([]byte("k"), data, 0)
		for pb.Next() {
			if _, err := s.Log(0).Append(context.Background(), &batch); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
