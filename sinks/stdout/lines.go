package stdout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/encode"
)

// lines writes every row to the standard output as a line of JSON.
type lines struct {
	writer  *encode.Writer
	env     sinks.Env
	encoder encode.Encoder
	out     bytes.Buffer
	// written is how much of out is on the standard output.
	written int
	rows    int64
	hash    column.RowHash
}

func (l *lines) Guarantee() string {
	return "at least once: rows that were printed when a crash came before their commit are printed again"
}

// Trigger keeps rows back only as long as nobody notices.
func (l *lines) Trigger() flow.Trigger {
	return flow.Trigger{Size: 1 << 20, Age: 250 * time.Millisecond}
}

func (l *lines) Start(context.Context, json.RawMessage) error { return nil }

func (l *lines) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	if l.encoder == nil {
		l.encoder = l.writer.Open(&l.out)
	}
	if err := l.encoder.Add(b); err != nil {
		return flow.Outcome{}, l.errorf(err)
	}
	n := int64(b.Selected())
	l.rows += n
	l.hash.Add(column.HashRows(b))
	return flow.Outcome{Counts: flow.Counts{In: n, Passed: n}}, nil
}

func (l *lines) Open() flow.Open {
	o := flow.Open{Rows: l.rows, Memory: int64(l.out.Cap())}
	if l.encoder != nil {
		o.Encoded = l.encoder.Size()
		o.Memory += l.encoder.Memory()
	}
	return o
}

func (l *lines) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	plan := flow.Plan{Cut: cut}
	if l.encoder == nil {
		return plan, nil
	}
	if err := l.encoder.Finish(); err != nil {
		return plan, l.errorf(err)
	}
	l.encoder = nil
	plan.Objects = []flow.Object{{Key: "stdout", Rows: l.rows, Hash: l.hash.String(), Bytes: int64(l.out.Len())}}
	return plan, nil
}

func (l *lines) Put(ctx context.Context, _ flow.Plan) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := l.env.Stdout.Write(l.out.Bytes()[l.written:])
	l.written += n
	switch {
	case errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe):
		return flow.Permanent(l.errorf(fmt.Errorf("nobody reads the output any more: %w", err)))
	case err != nil:
		return l.errorf(err)
	}
	return nil
}

func (l *lines) Published(flow.Plan) {
	l.encoder, l.written, l.rows, l.hash = nil, 0, 0, column.RowHash{}
	l.out.Reset()
}

func (l *lines) Close() error { return nil }

func (l *lines) errorf(err error) error {
	return fmt.Errorf("stdout sink %q: %w", l.env.Identity.Name, err)
}
