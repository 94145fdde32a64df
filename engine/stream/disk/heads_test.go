package disk

import (
	"context"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

func TestHeadsAreReadWithoutTheirBodies(t *testing.T) {
	r := newRig(t, Options{})
	b := &record.Batch{}
	for i := range 3 {
		b.Reset()
		b.Add([]byte("key"), make([]byte, 3<<20), 0)
		b.Add([]byte("key"), []byte("small"), 0)
		if _, err := r.log.Append(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		r.clock.advance(time.Duration(i+1) * time.Minute)
	}
	var whole []stream.Frame
	for at := record.Ordinal(0); at < 6; {
		var buf stream.Buffer
		frames, err := r.log.Read(context.Background(), at, &buf)
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, frames...)
		at = frames[len(frames)-1].Next()
	}
	buf := stream.Buffer{Heads: true}
	for at := range record.Ordinal(6) {
		frames, err := r.log.Read(context.Background(), at, &buf)
		if err != nil || len(frames) != 1 {
			t.Fatalf("at %d: %d frames, %v", at, len(frames), err)
		}
		f, want := frames[0], whole[at/2]
		if f.First != want.First || f.Count != want.Count || f.Arrival != want.Arrival || f.Body != nil {
			t.Errorf("at %d: %d records from %d, arrived at %d, a body of %d bytes; want %d from %d at %d",
				at, f.Count, f.First, f.Arrival, len(f.Body), want.Count, want.First, want.Arrival)
		}
	}
	if cap(buf.Bytes) > 0 {
		t.Errorf("%d bytes were read", cap(buf.Bytes))
	}
	if frames, err := r.log.Read(context.Background(), 6, &buf); len(frames) > 0 || err != nil {
		t.Errorf("at the end: %d frames, %v", len(frames), err)
	}
}

func TestBufferDoesNotStayAsLargeAsAVeryLargeRecord(t *testing.T) {
	r := newRig(t, Options{})
	b := &record.Batch{}
	for _, size := range []int{6 << 20, 100, 6 << 20} {
		b.Reset()
		b.Add([]byte("key"), make([]byte, size), 0)
		if _, err := r.log.Append(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	var buf stream.Buffer
	for at, most := range []int{7 << 20, 1 << 20, 7 << 20, 0} {
		if _, err := r.log.Read(context.Background(), record.Ordinal(at), &buf); err != nil {
			t.Fatal(err)
		}
		if cap(buf.Bytes) > most {
			t.Errorf("behind the read of record %d the buffer holds %d bytes", at, cap(buf.Bytes))
		}
	}
}
