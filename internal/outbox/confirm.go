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
// Most servers confirm in order, so most ids are never looked up: a receipt
// is in the map only once some confirmation was not for the oldest, and until
// then in a list.
type receipt struct {
	id      string
	entry   *entry
	memory  []byte // of the message; it stays with the receipt, for the next one
	written int64  // when it was, over the open connection
	indexed bool
	next    *receipt // the next younger one with the same id; or in the list
	last    *receipt // the youngest with this id, of the oldest only; or the one before in the list
}

const (
	maxSpareReceipts = 1024
	keptMemory       = 512 // of a message, at most, in its receipt
)

// expect makes the id of a message known.
func (b *Box) expect(e *entry, id string) {
	r := b.blank()
	r.id, r.entry, r.last = id, e, b.looseLast
	e.receipt = r
	if b.looseLast != nil {
		b.looseLast.next = r
	} else {
		b.loose = r
	}
	b.looseLast = r
}

// blank returns a receipt of which all is zero but its memory.
func (b *Box) blank() *receipt {
	r := b.spare
	if r == nil {
		return new(receipt)
	}
	b.spare, r.next = r.next, nil
	b.spares--
	return r
}

// index puts all receipts into the map.
func (b *Box) index() {
	if b.receipts == nil {
		b.receipts = map[string]*receipt{}
	}
	for r := b.loose; r != nil; {
		next := r.next
		r.indexed, r.next, r.last = true, nil, r
		switch head := b.receipts[r.id]; {
		case head == nil:
			b.receipts[r.id] = r
		case r.entry.seq < head.entry.seq: // it was kept by the Store
			r.next, r.last = head, head.last
			b.receipts[r.id] = r
		default:
			head.last.next = r
			head.last = r
		}
		r = next
	}
	b.loose, b.looseLast = nil, nil
}

// find returns the receipt that a confirmation is for; nil if there is none.
func (b *Box) find(id string) *receipt {
	if len(b.receipts) > 0 {
		if r := b.receipts[id]; r != nil {
			return r // older than those that are not in the map
		}
	}
	if r := b.loose; r == nil || r.id == id {
		return r
	}
	b.index()
	return b.receipts[id]
}

// forgo forgets the id of a message that leaves.
func (b *Box) forgo(e *entry) {
	r := e.receipt
	if e.sent {
		b.unproven--
	}
	if !r.indexed {
		if r.last != nil {
			r.last.next = r.next
		} else {
			b.loose = r.next
		}
		if r.next != nil {
			r.next.last = r.last
		} else {
			b.looseLast = r.last
		}
		return
	}
	head := b.receipts[r.id]
	if head == r {
		if r.next == nil {
			delete(b.receipts, r.id)
		} else {
			r.next.last = r.last
			b.receipts[r.id] = r.next
		}
		return
	}
	before := head
	for before.next != r {
		before = before.next
	}
	before.next = r.next
	if head.last == r {
		head.last = before
	}
}

// Confirm ends the messages that the server has, and returns how many there
// were. One whose bytes are still with the writer stays in its place there.
func (b *Box) Confirm(ids []string) (known int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		r := b.find(id)
		if r == nil {
			continue
		}
		known++
		e, memory := r.entry, r.memory
		b.done(e)
		if e.place == taken {
			e.gone, e.receipt, memory = true, nil, nil // the writer is still at it
		} else {
			b.remove(e)
		}
		switch {
		case b.queued == 0:
			b.spare, b.spares = nil, 0
		case b.spares < maxSpareReceipts: // nobody else knows it
			*r = receipt{next: b.spare, memory: memory}
			b.spare = r
			b.spares++
		}
	}
	return known
}

// begun marks a message that the peer may have.
func (b *Box) begun(e *entry) {
	if !e.sent {
		e.sent = true
		if e.receipt != nil {
			b.unproven++
		}
	}
}

// await keeps a message that was written now until it is confirmed.
func (b *Box) await(e *entry, now int64) {
	b.begun(e)
	e.receipt.written = now
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
		if left := b.post.ConfirmTimeout - time.Duration(b.clock()-e.receipt.written); left > 0 {
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
