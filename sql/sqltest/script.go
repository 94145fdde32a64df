package sqltest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
)

// Case is one case of a script.
type Case struct {
	Name string
	// Line of the case in its file.
	Line  int
	steps []step
}

// step is a directive, its argument and the indented lines below it.
type step struct {
	line      int
	word, arg string
	body      []string
}

// Parse reads the cases of a script.
func Parse(text string) ([]Case, error) {
	var out []Case
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " \r")
		switch {
		case line == "" || strings.HasPrefix(strings.TrimSpace(line), "#"):
		case strings.HasPrefix(line, "case "):
			out = append(out, Case{Name: line[5:], Line: i + 1})
		case len(out) == 0:
			return nil, fmt.Errorf("line %d: expected case, found %q", i+1, line)
		case line[0] == ' ':
			c := &out[len(out)-1]
			if len(c.steps) == 0 {
				return nil, fmt.Errorf("line %d: an indented line needs a directive above", i+1)
			}
			s := &c.steps[len(c.steps)-1]
			s.body = append(s.body, strings.TrimPrefix(line, "  "))
		default:
			word, arg, _ := strings.Cut(line, " ")
			c := &out[len(out)-1]
			c.steps = append(c.steps, step{line: i + 1, word: word, arg: strings.TrimSpace(arg)})
		}
	}
	return out, nil
}

// Way is one way to run a case.
type Way struct {
	// RowByRow makes a batch of each row, Dict makes dictionaries of texts.
	RowByRow, Dict bool
	// Restart takes a snapshot before each step and goes on with a new operator.
	Restart bool
	// Spill keeps the state in parts and, with Restart, goes on in turns with an operator that let go of
	// all of its memory instead of a new one.
	Spill bool
	// Reversed adds neighbouring rows of different shards in the other order.
	Reversed bool
	// KillEvery is behind how many rows the operator is killed each time, so that what was not committed is
	// lost and comes again; 0 is never.
	KillEvery int
	// Lanes is how many goroutines add neighbouring rows of different shards, and may emit; 0 is one.
	Lanes int
}

// runner is a case being run.
type runner struct {
	way Way
	// streams are those that can be read by name; s is there from the beginning.
	streams map[string]*stream
	// marks are the shards' watermarks.
	marks map[record.ShardID]int64
	query *sql.Query
	op    sql.Operator
	// adders are those of op, turn counts how often rows were added by all of them at once.
	adders []sql.Adder
	turn   int
	// schemas and tables are those of reference tables by name.
	schemas  map[string]*column.Schema
	tables   map[string]*column.Batch
	taken    sql.Taken
	lates    int
	got      []string
	err      error
	drawer   *Drawer
	restarts int
	// pending are rows not yet added, per neighbouring step.
	pending []pending
	last    committed
}

type pending struct {
	of    *stream
	shard record.ShardID
	rows  [][]string
}

// stream is one that the query can read.
type stream struct {
	name string
	sql.Input
	// number is the place among the streams of the case, from which its shards have their numbers.
	number int
	delay  int64
	marked bool
}

// stream finds one by name, s without a name.
func (r *runner) stream(name string) (*stream, error) {
	if name == "" {
		name = "s"
	}
	if s := r.streams[name]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("there is no stream %s", name)
}

// of takes " of NAME" off an argument, which says which stream it is about.
func (r *runner) of(arg string) (string, *stream, error) {
	arg, name, _ := strings.Cut(arg, " of ")
	s, err := r.stream(name)
	return arg, s, err
}

// Run runs the case one way.
func (c Case) Run(way Way) error {
	r := &runner{way: way, streams: map[string]*stream{"s": {name: "s"}}, marks: make(map[record.ShardID]int64), schemas: map[string]*column.Schema{}, tables: map[string]*column.Batch{}, drawer: NewDrawer()}
	for _, s := range c.steps {
		if err := r.step(s); err != nil {
			return fmt.Errorf("line %d: %s: %w", s.line, s.word, err)
		}
	}
	return r.flush()
}

func (r *runner) step(s step) error {
	if s.word != "rows" {
		if err := r.flush(); err != nil {
			return err
		}
	}
	switch s.word {
	case "schema":
		var err error
		r.streams["s"].Schema, err = Schema(strings.Join(s.body, " "))
		return err
	case "stream":
		of := &stream{name: s.arg, number: len(r.streams)}
		r.streams[s.arg] = of
		var err error
		of.Schema, err = Schema(strings.Join(s.body, " "))
		return err
	case "table":
		return r.table(s)
	case "event_time":
		name, of, err := r.of(s.arg)
		if err == nil {
			of.EventTime = name
		}
		return err
	case "watermark":
		delay, of, err := r.of(s.arg)
		if err != nil {
			return err
		}
		seconds, err := strconv.Atoi(strings.TrimSuffix(delay, "s"))
		of.delay, of.marked = int64(seconds)*1_000_000, true
		return err
	case "query":
		r.compile(strings.Join(s.body, "\n"))
	case "output":
		return r.output(s.arg)
	case "rows":
		return r.rows(s)
	case "emit":
		return r.emit(s.arg)
	case "want":
		return r.want(s.body)
	case "taken":
		return r.counts(s.arg)
	case "error":
		return r.wantError(strings.Join(append([]string{s.arg}, s.body...), " "))
	case "eval":
		return r.eval(s)
	default:
		return fmt.Errorf("unknown directive")
	}
	return nil
}

func (r *runner) compile(text string) {
	r.query, r.err = sql.CompileQuery(text, func(name string) (sql.Input, bool) {
		if schema := r.schemas[name]; schema != nil {
			return sql.Input{Schema: schema, Table: true}, true
		}
		if of := r.streams[name]; of != nil {
			return of.Input, true
		}
		return sql.Input{}, false
	})
	if r.err == nil {
		r.open()
		r.err = r.useTables()
	}
	r.last = committed{marks: maps.Clone(r.marks), tables: maps.Clone(r.tables)}
}

// open makes a new operator.
func (r *runner) open() {
	r.op = r.query.New()
	if r.way.Spill {
		r.drawer.Keep(r.op, 64<<20)
	}
	r.adders = sql.Adders(r.op, max(r.way.Lanes, 1))
}

// table sets the rows of a reference table, for the query if there is one already. The first time its
// name is followed by its columns.
func (r *runner) table(s step) error {
	name, columns, first := strings.Cut(s.arg, " ")
	if first {
		schema, err := Schema(columns)
		if err != nil {
			return err
		}
		r.schemas[name] = schema
	}
	schema := r.schemas[name]
	if schema == nil {
		return fmt.Errorf("table %s has no columns yet", name)
	}
	var rows [][]string
	for _, line := range s.body {
		rows = append(rows, Cells(line))
	}
	var err error
	if r.tables[name], err = Batch(schema, rows, r.way.Dict); err != nil || r.op == nil {
		return err
	}
	if r.killing() {
		r.last.since = append(r.last.since, input{tables: maps.Clone(r.tables)})
	}
	return r.useTables()
}

func (r *runner) useTables() error {
	for name, rows := range r.tables {
		if err := sql.Use(r.op, name, rows); err != nil {
			return err
		}
	}
	return nil
}

// rows keeps the rows back until another step follows, so that shards can change places.
func (r *runner) rows(s step) error {
	shard := 0
	at, of, err := r.of(" " + s.arg)
	if err != nil {
		return err
	}
	if at = strings.TrimSpace(at); at != "" {
		if _, err := fmt.Sscanf(at, "shard %d", &shard); err != nil {
			return err
		}
	}
	p := pending{of: of, shard: record.ShardID(shard | of.number<<26)}
	for _, line := range s.body {
		p.rows = append(p.rows, Cells(line))
	}
	r.pending = append(r.pending, p)
	return nil
}

func (r *runner) flush() error {
	if r.way.Reversed {
		for i := 1; i < len(r.pending); i++ {
			if a, b := &r.pending[i-1], &r.pending[i]; a.shard != b.shard {
				*a, *b = *b, *a
			}
		}
	}
	var parts []pending
	for _, p := range r.pending {
		if !r.way.RowByRow {
			parts = append(parts, p)
			continue
		}
		for i := range p.rows {
			parts = append(parts, pending{of: p.of, shard: p.shard, rows: p.rows[i : i+1]})
		}
	}
	r.pending = nil
	if r.way.Lanes > 1 && r.err == nil && !r.killing() && len(parts) > 0 {
		return r.addTogether(parts)
	}
	for _, p := range parts {
		if err := r.add(p.of, p.shard, p.rows); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) add(of *stream, shard record.ShardID, rows [][]string) error {
	switch {
	case r.err != nil:
		return r.err
	case r.killing():
		return r.addKilled(of, shard, rows)
	}
	return r.feed(of, shard, rows)
}

// feed adds a batch.
func (r *runner) feed(of *stream, shard record.ShardID, rows [][]string) error {
	b, err := r.batch(of, shard, rows)
	if err != nil {
		return err
	}
	if err := r.restart(); err != nil {
		return err
	}
	t, err := r.adders[int(shard)%len(r.adders)].Add(b)
	if err != nil {
		return err
	}
	return r.account(t, b)
}

// batch is rows as the operator gets them.
func (r *runner) batch(of *stream, shard record.ShardID, rows [][]string) (*column.Batch, error) {
	b, err := Batch(of.Schema, rows, r.way.Dict)
	if err != nil {
		return nil, err
	}
	b.Origin.Shard, b.Origin.Input = shard, slices.Index(r.query.Inputs(), of.name)
	if b.Origin.Input < 0 {
		return nil, fmt.Errorf("the query does not read %s", of.name)
	}
	if of.marked {
		r.mark(b, of)
	}
	return asRead(b, r.query.Needs(b.Origin.Input)), nil
}

// account takes down what became of the rows of a batch.
func (r *runner) account(t sql.Taken, b *column.Batch) error {
	r.taken.Aggregated += t.Aggregated
	r.taken.Filtered += t.Filtered
	r.lates += len(t.Late)
	if sum := t.Aggregated + t.Filtered + int64(len(t.Late)); sum != int64(b.Rows) {
		return fmt.Errorf("%d rows went in, %d are accounted for", b.Rows, sum)
	}
	return nil
}

// mark gives each row the watermark of its shard before it.
func (r *runner) mark(b *column.Batch, of *stream) {
	event := b.Columns[b.Schema.Index(of.EventTime)]
	mark, ok := r.marks[b.Origin.Shard]
	if !ok {
		mark = column.MinWatermark
	}
	for i := range b.Rows {
		b.Watermarks = append(b.Watermarks, mark)
		if !event.IsNull(i) {
			mark = max(mark, event.Int64s[i]-of.delay)
		}
	}
	r.marks[b.Origin.Shard] = mark
}

func (r *runner) restart() error {
	if !r.way.Restart || !r.query.Windowed() {
		return nil
	}
	state, err := r.drawer.Snapshot(r.op)
	if err != nil {
		return err
	}
	if r.restarts++; r.way.Spill && r.restarts%2 == 0 {
		return Shed(r.op, 0)
	}
	r.open()
	if err := r.op.Restore(state); err != nil {
		return err
	}
	return r.useTables()
}

func (r *runner) emit(at string) error {
	if r.err != nil {
		return r.err
	}
	mark := int64(column.MaxWatermark)
	if at != "end" {
		var err error
		if mark, err = Time(at); err != nil {
			return err
		}
	}
	if err := r.restart(); err != nil {
		return err
	}
	if r.killing() {
		return r.emitKilled(mark)
	}
	return r.emitOnce(mark)
}

func (r *runner) emitOnce(mark int64) error {
	ready := r.op.Ready(mark)
	b, err := r.op.Emit(mark)
	if err == nil && b != nil && !ready {
		err = fmt.Errorf("rows came although Ready said no")
	}
	r.got = Rows(b)
	return err
}

func (r *runner) want(lines []string) error {
	if r.err != nil {
		return r.err
	}
	var want []string
	for _, l := range lines {
		want = append(want, strings.Join(Cells(l), " "))
	}
	if got, want := strings.Join(r.got, "\n"), strings.Join(want, "\n"); got != want {
		return fmt.Errorf("got\n%s\nwant\n%s", got, want)
	}
	return nil
}

func (r *runner) counts(want string) error {
	got := fmt.Sprintf("aggregated %d filtered %d late %d", r.taken.Aggregated, r.taken.Filtered, r.lates)
	if got != want {
		return fmt.Errorf("got %s", got)
	}
	return nil
}

func (r *runner) output(want string) error {
	if r.err != nil {
		return r.err
	}
	var fields []string
	for _, f := range r.query.Output().Fields {
		fields = append(fields, f.Name+" "+f.Type.String())
	}
	if got := strings.Join(fields, ", "); got != want {
		return fmt.Errorf("got %s", got)
	}
	return nil
}

func (r *runner) wantError(want string) error {
	want = strings.TrimSpace(want)
	if r.err == nil {
		return fmt.Errorf("there is none, expected %s", want)
	}
	if got := r.err.Error(); got != want {
		return fmt.Errorf("got %s", got)
	}
	r.err = nil
	return nil
}

// eval evaluates an expression over the row in its argument: "expression => cell" per line.
func (r *runner) eval(s step) error {
	b, err := Batch(r.streams["s"].Schema, [][]string{Cells(s.arg)}, r.way.Dict)
	if err != nil {
		return err
	}
	for i, line := range s.body {
		text, want, ok := strings.Cut(line, " => ")
		if !ok {
			return fmt.Errorf("line %d: expected expression => cell", s.line+i+1)
		}
		got := ""
		if e, err := sql.CompileExpr(text, r.streams["s"].Schema); err != nil {
			got = err.Error()
		} else if c, err := e.Eval(b); err != nil {
			return err
		} else {
			got = e.Type().String() + " " + Format(c, 0)
		}
		if want = strings.TrimSpace(want); got != want {
			return fmt.Errorf("line %d: %s is %s, want %s", s.line+i+1, text, got, want)
		}
	}
	return nil
}
