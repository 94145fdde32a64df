package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	socketName = "control.sock"
	// noteName is the file in the data directory that holds the socket's path when the directory's
	// own is too long for one.
	noteName = "control.path"
	// maxSocketPath is what the system call takes on every platform, without the final zero.
	maxSocketPath = 103
	// closeGrace is how long a closing server waits for the requests under way.
	closeGrace = 2 * time.Second
)

// Server serves an Admin on the data directory's socket.
type Server struct {
	server *http.Server
	socket string
	note   string
	cancel context.CancelFunc
	done   chan struct{}
}

// Serve listens on the socket of a data directory, which only the user of this process may
// connect to. The caller holds the directory's lock, so a socket that is there already is a dead
// process's and is removed. Close must follow, before the Admin is closed.
func Serve(dir string, a Admin, log *slog.Logger) (*Server, error) {
	s := &Server{done: make(chan struct{})}
	listener, err := s.listen(dir)
	if err != nil {
		return nil, fmt.Errorf("control socket of %s: %w", dir, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.server = &http.Server{
		Handler:           Handler(a),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("control socket stopped", "error", err)
		}
	}()
	return s, nil
}

// Path is where the server listens.
func (s *Server) Path() string { return s.socket }

// Close ends the requests that wait, then the server, and removes the socket.
func (s *Server) Close() error {
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	<-s.done
	if s.note != "" {
		err = errors.Join(err, remove(s.note), remove(s.socket), remove(filepath.Dir(s.socket)))
	}
	return err
}

func (s *Server) listen(dir string) (net.Listener, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s.socket = filepath.Join(abs, socketName)
	note := filepath.Join(abs, noteName)
	if err := remove(note); err != nil {
		return nil, err
	}
	if len(s.socket) > maxSocketPath {
		if s.socket, err = shortPath(abs); err != nil {
			return nil, err
		}
		s.note = note
	}
	if err := removeSocket(s.socket); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", s.socket)
	if err != nil {
		return nil, err
	}
	// Whoever connected before this is served after it; under the usual umask nobody else could.
	err = os.Chmod(s.socket, 0o600)
	if err == nil && s.note != "" {
		err = os.WriteFile(s.note, []byte(s.socket+"\n"), 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// shortPath is a socket in a directory of this user's own under the one for temporary files.
func shortPath(abs string) (string, error) {
	sum := sha256.Sum256([]byte(abs))
	dir := filepath.Join(os.TempDir(), "millrace-"+hex.EncodeToString(sum[:8]))
	socket := filepath.Join(dir, socketName)
	if len(socket) > maxSocketPath {
		return "", fmt.Errorf("path %s is longer than %d bytes, and so is that of the data directory", socket, maxSocketPath)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return socket, checkPrivate(dir)
}

func removeSocket(name string) error {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is in the way and no socket", name)
	}
	return remove(name)
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Dial connects to the process that serves a data directory. Close must follow.
func Dial(ctx context.Context, dir string) (*Client, error) {
	socket, err := find(dir)
	if err != nil {
		return nil, err
	}
	// Connecting now tells a process that does not serve from one that answers badly.
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	if err := conn.Close(); err != nil {
		return nil, err
	}
	return NewClient(socket), nil
}

// find returns the path of the socket that serves a data directory.
func find(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	note, err := os.ReadFile(filepath.Join(abs, noteName))
	if errors.Is(err, fs.ErrNotExist) {
		return filepath.Join(abs, socketName), nil
	}
	if err != nil {
		return "", err
	}
	socket := strings.TrimSpace(string(note))
	return socket, checkPrivate(filepath.Dir(socket))
}
