//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// inFlight is how many messages, or batches of one record, wait for their ack at most.
const inFlight = 500

// jetstream compares with a server in this process, over loopback, that syncs before each ack.
func (b *bench) jetstream() ([]row, error) {
	single := load{writers: 1, batches: 10_000, batch: 1}
	packed := load{writers: 1, batches: 400, batch: 500}
	four := load{writers: 4, batches: 100, batch: 500}
	return b.compareAll([]comparison{
		{"1 client, 1 record a message, 500 in flight", b.natsAsync(single), b.async(single), 10},
		{"1 client, 500 records a message", b.natsPacked(packed), b.ours(packed, stream.SyncAlways), 1.2},
		{"4 clients, 500 records a message", b.natsPacked(four), b.ours(four, stream.SyncAlways), 1.2},
	})
}

// async keeps batches of one record in flight, as the client of a message broker does.
func (b *bench) async(l load) side {
	l.batches *= 20 // so that it runs for a measurable time
	return func(dir string) (trial, error) {
		s, err := openStore(b.ctx, dir, stream.Spec{Shards: 1})
		if err != nil {
			return trial{}, err
		}
		run := func(lat *latencies) error { return pipelined(b.ctx, s.stream.Log(0), l.batches, lat) }
		return trial{run: run, records: l.records(), close: s.close}, nil
	}
}

// flight is a batch on its way.
type flight struct {
	batch record.Batch
	wait  func() (stream.Appended, error)
	start time.Time
}

func pipelined(ctx context.Context, log stream.Log, n int, lat *latencies) error {
	flights := make([]flight, inFlight)
	took := make([]time.Duration, 0, n)
	for i := range n + inFlight {
		f := &flights[i%inFlight]
		if f.wait != nil {
			if _, err := f.wait(); err != nil {
				return err
			}
			f.wait = nil
			took = append(took, time.Since(f.start))
		}
		if i >= n {
			continue
		}
		fill(&f.batch, 1, i)
		f.start = time.Now()
		wait, err := log.Enqueue(ctx, &f.batch)
		if err != nil {
			return err
		}
		f.wait = wait
	}
	lat.add(took)
	return nil
}

// broker is a NATS server and a stream of one replica in it.
type broker struct {
	server *server.Server
	conns  []*nats.Conn
}

const subject = "bench"

func startBroker(ctx context.Context, dir string, clients int) (*broker, error) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, DontListen: false, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: dir, SyncAlways: true, JetStreamMaxStore: 64 << 30, JetStreamMaxMemory: 1 << 30,
	})
	if err != nil {
		return nil, err
	}
	s.Start()
	b := &broker{server: s}
	if !s.ReadyForConnections(10 * time.Second) {
		return nil, errors.Join(errors.New("the NATS server does not start"), b.close())
	}
	for range clients {
		c, err := nats.Connect(s.ClientURL())
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
		b.conns = append(b.conns, c)
	}
	js, err := jetstream.New(b.conns[0])
	if err == nil {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "BENCH", Subjects: []string{subject}, Storage: jetstream.FileStorage})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create the JetStream stream: %w", err), b.close())
	}
	return b, nil
}

func (b *broker) close() error {
	for _, c := range b.conns {
		c.Close()
	}
	b.server.Shutdown()
	b.server.WaitForShutdown()
	return nil
}

// natsAsync publishes one record a message and lets acks come later.
func (b *bench) natsAsync(l load) side {
	return func(dir string) (trial, error) {
		n, err := startBroker(b.ctx, dir, 1)
		if err != nil {
			return trial{}, err
		}
		run := func(*latencies) error {
			js, err := jetstream.New(n.conns[0], jetstream.WithPublishAsyncMaxPending(inFlight))
			if err != nil {
				return err
			}
			acks := make([]jetstream.PubAckFuture, l.batches)
			for i := range acks {
				if acks[i], err = js.PublishAsync(subject, payload(i), jetstream.WithStallWait(10*time.Second)); err != nil {
					return err
				}
			}
			for _, ack := range acks {
				select {
				case <-ack.Ok():
				case err := <-ack.Err():
					return err
				case <-b.ctx.Done():
					return b.ctx.Err()
				}
			}
			return nil
		}
		return trial{run: run, records: l.records(), close: n.close}, nil
	}
}

// natsPacked publishes a batch a message and waits for each ack.
func (b *bench) natsPacked(l load) side {
	return func(dir string) (trial, error) {
		n, err := startBroker(b.ctx, dir, l.writers)
		if err != nil {
			return trial{}, err
		}
		var clients []jetstream.JetStream
		for _, c := range n.conns {
			js, err := jetstream.New(c)
			if err != nil {
				return trial{}, errors.Join(err, n.close())
			}
			clients = append(clients, js)
		}
		ready := l.ready()
		run := func(lat *latencies) error {
			return together(l, lat, func(writer, turn int) error {
				_, err := clients[writer].Publish(b.ctx, subject, ready[writer][turn%variants])
				return err
			})
		}
		return trial{run: run, records: l.records(), close: n.close}, nil
	}
}
