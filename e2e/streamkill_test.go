package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

// The process is killed again and again while eight writers post to it and a reader follows. In
// some of its lives the stream is being resharded. In the end the stream is read and held
// against what the writers were told and the reader has seen.
func TestKilledStreamKeepsWhatItAcknowledged(t *testing.T) {
	const writers = 8
	kills := 100
	if long() {
		kills = 1000
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run %s -args -seed %d", t.Name(), *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	k := newKillLoop(t, writers)

	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for w := range writers {
		mine := rand.New(rand.NewPCG(*seed, uint64(w)+1))
		wait.Go(func() { k.write(ctx, w, mine) })
	}
	started := time.Now()
	var contradictions, reshards, sights int
	for range kills {
		c, resharded := k.live(random)
		contradictions += c
		if resharded {
			reshards++
		}
	}
	elapsed := time.Since(started)
	stop()
	wait.Wait()
	sights = len(k.ledger.sights)

	k.verify() // as the last kill left it
	v := k.read()
	k.verify()
	v.reused += contradictions
	fmt.Printf("%d kills in %.0f s, %d amid resharding, %d records seen before a kill: %v\n", kills, elapsed.Seconds(), reshards, sights, v)
	if !v.good() || sights == 0 {
		t.Errorf("%v; %d records seen before a kill", v, sights)
	}
}

// killLoop is a pipeline that takes posts into a stream, and who writes to it.
type killLoop struct {
	*place
	url    string
	ledger *ledger
}

func newKillLoop(t *testing.T, writers int) *killLoop {
	address, err := rig.FreeAddress()
	must(t, err)
	p := pipeline(t, "kills.yaml", fmt.Sprintf(`version: 1
streams:
  posts: {shards: 2}
sources:
  web: {type: http, listen: "%s", partition_key: w, to: posts}
`, address))
	return &killLoop{place: p, url: "http://" + address + "/", ledger: newLedger(writers)}
}

// write posts until ctx is done. What was not answered is not sent again: it may be in the stream
// or not.
func (k *killLoop) write(ctx context.Context, writer int, random *rand.Rand) {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for ctx.Err() == nil {
		from := len(k.ledger.accounts[writer].notes)
		var body strings.Builder
		for range 1 + random.IntN(4) {
			body.WriteString(k.ledger.send(writer, padding(random)))
			body.WriteByte('\n')
		}
		if post(k.url, body.String()) == http.StatusOK {
			k.ledger.acknowledge(writer, from)
			continue
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
}

// padding makes records of many sizes: most are small, some larger than what is gathered into one
// write.
func padding(random *rand.Rand) string {
	n := random.IntN(200)
	if random.IntN(100) == 0 {
		n = random.IntN(80_000)
	}
	return strings.Repeat(strconv.Itoa(random.IntN(10)), n)
}

// live starts the process, lets it work for a while and kills it. It returns how many records
// a reader saw under a number that another record had before.
func (k *killLoop) live(random *rand.Rand) (contradictions int, resharded bool) {
	k.t.Helper()
	process := k.start()
	before := k.ledger.answered.Load()
	if random.IntN(10) == 0 {
		k.last(process, time.Duration(random.IntN(150))*time.Millisecond) // amid its recovery, perhaps
		k.kill(process)
		return 0, false
	}
	must(k.t, rig.Until(within(k.t, patience), "an answer", func() bool {
		return k.ledger.answered.Load() > before || !process.Running()
	}))
	var seen bytes.Buffer
	others := []*rig.Process{k.stream(&seen, "tail", "posts", "--follow", "--json")}
	k.last(process, time.Duration(50+random.IntN(250))*time.Millisecond)
	if resharded = random.IntN(4) == 0; resharded {
		others = append(others, k.stream(nil, "reshard", "posts", strconv.Itoa(1+random.IntN(4))))
		k.last(process, time.Duration(random.IntN(60))*time.Millisecond)
	}
	// The reader goes first: without the process it would open the directory itself.
	others[0].Kill()
	k.kill(process)
	for _, o := range others {
		o.Kill()
	}
	contradictions, err := k.ledger.saw(seen.Bytes())
	must(k.t, err)
	return contradictions, resharded
}

// last waits until the process is gone or the time is over.
func (k *killLoop) last(process *rig.Process, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-process.Done():
	}
}

func (k *killLoop) kill(process *rig.Process) {
	k.t.Helper()
	if exit := process.Kill(); !exit.Killed {
		k.t.Fatalf("the process ended by itself:\n%s", exit.Stderr)
	}
}

// stream starts `millrace stream` on the data directory.
func (k *killLoop) stream(stdout *bytes.Buffer, args ...string) *rig.Process {
	k.t.Helper()
	c := rig.Command{Path: binary, Args: append(append([]string{"stream"}, args...), "--data", k.data), Env: k.env, Dir: k.dir}
	if stdout != nil {
		c.Stdout = stdout
	}
	process, err := c.Start()
	must(k.t, err)
	return process
}

// verify checks every file of the data directory: a kill may leave the end of a log torn, which is no
// damage.
func (k *killLoop) verify() {
	k.t.Helper()
	if exit := k.other("stream", "verify", "--data", k.data); exit.Code != 0 {
		k.t.Errorf("verify: exit code %d\n%s%s", exit.Code, exit.Stdout, exit.Stderr)
	}
}

// read reads the stream from its beginning.
func (k *killLoop) read() verdict {
	k.t.Helper()
	a := k.ledger.audit()
	process, err := rig.Command{
		Path: binary, Args: []string{"stream", "get", "posts", "--json", "--data", k.data}, Env: k.env, Dir: k.dir, Stdout: a,
	}.Start()
	must(k.t, err)
	exit, err := process.Wait(within(k.t, 5*time.Minute))
	must(k.t, err)
	must(k.t, a.bad)
	if exit.Code != 0 || len(a.partial) > 0 {
		k.t.Fatalf("exit code %d, %d bytes without an end of line\n%s", exit.Code, len(a.partial), exit.Stderr)
	}
	v := a.end()
	for _, f := range a.findings {
		k.t.Error(f)
	}
	return v
}
