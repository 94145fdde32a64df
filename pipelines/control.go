package pipelines

import (
	"context"
	"errors"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
	"github.com/millrace-io/millrace/engine/vfs"
)

// A `millrace stream` command that has the data directory is done soon.
const (
	lockPatience = 3 * time.Second
	lockEvery    = 50 * time.Millisecond
)

// openData opens the data directory. A process that has it and serves others, as pipelines do,
// is not waited for.
func openData(ctx context.Context, o Options) (*disk.Backend, error) {
	files := o.FS
	if files == nil {
		files = vfs.OS{}
	}
	timeout := time.NewTimer(lockPatience)
	defer timeout.Stop()
	for {
		var b *disk.Backend
		err := untilRoom(ctx, o, func() (err error) {
			b, err = disk.Open(files, o.Data, disk.Options{Now: o.Now, Log: o.Log, Keys: Keyring})
			return err
		})
		var locked *disk.LockedError
		if !errors.As(err, &locked) {
			return b, err
		}
		if client, dialed := control.Dial(ctx, o.Data); dialed == nil {
			return nil, errors.Join(err, client.Close())
		}
		retry := time.NewTimer(lockEvery)
		select {
		case <-retry.C:
		case <-timeout.C:
			retry.Stop()
			return nil, err
		case <-ctx.Done():
			retry.Stop()
			return nil, ctx.Err()
		}
	}
}

// Keyring is what a process opens data directories with, so that it can read and write streams that
// are encrypted: the key names a master key as docs/encryption.md has it.
func Keyring(stream, key string) (seal.Keyring, error) {
	return master.Ring(stream, key, master.Options{})
}
