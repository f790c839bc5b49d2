// Package observe is what the modules prom and otel share: the counts that a
// wsnotify.Status does not hold, taken from the callbacks of a Config.
package observe

import (
	"errors"
	"sync/atomic"

	"github.com/wsnotify/wsnotify"
)

// A Cause is why a client had to reconnect. There are few of them, so that
// they can be the values of a label.
type Cause int

// The causes. Whoever shows them shows all, from the start on.
const (
	Hook      Cause = iota // BeforeDial or OnHandshake returned an error
	Dial                   // no response came: name, TCP, TLS, time-out
	Refused                // the handshake was answered, but not as it must be
	Lost                   // the connection broke without a word
	Heartbeat              // the connection was silent for too long
	Closed                 // the server sent a close frame
	Violation              // the server broke the protocol
	Requested              // Reconnect was called
	causes
)

func (c Cause) String() string {
	return [...]string{"hook", "dial", "refused", "lost", "heartbeat", "closed", "violation", "requested"}[c]
}

// CauseOf reads a failure.
func CauseOf(f wsnotify.Failure) Cause {
	var closed wsnotify.CloseError
	switch {
	case f.Phase == wsnotify.PhaseHook:
		return Hook
	case f.Phase == wsnotify.PhaseDial:
		return Dial
	case f.Phase == wsnotify.PhaseHandshake:
		return Refused
	case f.Initiator == wsnotify.Local:
		return Requested
	case errors.As(f.Err, &closed):
		return Closed
	case f.Initiator == wsnotify.Remote:
		return Violation
	case errors.Is(f.Err, wsnotify.ErrHeartbeatTimeout):
		return Heartbeat
	}
	return Lost
}

// A Reason is why a message of the outbox was not sent.
type Reason int

// The reasons, as for OnUndelivered.
const (
	Ended       Reason = iota // wsnotify.ErrClosed
	Expired                   // wsnotify.ErrExpired
	OutboxFull                // wsnotify.ErrOutboxFull
	Unconfirmed               // wsnotify.ErrUnconfirmed
	reasons
)

func (r Reason) String() string {
	return [...]string{"closed", "expired", "outbox_full", "unconfirmed"}[r]
}

// ReasonOf reads what OnUndelivered was told.
func ReasonOf(err error) Reason {
	switch {
	case errors.Is(err, wsnotify.ErrExpired):
		return Expired
	case errors.Is(err, wsnotify.ErrOutboxFull):
		return OutboxFull
	case errors.Is(err, wsnotify.ErrUnconfirmed):
		return Unconfirmed
	}
	return Ended
}

// Counts are since the client was made.
type Counts struct {
	connections atomic.Uint64
	reconnects  [causes]atomic.Uint64
	undelivered [reasons]atomic.Uint64
}

// Connections is how many were opened.
func (c *Counts) Connections() uint64 { return c.connections.Load() }

// Reconnects yields how many attempts were scheduled for each cause.
func (c *Counts) Reconnects(yield func(Cause, uint64) bool) {
	for cause := range causes {
		if !yield(cause, c.reconnects[cause].Load()) {
			return
		}
	}
}

// Undelivered yields how many messages were not sent for each reason.
func (c *Counts) Undelivered(yield func(Reason, uint64) bool) {
	for reason := range reasons {
		if !yield(reason, c.undelivered[reason].Load()) {
			return
		}
	}
}

// Hook returns cfg with callbacks that count and then call those of cfg.
func (c *Counts) Hook(cfg wsnotify.Config) wsnotify.Config {
	onOpen, onReconnecting, onUndelivered := cfg.OnOpen, cfg.OnReconnecting, cfg.OnUndelivered
	cfg.OnOpen = func(ev wsnotify.OpenEvent) {
		c.connections.Add(1)
		if onOpen != nil {
			onOpen(ev)
		}
	}
	cfg.OnReconnecting = func(ev wsnotify.ReconnectEvent) {
		c.reconnects[CauseOf(ev.Failure)].Add(1)
		if onReconnecting != nil {
			onReconnecting(ev)
		}
	}
	cfg.OnUndelivered = func(m wsnotify.Message, err error) {
		c.undelivered[ReasonOf(err)].Add(1)
		if onUndelivered != nil {
			onUndelivered(m, err)
		}
	}
	return cfg
}

// States are the ready states with their names in metrics.
func States(yield func(wsnotify.ReadyState, string) bool) {
	for i, name := range [...]string{"connecting", "open", "closing", "closed"} {
		if !yield(wsnotify.ReadyState(i), name) {
			return
		}
	}
}
