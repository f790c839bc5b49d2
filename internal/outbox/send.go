package outbox

import (
	"context"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// waiter is one Send that waits for its entry.
type waiter struct {
	result chan error // of capacity 1
	entry  *entry     // valid until there is a result
}

const maxFreeWaiters = 64

// Send waits until data is written, ctx ends or the connection does.
func (b *Box) Send(ctx context.Context, op wire.Op, data []byte) error {
	return b.SendOver(ctx, nil, op, data)
}

// SendOver is Send over the connection of only; nil means any.
func (b *Box) SendOver(ctx context.Context, only *Writer, op wire.Op, data []byte) error {
	b.lock()
	w := b.w
	switch {
	case b.refused:
		b.unlock()
		return b.post.ErrClosed
	case w == nil || b.parted || only != nil && only != w:
		b.unlock()
		return b.post.ErrNotConnected
	}
	var wt *waiter
	if last := len(b.freeWaiters) - 1; last >= 0 {
		wt, b.freeWaiters = b.freeWaiters[last], b.freeWaiters[:last]
	} else {
		wt = &waiter{result: make(chan error, 1)}
	}
	e := b.entries.get()
	e.op, e.data, e.wait = op, data, wt
	wt.entry = e
	b.push(e)
	b.unlock()

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

// cancel ends the wait of a Send. Under the lock of the writer's batch nobody
// reads data, and that of the entry is not in use any more when cancel returns.
func (b *Box) cancel(w *Writer, wt *waiter, cause error) error {
	w.batch.Lock()
	defer w.batch.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case err := <-wt.result:
		return err
	default:
	}
	e := wt.entry
	if e.place != taken {
		b.remove(e)
		return cause
	}
	begun := w.withdraw(b.position(e))
	e.wait, e.data, e.gone = nil, nil, true
	if begun {
		return b.post.interrupted(cause)
	}
	return cause
}

// position is where e stands among the messages that the writer has taken.
func (b *Box) position(e *entry) (i int) {
	for other := b.queue.first; other != e; other = other.next {
		i++
	}
	return i
}
