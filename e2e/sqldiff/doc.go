// Package sqldiff compares package sql with DuckDB: random expressions over random rows must come to the
// same values, and random statements over random events to the same rows, however these come.
//
// The invariant to remember: a difference that is meant is written down in the table of
// documented differences, and the grammar makes nothing else than what must be equal.
package sqldiff
