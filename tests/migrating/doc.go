// Package migrating holds the programs of docs/migrating.md: with another library,
// and with wsnotify. Its test runs each in a process of its own against the same
// faults of a server, and the table of the page is what it saw.
package migrating
