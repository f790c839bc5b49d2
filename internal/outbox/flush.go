package outbox

import (
	"context"
	"slices"
	"sort"
)

// barrier is what one or more Flushes wait for: that every message of Enqueue
// up to one of them has left the outbox. Each message counts for the first
// barrier that it is under, so that many of them cost no more than one.
type barrier struct {
	seq     uint64
	left    int           // messages since the barrier before this one
	flushes int           // that wait
	over    chan struct{} // closed when this one and all before it have none left
	err     error         // valid after over
}

// Flush waits until every message of Enqueue up to now is done or given up.
func (b *Box) Flush(ctx context.Context) error {
	b.lock()
	if b.queued == 0 {
		b.unlock()
		return nil
	}
	if b.finished {
		b.unlock()
		return b.post.ErrClosed
	}
	var br *barrier
	if since := b.queued - b.behind; since > 0 || len(b.barriers) == 0 {
		br = &barrier{seq: b.seq, left: since, over: make(chan struct{})}
		b.barriers = append(b.barriers, br)
		b.behind = b.queued
	} else {
		br = b.barriers[len(b.barriers)-1]
	}
	br.flushes++
	b.unlock()
	select {
	case <-br.over:
		return br.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-br.over:
		return br.err
	default:
	}
	if br.flushes--; br.flushes == 0 {
		b.forget(br)
	}
	return ctx.Err()
}

// under returns the index of the first barrier that a message is under.
func (b *Box) under(seq uint64) int {
	if b.barriers[0].seq >= seq {
		return 0
	}
	return sort.Search(len(b.barriers), func(i int) bool { return b.barriers[i].seq >= seq })
}

// pass takes a message that leaves out of the count of its barrier.
func (b *Box) pass(e *entry) {
	i := b.under(e.seq)
	if i == len(b.barriers) {
		return
	}
	b.barriers[i].left--
	b.behind--
	for len(b.barriers) > 0 && b.barriers[0].left == 0 {
		close(b.barriers[0].over)
		b.barriers[0] = nil
		b.barriers = b.barriers[1:]
	}
	if len(b.barriers) == 0 {
		b.barriers = nil
	}
}

// join counts a message for its barrier that comes before others.
func (b *Box) join(e *entry) {
	if b.barriers == nil {
		return
	}
	if i := b.under(e.seq); i < len(b.barriers) {
		b.barriers[i].left++
		b.behind++
	}
}

// forget removes a barrier that nobody waits for. Its messages count for the
// next one.
func (b *Box) forget(br *barrier) {
	i := slices.Index(b.barriers, br)
	if i+1 < len(b.barriers) {
		b.barriers[i+1].left += br.left
	} else {
		b.behind -= br.left
	}
	if b.barriers = slices.Delete(b.barriers, i, i+1); len(b.barriers) == 0 {
		b.barriers = nil
	}
}

// abandon ends every Flush: what it waits for is given up.
func (b *Box) abandon() {
	for _, br := range b.barriers {
		br.err = b.post.ErrClosed
		close(br.over)
	}
	b.barriers, b.behind = nil, 0
}
