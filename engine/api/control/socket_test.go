package control_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/stream"
)

var quiet = slog.New(slog.DiscardHandler)

func TestSocketIsForItsUserOnly(t *testing.T) {
	r := newRig(t)
	server, err := control.Serve(r.dir, r.local, quiet)
	r.must(err, "serve")
	info, err := os.Stat(server.Path())
	r.must(err, "look at the socket")
	if info.Mode().Perm() != 0o600 || filepath.Dir(server.Path()) != r.dir {
		t.Errorf("%s has mode %s", server.Path(), info.Mode())
	}
	r.must(server.Close(), "close")
	if _, err := os.Stat(server.Path()); err == nil {
		t.Error("the socket is still there")
	}
	if _, err := control.Dial(t.Context(), r.dir); err == nil {
		t.Error("dialed a closed server")
	}
}

// A process that was killed leaves its socket behind.
func TestSocketOfADeadProcessIsReplaced(t *testing.T) {
	r := newRig(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(r.dir, "control.sock"), Net: "unix"})
	r.must(err, "listen")
	dead.SetUnlinkOnClose(false)
	r.must(dead.Close(), "die")
	r.throughSocket()
	r.create(1)
}

func TestFileInPlaceOfTheSocketStays(t *testing.T) {
	r := newRig(t)
	name := filepath.Join(r.dir, "control.sock")
	r.must(os.WriteFile(name, []byte("mine"), 0o600), "write")
	if _, err := control.Serve(r.dir, r.local, quiet); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("served: %v", err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "mine" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

func TestLongPathGetsASocketElsewhere(t *testing.T) {
	t.Setenv("TMPDIR", "/tmp") // the test's own may be long too
	r := newRig(t)
	r.dir = filepath.Join(r.dir, strings.Repeat("long", 30))
	r.must(os.Mkdir(r.dir, 0o700), "make the directory")
	server, err := control.Serve(r.dir, r.local, quiet)
	r.must(err, "serve")
	if len(server.Path()) > 103 {
		t.Errorf("path %s", server.Path())
	}
	client, err := control.Dial(t.Context(), r.dir)
	r.must(err, "dial")
	r.Admin = client
	r.create(1)
	r.must(client.Close(), "close the client")

	// Whoever could write there could answer in this process's place.
	r.must(os.Chmod(filepath.Dir(server.Path()), 0o777), "open the directory to all")
	if _, err := control.Dial(t.Context(), r.dir); err == nil {
		t.Error("dialed a socket in a directory that all can write to")
	}
	r.must(os.Chmod(filepath.Dir(server.Path()), 0o700), "close the directory")
	r.must(server.Close(), "close the server")
	if _, err := os.Stat(filepath.Dir(server.Path())); err == nil {
		t.Error("the short directory is still there")
	}
}

func TestCloseEndsReadsThatWait(t *testing.T) {
	r := newRig(t)
	server, err := control.Serve(r.dir, r.local, quiet)
	r.must(err, "serve")
	client, err := control.Dial(t.Context(), r.dir)
	r.must(err, "dial")
	defer client.Close()
	r.Admin = client
	r.create(1)
	done := make(chan error)
	go func() {
		request := control.ReadRequest{Stream: "clicks", WaitMillis: 30_000}
		for {
			page, err := client.Read(context.Background(), request)
			if err != nil || len(page.Records) == 0 {
				done <- err
				return
			}
			request.Cursor = page.Cursor
		}
	}()
	// The reader takes this first, so it waits, or is about to, when the server closes.
	r.put("ann", "a")
	r.must(server.Close(), "close")
	if err := <-done; !errors.Is(err, control.ErrUnreachable) {
		t.Errorf("the read ended with %v", err)
	}
}

func TestHostileRequestsAreRefused(t *testing.T) {
	r := newRig(t)
	r.create(1)
	server, err := control.Serve(r.dir, r.local, quiet)
	r.must(err, "serve")
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", server.Path())
		},
	}}
	for what, c := range map[string]struct {
		verb, body string
		status     int
	}{
		"no JSON":             {"put", "{", http.StatusBadRequest},
		"another type":        {"split", `{"shard":"x"}`, http.StatusBadRequest},
		"an unknown field":    {"split", `{"shrad":1}`, http.StatusBadRequest},
		"a negative shard":    {"split", `{"shard":-1}`, http.StatusBadRequest},
		"a huge hash key":     {"split", `{"shard":0,"at":"` + strings.Repeat("9", 40) + `"}`, http.StatusBadRequest},
		"a body without end":  {"put", `{"records":[{"key":"` + strings.Repeat("x", 20<<20) + `"}]}`, http.StatusBadRequest},
		"an unknown verb":     {"drop", "{}", http.StatusNotFound},
		"a negative limit":    {"read", `{"limit":-5,"wait_millis":-1}`, http.StatusOK},
		"nothing but a name":  {"describe", "", http.StatusOK},
		"a cursor of nothing": {"read", `{"cursor":"e30"}`, http.StatusBadRequest},
	} {
		response, err := client.Post("http://control/v1/"+c.verb+"?stream=clicks", "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		body, err := io.ReadAll(response.Body)
		r.must(errors.Join(err, response.Body.Close()), what)
		if response.StatusCode != c.status {
			t.Errorf("%s: %s: %s", what, response.Status, body)
		}
	}
	response, err := client.Get("http://control/v1/describe?stream=clicks")
	r.must(err, "get")
	r.must(response.Body.Close(), "get")
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", response.Status)
	}
}

func TestErrorsKeepTheirTextAndKind(t *testing.T) {
	r := newRig(t)
	_, local := r.local.Describe(t.Context(), "nothing")
	r.throughSocket()
	_, remote := r.Describe(t.Context(), "nothing")
	if local.Error() != remote.Error() || !errors.Is(remote, stream.ErrNotFound) || errors.Is(remote, stream.ErrInvalid) {
		t.Errorf("local %v, remote %v", local, remote)
	}
}

// The command that reads a file knows its lines, whoever has the stream.
func TestRefusedRecordIsNamedThroughTheSocket(t *testing.T) {
	r := newRig(t)
	r.throughSocket()
	r.create(2)
	_, err := r.Put(t.Context(), "clicks", []control.Record{{Data: []byte("a")}, {Data: make([]byte, stream.DefaultMaxRecord+1)}})
	var refused *control.RecordError
	if !errors.As(err, &refused) || refused.Index != 1 || !strings.Contains(refused.Reason, "shorten it") || !errors.Is(err, stream.ErrInvalid) {
		t.Errorf("put: %v", err)
	}
	if n := r.describe().Records(); n != 0 {
		t.Errorf("%d records are stored", n)
	}
}
