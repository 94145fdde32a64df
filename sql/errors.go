package sql

import "github.com/millrace-io/millrace/sql/ast"

// Error is a mistake in a text, at a line and column that count from 1 within the text.
type Error = ast.Error

// Errors are several mistakes in one text.
type Errors = ast.Errors
