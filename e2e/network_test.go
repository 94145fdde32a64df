package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/e2e/rig"
)

// repeats counts the requests that were applied, by key.
type repeats struct {
	mu   sync.Mutex
	puts map[string]int
}

func (r *repeats) judge(op rig.Op) error {
	if op.What == "PUT" && op.After && !strings.Contains(op.Name, ".millrace-probe") {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.puts[op.Name]++
	}
	return nil
}

// again is how many objects were put more than once.
func (r *repeats) again() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, times := range r.puts {
		if times > 1 {
			n++
		}
	}
	return n
}

// A request whose answer is lost was applied all the same, and is sent again: the classical maker of
// duplicates. Connections are harmed each by itself, so that some of them work.
func TestBadNetworkLosesAndDuplicatesNothing(t *testing.T) {
	needStore(t)
	var sum tally
	for _, c := range []struct {
		name   string
		toxics []string
		cuts   bool // answers
	}{
		{"answers cut after some bytes", []string{`{"type":"limit_data","stream":"downstream","toxicity":0.7,"attributes":{"bytes":2500}}`}, true},
		{"connections reset", []string{`{"type":"reset_peer","stream":"downstream","toxicity":0.7,"attributes":{"timeout":120}}`}, true},
		{"answers that never come", []string{`{"type":"timeout","stream":"downstream","toxicity":0.3,"attributes":{"timeout":400}}`}, true},
		{"slow store", []string{`{"type":"latency","stream":"downstream","attributes":{"latency":60,"jitter":50}}`}, false},
		{"narrow network", []string{`{"type":"bandwidth","stream":"upstream","attributes":{"rate":300}}`, `{"type":"slicer","stream":"upstream","attributes":{"average_size":1000,"size_variation":500,"delay":100}}`}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &repeats{puts: map[string]int{}}
			proxy, err := rig.StartProxy(store.Endpoint, r.judge)
			must(t, err)
			defer proxy.Close()
			toxic, err := rig.StartToxic(proxy.Endpoint, c.toxics...)
			must(t, err)
			defer toxic.Close()
			p := prove(t, 10_000, form{store: toxic.Endpoint})
			summary, exit := p.run()
			got := p.verify(summary)
			t.Logf("%v, %d of %d objects put more than once", exit.Elapsed, r.again(), len(r.puts))
			if c.cuts && r.again() == 0 {
				t.Error("no answer was lost after its request was applied")
			}
			sum = sum.plus(got)
		})
	}
	fmt.Printf("bad networks: %v\n", sum)
}

// The process is killed while a request of its is still under way. It arrives when the successor is
// just about to create the same object, or long after.
func TestRequestOfADeadProcessChangesNothing(t *testing.T) {
	needStore(t)
	var sum tally
	for _, late := range []bool{false, true} {
		t.Run(map[bool]string{false: "just before the successor's", true: "after the end"}[late], func(t *testing.T) {
			sum = sum.plus(zombie(t, late))
		})
	}
	fmt.Printf("requests of dead processes: %v\n", sum)
}

func zombie(t *testing.T, late bool) tally {
	t.Helper()
	var mu sync.Mutex // guards key and again
	key, again := "", false
	caught, release, landed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var p *proof
	judge := func(op rig.Op) error {
		if !putBelow("lake")(p, op) {
			return nil
		}
		mu.Lock()
		first := key == "" && !op.After
		if first {
			key = op.Name
		}
		same, repeated := op.Name == key, again
		if same && !first && !op.After {
			again = true
		}
		mu.Unlock()
		switch {
		case first:
			close(caught)
			<-release
		case same && !op.After && !repeated && !late:
			close(release)
			<-landed
		case same && op.After:
			select {
			case <-landed:
			default:
				if isClosed(release) {
					close(landed)
				}
			}
		}
		return nil
	}
	proxy, err := rig.StartProxy(store.Endpoint, judge)
	must(t, err)
	defer proxy.Close()
	p = prove(t, 10_000, form{store: proxy.Endpoint})
	process := p.start()
	select {
	case <-caught:
	case <-process.Done():
		t.Fatal("it put nothing")
	}
	process.Kill()

	summary, _ := p.run()
	stat := func() minio.ObjectInfo {
		info, err := store.Client.StatObject(t.Context(), "bench", key, minio.StatObjectOptions{})
		must(t, err)
		return info
	}
	before := stat()
	if late {
		close(release)
		must(t, rig.Until(within(t, 10*time.Second), "the late request", func() bool { return isClosed(landed) }))
	}
	if after := stat(); after.ETag != before.ETag || !after.LastModified.Equal(before.LastModified) {
		t.Errorf("%s was replaced: %v, %v", key, before, after)
	}
	return p.verify(summary)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A store that ignores conditions is one in which an object is gone at the moment when it is created
// again. The program says what that means, and a restart finds its own objects all the same.
func TestStoreThatIgnoresConditionsIsAnnounced(t *testing.T) {
	needStore(t)
	var sum tally
	for ignored, promise := range map[string]string{
		"PUT":      "AT LEAST ONCE: the store ignores If-None-Match",
		"complete": "exactly once: objects are created with If-None-Match, in one request each because the store ignores it on CompleteMultipartUpload",
	} {
		t.Run(ignored, func(t *testing.T) {
			w := &witness{first: make(chan struct{})}
			judge := func(op rig.Op) error {
				if op.What == ignored && !op.After {
					return store.Client.RemoveObject(t.Context(), "bench", op.Name, minio.RemoveObjectOptions{})
				}
				return w.judge(op)
			}
			proxy, err := rig.StartProxy(store.Endpoint, judge)
			must(t, err)
			defer proxy.Close()
			p := prove(t, 20_000, form{store: proxy.Endpoint})
			p.promise = promise
			for range 3 {
				first := w.begin()
				process := p.start()
				select {
				case <-first:
				case <-process.Done():
				}
				process.Kill()
			}
			admin, err := rig.FreeAddress()
			must(t, err)
			process := p.start("--admin", admin)
			var said string
			must(t, rig.Until(within(t, time.Minute), "the guarantee in status", func() bool {
				said = status(admin).Task("lake").Guarantee
				return strings.HasPrefix(said, promise) || !process.Running()
			}))
			summary, exit := p.finish(process)
			if warned := strings.Contains(exit.Stderr, "AT LEAST ONCE"); warned != (ignored == "PUT") {
				t.Errorf("warned: %v, status: %q\n%s", warned, said, exit.Stderr)
			}
			sum = sum.plus(p.verify(summary))
		})
	}
	fmt.Printf("stores that ignore conditions: %v\n", sum)
}

// The same rows give the same multiset, whatever the shards, tasks, sizes of chunks and kills.
func TestShardsTasksChunksAndKillsChangeNothing(t *testing.T) {
	needStore(t)
	random := seeded(t)
	n := 20_000
	if long() {
		n = 200_000
	}
	var sum tally
	kills := 0
	for _, shards := range []int{1, 2, 7} {
		for _, tasks := range []int{1, 3} {
			for size, killed := range map[string]int{"64KiB": 2, "4MiB": 0} {
				t.Run(fmt.Sprintf("%d shards %d tasks %s", shards, tasks, size), func(t *testing.T) {
					hits, c := killedInForm(t, random, n, killed, form{shards: shards, tasks: tasks, size: size})
					kills += hits
					sum = sum.plus(c)
				})
			}
		}
	}
	fmt.Printf("12 forms, %d kills: %v\n", kills, sum)
}
