package disk

import (
	"testing"

	"golang.org/x/sys/unix"
)

// cpu is the time that the process had spent when it was made.
type cpu struct{ user, system int64 }

func cpuTimes(b *testing.B) cpu {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return cpu{user: u.Utime.Nano(), system: u.Stime.Nano()}
}

func (c cpu) report(b *testing.B) {
	now := cpuTimes(b)
	b.ReportMetric(float64(now.user-c.user)/float64(b.N), "user-ns/op")
	b.ReportMetric(float64(now.system-c.system)/float64(b.N), "sys-ns/op")
}
