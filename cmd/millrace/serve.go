package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace-io/millrace/engine/api/audit"
	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/api/door"
	"github.com/millrace-io/millrace/engine/api/kinesis"
	"github.com/millrace-io/millrace/engine/api/users"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
)

type serveCommand struct {
	Files  []string `arg:"" optional:"" name:"file" help:"Pipeline files to run, with their streams, in the same data directory."`
	Listen string   `help:"Address of the Kinesis Data Streams API. One that is not loopback needs users, or --insecure." default:"127.0.0.1:4567" placeholder:"HOST:PORT"`
	Data   string   `help:"Data directory." default:"millrace-data" placeholder:"DIR"`

	Account    string `help:"Account id in ARNs." default:"000000000000"`
	Region     string `help:"Region in ARNs." default:"us-east-1"`
	ShardQuota int    `help:"How many shards may be open." default:"500"`
	Limits     string `help:"Hold new streams to the limits of a shard, and operations to the rates of the service: none or kinesis." default:"none" enum:"none,kinesis"`
	Instant    bool   `help:"Let streams be ACTIVE at once, instead of CREATING or UPDATING for half a second."`
	MasterKey  string `help:"Master key for StartStreamEncryption and for the secrets of users, as docs/encryption.md has it; without one, a key file beside the data directory is made when it is first needed." placeholder:"KEY"`

	authFlags
	tlsFlags
}

const (
	// settleFor is how long streams are CREATING, UPDATING and DELETING.
	settleFor = 500 * time.Millisecond
	// requestMemory bounds requests and answers under way.
	requestMemory = 64 << 20
)

// Run serves until a signal.
func (c *serveCommand) Run(a *app) error {
	began := time.Now()
	if err := c.check(); err != nil {
		return usageError{err}
	}
	ctx, stop, release := signals(a)
	defer release()
	h, err := c.open(ctx, a, stop)
	if err != nil {
		return err
	}
	verifier, err := c.verifier(ctx, a, h.users)
	if err != nil {
		return errors.Join(err, h.directory.Close())
	}
	return errors.Join(c.serve(ctx, a, h, verifier, stop, began), h.directory.Close())
}

// check refuses flags that contradict each other, and ARNs that clients would not take.
func (c *serveCommand) check() error {
	switch {
	case !kinesis.IsAccount(c.Account):
		return fmt.Errorf("--account: %q is no account; write twelve digits, as in 123456789012", c.Account)
	case !kinesis.IsRegion(c.Region):
		return fmt.Errorf("--region: %q is no region; write one like us-east-1", c.Region)
	case c.ShardQuota < 1:
		return fmt.Errorf("--shard-quota: %d is too small: at least 1 shard must be possible", c.ShardQuota)
	}
	return c.tlsFlags.check()
}

// serve answers until a signal, or until a pipeline fails.
func (c *serveCommand) serve(ctx context.Context, a *app, h *host, v *auth.Verifier, stop <-chan struct{}, began time.Time) (err error) {
	log, err := c.openAudit()
	if err != nil {
		return err
	}
	defer func() {
		if log != nil {
			err = errors.Join(err, log.Close())
		}
	}()
	service, err := c.service(ctx, a, h.directory.Streams(), v, log)
	if err != nil {
		return err
	}
	certificates, err := c.tlsFlags.open(a, c.Data, c.Listen)
	if err != nil {
		return err
	}
	plain, err := door.Listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	listener, scheme := wrapped(plain, certificates)
	names, err := h.directory.Streams().Names(ctx)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	url := scheme + "://" + listener.Addr().String()
	fmt.Fprintf(a.stderr, "serving Kinesis Data Streams on %s after %d ms; region %s, account %s, data in %s, %s, %s; export AWS_ENDPOINT_URL_KINESIS=%s\n",
		url, time.Since(began).Milliseconds(), c.Region, c.Account, c.Data, some(int64(len(names)), "stream"), c.who(v), url)
	return h.run(ctx, stop, a.log, func(stop <-chan struct{}) error {
		return door.Serve(ctx, stop, listener, service, door.Options{Drain: service.EndSubscriptions, Log: a.log})
	})
}

func (c *serveCommand) service(ctx context.Context, a *app, streams *control.Local, v *auth.Verifier, log *audit.Log) (*kinesis.Service, error) {
	settle := settleFor
	if c.Instant {
		settle = 0
	}
	return kinesis.New(ctx, kinesis.Options{
		Streams: streams, Verifier: v, Account: c.Account, Region: c.Region, ShardQuota: c.ShardQuota,
		Settle: settle, Limits: stream.Limits(c.Limits), MasterKey: c.masterKey, Memory: requestMemory, AnyOrigin: c.Insecure, Audit: log, Log: a.log,
	})
}

// masterKey is that of the command line, or a file beside the data directory: who copies the data alone cannot
// read it.
func (c *serveCommand) masterKey() (string, error) {
	return masterKeyOf(c.MasterKey, c.Data)
}

// keyFileBeside is the key file of a data directory that no other key was named for.
func keyFileBeside(data string) (string, error) {
	data, err := filepath.Abs(data)
	return data + ".key", err
}

// masterKeyOf is the key that was named, or the file beside the data directory, which is made if it is not there.
func masterKeyOf(named, data string) (string, error) {
	if named != "" {
		return master.AbsoluteSpec(named), nil
	}
	file, err := keyFileBeside(data)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		if err := needsNoKey(data, file); err != nil {
			return "", err
		}
		if _, err := master.GenerateKeyFile(file); err != nil {
			return "", fmt.Errorf("make a master key: %w", err)
		}
	}
	return "file:" + file, nil
}

// needsNoKey is an error if users have secrets that the key file of the data directory seals: another one in its place
// would open none of them, and stand where the right one is to be put back.
func needsNoKey(data, file string) error {
	list, err := (&users.Store{Data: data}).List()
	if err != nil {
		return err
	}
	for _, u := range list {
		if len(u.Keys) > 0 {
			return fmt.Errorf("the secrets of users are sealed, and key file %s is gone: bring it back, or name the key with --master-key", file)
		}
	}
	return nil
}
