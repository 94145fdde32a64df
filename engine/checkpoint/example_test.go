package checkpoint_test

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

// A worker reads every record of a stream once. Start more of them, with the same group, and they
// share the shards.
func ExampleWorker() {
	ctx := context.Background()
	backend, err := disk.Open(vfs.NewMem(), "data", disk.Options{})
	if err != nil {
		panic(err)
	}
	defer backend.Close()
	s, err := stream.Open(ctx, backend, stream.Spec{Name: "orders"})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	var orders record.Batch
	for _, data := range []string{"apples", "pears", "plums"} {
		orders.Add([]byte("customer 7"), []byte(data), 0)
	}
	if err := s.Write(ctx, &orders); err != nil {
		panic(err)
	}

	worker, err := checkpoint.NewWorker(checkpoint.LeaseConfig{
		Meta: backend.Meta(), Stream: s.Name(), Incarnation: s.Incarnation(),
		Group: "shipping", Lineage: checkpoint.LineageOf(s.Shards),
	})
	if err != nil {
		panic(err)
	}
	consumer := checkpoint.Consumer{
		Log: s.Log,
		Process: func(_ context.Context, l *checkpoint.Lease, frames []stream.Frame) error {
			for _, f := range frames {
				for body := f.Body; len(body) > 0; {
					r, rest, err := record.Next(body)
					if err != nil {
						return err
					}
					fmt.Printf("%s: %s\n", l.Shard(), r.Data)
					body = rest
				}
			}
			worker.Stop()
			return nil
		},
	}
	if err := worker.Run(ctx, consumer.Handle); err != nil {
		panic(err)
	}
	leases, err := checkpoint.ReadLeases(ctx, backend.Meta(), s.Name(), s.Incarnation(), "shipping")
	if err != nil {
		panic(err)
	}
	fmt.Printf("next time from record %d\n", leases[0].Position)
	// Output:
	// shardId-000000000000: apples
	// shardId-000000000000: pears
	// shardId-000000000000: plums
	// next time from record 3
}
