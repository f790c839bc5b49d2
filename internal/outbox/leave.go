package outbox

import "time"

// How messages leave an outbox that will not be sent: dropped, expired, or
// left at the end.

// discard reports a message of Enqueue as undelivered.
func (b *Box) discard(e *entry, reason error) {
	b.done(e)
	if e.sent {
		reason = b.post.unknown(e)
	}
	b.post.Lost(reason)
	if p := b.post; p.Undelivered != nil {
		op, size, data := e.op, len(e.data), []byte(nil)
		if p.KeepData {
			data = e.takeData()
		}
		p.hold(size)
		p.Tell(func() {
			defer p.release(size)
			p.Undelivered(op, data, size, reason)
		})
	}
	b.remove(e)
}

// unknown is why nobody knows whether the peer has a message.
func (p *Post) unknown(e *entry) error {
	if e.whole {
		return p.ErrNotAcknowledged
	}
	return p.ErrInterrupted
}

// arm sets the timer of the oldest message that may expire.
func (b *Box) arm() {
	if b.post.MaxAge <= 0 || b.expiry != nil || b.finished {
		return
	}
	if e := b.oldest(); e != nil && !e.fresh {
		b.expiry = time.AfterFunc(b.post.MaxAge-time.Duration(b.clock()-e.at), b.expire)
	}
}

// rearm is arm after older messages have come before those that wait.
func (b *Box) rearm() {
	if b.post.MaxAge <= 0 || b.finished {
		return
	}
	if b.expiry != nil {
		b.expiry.Stop()
		b.expiry = nil
	}
	b.dropOld()
	b.arm()
}

// expire reports what is too old, and sets the timer for what will be.
func (b *Box) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.expiry == nil {
		return
	}
	b.expiry = nil
	b.dropOld()
	b.arm()
}

// dropOld reports what is too old.
func (b *Box) dropOld() {
	now := b.clock()
	for e := b.oldest(); e != nil && !e.fresh && time.Duration(now-e.at) >= b.post.MaxAge; e = b.oldest() {
		b.discard(e, b.post.ErrExpired)
	}
}

// Refuse takes no further message. What was accepted can still be written.
func (b *Box) Refuse() {
	b.lock()
	b.refused = true
	b.unlock()
}

// Finish reports what is left, or leaves it to the Store. There is no writer
// any more. It returns how many messages are reported later, unless a callback
// of what has been received confirms them.
func (b *Box) Finish() (late int) {
	b.lock()
	b.refused, b.finished = true, true
	for _, timer := range []*time.Timer{b.expiry, b.watch} {
		if timer != nil {
			timer.Stop()
		}
	}
	b.expiry, b.watch = nil, nil
	b.abandon()
	var rest []*entry
	for e := b.queue.first; e != nil; {
		next := e.next
		switch {
		case e.fresh: // its Enqueue knows where it belongs
			b.leave(e)
			b.unlink(e)
		case b.post.Keeper != nil:
		case e.sent && e.awaits:
			late++
			b.tellLate(e)
		default:
			b.discard(e, b.post.ErrClosed)
		}
		e = next
	}
	heir := b.heir
	if heir != nil {
		rest = b.surrender()
	}
	b.unlock()
	if heir != nil {
		heir.inherit(rest)
	}
	return late
}

// tellLate reports a message behind the callbacks of what has been received,
// unless it is confirmed by one of them.
func (b *Box) tellLate(e *entry) {
	p, size := b.post, len(e.data)
	p.hold(size)
	p.Tell(func() {
		defer p.release(size)
		b.mu.Lock()
		if e.place == nowhere {
			b.mu.Unlock()
			return
		}
		b.leave(e)
		op, data, reason := e.op, e.takeData(), p.unknown(e)
		b.remove(e)
		b.mu.Unlock()
		p.Lost(reason)
		if p.Undelivered != nil {
			p.Undelivered(op, data, size, reason)
		}
	})
}
