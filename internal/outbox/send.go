package outbox

import (
	"context"
	"math/bits"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// send is one Send that waits for its message.
type send struct {
	result chan error // of capacity 1
	b      *block     // where the message is, until there is a result
	i      int
}

// Send waits until data is written, ctx ends or the connection does.
func (o *Outbox) Send(ctx context.Context, op wire.Op, data []byte) error {
	return o.SendOver(ctx, nil, op, data)
}

// SendOver is Send over the connection of only; nil means any.
func (o *Outbox) SendOver(ctx context.Context, only *Writer, op wire.Op, data []byte) error {
	sd, w, err := o.beginSend(only, op, data)
	if err != nil {
		return err
	}
	if ctx.Done() == nil {
		// Nothing can cut this call short, so it may as well do the write, and
		// whatever others have queued: a goroutine for that takes twice as long.
		if w.claim() {
			w.lead(sd)
		}
		err = <-sd.result
	} else {
		w.kick()
		select {
		case err = <-sd.result:
		case <-ctx.Done():
			err = o.cancel(w, sd, ctx.Err())
		}
	}
	w.session.sends.Put(sd)
	return err
}

// beginSend enqueues a message for the connection of w.
func (o *Outbox) beginSend(only *Writer, op wire.Op, data []byte) (sd *send, w *Writer, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w = o.w
	switch {
	case o.latest.closed:
		return nil, nil, o.ErrClosed
	case w == nil || o.parted || w.session != o.latest || only != nil && only != w:
		return nil, nil, o.ErrNotConnected
	}
	sd, _ = w.session.sends.Get().(*send)
	if sd == nil {
		sd = &send{result: make(chan error, 1)}
	}
	sd.b, sd.i = o.ring.push(&slot{op: op, data: data, send: sd})
	o.sending++
	return sd, w, nil
}

// answer ends the wait of a Send. The caller calls tidy.
func (o *Outbox) answer(b *block, i int, err error) {
	b.at(i).send.result <- err
	o.sending--
	o.ring.done(b, i)
}

// cancel ends the wait of a Send whose ctx has ended. Under the lock of the
// writer's batch nobody reads data, and it is not in use any more when cancel
// returns.
func (o *Outbox) cancel(w *Writer, sd *send, cause error) error {
	w.batch.Lock()
	defer w.batch.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case err := <-sd.result:
		return err
	default:
	}
	b, i := sd.b, sd.i
	o.sending--
	if b.taken>>i&1 == 0 {
		o.complete(b, i)
		o.advance()
		return cause
	}
	begun := w.withdraw(o.ring.rank(b, i))
	s := b.at(i)
	s.op, s.data = 0, nil
	o.ring.done(b, i)
	o.advance()
	if begun {
		return o.interrupted(cause)
	}
	return cause
}

// rank is how many messages are before slot i in the writer's batch.
func (r *ring) rank(b *block, i int) int {
	n := bits.OnesCount64(b.taken & (1<<i - 1))
	for before := r.batch; before != b; before = before.next {
		n += bits.OnesCount64(before.taken)
	}
	return n
}
