package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/api/kinesis"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
	"github.com/millrace-io/millrace/pipelines"
)

type serveCommand struct {
	File   string `arg:"" optional:"" help:"Pipeline file to run on the same streams."`
	Listen string `help:"Address of the Kinesis Data Streams API. One that is not loopback needs access keys, or --insecure." default:"127.0.0.1:4567" placeholder:"HOST:PORT"`
	Data   string `help:"Data directory." default:"millrace-data" placeholder:"DIR"`

	AccessKey  []string `help:"KEY:SECRET that may sign requests, or @FILE with one in each line; without any, signatures are not verified." placeholder:"KEY:SECRET" sep:"none"`
	Insecure   bool     `help:"Let anybody who reaches the address do anything."`
	Account    string   `help:"Account id in ARNs." default:"000000000000"`
	Region     string   `help:"Region in ARNs." default:"us-east-1"`
	ShardQuota int      `help:"How many shards may be open." default:"500"`
	Limits     string   `help:"Hold new streams to the limits of a shard: none or kinesis." default:"none" enum:"none,kinesis"`
	Instant    bool     `help:"Let streams be ACTIVE at once, instead of CREATING or UPDATING for half a second."`
	MasterKey  string   `help:"Master key for StartStreamEncryption, as docs/encryption.md has it; without one, a key file beside the data directory is made when it is first needed." placeholder:"KEY"`

	tlsFlags
}

// settleFor is how long streams are CREATING, UPDATING and DELETING.
const settleFor = 500 * time.Millisecond

// Limits of the server, so that clients that are slow, idle or many cost little.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = time.Minute
	idleTimeout    = 2 * time.Minute
	maxHeaders     = 32 << 10
	maxStreams     = 250 // requests at once on one connection of HTTP/2
	// requestMemory bounds requests and answers under way.
	requestMemory = 64 << 20
	// stopPatience is how long requests under way may go on after a signal.
	stopPatience = 10 * time.Second
	// tendEvery is how often shards follow their load, and every so many times what expired is removed.
	tendEvery = 5 * time.Second
	tidyEvery = 6
)

// Run serves until a signal.
func (c *serveCommand) Run(a *app) error {
	began := time.Now()
	if err := c.check(); err != nil {
		return usageError{err}
	}
	verifier, err := c.verifier()
	if err != nil {
		return usageError{err}
	}
	ctx, stop, release := signals(a)
	defer release()
	host, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	service, err := c.service(ctx, a, host.streams, verifier)
	if err != nil {
		return errors.Join(err, host.close())
	}
	certificates, err := c.tlsFlags.open(a, c.Data, c.Listen)
	if err != nil {
		return errors.Join(err, host.close())
	}
	plain, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("listen: %w", err), host.close())
	}
	listener, scheme := wrapped(plain, certificates)
	fmt.Fprintf(a.stderr, "serving Kinesis Data Streams on %s://%s after %d ms; region %s, account %s, data in %s\n",
		scheme, listener.Addr(), time.Since(began).Milliseconds(), c.Region, c.Account, c.Data)
	return errors.Join(c.serve(ctx, a, listener, service, host, stop), host.close())
}

// serve answers until a signal, or until the pipeline fails.
func (c *serveCommand) serve(ctx context.Context, a *app, l net.Listener, service *kinesis.Service, h *host, stop <-chan struct{}) error {
	requests, cancel := context.WithCancel(ctx)
	defer cancel()
	server := newServer(requests, service, a.log)
	server.RegisterOnShutdown(service.EndSubscriptions)
	failed := make(chan error, 2)
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve: %w", err)
		}
	})
	running.Go(func() { h.tend(requests, a.log) })
	running.Go(func() {
		if err := h.run(ctx); err != nil {
			failed <- err
		}
	})
	var err error
	select {
	case <-stop:
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-failed:
	}
	h.stop()
	patience, done := context.WithTimeout(ctx, stopPatience)
	defer done()
	if server.Shutdown(patience) != nil {
		_ = server.Close()
	}
	cancel()
	running.Wait()
	select {
	case more := <-failed:
		err = errors.Join(err, more)
	default:
	}
	return err
}

// newServer is an HTTP/1.1 server that speaks HTTP/2 too, with and without TLS.
func newServer(ctx context.Context, handler http.Handler, log *slog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{
		Handler: handler, Protocols: &protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaders, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	return s
}

func (c *serveCommand) service(ctx context.Context, a *app, streams *control.Local, v *auth.Verifier) (*kinesis.Service, error) {
	settle := settleFor
	if c.Instant {
		settle = 0
	}
	return kinesis.New(ctx, kinesis.Options{
		Streams: streams, Verifier: v, Account: c.Account, Region: c.Region, ShardQuota: c.ShardQuota,
		Settle: settle, Limits: stream.Limits(c.Limits), MasterKey: c.masterKey, Memory: requestMemory, Log: a.log,
	})
}

// masterKey is that of the command line, or a file beside the data directory: who copies the data alone cannot
// read it.
func (c *serveCommand) masterKey() (string, error) {
	if c.MasterKey != "" {
		return master.AbsoluteSpec(c.MasterKey), nil
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return "", err
	}
	file := data + ".key"
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		if _, err := master.GenerateKeyFile(file); err != nil {
			return "", fmt.Errorf("make a master key: %w", err)
		}
	}
	return "file:" + file, nil
}

// host is the process's data directory: a pipeline's, or one that nothing else uses.
type host struct {
	streams *control.Local
	// pipeline is nil without a file.
	pipeline *pipelines.Run
	halt     chan struct{}
	halting  sync.Once
	close    func() error
}

// open opens the data directory.
func (c *serveCommand) open(ctx context.Context, a *app) (*host, error) {
	h := &host{halt: make(chan struct{})}
	if c.File == "" {
		s, err := openSession(ctx, openOptions{data: c.Data, log: a.log, create: true, serve: true})
		if err != nil {
			return nil, err
		}
		local, ok := s.Admin.(*control.Local)
		if !ok {
			return nil, errors.Join(usageError{fmt.Errorf("data directory %s is used by another process; give its pipeline file to `millrace serve` instead, or stop it", c.Data)}, s.Close())
		}
		debug.SetMemoryLimit(2 * requestMemory)
		h.streams, h.close = local, s.Close
		return h, nil
	}
	options := pipelines.Options{Data: c.Data, Serve: true, Stop: h.halt, Stdout: a.stdout, Log: a.log, Now: time.Now}
	p, err := loaded(a)(pipelines.Resolve(ctx, c.File, components(), pipelines.ResolveOptions{
		Load: loadOptions(), Run: options, Say: func(text string) { fmt.Fprintln(a.stderr, text) },
	}))
	if err != nil {
		return nil, err
	}
	debug.SetMemoryLimit(int64(p.Memory) + requestMemory)
	h.pipeline, err = pipelines.Open(ctx, p, options)
	if err != nil {
		return nil, err
	}
	h.streams, h.close = h.pipeline.Streams(), h.pipeline.Close
	return h, nil
}

// stop asks the pipeline to end.
func (h *host) stop() { h.halting.Do(func() { close(h.halt) }) }

// run runs the pipeline, if there is one, until stop.
func (h *host) run(ctx context.Context) error {
	if h.pipeline == nil {
		return nil
	}
	return h.pipeline.Wait(ctx)
}

// tend lets shards follow their load and removes what retention lets go of.
func (h *host) tend(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := h.streams.Look(ctx); err != nil && ctx.Err() == nil {
			log.Warn("shards do not follow the load; it is tried again", "error", err)
		}
		// A pipeline does this itself, once it has said what its consumers still need.
		if n%tidyEvery != 0 || h.pipeline != nil {
			continue
		}
		if err := h.streams.Tidy(ctx); err != nil && ctx.Err() == nil {
			log.Warn("removing expired records", "error", err)
		}
	}
}
