package outbox

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// testStore is a Store in memory whose methods can be made to do something else
// first.
type testStore struct {
	mu     sync.Mutex
	has    map[uint64]string
	load   func() error
	append func(data string) error
	remove func(seqs []uint64) error
}

func newTestStore(texts ...string) *testStore {
	s := &testStore{has: map[uint64]string{}}
	for i, text := range texts {
		s.has[uint64(i+1)] = text
	}
	return s
}

func (s *testStore) Load(yield func(uint64, wire.Op, []byte) error) error {
	if s.load != nil {
		if err := s.load(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for seq, text := range s.has { // in any order
		if err := yield(seq, wire.Text, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

func (s *testStore) Append(seq uint64, _ wire.Op, data []byte) error {
	if s.append != nil {
		if err := s.append(string(data)); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, used := s.has[seq]; used {
		panic("the number is in use")
	}
	s.has[seq] = string(data)
	return nil
}

func (s *testStore) Remove(seqs ...uint64) error {
	if s.remove != nil {
		if err := s.remove(seqs); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seq := range seqs {
		delete(s.has, seq)
	}
	return nil
}

func storing(s Store) Config {
	cfg := testConfig()
	cfg.Store = s
	return cfg
}

func enqueueText(o *Outbox, text string) error { return o.Enqueue(wire.Text, []byte(text)) }

// waiting returns the messages that are queued.
func waiting(o *Outbox) (texts []string) {
	for b := o.ring.first; b != nil; b = b.next {
		for i := range b.used {
			if b.live>>i&1 != 0 {
				texts = append(texts, string(b.at(i).data))
			}
		}
	}
	return texts
}

// An Append that hangs holds up its own Enqueue and nothing else.
func TestAppendThatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newTestStore()
		s.append = func(data string) error {
			if data == "hangs" {
				<-gate
			}
			return nil
		}
		o := New(storing(s))
		w := attached(o)
		go enqueueText(o, "hangs")
		synctest.Wait()
		if err := enqueueText(o, "b"); err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() { sent <- o.Send(t.Context(), wire.Text, []byte("c")) }()
		synctest.Wait()
		o.written(w, dequeued(w, 8, 1000))
		synctest.Wait()
		if len(sent) != 1 {
			t.Error("Send waits for an Append of somebody else")
		}
		flushed := make(chan error, 1)
		go func() { flushed <- o.Flush(t.Context()) }()
		synctest.Wait()
		if len(flushed) != 1 {
			t.Error("Flush waits for an Append that has not returned")
		}
		close(gate)
		synctest.Wait()
		if got := waiting(o); !slices.Equal(got, []string{"hangs"}) {
			t.Errorf("%q wait", got)
		}
		o.detach(w, false)
	})
}

// Messages with the same id are acknowledged whatever the order in which the
// Store has them.
func TestLateAppendAndTheSameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newTestStore()
		s.append = func(data string) error {
			if data == "late" {
				<-gate
			}
			return nil
		}
		cfg := storing(s)
		cfg.ConfirmID = func(wire.Op, []byte) string { return "id" }
		o := New(cfg)
		go enqueueText(o, "late")
		synctest.Wait()
		if err := enqueueText(o, "b"); err != nil {
			t.Fatal(err)
		}
		close(gate)
		synctest.Wait()
		for i := range 2 {
			if n := o.Ack([]string{"id"}); n != 1 {
				t.Errorf("ack %d was for %d messages", i+1, n)
			}
		}
		if queued, _ := o.Counts(); queued != 0 {
			t.Errorf("%d messages are left", queued)
		}
		synctest.Wait()
		if len(s.has) != 0 {
			t.Errorf("the Store has %q", s.has)
		}
	})
}

// An Append that panics or ends its goroutine releases what it had reserved.
func TestAppendThatDoesNotReturn(t *testing.T) {
	for name, end := range map[string]func() error{
		"panic": func() error { panic("a bug of the user's") }, "Goexit": func() error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestStore()
				s.append = func(string) error { return end() }
				cfg := storing(s)
				cfg.Messages = 1
				o := New(cfg)
				go func() {
					defer func() { recover() }()
					enqueueText(o, "a")
				}()
				synctest.Wait()
				s.append = nil
				if err := enqueueText(o, "b"); err != nil {
					t.Error(err)
				}
				if got := waiting(o); !slices.Equal(got, []string{"b"}) || o.reserved.count != 0 || o.reserved.bytes != 0 {
					t.Errorf("%q wait, reserved %+v", got, o.reserved)
				}
			})
		})
	}
}

// Whoever enqueues while the Store is loaded waits for that: before it, no
// number is known to be free, and what it holds is older. The wait has a limit.
func TestEnqueueWaitsForALoadUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newTestStore("1", "2", "3")
		s.load = func() error { <-gate; return nil }
		o := New(storing(s))
		o.Load()
		result := make(chan error, 1)
		go func() { result <- enqueueText(o, "4") }()
		synctest.Wait()
		if len(s.has) != 3 || len(result) > 0 {
			t.Errorf("the Store has %q before it was loaded", s.has)
		}
		began := time.Now()
		if err := enqueueText(o, "5"); err == nil || time.Since(began) != loadTimeout ||
			err.Error() != "wsnotify: Outbox.Store: Load has not returned within 10s, and until then no message can be enqueued" {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err := <-result; err == nil {
			t.Error("the first Enqueue waited for longer")
		}
		close(gate)
		if err := enqueueText(o, "6"); err != nil {
			t.Error(err)
		}
		if got := waiting(o); !slices.Equal(got, []string{"1", "2", "3", "6"}) || s.has[4] != "6" {
			t.Errorf("%q wait, the Store has %q", got, s.has)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newTestStore()
		s.load = func() error { <-gate; return nil }
		o := New(storing(s))
		result := make(chan error, 1)
		go func() { result <- enqueueText(o, "a") }()
		synctest.Wait()
		o.Latest().Close()
		if err := <-result; err != testErrors.ErrClosed {
			t.Errorf("at the end: %v", err)
		}
		close(gate)
	})
}

// A Load that does not return is an error, and is tried again. Its panic goes on
// in one of those who wait.
func TestLoadThatDoesNotReturn(t *testing.T) {
	for name, end := range map[string]func() error{
		"panic": func() error { panic("a bug of the user's") }, "Goexit": func() error { runtime.Goexit(); return nil },
		"error": func() error { return errDisk },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestStore("1")
				gate := make(chan struct{})
				s.load = func() error { <-gate; return end() }
				o := New(storing(s))
				var panicked, failed []any
				var mu sync.Mutex
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() {
						defer func() {
							if v := recover(); v != nil {
								mu.Lock()
								panicked = append(panicked, v)
								mu.Unlock()
							}
						}()
						err := enqueueText(o, "a")
						mu.Lock()
						failed = append(failed, err)
						mu.Unlock()
						if err == nil {
							t.Error("a message was accepted")
						}
					})
				}
				synctest.Wait()
				close(gate)
				all.Wait()
				if want := name == "panic"; len(panicked) != map[bool]int{true: 1}[want] || len(failed) != 3-len(panicked) {
					t.Errorf("%v panicked, %v failed", panicked, failed)
				}
				s.load = nil
				if err := enqueueText(o, "2"); err != nil || !slices.Equal(waiting(o), []string{"1", "2"}) {
					t.Errorf("%v, %q wait", err, waiting(o))
				}
			})
		})
	}
}

// What was loaded is written by a connection that is open, and acknowledged by its id. Whoever asks for the result
// of a Load that has panicked gets its error, and the first one the panic.
func TestLoadResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := storing(newTestStore("a", "b"))
		cfg.ConfirmID = itself
		o := New(cfg)
		w, kicks := attachedPaced(o)
		l := o.Load()
		<-l.Over()
		synctest.Wait()
		if kicks.Load() != 1 || o.Load() != nil {
			t.Errorf("%d kicks", kicks.Load())
		}
		if n := o.Ack([]string{"b", "a", "c"}); n != 2 {
			t.Errorf("%d ids were known", n)
		}
		o.detach(w, false)

		s := newTestStore()
		s.load = func() error { panic("a bug of the user's") }
		l = New(storing(s)).Load()
		<-l.Over()
		for i, want := range []any{"a bug of the user's", nil} {
			panicked, err := l.Result()
			if panicked != want || err == nil || err.Error() != "wsnotify: Outbox.Store: Load panicked: a bug of the user's" {
				t.Errorf("result %d: %v, %v", i, panicked, err)
			}
		}
	})
}

// Removals that the Store refuses are tried again with a back-off, and reported
// once in a row. They take no capacity.
func TestRemovalsAreTriedAgain(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errDisk }, "panic": func() error { panic("a bug of the user's") },
		"Goexit": func() error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestStore()
				calls, asked := 0, 0
				var well atomic.Bool
				s.remove = func(seqs []uint64) error {
					if well.Load() {
						return nil
					}
					calls++
					asked += len(seqs)
					return fail()
				}
				cfg := storing(s)
				cfg.Messages = 10
				var reports []error
				cfg.Report = func(err error) { reports = append(reports, err) }
				o := New(cfg)
				w := attached(o)
				const messages = 5000
				fill := func() {
					for i := range messages {
						if err := enqueueText(o, fmt.Sprint(i)); err != nil {
							t.Fatalf("message %d: %v", i, err)
						}
						o.written(w, dequeued(w, 1, 1000))
					}
				}
				fill()
				time.Sleep(time.Minute)
				synctest.Wait()
				if calls > 20 || asked > 20*removeAtOnce {
					t.Errorf("%d calls for %d numbers in a minute", calls, asked)
				}
				why := map[string]string{"error": "the disk is full", "panic": "its Remove panicked: a bug of the user's", "Goexit": "its Remove ended its goroutine"}
				if len(reports) != 1 || name == "error" && !errors.Is(reports[0], errDisk) || !strings.HasSuffix(reports[0].Error(),
					" messages that are done; unless it does later, they are sent again when it is loaded next: "+why[name]) {
					t.Errorf("%d reports: %v", len(reports), reports)
				}
				well.Store(true)
				time.Sleep(maxRetryDelay)
				synctest.Wait()
				if len(s.has) != 0 || len(o.store.removals) != 0 {
					t.Errorf("%d messages are still there", len(s.has))
				}
				well.Store(false)
				fill()
				synctest.Wait()
				if len(reports) != 2 {
					t.Errorf("%d reports after another failure", len(reports))
				}
				o.detach(w, false)
				o.Latest().Finish()
				well.Store(true)
				if removed := o.Removed(); removed != nil { // at the end
					<-removed
				}
				if len(s.has) != 0 {
					t.Errorf("%d messages are still there at the end", len(s.has))
				}
			})
		})
	}
}

// With a Store that never removes, what waits for that is bounded.
func TestRemovalsAreALimitOfMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestStore()
		gate := make(chan struct{})
		s.remove = func([]uint64) error { <-gate; return nil }
		cfg := storing(s)
		cfg.Bytes = 10
		o := New(cfg)
		w := attached(o)
		n := 0
		for ; enqueueText(o, "x") == nil; n++ {
			o.written(w, dequeued(w, 1, 1000))
		}
		if most := minUnreportedBytes/removalBytes + 1; n > most+1 || n < most-1 {
			t.Errorf("%d were accepted, expected %d", n, most)
		}
		close(gate)
		synctest.Wait()
		if err := enqueueText(o, "x"); err != nil {
			t.Error(err)
		}
		o.detach(w, false)
	})
}

// DropOldest drops nothing for what is not accepted, and is a limit while Append
// takes its time.
func TestDropOldestWithASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestStore()
		cfg := storing(s)
		cfg.Messages, cfg.DropOldest = 4, true
		lost := 0
		cfg.Lost = func(n int, _ error) { lost += n }
		o := New(cfg)
		for i := range 4 {
			enqueueText(o, fmt.Sprint(i))
		}
		gate := make(chan error)
		s.append = func(string) error { return <-gate }
		results := make(chan error, 100)
		for i := range 100 {
			go func() { results <- enqueueText(o, fmt.Sprint("new", i)) }()
		}
		synctest.Wait()
		if o.count != 4 || lost != 0 || len(results) != 96 {
			t.Errorf("%d are queued, %d lost, %d were refused", o.count, lost, len(results))
		}
		for range 96 {
			if err := <-results; err != testErrors.ErrOutboxFull {
				t.Error(err)
			}
		}
		gate <- errDisk
		gate <- errDisk
		gate <- nil
		synctest.Wait()
		if o.count != 4 || lost != 1 || o.reserved.count != 1 {
			t.Errorf("%d are queued, %d lost, %d reserved", o.count, lost, o.reserved.count)
		}
		gate <- nil
		synctest.Wait()
		if got := waiting(o); len(got) != 4 || got[0] != "2" || lost != 2 {
			t.Errorf("%q wait, %d lost", got, lost)
		}
	})
}

// What is left of one Session is sent in the next, behind nothing newer, and a
// Flush waits over it.
func TestStoredMessagesStayForTheNextSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(storing(newTestStore()))
		first := o.Latest()
		enqueueText(o, "a")
		flushed := make(chan error, 1)
		go func() { flushed <- o.Flush(t.Context()) }()
		synctest.Wait()
		second := o.Begin()
		enqueueText(o, "b")
		w := attachedTo(first)
		if n := dequeued(w, 8, 1000); n != 1 {
			t.Errorf("the first Session dequeued %d", n)
		}
		o.detach(w, false)
		first.Finish()
		w = attachedTo(second)
		if n := dequeued(w, 8, 1000); n != 2 {
			t.Errorf("the second Session dequeued %d", n)
		}
		synctest.Wait()
		if len(flushed) > 0 {
			t.Error("Flush ended before its message was written")
		}
		o.written(w, 1)
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		o.detach(w, false)
		go func() { flushed <- o.Flush(t.Context()) }()
		synctest.Wait()
		second.Finish()
		if err := <-flushed; err != testErrors.ErrClosed {
			t.Errorf("Flush at the end: %v", err)
		}
		if err := o.Flush(t.Context()); err != testErrors.ErrClosed {
			t.Errorf("Flush after the end: %v", err)
		}
	})
}

// Nothing expires between two Sessions, and what is too old then does when the next begins.
func TestNothingExpiresBetweenSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := storing(newTestStore())
		cfg.MaxAge = time.Minute
		o := New(cfg)
		enqueueText(o, "a")
		o.Latest().Finish()
		time.Sleep(time.Hour)
		if queued, _ := o.Counts(); queued != 1 || o.expiry != nil {
			t.Errorf("%d are queued", queued)
		}
		o.Begin()
		if queued, _ := o.Counts(); queued != 0 {
			t.Errorf("%d are queued in the next Session", queued)
		}
	})
}

// A message expires, though one that was stored before it was not accepted.
func TestExpiryBehindAFailedAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newTestStore()
		s.append = func(data string) error {
			if data == "first" {
				<-gate
				return errDisk
			}
			return nil
		}
		cfg := storing(s)
		cfg.MaxAge = time.Minute
		o := New(cfg)
		go enqueueText(o, "first")
		time.Sleep(90 * time.Second)
		enqueueText(o, "second")
		time.Sleep(10 * time.Second)
		close(gate)
		time.Sleep(49 * time.Second)
		if queued, _ := o.Counts(); queued != 1 {
			t.Error("the message has expired too early")
		}
		time.Sleep(2 * time.Second)
		if queued, _ := o.Counts(); queued != 0 {
			t.Error("the message has not expired")
		}
	})
}
