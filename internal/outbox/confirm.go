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
type receipt struct {
	id      string
	entry   *entry
	written int64    // when it was, over the open connection
	next    *receipt // the next younger one with the same id
	last    *receipt // the youngest with this id; of the oldest only
}

// expect makes the id of a message known.
func (b *Box) expect(e *entry, id string) {
	r := &receipt{id: id, entry: e}
	r.last = r
	e.receipt = r
	if b.receipts == nil {
		b.receipts = map[string]*receipt{}
	}
	switch head := b.receipts[id]; {
	case head == nil:
		b.receipts[id] = r
	case e.seq < head.entry.seq: // it was kept by the Store
		r.next, r.last = head, head.last
		b.receipts[id] = r
	default:
		head.last.next = r
		head.last = r
	}
}

// forgo forgets the id of a message that leaves.
func (b *Box) forgo(e *entry) {
	r := e.receipt
	if e.sent {
		b.unproven--
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
		r := b.receipts[id]
		if r == nil {
			continue
		}
		known++
		e := r.entry
		b.done(e)
		if e.place == taken {
			e.gone, e.receipt = true, nil
		} else {
			b.remove(e)
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

// await keeps a message that is written until it is confirmed.
func (b *Box) await(e *entry) {
	b.begun(e)
	e.receipt.written = b.clock()
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
