package kinesis

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/door"
)

// pipes is a listener whose connections are in memory, so that what depends on time can be tested virtually.
type pipes struct {
	arriving chan net.Conn
	closed   chan struct{}
	closing  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.arriving:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.closing.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// dial connects.
func (p *pipes) dial() (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.arriving <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// piped is a service behind a door whose connections are in memory.
func piped(r *rig) *pipes {
	p := &pipes{arriving: make(chan net.Conn), closed: make(chan struct{})}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- door.Serve(r.t.Context(), stop, p, r.Service, door.Options{}) }()
	r.t.Cleanup(func() {
		close(stop)
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
		// net/http keeps connections that it has given up for half a second.
		pass(time.Second)
	})
	return p
}

// begin is as that of a real connection, but what is sent is still under way when it returns: a pipe keeps nothing.
func (p *pipes) begin(t *testing.T, claimed, sent int) net.Conn {
	t.Helper()
	c, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = c.Write(append(headOf(claimed), bytes.Repeat([]byte(" "), sent)...))
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-written
	})
	return c
}

// client sends requests through the pipes.
func (p *pipes) client(protocols *http.Protocols) *http.Transport {
	return &http.Transport{
		Protocols: protocols, DisableKeepAlives: protocols == nil,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial() },
	}
}
