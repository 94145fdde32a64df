package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

// bidLake is q10 of NEXMark into a store: the log of bids as objects of each day and minute. The events
// are those of pipelines/examples/nexmark.yaml, which cross midnight.
const bidLake = `version: 1
name: nexmark
memory: 64MiB
streams:
  events:
    shards: 2
    schema:
      event_type: int
      dateTime: timestamp
      bid: {auction: bigint, bidder: bigint, price: bigint, channel: string, url: string, dateTime: timestamp, extra: string}
    event_time: dateTime
    watermark: 4s
sources:
  auction_house: {type: generate, kind: nexmark, seed: 1, count: "${env:COUNT}", start: 2026-01-01T23:50:00Z, interval: 10ms, out_of_order: 100, to: events}
transforms:
  bid_events: {type: filter, from: events, where: "event_type = 2"}
  bids: {type: select, from: bid_events, columns: [bid.auction, bid.bidder, bid.price, bid.channel, bid.url, dateTime, bid.extra]}
sinks:
  q10:
    type: s3
    from: bids
    endpoint: ${env:STORE}
    access_key: ${env:AWS_ACCESS_KEY_ID}
    secret_key: ${env:AWS_SECRET_ACCESS_KEY}
    bucket: bench
    prefix: "${env:PREFIX}/"
    partition_by: ["FORMAT_TIMESTAMP(dateTime, '%Y-%m-%d') AS dt", "FORMAT_TIMESTAMP(dateTime, '%H:%M') AS hm"]
    format: parquet
    buffer: {size: 1MiB, age: 1h}
`

// bidEvents is how many events bidLake makes, and bidCount how many of them are bids.
const bidEvents, bidCount = 120_000, bidEvents / 50 * 46

func bidPlace(t *testing.T, endpoint string) *place {
	t.Helper()
	return pipeline(t, "nexmark.yaml", bidLake, "STORE="+endpoint, fmt.Sprint("COUNT=", bidEvents))
}

// sameBids holds the objects against the bids that were made: every one once, below the day and the minute
// of its time, in no object that is empty.
func (p *place) sameBids(summary rig.Summary) {
	p.t.Helper()
	dir := p.t.TempDir()
	raw := filepath.Join(dir, "raw.ndjson")
	must(p.t, rig.WriteNexmark(p.t.Context(), raw, bidEvents, 10*time.Millisecond))
	objects, err := store.Download(within(p.t, patience), "bench", p.prefix+"/", filepath.Join(dir, "objects"))
	must(p.t, err)
	sameObjects(p.t, summary.Task("q10"), objects)
	q := &proof{place: p}
	got := q.table(fmt.Sprintf(`(SELECT auction, bidder, price, channel, url, make_timestamp(epoch_us(dateTime)) AS dateTime, extra, dt::VARCHAR AS dt, hm::VARCHAR AS hm, filename
		FROM read_parquet('%s/objects/**/*.parquet', hive_partitioning = true, hive_types = {dt: VARCHAR, hm: VARCHAR}, filename = true))`, dir))
	want := q.table(fmt.Sprintf("(SELECT *, strftime(dateTime, '%%Y-%%m-%%d') AS dt, strftime(dateTime, '%%H:%%M') AS hm FROM %s)", rig.NexmarkBids(raw)))
	const columns = "auction, bidder, price, channel, url, dateTime, extra, dt, hm"
	for _, pair := range [][2]string{{want, got}, {got, want}} {
		lines, err := duck.Lines(p.t.Context(), fmt.Sprintf("FROM (SELECT %s FROM %s EXCEPT ALL SELECT %s FROM %s) LIMIT 3", columns, pair[0], columns, pair[1]))
		must(p.t, err)
		if len(lines) > 0 {
			p.t.Errorf("rows of %s that %s has not, or not as often, among them\n%s", pair[0], pair[1], strings.Join(lines, "\n"))
		}
	}
	if n := number(p.t, "SELECT COUNT(*) FROM %s", got); n != bidCount {
		p.t.Errorf("%d bids are delivered, want %d", n, bidCount)
	}
	if n := number(p.t, "SELECT COUNT(DISTINCT filename) FROM %s", got); n != int64(len(objects)) {
		p.t.Errorf("%d of %d objects have rows", n, len(objects))
	}
	minutes := number(p.t, "SELECT COUNT(DISTINCT (dt, hm)) FROM %s", want)
	if days := number(p.t, "SELECT COUNT(DISTINCT dt) FROM %s", got); days != 2 || minutes != 20 {
		p.t.Errorf("bids of %d days and %d minutes, want 2 and 20", days, minutes)
	}
	q.noUploads()
	p.t.Logf("%d bids in %d objects of %d minutes", bidCount, len(objects), minutes)
}

func TestNexmarkBidsArePartitionedByTheirMinute(t *testing.T) {
	p := bidPlace(t, needStore(t).Endpoint)
	summary, _ := p.run()
	if q10 := summary.Task("q10"); q10.In() != bidEvents || q10.Total.Passed != bidCount || q10.Filtered() != bidEvents-bidCount {
		t.Errorf("ledger %+v", q10.Steps)
	}
	p.sameBids(summary)
}

// The process is killed three times: when an object is in the store and the program does not know, when it is about to put one,
// and when the fourth object of a chunk is there. Each life puts on from where the last one was.
func TestNexmarkBidsAreDeliveredOnceThroughKills(t *testing.T) {
	needStore(t)
	strikes := []struct {
		after bool
		nth   int64
	}{{true, 2}, {false, 1}, {true, 4}}
	var process *rig.Process
	var life atomic.Int64
	// By life: a request of one that was killed may still be on its way.
	puts := make([]atomic.Int64, len(strikes))
	started := make([]chan struct{}, len(strikes))
	for i := range started {
		started[i] = make(chan struct{})
	}
	proxy, err := rig.StartProxy(store.Endpoint, func(op rig.Op) error {
		n := int(life.Load())
		if n >= len(strikes) || op.What != "PUT" || strings.Contains(op.Name, ".millrace-probe") || op.After != strikes[n].after || puts[n].Add(1) != strikes[n].nth {
			return nil
		}
		<-started[n]
		process.Kill()
		return errStruck
	})
	must(t, err)
	defer proxy.Close()
	p := bidPlace(t, proxy.Endpoint)
	for i := range strikes {
		life.Store(int64(i))
		process = p.start()
		close(started[i])
		exit, err := process.Wait(within(t, patience))
		must(t, err)
		if !exit.Killed {
			t.Fatalf("life %d was not killed: exit code %d\n%s", i, exit.Code, exit.Stderr)
		}
	}
	life.Store(int64(len(strikes)))
	if stored, err := store.List(t.Context(), "bench", p.prefix+"/"); err != nil || len(stored) < 2 {
		t.Fatalf("%d objects before the last life, want some: %v", len(stored), err)
	}
	summary, _ := p.run()
	q10 := summary.Task("q10")
	if q10.In() != bidEvents || q10.Total.Passed != bidCount || q10.Run.In == 0 {
		t.Errorf("ledger %+v, of the last life %+v", q10.Steps, q10.Run)
	}
	p.sameBids(summary)
}
