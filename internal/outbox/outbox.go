package outbox

import (
	"bytes"
	"container/list"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Outbox is everything of a client that waits to be written, acknowledged or
// reported: messages of Enqueue, which outlive a connection, and of Send, whose
// callers wait and which die with it. They are in one ring, so each sender's
// order is kept. It is the same for every Connect and Run; what belongs to one
// of them is its Session.
type Outbox struct {
	Config
	began time.Time // of its clock

	mu   sync.Mutex // guards all that follows
	ring ring

	totals     // of what is not done, and not given up: what the limits are for
	reserved   struct{ count, bytes int }
	unreported struct{ count, bytes int } // no longer queued, and not yet reported to Undelivered

	// Positions: what is before may have reached the peer.
	sent  uint64 // as a whole
	begun uint64 // in part

	latest  *Session
	givenUp []givenUp // not yet reported
	sending int       // Sends that wait
	w       *Writer   // of the open connection; nil if there is none
	parted  bool      // w gets nothing more: its connection is over

	acks    *index        // nil while acks come in order
	flushes list.List     // of *flush
	mark    uint64        // behind the latest message of Enqueue
	idle    chan struct{} // closed when nothing is left to be sent; nil if nobody waits
	expiry  *alarm        // of the oldest message that may expire
	watch   *ackWatch     // of the oldest one that is not acknowledged

	store stored
	pacer *pacer // nil without a Limiter
}

// totals are of messages of Enqueue.
type totals struct {
	count    int
	bytes    int // of data
	overhead int // of memory besides that
	ids      int // of them will be acknowledged
	unacked  int // of those may have reached the peer
	torn     int // of the others may have, and are sent again: see Config.Resend
}

const (
	// Each message costs memory besides its data: a slot, and its part of what
	// holds slots. That of so many is not counted, so that Config.Bytes means
	// data where messages are few.
	slotBytes    = 128
	freeOverhead = 1024 * slotBytes

	// What may wait for Undelivered where the outbox itself is smaller.
	minUnreported      = 1024
	minUnreportedBytes = 1 << 20
)

// New returns an empty outbox with its first Session.
func New(cfg Config) *Outbox {
	o := &Outbox{Config: cfg, began: time.Now()}
	if o.Messages < 0 {
		o.Messages = math.MaxInt
	}
	if o.Bytes < 0 {
		o.Bytes = math.MaxInt
	}
	o.latest = newSession(o)
	if cfg.Limiter != nil {
		o.pacer = &pacer{wait: cfg.Limiter, report: cfg.LimiterFailed}
	}
	return o
}

func (o *Outbox) clock() time.Duration { return time.Since(o.began) }

// Enqueue copies data and returns at once, or, with a Store, once that has it.
func (o *Outbox) Enqueue(op wire.Op, data []byte) error {
	id := ""
	if f := o.ConfirmID; f != nil {
		id = f(op, data)
	}
	if o.Store != nil {
		return o.enqueueStored(slot{op: op, data: data, id: id})
	}
	if len(data) > ownMemory { // is copied here, since the ring would do it under the lock
		o.mu.Lock()
		err := o.reserve(len(data), len(id))
		o.mu.Unlock()
		if err != nil {
			return err
		}
		data = bytes.Clone(data)
	}
	o.mu.Lock()
	err := o.admit(len(data), len(id))
	var w *Writer
	if err == nil {
		w = o.enqueue(&slot{op: op, data: data, id: id})
	}
	o.mu.Unlock()
	if w != nil {
		w.kick()
	}
	return err
}

// enqueueStored is Enqueue with a Store: the outbox is not locked while that takes
// the message, so it reserves the capacity first. With DropOldest it reserves what
// others could be dropped for, and drops them once the message is accepted.
func (o *Outbox) enqueueStored(s slot) (err error) {
	if err := o.awaitLoad(); err != nil {
		return err
	}
	size := len(s.data)
	o.mu.Lock()
	if err := o.reserve(size, len(s.id)); err != nil {
		o.mu.Unlock()
		return err
	}
	o.reserved.count++
	o.reserved.bytes += size
	o.store.seq++
	s.key = o.store.seq
	o.mu.Unlock()

	accepted := false // also if the Store panics
	defer func() {
		o.mu.Lock()
		o.reserved.count--
		o.reserved.bytes -= size
		var w *Writer
		if accepted {
			if o.DropOldest {
				o.dropFor(size, len(s.id))
			}
			w = o.enqueue(&s)
		}
		o.advance()
		o.mu.Unlock()
		if w != nil {
			w.kick()
		}
	}()
	if err := o.Store.Append(s.key, s.op, s.data); err != nil {
		return fmt.Errorf("wsnotify: Outbox.Store did not take the message: %w", err)
	}
	if size > ownMemory {
		s.data = bytes.Clone(s.data)
	}
	accepted = true
	return nil
}

// admit makes sure that a message can be enqueued now, for which others are
// dropped if need be.
func (o *Outbox) admit(size, idSize int) error {
	if o.latest.closed || o.unreported.count > 0 || !o.fits(size, idSize) {
		if err := o.reserve(size, idSize); err != nil {
			return err
		}
		o.dropFor(size, idSize)
	}
	return nil
}

// fits reports whether a message is within the limits. With DropOldest it need
// not wait for what others have reserved: they will drop something, too.
func (o *Outbox) fits(size, idSize int) bool {
	count, bytes := o.count, o.bytes
	if !o.DropOldest {
		count, bytes = count+o.reserved.count, bytes+o.reserved.bytes
	}
	over := max(0, o.overhead+slotBytes+idSize-freeOverhead)
	return count < o.Messages && size <= o.Bytes-bytes-over
}

// reserve reports why a message can't be accepted, if so. With DropOldest it is
// enough that others could be dropped for it.
func (o *Outbox) reserve(size, idSize int) error {
	crowded := o.crowded(size)
	if crowded {
		// Callbacks that take no time only have to be given some.
		o.mu.Unlock()
		runtime.Gosched()
		o.mu.Lock()
		crowded = o.crowded(size)
	}
	switch {
	case o.latest.closed:
		return o.ErrClosed
	case size > o.Bytes:
		return o.TooLarge(size, o.Bytes)
	case crowded:
		return o.ErrOutboxFull
	case o.DropOldest && o.reserved.count < o.Messages && size <= o.Bytes-o.reserved.bytes:
		return nil
	case o.fits(size, idSize):
		return nil
	}
	return o.ErrOutboxFull
}

// crowded reports whether too much has left the ring and still waits for
// Undelivered or the Store.
func (o *Outbox) crowded(size int) bool {
	return o.unreported.count >= max(o.Messages, minUnreported) ||
		o.unreported.count > 0 && size > max(o.Bytes, minUnreportedBytes)-o.unreported.bytes ||
		len(o.store.removals) > max(o.Bytes, minUnreportedBytes)/removalBytes
}

// enqueue adds an accepted message, and returns the writer to be kicked.
func (o *Outbox) enqueue(s *slot) *Writer {
	if o.MaxAge > 0 {
		s.at = o.clock()
	}
	o.ring.push(s)
	o.mark = o.ring.tail
	o.count++
	o.bytes += len(s.data)
	o.overhead += slotBytes + len(s.id)
	if s.id != "" {
		o.ids++
		o.indexAhead()
	}
	if o.MaxAge > 0 && o.expiry == nil && !o.latest.finished {
		o.arm(o.MaxAge)
	}
	if o.parted {
		return nil
	}
	return o.w
}

// complete marks a slot done whose outcome is decided. Whoever does that calls
// advance at the end.
func (o *Outbox) complete(b *block, i int) {
	if b.sends>>i&1 == 0 {
		o.forget(b.at(i), b, i)
	}
	o.ring.done(b, i)
	o.ring.tidy(b)
}

// forget takes a message of Enqueue out of the counts.
func (o *Outbox) forget(s *slot, b *block, i int) {
	size, position := len(s.data), b.position(i)
	if s.id != "" && position < o.ring.indexed {
		o.acks.remove(s.id, ref{b, i})
	}
	if position < o.ring.floor {
		o.unreported.count--
		o.unreported.bytes -= size
	} else {
		o.count--
		o.bytes -= size
		o.overhead -= slotBytes + len(s.id)
		switch begun := position < o.begun; {
		case s.id == "" && begun:
			o.torn--
		case s.id != "" && begun:
			o.unacked--
			fallthrough
		case s.id != "":
			o.ids--
		}
	}
	if s.key != 0 {
		o.remove(s.key)
	}
}

// advance notifies those who wait for slots to be done.
func (o *Outbox) advance() {
	if o.flushes.Len() > 0 {
		o.endFlushes(o.ring.headPosition(), nil)
	}
	if o.acks != nil && o.ids == 0 && o.ring.live == 0 {
		o.acks = nil
	}
	if o.idle != nil && o.isIdle() {
		close(o.idle)
		o.idle = nil
	}
	if o.pacer.limited() && o.w != nil {
		if b, _ := o.ring.peek(); b == nil {
			o.pacer.rest(o.w)
		}
	}
}

func (o *Outbox) isIdle() bool { return o.ring.live == 0 && o.reserved.count == 0 }
