package wsnotify_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestHeartbeatEverySixSeconds(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		calls := w.net.WriteCalls()
		w.pass(60 * time.Second)
		texts, pings := w.srv.Heartbeats("ada")
		if texts != 10 || pings != 10 {
			t.Errorf("%d texts and %d pings in 60 s", texts, pings)
		}
		if n := w.net.WriteCalls() - calls; n != 10 {
			t.Errorf("%d write calls for 10 heartbeats", n)
		}
		w.pass(time.Hour)
		if !w.c.IsConnected() || w.srv.Total() != 1 {
			t.Errorf("%+v", w.c.Status())
		}
		if s := w.c.Status(); s.MessagesOut != 0 || s.MessagesIn != 0 {
			t.Errorf("heartbeats were counted as messages: %+v", s)
		}
	})
}

// Whatever came just before the link died, it is noticed within 12 s.
func TestHalfOpenConnectionIsNoticed(t *testing.T) {
	for offset := time.Duration(0); offset < 12*time.Second; offset += 500 * time.Millisecond {
		inBubble(t, wsnotify.Config{}, func(w *world) {
			conn := w.connect()
			w.pass(offset)
			w.must(conn.Notify("a", "b"))
			synctest.Wait()
			w.journal()
			conn.BlackHole(true)
			died := time.Now()
			w.must(w.c.WaitFor(context.Background(), wsnotify.Closed))
			if d := time.Since(died); d > 12*time.Second {
				t.Errorf("dead at %v, noticed after %v", offset, d)
			}
			at := time.Since(w.start)
			w.expect(
				fmt.Sprintf("%v CLOSED", at),
				fmt.Sprintf("%v error heartbeat", at),
				fmt.Sprintf(`%v close 1 code=1006 reason="" clean=false again=true`, at),
				fmt.Sprintf("%v reconnect 1 in 10s", at))
			f := w.c.Status().LastFailure
			if f.Initiator != wsnotify.Network || f.Phase != wsnotify.PhaseOpen {
				t.Errorf("%+v", f)
			}
			w.wantErr(f.Err, wsnotify.ErrHeartbeatTimeout)
			w.net.BlackHole(false)
			w.pass(10 * time.Second)
			if !w.c.IsConnected() {
				t.Error("it did not reconnect")
			}
			conn.Reset()
		})
	}
}

func TestSilentPeerIsDropped(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.AnswerPings(false)
		w.connect()
		w.wantDropped(12 * time.Second)
	})
}

// wantDropped waits for the end of the first connection, and checks when that is.
func (w *world) wantDropped(after time.Duration) {
	w.Helper()
	w.must(w.c.WaitFor(bg, wsnotify.Closed))
	if d := time.Since(w.start); d != after {
		w.Errorf("dropped after %v and not %v", d, after)
	}
}

// staysOpenWhileItSends has a peer send a message every 5 s, and answer nothing.
func (w *world) staysOpenWhileItSends(conn *wsnotifytest.Conn) {
	w.Helper()
	for range 100 {
		w.pass(5 * time.Second)
		w.must(conn.Notify("a", "b"))
	}
	if !w.c.IsConnected() || w.srv.Total() != 1 {
		w.Errorf("%+v", w.c.Status())
	}
}

// A peer that sends a lot and never answers a ping is alive.
func TestTalkativePeerThatAnswersNoPingIsAlive(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.AnswerPings(false)
		w.staysOpenWhileItSends(w.connect())
	})
}

func TestPeerThatAnswersOnlyTheTextIsAlive(t *testing.T) {
	for _, reply := range []string{"pong", "ping"} {
		inBubble(t, wsnotify.Config{}, func(w *world) {
			w.srv.AnswerPings(false)
			w.srv.AnswerText(reply)
			w.connect()
			w.pass(time.Hour)
			w.expect("0s CONNECTING", "0s OPEN", "0s open 1") // the replies are swallowed
			if !w.c.IsConnected() {
				t.Errorf("%+v", w.c.Status())
			}
		})
	}
}

func TestRepliesCanBeChanged(t *testing.T) {
	for _, test := range []struct {
		replies []string
		noText  bool
		seen    bool
	}{
		{nil, false, false},
		{[]string{}, false, true},
		{[]string{"PONG"}, false, true},
		{nil, true, true},
	} {
		inBubble(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Replies: test.replies, NoText: test.noText}}, func(w *world) {
			conn := w.connect()
			w.journal()
			w.must(conn.SendText("pong"))
			if got := len(w.journal()) > 0; got != test.seen { // as an error, since it is not JSON
				t.Errorf("%+v: seen is %v", test, got)
			}
			w.must(conn.SendText("PONG"))
			if got := len(w.journal()) > 0; got != (len(test.replies) == 0) {
				t.Errorf("%+v: PONG seen is %v", test, got)
			}
		})
	}
}

func TestHeartbeatKindsCanBeTurnedOff(t *testing.T) {
	for _, test := range []struct {
		hb           wsnotify.Heartbeat
		texts, pings int
		survives     bool
	}{
		{wsnotify.Heartbeat{}, 10, 10, false},
		{wsnotify.Heartbeat{NoText: true}, 0, 10, false},
		{wsnotify.Heartbeat{Timeout: -1}, 10, 0, true},
		{wsnotify.Heartbeat{NoText: true, Timeout: -1}, 0, 0, true},
		{wsnotify.Heartbeat{Interval: -1}, 0, 0, true},
		{wsnotify.Heartbeat{Interval: 20 * time.Second}, 3, 3, false},
	} {
		inBubble(t, wsnotify.Config{Heartbeat: test.hb}, func(w *world) {
			conn := w.connect()
			w.pass(60 * time.Second)
			if texts, pings := w.srv.Heartbeats("ada"); texts != test.texts || pings != test.pings {
				t.Errorf("%+v: %d texts and %d pings", test.hb, texts, pings)
			}
			conn.BlackHole(true)
			w.pass(60 * time.Second)
			if survived := w.srv.Total() == 1; survived != test.survives {
				t.Errorf("%+v: survived is %v after a minute of nothing", test.hb, survived)
			}
			conn.BlackHole(false)
			conn.Reset()
		})
	}
}

func TestHeartbeatTextCanBeChanged(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Text: `{"type":"心跳"}`}}, func(w *world) {
		w.srv.OnMessage(nil)
		w.connect()
		w.pass(6 * time.Second)
		if got := fmt.Sprint(w.srv.Messages("ada")); got != `[{"type":"心跳"}]` {
			t.Errorf("the server got %s", got)
		}
	})
}

// The reader waits for a callback of 30 s: the pongs are in the socket.
func TestSlowCallbackIsNotADeadPeer(t *testing.T) {
	inBubble(t, wsnotify.Config{
		Inbox: wsnotify.Inbox{Messages: 1},
		OnNotification: func(wsnotify.Notification) {
			time.Sleep(30 * time.Second)
		},
	}, func(w *world) {
		conn := w.connect()
		for i := range 4 {
			w.must(conn.Notify("n", i+1))
		}
		w.pass(121 * time.Second)
		if !w.c.IsConnected() || w.srv.Total() != 1 {
			t.Errorf("%+v", w.c.Status())
		}
		texts, pings := w.srv.Heartbeats("ada")
		if texts != 20 || pings >= texts {
			t.Errorf("%d texts and %d pings while the reader waited", texts, pings)
		}
		w.expect("0s CONNECTING", "0s OPEN", "0s open 1", "0s notification n: 1", "30s notification n: 2",
			"1m0s notification n: 3", "1m30s notification n: 4")
	})
}

// A link that dies while the reader waits is noticed in the usual time after
// the reader is back.
func TestLinkThatDiesDuringASlowCallback(t *testing.T) {
	inBubble(t, wsnotify.Config{
		Inbox:          wsnotify.Inbox{Messages: 1},
		OnNotification: func(n wsnotify.Notification) { time.Sleep(20 * time.Second) },
	}, func(w *world) {
		conn := w.connect()
		w.must(conn.Notify("n", 1))
		w.must(conn.Notify("n", 2))
		synctest.Wait()
		conn.BlackHole(true)
		w.must(w.c.WaitFor(context.Background(), wsnotify.Closed))
		if d := time.Since(w.start); d < 20*time.Second || d > 32*time.Second {
			t.Errorf("noticed after %v", d)
		}
		conn.Reset()
	})
}

func TestPingMeasuresTheRoundTrip(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		_, err := w.c.Ping(context.Background())
		w.wantErr(err, wsnotify.ErrNotConnected)
		w.net.Latency(50 * time.Millisecond)
		w.connect()
		rtt, err := w.c.Ping(context.Background())
		if err != nil || rtt != 100*time.Millisecond || w.c.Status().RTT != rtt {
			t.Errorf("%v, %v, %v", rtt, err, w.c.Status().RTT)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_, err = w.c.Ping(ctx)
		w.wantErr(err, context.DeadlineExceeded)
		if !w.c.IsConnected() {
			t.Error("a Ping that timed out broke the connection")
		}
		w.srv.AnswerPings(false)
		result := make(chan error)
		go func() { _, err := w.c.Ping(context.Background()); result <- err }()
		synctest.Wait()
		w.must(w.c.Disconnect())
		w.wantErr(<-result, wsnotify.ErrNotConnected)
		_, err = w.c.Ping(context.Background())
		w.wantErr(err, wsnotify.ErrClosed)
	})
}

func TestPeersPingIsAnswered(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: -1}}, func(w *world) {
		conn := w.connect()
		for i := range 5 {
			w.must(conn.Ping(fmt.Sprint("p", i)))
			synctest.Wait()
		}
		if got := fmt.Sprint(conn.Pongs()); got != "[p0 p1 p2 p3 p4]" {
			t.Errorf("pongs %s", got)
		}
	})
}

func TestHeartbeatDiesWithItsConnection(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		w.pass(5 * time.Second)
		conn.Drop()
		w.pass(10 * time.Second) // at 15 s: the second connection
		w.pass(5 * time.Second)
		if texts, _ := w.srv.Heartbeats("ada"); texts != 0 {
			t.Errorf("%d heartbeats before 6 s of any connection", texts)
		}
		w.pass(time.Second)
		if texts, _ := w.srv.Heartbeats("ada"); texts != 1 {
			t.Errorf("%d heartbeats", texts)
		}
	})
}

// The reader: no goroutine waits for something to write, to deliver or to beat, or for
// the end of the connection.
func TestIdleClientHasOneGoroutine(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		for range 100 {
			w.must(w.c.Enqueue(wsnotify.MessageText, []byte("x")))
			w.must(conn.Notify("a", "b"))
		}
		w.must(w.c.SendMessage(context.Background(), "y"))
		w.pass(time.Minute)
		buf := make([]byte, 1<<20)
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		mine := 0
		for _, stack := range stacks {
			if strings.Contains(stack, "wsnotify.(") {
				mine++
			}
		}
		if mine != 1 {
			t.Errorf("%d goroutines:\n%s", mine, strings.Join(stacks, "\n\n"))
		}
	})
}

// A pong answers the pings before its own, of whatever kind: RFC 6455, section 5.5.3.
func TestLaterPongAnswersEarlierPings(t *testing.T) {
	for _, beats := range []bool{false, true} {
		cfg := wsnotify.Config{Heartbeat: quiet()}
		if beats {
			cfg.Heartbeat = wsnotify.Heartbeat{Interval: 3 * time.Second, NoText: true}
		}
		inRawBubble(t, cfg, func(p *rawPeer) {
			p.Accept()
			for n := 0; ; {
				f, ok := p.Frame()
				switch {
				case !ok:
					return
				case f.Opcode == 8:
					p.Frames(harness.CloseFrame(1000, ""))
					return
				case f.Opcode == 9:
					if n++; n == 3 {
						p.Frames(harness.Pong(string(f.Payload)))
					}
				}
			}
		}, func(w *world, n *rawNet) {
			w.must(w.c.Connect(w.Context(), "ws://raw.test/", ""))
			pings := 3
			if beats {
				pings = 2 // and that of the beat behind them
			}
			answers := make(chan error, pings)
			for i := range pings {
				time.Sleep(time.Second)
				go func() {
					rtt, err := w.c.Ping(w.Context())
					if want := time.Duration(2-i) * time.Second; err == nil && rtt != want {
						err = fmt.Errorf("ping %d took %v, expected %v", i, rtt, want)
					}
					answers <- err
				}()
			}
			for range pings {
				select {
				case err := <-answers:
					if err != nil {
						t.Error(err)
					}
				case <-time.After(5 * time.Second):
					t.Fatal("a Ping still waits")
				}
			}
		})
	}
}

// A pong that answers no ping that was sent answers none of those that wait.
func TestPongOfALaterNumberAnswersNothing(t *testing.T) {
	inRawBubble(t, wsnotify.Config{Heartbeat: quiet()}, func(p *rawPeer) {
		p.Accept()
		p.Frame()
		p.Frames(harness.Pong("\x00\x00\x00\x00\x00\x00\x00\x02"), harness.Pong("hello"))
		p.Closed()
		p.Frames(harness.CloseFrame(1000, ""))
	}, func(w *world, n *rawNet) {
		w.must(w.c.Connect(w.Context(), "ws://raw.test/", ""))
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		_, err := w.c.Ping(ctx)
		w.wantErr(err, context.DeadlineExceeded)
	})
}
