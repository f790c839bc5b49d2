package outbox

import (
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Box is the queue of everything that waits to be written during one
// Connect or Run: messages of Enqueue, which outlive a connection, and of
// Send, whose callers wait and which die with it. One queue for both keeps
// each sender's order.
//
// The first of the queue, up to mark, have been taken and encoded by the
// writer of the open connection; it says later how many of them reached the
// socket. One that the server will confirm stands aside then, and waits again,
// before everything newer, when the connection ends.
type Box struct {
	post *Post

	_      [cacheLine]byte
	intake intake // of messages that are not in the queue yet
	_      [cacheLine]byte

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
	w           *Writer       // of the open connection, nil if there is none
	refused     bool          // takes nothing more
	parted      bool          // w may not take any more: its connection is over
	finished    bool          // nothing is written any more
	sent        chan struct{} // closed when nothing is left to be sent; nil if nobody waits
	heir        *Box          // takes what the Store keeps when this one has ended

	expiry *time.Timer // of the oldest message that may expire
	watch  *time.Timer // of the oldest unconfirmed one
	judged int64       // peer time when it last fired

	receipts map[string]*entry // the oldest with each id
	loose    *entry            // the first whose receipt is not in the map
	unproven int               // sent and not confirmed

	barriers []*barrier // in order; nil if there are none
	behind   int        // messages that count for one of them

	freeWaiters []*waiter
}

const (
	cacheLine = 64 // at least as large as what cores take from each other

	// What may wait for OnUndelivered where the outbox itself is smaller.
	leastUntold      = 1024
	leastUntoldBytes = 1 << 20
)

// New returns a box for one Connect or Run.
func New(p *Post) *Box {
	b := &Box{post: p, most: p.Messages, mostBytes: p.Bytes}
	if b.most < 0 {
		b.most = math.MaxInt
	}
	if b.mostBytes < 0 {
		b.mostBytes = math.MaxInt
	}
	confirms := p.ConfirmID != nil && p.Keeper == nil
	b.entries.confirms, b.intake.entries.confirms = confirms, confirms
	return b
}

func (b *Box) clock() int64 { return int64(time.Since(b.post.Began)) }

// Enqueue copies data and returns at once, or, with a Store, once that has it.
func (b *Box) Enqueue(op wire.Op, data []byte) error {
	id := ""
	if f := b.post.ConfirmID; f != nil {
		id = f(op, data)
	}
	if b.post.Keeper != nil {
		return b.enqueueKept(op, data, id)
	}
	w, ok := (*Writer)(nil), false
	if b.post.messages.Load() == 0 {
		w, ok = b.intake.add(op, data, id)
	}
	if !ok {
		var err error
		if w, err = b.enqueue(op, data, id); err != nil {
			return err
		}
	}
	if w != nil {
		w.kick()
	}
	return nil
}

// enqueue is Enqueue where the intake is closed.
func (b *Box) enqueue(op wire.Op, data []byte, id string) (*Writer, error) {
	b.lock()
	defer b.unlock()
	if b.refused || !b.fits(len(data)) || b.post.messages.Load() > 0 {
		if err := b.admit(len(data)); err != nil {
			return nil, err
		}
	}
	b.seq++
	b.add(op, data, id)
	return b.w, nil
}

func (b *Box) fits(size int) bool {
	return b.queued < b.most && b.bytes+size <= b.mostBytes
}

// admit makes room for a message of size. What the writer has taken can't be
// dropped any more, and with DropOldest it does not count against the
// newcomer: it is one batch at most.
func (b *Box) admit(size int) error {
	crowded := b.crowded(size)
	if crowded {
		// Callbacks that take no time only have to be given some.
		b.unlock()
		runtime.Gosched()
		b.lock()
		crowded = b.crowded(size)
	}
	switch {
	case b.refused:
		return b.post.ErrClosed
	case size > b.mostBytes:
		return b.post.TooLarge(size, b.mostBytes)
	case crowded:
		return b.post.ErrOutboxFull
	}
	for !b.fits(size) {
		if !b.post.DropOldest {
			return b.post.ErrOutboxFull
		}
		e := b.droppable()
		if e == nil {
			break
		}
		b.discard(e, b.post.ErrOutboxFull)
	}
	return nil
}

// crowded reports whether too much has left this outbox, or one before it,
// and still waits for OnUndelivered or the Store.
func (b *Box) crowded(size int) bool {
	messages := b.post.messages.Load()
	if b.post.Keeper != nil {
		messages += b.post.Keeper.unkept.Load()
	}
	return messages >= int64(max(b.most, leastUntold)) ||
		messages > 0 && b.post.bytes.Load()+int64(size) > int64(max(b.mostBytes, leastUntoldBytes))
}

// oldest returns the first message of Enqueue that is not taken.
func (b *Box) oldest() *entry {
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
func (b *Box) droppable() *entry {
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
func (b *Box) add(op wire.Op, data []byte, id string) *entry {
	e := b.entries.message(op, data, id, b.post.Keeper != nil)
	e.seq = b.seq
	if e.awaits {
		b.expect(e)
	}
	b.push(e)
	b.queued++
	b.bytes += len(data)
	if b.post.MaxAge > 0 {
		e.at = b.clock()
		b.arm()
	}
	return e
}

// push lets an entry wait behind all others.
func (b *Box) push(e *entry) {
	e.place = waiting
	b.queue.push(e)
	if b.mark == nil {
		b.mark = e
	}
}

// unlink takes an entry out of its list.
func (b *Box) unlink(e *entry) {
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
func (b *Box) remove(e *entry) {
	b.unlink(e)
	b.entries.put(e)
	b.trim()
}

// trim keeps no memory when nothing is left.
func (b *Box) trim() {
	if b.queue.first != nil || b.unconfirmed.first != nil {
		return
	}
	in := &b.intake
	in.mu.Lock()
	empty := in.list.first == nil
	if empty {
		b.entries.trim(&in.entries)
	}
	in.mu.Unlock()
	if empty && b.sent != nil {
		close(b.sent)
		b.sent = nil
	}
}

// leave takes a message of Enqueue out of the count.
func (b *Box) leave(e *entry) {
	b.queued--
	b.bytes -= len(e.data)
	if b.barriers != nil {
		b.pass(e)
	}
	if e.awaits {
		b.forgo(e)
	}
}

// done is leave for a message that the Store may forget.
func (b *Box) done(e *entry) {
	b.leave(e)
	if b.post.Keeper != nil {
		b.post.Keeper.remove(e.seq)
	}
}

// Unsent returns nil when nothing is left that is to be written, stored or
// confirmed, and otherwise a channel that is closed when that may have changed.
func (b *Box) Unsent() <-chan struct{} {
	b.lock()
	defer b.unlock()
	if b.queue.first == nil && b.unconfirmed.first == nil {
		return nil
	}
	if b.sent == nil {
		b.sent = make(chan struct{})
	}
	return b.sent
}

// Counts returns how many messages of Enqueue there are, and how many of them
// were sent and wait to be confirmed.
func (b *Box) Counts() (queued, unconfirmed int) {
	b.lock()
	defer b.unlock()
	return b.queued, b.unproven
}
