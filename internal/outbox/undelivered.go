package outbox

import (
	"bytes"
	"slices"
	"time"
)

// How messages leave an outbox that will not be sent: dropped, expired, or
// given up at the end.

// discard reports a message of Enqueue as undelivered.
func (o *Outbox) discard(b *block, i int, reason error) {
	s := b.at(i)
	reason = o.reason(s, b.position(i), reason)
	o.Lost(1, reason)
	if o.Undelivered != nil {
		op, size, data := s.op, len(s.data), o.reportedData(s)
		o.unreported.count++
		o.unreported.bytes += size
		o.Notify(func() {
			defer o.reported(size)
			o.Undelivered(op, data, size, reason)
		})
	}
	o.complete(b, i)
}

// reason is that of a message which is not delivered, or may not be.
func (o *Outbox) reason(s *slot, position uint64, reason error) error {
	switch begun, sent := o.reached(position); {
	case position >= begun:
		return reason
	case position < sent && s.id != "":
		return o.ErrNotAcknowledged
	}
	return o.ErrInterrupted
}

// givenUp are the messages of a Session that has ended, up to a position, with
// the marks that held for them.
type givenUp struct{ end, begun, sent uint64 }

// reached returns the marks that hold for a position.
func (o *Outbox) reached(position uint64) (begun, sent uint64) {
	for _, g := range o.givenUp {
		if position < g.end {
			return g.begun, g.sent
		}
	}
	return o.begun, o.sent
}

// reportedData is what Undelivered gets, which keeps it.
func (o *Outbox) reportedData(s *slot) []byte {
	switch {
	case !o.KeepData:
		return nil
	case len(s.data) > ownMemory:
		return s.data
	}
	return bytes.Clone(s.data)
}

// reported is called behind Undelivered.
func (o *Outbox) reported(size int) {
	o.mu.Lock()
	o.unreported.count--
	o.unreported.bytes -= size
	o.mu.Unlock()
}

// dropFor drops the oldest messages until one of size fits. What is in the
// writer's batch can't be dropped any more, and does not count against the newer
// one: it is one batch at most.
func (o *Outbox) dropFor(size, idSize int) {
	for b := o.ring.first; b != nil && !o.fits(size, idSize); {
		next := b.next
		for i := range indexes(b.from(b.live&^b.taken&^b.sends, o.ring.floor)) {
			if o.discard(b, i, o.ErrOutboxFull); o.fits(size, idSize) {
				break
			}
		}
		b = next
	}
	o.advance()
}

// alarm is a timer that knows whether it is still the one that is waited for.
type alarm struct{ timer *time.Timer }

func (a *alarm) stop() {
	if a != nil {
		a.timer.Stop()
	}
}

// expireAtOnce is how many messages expire before others get the lock.
const expireAtOnce = 256

// arm sets the timer of the oldest message that may expire.
func (o *Outbox) arm(d time.Duration) {
	a := &alarm{}
	a.timer = time.AfterFunc(d, func() { o.expire(a) })
	o.expiry = a
}

// rearm is arm after the oldest message may have become another one.
func (o *Outbox) rearm() {
	if o.MaxAge <= 0 {
		return
	}
	o.expiry.stop()
	o.expiry = nil
	if o.latest.finished {
		return
	}
	if left, some := o.expireOld(); some {
		o.arm(left)
	}
}

func (o *Outbox) expire(a *alarm) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.expiry == a {
		o.rearm()
		o.advance()
	}
}

// expireOld reports messages that are too old, and returns when the next one
// will be, which may be now; some is false if there is none.
func (o *Outbox) expireOld() (left time.Duration, some bool) {
	now, most := o.clock(), expireAtOnce
	for b := o.ring.waiting; b != nil; {
		next := b.next
		for i := range indexes(b.from(b.live&^b.sends, o.ring.next)) {
			left = o.MaxAge - (now - b.at(i).at)
			if left > 0 || most == 0 {
				return max(left, 0), true
			}
			most--
			o.discard(b, i, o.ErrExpired)
		}
		b = next
	}
	return 0, false
}

// giveUp leaves the messages of a Session that has ended to be reported, behind
// the callbacks of what has been received: one of them may acknowledge a
// message. Only those that were not sent are sure to be lost.
func (o *Outbox) giveUp(s *Session) (late int) {
	end := min(s.end, o.ring.tail)
	left := o.totalsBefore(end)
	if left.count == 0 {
		s.reported.happen()
		return 0
	}
	o.failFlushes(end, s.closedError())
	o.ring.raiseFloor(end)
	o.givenUp = append(o.givenUp, givenUp{end, o.begun, o.sent})
	o.count -= left.count
	o.bytes -= left.bytes
	o.overhead -= left.overhead
	o.ids -= left.ids
	o.unacked -= left.unacked
	o.torn -= left.torn
	o.unreported.count += left.count
	o.unreported.bytes += left.bytes
	late = left.unacked + left.torn
	if n := left.count - late; n > 0 {
		o.Lost(n, o.ErrClosed)
	}
	o.advance()
	o.Notify(func() { o.reportAll(s, end) })
	return late
}

// reportAll reports what was given up. If a callback ends its goroutine, the
// rest is reported by another event.
func (o *Outbox) reportAll(s *Session, end uint64) {
	returned := false
	defer func() {
		if !returned {
			o.Notify(func() { o.reportAll(s, end) })
		}
	}()
	for o.report(end) {
	}
	returned = true
	o.mu.Lock()
	o.givenUp = slices.Delete(o.givenUp, 0, 1)
	s.reported.happen()
	o.mu.Unlock()
}

// totalsBefore returns those of the messages before a position. Of a Connect
// that no other has followed that is all.
func (o *Outbox) totalsBefore(end uint64) (t totals) {
	if end >= o.ring.tail {
		return o.totals
	}
	for b := o.ring.first; b != nil && b.base < end; b = b.next {
		for i := range indexes(b.before(b.from(b.live&^b.sends, o.ring.floor), end)) {
			s := b.at(i)
			t.count++
			t.bytes += len(s.data)
			t.overhead += slotBytes + len(s.id)
			switch begun := b.position(i) < o.begun; {
			case s.id == "" && begun:
				t.torn++
			case s.id != "" && begun:
				t.unacked++
				fallthrough
			case s.id != "":
				t.ids++
			}
		}
	}
	return t
}

// report reports the first message that was given up, if there is one up to end.
func (o *Outbox) report(end uint64) (some bool) {
	o.mu.Lock()
	b, i := o.ring.head()
	if b == nil || b.position(i) >= end {
		o.mu.Unlock()
		return false
	}
	s, position := b.at(i), b.position(i)
	op, size, data := s.op, len(s.data), o.reportedData(s)
	reason := o.reason(s, position, o.ErrClosed)
	begun, _ := o.reached(position)
	late := position < begun // and so not counted before
	o.unreported.count++     // until it is reported; it is not any more among those that wait
	o.unreported.bytes += size
	o.complete(b, i)
	o.advance()
	o.mu.Unlock()
	defer o.reported(size)
	if late {
		o.Lost(1, reason)
	}
	if o.Undelivered != nil {
		o.Undelivered(op, data, size, reason)
	}
	return true
}
