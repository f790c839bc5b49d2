package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// Stores that hang, panic or end their goroutine, and what the client promises
// all the same.

// stubborn is a Shelf whose methods do something else first, if that is set.
type stubborn struct {
	*harness.Shelf

	mu     sync.Mutex
	load   func() error
	append func(m wsnotify.Message) error
	remove func() error
}

func newStubborn(t *testing.T, texts ...string) *stubborn {
	return &stubborn{Shelf: harness.NewShelf(t, texts...)}
}

func (s *stubborn) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// hooked calls a hook, if there is one, and then the Shelf unless that has failed.
func (s *stubborn) hooked(hook func() func() error, then func() error) error {
	s.mu.Lock()
	f := hook()
	s.mu.Unlock()
	if f != nil {
		if err := f(); err != nil {
			return err
		}
	}
	return then()
}

func (s *stubborn) Load(yield func(uint64, wsnotify.Message) error) error {
	return s.hooked(func() func() error { return s.load }, func() error { return s.Shelf.Load(yield) })
}

func (s *stubborn) Append(seq uint64, m wsnotify.Message) error {
	return s.hooked(func() func() error {
		if f := s.append; f != nil {
			return func() error { return f(m) }
		}
		return nil
	}, func() error { return s.Shelf.Append(seq, m) })
}

func (s *stubborn) Remove(seqs ...uint64) error {
	return s.hooked(func() func() error { return s.remove }, func() error { return s.Shelf.Remove(seqs...) })
}

// A Store that could not remove for a while takes messages all the time, and is
// empty soon after it can again.
func TestEnqueueGoesOnWhileTheStoreRemovesNothing(t *testing.T) {
	s := newStubborn(t)
	cfg := storing(s, wsnotify.Outbox{})
	var mu sync.Mutex
	reports := 0
	cfg.OnError = func(error) { mu.Lock(); reports++; mu.Unlock() }
	inBubble(t, cfg, func(w *world) {
		w.connect()
		s.set(func() { s.remove = func() error { return errDisk } })
		for range 3000 {
			w.enqueue("x")
		}
		time.Sleep(time.Hour)
		mu.Lock()
		if reports != 1 {
			t.Errorf("%d errors for one failure in a row", reports)
		}
		mu.Unlock()
		s.set(func() { s.remove = nil })
		time.Sleep(time.Minute)
		w.enqueue("more")
		if left := s.Texts(); len(left) > 0 {
			t.Errorf("%d messages are left", len(left))
		}
	})
}

// The end has its limits whatever the Store does: CloseTimeout, and the ctx of
// the call. Done waits for the Store.
func TestCloseTimeoutWhateverTheStoreDoes(t *testing.T) {
	for name, row := range map[string]struct {
		end  func(ctx context.Context, c *wsnotify.Client)
		most time.Duration
	}{
		"CloseWith":  {func(ctx context.Context, c *wsnotify.Client) { c.CloseWith(ctx, wsnotify.StatusNormalClosure, "") }, 200 * time.Millisecond},
		"Drain":      {func(ctx context.Context, c *wsnotify.Client) { c.Drain(ctx) }, 300 * time.Millisecond},
		"Disconnect": {func(_ context.Context, c *wsnotify.Client) { c.Disconnect() }, 5100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStubborn(t)
			inBubble(t, storing(s, wsnotify.Outbox{}), func(w *world) {
				gate := make(chan struct{})
				w.srv.AnswerClose(false)
				w.connect()
				s.set(func() { s.remove = func() error { <-gate; return nil } })
				w.enqueue("x")
				ctx, cancel := context.WithTimeout(bg, 100*time.Millisecond)
				defer cancel()
				began := time.Now()
				row.end(ctx, w.c)
				if d := time.Since(began); d > row.most {
					t.Errorf("it took %v", d)
				}
				synctest.Wait()
				select {
				case <-w.c.Done():
					t.Error("Done did not wait for the Store")
				default:
				}
				close(gate)
				<-w.c.Done()
			})
		})
	}
}

// While Load hangs, nothing else does: New and Connect go on after a while,
// Connect ends with its ctx, Disconnect and Drain at once, and Enqueue returns an
// error. What the Store has is sent once it is loaded.
func TestNothingWaitsForALoadThatHangs(t *testing.T) {
	s := newStubborn(t, "old")
	inBubble(t, wsnotify.Config{}, func(w *world) {
		gate := make(chan struct{})
		s.load = func() error { <-gate; return nil }
		within := func(what string, most time.Duration, f func()) {
			t.Helper()
			began := time.Now()
			f()
			if d := time.Since(began); d > most {
				t.Errorf("%s took %v", what, d)
			}
		}
		within("New", time.Second, func() { w.c = wsnotify.New(w.config(storing(s, wsnotify.Outbox{}))) })
		within("Enqueue", 10*time.Second, func() {
			if err := w.c.Enqueue(wsnotify.MessageText, []byte("a")); err == nil {
				t.Error("Enqueue before the Store is loaded")
			}
		})
		ctx, cancel := context.WithTimeout(bg, 500*time.Millisecond)
		defer cancel()
		within("Connect", 500*time.Millisecond, func() { w.wantErr(w.c.Connect(ctx, w.srv.URL(), "ada"), context.DeadlineExceeded) })
		connected := make(chan error, 1)
		go func() { connected <- w.c.Connect(bg, w.srv.URL(), "ada") }()
		time.Sleep(100 * time.Millisecond)
		within("Disconnect", 0, func() { w.must(w.c.Disconnect()) })
		w.wantErr(<-connected, wsnotify.ErrClosed)
		within("Connect", time.Second, func() { w.must(w.c.Connect(bg, w.srv.URL(), "ada")) })
		w.must(w.c.SendMessage(bg, "sent"))
		close(gate)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("new")))
		w.wantArrived(1, "sent", "old", "new")
	})
}

// A Load that fails after Connect has gone on without it is reported, once, and so is its
// panic, which no call of the user waits for any more.
func TestLoadThatFailsLate(t *testing.T) {
	for name, test := range map[string]struct {
		fails func() error
		want  string
	}{
		"error": {func() error { return errDisk }, " can't be loaded: the disk is full"},
		"panic": {func() error { panic("a bug of the user's") }, ": Load panicked: a bug of the user's"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStubborn(t)
			s.load = func() error { return errDisk }
			inBubble(t, storing(s, wsnotify.Outbox{}), func(w *world) {
				s.set(func() { s.load = func() error { time.Sleep(time.Minute); return test.fails() } })
				w.connect()
				w.pass(time.Hour)
				w.expect("1s CONNECTING", "1s OPEN", "1s open 1", "1m0s error wsnotify: Outbox.Store"+test.want)
			})
		})
	}
}

// A panic in Load goes on in the call of the user that has it loaded, and a
// goroutine that it ends is an error. The client can be used after that.
func TestLoadThatPanicsOrEndsItsGoroutine(t *testing.T) {
	for name, next := range map[string]func(w *world){
		"Disconnect": func(w *world) { w.must(w.c.Disconnect()) },
		"Connect":    func(w *world) { w.connect() },
		"Run":        func(w *world) { go w.c.Run(bg, w.srv.URL(), "ada"); synctest.Wait(); w.must(w.c.Disconnect()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStubborn(t, "one")
			s.load = func() error { return errDisk }
			inBubble(t, storing(s, wsnotify.Outbox{}), func(w *world) {
				panics := func(what string, f func()) {
					t.Helper()
					defer func() {
						if v := recover(); v != "a bug of the user's" {
							t.Errorf("%s: the panic is %v", what, v)
						}
					}()
					f()
				}
				s.set(func() { s.load = func() error { panic("a bug of the user's") } })
				panics("Enqueue", func() { w.c.Enqueue(wsnotify.MessageText, nil) })
				panics("Connect", func() { w.c.Connect(bg, w.srv.URL(), "ada") })
				panics("Run", func() { w.c.Run(bg, w.srv.URL(), "ada") })
				panics("New", func() { wsnotify.New(storing(s, wsnotify.Outbox{})) })
				s.set(func() { s.load = func() error { runtime.Goexit(); return nil } })
				if err := w.c.Connect(bg, w.srv.URL(), "ada"); err != nil {
					t.Errorf("Connect, where Load ends its goroutine: %v", err)
				}
				s.set(func() { s.load = nil })
				next(w)
			})
		})
	}
}

// An Append that hangs holds up its Enqueue alone: not a Send, nor a Flush, nor
// another Enqueue.
func TestNobodyWaitsForAnAppendThatHangs(t *testing.T) {
	s := newStubborn(t)
	inBubble(t, storing(s, wsnotify.Outbox{}), func(w *world) {
		gate := make(chan struct{})
		s.append = func(m wsnotify.Message) error {
			if string(m.Data) == "hangs" {
				<-gate
			}
			return nil
		}
		w.connect()
		result := make(chan error, 1)
		go func() { result <- w.c.Enqueue(wsnotify.MessageText, []byte("hangs")) }()
		synctest.Wait()
		w.must(w.c.SendMessage(bg, "sent"))
		w.enqueue("other")
		w.must(w.c.Flush(bg))
		w.wantArrived(1, "sent", "other")
		close(gate)
		w.must(<-result)
		w.wantArrived(1, "sent", "other", "hangs")
	})
}

// What Enqueue refuses has dropped nothing.
func TestDropOldestDropsNothingForWhatTheStoreRefuses(t *testing.T) {
	s := newStubborn(t)
	lost := 0
	cfg := storing(s, wsnotify.Outbox{Messages: 100, Bytes: 1 << 20, Overflow: wsnotify.DropOldest})
	cfg.OnUndelivered = func(wsnotify.Message, error) { lost++ }
	inBubble(t, cfg, func(w *world) {
		for i := range 100 {
			w.must(w.c.Enqueue(wsnotify.MessageBinary, fmt.Appendf(nil, "%d%9990s", i, "")))
		}
		s.append = func(wsnotify.Message) error { time.Sleep(time.Second); return errDisk }
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { w.wantErr(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 10<<10)), errDisk) })
		}
		all.Wait()
		w.wantErr(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 1<<20)), errDisk)
		synctest.Wait()
		if lost > 0 || len(s.Texts()) != 100 {
			t.Errorf("%d were dropped, %d are left", lost, len(s.Texts()))
		}
	})
}

// With a Store, a later Connect takes over what is left, so a Flush goes on.
// Without one it fails.
func TestFlushOverALaterConnect(t *testing.T) {
	for _, stores := range []bool{true, false} {
		cfg := wsnotify.Config{BackOff: every(time.Second)}
		if stores {
			cfg.Outbox.Store = newStubborn(t)
		}
		inBubble(t, cfg, func(w *world) {
			w.net.Refuse(true)
			go w.c.Connect(bg, w.srv.URL(), "ada")
			synctest.Wait()
			w.enqueue("a")
			flushed := make(chan error, 1)
			go func() { flushed <- w.c.Flush(bg) }()
			synctest.Wait()
			w.net.Refuse(false)
			w.connect()
			err := <-flushed
			if stores {
				w.must(err)
				w.wantArrived(1, "a")
			} else {
				w.wantErr(err, wsnotify.ErrClosed)
			}
		})
	}
}

// A confirmation that was received before a later Connect counts, though its
// callback confirms behind that.
func TestConfirmBehindALaterConnect(t *testing.T) {
	known := -1
	cfg := confirming(wsnotify.Outbox{})
	gate := make(chan struct{})
	var c *wsnotify.Client
	cfg.OnMessage = func(m wsnotify.Message) {
		<-gate
		known = c.Confirm(string(m.Data))
	}
	inBubble(t, cfg, func(w *world) {
		gate = make(chan struct{})
		c = w.c
		conn := w.connect()
		w.enqueue("a", "b")
		w.must(conn.SendText("a"))
		synctest.Wait()
		second := make(chan error)
		go func() { second <- w.c.Connect(bg, w.srv.URL(), "ada") }()
		synctest.Wait()
		w.enqueue("c")
		close(gate)
		w.must(<-second)
		synctest.Wait()
		if known != 1 {
			t.Errorf("%d were known", known)
		}
		w.wantArrived(2, "c")
		w.wantStatus(1, 1, 0, 1) // b is reported
	})
}

// A Flush that only a later callback could end is an error at once in a callback.
func TestFlushInACallbackWithConfirmations(t *testing.T) {
	var c *wsnotify.Client
	cfg := confirming(wsnotify.Outbox{})
	var first, second error
	cfg.OnOpen = func(wsnotify.OpenEvent) {
		c.Enqueue(wsnotify.MessageText, []byte("-plain"))
		first = c.Flush(bg)
		c.Enqueue(wsnotify.MessageText, []byte("a"))
		second = c.Flush(bg)
	}
	cfg.OnMessage = func(m wsnotify.Message) { c.Confirm(string(m.Data)) }
	inBubble(t, cfg, func(w *world) {
		c = w.c
		w.srv.OnMessage(func(conn *wsnotifytest.Conn, _ byte, data []byte) { conn.SendText(string(data)) })
		w.connect()
		synctest.Wait()
		w.must(first)
		if second == nil || errors.Is(second, wsnotify.ErrClosed) {
			t.Errorf("Flush in a callback: %v", second)
		}
		w.must(w.c.Flush(bg)) // elsewhere it waits
		w.wantStatus(0, 0, 0, 0)
	})
}
