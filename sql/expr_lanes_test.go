package sql_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// TestExpressionsRunInSeveralGoroutines has the same rows through clones of every expression of the scripts. What
// these share must not change, as the race detector sees.
func TestExpressionsRunInSeveralGoroutines(t *testing.T) {
	schema, err := sqltest.Schema(everything)
	if err != nil {
		t.Fatal(err)
	}
	var batches []*column.Batch
	for _, dict := range []bool{false, true} {
		b, err := sqltest.Batch(schema, everyRow, dict)
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, b)
	}
	files, err := filepath.Glob("sqltest/testdata/*.test")
	if err != nil {
		t.Fatal(err)
	}
	compiled := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			e, _, ok := strings.Cut(strings.TrimSpace(line), " => ")
			if !ok {
				continue
			}
			q, err := sql.CompileQuery("SELECT "+e+" AS x FROM s", func(string) (sql.Input, bool) { return sql.Input{Schema: schema}, true })
			if err != nil {
				continue
			}
			compiled++
			evaluateTogether(t, e, q, batches)
		}
	}
	if compiled < 200 {
		t.Errorf("%d expressions, expected at least 200", compiled)
	}
}

// evaluateTogether has each of two goroutines evaluate the items of a query for the same batches.
func evaluateTogether(t *testing.T, name string, q *sql.Query, batches []*column.Batch) {
	t.Helper()
	op := q.New()
	var wg sync.WaitGroup
	for shard, a := range sql.Adders(op, 2) {
		wg.Go(func() {
			for _, b := range batches {
				mine := *b
				mine.Origin.Shard = record.ShardID(shard)
				if _, err := a.Add(&mine); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	out, err := op.Emit(0)
	if err != nil {
		t.Fatal(err)
	}
	rows := sqltest.Rows(out)
	if n := len(rows) / 2; !slices.Equal(rows[:n], rows[n:]) {
		t.Errorf("%s: one goroutine has\n%q\nthe other one\n%q", name, rows[:n], rows[n:])
	}
}
