// Package e2e proves the promises of Millrace from outside: the real binary, a real S3 server,
// and DuckDB as the judge of what arrived. It is a module of its own, so that nobody who uses
// Millrace downloads what its tests need.
//
// The long forms of the tests, with hundreds of kills, run when MILLRACE_PROVE is set.
package e2e
