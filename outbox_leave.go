package wsnotify

import (
	"sync/atomic"
	"time"
)

// How messages leave an outbox that will not be sent: dropped, expired, or
// left at the end.

// post is how the outboxes of a client tell it what became of their messages.
type post struct {
	tell        func(func())                     // queues an event; never blocks
	undelivered func(Message, int, error)        // tells of a message of a size, on the goroutine of the callbacks; nil if nobody wants to know
	keepData    bool                             // with the message
	began       time.Time                        // of the clock that ages are measured by
	lost        func()                           // counts
	written     func(messages, bytes, again int) // counts

	// Messages that wait for undelivered, and their bytes.
	messages, bytes atomic.Int64
}

// discard reports a message of Enqueue as undelivered.
func (b *outbox) discard(e *entry, reason error) {
	b.done(e)
	if e.sent {
		reason = ErrUnconfirmed
	}
	b.post.lost()
	if p := b.post; p.undelivered != nil {
		size, msg := len(e.data), Message{Type: MessageType(e.typ)}
		if p.keepData {
			if msg.Data = e.data; e.chunk != nil {
				msg.Data = append([]byte(nil), e.data...)
			}
		}
		p.hold(size)
		p.tell(func() {
			defer p.release(size)
			p.undelivered(msg, size, reason)
		})
	}
	b.remove(e)
}

func (p *post) hold(size int) {
	p.messages.Add(1)
	p.bytes.Add(int64(size))
}

func (p *post) release(size int) {
	p.messages.Add(-1)
	p.bytes.Add(-int64(size))
}

// arm sets the timer of the oldest message that may expire.
func (b *outbox) arm() {
	if b.cfg.MaxAge <= 0 || b.expiry != nil || b.finished {
		return
	}
	if e := b.oldest(); e != nil && !e.fresh {
		b.expiry = time.AfterFunc(b.cfg.MaxAge-time.Duration(b.clock()-e.at), b.expire)
	}
}

// rearm is arm after older messages have come before those that wait.
func (b *outbox) rearm() {
	if b.cfg.MaxAge <= 0 || b.finished {
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
func (b *outbox) expire() {
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
func (b *outbox) dropOld() {
	now := b.clock()
	for e := b.oldest(); e != nil && !e.fresh && time.Duration(now-e.at) >= b.cfg.MaxAge; e = b.oldest() {
		b.discard(e, ErrExpired)
	}
}

// refuse takes no further message. What was accepted can still be written.
func (b *outbox) refuse() {
	b.mu.Lock()
	b.refused = true
	b.mu.Unlock()
}

// finish reports what is left, or leaves it to the Store. There is no writer
// any more.
func (b *outbox) finish() {
	b.mu.Lock()
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
		case b.keeper != nil:
		case e.sent && e.receipt != nil:
			b.tellLate(e)
		default:
			b.discard(e, ErrClosed)
		}
		e = next
	}
	heir := b.heir
	if heir != nil {
		rest = b.surrender()
	}
	b.mu.Unlock()
	if heir != nil {
		heir.inherit(rest)
	}
}

// tellLate reports a message behind the callbacks of what has been received,
// unless it is confirmed by one of them.
func (b *outbox) tellLate(e *entry) {
	p, size := b.post, len(e.data)
	p.hold(size)
	p.tell(func() {
		defer p.release(size)
		b.mu.Lock()
		if e.place == nowhere {
			b.mu.Unlock()
			return
		}
		msg := Message{Type: MessageType(e.typ), Data: e.data}
		b.leave(e)
		b.remove(e)
		b.mu.Unlock()
		p.lost()
		if p.undelivered != nil {
			p.undelivered(msg, size, ErrUnconfirmed)
		}
	})
}
