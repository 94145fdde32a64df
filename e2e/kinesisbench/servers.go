package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

// server is one that is measured.
type server struct {
	name     string
	endpoint string
	process  *rig.Process
	client   *http.Client
	// sign is set where signatures are verified.
	sign bool
}

func (s *server) stop() {
	s.process.Kill()
	s.client.CloseIdleConnections()
}

// start runs a program and waits until it listens.
func (b *bench) start(name, path, address string, args ...string) (*server, error) {
	process, err := rig.Command{Path: path, Args: args}.Start()
	if err != nil {
		return nil, err
	}
	s := &server{name: name, endpoint: "http://" + address, process: process, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	err = rig.Until(b.ctx, name, func() bool {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil || !process.Running()
	})
	if err == nil && !process.Running() {
		err = fmt.Errorf("%s ended at once: %s", name, process.Stderr())
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (b *bench) millrace(name, binary string, args ...string) (*server, error) {
	address, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return nil, err
	}
	return b.start(name, binary, address, append([]string{"serve", "--listen", address, "--data", data, "--instant"}, args...)...)
}

// kinesalite is nil where it is not installed.
func (b *bench) kinesalite() (*server, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	script := filepath.Join(cache, "millrace", "clients", "node", "node_modules", "kinesalite", "cli.js")
	node, err := exec.LookPath("node")
	if _, missing := os.Stat(script); err != nil || missing != nil {
		fmt.Println("kinesalite is not installed; e2e/clients/node.sh does that. On two cores it was seen to put 7,500 to 9,300 records/s and to get 15,500 to 19,400")
		return nil, nil
	}
	address, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return b.start("kinesalite, in memory", node, address, script, "--port", port)
}

// cannedJob is the first argument of a process of our own that answers everything with the content of a file.
const cannedJob = "canned"

func (b *bench) cannedServer(file string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	address, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	return b.start("a canned answer", self, address, cannedJob, address, file)
}

// canned serves until it is killed.
func canned(args []string) error {
	if len(args) != 2 {
		return errors.New("address and file are missing")
	}
	body, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	})
	s := &http.Server{Addr: args[0], Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return s.ListenAndServe()
}
