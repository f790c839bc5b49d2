package outbox

import "context"

// flush is one Flush that waits until head passes its mark.
type flush struct {
	prev, next *flush
	mark       uint64
	over       chan struct{}
	err        error // valid after over
}

// flushes are in the order of their marks. Each leaves in constant time,
// whether it is over or given up.
type flushes struct{ first, last *flush }

func (l *flushes) push(f *flush) {
	if f.prev = l.last; f.prev != nil {
		f.prev.next = f
	} else {
		l.first = f
	}
	l.last = f
}

func (l *flushes) remove(f *flush) {
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		l.first = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		l.last = f.prev
	}
}

func (l *flushes) end(f *flush, err error) {
	l.remove(f)
	f.err = err
	close(f.over)
}

// Flush waits until every message of Enqueue up to now is done or given up.
func (o *Outbox) Flush(ctx context.Context) error {
	f, err := o.beginFlush()
	if f == nil {
		return err
	}
	select {
	case <-f.over:
		return f.err
	case <-ctx.Done():
		return o.endFlush(f, ctx.Err())
	}
}

// beginFlush returns nil if there is nothing to wait for.
func (o *Outbox) beginFlush() (*flush, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.count == 0:
		return nil, nil
	case o.latest.finished:
		return nil, o.ErrClosed
	}
	f := &flush{mark: o.mark, over: make(chan struct{})}
	o.flushes.push(f)
	return f, nil
}

// endFlush ends one that is given up, unless it was over before.
func (o *Outbox) endFlush(f *flush, cause error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-f.over:
		return f.err
	default:
	}
	o.flushes.remove(f)
	return cause
}

// flushed ends those whose messages are all before head.
func (o *Outbox) flushed(head uint64) {
	for f := o.flushes.first; f != nil && f.mark <= head; f = o.flushes.first {
		o.flushes.end(f, nil)
	}
}

// failFlushes ends those up to a mark: what they wait for is given up.
func (o *Outbox) failFlushes(mark uint64, err error) {
	o.advance()
	for f := o.flushes.first; f != nil && f.mark <= mark; f = o.flushes.first {
		o.flushes.end(f, err)
	}
}
