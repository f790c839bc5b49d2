package outbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Store keeps messages over the end of the process. The root says what holds for
// its methods. Nothing but an Enqueue waits for Append, and nothing without a
// limit for Load and Remove, which run on goroutines of their own.
type Store interface {
	Load(yield func(seq uint64, op wire.Op, data []byte) error) error
	Append(seq uint64, op wire.Op, data []byte) error
	Remove(seqs ...uint64) error
}

// stored is what an outbox knows of its Store. The outbox's lock guards it.
type stored struct {
	loaded  atomic.Bool
	seq     uint64   // the latest number
	loading *Loading // under way; nil if none is

	removals []uint64      // messages that are done, and still in the Store
	removing chan struct{} // closed when the goroutine that removes ends; nil if there is none
	retry    *alarm        // of the next attempt; nil if none is due
	delay    time.Duration // before that; 0 if the latest attempt did not fail
}

const (
	loadTimeout   = 10 * time.Second // of an Enqueue that waits for Load
	removeAtOnce  = 1024
	removalBytes  = 8
	minRetryDelay = 100 * time.Millisecond
	maxRetryDelay = 10 * time.Second
)

// Loading is a Load of the Store that is under way.
type Loading struct {
	over     chan struct{}
	err      error // valid after over
	panicked any
	rethrown atomic.Bool
}

// Over is closed when it has ended.
func (l *Loading) Over() <-chan struct{} { return l.over }

// Result returns what became of it, after Over. If it has panicked, the first
// caller also gets the value of that, to panic with on the goroutine of the user.
func (l *Loading) Result() (panicked any, err error) {
	if l.panicked != nil && l.rethrown.CompareAndSwap(false, true) {
		return l.panicked, l.err
	}
	return nil, l.err
}

// Load has the messages of the Store loaded, unless that was done: then it
// returns nil. There is one Load at a time.
func (o *Outbox) Load() *Loading {
	if o.Store == nil || o.store.loaded.Load() {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.store.loading; l != nil || o.store.loaded.Load() {
		return l
	}
	l := &Loading{over: make(chan struct{})}
	o.store.loading = l
	go o.load(l)
	return l
}

func (o *Outbox) load(l *Loading) {
	l.err = errors.New("wsnotify: Outbox.Store: Load ended its goroutine")
	defer func() {
		if l.panicked = recover(); l.panicked != nil {
			l.err = fmt.Errorf("wsnotify: Outbox.Store: Load panicked: %v", l.panicked)
		}
		o.mu.Lock()
		o.store.loading = nil
		o.store.loaded.Store(l.err == nil)
		o.mu.Unlock()
		close(l.over)
	}()
	l.err = o.loadAll()
}

// loadAll takes over what the Store holds. Whoever enqueues waits for that, so
// that it comes before anything newer.
func (o *Outbox) loadAll() error {
	var found []slot
	err := o.Store.Load(func(seq uint64, op wire.Op, data []byte) error {
		found = append(found, slot{key: seq, op: op, data: append([]byte(nil), data...)})
		return nil
	})
	if err != nil {
		return fmt.Errorf("wsnotify: Outbox.Store can't be loaded: %w", err)
	}
	slices.SortFunc(found, func(x, y slot) int { return cmp.Compare(x.key, y.key) })
	if f := o.ConfirmID; f != nil {
		for i := range found {
			found[i].id = f(found[i].op, found[i].data)
		}
	}
	for some := range slices.Chunk(found, 256) {
		o.mu.Lock()
		var w *Writer
		for i := range some {
			w = o.enqueue(&some[i])
		}
		o.store.seq = max(o.store.seq, some[len(some)-1].key)
		o.mu.Unlock()
		if w != nil {
			w.kick()
		}
	}
	return nil
}

// awaitLoad is for an Enqueue: before the Store is loaded, no number is known
// to be free.
func (o *Outbox) awaitLoad() error {
	l := o.Load()
	if l == nil {
		return nil
	}
	timer := time.NewTimer(loadTimeout)
	defer timer.Stop()
	latest := o.Latest()
	select {
	case <-l.over:
	case <-timer.C:
		return fmt.Errorf("wsnotify: Outbox.Store: Load has not returned within %v, and until then no message can be enqueued", loadTimeout)
	case <-latest.wait(&latest.closing):
		return o.ErrClosed
	}
	panicked, err := l.Result()
	if panicked != nil {
		panic(panicked)
	}
	return err
}

// remove has a message that is done removed from the Store. It does not block.
func (o *Outbox) remove(key uint64) {
	o.store.removals = append(o.store.removals, key)
	if o.store.retry == nil {
		o.startRemoving()
	}
}

// startRemoving has all removed that is done, at once.
func (o *Outbox) startRemoving() {
	st := &o.store
	st.retry.stop()
	st.retry = nil
	if st.removing == nil && len(st.removals) > 0 {
		st.removing = make(chan struct{})
		go func() {
			for o.removeSome() {
			}
		}()
	}
}

// removeSome removes what is done, as much as may be in one call. It returns
// false when the goroutine is to end.
func (o *Outbox) removeSome() (more bool) {
	o.mu.Lock()
	some := slices.Clone(o.store.removals[:min(removeAtOnce, len(o.store.removals))])
	o.mu.Unlock()
	err := errors.New("its Remove ended its goroutine")
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("its Remove panicked: %v", v)
		}
		more = o.removed(len(some), err)
	}()
	err = o.Store.Remove(some...)
	return false
}

// removed notes what became of a call of Remove. One that failed is tried again
// after a while, which grows; of several failures in a row the first is reported.
func (o *Outbox) removed(n int, err error) (more bool) {
	o.mu.Lock()
	st := &o.store
	first, left := false, len(st.removals)
	if err == nil {
		st.delay = 0
		if left -= n; left == 0 {
			st.removals = nil
		} else {
			st.removals = st.removals[n:]
		}
	} else {
		first = st.delay == 0
		st.delay = min(max(2*st.delay, minRetryDelay), maxRetryDelay)
		if !o.latest.finished { // else the next Session does it
			a := &alarm{}
			a.timer = time.AfterFunc(st.delay, func() { o.retryRemoving(a) })
			st.retry = a
		}
	}
	more = err == nil && left > 0
	if !more {
		close(st.removing)
		st.removing = nil
	}
	o.mu.Unlock()
	if first {
		o.Report(fmt.Errorf("wsnotify: Outbox.Store did not remove %d messages that are done; "+
			"unless it does later, they are sent again when it is loaded next: %w", left, err))
	}
	return more
}

func (o *Outbox) retryRemoving(a *alarm) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.store.retry == a {
		o.startRemoving()
	}
}

// Removed has all removed that is done, and returns a channel that is closed
// when that is over; nil if there is nothing to wait for.
func (o *Outbox) Removed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.startRemoving()
	return o.store.removing
}
