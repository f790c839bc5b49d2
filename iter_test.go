package wsnotify_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
)

// collect ranges over the notifications on a goroutine of its own, and tells
// their contents when the sequence has ended.
func collect(ctx context.Context, c *wsnotify.Client) (ended <-chan []string) {
	seq := c.Notifications(ctx)
	ch := make(chan []string, 1)
	go func() {
		var got []string
		for n := range seq {
			got = append(got, n.Content)
		}
		ch <- got
	}()
	return ch
}

func wantSequence(t *testing.T, ended <-chan []string, want ...string) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-ended:
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the sequence was %q and not %q", got, want)
		}
	default:
		t.Error("the sequence has not ended")
	}
}

// A sequence that was made before a Connect is of that, and loses nothing of it.
func TestSequenceMadeBeforeConnect(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprint("again=", again), func(t *testing.T) {
			inBubble(t, wsnotify.Config{}, func(w *world) {
				if again {
					w.connect()
					w.must(w.c.Disconnect())
					<-w.c.Done()
				}
				seq := w.c.Notifications(w.Context())
				conn := w.connect()
				w.must(conn.Notify("a", "first"))
				synctest.Wait()
				var got []string
				for n := range seq {
					if got = append(got, n.Content); len(got) == 1 {
						w.must(conn.Notify("a", "second"))
						go w.c.Disconnect() // and that is the end
					}
				}
				if fmt.Sprint(got) != "[first second]" && fmt.Sprint(got) != "[first]" {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}

// Nobody knows whether there will be another Connect.
func TestLoopAtTheEndOfAClientEndsAtOnce(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.must(w.c.Disconnect())
		<-w.c.Done()
		for range w.c.Messages(bg) {
			t.Error("a message after the end")
		}
		seq := w.c.Messages(bg)
		w.must(w.connect().SendBinary([]byte("x")))
		for range seq {
			break
		}
		w.must(w.c.Disconnect())
		<-w.c.Done()
		for range seq { // a further loop over the same sequence
			t.Error("a message after the end")
		}
	})
}

// The end of a run ends its sequences, and only those, also when callbacks are
// slow and the next run has begun when they return.
func TestSequenceEndsWithItsRun(t *testing.T) {
	for _, slow := range []time.Duration{0, time.Second} {
		t.Run(fmt.Sprint(slow), func(t *testing.T) {
			inBubble(t, wsnotify.Config{OnClose: func(wsnotify.CloseEvent) { time.Sleep(slow) }}, func(w *world) {
				conn := w.connect()
				first := collect(w.Context(), w.c)
				synctest.Wait()
				w.must(conn.Notify("a", "1"))
				synctest.Wait()
				w.must(w.c.Disconnect())
				conn = w.connect()
				second := collect(w.Context(), w.c)
				w.pass(2 * time.Second)
				wantSequence(t, first, "1")
				w.must(conn.Notify("a", "2"))
				w.pass(0)
				w.must(w.c.Disconnect())
				w.pass(2 * time.Second)
				wantSequence(t, second, "2")
			})
		})
	}
}

// A Connect that takes a client over goes on with its sequences.
func TestSequenceGoesOnWhenAConnectTakesOver(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		ended := collect(w.Context(), w.c)
		w.must(conn.Notify("a", "1"))
		synctest.Wait()
		conn = w.connect()
		w.must(conn.Notify("a", "2"))
		synctest.Wait()
		w.must(w.c.Disconnect())
		wantSequence(t, ended, "1", "2")
	})
}

// However the making of a sequence and the end of a run meet, the sequence ends
// with that run or with the next.
func TestSequenceMadeWhileARunEnds(t *testing.T) {
	for range 200 {
		inBubble(t, wsnotify.Config{}, func(w *world) {
			w.connect()
			made := make(chan (<-chan []string))
			go w.c.Disconnect()
			go func() { made <- collect(context.Background(), w.c) }()
			ended := <-made
			synctest.Wait()
			w.must(w.connect().Notify("a", "x"))
			w.pass(0)
			w.must(w.c.Disconnect())
			synctest.Wait()
			if len(ended) != 1 {
				t.Error("the sequence has not ended")
			}
		})
	}
}

func TestIterators(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		seq := w.c.Notifications(context.Background())
		for i := range 5 {
			w.must(conn.Notify("n", i+1))
		}
		var got []string
		for n := range seq {
			if got = append(got, n.Content); len(got) == 3 {
				break
			}
		}
		if fmt.Sprint(got) != "[1 2 3]" {
			t.Errorf("%v", got)
		}
		synctest.Wait()
		messages := make(chan int)
		go func() {
			count := 0
			for range w.c.Messages(context.Background()) {
				count++
			}
			messages <- count
		}()
		synctest.Wait()
		w.must(conn.SendBinary([]byte("x")))
		w.must(conn.SendText("{}"))
		synctest.Wait()
		w.must(w.c.Disconnect())
		if n := <-messages; n != 2 {
			t.Errorf("%d messages", n)
		}
		for range w.c.Messages(context.Background()) {
			t.Error("a message after the end")
		}
	})
}

func TestIteratorEndsWithItsContext(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		ctx, cancel := context.WithCancel(context.Background())
		seq := w.c.Messages(ctx)
		w.must(conn.SendText("{}")) // nobody takes it
		synctest.Wait()
		cancel()
		for range seq {
			break
		}
		w.journal()
		w.must(conn.Notify("a", "b"))
		w.expect("0s notification a: b")
	})
}

// A sequence whose ctx has ended gets nothing more, also where nobody has begun a loop over it.
func TestSequenceThatNobodyLoopsOver(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		c := wsnotify.New(wsnotify.Config{HTTPClient: w.net.HTTPClient()})
		ctx, cancel := context.WithCancel(w.Context())
		c.Notifications(ctx)
		c.Messages(ctx)
		w.must(c.Connect(w.Context(), w.srv.URL(), "ada"))
		conn := w.conn()
		w.must(conn.Notify("a", "1"))
		w.pass(time.Hour)
		if s := c.Status(); s.InboxQueued != 1 || s.CallbackSince.IsZero() {
			t.Errorf("%d messages are in the inbox", s.InboxQueued)
		}
		cancel()
		w.pass(0)
		for range 3 {
			w.must(conn.Notify("a", "2"))
		}
		w.pass(0)
		if s := c.Status(); s.Unhandled != 3 || s.InboxQueued != 0 {
			t.Errorf("%d notifications were for nobody, %d messages are in the inbox", s.Unhandled, s.InboxQueued)
		}
		w.must(c.Drain(w.Context())) // waits for no loop
		<-c.Done()
	})
}
