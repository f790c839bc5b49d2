package outbox

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// limiter is one whose calls wait for the test.
type limiter struct {
	deaf bool // it goes on without its ctx

	mu    sync.Mutex
	calls []chan error
}

func (l *limiter) wait(ctx context.Context) error {
	call := make(chan error)
	l.mu.Lock()
	l.calls = append(l.calls, call)
	l.mu.Unlock()
	done := ctx.Done()
	if l.deaf {
		done = nil
	}
	select {
	case err := <-call:
		return err
	case <-done:
		return ctx.Err()
	}
}

func (l *limiter) asked() int {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls)
}

// answer ends call n, counted from 1.
func (l *limiter) answer(n int, err error) {
	l.mu.Lock()
	call := l.calls[n-1]
	l.mu.Unlock()
	call <- err
	synctest.Wait()
}

// paced returns an outbox with a limiter, and a writer that writes nothing by itself and counts its kicks.
func paced(cfg Config) (o *Outbox, l *limiter, w *Writer, kicks *atomic.Int32) {
	l = &limiter{}
	cfg.Limiter = l.wait
	o = New(cfg)
	w, kicks = attachedPaced(o)
	return o, l, w, kicks
}

func attachedPaced(o *Outbox) (*Writer, *atomic.Int32) {
	kicks := new(atomic.Int32)
	w := NewWriter(nil, o, Hooks{Spawn: func(f func()) { go f() }})
	w.start = func() { kicks.Add(1); w.running.Store(idle) }
	o.Latest().Attach(w)
	return w, kicks
}

// One question is under way at a time, a grant is for one message, and one that nobody needs is for the next.
func TestGrantsAreForMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l, w, kicks := paced(testConfig())
		want := func(dequeues, asked, wantKicks int, limited bool) {
			t.Helper()
			synctest.Wait()
			kicks.Store(0)
			if n := dequeued(w, 8, 1000); n != dequeues || o.Limited() != limited {
				t.Errorf("%d were dequeued, limited: %v; expected %d, %v", n, o.Limited(), dequeues, limited)
			}
			o.written(w, dequeues)
			synctest.Wait()
			if l.asked() != asked || int(kicks.Load()) != wantKicks {
				t.Errorf("the limiter was asked %d times, and the writer kicked %d times, expected %d and %d", l.asked(), kicks.Load(), asked, wantKicks)
			}
		}
		want(0, 0, 0, false)
		o.Enqueue(wire.Text, []byte("a"))
		o.Enqueue(wire.Text, []byte("b"))
		want(0, 1, 0, true)
		want(0, 1, 0, true)
		if l.answer(1, nil); kicks.Load() == 0 {
			t.Error("the writer was not kicked by a grant")
		}
		want(1, 2, 0, true)
		l.answer(2, nil)
		want(1, 2, 0, false)

		ctx, cancel := context.WithCancel(t.Context())
		sent := make(chan error, 1)
		go func() { sent <- o.Send(ctx, wire.Text, []byte("c")) }()
		want(0, 3, 0, true)
		l.answer(3, nil)
		cancel()
		if err := <-sent; err != context.Canceled {
			t.Error(err)
		}
		want(0, 3, 0, false) // the grant that it needs no more
		want(0, 3, 0, false)
		o.Enqueue(wire.Text, []byte("d"))
		want(1, 3, 0, false)

		o.Enqueue(wire.Text, []byte("e"))
		o.pacer.grants = 1 // since the writer has looked
		o.pacer.await(w, false)
		want(1, 3, 0, false)
		w.stopped.Store(true)
		o.Enqueue(wire.Text, []byte("f"))
		want(0, 3, 0, false)
		o.detach(w, false)
	})
}

// A grant that comes between a look and the wait kicks the writer, and asks for nothing.
func TestGrantBeforeTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l, w, kicks := paced(testConfig())
		o.pacer.release(1)
		o.pacer.await(w, false)
		synctest.Wait()
		if kicks.Load() != 1 || l.asked() != 0 || o.Limited() {
			t.Errorf("%d kicks, the limiter was asked %d times, limited: %v", kicks.Load(), l.asked(), o.Limited())
		}
	})
}

// A limiter that has failed is asked again after pacerRetry, or not at all if the wait has ended meanwhile.
func TestLimiterIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		var failed []error
		cfg.LimiterFailed = func(err error) { failed = append(failed, err) }
		o, l, w, _ := paced(cfg)
		o.Enqueue(wire.Text, []byte("a"))
		dequeued(w, 8, 1000)
		synctest.Wait()
		l.answer(1, errDisk)
		if time.Sleep(pacerRetry - 1); l.asked() != 1 {
			t.Errorf("it was asked %d times within %v", l.asked(), pacerRetry)
		}
		if time.Sleep(time.Nanosecond); l.asked() != 2 {
			t.Errorf("it was asked %d times", l.asked())
		}
		l.answer(2, errDisk)
		w.Stop()
		synctest.Wait()
		if o.pacer.asking != nil || o.Limited() {
			t.Error("it is to be asked for a writer that is over")
		}
		o.detach(w, false)
		if time.Sleep(time.Minute); l.asked() != 2 || !slices.Equal(failed, []error{errDisk, errDisk}) {
			t.Errorf("it was asked %d times, and failed with %v", l.asked(), failed)
		}
	})
}

// A limiter that goes on without its ctx holds up the next question for pacerRetry at most, and what it says then is
// for the next message.
func TestDeafLimiter(t *testing.T) {
	for _, late := range []bool{false, true} { // it answers behind the next question, or before
		synctest.Test(t, func(t *testing.T) {
			o, l, w, _ := paced(testConfig())
			l.deaf = true
			o.Enqueue(wire.Text, []byte("a"))
			dequeued(w, 8, 1000)
			synctest.Wait()
			if w.Stop(); o.Limited() {
				t.Error("messages wait for the limiter without a writer")
			}
			o.detach(w, false)
			w, kicks := attachedPaced(o)
			want := func(n, asked int, limited bool) {
				t.Helper()
				if dequeued(w, 8, 1000) != n || l.asked() != asked || o.Limited() != limited {
					t.Errorf("the limiter was asked %d times, limited: %v, and %d were to be dequeued", l.asked(), o.Limited(), n)
				}
			}
			wantKicks := func(n int32) {
				t.Helper()
				synctest.Wait()
				if got := kicks.Swap(0); got != n {
					t.Errorf("%d kicks, expected %d", got, n)
				}
			}
			wantKicks(1)
			want(0, 1, true)
			if !late {
				time.Sleep(pacerRetry / 2)
				l.answer(1, errDisk)
				wantKicks(1)
				want(0, 2, true)
				time.Sleep(time.Hour)
				wantKicks(0)
			} else {
				time.Sleep(pacerRetry - 1)
				wantKicks(0)
				time.Sleep(time.Nanosecond)
				wantKicks(1)
				want(0, 2, true)
				l.answer(1, nil)
				wantKicks(1)
				want(1, 2, false)
				o.Enqueue(wire.Text, []byte("b"))
				want(0, 2, true)
			}
			l.answer(2, nil)
			want(1, 2, false)
			w.Stop()
			o.detach(w, false)
		})
	}
}

// A writer that ends late, of an attempt that was given up, leaves the question of another alone.
func TestQuestionOfAnotherWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l, w, kicks := paced(testConfig())
		old := NewWriter(nil, o, Hooks{})
		o.Enqueue(wire.Text, []byte("a"))
		dequeued(w, 8, 1000)
		synctest.Wait()
		old.Stop()
		kicks.Store(0)
		if time.Sleep(time.Minute); l.asked() != 1 || !o.Limited() {
			t.Errorf("asked %d times, limited: %v", l.asked(), o.Limited())
		}
		if l.answer(1, nil); kicks.Load() != 1 {
			t.Errorf("%d kicks", kicks.Load())
		}
		w.Stop()
		o.detach(w, false)
	})
}

// A question ends when nothing is left to wait for it, but not one for the messages of a Handshake.
func TestQuestionEndsWithItsMessages(t *testing.T) {
	for _, first := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o, l, w, kicks := paced(testConfig())
			ctx, cancel := context.WithCancel(t.Context())
			sent := make(chan error, 1)
			go func() { sent <- o.Send(ctx, wire.Text, []byte("a")) }()
			synctest.Wait()
			dequeued(w, 8, 1000)
			if first {
				o.pacer.await(w, true)
			}
			synctest.Wait()
			kicks.Store(0)
			cancel()
			if err := <-sent; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			synctest.Wait()
			if o.Limited() != first || (o.pacer.asking != nil) != first || l.asked() != 1 || kicks.Load() != 0 {
				t.Errorf("limited: %v, a question is under way: %v", o.Limited(), o.pacer.asking != nil)
			}
			w.Stop()
			o.detach(w, false)
		})
	}
}
