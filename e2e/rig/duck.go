package rig

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
)

// Duck is an in-memory DuckDB, the oracle: it reads what went in and what came out with code that
// shares nothing with Millrace.
type Duck struct{ db *sql.DB }

// OpenDuck starts a database. The caller closes it.
func OpenDuck(threads int) (*Duck, error) {
	connector, err := duckdb.NewConnector(fmt.Sprintf("?threads=%d", threads), nil)
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	db := sql.OpenDB(connector)
	// An in-memory database belongs to one connection's connector; one is enough.
	db.SetMaxOpenConns(1)
	return &Duck{db: db}, nil
}

// Close ends the database.
func (d *Duck) Close() error { return d.db.Close() }

// Exec runs statements.
func (d *Duck) Exec(ctx context.Context, statements string) error {
	if _, err := d.db.ExecContext(ctx, statements); err != nil {
		return fmt.Errorf("%w in %s", err, statements)
	}
	return nil
}

// Row scans the one row of a query.
func (d *Duck) Row(ctx context.Context, query string, into ...any) error {
	if err := d.db.QueryRowContext(ctx, query).Scan(into...); err != nil {
		return fmt.Errorf("%w in %s", err, query)
	}
	return nil
}

// Lines returns the rows of a query as text, values parted by a bar.
func (d *Duck) Lines(ctx context.Context, query string) ([]string, error) {
	rows, err := d.Cells(ctx, query)
	var lines []string
	for _, row := range rows {
		lines = append(lines, strings.Join(row, "|"))
	}
	return lines, err
}

// Cells returns the rows of a query, each value as text.
func (d *Duck) Cells(ctx context.Context, query string) ([][]string, error) {
	rows, err := d.db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("%w in %s", err, query)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]string
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range into {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = fmt.Sprint(v)
		}
		out = append(out, texts)
	}
	return out, rows.Err()
}
