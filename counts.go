package wsnotify

import (
	"errors"
	"sync/atomic"
)

// What Status counts by cause and by reason, for metrics.

// FailureCounts counts failures by their cause.
type FailureCounts struct {
	Hook      uint64 // BeforeDial or OnHandshake returned an error, or did not return in time
	Dial      uint64 // no response came: name, TCP, proxy, TLS, timeout
	Refused   uint64 // the handshake was answered with something else than a WebSocket
	Lost      uint64 // the connection broke without a close frame, or was dropped by a timeout of this side
	Heartbeat uint64 // ErrHeartbeatTimeout
	Closed    uint64 // the server sent a close frame
	Violation uint64 // the server broke the protocol
	Requested uint64 // Reconnect was called
}

// UndeliveredCounts counts messages of Enqueue that were not sent by the reason
// that OnUndelivered gets.
type UndeliveredCounts struct {
	Closed      uint64 // ErrClosed
	Expired     uint64 // ErrExpired
	OutboxFull  uint64 // ErrOutboxFull
	Unconfirmed uint64 // ErrUnconfirmed: ErrInterrupted and ErrNotAcknowledged
}

// cause is a field of FailureCounts.
type cause int

const (
	byHook cause = iota
	byDial
	byRefusal
	byLoss
	byHeartbeat
	byClose
	byViolation
	byRequest
	causes
)

// causeOf reads a failure.
func causeOf(f *Failure) cause {
	var closed CloseError
	switch {
	case f.Phase == PhaseHook:
		return byHook
	case f.Phase == PhaseDial:
		return byDial
	case f.Phase == PhaseHandshake:
		return byRefusal
	case f.Initiator == Local:
		return byRequest
	case errors.As(f.Err, &closed):
		return byClose
	case f.Initiator == Remote:
		return byViolation
	case errors.Is(f.Err, ErrHeartbeatTimeout):
		return byHeartbeat
	}
	return byLoss
}

// causeCounter is a FailureCounts that goes on.
type causeCounter [causes]atomic.Uint64

func (c *causeCounter) add(f *Failure) { c[causeOf(f)].Add(1) }

func (c *causeCounter) load() FailureCounts {
	return FailureCounts{
		Hook: c[byHook].Load(), Dial: c[byDial].Load(), Refused: c[byRefusal].Load(), Lost: c[byLoss].Load(),
		Heartbeat: c[byHeartbeat].Load(), Closed: c[byClose].Load(), Violation: c[byViolation].Load(), Requested: c[byRequest].Load(),
	}
}

// reasonCounter is an UndeliveredCounts that goes on.
type reasonCounter struct{ closed, expired, outboxFull, unconfirmed atomic.Uint64 }

func (c *reasonCounter) add(reason error) {
	switch {
	case errors.Is(reason, ErrUnconfirmed):
		c.unconfirmed.Add(1)
	case errors.Is(reason, ErrExpired):
		c.expired.Add(1)
	case errors.Is(reason, ErrOutboxFull):
		c.outboxFull.Add(1)
	default:
		c.closed.Add(1)
	}
}

func (c *reasonCounter) load() UndeliveredCounts {
	return UndeliveredCounts{
		Closed: c.closed.Load(), Expired: c.expired.Load(), OutboxFull: c.outboxFull.Load(), Unconfirmed: c.unconfirmed.Load(),
	}
}
