// Package testkit holds what the tests of all modules share and what needs no client: certificates,
// goroutines that are left, an output that may be read while it is written, and a TB that records.
// It imports the standard library alone.
package testkit
