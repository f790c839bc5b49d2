package wsnotify_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// While one callback blocks, connection after connection brings messages and is
// lost. What they bring is not collected, and the client goes on connecting.
func TestInboxLimitAppliesOverReconnects(t *testing.T) {
	for name, end := range map[string]func(*world, *wsnotifytest.Conn){
		"the link breaks": func(w *world, conn *wsnotifytest.Conn) { conn.Reset() },
		"the server ends": func(w *world, conn *wsnotifytest.Conn) { conn.Drop() },
		"Reconnect":       func(w *world, conn *wsnotifytest.Conn) { w.must(w.c.Reconnect()) },
	} {
		t.Run(name, func(t *testing.T) {
			var release chan struct{}
			delivered := map[uint64]int{}
			inBubble(t, wsnotify.Config{
				BackOff: every(time.Second),
				Inbox:   wsnotify.Inbox{Messages: 4},
				OnMessage: func(m wsnotify.Message) {
					delivered[m.Epoch]++
					<-release
				},
			}, func(w *world) {
				release = make(chan struct{})
				w.srv.OnConn(func(conn *wsnotifytest.Conn) {
					for i := range 50 {
						conn.Notify("n", fmt.Sprintf("message %02d of fifty", i))
					}
				})
				w.connect()
				for range 30 {
					w.must(w.c.WaitFor(w.Context(), wsnotify.Open))
					conn := w.conn()
					w.pass(time.Second)
					end(w, conn)
					w.pass(9 * time.Second) // a beat finds out, since nobody reads
				}
				s := w.c.Status()
				if s.Reconnects < 20 {
					t.Errorf("only %d reconnects while a callback blocks", s.Reconnects)
				}
				if s.MessagesIn > 5 { // the reader has one in its hands
					t.Errorf("an inbox of 4 holds %d messages after %d connections", s.MessagesIn, s.Epoch)
				}
				w.srv.Stop()
				w.pass(9 * time.Second)
				held := w.c.Status().MessagesIn
				close(release)
				w.pass(0)
				// What the reader had read of the first one is not lost, nothing was
				// read of those after it, and the last one is read now.
				delete(delivered, s.Epoch)
				if n := delivered[1]; n < int(held) || len(delivered) != 1 {
					t.Errorf("delivered, by connection: %v", delivered)
				}
				insideItsConnection(w)
			})
		})
	}
}

// Of what was read when a connection ends, 64 KiB go past the limit of a full inbox: the message that the reader waits
// with is one more.
func TestWhatWasReadGoesPastTheLimit(t *testing.T) {
	for size, want := range map[int]int{20_000: 2 + 1 + 3, 32 << 10: 2 + 1 + 2, 32<<10 + 1: 2 + 1 + 1, 64<<10 + 1: 2 + 1} {
		var release chan struct{}
		got := 0
		inRawBubble(t, wsnotify.Config{
			Inbox: wsnotify.Inbox{Messages: 2}, Compression: takeover, BackOff: never, OnMessage: func(wsnotify.Message) { got++; <-release },
		}, func(p *rawPeer) {
			p.accept("Sec-WebSocket-Extensions: permessage-deflate")
			var f flater
			var frames [][]byte
			for range want + 2 { // which are read at once
				frames = append(frames, f.message(strings.Repeat("x", size), false))
			}
			p.frames(frames...)
			p.rest(5 * time.Second)
			p.rst()
		}, func(w *world, _ *rawNet) {
			release = make(chan struct{})
			w.must(w.c.Connect(w.Context(), "ws://server/", ""))
			w.pass(9 * time.Second) // a beat finds out, since nobody reads
			if s := w.c.Status(); s.InboxQueued != want || s.LastFailure == nil || !strings.HasSuffix(s.LastFailure.Err.Error(), ": connection reset by peer") {
				t.Errorf("%d bytes: %d messages are in the inbox, want %d: %v", size, s.InboxQueued, want, s.LastFailure)
			}
			close(release)
			<-w.c.Done()
			if s := w.c.Status(); got != want || s.MessagesIn != uint64(want) || s.BytesIn != uint64(want*size) {
				t.Errorf("%d bytes: %d were delivered, want %d: %d messages of %d bytes came in", size, got, want, s.MessagesIn, s.BytesIn)
			}
		})
	}
}

// insideItsConnection checks that messages come between the OnOpen and the OnClose of their connection.
func insideItsConnection(w *world) {
	w.Helper()
	open := false
	for _, line := range w.journal() {
		switch {
		case strings.Contains(line, " open "):
			open = true
		case strings.Contains(line, " close "):
			open = false
		case strings.Contains(line, " notification ") && !open:
			w.Errorf("outside its connection: %s", line)
		}
	}
}

// What comes over a connection while the inbox is full of an earlier one is
// there when callbacks return again.
func TestNextConnectionIsReadWhenThereIsCapacity(t *testing.T) {
	var release chan struct{}
	var got []string
	inBubble(t, wsnotify.Config{
		Inbox:     wsnotify.Inbox{Messages: 2},
		OnMessage: func(m wsnotify.Message) { <-release; got = append(got, string(m.Data)) },
	}, func(w *world) {
		release, got = make(chan struct{}), nil
		conn := w.connect()
		for i := range 4 {
			w.must(conn.SendBinary(fmt.Append(nil, "old ", i)))
		}
		synctest.Wait()
		w.must(w.c.Reconnect())
		w.must(w.c.WaitFor(w.Context(), wsnotify.Open))
		conn = w.conn()
		for i := range 4 {
			w.must(conn.SendBinary(fmt.Append(nil, "new ", i)))
		}
		w.pass(time.Minute) // and nobody takes the client's silence for a dead peer
		if s := w.c.Status(); s.Epoch != 2 || s.MessagesIn != 3 {
			t.Errorf("%+v", s)
		}
		close(release)
		synctest.Wait()
		if fmt.Sprint(got) != "[old 0 old 1 old 2 new 0 new 1 new 2 new 3]" {
			t.Errorf("%q", got)
		}
	})
}

// A callback that waits for the next connection does not keep it from being made.
func TestCallbackWaitsForTheNextConnectionWithAFullInbox(t *testing.T) {
	var w *world
	var errs []error
	inBubble(t, wsnotify.Config{
		Inbox: wsnotify.Inbox{Messages: 2},
		OnMessage: func(m wsnotify.Message) {
			if m.Epoch == 1 && len(errs) == 0 {
				w.pass(0)
				w.conn().Reset()
				errs = append(errs, w.c.WaitFor(w.Context(), wsnotify.Closed), w.c.WaitFor(w.Context(), wsnotify.Open),
					w.c.SendMessage(w.Context(), "here again"))
			}
		},
	}, func(world *world) {
		w, errs = world, nil
		conn := w.connect()
		for i := range 5 {
			w.must(conn.SendBinary(fmt.Append(nil, i)))
		}
		w.pass(time.Minute)
		if fmt.Sprint(errs) != "[<nil> <nil> <nil>]" || fmt.Sprint(w.srv.Messages("ada")[:1]) == "[]" {
			t.Errorf("%v; the server got %q", errs, w.srv.Messages("ada"))
		}
	})
}

// Ping can't be answered while the reader waits for the callback that calls it.
func TestPingInACallbackWithAFullInboxIsAnError(t *testing.T) {
	for name, when := range map[string]time.Duration{"full before": time.Second, "full after": 0} {
		t.Run(name, func(t *testing.T) {
			var w *world
			var took []time.Duration
			var errs []error
			inBubble(t, wsnotify.Config{
				Inbox: wsnotify.Inbox{Messages: 2},
				OnMessage: func(wsnotify.Message) {
					if len(errs) > 0 {
						return
					}
					time.Sleep(when)
					start := time.Now()
					_, err := w.c.Ping(bg)
					errs, took = append(errs, err), append(took, time.Since(start))
				},
			}, func(world *world) {
				w, errs, took = world, nil, nil
				conn := w.connect()
				conn.Mute(true) // no pong is on its way before the inbox is full
				for i := range 5 {
					w.must(conn.WriteFrame(true, wsnotifytest.OpBinary, fmt.Append(nil, i)))
				}
				w.pass(2 * time.Second)
				if len(errs) == 0 || errs[0] == nil || took[0] != 0 || errs[0].Error() != "wsnotify: Ping in a callback would wait for that callback: the inbox is full, so no pong is read before it returns; call Ping on a goroutine of its own" {
					t.Errorf("%v after %v", errs, took)
				}
				conn.Mute(false)
				if _, err := w.c.Ping(bg); err != nil {
					t.Errorf("with capacity again: %v", err)
				}
			})
		})
	}
}

// Elsewhere Ping waits until the callbacks go on and its pong is read.
func TestPingOutsideACallbackWaitsForTheInbox(t *testing.T) {
	var release chan struct{} // made in the bubble, so that it is one of virtual time
	inBubble(t, wsnotify.Config{Inbox: wsnotify.Inbox{Messages: 2}, OnMessage: func(wsnotify.Message) { <-release }}, func(w *world) {
		release = make(chan struct{})
		conn := w.connect()
		for range 5 {
			w.must(conn.SendText("x"))
		}
		synctest.Wait()
		time.AfterFunc(3*time.Second, func() { close(release) })
		short, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		if rtt, err := w.c.Ping(short); rtt != 0 || err != context.DeadlineExceeded {
			t.Errorf("%v, %v", rtt, err)
		}
		if rtt, err := w.c.Ping(bg); err != nil || rtt != 2*time.Second {
			t.Errorf("a pong after %v: %v", rtt, err)
		}
	})
}

func TestFullInboxStopsTheReader(t *testing.T) {
	var release chan struct{}
	got := 0
	inBubble(t, wsnotify.Config{
		Inbox:     wsnotify.Inbox{Messages: 10, Bytes: -1},
		OnMessage: func(wsnotify.Message) { <-release; got++ },
	}, func(w *world) {
		release, got = make(chan struct{}), 0
		w.net.Buffer(1024)
		conn := w.connect()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range 1000 {
				conn.SendBinary(make([]byte, 100))
			}
		}()
		w.pass(5 * time.Second)
		select {
		case <-sent:
			t.Error("the server could write all of it")
		default:
		}
		if n := w.c.Status().MessagesIn; n != 11 {
			t.Errorf("%d messages were read with an inbox of 10", n)
		}
		close(release)
		<-sent
		synctest.Wait()
		if got != 1000 {
			t.Errorf("%d messages were delivered", got)
		}
	})
}

func TestInboxLimitsBytes(t *testing.T) {
	var release chan struct{}
	delivered := 0
	inBubble(t, wsnotify.Config{
		Inbox:     wsnotify.Inbox{Bytes: 1000},
		OnMessage: func(wsnotify.Message) { <-release; delivered++ },
	}, func(w *world) {
		release = make(chan struct{})
		conn := w.connect()
		for range 5 {
			w.must(conn.SendBinary(make([]byte, 400)))
		}
		w.must(conn.SendBinary(make([]byte, 5000))) // alone, once there is capacity
		synctest.Wait()
		if n := w.c.Status().MessagesIn; n != 3 {
			t.Errorf("%d messages were read", n)
		}
		close(release)
		synctest.Wait()
		if delivered != 6 {
			t.Errorf("%d messages were delivered", delivered)
		}
	})
}
