package wsnotify_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
)

// shelf is a harness.Shelf that can be slow, and can fail.
type shelf struct {
	*harness.Shelf

	mu       sync.Mutex
	fail     map[string]error // by the name of the method
	takes    time.Duration    // an Append
	appends  int              // under way
	together int              // at most
	loads    int
	removes  int
}

func newShelf(t *testing.T, texts ...string) *shelf {
	return &shelf{Shelf: harness.NewShelf(t, texts...), fail: map[string]error{}}
}

func (s *shelf) Load(yield func(uint64, wsnotify.Message) error) error {
	s.mu.Lock()
	s.loads++
	err := s.fail["Load"]
	s.mu.Unlock()
	return cmp.Or(s.Shelf.Load(yield), err)
}

func (s *shelf) Append(seq uint64, m wsnotify.Message) error {
	s.mu.Lock()
	s.appends++
	s.together = max(s.together, s.appends)
	takes := s.takes
	s.mu.Unlock()
	time.Sleep(takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.appends--
	if err := s.fail["Append"]; err != nil {
		return err
	}
	return s.Shelf.Append(seq, m)
}

func (s *shelf) Remove(seqs ...uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removes++
	if err := s.fail["Remove"]; err != nil {
		return err
	}
	return s.Shelf.Remove(seqs...)
}

func (s *shelf) set(method string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[method] = err
}

func (s *shelf) texts() []string { return s.Texts() }

func (w *world) wantKept(s *shelf, want ...string) {
	w.Helper()
	synctest.Wait()
	if got := s.texts(); !slices.Equal(got, want) {
		w.Errorf("the store holds %q and not %q", got, want)
	}
}

func storing(s wsnotify.Store, box wsnotify.Outbox) wsnotify.Config {
	box.Store = s
	return wsnotify.Config{Outbox: box, BackOff: every(time.Second)}
}

var errDisk = errors.New("the disk is full")

func TestStoreKeepsWhatIsNotDone(t *testing.T) {
	s := newShelf(t, "old 1", "old 2")
	inBubble(t, storing(s, wsnotify.Outbox{}), func(w *world) {
		w.wantStatus(2, 0, 0, 0)
		w.enqueue("new")
		w.wantKept(s, "old 1", "old 2", "new")
		conn := w.connect()
		w.must(w.c.Flush(bg))
		w.wantArrived(1, "old 1", "old 2", "new")
		w.wantKept(s)
		w.srv.Stop()
		conn.Drop()
		synctest.Wait()
		w.enqueue("left 1", "left 2")
		flushed := make(chan error, 1)
		go func() { flushed <- w.c.Flush(bg) }()
		synctest.Wait()
		w.journal()
		w.must(w.c.Disconnect())
		<-w.c.Done()
		w.wantErr(<-flushed, wsnotify.ErrClosed)
		w.wantErr(w.c.Flush(bg), wsnotify.ErrClosed)
		w.wantErr(w.c.Enqueue(wsnotify.MessageText, []byte("refused")), wsnotify.ErrClosed)
		w.expect() // nothing is reported
		w.wantKept(s, "left 1", "left 2")
	})
	inBubble(t, storing(s, wsnotify.Outbox{}), func(w *world) { // another process
		w.enqueue("newer")
		w.connect()
		w.must(w.c.Flush(bg))
		w.wantArrived(1, "left 1", "left 2", "newer")
		w.wantKept(s)
	})
}

// What is left of one Connect is sent by the next, before anything newer.
func TestStoreServesSeveralConnects(t *testing.T) {
	s := newShelf(t)
	inBubble(t, storing(s, wsnotify.Outbox{ConfirmID: byText}), func(w *world) {
		w.connect()
		w.enqueue("a", "b", "-plain", "c")
		w.confirm(1, "b")
		w.must(w.c.Disconnect())
		w.wantStatus(2, 2, 0, 0)
		w.wantKept(s, "a", "c")
		w.confirm(1, "a") // late
		w.wantKept(s, "c")
		w.connect()
		w.enqueue("d")
		w.wantArrived(2, "c", "d")
		w.connect() // supersedes
		w.enqueue("e")
		w.wantArrived(3, "c", "d", "e")
		w.confirm(3, "c", "d", "e")
		w.must(w.c.Flush(bg))
		w.wantKept(s)
		w.wantStatus(0, 0, 3, 0)
		if s.loads != 1 {
			t.Errorf("it was loaded %d times", s.loads)
		}
	})
}

// Those who enqueue at the same time are stored at the same time, and written
// in the order of their numbers.
func TestAppendsShareTheirTime(t *testing.T) {
	s := newShelf(t)
	inBubble(t, storing(s, wsnotify.Outbox{}), func(w *world) {
		w.connect()
		s.takes = time.Second
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() { w.must(w.c.Enqueue(wsnotify.MessageText, []byte(fmt.Sprint(i)))) })
			if i%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		all.Wait()
		w.must(w.c.Flush(bg))
		if s.together != 50 || time.Since(w.start) > 1100*time.Millisecond {
			t.Errorf("at most %d at once, in %v", s.together, time.Since(w.start))
		}
		synctest.Wait()
		if n := len(w.srv.Messages("ada")); n != 50 {
			t.Errorf("%d arrived", n)
		}
		w.wantKept(s)
		if s.removes > 50 {
			t.Errorf("%d calls of Remove", s.removes)
		}
	})
}

func TestStoreThatFails(t *testing.T) {
	s := newShelf(t, "old")
	s.set("Load", errDisk)
	inBubble(t, storing(s, wsnotify.Outbox{}), func(w *world) {
		w.wantStatus(0, 0, 0, 0)
		w.wantErr(w.c.Enqueue(wsnotify.MessageText, []byte("a")), errDisk) // else it might get the number of another
		w.connect()
		w.expect("0s error wsnotify: Outbox.Store can't be loaded: the disk is full", "0s CONNECTING", "0s OPEN", "0s open 1")
		s.set("Load", nil)
		s.set("Append", errDisk)
		w.wantErr(w.c.Enqueue(wsnotify.MessageText, []byte("b")), errDisk)
		w.wantArrived(1, "old")
		w.wantKept(s)
		s.set("Append", nil)
		w.enqueue("c")
		w.wantArrived(1, "old", "c")
		s.set("Remove", errDisk)
		w.journal()
		w.enqueue("d")
		if got := fmt.Sprint(w.journal()); !strings.Contains(got, "did not remove 1 messages") {
			t.Errorf("the journal says %s", got)
		}
		w.wantKept(s, "d")
		w.must(w.c.Flush(bg)) // it is written
		s.set("Remove", nil)
		w.must(w.c.Disconnect())
		w.wantKept(s) // it is tried again at the end
		w.expect("0s CLOSING", "0s CLOSED", `0s close 1 code=1000 reason="" clean=true again=false`)
	})
}

// A message that is dropped, expired or unconfirmed for good is reported, and
// not kept.
func TestReportedMessagesAreNotPersisted(t *testing.T) {
	s := newShelf(t)
	inBubble(t, storing(s, wsnotify.Outbox{Messages: 2, Overflow: wsnotify.DropOldest, MaxAge: 5 * time.Second}), func(w *world) {
		w.enqueue("a", "b", "c")
		w.expect(`0s undelivered "a": full`)
		w.wantKept(s, "b", "c")
		w.pass(5 * time.Second)
		w.expect(`5s undelivered "b": expired`, `5s undelivered "c": expired`)
		w.wantKept(s)
	})
}

// An Enqueue that is under way when the client ends is kept for the next.
func TestEnqueueAcrossTheEnd(t *testing.T) {
	s := newShelf(t)
	inBubble(t, storing(s, wsnotify.Outbox{ConfirmID: byText}), func(w *world) {
		w.connect()
		s.takes = 2 * time.Second
		results := make(chan error, 2)
		enqueue := func(text string) { results <- w.c.Enqueue(wsnotify.MessageText, []byte(text)) }
		go enqueue("a")
		time.Sleep(time.Second)
		go enqueue("b")
		synctest.Wait()
		w.must(w.c.Disconnect())
		w.wantStatus(0, 0, 0, 0)
		time.Sleep(time.Second)
		w.must(<-results)
		w.wantStatus(1, 0, 0, 0)
		s.takes = 0
		w.connect()
		time.Sleep(time.Second)
		w.must(<-results)
		w.enqueue("c")
		w.wantArrived(2, "a", "b", "c")
		w.wantKept(s, "a", "b", "c")
		w.confirm(3, "a", "b", "c")
		w.must(w.c.Flush(bg))
		w.wantKept(s)
	})
}

// Done waits for the calls of the Store that are still to come, so that it can be closed then.
func TestDoneWaitsForTheStore(t *testing.T) {
	s := &slowShelf{newShelf(t)}
	cfg := storing(s, wsnotify.Outbox{})
	cfg.CloseTimeout = time.Second
	inBubble(t, cfg, func(w *world) {
		w.connect()
		w.enqueue("a")
		w.must(w.c.Disconnect())
		if d := time.Since(w.start); d != time.Second {
			t.Errorf("Disconnect took %v", d)
		}
		<-w.c.Done()
		if d := time.Since(w.start); d != 10*time.Second {
			t.Errorf("it was over after %v", d)
		}
		w.wantKept(s.shelf)
	})
}

type slowShelf struct{ *shelf }

func (s *slowShelf) Remove(seqs ...uint64) error {
	time.Sleep(10 * time.Second)
	return s.shelf.Remove(seqs...)
}

// The order in which a Store loads does not matter, and what is no message is
// an error.
func TestStoreWithWrongContents(t *testing.T) {
	inBubble(t, storing(listed{{3, "c"}, {1, "a"}, {2, "b"}}, wsnotify.Outbox{}), func(w *world) {
		w.connect()
		w.wantArrived(1, "a", "b", "c")
	})
	inBubble(t, storing(listed{{1, "\xff"}}, wsnotify.Outbox{}), func(w *world) {
		if err := w.c.Enqueue(wsnotify.MessageText, nil); err == nil || !strings.Contains(err.Error(), "message 1: ") {
			t.Error(err)
		}
	})
}

type listed []struct {
	seq  uint64
	text string
}

func (l listed) Load(yield func(uint64, wsnotify.Message) error) (err error) {
	for _, m := range l {
		err = cmp.Or(err, yield(m.seq, wsnotify.Message{Type: wsnotify.MessageText, Data: []byte(m.text)}))
	}
	return err
}
func (listed) Append(uint64, wsnotify.Message) error { return nil }
func (listed) Remove(...uint64) error                { return nil }
