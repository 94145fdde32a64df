package sqltest

import (
	"sync"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
)

// addTogether adds rows from as many goroutines as there are adders. A shard is one goroutine's, but another
// one's the next time.
func (r *runner) addTogether(parts []pending) error {
	if err := r.restart(); err != nil {
		return err
	}
	r.turn++
	lanes := make([][]*column.Batch, len(r.adders))
	for _, p := range parts {
		b, err := r.batch(p.of, p.shard, p.rows)
		if err != nil {
			return err
		}
		i := (int(p.shard) + r.turn) % len(lanes)
		lanes[i] = append(lanes[i], b)
	}
	taken, errs := make([][]sql.Taken, len(lanes)), make([]error, len(lanes))
	var wg sync.WaitGroup
	for i, batches := range lanes {
		wg.Go(func() {
			for _, b := range batches {
				t, err := r.adders[i].Add(b)
				if err != nil {
					errs[i] = err
					return
				}
				taken[i] = append(taken[i], t)
			}
		})
	}
	wg.Wait()
	for i, batches := range lanes {
		if errs[i] != nil {
			return errs[i]
		}
		for k, t := range taken[i] {
			if err := r.account(t, batches[k]); err != nil {
				return err
			}
		}
	}
	return nil
}
