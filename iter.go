package wsnotify

import (
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// Notifications returns the notifications from now on, for those who would
// rather pull than be called. The sequence ends with ctx, or when the current
// Connect or Run is over and all that it received has been handed over.
//
// Nothing is lost between the call and the loop, and nothing is dropped for a
// slow one: the client waits for the loop as for a callback. So a sequence
// that is not used must have its ctx cancelled. Don't use it inside a
// callback, which it would wait for.
func (c *Client) Notifications(ctx context.Context) iter.Seq[Notification] {
	return subscribe(c, ctx, &c.notificationSubs)
}

// Messages returns the messages from now on, text and binary, as
// Notifications does.
func (c *Client) Messages(ctx context.Context) iter.Seq[Message] {
	return subscribe(c, ctx, &c.messageSubs)
}

// subscribers are the sequences that want what is dispatched.
type subscribers[T any] struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*subscription[T]] // copied when changed
}

type subscription[T any] struct {
	ctx  context.Context
	next chan T
	gone chan struct{} // closed by the loop when it ends early
	over chan struct{} // closed by the dispatcher behind the last value
}

func (s *subscribers[T]) any() bool { return len(s.load()) > 0 }

func (s *subscribers[T]) load() []*subscription[T] {
	if p := s.list.Load(); p != nil {
		return *p
	}
	return nil
}

// send hands v to each sequence of list, on the goroutine of the callbacks: a
// copy, since each may change it, but to the last one unless v is still needed.
func (s *subscribers[T]) send(list []*subscription[T], v T, needed bool, clone func(T) T) {
	for i, sub := range list {
		own := v
		if needed || i < len(list)-1 {
			own = clone(v)
		}
		select {
		case sub.next <- own:
		case <-sub.gone:
		case <-sub.ctx.Done():
			s.remove(sub)
		}
	}
}

// end ends every sequence.
func (s *subscribers[T]) end() {
	for _, sub := range s.load() {
		s.remove(sub)
		close(sub.over)
	}
}

func (s *subscribers[T]) add(ctx context.Context) *subscription[T] {
	sub := &subscription[T]{ctx: ctx, next: make(chan T), gone: make(chan struct{}), over: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := append(slices.Clone(s.load()), sub)
	s.list.Store(&list)
	return sub
}

func (s *subscribers[T]) remove(sub *subscription[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(s.load()), func(other *subscription[T]) bool { return other == sub })
	s.list.Store(&list)
}

func subscribe[T any](c *Client, ctx context.Context, s *subscribers[T]) iter.Seq[T] {
	begin := func() *subscription[T] {
		if c.finished() {
			return nil
		}
		sub := s.add(ctx)
		if c.finished() { // since then, so that end may have missed it
			s.remove(sub)
			return nil
		}
		return sub
	}
	first := begin()
	return func(yield func(T) bool) {
		sub := first
		if first = nil; sub == nil {
			sub = begin() // a further loop over the same sequence
		}
		if sub == nil {
			return
		}
		defer s.remove(sub)
		defer close(sub.gone)
		for {
			select {
			case v := <-sub.next:
				if !yield(v) {
					return
				}
			case <-sub.over:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}
