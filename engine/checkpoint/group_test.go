package checkpoint_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/stream"
)

func TestTableThatCannotBeReadStopsTheWorkerAndIsLeftAlone(t *testing.T) {
	for name, c := range map[string]struct{ key, value, want string }{
		"another version": {"shardId-000000000001", `{"version":2,"leader":"x"}`, "version 2; this program reads version 1"},
		"not JSON":        {"shardId-000000000001", `{"version":1,`, "unexpected EOF"},
		"not a lease":     {"shardId-000000000001", `{"version":1,"counter":1,"fence":0,"owner":"x","position":0}`, "under no fence"},
		"another group":   {"group", `{"version":7}`, "version 7"},
		"another key":     {"leader", `{"version":1}`, `"leader" is no shard`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, m := groupOf(t, 2), newMeta()
				g.meta = m
				g.join("a", idle).leave()
				key := "leases/events/1/lake/" + c.key
				m.docs[key] = []byte(c.value)
				m.revs[key]++
				revision := m.revs[key]
				err := g.join("b", idle).wait()
				var table *checkpoint.LeaseTableError
				if !errors.As(err, &table) || table.Key != key || !strings.Contains(err.Error(), c.want) {
					t.Errorf("run: %v", err)
				}
				if m.revs[key] != revision {
					t.Error("the document was overwritten")
				}
			})
		})
	}
}

func TestMissingGroupDocumentIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, m := groupOf(t, 2), newMeta()
		g.meta = m
		g.join("a", idle).leave()
		delete(m.docs, "leases/events/1/lake/group")
		delete(m.revs, "leases/events/1/lake/group")
		if err := g.join("b", idle).wait(); err == nil || !strings.Contains(err.Error(), "missing") {
			t.Errorf("run: %v", err)
		}
	})
}

func TestVacatedLeasesAreTakenAtOnceUnderAHigherFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 3)
		leases := make(chan *checkpoint.Lease, 3)
		g.join("a", func(ctx context.Context, l *checkpoint.Lease) error {
			leases <- l
			<-ctx.Done()
			return nil
		}).die()
		zombie := <-leases
		n, err := checkpoint.Vacate(t.Context(), g.meta)
		if err != nil || n != 3 {
			t.Fatalf("vacated %d: %v", n, err)
		}
		if l := g.lease(zombie.Shard()); l.Owner != "" || l.Fence <= zombie.Fence() {
			t.Errorf("vacated: %+v after fence %d", l, zombie.Fence())
		}
		b := g.join("b", idle)
		synctest.Wait()
		if got := len(b.held()); got != 3 {
			t.Errorf("the new owner holds %d", got)
		}
		if l := g.lease(zombie.Shard()); l.Fence <= zombie.Fence() {
			t.Errorf("fence %d after %d", l.Fence, zombie.Fence())
		}
	})
}

func TestGroupsDoNotKnowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 2)
		a := g.join("a", idle)
		b := g.join("a", idle, func(c *checkpoint.LeaseConfig) { c.Group = "other" })
		c := g.join("a", idle, func(c *checkpoint.LeaseConfig) { c.Incarnation = "2" })
		pass(3 * expiry)
		if got := spread([]*running{a, b, c}); !slices.Equal(got, []int{2, 2, 2}) {
			t.Errorf("they hold %v", got)
		}
		groups, err := checkpoint.Groups(t.Context(), g.meta, "events", "1")
		if err != nil || !slices.Equal(groups, []string{"lake", "other"}) {
			t.Errorf("groups %v, %v", groups, err)
		}
		b.leave()
		if err := checkpoint.RemoveGroup(t.Context(), g.meta, "events", "1", "other"); err != nil {
			t.Fatal(err)
		}
		if groups, _ := checkpoint.Groups(t.Context(), g.meta, "events", "1"); !slices.Equal(groups, []string{"lake"}) {
			t.Errorf("groups left: %v", groups)
		}
		if _, err := checkpoint.ReadLeases(t.Context(), g.meta, "events", "1", "other"); !errors.Is(err, stream.ErrNotFound) {
			t.Errorf("reading the removed group: %v", err)
		}
	})
}
