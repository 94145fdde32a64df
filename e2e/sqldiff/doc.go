// Package sqldiff compares the expressions of package sql with DuckDB: random expressions over
// random rows must come to the same values.
//
// The invariant to remember: a difference that is meant is written down in the table of
// documented differences, and the grammar makes nothing else than what must be equal.
package sqldiff
