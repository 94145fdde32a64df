package flow

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

func TestRecordsAreFoundInWhateverOrder(t *testing.T) {
	var frames []stream.Frame
	// The ordinals 3, 4 and 5 are missing, as in front of a damaged stretch.
	for _, first := range []record.Ordinal{0, 6} {
		var b record.Batch
		for i := range 3 {
			b.Add([]byte("key"), fmt.Append(nil, int(first)+i), 0)
		}
		frames = append(frames, stream.Frame{First: first, Count: 3, Body: b.Body(0)})
	}
	f := finder{frames: frames}
	for _, at := range []int{0, 1, 1, 7, 8, 6, 2, 0, 4, 8, 9, 7} {
		want := fmt.Sprint(at)
		if at > 8 || at > 2 && at < 6 {
			want = ""
		}
		if got := string(f.record(record.Ordinal(at))); got != want {
			t.Errorf("record %d: got %q, want %q", at, got, want)
		}
	}
}
