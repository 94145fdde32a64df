package sql_test

import (
	"testing"

	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// BenchmarkExpression is the cost per row of one kernel, texts plain and as a dictionary of few values.
func BenchmarkExpression(b *testing.B) {
	rows := make([][]string, 8192)
	few := [][2]string{{"DE", "https://example.org/a/b?channel_id=42"}, {"FR", "https://example.org/c?channel_id=7"}, {"US", "https://example.org/"}}
	for i := range rows {
		f := few[i%3]
		rows[i] = []string{"12345", "-7", "2.5", "0.125", f[0], f[1], "12:34:56.789"}
	}
	evaluate(b, "a bigint, b bigint, d double, e double, k string, u string, t timestamp", rows,
		"a + b", "a * b - a", "d * e", "a > b", "UPPER(u)", "LENGTH(u)", "SUBSTR(u, 9, 7)", "k = 'DE'", "u LIKE '%channel%'",
		"k || u", "CASE WHEN a > b THEN d ELSE e END", "COALESCE(k, u)", "EXTRACT(HOUR FROM t)", "DATE_TRUNC('hour', t)", "CAST(a AS varchar)")
}

// BenchmarkNewExpression is the same of kernels that came later.
func BenchmarkNewExpression(b *testing.B) {
	rows := make([][]string, 8192)
	for i := range rows {
		rows[i] = []string{"12.50", "-0.125", "12345678901234567890.1234", "https://example.org/a/b?channel_id=42", `{"a":{"b":[1,2,3]},"s":"text"}`, "[1,2,3]", "12:34:56.789"}
	}
	evaluate(b, "p decimal(10;2), q decimal(6;3), w decimal(30;4), u string, j json, l [bigint], t timestamp", rows,
		"p + q", "p * q", "w + w", "w * q", "p > q", "CAST(p AS double)", "ROUND(p, 1)", "REGEXP_EXTRACT(u, 'channel_id=([0-9]+)', 1)",
		"u REGEXP 'channel_id=[0-9]+'", "SPLIT_PART(u, '/', 4)", "MD5(u)", "j ->> '$.a.b[1]'", "l[2]", "t AT TIME ZONE 'Europe/Berlin'", "FORMAT_TIMESTAMP(t, '%Y-%m-%d')")
}

// evaluate measures expressions over rows, with texts plain and as a dictionary.
func evaluate(b *testing.B, schema string, rows [][]string, texts ...string) {
	s, err := sqltest.Schema(schema)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"plain", "dictionary"} {
		batch, err := sqltest.Batch(s, rows, name == "dictionary")
		if err != nil {
			b.Fatal(err)
		}
		for _, text := range texts {
			b.Run(name+"/"+text, func(b *testing.B) {
				e, err := sql.CompileExpr(text, s)
				if err != nil {
					b.Fatal(err)
				}
				start, rows := cpu(b), 0
				for b.Loop() {
					if _, err := e.Eval(batch); err != nil {
						b.Fatal(err)
					}
					rows += batch.Rows
				}
				perRow(b, start, rows)
			})
		}
	}
}
