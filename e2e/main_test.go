package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/e2e/rig"
)

// What the tests share. TestMain sets it up and nothing changes it afterwards.
var (
	binary string     // millrace
	store  *rig.MinIO // nil where MinIO is missing, which only a laptop may
	duck   *rig.Duck
	root   string // the repository
	inputs string // a directory for generated events
)

// storeAddress is where the example files expect the store; pipeline puts the real one there.
const storeAddress = "127.0.0.1:19000"

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "millrace-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer duck.Close()
	if store != nil {
		defer store.Stop()
	}
	return m.Run()
}

func prepare(dir string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if root, err = rig.Root(); err != nil {
		return err
	}
	if binary, err = rig.Build(ctx, dir); err != nil {
		return err
	}
	if duck, err = rig.OpenDuck(2); err != nil {
		return err
	}
	if err = severalAtOnce(); err != nil {
		return err
	}
	inputs = filepath.Join(dir, "inputs")
	if err := os.Mkdir(inputs, 0o755); err != nil {
		return err
	}
	// Any address, for another run of the tests may have the usual one: MinIO shares its port.
	address, err := rig.FreeAddress()
	if err != nil {
		return err
	}
	store, err = rig.StartMinIO(ctx, filepath.Join(dir, "minio"), address)
	switch {
	case errors.Is(err, rig.ErrNoMinIO) && os.Getenv("CI") == "":
		fmt.Fprintln(os.Stderr, err, "(tests that need it are skipped)")
		return nil
	case err != nil:
		return err
	}
	return store.Client.MakeBucket(ctx, "bench", minio.MakeBucketOptions{})
}

// long reports whether the long forms are asked for.
func long() bool { return os.Getenv("MILLRACE_PROVE") != "" }

// needStore skips a test where MinIO is missing.
func needStore(t *testing.T) *rig.MinIO {
	t.Helper()
	if store == nil {
		t.Skip(rig.ErrNoMinIO)
	}
	return store
}

// patience is how long a test waits for what must come, on a machine however slow.
const patience = 5 * time.Minute

// within is a context for one step of a test.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("not within %v", d))
	t.Cleanup(cancel)
	return ctx
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clicks is a file of the first n generated click events, made once for all tests.
func clicks(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(inputs, fmt.Sprintf("clicks-%d.ndjson", n))
	clicksOnce.Lock()
	defer clicksOnce.Unlock()
	if _, err := os.Stat(path); err != nil {
		must(t, rig.WriteClicks(path, n))
	}
	return path
}

var clicksOnce sync.Mutex

// place is where a pipeline runs: its file, its data directory and its environment.
type place struct {
	t      *testing.T
	dir    string // the working directory
	file   string
	data   string
	prefix string // of the objects in the bucket
	env    []string
	binary string // when not the usual one
}

// example is a place for a file of pipelines/examples, unchanged.
func example(t *testing.T, name string, env ...string) *place {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "pipelines", "examples", name))
	must(t, err)
	return pipeline(t, name, string(text), env...)
}

// pipeline is a place for the text of a pipeline file.
func pipeline(t *testing.T, name, text string, env ...string) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{t: t, dir: dir, file: filepath.Join(dir, name), data: filepath.Join(dir, "data")}
	// Random, so that tests can be repeated on the same store.
	p.prefix = fmt.Sprintf("%s-%08x", strings.ReplaceAll(t.Name(), "/", "-"), rand.Uint32())
	p.env = append(env, "PREFIX="+p.prefix)
	if store != nil {
		text = strings.ReplaceAll(text, "http://"+storeAddress, store.Endpoint)
		p.env = append(store.Env(), p.env...)
	}
	must(t, os.WriteFile(p.file, []byte(text), 0o644))
	return p
}

// start runs `millrace run` and returns at once.
func (p *place) start(args ...string) *rig.Process {
	p.t.Helper()
	process, err := rig.Command{
		Path: cmp.Or(p.binary, binary),
		Args: append([]string{"run", p.file, "--data", p.data, "--json"}, args...),
		Env:  p.env,
		Dir:  p.dir,
	}.Start()
	must(p.t, err)
	p.t.Cleanup(func() { process.Kill() })
	return process
}

// run runs the pipeline to its end and returns its summary.
func (p *place) run(args ...string) (rig.Summary, rig.Exit) {
	p.t.Helper()
	return p.finish(p.start(args...))
}

// finish waits for a process that is to end by itself with exit code 0.
func (p *place) finish(process *rig.Process) (rig.Summary, rig.Exit) {
	p.t.Helper()
	exit, err := process.Wait(within(p.t, patience))
	must(p.t, err)
	if exit.Code != 0 {
		p.t.Fatalf("exit code %d\n%s", exit.Code, exit.Stderr)
	}
	summary, err := exit.Summary()
	must(p.t, err)
	balanced(p.t, summary)
	return summary, exit
}

// balanced wants every row of a run accounted for.
func balanced(t *testing.T, summary rig.Summary) {
	t.Helper()
	for _, problem := range summary.Unbalanced() {
		t.Error(problem)
	}
}

// other runs another command of the binary and returns how it ended.
func (p *place) other(args ...string) rig.Exit {
	p.t.Helper()
	process, err := rig.Command{Path: binary, Args: args, Env: p.env, Dir: p.dir}.Start()
	must(p.t, err)
	exit, err := process.Wait(within(p.t, patience))
	must(p.t, err)
	return exit
}

// status asks a running process for its status, which has the shape of a summary; zero without an answer.
func status(admin string) (s rig.Summary) {
	resp, err := http.Get("http://" + admin + "/api/v1/status")
	if err != nil {
		return s
	}
	defer resp.Body.Close()
	if json.NewDecoder(resp.Body).Decode(&s) != nil {
		return rig.Summary{}
	}
	return s
}

// delivered downloads everything under the place's prefix and returns a DuckDB table function
// that reads it, or "" when there is nothing.
func (p *place) delivered() (table string, objects []rig.Downloaded) {
	p.t.Helper()
	dir := p.t.TempDir()
	objects, err := store.Download(within(p.t, patience), "bench", p.prefix+"/", dir)
	must(p.t, err)
	if len(objects) == 0 {
		return "", nil
	}
	return fmt.Sprintf("read_parquet('%s/**/*.parquet', hive_partitioning=false)", dir), objects
}

// number is the answer to a query that gives one.
func number(t *testing.T, format string, args ...any) (n int64) {
	t.Helper()
	must(t, duck.Row(t.Context(), fmt.Sprintf(format, args...), &n))
	return n
}
