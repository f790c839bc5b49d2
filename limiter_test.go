package wsnotify_test

import (
	"context"
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

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// oneEach lets one pass in each interval, as a rate.Limiter with a burst of 1.
type oneEach struct {
	interval time.Duration

	mu   sync.Mutex
	next time.Time
	fail error // of the next Wait
	asks int
}

func (e *oneEach) Wait(ctx context.Context) error {
	e.mu.Lock()
	e.asks++
	if err := e.fail; err != nil {
		e.fail = nil
		e.mu.Unlock()
		return err
	}
	now := time.Now()
	at := e.next
	if at.Before(now) {
		at = now
	}
	e.next = at.Add(e.interval)
	e.mu.Unlock()
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Clients that share a DialLimiter dial one after another, each in the state
// Closed until then.
func TestDialLimiterIsShared(t *testing.T) {
	limiter := &oneEach{interval: 5 * time.Second}
	cfg := wsnotify.Config{Heartbeat: noText, DialLimiter: limiter, DialTimeout: time.Second}
	inBubble(t, cfg, func(w *world) {
		w.must(w.c.Connect(w.Context(), w.srv.URL(), "ada"))
		other := wsnotify.New(wsnotify.Config{HTTPClient: w.net.HTTPClient(), DialLimiter: limiter, Heartbeat: noText})
		w.must(other.Connect(w.Context(), w.srv.URL(), "bob")) // at 5 s
		w.srv.DropAll()                                        // they are back at 15 s
		synctest.Wait()
		w.journal()
		go w.c.Reconnect()
		synctest.Wait()
		if s := w.c.ReadyState(); s != wsnotify.Closed {
			t.Errorf("the state is %v while the client waits for DialLimiter", s)
		}
		w.pass(time.Minute)
		w.expect("10s CONNECTING", "10s OPEN", "10s open 2")
		w.must(other.Disconnect())
		<-other.Done()
	})
}

func TestDialLimiterThatFails(t *testing.T) {
	limiter := &oneEach{fail: errors.New("no redis")}
	inBubble(t, wsnotify.Config{Heartbeat: noText, DialLimiter: limiter}, func(w *world) {
		w.connect()
		w.expect("0s error wsnotify: Config.DialLimiter.Wait failed, and is called again in 1s: no redis", "1s CONNECTING", "1s OPEN", "1s open 1")
	})
}

// Disconnect does not wait for a limiter.
func TestEndWhileDialLimiterWaits(t *testing.T) {
	limiter := &oneEach{interval: time.Hour}
	inBubble(t, wsnotify.Config{Heartbeat: noText, DialLimiter: limiter}, func(w *world) {
		w.connect()
		w.srv.DropAll()
		w.pass(time.Minute)
		w.journal()
		began := time.Now()
		w.must(w.c.Disconnect())
		<-w.c.Done()
		if took := time.Since(began); took > 0 {
			t.Errorf("the end took %v", took)
		}
		w.expect()
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		w.wantErr(w.c.Connect(ctx, w.srv.URL(), "ada"), context.DeadlineExceeded)
	})
}

// Messages leave at the limiter's pace, in order; control frames and the
// heartbeat don't wait, and nothing runs while nothing waits.
func TestLimiterPacesMessages(t *testing.T) {
	limiter := &oneEach{interval: 10 * time.Second}
	cfg := wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: time.Second, Text: "beat", Replies: []string{}}}
	cfg.Subscriptions = joins()
	cfg.OnHandshake = func(ctx context.Context, h *wsnotify.Handshake) error { return h.SendMessage(ctx, "login") }
	cfg.Outbox.Limiter = limiter
	inBubble(t, cfg, func(w *world) {
		var mu sync.Mutex
		var came []string
		w.srv.OnMessage(func(_ *wsnotifytest.Conn, _ byte, data []byte) {
			mu.Lock()
			defer mu.Unlock()
			came = append(came, fmt.Sprintf("%v %s", time.Since(w.start), data))
		})
		w.must(w.c.Subscribe("a"))
		for _, m := range []string{"1", "2"} {
			w.must(w.c.Enqueue(wsnotify.MessageText, []byte(m)))
		}
		conn := w.connect()
		synctest.Wait()
		if !w.c.Status().Limited {
			t.Error("Status.Limited is false while messages wait")
		}
		sent := make(chan error)
		go func() { sent <- w.c.SendMessage(w.Context(), "3") }()
		w.pass(5 * time.Second)
		w.must(conn.Ping("p"))
		synctest.Wait()
		if got := conn.Pongs(); len(got) != 1 {
			t.Errorf("pongs: %q", got)
		}
		if _, pings := w.srv.Heartbeats("ada"); pings < 5 || len(conn.Messages()) < 6 {
			t.Errorf("%d pings in 5 s, and %q", pings, conn.Messages())
		}
		w.must(<-sent)
		if s := w.c.Status(); s.Limited {
			t.Error("Status.Limited is true, and nothing waits")
		}
		asks := limiter.asks
		w.pass(time.Minute)
		if limiter.asks != asks {
			t.Error("the limiter is asked while nothing waits")
		}
		mu.Lock()
		defer mu.Unlock()
		came = slices.DeleteFunc(came, func(s string) bool { return strings.HasSuffix(s, "beat") })
		if want := []string{"0s login", "10s join a", "20s 1", "30s 2", "40s 3"}; !slices.Equal(came, want) {
			t.Errorf("the server got %q, not %q", came, want)
		}
	})
}

// The wait for a limiter is bounded by the ctx of a Send, and ends with the
// connection; Close does not wait, and Drain does.
func TestWaitForLimiterEnds(t *testing.T) {
	limiter := &oneEach{interval: time.Minute}
	var undelivered []string
	cfg := wsnotify.Config{Heartbeat: noText, OnUndelivered: func(m wsnotify.Message, err error) {
		undelivered = append(undelivered, fmt.Sprintf("%s: %v", m.Data, errors.Is(err, wsnotify.ErrClosed)))
	}}
	cfg.Outbox.Limiter = limiter
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		w.must(w.c.SendMessage(w.Context(), "at once"))
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := w.c.SendMessage(ctx, "too late")
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, wsnotify.ErrUnconfirmed) || time.Since(began) != time.Second {
			t.Errorf("Send returned %v after %v", err, time.Since(began))
		}
		failed := make(chan error)
		go func() { failed <- w.c.SendMessage(w.Context(), "lost") }()
		synctest.Wait()
		conn.Drop()
		w.wantErr(<-failed, wsnotify.ErrNotConnected)
		w.pass(30 * time.Second)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("left")))
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("left, too")))
		w.pass(time.Second)
		began = time.Now()
		w.must(w.c.Disconnect())
		<-w.c.Done()
		if took := time.Since(began); took > 0 {
			t.Errorf("the end took %v", took)
		}
		if want := []string{"left: true", "left, too: true"}; !slices.Equal(undelivered, want) {
			t.Errorf("OnUndelivered got %q", undelivered)
		}

		again := w.connect()
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("drained")))
		w.must(w.c.Drain(w.Context()))
		w.wantOn(again, "drained")
	})
}

func TestLimiterThatFails(t *testing.T) {
	limiter := &oneEach{}
	cfg := wsnotify.Config{Heartbeat: noText}
	cfg.Outbox.Limiter = limiter
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		w.journal()
		limiter.fail = errors.New("no redis")
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("a")))
		w.pass(500 * time.Millisecond)
		w.wantOn(conn)
		w.pass(time.Second)
		w.wantOn(conn, "a")
		w.expect("0s error wsnotify: Config.Outbox.Limiter.Wait failed, and is called again in 1s: no redis")
	})
}

// exits ends the goroutine of its first two calls.
type exits struct{ n atomic.Int32 }

func (e *exits) Wait(context.Context) error {
	if e.n.Add(1) < 3 {
		runtime.Goexit()
	}
	return nil
}

func TestLimiterThatEndsItsGoroutine(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText}
	limiter := &exits{}
	cfg.Outbox.Limiter = limiter
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		w.journal()
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("a")))
		w.pass(time.Minute)
		w.wantOn(conn, "a")
		if got := strings.Join(w.journal(), "\n"); strings.Count(got, "ended its goroutine") != 2 {
			t.Errorf("the journal: %s", got)
		}
	})
}

// hangs does not return from its first call, even if its ctx ends.
type hangs struct {
	n   atomic.Int32
	end chan struct{}
}

func (h *hangs) Wait(context.Context) error {
	if h.n.Add(1) == 1 {
		h.end = make(chan struct{}) // of the bubble
		<-h.end
	}
	return nil
}

// A limiter that goes on without its ctx holds up the messages of the next
// connection for a second.
func TestLimiterThatIgnoresItsCtx(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText}
	limiter := &hangs{}
	cfg.Outbox.Limiter = limiter
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("a")))
		w.pass(time.Minute)
		w.wantOn(conn)
		conn.Drop()
		w.pass(11 * time.Second)
		w.wantOn(w.conn(), "a")
		w.must(w.c.Disconnect())
		close(limiter.end)
	})
}

// Nothing waits for a limiter once nothing is queued.
func TestLimiterIsNotAwaitedForNothing(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText}
	limiter := &oneEach{interval: time.Hour}
	cfg.Outbox.Limiter = limiter
	inBubble(t, cfg, func(w *world) {
		w.connect()
		w.must(w.c.SendText(w.Context(), "x"))
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		w.wantErr(w.c.SendText(ctx, "y"), context.DeadlineExceeded)
		synctest.Wait()
		if w.c.Status().Limited {
			t.Error("Limited, though nothing is queued")
		}
		limiter.mu.Lock()
		limiter.next = time.Now()
		limiter.mu.Unlock()
		w.must(w.c.SendText(w.Context(), "z")) // asks anew
	})
}

// What ends a client ends its wait behind a limiter that has failed.
func TestEndBehindADialLimiterThatFails(t *testing.T) {
	for name, end := range map[string]func(w *world, cancel func()) error{
		"Disconnect": func(w *world, _ func()) error { return w.c.Disconnect() },
		"Drain":      func(w *world, _ func()) error { return w.c.Drain(w.Context()) },
		"ctx of Run": func(_ *world, cancel func()) error { cancel(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			limiter := &oneEach{}
			inBubble(t, wsnotify.Config{DialLimiter: limiter}, func(w *world) {
				limiter.fail = errors.New("no redis")
				ctx, cancel := context.WithCancel(w.Context())
				defer cancel()
				over := make(chan error, 1)
				go func() { over <- w.c.Run(ctx, w.srv.URL(), "ada") }()
				synctest.Wait() // until it is paused
				began := time.Now()
				if err := end(w, cancel); err != nil {
					t.Error(err)
				}
				<-over
				if took := time.Since(began); took != 0 || w.net.Dials() != 0 {
					t.Errorf("it took %v and %d dials", took, w.net.Dials())
				}
			})
		})
	}
}
