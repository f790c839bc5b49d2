package outbox

import (
	"context"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Config is what users say of the outbox, and how the client is notified of
// what became of its messages. Negative limits are none, and MaxAge and
// ConfirmTimeout of 0 or less are off.
type Config struct {
	Messages       int
	Bytes          int
	MaxAge         time.Duration
	DropOldest     bool
	Resend         bool
	ConfirmID      func(op wire.Op, data []byte) string // nil: a message is done when it is written
	ConfirmTimeout time.Duration
	Store          Store                       // nil: in memory only
	Limiter        func(context.Context) error // waits until another message may leave; nil: it may at once
	LimiterFailed  func(error)                 // called with an error of Limiter that was not the end of its ctx; nil: it has ended its goroutine

	*Errors

	Notify      func(func())                                          // queues an event; never blocks
	Report      func(error)                                           // queues an error; never blocks
	Undelivered func(op wire.Op, data []byte, size int, reason error) // on the goroutine of the events; nil if nobody wants to know
	KeepData    bool                                                  // for Undelivered
	Lost        func(messages int, reason error)                      // counts; never blocks
	Written     func(messages, bytes, again int)                      // counts; never blocks
}

// Errors are what senders are answered. They are those of the package that
// users import. ErrSuperseded is ErrClosed because of a later Session. ErrInterrupted is for a message in the middle of whose write the
// connection or ctx ended, ErrNotAcknowledged for one that was written and not
// acknowledged; of both the peer may have all, or nothing.
type Errors struct {
	ErrNotConnected, ErrClosed, ErrSuperseded, ErrInterrupted, ErrNotAcknowledged, ErrOutboxFull, ErrExpired error

	TooLarge func(size, limit int) error
}

// interrupted is ErrInterrupted with the reason why.
func (e *Errors) interrupted(cause error) error { return &causedError{e.ErrInterrupted, cause} }

type causedError struct{ err, cause error }

func (e *causedError) Error() string   { return e.err.Error() + ": " + e.cause.Error() }
func (e *causedError) Unwrap() []error { return []error{e.err, e.cause} }
