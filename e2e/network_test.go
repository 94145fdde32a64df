package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/e2e/rig"
)

// losses makes answers get lost whose requests were applied, and counts the objects that were put
// more than once.
type losses struct {
	mu sync.Mutex
	// harm is the toxic that meets an answer, whose name is "harm"; none if empty.
	harm   string
	toxic  *rig.Toxic
	harmed string // the key whose answer is on its way
	puts   map[string]int
}

// every so many objects, an answer is lost.
const every = 15

func (l *losses) judge(op rig.Op) error {
	if op.What != "PUT" || strings.Contains(op.Name, ".millrace-probe") {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !op.After {
		if l.harmed == op.Name {
			l.harmed = ""
			return l.toxic.Heal("harm")
		}
		return nil
	}
	l.puts[op.Name]++
	if l.harm == "" || l.harmed != "" || l.puts[op.Name] > 1 || len(l.puts)%every != 0 {
		return nil
	}
	l.harmed = op.Name
	return l.toxic.Harm(l.harm)
}

// again is how many objects were put more than once.
func (l *losses) again() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, times := range l.puts {
		if times > 1 {
			n++
		}
	}
	return n
}

// A request whose answer is lost was applied all the same, and is sent again: the classical maker of
// duplicates. Some connections are harmed from their beginnings, and all of them each time that some
// more objects were created, until one of these is sent again.
func TestBadNetworkLosesAndDuplicatesNothing(t *testing.T) {
	needStore(t)
	var sum tally
	for _, c := range []struct {
		name   string
		toxics []string
		harm   string // to an answer
	}{
		{"answers cut after some bytes", []string{`{"type":"limit_data","stream":"downstream","toxicity":0.5,"attributes":{"bytes":2500}}`},
			`{"name":"harm","type":"limit_data","stream":"downstream","attributes":{"bytes":100}}`},
		{"connections reset", []string{`{"type":"reset_peer","stream":"downstream","toxicity":0.5,"attributes":{"timeout":120}}`},
			`{"name":"harm","type":"reset_peer","stream":"downstream","attributes":{"timeout":20}}`},
		{"answers that never come", []string{`{"type":"timeout","stream":"downstream","toxicity":0.3,"attributes":{"timeout":400}}`},
			`{"name":"harm","type":"timeout","stream":"downstream","attributes":{"timeout":200}}`},
		{"slow store", []string{`{"type":"latency","stream":"downstream","attributes":{"latency":60,"jitter":50}}`}, ""},
		{"narrow network", []string{`{"type":"bandwidth","stream":"upstream","attributes":{"rate":300}}`, `{"type":"slicer","stream":"upstream","attributes":{"average_size":1000,"size_variation":500,"delay":100}}`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &losses{puts: map[string]int{}, harm: c.harm}
			proxy, err := rig.StartProxy(store.Endpoint, l.judge)
			must(t, err)
			defer proxy.Close()
			l.toxic, err = rig.StartToxic(proxy.Endpoint, c.toxics...)
			must(t, err)
			defer l.toxic.Close()
			p := prove(t, 10_000, form{store: l.toxic.Endpoint})
			summary, exit := p.run()
			got := p.verify(summary)
			t.Logf("%v, %d of %d objects put more than once", exit.Elapsed, l.again(), len(l.puts))
			if c.harm != "" && l.again() == 0 {
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
		must(t, rig.Until(within(t, patience), "the late request", func() bool { return isClosed(landed) }))
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
			must(t, rig.Until(within(t, patience), "the guarantee in status", func() bool {
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
