package outbox

import (
	"container/list"
	"context"
)

// flush is one Flush that waits until head passes its mark. Those that wait are
// in a list, in the order of their marks, which each leaves in constant time.
type flush struct {
	mark uint64
	over chan struct{}
	err  error // valid after over
}

// Flush waits until every message of Enqueue up to now is done or given up.
func (o *Outbox) Flush(ctx context.Context) error {
	place, err := o.beginFlush()
	if place == nil {
		return err
	}
	f := place.Value.(*flush)
	select {
	case <-f.over:
		return f.err
	case <-ctx.Done():
		return o.giveUpFlush(place, ctx.Err())
	}
}

// beginFlush returns nil if there is nothing to wait for.
func (o *Outbox) beginFlush() (*list.Element, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.count == 0:
		return nil, nil
	case o.latest.finished:
		return nil, o.ErrClosed
	}
	return o.flushes.PushBack(&flush{mark: o.mark, over: make(chan struct{})}), nil
}

// giveUpFlush ends one whose ctx has ended, unless it was over before.
func (o *Outbox) giveUpFlush(place *list.Element, cause error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := place.Value.(*flush)
	select {
	case <-f.over:
	default:
		o.endFlush(place, cause)
	}
	return f.err
}

func (o *Outbox) endFlush(place *list.Element, err error) {
	f := o.flushes.Remove(place).(*flush)
	f.err = err
	close(f.over)
}

// endFlushes ends those up to a mark.
func (o *Outbox) endFlushes(mark uint64, err error) {
	for first := o.flushes.Front(); first != nil && first.Value.(*flush).mark <= mark; first = o.flushes.Front() {
		o.endFlush(first, err)
	}
}

// failFlushes is endFlushes where what they wait for is given up, unless it is
// done.
func (o *Outbox) failFlushes(mark uint64, err error) {
	o.advance()
	o.endFlushes(mark, err)
}
