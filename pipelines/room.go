package pipelines

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/vfs"
)

// untilRoom does something that can be done again, as long as a disk is full and nobody asks to stop. It says so once.
func untilRoom(ctx context.Context, o Options, do func() error) error {
	wait := flow.NewBackOff()
	for told := false; ; told = true {
		err := do()
		if !vfs.IsFull(err) {
			if told && err == nil {
				o.Log.Info("there is room on the disk again")
			}
			return err
		}
		if !told {
			o.Log.Warn(flow.WaitingForRoom(err).Error())
		}
		timer := time.NewTimer(wait.NextBackOff())
		select {
		case <-timer.C:
			continue
		case <-o.Stop:
			err = fmt.Errorf("stopped while the disk was full: %w", err)
		case <-ctx.Done():
			err = ctx.Err()
		}
		timer.Stop()
		return err
	}
}
