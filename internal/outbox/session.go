package outbox

import (
	"math"
	"sync"
)

// Session is the part of one Connect or Run in the outbox: the messages that
// are enqueued while it is the latest. With a Store, what is left at its end
// stays for the next one.
type Session struct {
	o        *Outbox
	end      uint64 // position behind its messages, once another has begun
	closed   bool   // nothing more is accepted
	finished bool   // nothing more is written
	closing  event  // closed is set
	reported event  // all that was given up is reported

	sends sync.Pool // of *send; of this Session, since a channel may be of a bubble of synctest
}

func newSession(o *Outbox) *Session {
	return &Session{o: o, end: math.MaxUint64}
}

// Latest returns the Session of the latest Connect or Run, or of the next one if
// there was none.
func (o *Outbox) Latest() *Session {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.latest
}

// Begin begins another Session: that before it ends here, and may still be
// writing its messages.
func (o *Outbox) Begin() *Session {
	s := newSession(o)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.latest.end = o.ring.tail
	o.latest = s
	o.rearm()
	o.advance()
	o.startRemoving()
	return s
}

// Attach gives the messages to the writer of a connection that is now open.
func (s *Session) Attach(w *Writer) { s.o.attach(s, w) }

// Part leaves what is not in a batch to the next connection.
func (s *Session) Part() { s.o.part() }

// Close accepts no further message. What was accepted can still be written.
func (s *Session) Close() {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	s.close()
}

func (s *Session) close() {
	if !s.closed {
		s.closed = true
		s.closing.happen()
	}
}

// closedError is that of whoever waited for something of this Session.
func (s *Session) closedError() error {
	if s != s.o.latest {
		return s.o.ErrSuperseded
	}
	return s.o.ErrClosed
}

// Finish reports what is left, or leaves it to the Store. There is no writer
// any more. It returns how many messages are reported later, of which nobody
// knows whether the peer has them: a callback of what has been received may
// still acknowledge them.
func (s *Session) Finish() (late int) {
	o := s.o
	o.mu.Lock()
	defer o.mu.Unlock()
	s.close()
	s.finished = true
	if o.Store == nil {
		late = o.giveUp(s)
	} else {
		s.reported.happen()
		if s == o.latest {
			o.failFlushes(math.MaxUint64, o.ErrClosed)
		}
	}
	o.rearm()
	return late
}

// Reported is closed when all that the Session has given up was reported.
func (s *Session) Reported() <-chan struct{} { return s.wait(&s.reported) }

// event happens once. Its channel is made by the first who waits for it: a client
// may be made outside of a bubble of synctest and used in one, where channels of
// another make time stand still. The lock of the outbox guards it.
type event struct {
	happened bool
	c        chan struct{} // nil: nobody waits
}

func (e *event) happen() {
	e.happened = true
	if e.c != nil {
		close(e.c)
	}
}

// wait returns a channel that is closed when e has happened.
func (s *Session) wait(e *event) <-chan struct{} {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	if e.c == nil {
		e.c = make(chan struct{})
		if e.happened {
			close(e.c)
		}
	}
	return e.c
}

// Unsent returns nil when nothing is left that is to be written, stored or
// acknowledged, and otherwise a channel that is closed when that may have
// changed.
func (s *Session) Unsent() <-chan struct{} {
	o := s.o
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.isIdle() {
		return nil
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	return o.idle
}

// Counts returns how many messages of Enqueue there are, and how many of them
// may have reached the peer and wait to be acknowledged.
func (o *Outbox) Counts() (queued, unacked int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count, o.unacked
}

// AwaitsAcks reports whether a Flush may have to wait for an ack.
func (o *Outbox) AwaitsAcks() bool {
	if o.ConfirmID == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ids > 0
}
