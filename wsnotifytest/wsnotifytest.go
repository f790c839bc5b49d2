package wsnotifytest

import (
	"errors"
	"time"
)

// TB is the part of testing.TB that this package needs, so that it need not import testing.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

var (
	// ErrNoConn means that nobody is connected under the user's name.
	ErrNoConn = errors.New("wsnotifytest: no live connection")
	// ErrConnClosed means that the connection was over before all was written.
	ErrConnClosed = errors.New("wsnotifytest: connection is closed")
	// ErrServerClosed means that the server was closed, so what was waited for cannot come.
	ErrServerClosed = errors.New("wsnotifytest: server is closed")

	errNotRecorded = errors.New("wsnotifytest: RecordMessages is off")
	errMidFrame    = errors.New("wsnotifytest: the connection has stopped in the middle of a frame")
)

// Frame opcodes of RFC 6455, section 5.2.
const (
	OpContinuation byte = 0x0
	OpText         byte = 0x1
	OpBinary       byte = 0x2
	OpClose        byte = 0x8
	OpPing         byte = 0x9
	OpPong         byte = 0xA
)

// Close codes that are never sent (RFC 6455, section 7.4.1).
const (
	codeNoStatus = 1005
	codeAbnormal = 1006
)

// inBubble guesses whether the caller runs in a testing/synctest bubble: a bubble's clock starts
// at midnight UTC 2000-01-01, and there is no other way to ask.
func inBubble() bool { return time.Now().Year() < 2020 }

// broadcast lets any number of goroutines wait for the next change. It is guarded by the lock of
// what it belongs to: take the channel under that lock, release the lock, then wait.
type broadcast struct{ ch chan struct{} }

func newBroadcast() broadcast { return broadcast{make(chan struct{})} }

func (b *broadcast) next() <-chan struct{} { return b.ch }

func (b *broadcast) send() {
	close(b.ch)
	b.ch = make(chan struct{})
}
