package wsnotify

import (
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wsnotify/wsnotify/internal/position"
)

// Notifications returns the notifications from now on, for a loop instead of a
// callback. The sequence ends with ctx, or when the current Connect or Run is over
// and everything that it received has been handled. If a later Connect takes
// over, the sequence goes on.
//
// Before the first Connect, and after the end of one, the sequence belongs to the
// next one. But a loop that begins while the client is ending ends at once, since
// there may be no other Connect.
//
// Each loop over a sequence gets every notification from when it begins, the first
// one from the call on; two loops may run at once.
//
// Nothing is lost between the call and the loop, and nothing is dropped if the loop
// is slow: the client waits for it as for a callback. So cancel the ctx of a
// sequence that you don't use. Don't loop inside a callback: the loop would wait
// for it.
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
	busy   func(int64) // counts the loops that have been given a value
	wait   func()      // says that the dispatcher waits for a loop
	resume *resume     // notified of the positions that they hold
	mu     sync.Mutex
	list   atomic.Pointer[[]*subscription[T]] // copied when changed
}

type subscription[T any] struct {
	ctx  context.Context
	run  uint64 // number of the run that it waits for, or is of
	next chan handed[T]
	gone chan struct{} // closed by the loop when it ends early
	over chan struct{} // closed by the dispatcher behind the last value
}

// handed is a value for a loop, which holds its position until the body is
// done with it.
type handed[T any] struct {
	value T
	held  *position.Hold
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
		s.busy(1)
		s.wait()
		held := s.resume.hold()
		select {
		case sub.next <- handed[T]{own, held}:
			continue // the loop says when it is done with it
		case <-sub.gone:
		case <-sub.ctx.Done():
			s.remove(sub)
		}
		s.done(held)
	}
}

// done says that a loop is done with a value.
func (s *subscribers[T]) done(held *position.Hold) {
	s.resume.release(held)
	s.busy(-1)
}

// end ends every sequence of a run.
func (s *subscribers[T]) end(run uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(s.load()), func(sub *subscription[T]) bool {
		if sub.run > run {
			return false
		}
		close(sub.over)
		return true
	})
	s.list.Store(&list)
}

// add reads under the lock which run the subscription is for, so that one for a run that
// ends is in the list before end reads that.
func (s *subscribers[T]) add(c *Client, ctx context.Context) *subscription[T] {
	sub := &subscription[T]{ctx: ctx, next: make(chan handed[T]), gone: make(chan struct{}), over: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.run = c.subscriptionRun()
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
	if !c.made {
		panic(prefix + useNew)
	}
	var first atomic.Pointer[subscription[T]]
	first.Store(s.add(c, ctx))
	return func(yield func(T) bool) {
		sub := first.Swap(nil)
		if sub == nil {
			sub = s.add(c, ctx) // a further loop over the same sequence
		}
		defer s.remove(sub)
		defer close(sub.gone)
		if r := c.current(); r != nil && sub.run > r.number {
			return // the client is at its end
		}
		busy := false
		var at handed[T]
		defer func() {
			if busy {
				s.done(at.held) // the loop's body has ended the loop, or its goroutine
			}
		}()
		for {
			select {
			case at = <-sub.next:
				busy = true
				if !yield(at.value) {
					return
				}
				busy = false
				s.done(at.held)
			case <-sub.over:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}
