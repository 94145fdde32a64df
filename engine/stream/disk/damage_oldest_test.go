package disk

import (
	"testing"
	"time"
)

// A consumer that begins at the oldest record must meet the damage there, not begin behind it.
func TestDamageAtTheFrontIsNotTakenForExpiry(t *testing.T) {
	r := newRig(t, Options{SegmentSize: 2 << 10})
	r.mustAppend(29, 200)
	flip(t, r.fs, r.segments()[0], segmentHeader+frameHeader+5)
	r.reopen()
	if oldest := r.log.Bounds().Oldest; oldest != 0 {
		t.Errorf("the oldest record is %d; the damaged record 0 has not expired", oldest)
	}
	at, err := r.log.Seek(t.Context(), time.UnixMilli(1))
	if err != nil || at != 0 {
		t.Errorf("seek before all records: %d, %v; want the damaged record 0", at, err)
	}
}
