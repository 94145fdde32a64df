// Package streamtest holds what every backend of a stream must pass: a conformance suite, and a
// model test with random histories and power cuts.
//
// The invariant to remember: a test here speaks of the contract only; what is true of one
// backend alone is tested beside it.
package streamtest
