package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/e2e/rig"
)

const faultEvents = 50_000

// ready asks a running process whether it is; the body names what is not.
func ready(admin string) (status int, body string) {
	resp, err := http.Get("http://" + admin + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// notReady waits until the process says that the sink called lake is at fault, with these words,
// and until standard error names them too.
func notReady(t *testing.T, process *rig.Process, admin string, words ...string) {
	t.Helper()
	words = append(words, "lake")
	var status int
	var body string
	err := rig.Until(within(t, patience), "/readyz to name the sink", func() bool {
		status, body = ready(admin)
		return status == http.StatusServiceUnavailable && containsAll(body, words)
	})
	if err == nil {
		err = rig.Until(within(t, patience), "standard error to name the sink", func() bool {
			return containsAll(process.Stderr(), words)
		})
	}
	if err != nil {
		t.Fatalf("%v: %q\n/readyz: %d %s\nstderr: %s", err, words, status, body, process.Stderr())
	}
	if !process.Running() {
		t.Fatalf("the process gave up:\n%s", process.Stderr())
	}
}

// faultyPlace is the first example with something in its text replaced.
func faultyPlace(t *testing.T, env []string, replace ...string) (p *place, file, admin string) {
	t.Helper()
	file = clicks(t, faultEvents)
	text, err := os.ReadFile(filepath.Join(root, "pipelines", "examples", "clicks_to_s3.yaml"))
	must(t, err)
	p = pipeline(t, "faulty.yaml", strings.NewReplacer(replace...).Replace(string(text)), append([]string{"EVENTS=" + file}, env...)...)
	admin, err = rig.FreeAddress()
	must(t, err)
	return p, file, admin
}

// everythingIn checks that a bucket holds exactly the events.
func everythingIn(t *testing.T, m *rig.MinIO, bucket, prefix, file string) {
	t.Helper()
	dir := t.TempDir()
	_, err := m.Download(within(t, patience), bucket, prefix+"/", dir)
	must(t, err)
	sameEvents(t, file, fmt.Sprintf("read_parquet('%s/**/*.parquet', hive_partitioning=false)", dir))
}

func TestMissingBucketIsNamedAndWaitedFor(t *testing.T) {
	m := needStore(t)
	p, file, admin := faultyPlace(t, nil, "bucket: bench", "bucket: late-bucket")
	process := p.start("--admin", admin)
	notReady(t, process, admin, "late-bucket", "does not exist")

	must(t, m.Client.MakeBucket(t.Context(), "late-bucket", minio.MakeBucketOptions{}))
	p.finish(process)
	everythingIn(t, m, "late-bucket", p.prefix, file)
}

func TestWrongCredentialsAreNamedAndNothingIsLost(t *testing.T) {
	m := needStore(t)
	p, file, admin := faultyPlace(t, []string{"AWS_SECRET_ACCESS_KEY=not-the-secret"})
	process := p.start("--admin", admin)
	notReady(t, process, admin, "secret_key")
	if strings.Contains(process.Stderr(), "not-the-secret") {
		t.Error("standard error shows the secret")
	}
	process.Terminate()
	if summary, _ := p.finish(process); summary.Result != "stopped" {
		t.Errorf("result %q, want stopped", summary.Result)
	}

	p.env = append(p.env, m.Env()...)
	p.run()
	everythingIn(t, m, "bench", p.prefix, file)
}

func TestUnreachableEndpointIsWaitedFor(t *testing.T) {
	needStore(t)
	address, err := rig.FreeAddress()
	must(t, err)
	p, file, admin := faultyPlace(t, nil, "http://"+storeAddress, "http://"+address)
	process := p.start("--admin", admin)
	notReady(t, process, admin, address)

	late, err := rig.StartMinIO(within(t, patience), t.TempDir(), address)
	must(t, err)
	defer late.Stop()
	must(t, late.Client.MakeBucket(t.Context(), "bench", minio.MakeBucketOptions{}))
	p.finish(process)
	everythingIn(t, late, "bench", p.prefix, file)
}

// The store goes away in the middle of a delivery and comes back.
func TestStoreOutageDelaysAndLosesNothing(t *testing.T) {
	needStore(t)
	address, err := rig.FreeAddress()
	must(t, err)
	dir := t.TempDir()
	own, err := rig.StartMinIO(within(t, patience), dir, address)
	must(t, err)
	must(t, own.Client.MakeBucket(t.Context(), "bench", minio.MakeBucketOptions{}))
	file := clicks(t, 400_000)
	out := filepath.Join(t.TempDir(), "revenue.ndjson")
	p := pipeline(t, "impatient.yaml", strings.ReplaceAll(impatient, "http://"+storeAddress, own.Endpoint), "EVENTS="+file, "OUT="+out)
	admin, err := rig.FreeAddress()
	must(t, err)
	process := p.start("--admin", admin)
	must(t, rig.Until(within(t, patience), "the first object", func() bool {
		objects, err := own.List(t.Context(), "bench", p.prefix+"/")
		must(t, err)
		return len(objects) > 0
	}))
	own.Stop()
	notReady(t, process, admin, address)

	back, err := rig.StartMinIO(within(t, patience), dir, address)
	must(t, err)
	defer back.Stop()
	p.finish(process)
	everythingIn(t, back, "bench", p.prefix, file)
	sameRevenue(t, file, out)
}

func TestSecondProcessNamesTheFirst(t *testing.T) {
	p := pipeline(t, "ticks.yaml", `version: 1
streams:
  ticks: {shards: 1, schema: {n: bigint}}
sources:
  web: {type: http, listen: "127.0.0.1:0", to: ticks}
sinks:
  out: {type: file, from: ticks, path: out.ndjson, format: ndjson}
`)
	admin, err := rig.FreeAddress()
	must(t, err)
	first := p.start("--admin", admin)
	must(t, rig.Until(within(t, patience), "the first process to be ready", func() bool {
		status, _ := ready(admin)
		return status == http.StatusOK || !first.Running()
	}))
	second, err := p.start().Wait(within(t, patience))
	must(t, err)
	if second.Code != 1 || !strings.Contains(second.Stderr, fmt.Sprint(first.Pid())) {
		t.Errorf("the second process: exit code %d, want 1 and process %d named:\n%s", second.Code, first.Pid(), second.Stderr)
	}
	first.Terminate()
	p.finish(first)
}
