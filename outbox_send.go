package wsnotify

import "context"

// waiter is one Send that waits for its entry.
type waiter struct {
	result chan error // of capacity 1
	entry  *entry     // valid until there is a result
}

const maxFreeWaiters = 64

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
