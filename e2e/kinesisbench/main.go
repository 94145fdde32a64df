// Command kinesisbench measures `millrace serve` with the bodies that SDKs send, beside other servers that the same
// client asks in the same run: kinesalite in memory, where e2e/clients/node.sh has installed it, and one that answers
// GetRecords with a body that it has ready. PutRecords has 500 records of 1 KiB over a few connections, and each of
// Millrace's answers is durable; then the same records are read by GetRecords; then a reader at the tip is timed.
//
// The invariant to remember: every answer is checked for its status and the number of records in it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

const recordSize = 1024

type bench struct {
	ctx         context.Context
	dir         string
	connections int
	records     int
	calls       int
	rounds      int
	tail        int
	table       *tabwriter.Writer
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == cannedJob {
		fail(canned(os.Args[2:]))
		return
	}
	b := &bench{table: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	flag.IntVar(&b.connections, "connections", 4, "how many put at once")
	flag.IntVar(&b.records, "records", 500, "in one PutRecords")
	flag.IntVar(&b.calls, "calls", 525, "PutRecords of each connection; 525 of four are 1 GiB")
	flag.IntVar(&b.rounds, "rounds", 3, "how often GetRecords is measured beside the canned answer")
	flag.IntVar(&b.tail, "tail", 300, "records that a reader at the tip is timed with")
	data := flag.String("data", "", "directory for the server's data; a temporary one by default")
	flag.Parse()
	fail(b.main(*data))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "kinesisbench:", err)
		os.Exit(1)
	}
}

func (b *bench) main(data string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b.ctx = ctx
	dir, err := os.MkdirTemp(data, "kinesisbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	fmt.Printf("%s, %d x %d B in a PutRecords, %d connections\n", rig.Processor(), b.records, recordSize, b.connections)
	fmt.Fprintln(b.table, "operation\tserver\trecords/s\tCPU/record\tp50\tp99")
	if err := b.run(); err != nil {
		return err
	}
	return b.table.Flush()
}

// run measures one server after the other.
func (b *bench) run() error {
	binary, err := rig.Build(b.ctx, b.dir)
	if err != nil {
		return err
	}
	millrace, err := b.millrace("millrace", binary)
	if err != nil {
		return err
	}
	defer millrace.stop()
	if err := b.putAndGet(millrace, b.calls); err != nil {
		return err
	}
	fmt.Printf("memory of millrace, while %d MiB came and went: %d MiB\n", b.connections*b.calls*b.records*recordSize>>20, millrace.process.PeakRSS()>>20)
	if err := b.besideCanned(millrace); err != nil {
		return err
	}
	if err := b.tails(millrace); err != nil {
		return err
	}
	millrace.stop()
	if err := b.verified(binary); err != nil {
		return err
	}
	other, err := b.kinesalite()
	if err != nil || other == nil {
		return err
	}
	defer other.stop()
	return b.putAndGet(other, 20)
}

// verified measures PutRecords of a server that verifies signatures.
func (b *bench) verified(binary string) error {
	s, err := b.millrace("millrace, signatures verified", binary, "--access-key", benchKey+":"+benchSecret)
	if err != nil {
		return err
	}
	defer s.stop()
	s.sign = true
	_, _, err = b.put(s, b.calls/3)
	return err
}

// putAndGet puts records, and reads them all.
func (b *bench) putAndGet(s *server, calls int) error {
	name, n, err := b.put(s, calls)
	if err != nil {
		return err
	}
	g, err := b.reader(s, name)
	if err != nil {
		return err
	}
	return b.measured("GetRecords", s, n, func() ([]time.Duration, error) { return g.read(n) })
}

// besideCanned reads some of the records again and again, and an answer of the same size of a server that does
// nothing else.
func (b *bench) besideCanned(s *server) error {
	name, n, err := b.put(s, 100)
	if err != nil {
		return err
	}
	g, err := b.reader(s, name)
	if err != nil {
		return err
	}
	first, err := g.next()
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "answer")
	if err := os.WriteFile(file, first, 0o600); err != nil {
		return err
	}
	c, err := b.cannedServer(file)
	if err != nil {
		return err
	}
	defer c.stop()
	for range b.rounds {
		for _, from := range []*server{s, c} {
			g, err := b.reader(s, name)
			if err != nil {
				return err
			}
			g.from = from
			// The canned answer has as many records as the first one, so the last may be more than are left.
			if err := b.measured("GetRecords again", from, n, func() ([]time.Duration, error) { return g.read(n) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// measured prints a row about n records.
func (b *bench) measured(what string, s *server, n int, do func() ([]time.Duration, error)) error {
	cpu, began := s.process.CPU(), time.Now()
	took, err := do()
	if err != nil {
		return fmt.Errorf("%s of %s: %w", what, s.name, err)
	}
	elapsed := time.Since(began)
	cpu = s.process.CPU() - cpu
	fmt.Fprintf(b.table, "%s\t%s\t%.0f\t%v\t%s\n", what, s.name, float64(n)/elapsed.Seconds(), (cpu / time.Duration(n)).Round(time.Nanosecond), quantiles(took))
	return nil
}

// quantiles are p50 and p99.
func quantiles(took []time.Duration) string {
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[len(took)*percent/100].Round(100 * time.Microsecond) }
	return fmt.Sprintf("%v\t%v", at(50), at(99))
}

// row is one without a rate.
func (b *bench) row(what, server string, took []time.Duration) {
	fmt.Fprintf(b.table, "%s\t%s\t\t\t%s\n", what, server, quantiles(took))
}
