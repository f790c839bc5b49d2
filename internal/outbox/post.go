package outbox

import (
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Config is what users say of the outbox. Negative bounds are none, and MaxAge
// and ConfirmTimeout of 0 or less are off.
type Config struct {
	Messages       int
	Bytes          int
	MaxAge         time.Duration
	DropOldest     bool
	Resend         bool
	ConfirmID      func(op wire.Op, data []byte) string // nil: written is done
	ConfirmTimeout time.Duration
}

// Errors are what senders are answered. They are those of the package that
// users import.
type Errors struct {
	ErrNotConnected, ErrClosed, ErrOutboxFull, ErrExpired error

	// The peer may have the message: the connection or ctx ended inside its
	// write, or it was written and is not acknowledged.
	ErrInterrupted, ErrNotAcknowledged error

	TooLarge func(size, limit int) error
}

// Post is what the boxes of a client have in common: its Config, and how it is
// told what became of its messages.
type Post struct {
	Config
	*Errors
	Keeper *Keeper // nil without a Store

	Began       time.Time                                             // of the clock that ages are measured by
	Tell        func(func())                                          // queues an event; never blocks
	Undelivered func(op wire.Op, data []byte, size int, reason error) // on the goroutine of the events; nil if nobody wants to know
	KeepData    bool                                                  // for Undelivered
	Lost        func(reason error)                                    // counts
	Written     func(messages, bytes, again int)                      // counts

	// Messages that wait for Undelivered, and their bytes.
	messages, bytes atomic.Int64
}

func (p *Post) hold(size int) {
	p.messages.Add(1)
	p.bytes.Add(int64(size))
}

func (p *Post) release(size int) {
	p.messages.Add(-1)
	p.bytes.Add(-int64(size))
}

func (p *Post) interrupted(cause error) error { return &interruptedError{p.ErrInterrupted, cause} }

// interruptedError is ErrInterrupted with the reason why.
type interruptedError struct{ interrupted, cause error }

func (e *interruptedError) Error() string   { return e.interrupted.Error() + ": " + e.cause.Error() }
func (e *interruptedError) Unwrap() []error { return []error{e.interrupted, e.cause} }
