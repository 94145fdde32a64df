package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/e2e/rig"
)

// large delivers objects that go in parts.
const large = `version: 1
name: large
streams:
  clicks: {shards: 1, schema: {seq: bigint, user_id: string, url: string, user_agent: string, session_id: string, event_time: timestamp}}
sources:
  events: {type: file, paths: ["${env:EVENTS}"], format: ndjson, partition_key: user_id, to: clicks}
sinks:
  lake:
    type: s3
    from: clicks
    endpoint: ${env:STORE}
    access_key: ${env:AWS_ACCESS_KEY_ID}
    secret_key: ${env:AWS_SECRET_ACCESS_KEY}
    bucket: bench
    prefix: "${env:PREFIX}/"
    format: {type: ndjson, compression: none}
    buffer: {size: 270MiB, age: 1h}
`

// A multipart upload is struck at each of its requests. One of the failures is enough for every day:
// the answer to the completion is lost with the process.
func TestFailureAtEveryRequestOfAnUploadLosesAndDuplicatesNothing(t *testing.T) {
	needStore(t)
	const n = 1_700_000
	file := clicks(t, n)
	var sum tally
	for _, what := range []string{"begin", "part", "complete"} {
		for _, after := range []bool{false, true} {
			for _, kill := range []bool{true, false} {
				if !long() && (what != "complete" || !after || !kill) {
					continue
				}
				t.Run(fmt.Sprintf("%s after %v kill %v", what, after, kill), func(t *testing.T) {
					var p *place
					var process *rig.Process
					started, struck := make(chan struct{}), make(chan struct{})
					judge := func(op rig.Op) error {
						if op.What != what || op.After != after || strings.Contains(op.Name, ".millrace-probe") || isClosed(struck) {
							return nil
						}
						close(struck) // requests of an upload come one after the other
						<-started
						if kill {
							process.Kill()
						}
						return errStruck
					}
					proxy, err := rig.StartProxy(store.Endpoint, judge)
					must(t, err)
					defer proxy.Close()
					p = pipeline(t, "large.yaml", large, "EVENTS="+file, "STORE="+proxy.Endpoint)
					process = p.start()
					close(started)
					exit, err := process.Wait(within(t, patience))
					must(t, err)
					if !isClosed(struck) {
						t.Fatalf("no upload in parts\n%s", exit.Stderr)
					}
					summary, _ := p.run()
					dir := t.TempDir()
					objects, err := store.Download(within(t, patience), "bench", p.prefix+"/", dir)
					must(t, err)
					c := tally{produced: n, acknowledged: summary.Stream("clicks").Records}
					must(t, duck.Row(t.Context(), fmt.Sprintf("SELECT COUNT(*), COUNT(*) - COUNT(DISTINCT seq) FROM read_ndjson('%s/**/*.ndjson', columns={seq: 'BIGINT'}) WHERE seq BETWEEN 0 AND %d", dir, n-1),
						&c.delivered, &c.duplicated))
					c.lost = n - (c.delivered - c.duplicated)
					if c.delivered != n || c.duplicated != 0 || c.acknowledged != n {
						t.Errorf("%v in %d objects", c, len(objects))
					}
					(&proof{place: p}).noUploads()
					sum = sum.plus(c)
				})
			}
		}
	}
	fmt.Printf("uploads in parts: %v\n", sum)
}
