package outbox

import (
	"errors"
	"time"
)

// ErrConfirmTimeout is the cause of a connection whose server went on without
// confirming.
var ErrConfirmTimeout = errors.New("wsnotify: the server did not confirm a message within Outbox.ConfirmTimeout")

// receipt is what the server will confirm a message by. Of those with the same
// id, the oldest is the one that the next confirmation is for.
//
// Most servers confirm in order, so most ids are never looked up: a receipt is
// in the map only once some confirmation was not for the oldest, or with a Store.
type receipt struct {
	id   string
	next *entry // the next younger one with the same id
	last *entry // the youngest with this id, of the oldest only
}

// expect makes the receipt of a message known. With a Store it may come behind
// younger ones, or before one that is not in the map; without, it is the last.
func (b *Box) expect(e *entry) {
	switch {
	case b.post.Keeper != nil:
		b.index(e)
	case b.loose == nil:
		b.loose = e
	}
}

// awaited returns e, or the first behind it in its list whose receipt is not in
// the map.
func awaited(e *entry) *entry {
	for e != nil && (!e.awaits || e.indexed) {
		e = e.next
	}
	return e
}

// looseAfter returns what loose is without e.
func (b *Box) looseAfter(e *entry) *entry {
	next := awaited(e.next)
	if next == nil && e.place == unconfirmed {
		next = awaited(b.queue.first)
	}
	return next
}

// indexAll puts all receipts into the map.
func (b *Box) indexAll() {
	for e := b.loose; e != nil; e = b.looseAfter(e) {
		b.index(e)
	}
	b.loose = nil
}

func (b *Box) index(e *entry) {
	if b.receipts == nil {
		b.receipts = map[string]*entry{}
	}
	r := e.receipt
	e.indexed, r.next, r.last = true, nil, e
	switch head := b.receipts[r.id]; {
	case head == nil:
		b.receipts[r.id] = e
	case e.seq < head.seq: // it was kept by the Store
		r.next, r.last = head, head.receipt.last
		b.receipts[r.id] = e
	default:
		head.receipt.last.receipt.next = e
		head.receipt.last = e
	}
}

// find returns the message that a confirmation is for; nil if there is none.
func (b *Box) find(id string) *entry {
	if len(b.receipts) > 0 {
		if e := b.receipts[id]; e != nil {
			return e // older than those that are not in the map
		}
	}
	if e := b.loose; e != nil && e.receipt.id == id {
		return e
	}
	b.collect()
	b.indexAll()
	return b.receipts[id]
}

// forgo forgets the id of a message that leaves, and is still in its place.
func (b *Box) forgo(e *entry) {
	if e.sent {
		b.unproven--
	}
	if !e.indexed {
		if b.loose == e {
			b.loose = b.looseAfter(e)
		}
		return
	}
	r := e.receipt
	head := b.receipts[r.id]
	if head == e {
		if r.next == nil {
			delete(b.receipts, r.id)
		} else {
			r.next.receipt.last = r.last
			b.receipts[r.id] = r.next
		}
		return
	}
	before := head
	for before.receipt.next != e {
		before = before.receipt.next
	}
	before.receipt.next = r.next
	if head.receipt.last == e {
		head.receipt.last = before
	}
}

// Confirm ends the messages that the server has, and returns how many there
// were. One whose bytes are still with the writer stays in its place there.
func (b *Box) Confirm(ids []string) (known int) {
	b.mu.Lock()
	for _, id := range ids {
		if b.confirmNext(id) {
			known++
			continue
		}
		e := b.find(id)
		if e == nil {
			continue
		}
		known++
		b.done(e)
		if e.place == taken {
			e.gone = true // the writer is still at it
		} else {
			b.remove(e)
		}
	}
	b.mu.Unlock()
	return known
}

// confirmNext is the short way for a server that confirms in order. It reports
// false where there is more to do than to forget the oldest message. Otherwise
// nothing is in the map, which only has what is older than loose, and the next
// one waits for its confirmation, too.
func (b *Box) confirmNext(id string) bool {
	e := b.unconfirmed.first
	if e == nil || e != b.loose || e.receipt.id != id || e.next == nil || b.barriers != nil {
		return false
	}
	b.queued--
	b.bytes -= len(e.data)
	b.unproven--
	e.next.prev = nil
	b.unconfirmed.first, b.loose = e.next, e.next
	b.entries.put(e)
	return true
}

// begun marks a message that the peer may have.
func (b *Box) begun(e *entry) {
	if !e.sent {
		e.sent = true
		if e.awaits {
			b.unproven++
		}
	}
}

// await keeps a message that was written now until it is confirmed.
func (b *Box) await(e *entry, now int64) {
	b.begun(e)
	e.whole = true
	e.written = now
	e.place = unconfirmed
	b.unconfirmed.push(e)
	if w := b.w; w != nil && b.watch == nil && b.post.ConfirmTimeout > 0 {
		b.watch = time.AfterFunc(b.post.ConfirmTimeout, func() { b.look(w) })
	}
}

// look has the time of the oldest unconfirmed message judged behind the
// callbacks of what has been received: a confirmation may be among it.
func (b *Box) look(w *Writer) { b.post.Tell(func() { b.judge(w) }) }

func (b *Box) judge(w *Writer) {
	b.mu.Lock()
	if b.w != w || b.watch == nil {
		b.mu.Unlock()
		return
	}
	b.watch = nil
	overdue := false
	if e := b.unconfirmed.first; e != nil && !b.refused && !b.parted {
		if left := b.post.ConfirmTimeout - time.Duration(b.clock()-e.written); left > 0 {
			b.watch = time.AfterFunc(left, func() { b.look(w) })
		} else {
			overdue = true
		}
	}
	b.mu.Unlock()
	if overdue {
		w.Drop(ErrConfirmTimeout)
	}
}
