package door

import (
	"bufio"
	"container/list"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a door that a test closes.
type running struct {
	address string
	stop    chan struct{}
	ended   chan error
}

func begin(t *testing.T, handler http.HandlerFunc, o Options) *running {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{l.Addr().String(), make(chan struct{}), make(chan error, 1)}
	go func() { r.ended <- Serve(context.Background(), r.stop, l, handler, o) }()
	return r
}

func (r *running) end(t *testing.T) {
	t.Helper()
	close(r.stop)
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends a request on a connection and returns the body of the answer.
func ask(c net.Conn) (string, error) {
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return "", err
	}
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	return string(body), err
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }

func TestQuietConnectionsMakeRoomForNewOnes(t *testing.T) {
	r := begin(t, hello, Options{Connections: 4})
	defer r.end(t)
	var silent []net.Conn
	for range 4 {
		silent = append(silent, r.dial(t))
	}
	// Connections are accepted in their order.
	if got, err := ask(r.dial(t)); got != "hello" {
		t.Errorf("a fifth connection gets %q, %v", got, err)
	}
	if _, err := silent[0].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection that was quiet longest gives %v, want to see it closed", err)
	}
	if got, err := ask(silent[1]); got != "hello" {
		t.Errorf("one that was quiet for less gets %q, %v", got, err)
	}
}

func TestBusyConnectionsStayWhenThereAreTooMany(t *testing.T) {
	release := make(chan struct{})
	var inside sync.WaitGroup
	inside.Add(2)
	r := begin(t, func(w http.ResponseWriter, q *http.Request) {
		inside.Done()
		<-release
		hello(w, q)
	}, Options{Connections: 2})
	defer r.end(t)
	answers := make(chan string, 2)
	for range 2 {
		c := r.dial(t)
		go func() {
			got, err := ask(c)
			answers <- fmt.Sprint(got, err)
		}()
	}
	inside.Wait()
	if _, err := r.dial(t).Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("a connection too many gives %v, want to see it closed", err)
	}
	close(release)
	for range 2 {
		if got := <-answers; got != "hello<nil>" {
			t.Error(got)
		}
	}
}

// Connections of HTTP/2 are counted as others are.
func TestConnectionsOfBothKindsAreCounted(t *testing.T) {
	c := &crowd{most: 100, quiet: map[net.Conn]*list.Element{}}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	for _, start := range []func(*httptest.Server){(*httptest.Server).Start, (*httptest.Server).StartTLS} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(hello))
		server.Config.Protocols, server.Config.ConnState, server.EnableHTTP2 = &protocols, c.changed, true
		start(server)
		for _, major := range []int{1, 2} {
			tr := server.Client().Transport.(*http.Transport).Clone()
			tr.Protocols = new(http.Protocols)
			if major == 1 && tr.TLSClientConfig != nil {
				tr.TLSClientConfig.NextProtos = nil
			}
			tr.Protocols.SetHTTP1(major == 1)
			tr.Protocols.SetHTTP2(major == 2)
			tr.Protocols.SetUnencryptedHTTP2(major == 2)
			a, err := (&http.Client{Transport: tr}).Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, a.Body)
			_ = a.Body.Close()
			if a.ProtoMajor != major {
				t.Errorf("answered in HTTP/%d, want %d", a.ProtoMajor, major)
			}
			tr.CloseIdleConnections()
		}
		server.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != 0 || len(c.quiet) != 0 || c.waiting.Len() != 0 {
		t.Errorf("all are closed, and %d are open, %d of them quiet", c.open, len(c.quiet))
	}
}

func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	entered, release, drained := make(chan struct{}), make(chan struct{}), make(chan struct{})
	r := begin(t, func(w http.ResponseWriter, q *http.Request) {
		close(entered)
		<-release
		hello(w, q)
	}, Options{Drain: func() { close(drained) }})
	answer := make(chan string, 1)
	c := r.dial(t)
	go func() {
		got, err := ask(c)
		answer <- fmt.Sprint(got, err)
	}()
	<-entered
	close(r.stop)
	<-drained
	close(release)
	if got := <-answer; got != "hello<nil>" {
		t.Error(got)
	}
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", r.address); err == nil {
		t.Error("it still listens")
	}
}

func TestTakenPortsAndStrangeAddressesAreNamed(t *testing.T) {
	r := begin(t, hello, Options{})
	defer r.end(t)
	if _, err := Listen(t.Context(), r.address); err == nil || !strings.Contains(err.Error(), "the port is taken") {
		t.Error(err)
	}
	for address, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, ":1": false, "0.0.0.0:1": false, "example.org:1": false} {
		if got, err := IsLoopback(address); got != want || err != nil {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
	if _, err := IsLoopback("127.0.0.1"); err == nil {
		t.Error("an address without a port is taken")
	}
}
