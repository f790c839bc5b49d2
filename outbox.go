package wsnotify

import (
	"context"
	"sync"
	"time"
)

// outbox is the queue of everything that waits to be written during one
// Connect or Run: messages of Enqueue, which outlive a connection, and of
// Send, whose callers wait and which die with it. One queue for both keeps
// each sender's order.
//
// The first taken entries have been encoded by the writer of the open
// connection; it says later how many of them reached the socket.
type outbox struct {
	cfg         Outbox
	undelivered func(Message, error) // queues the event; never blocks
	written     func(messages, bytes int)

	mu      sync.Mutex
	ring    []entry // a power of two
	head    int     // index of the oldest entry
	n       int
	taken   int
	base    uint64 // sequence number of the oldest entry
	queued  int    // entries of Enqueue, and their bytes
	bytes   int
	w       *writer       // of the open connection, nil if there is none
	refused bool          // takes nothing more
	parted  bool          // w may not take any more: its connection is over
	empty   chan struct{} // closed when queued becomes 0; nil if nobody waits
	sent    chan struct{} // closed when n becomes 0; nil if nobody waits
	over    chan struct{} // closed by finish
	expiry  *time.Timer   // of the oldest entry that may expire

	chunk *chunk // where the next message is copied to
	free  []*waiter
}

type entry struct {
	typ   MessageType
	gone  bool // cancelled, dropped or expired: skip it
	data  []byte
	chunk *chunk    // holds data; nil if data has memory of its own
	wait  *waiter   // of a Send; nil for Enqueue
	at    time.Time // of Enqueue, if there is a MaxAge
}

// waiter is one Send that waits for its entry.
type waiter struct {
	result chan error // of capacity 1
	seq    uint64
}

// chunk is memory that several messages share, so that none needs its own.
type chunk struct {
	buf  []byte
	live int // entries that still point into buf
}

const (
	chunkSize   = 16 << 10
	ownMemory   = 4 << 10 // larger messages than this are copied to memory of their own
	freeWaiters = 64
)

var chunks = sync.Pool{New: func() any { return &chunk{buf: make([]byte, 0, chunkSize)} }}

func newOutbox(cfg Outbox, undelivered func(Message, error), written func(int, int)) *outbox {
	return &outbox{cfg: cfg, undelivered: undelivered, written: written, over: make(chan struct{})}
}

func (b *outbox) at(i int) *entry { return &b.ring[(b.head+i)&(len(b.ring)-1)] }

// enqueue copies data and returns at once.
func (b *outbox) enqueue(typ MessageType, data []byte) error {
	b.mu.Lock()
	if b.refused {
		b.mu.Unlock()
		return ErrClosed
	}
	if !b.makeRoom(len(data)) {
		b.mu.Unlock()
		return ErrOutboxFull
	}
	e := b.push()
	e.typ = typ
	e.data, e.chunk = b.copy(data)
	if b.cfg.MaxAge > 0 {
		e.at = time.Now()
		if b.expiry == nil {
			b.expiry = time.AfterFunc(b.cfg.MaxAge, b.expire)
		}
	}
	b.queued++
	b.bytes += len(data)
	w := b.w
	b.mu.Unlock()
	if w != nil {
		w.kick()
	}
	return nil
}

// makeRoom reports whether a message of size fits. What the writer has taken
// can't be dropped any more, and with DropOldest it does not count against
// the newcomer: it is one batch at most.
func (b *outbox) makeRoom(size int) bool {
	fits := func(queued, bytes int) bool {
		return (b.cfg.Messages < 0 || queued < b.cfg.Messages) && (b.cfg.Bytes < 0 || bytes+size <= b.cfg.Bytes)
	}
	if fits(b.queued, b.bytes) {
		return true
	}
	if b.cfg.Overflow != DropOldest || !fits(0, 0) {
		return false
	}
	for i := b.taken; i < b.n && !fits(b.queued, b.bytes); i++ {
		if e := b.at(i); e.wait == nil && !e.gone {
			b.discard(e, ErrOutboxFull)
		}
	}
	return true
}

// push adds an entry at the end, which the caller fills in.
func (b *outbox) push() *entry {
	if b.n == len(b.ring) {
		ring := make([]entry, max(16, 2*len(b.ring)))
		for i := range b.n {
			ring[i] = *b.at(i)
		}
		b.ring, b.head = ring, 0
	}
	b.n++
	return b.at(b.n - 1)
}

func (b *outbox) copy(data []byte) ([]byte, *chunk) {
	if len(data) > ownMemory {
		return append([]byte(nil), data...), nil
	}
	c := b.chunk
	if c == nil || len(c.buf)+len(data) > cap(c.buf) {
		b.retire()
		c = chunks.Get().(*chunk)
		b.chunk = c
	}
	start := len(c.buf)
	c.buf = append(c.buf, data...)
	c.live++
	return c.buf[start:len(c.buf):len(c.buf)], c
}

// retire gives up the current chunk; its entries keep it until they are done.
func (b *outbox) retire() {
	if c := b.chunk; c != nil {
		b.chunk = nil
		if c.live == 0 {
			c.buf = c.buf[:0]
			chunks.Put(c)
		}
	}
}

// pop removes the oldest entry, which has been dealt with.
func (b *outbox) pop() {
	e := b.at(0)
	if c := e.chunk; c != nil {
		if c.live--; c.live == 0 {
			c.buf = c.buf[:0]
			if c != b.chunk {
				chunks.Put(c)
			}
		}
	}
	*e = entry{}
	b.head = (b.head + 1) & (len(b.ring) - 1)
	b.n--
	b.base++
	if b.taken > 0 {
		b.taken--
	}
	if b.n == 0 {
		if b.sent != nil {
			close(b.sent)
			b.sent = nil
		}
		b.retire()
		if len(b.ring) > 64 {
			b.ring, b.head = nil, 0 // no memory is kept from a burst
		}
	}
}

// leave takes an entry of Enqueue out of the count.
func (b *outbox) leave(e *entry) {
	b.queued--
	b.bytes -= len(e.data)
	if b.queued == 0 && b.empty != nil {
		close(b.empty)
		b.empty = nil
	}
}

// discard reports an entry of Enqueue as undelivered.
func (b *outbox) discard(e *entry, reason error) {
	e.gone = true
	b.undelivered(Message{Type: e.typ, Data: append([]byte(nil), e.data...)}, reason)
	b.leave(e)
}

// expire reports what is too old, and sets the timer for what will be.
func (b *outbox) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.expiry == nil {
		return
	}
	b.expiry = nil
	now := time.Now()
	for i := b.taken; i < b.n; i++ {
		e := b.at(i)
		if e.wait != nil || e.gone {
			continue
		}
		if left := b.cfg.MaxAge - now.Sub(e.at); left > 0 {
			b.expiry = time.AfterFunc(left, b.expire)
			break
		}
		b.discard(e, ErrExpired)
	}
	b.sweep()
}

// sweep pops the entries at the front that are gone.
func (b *outbox) sweep() {
	for b.n > 0 && b.taken == 0 && b.at(0).gone {
		b.pop()
	}
}

// send waits until data is written, ctx ends or the connection does.
func (b *outbox) send(ctx context.Context, typ MessageType, data []byte) error {
	return b.sendOver(ctx, nil, typ, data)
}

// sendOver is send over no other connection than that of only; nil means any.
func (b *outbox) sendOver(ctx context.Context, only *writer, typ MessageType, data []byte) error {
	b.mu.Lock()
	w := b.w
	switch {
	case b.refused:
		b.mu.Unlock()
		return ErrClosed
	case w == nil || b.parted || only != nil && only != w:
		b.mu.Unlock()
		return ErrNotConnected
	}
	var wt *waiter
	if last := len(b.free) - 1; last >= 0 {
		wt, b.free = b.free[last], b.free[:last]
	} else {
		wt = &waiter{result: make(chan error, 1)}
	}
	wt.seq = b.base + uint64(b.n)
	e := b.push()
	e.typ, e.data, e.wait = typ, data, wt
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
	if len(b.free) < freeWaiters {
		b.free = append(b.free, wt)
	}
	b.mu.Unlock()
	return err
}

// cancel ends the wait of a Send. Under the lock of the writer's batch nobody
// reads data, and that of the entry is not in use any more when cancel returns.
func (b *outbox) cancel(w *writer, wt *waiter, cause error) error {
	w.batch.Lock()
	defer w.batch.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case err := <-wt.result:
		return err
	default:
	}
	i := int(wt.seq - b.base)
	e := b.at(i)
	e.wait, e.data, e.gone = nil, nil, true
	if i >= b.taken {
		b.sweep()
	} else if w.withdraw(i) {
		return &unconfirmedError{cause}
	}
	return cause
}

// unconfirmedError is ErrUnconfirmed with the reason why.
type unconfirmedError struct{ cause error }

func (e *unconfirmedError) Error() string   { return ErrUnconfirmed.Error() + ": " + e.cause.Error() }
func (e *unconfirmedError) Unwrap() []error { return []error{ErrUnconfirmed, e.cause} }

// item is what the writer encodes.
type item struct {
	typ  MessageType
	data []byte
}

// take hands the next messages to w, as many as fit into items, until their
// size reaches limit. An item without a type stands for an entry that is gone.
func (b *outbox) take(w *writer, items []item, limit int) []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.w != w || b.parted {
		return items
	}
	for size := 0; b.taken < b.n && len(items) < cap(items) && size < limit; b.taken++ {
		e := b.at(b.taken)
		if !e.gone && !e.at.IsZero() && time.Since(e.at) >= b.cfg.MaxAge {
			b.discard(e, ErrExpired)
		}
		if e.gone {
			items = append(items, item{})
			continue
		}
		items = append(items, item{e.typ, e.data})
		size += len(e.data)
	}
	return items
}

// settle ends the first done entries, which are in the kernel.
func (b *outbox) settle(done int) {
	b.mu.Lock()
	b.finishTaken(done)
	b.mu.Unlock()
}

func (b *outbox) finishTaken(done int) {
	messages, bytes := 0, 0
	for range done {
		e := b.at(0)
		if !e.gone {
			messages++
			bytes += len(e.data)
			if e.wait != nil {
				e.wait.result <- nil
			} else {
				b.leave(e)
			}
		}
		b.pop()
	}
	if messages > 0 {
		b.written(messages, bytes)
	}
}

// attach gives the messages to the writer of a connection that is now open.
func (b *outbox) attach(w *writer) {
	b.mu.Lock()
	b.w, b.parted = w, false
	waiting := b.n > 0
	b.mu.Unlock()
	if waiting {
		w.kick()
	}
}

// part leaves what is not yet encoded to the next connection. It comes before
// the state is Closed, so that nothing that is queued after that is written to
// a socket whose other end is gone.
func (b *outbox) part() {
	b.mu.Lock()
	b.parted = true
	b.mu.Unlock()
}

// detach takes them back when the connection can't write any more: done
// entries were written, the next one was in the middle of it if torn, and
// the rest certainly not sent.
func (b *outbox) detach(w *writer, done int, torn bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.w != w {
		return
	}
	b.w = nil
	b.finishTaken(done)
	if torn {
		e := b.at(0)
		switch {
		case e.wait != nil:
			e.wait.result <- ErrUnconfirmed
			e.wait, e.gone = nil, true
		case e.gone || b.cfg.Resend:
		default:
			b.discard(e, ErrUnconfirmed)
		}
	}
	b.taken = 0
	reason := ErrNotConnected
	if b.refused {
		reason = ErrClosed
	}
	for i := range b.n {
		if e := b.at(i); e.wait != nil {
			e.wait.result <- reason
			e.wait, e.data, e.gone = nil, nil, true
		}
	}
	b.sweep()
}

// refuse takes no further message. What was accepted can still be written.
func (b *outbox) refuse() {
	b.mu.Lock()
	b.refused = true
	b.mu.Unlock()
}

// finish reports what is left. There is no writer any more.
func (b *outbox) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.expiry != nil {
		b.expiry.Stop()
		b.expiry = nil
	}
	b.refused = true
	select {
	case <-b.over:
	default:
		close(b.over)
	}
	for b.n > 0 {
		if e := b.at(0); !e.gone {
			b.discard(e, ErrClosed)
		}
		b.pop()
	}
}

// flush waits until every message of Enqueue is written or given up.
func (b *outbox) flush(ctx context.Context) error {
	b.mu.Lock()
	if b.queued == 0 {
		b.mu.Unlock()
		return nil
	}
	if b.empty == nil {
		b.empty = make(chan struct{})
	}
	empty := b.empty
	b.mu.Unlock()
	select {
	case <-empty:
		select {
		case <-b.over: // emptied by giving the rest up
			return ErrClosed
		default:
			return nil
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unsent returns nil when there is nothing to be sent, and otherwise a channel
// that is closed when that may have changed.
func (b *outbox) unsent() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n == 0 {
		return nil
	}
	if b.sent == nil {
		b.sent = make(chan struct{})
	}
	return b.sent
}

func (b *outbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queued
}
