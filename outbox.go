package wsnotify

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// outbox is the queue of everything that waits to be written during one
// Connect or Run: messages of Enqueue, which outlive a connection, and of
// Send, whose callers wait and which die with it. One queue for both keeps
// each sender's order.
//
// The first of the queue, up to mark, have been taken and encoded by the
// writer of the open connection; it says later how many of them reached the
// socket. One that the server will confirm stands aside then, and waits again,
// before everything newer, when the connection ends.
type outbox struct {
	cfg    *Outbox
	post   *post
	keeper *keeper // nil without a Store

	mu          sync.Mutex
	entries     entries
	queue       list
	mark        *entry // the first that is not taken; nil if there is none
	unconfirmed list
	hint        *entry // what oldest has found; nil if it has to look
	seq         uint64 // of the latest message
	queued      int    // messages of Enqueue, and their bytes
	bytes       int
	most        int // the bounds of these
	mostBytes   int
	w           *writer // of the open connection, nil if there is none
	refused     bool    // takes nothing more
	parted      bool    // w may not take any more: its connection is over
	finished    bool    // nothing is written any more
	heir        *outbox // takes what the Store keeps when this one has ended

	expiry *time.Timer // of the oldest message that may expire
	watch  *time.Timer // of the oldest unconfirmed one

	receipts map[string]*receipt
	unproven int // sent and not confirmed

	barriers []*barrier // in order; nil if there are none
	behind   int        // messages that count for one of them

	freeWaiters []*waiter
}

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

// waiter is one Send that waits for its entry.
type waiter struct {
	result chan error // of capacity 1
	entry  *entry     // valid until there is a result
}

const (
	maxFreeWaiters = 64

	// What may wait for OnUndelivered where the outbox itself is smaller.
	leastUntold      = 1024
	leastUntoldBytes = 1 << 20
)

func newOutbox(cfg *Outbox, p *post, k *keeper) *outbox {
	b := &outbox{cfg: cfg, post: p, keeper: k, most: cfg.Messages, mostBytes: cfg.Bytes}
	if b.most < 0 {
		b.most = math.MaxInt
	}
	if b.mostBytes < 0 {
		b.mostBytes = math.MaxInt
	}
	return b
}

func (b *outbox) clock() int64 { return int64(time.Since(b.post.began)) }

// enqueue copies data and returns at once, or, with a Store, once that has it.
func (b *outbox) enqueue(typ MessageType, data []byte) error {
	id := ""
	if f := b.cfg.ConfirmID; f != nil {
		id = f(Message{Type: typ, Data: data})
	}
	if b.keeper != nil {
		return b.enqueueKept(typ, data, id)
	}
	b.mu.Lock()
	if b.refused || !b.fits(len(data)) || b.post.messages.Load() > 0 {
		if err := b.admit(len(data)); err != nil {
			b.mu.Unlock()
			return err
		}
	}
	b.seq++
	b.add(typ, data, id)
	w := b.w
	b.mu.Unlock()
	if w != nil {
		w.kick()
	}
	return nil
}

func (b *outbox) fits(size int) bool {
	return b.queued < b.most && b.bytes+size <= b.mostBytes
}

// admit makes room for a message of size. What the writer has taken can't be
// dropped any more, and with DropOldest it does not count against the
// newcomer: it is one batch at most.
func (b *outbox) admit(size int) error {
	crowded := b.crowded(size)
	if crowded {
		// Callbacks that take no time only have to be given some.
		b.mu.Unlock()
		runtime.Gosched()
		b.mu.Lock()
		crowded = b.crowded(size)
	}
	switch {
	case b.refused:
		return ErrClosed
	case size > b.mostBytes:
		return &MessageTooLargeError{Size: size, Limit: b.mostBytes}
	case crowded:
		return ErrOutboxFull
	}
	for !b.fits(size) {
		if b.cfg.Overflow != DropOldest {
			return ErrOutboxFull
		}
		e := b.droppable()
		if e == nil {
			break
		}
		b.discard(e, ErrOutboxFull)
	}
	return nil
}

// crowded reports whether too much has left this outbox, or one before it,
// and still waits for OnUndelivered or the Store.
func (b *outbox) crowded(size int) bool {
	messages := b.post.messages.Load()
	if b.keeper != nil {
		messages += b.keeper.unkept.Load()
	}
	return messages >= int64(max(b.most, leastUntold)) ||
		messages > 0 && b.post.bytes.Load()+int64(size) > int64(max(b.mostBytes, leastUntoldBytes))
}

// oldest returns the first message of Enqueue that is not taken.
func (b *outbox) oldest() *entry {
	if b.hint == nil {
		e := b.mark
		for e != nil && e.wait != nil {
			e = e.next
		}
		b.hint = e
	}
	return b.hint
}

// droppable returns the oldest message that the writer is not at; nil if there
// is none.
func (b *outbox) droppable() *entry {
	if e := b.unconfirmed.first; e != nil {
		return e
	}
	for e := b.oldest(); e != nil; e = e.next {
		if e.wait == nil && !e.fresh { // there are few others, each with its caller
			return e
		}
	}
	return nil
}

// add queues a message of Enqueue.
func (b *outbox) add(typ MessageType, data []byte, id string) *entry {
	e := b.entries.get()
	e.typ, e.seq = uint8(typ), b.seq
	b.entries.copy(e, data, id != "" || b.keeper != nil)
	b.push(e)
	b.queued++
	b.bytes += len(data)
	if id != "" {
		b.expect(e, id)
	}
	if b.cfg.MaxAge > 0 {
		e.at = b.clock()
		b.arm()
	}
	return e
}

// push lets an entry wait behind all others.
func (b *outbox) push(e *entry) {
	e.place = waiting
	b.queue.push(e)
	if b.mark == nil {
		b.mark = e
	}
}

// unlink takes an entry out of its list.
func (b *outbox) unlink(e *entry) {
	if e.place == unconfirmed {
		b.unconfirmed.remove(e)
	} else {
		if b.mark == e {
			b.mark = e.next
		}
		if b.hint == e {
			b.hint = nil
			for next := e.next; next != nil; next = next.next {
				if next.wait == nil {
					b.hint = next
					break
				}
			}
		}
		b.queue.remove(e)
	}
	e.place = nowhere
}

// remove forgets an entry that has been dealt with.
func (b *outbox) remove(e *entry) {
	b.unlink(e)
	b.entries.put(e)
	b.trim()
}

// trim keeps no memory when nothing is left.
func (b *outbox) trim() {
	if b.queue.first == nil && b.unconfirmed.first == nil {
		b.entries.trim()
	}
}

// leave takes a message of Enqueue out of the count.
func (b *outbox) leave(e *entry) {
	b.queued--
	b.bytes -= len(e.data)
	if b.barriers != nil {
		b.pass(e)
	}
	if e.receipt != nil {
		b.forgo(e)
	}
}

// done is leave for a message that the Store may forget.
func (b *outbox) done(e *entry) {
	b.leave(e)
	if b.keeper != nil {
		b.keeper.remove(e.seq)
	}
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

// send waits until data is written, ctx ends or the connection does.
func (b *outbox) send(ctx context.Context, typ MessageType, data []byte) error {
	b.mu.Lock()
	w := b.w
	switch {
	case b.refused:
		b.mu.Unlock()
		return ErrClosed
	case w == nil || b.parted:
		b.mu.Unlock()
		return ErrNotConnected
	}
	var wt *waiter
	if last := len(b.freeWaiters) - 1; last >= 0 {
		wt, b.freeWaiters = b.freeWaiters[last], b.freeWaiters[:last]
	} else {
		wt = &waiter{result: make(chan error, 1)}
	}
	e := b.entries.get()
	e.typ, e.data, e.wait = uint8(typ), data, wt
	wt.entry = e
	b.push(e)
	b.mu.Unlock()

	var err error
	if ctx.Done() == nil {
		// Nothing can cut this call short, so it may as well do the write, and
		// take along what others have queued.
		if w.claim() {
			w.lead(wt)
		}
		err = <-wt.result
	} else {
		w.kick()
		select {
		case err = <-wt.result:
		case <-ctx.Done():
			err = b.cancel(w, wt, ctx.Err())
		}
	}
	b.mu.Lock()
	if len(b.freeWaiters) < maxFreeWaiters {
		b.freeWaiters = append(b.freeWaiters, wt)
	}
	b.mu.Unlock()
	return err
}

// cancel ends the wait of a Send. Under w.enc no encoding is under way, so
// that the entry has either been encoded as a whole or not touched, and its
// data is not in use any more when cancel returns.
func (b *outbox) cancel(w *writer, wt *waiter, cause error) error {
	w.enc.Lock()
	defer w.enc.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case err := <-wt.result:
		return err
	default:
	}
	e := wt.entry
	if e.place == taken {
		e.wait, e.data, e.gone = nil, nil, true
		return &unconfirmedError{cause}
	}
	b.remove(e)
	return cause
}

// unconfirmedError is ErrUnconfirmed with the reason why.
type unconfirmedError struct{ cause error }

func (e *unconfirmedError) Error() string   { return ErrUnconfirmed.Error() + ": " + e.cause.Error() }
func (e *unconfirmedError) Unwrap() []error { return []error{ErrUnconfirmed, e.cause} }

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

// idle reports whether nothing is left that is to be written, stored or
// confirmed, of Send or of Enqueue.
func (b *outbox) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue.first == nil && b.unconfirmed.first == nil
}

// counts returns how many messages of Enqueue there are, and how many of them
// were sent and wait to be confirmed.
func (b *outbox) counts() (queued, unconfirmed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queued, b.unproven
}
