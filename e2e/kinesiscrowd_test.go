//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"golang.org/x/sys/unix"
)

// Ten thousand connections that say nothing, or the beginning of a request: others are served, and memory is bounded.
func TestIdleConnectionsCostLittle(t *testing.T) {
	const crowd, rss = 10_000, 192 << 20
	var files syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	if files.Cur < crowd+1000 {
		t.Skipf("the process may open %d files only", files.Cur)
	}
	s := serving(t, "--instant")
	s.create("s", 1)
	var mu sync.Mutex
	var all []net.Conn
	defer func() {
		for _, c := range all {
			_ = c.Close()
		}
	}()
	var dialing sync.WaitGroup
	for worker := range 20 {
		dialing.Go(func() {
			for i := range crowd / 20 {
				c, err := net.Dial("tcp", s.address)
				if err != nil {
					t.Error(err)
					return
				}
				if (worker+i)%4 == 0 {
					// It may be closed by now.
					_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Kinesis_")
				}
				mu.Lock()
				all = append(all, c)
				mu.Unlock()
			}
		})
	}
	began := time.Now()
	for range 20 {
		_, err := s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("s"), Data: []byte("x"), PartitionKey: aws.String("k")})
		must(t, err)
	}
	during := time.Since(began)
	dialing.Wait()
	_, err := s.client("AKIDMILLRACE", "secret").PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("s"), Data: []byte("x"), PartitionKey: aws.String("k")})
	must(t, err)
	open := 0
	for _, c := range all {
		if isOpen(t, c) {
			open++
		}
	}
	s.process.Terminate()
	exit, err := s.process.Wait(within(t, patience))
	must(t, err)
	fmt.Printf("%d connections, %d of them kept open, 20 puts meanwhile took %v, peak RSS %d MiB\n", crowd, open, during.Round(time.Millisecond), exit.PeakRSS>>20)
	if exit.PeakRSS > rss || open > 4096 || exit.Code != 0 {
		t.Errorf("peak RSS %d MiB, %d connections open, exit code %d\n%s", exit.PeakRSS>>20, open, exit.Code, exit.Stderr)
	}
	if strings.Contains(exit.Stderr, "too many open files") {
		t.Error(exit.Stderr)
	}
}

// isOpen asks the system, which knows whether the other side has closed a connection without waiting for it.
func isOpen(t *testing.T, c net.Conn) (open bool) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		open = errors.Is(err, unix.EAGAIN)
	}))
	return open
}
