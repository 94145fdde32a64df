package control_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

// expired puts records into many segments and lets two hours pass, of which retention keeps one.
func (r *rig) expired() {
	r.t.Helper()
	r.must(r.Create(r.context(), control.Spec{Name: "clicks", RetentionSeconds: 3600}), "create")
	for range 20 {
		r.put("ann", strings.Repeat("x", 1000))
	}
	r.advance(2 * time.Hour)
	r.put("ann", "new")
}

// reopen closes the directory and opens it again, with small segments.
func (r *rig) reopen() {
	r.t.Helper()
	r.must(r.local.Close(), "close the admin")
	r.must(r.backend.Close(), "close the directory")
	var err error
	r.backend, err = disk.Open(vfs.OS{}, r.dir, disk.Options{Now: r.now, SegmentSize: 4 << 10})
	r.must(err, "open the directory")
	r.local = control.NewLocal(r.backend, r.now)
	r.Admin = r.local
}

func TestTidyTakesWhatHasExpired(t *testing.T) {
	r := newRig(t)
	r.reopen()
	r.expired()
	before := r.describe()
	r.must(r.local.Tidy(t.Context()), "tidy")
	if after := r.describe(); before.Records() != 1 || after.Records() != 1 || after.Bytes() > before.Bytes()/2 {
		t.Errorf("%d bytes with %d records, %d before", after.Bytes(), after.Records(), before.Bytes())
	}
}

// A pipeline that does not run just now may not have read what retention would take.
func TestTidyLeavesWhatAStoppedPipelineMayNeed(t *testing.T) {
	r := newRig(t)
	r.reopen()
	r.expired()
	_, err := r.backend.Meta().CAS(t.Context(), "tasks/lake/events/0", []byte("{}"), 0)
	r.must(err, "store a checkpoint")
	r.reopen()
	before := r.describe()
	r.must(r.local.Tidy(t.Context()), "tidy")
	if after := r.describe(); after.Records() != 21 || after.Bytes() != before.Bytes() {
		t.Errorf("%d bytes with %d records, %d before", after.Bytes(), after.Records(), before.Bytes())
	}
}
