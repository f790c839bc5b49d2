package wsnotify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// byText takes a message for its own id, but for those that begin with "-".
func byText(m wsnotify.Message) string {
	if bytes.HasPrefix(m.Data, []byte("-")) {
		return ""
	}
	return string(m.Data)
}

func (w *world) enqueue(texts ...string) {
	w.Helper()
	for _, text := range texts {
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte(text)))
	}
	synctest.Wait()
}

// confirm confirms and checks how many of the ids were known.
func (w *world) confirm(known int, ids ...string) {
	w.Helper()
	if n := w.c.Confirm(ids...); n != known {
		w.Errorf("%d of %q were known, and not %d", n, ids, known)
	}
}

func (w *world) wantStatus(queued, unconfirmed int, resent, undelivered uint64) {
	w.Helper()
	s := w.c.Status()
	if s.Queued != queued || s.Unconfirmed != unconfirmed || s.Resent != resent || s.Undelivered != undelivered {
		w.Errorf("Queued %d, Unconfirmed %d, Resent %d, Undelivered %d; not %d, %d, %d, %d",
			s.Queued, s.Unconfirmed, s.Resent, s.Undelivered, queued, unconfirmed, resent, undelivered)
	}
}

// wantArrived compares what came over the nth connection.
func (w *world) wantArrived(n int, want ...string) {
	w.Helper()
	synctest.Wait()
	conn, err := w.srv.NthConn(bg, n)
	w.must(err)
	if got := conn.Messages(); !slices.Equal(got, want) {
		w.Errorf("connection %d brought %q and not %q", n, got, want)
	}
}

func confirming(box wsnotify.Outbox) wsnotify.Config {
	box.ConfirmID = byText
	return wsnotify.Config{Outbox: box, BackOff: every(time.Second)}
}

func TestMessageStaysUntilItIsConfirmed(t *testing.T) {
	inBubble(t, confirming(wsnotify.Outbox{}), func(w *world) {
		w.connect()
		w.enqueue("a", "-plain", "b")
		w.wantStatus(2, 2, 0, 0)
		flushed := make(chan error, 1)
		go func() { flushed <- w.c.Flush(bg) }()
		synctest.Wait()
		w.confirm(1, "b", "unknown", "", "-plain") // out of order
		w.confirm(0, "b")                          // doubled
		synctest.Wait()
		if len(flushed) > 0 {
			t.Error("Flush did not wait for the confirmation")
		}
		w.confirm(1, "a")
		w.must(<-flushed)
		w.wantStatus(0, 0, 0, 0)
		w.wantArrived(1, "a", "-plain", "b")
	})
}

// What is not confirmed is sent again before anything newer. A Send is behind
// it, and what OnHandshake sends before it.
func TestUnconfirmedMessagesAreSentAgain(t *testing.T) {
	cfg := confirming(wsnotify.Outbox{})
	cfg.OnHandshake = func(ctx context.Context, h *wsnotify.Handshake) error { return h.SendMessage(ctx, "login") }
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		w.enqueue("a", "b", "-plain", "c")
		w.must(w.c.SendMessage(bg, "sent"))
		w.confirm(1, "b")
		synctest.Wait()
		conn.Drop()
		synctest.Wait()
		w.wantStatus(2, 2, 0, 0)
		w.enqueue("d")
		w.wantStatus(3, 2, 0, 0)
		w.pass(time.Second)
		w.must(w.c.SendMessage(bg, "behind"))
		w.wantArrived(1, "login", "a", "b", "-plain", "c", "sent")
		w.wantArrived(2, "login", "a", "c", "d", "behind")
		w.wantStatus(3, 3, 2, 0)
		w.conn().Drop()
		synctest.Wait()
		w.confirm(1, "a") // late: it came over the second connection
		w.pass(time.Second)
		w.wantArrived(3, "login", "c", "d")
		w.confirm(2, "d", "c")
		w.must(w.c.Flush(bg))
		w.wantStatus(0, 0, 4, 0)
		w.journal()
	})
}

// A confirmation may come before the client knows that the write is done, and
// while the message is in the middle of it.
func TestEarlyConfirmation(t *testing.T) {
	inBubble(t, confirming(wsnotify.Outbox{}), func(w *world) {
		w.net.Buffer(10)
		conn := w.connect()
		conn.StopReading(true)
		w.enqueue("early "+strings.Repeat("x", 50), "next")
		w.confirm(1, "early "+strings.Repeat("x", 50))
		w.wantStatus(1, 0, 0, 0)
		conn.Reset() // torn, and done nevertheless
		w.pass(time.Second)
		w.wantArrived(2, "next")
		w.confirm(1, "next")
		w.wantStatus(0, 0, 0, 0)
	})
}

func TestTornMessageIsSentAgainIfItIsToBeConfirmed(t *testing.T) {
	inBubble(t, confirming(wsnotify.Outbox{}), func(w *world) {
		w.net.Buffer(10)
		conn := w.connect()
		conn.StopReading(true)
		w.enqueue(strings.Repeat("x", 50), "-plain", "next")
		conn.Reset()
		synctest.Wait()
		w.wantStatus(3, 1, 0, 0)
		w.pass(time.Second)
		w.wantArrived(2, strings.Repeat("x", 50), "-plain", "next")
		w.wantStatus(2, 2, 1, 0)
	})
}

// Of messages with the same id, the oldest is confirmed.
func TestSameIDTwice(t *testing.T) {
	inBubble(t, confirming(wsnotify.Outbox{}), func(w *world) {
		conn := w.connect()
		w.enqueue("a", "b", "a", "a")
		w.confirm(1, "a")
		w.confirm(2, "a", "b")
		conn.Drop()
		w.pass(time.Second)
		w.wantArrived(2, "a")
		w.confirm(1, "a", "a")
		w.wantStatus(0, 0, 1, 0)
	})
}

// A server that does not confirm is noticed, and the clock begins anew with
// each connection.
func TestServerThatDoesNotConfirmIsDropped(t *testing.T) {
	cfg := confirming(wsnotify.Outbox{ConfirmTimeout: 5 * time.Second})
	inBubble(t, cfg, func(w *world) {
		w.connect()
		w.enqueue("a")
		w.pass(3 * time.Second)
		w.enqueue("b")
		w.confirm(1, "a")
		w.journal()
		w.pass(5 * time.Second)
		why := "wsnotify: the server did not confirm a message within Outbox.ConfirmTimeout"
		w.expect("8s CLOSED", "8s error "+why, `8s close 1 code=1006 reason="" clean=false again=true`, "8s reconnect 1 in 1s")
		if f := w.c.Status().LastFailure; f.Err.Error() != why || f.Initiator != wsnotify.Network {
			t.Errorf("%+v", f)
		}
		w.pass(6*time.Second - time.Nanosecond)
		w.expect("9s CONNECTING", "9s OPEN", "9s open 2")
		w.pass(time.Nanosecond)
		if got := w.journal(); len(got) == 0 || got[0] != "14s CLOSED" {
			t.Errorf("the journal says %q", got)
		}
		w.pass(time.Second)
		w.confirm(1, "b")
		w.pass(time.Minute)
		w.expect("15s CONNECTING", "15s OPEN", "15s open 3")
		w.wantStatus(0, 0, 2, 0)
	})
	cfg.Outbox.ConfirmTimeout = -1
	inBubble(t, cfg, func(w *world) {
		w.connect()
		w.enqueue("a")
		w.pass(time.Hour)
		if !w.c.IsConnected() || w.srv.Total() != 1 {
			t.Error("the connection was dropped without a limit")
		}
	})
}

// Confirmations that wait for a slow callback came in time.
func TestSlowCallbackDoesNotCountAgainstTheServer(t *testing.T) {
	var c *wsnotify.Client
	cfg := confirming(wsnotify.Outbox{ConfirmTimeout: 5 * time.Second})
	cfg.OnMessage = func(m wsnotify.Message) {
		time.Sleep(20 * time.Second)
		c.Confirm(string(m.Data))
	}
	inBubble(t, cfg, func(w *world) {
		c = w.c
		conn := w.connect()
		w.enqueue("1", "2")
		w.must(conn.SendText("1"))
		w.must(conn.SendText("2"))
		w.pass(time.Minute)
		w.wantStatus(0, 0, 0, 0)
		if w.srv.Total() != 1 {
			t.Errorf("%d connections", w.srv.Total())
		}
	})
}

func TestUnconfirmedAtTheEnd(t *testing.T) {
	inBubble(t, confirming(wsnotify.Outbox{}), func(w *world) {
		w.connect()
		w.enqueue("a", "-plain", "b", "c")
		w.confirm(1, "b")
		flushed := make(chan error, 1)
		go func() { flushed <- w.c.Flush(bg) }()
		w.srv.Stop()
		synctest.Wait()
		w.enqueue("never")
		w.journal()
		w.must(w.c.Disconnect())
		w.wantErr(<-flushed, wsnotify.ErrClosed)
		w.expect(`0s undelivered "a": unconfirmed`, `0s undelivered "c": unconfirmed`, `0s undelivered "never": closed`)
		w.confirm(0, "a", "c", "never")
		w.wantStatus(0, 0, 0, 3)
	})
}

// What a callback confirms after Disconnect, because it was received before,
// is not reported.
func TestConfirmedBehindDisconnectIsNotReported(t *testing.T) {
	var c *wsnotify.Client
	cfg := confirming(wsnotify.Outbox{})
	cfg.OnMessage = func(m wsnotify.Message) {
		time.Sleep(time.Second)
		c.Confirm(string(m.Data))
	}
	inBubble(t, cfg, func(w *world) {
		c = w.c
		conn := w.connect()
		w.enqueue("1", "2", "3")
		w.must(conn.SendText("1"))
		w.must(conn.SendText("2"))
		synctest.Wait()
		w.journal()
		w.must(w.c.Disconnect())
		<-w.c.Done()
		if got := strings.Join(w.journal(), "\n"); !strings.HasSuffix(got, `undelivered "3": unconfirmed`) || strings.Count(got, "undelivered") != 1 {
			t.Errorf("the journal says %s", got)
		}
		w.wantStatus(0, 0, 0, 1)
	})
}

// A message that was sent is not dropped or expired as if it had not been.
func TestSentMessagesAreDroppedAsUnconfirmed(t *testing.T) {
	inBubble(t, confirming(wsnotify.Outbox{Messages: 3, Overflow: wsnotify.DropOldest}), func(w *world) {
		w.connect()
		w.enqueue("a", "b", "c")
		w.journal()
		w.enqueue("d")
		w.expect(`0s undelivered "a": unconfirmed`)
		w.srv.Stop()
		synctest.Wait()
		w.enqueue("e", "f", "g")
		w.enqueue("h")
		log := strings.Join(w.journal(), "\n")
		for _, want := range []string{`"b": unconfirmed`, `"c": unconfirmed`, `"d": unconfirmed`, `"e": full`} {
			if !strings.Contains(log, want) {
				t.Errorf("%s is not in %s", want, log)
			}
		}
		w.wantStatus(3, 0, 0, 5)
	})
	inBubble(t, confirming(wsnotify.Outbox{MaxAge: 4 * time.Second}), func(w *world) {
		conn := w.connect()
		w.enqueue("a")
		w.pass(5 * time.Second)
		w.wantStatus(1, 1, 0, 0) // on an open connection it does not expire
		w.enqueue("b")
		w.journal()
		conn.Drop()
		w.srv.Stop()
		synctest.Wait()
		w.enqueue("c")
		if log := fmt.Sprint(w.journal()); !strings.Contains(log, `5s undelivered "a": unconfirmed`) {
			t.Errorf("the journal says %s", log)
		}
		w.pass(5 * time.Second)
		log := fmt.Sprint(w.journal())
		if !strings.Contains(log, `9s undelivered "b": unconfirmed`) || !strings.Contains(log, `9s undelivered "c": expired`) {
			t.Errorf("the journal says %s", log)
		}
	})
	inBubble(t, confirming(wsnotify.Outbox{Messages: 2}), func(w *world) {
		w.connect()
		w.enqueue("a", "b")
		w.wantErr(w.c.Enqueue(wsnotify.MessageText, []byte("c")), wsnotify.ErrOutboxFull)
		w.confirm(1, "a")
		w.enqueue("c")
	})
}

// A message that may have arrived is never reported as certainly not sent,
// with Resend neither.
func TestResentMessageIsUnconfirmedAtTheEnd(t *testing.T) {
	inBubble(t, wsnotify.Config{Outbox: wsnotify.Outbox{Resend: true}, BackOff: every(time.Hour)}, func(w *world) {
		w.net.Buffer(10)
		conn := w.connect()
		conn.StopReading(true)
		w.enqueue(strings.Repeat("x", 50), "y")
		conn.Reset()
		synctest.Wait()
		w.journal()
		w.must(w.c.Disconnect())
		w.expect(`0s undelivered "`+strings.Repeat("x", 50)+`": unconfirmed`, `0s undelivered "y": closed`)
	})
}

// ConfirmID is called on the goroutine of Enqueue, and may use the client.
func TestConfirmIDMayUseTheClient(t *testing.T) {
	var c *wsnotify.Client
	cfg := wsnotify.Config{}
	cfg.Outbox.ConfirmID = func(m wsnotify.Message) string {
		c.Status()
		c.Confirm("x")
		if string(m.Data) == "outer" {
			if err := c.Enqueue(m.Type, []byte("inner")); err != nil {
				t.Error(err)
			}
		}
		return string(m.Data)
	}
	inBubble(t, cfg, func(w *world) {
		c = w.c
		w.connect()
		w.enqueue("outer")
		w.wantArrived(1, "inner", "outer")
	})
}

// Memory stays bounded when the server confirms in any order: one small message
// that stays does not keep what was near it.
func TestUnconfirmedMessagesKeepNoMemoryOfOthers(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		c := wsnotify.New(wsnotify.Config{Outbox: wsnotify.Outbox{ConfirmID: byText}})
		pad := strings.Repeat("x", 1000)
		n := testkit.Grown(func() {
			for i := range 20_000 {
				text := fmt.Sprint(i, " ", pad)
				if i%40 == 0 {
					text = fmt.Sprint(i)
				}
				w.must(c.Enqueue(wsnotify.MessageText, []byte(text)))
				if i%40 != 0 && c.Confirm(text) != 1 {
					t.Fatal("not known")
				}
			}
		})
		if n > 1<<20 {
			t.Errorf("%d KiB for %d small messages", n>>10, c.Status().Queued)
		}
		w.must(c.Disconnect())
		var large *wsnotify.MessageTooLargeError
		if err := c.Enqueue(wsnotify.MessageBinary, make([]byte, 5<<20)); !errors.As(err, &large) {
			t.Error(err)
		}
	})
}
