package wsnotify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/internal/transport"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// What counts against a peer, and what does not: see internal/peertime.

const slowLine = 100 << 10 // bytes in a second

func quiet() wsnotify.Heartbeat { return wsnotify.Heartbeat{Interval: -1} }

// A server process that hangs on a host that is well is noticed, though the host goes
// on to acknowledge what we send.
func TestHungServerIsNoticedWhileTheClientSends(t *testing.T) {
	for _, every := range []time.Duration{5 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond} {
		for _, latency := range []time.Duration{50 * time.Millisecond, time.Second} {
			inBubble(t, wsnotify.Config{Outbox: wsnotify.Outbox{Bytes: -1, Messages: -1}}, func(w *world) {
				w.net.Latency(latency)
				w.net.Buffer(64 << 20)
				conn := w.connect()
				conn.StopReading(true)
				hung := time.Now()
				for w.c.IsConnected() && time.Since(hung) < time.Minute {
					w.must(w.c.Enqueue(wsnotify.MessageText, []byte("x")))
					time.Sleep(every)
				}
				if d := time.Since(hung); d > 12*time.Second+2*latency+every {
					t.Errorf("a message every %v, %v away: noticed after %v", every, latency, d)
				}
			})
		}
	}
}

// An upload that takes longer than every timeout is no dead peer while it moves: the
// kernel has taken it, and the peer's host acknowledges it piece by piece.
func TestSlowUploadIsAlive(t *testing.T) {
	inBubble(t, wsnotify.Config{
		Outbox:    wsnotify.Outbox{Bytes: -1, ConfirmID: byText, ConfirmTimeout: 3 * time.Second},
		Heartbeat: wsnotify.Heartbeat{Interval: 2 * time.Second, Timeout: 2 * time.Second},
	}, func(w *world) {
		w.net.BytesPerSecond(slowLine)
		w.net.Buffer(8 << 20)
		w.connect()
		message := strings.Repeat("x", 4<<20)
		w.enqueue(message)
		w.pass(42 * time.Second) // it has arrived after 41
		w.confirm(1, message)
		w.pass(time.Minute)
		if w.srv.Total() != 1 || len(w.srv.Messages("ada")) != 1 {
			t.Errorf("%d connections, the message arrived %d times", w.srv.Total(), len(w.srv.Messages("ada")))
		}
	})
}

// A link that dies in the middle of an upload is noticed as soon as an idle one, by
// each of the timeouts.
func TestLinkThatDiesInAnUploadIsNoticed(t *testing.T) {
	for name, cfg := range map[string]wsnotify.Config{
		"heartbeat":      {Heartbeat: wsnotify.Heartbeat{Interval: 2 * time.Second, Timeout: 3 * time.Second}},
		"ConfirmTimeout": {Heartbeat: quiet(), Outbox: wsnotify.Outbox{ConfirmID: func(wsnotify.Message) string { return "1" }, ConfirmTimeout: 5 * time.Second}},
	} {
		cfg.Outbox.Bytes = -1
		inBubble(t, cfg, func(w *world) {
			w.net.BytesPerSecond(slowLine)
			w.net.Buffer(8 << 20)
			conn := w.connect()
			w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 4<<20)))
			w.pass(20 * time.Second)
			if !w.c.IsConnected() {
				t.Fatalf("%s: an upload that moves was cut: %+v", name, w.c.Status().LastFailure)
			}
			conn.BlackHole(true)
			died := time.Now()
			w.must(w.c.WaitFor(w.Context(), wsnotify.Closed))
			if d := time.Since(died); d > 6*time.Second {
				t.Errorf("%s: noticed after %v", name, d)
			}
			conn.Reset()
		})
	}
}

// An ack that waits in the socket, behind callbacks that take their time and an inbox
// that is full, does not count against the server.
func TestSlowCallbacksDoNotCountForConfirmTimeout(t *testing.T) {
	var c *wsnotify.Client
	inBubble(t, wsnotify.Config{
		Heartbeat: quiet(), Inbox: wsnotify.Inbox{Messages: 1},
		Outbox: wsnotify.Outbox{ConfirmID: byText, ConfirmTimeout: 2 * time.Second},
		OnMessage: func(m wsnotify.Message) {
			if string(m.Data) == "ack" {
				c.Confirm("x")
				return
			}
			time.Sleep(20 * time.Second)
		},
	}, func(w *world) {
		c = w.c
		conn := w.connect()
		for range 4 {
			w.must(conn.SendText("{}"))
		}
		w.enqueue("x")
		w.must(conn.SendText("ack"))
		w.pass(2 * time.Minute)
		if s := w.c.Status(); s.Queued != 0 || w.srv.Total() != 1 {
			t.Errorf("%d connections, %+v", w.srv.Total(), s)
		}
	})
}

// While nothing is read since callbacks are slow, the peer may not be able to write,
// and so not read, either.
func TestSlowCallbacksDoNotCountForWriteTimeout(t *testing.T) {
	inBubble(t, wsnotify.Config{
		Heartbeat: quiet(), Inbox: wsnotify.Inbox{Messages: 1}, WriteTimeout: 5 * time.Second, Outbox: wsnotify.Outbox{Bytes: -1},
		OnMessage: func(wsnotify.Message) { time.Sleep(20 * time.Second) },
	}, func(w *world) {
		conn := w.connect()
		for range 4 {
			w.must(conn.SendText("{}"))
		}
		synctest.Wait()
		conn.StopReading(true)
		w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 1<<20)))
		w.pass(55 * time.Second)
		if !w.c.IsConnected() {
			t.Fatalf("cut while callbacks were slow: %+v", w.c.Status().LastFailure)
		}
		w.must(w.c.WaitFor(w.Context(), wsnotify.Closed))
		if d := time.Since(w.start); d > 70*time.Second { // the reader is back after 60 s at the latest
			t.Errorf("a peer that takes nothing was noticed after %v", d)
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

// Pongs, pings and the close frame wait for one frame of a long message, and not
// for all of it.
func TestControlFramesGoBetweenFragments(t *testing.T) {
	for _, test := range []struct {
		maxFrame int
		within   time.Duration
	}{{16 << 10, 3 * time.Second}, {0, 15 * time.Second}, {-1, time.Hour}} {
		inBubble(t, wsnotify.Config{MaxFrame: test.maxFrame, Heartbeat: quiet(), Outbox: wsnotify.Outbox{Bytes: -1}}, func(w *world) {
			w.net.BytesPerSecond(slowLine)
			conn := w.connect()
			began := time.Now()
			w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 8<<20))) // 82 s
			w.pass(2 * time.Second)
			w.must(conn.Ping("now"))
			ponged := make(chan time.Duration, 1)
			go func() {
				for len(conn.Pongs()) == 0 {
					time.Sleep(10 * time.Millisecond)
				}
				ponged <- time.Since(began) - 2*time.Second
			}()
			rtt, err := w.c.Ping(w.Context())
			w.must(err)
			pong := <-ponged
			if got := max(rtt, pong); got > test.within || test.maxFrame < 0 && got < 70*time.Second {
				t.Errorf("MaxFrame %d: the pong came after %v, the answer to our ping after %v", test.maxFrame, pong, rtt)
			}
			if sent := len(w.srv.Messages("ada")); test.maxFrame >= 0 && sent != 0 {
				t.Errorf("MaxFrame %d: %d messages came before", test.maxFrame, sent)
			}
			w.must(w.c.Flush(w.Context()))
			w.pass(time.Minute)
			if got := w.srv.Messages("ada"); len(got) != 1 || len(got[0]) != 8<<20 {
				t.Errorf("MaxFrame %d: %d messages came", test.maxFrame, len(got))
			}
		})
	}
}

func TestCloseFrameGoesBetweenFragments(t *testing.T) {
	inBubble(t, wsnotify.Config{MaxFrame: 16 << 10, Heartbeat: quiet(), Outbox: wsnotify.Outbox{Bytes: -1}, ShouldReconnect: func(wsnotify.Failure) bool { return false }}, func(w *world) {
		w.srv.AllowViolations()
		w.net.BytesPerSecond(slowLine)
		conn := w.connect()
		result := make(chan error, 1)
		go func() { result <- w.c.Send(w.Context(), wsnotify.MessageBinary, make([]byte, 8<<20)) }()
		w.pass(2 * time.Second)
		w.must(conn.WriteRaw([]byte{0xf3, 0}))
		w.wantErr(<-result, wsnotify.ErrUnconfirmed)
		<-w.c.Done()
		if d := time.Since(w.start); d > 5*time.Second {
			t.Errorf("it was over after %v", d)
		}
		w.pass(5 * time.Second)
		if got := fmt.Sprint(w.srv.CloseCodes()); got != "[1002]" {
			t.Errorf("the server got the close codes %s", got)
		}
	})
}

// A Receive that OnHandshake has left behind ends with it, and takes nothing.
func TestReceiveEndsWithOnHandshake(t *testing.T) {
	left := make(chan error, 1)
	var got []string
	var when time.Duration // that the server says something
	cfg := wsnotify.Config{
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			go func() {
				_, err := h.Receive(context.Background())
				left <- err
			}()
			time.Sleep(100 * time.Millisecond) // an old server, which says nothing
			return nil
		},
		OnNotification: func(n wsnotify.Notification) { got = append(got, n.Content) },
	}
	for _, when = range []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond} {
		got = nil
		synctest.Test(t, func(t *testing.T) {
			left = make(chan error, 1)
			testReceiveLeft(t, cfg, when, left, &got)
		})
	}
}

func testReceiveLeft(t *testing.T, cfg wsnotify.Config, when time.Duration, left chan error, got *[]string) {
	net := wsnotifytest.NewNetwork(t)
	srv := net.NewServer()
	srv.OnConn(func(c *wsnotifytest.Conn) {
		go func() {
			time.Sleep(when)
			c.Notify("a", "1")
			c.Notify("a", "2")
		}()
	})
	cfg.HTTPClient = net.HTTPClient()
	c := wsnotify.New(cfg)
	if err := c.Connect(t.Context(), srv.URL(), "ada"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	var err error
	select {
	case err = <-left:
	default:
		t.Fatal("the Receive still waits")
	}
	want := "1 2"
	if err == nil { // it came in time
		want = "2"
	}
	if strings.Join(*got, " ") != want || when > 100*time.Millisecond && err == nil {
		t.Errorf("after %v: the Receive returned %v, and %q were delivered", when, err, *got)
	}
	if err := c.Disconnect(); err != nil {
		t.Error(err)
	}
	<-c.Done()
}

// Nothing of a net.Conn of the user's holds up an end, a loss or a reconnect: not a
// Close that waits, nor calls that don't return when it is closed. Done waits for
// it.
func TestStubbornConnDelaysNothing(t *testing.T) {
	if transport.AssumedKind == transport.System {
		t.Skip("WSNOTIFY_CONNS=system: the Close of a socket of the system does not block")
	}
	for name, end := range map[string]func(w *world, conn *wsnotifytest.Conn) time.Duration{
		"Disconnect": func(w *world, conn *wsnotifytest.Conn) time.Duration {
			conn.BlackHole(true)
			began := time.Now()
			if w.c.Disconnect() == nil {
				w.Error("Disconnect has missed nothing")
			}
			return time.Since(began) - time.Second
		},
		"a dead link": func(w *world, conn *wsnotifytest.Conn) time.Duration {
			conn.BlackHole(true)
			began := time.Now()
			w.must(w.c.WaitFor(w.Context(), wsnotify.Closed))
			w.must(w.c.WaitFor(w.Context(), wsnotify.Open))
			d := time.Since(began) - 13*time.Second
			w.c.Disconnect()
			return d
		},
		"a write that waits": func(w *world, conn *wsnotifytest.Conn) time.Duration {
			conn.StopReading(true)
			began := time.Now()
			err := w.c.Send(w.Context(), wsnotify.MessageBinary, make([]byte, 1<<20))
			d := time.Since(began) - 4*time.Second
			if !errors.Is(err, wsnotify.ErrUnconfirmed) {
				w.Errorf("Send: %v", err)
			}
			w.c.Disconnect()
			return d
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			network := wsnotifytest.NewNetwork(t)
			network.AllowOpenConns()
			release := make(chan struct{})
			dial := func(ctx context.Context, n, addr string) (net.Conn, error) {
				conn, err := network.DialContext(ctx, n, addr)
				return &stubbornConn{Conn: conn, release: release}, err
			}
			w := &world{T: t, net: network, srv: network.NewServer(), start: time.Now()}
			w.c = wsnotify.New(wsnotify.Config{
				HTTPClient:   &http.Client{Transport: &http.Transport{DialContext: dial}},
				CloseTimeout: time.Second, WriteTimeout: 4 * time.Second, BackOff: every(time.Second), Outbox: wsnotify.Outbox{Bytes: -1},
			})
			conn := w.connect()
			if late := end(w, conn); late > 500*time.Millisecond {
				t.Errorf("%s: %v late", name, late)
			}
			synctest.Wait()
			select {
			case <-w.c.Done():
				t.Errorf("%s: Done is closed, and the net.Conn is not gone", name)
			default:
			}
			close(release)
			<-w.c.Done()
		})
	}
}

// stubbornConn is one whose Close waits for release, and does not end its other
// calls before.
type stubbornConn struct {
	net.Conn
	release chan struct{}
}

func (c *stubbornConn) Close() error { <-c.release; return c.Conn.Close() }

// Where the reader runs callbacks itself, one that blocks hands reading off.
func TestInlineDispatchHandsOffReading(t *testing.T) {
	before := transport.AssumedKind
	transport.AssumedKind = transport.System
	defer func() { transport.AssumedKind = before }()
	var inline atomic.Int64
	inBubble(t, wsnotify.Config{
		OnMessage: func(m wsnotify.Message) {
			if bytes.Contains(debug.Stack(), []byte("inbox.(*InlineDispatch).Run")) {
				inline.Add(1)
			}
			if string(m.Data) == "block" {
				time.Sleep(time.Minute)
			}
		},
	}, func(w *world) {
		conn := w.connect()
		w.must(conn.SendText("first"))
		synctest.Wait() // and the next comes soon after it
		w.must(conn.SendText("block"))
		for range 5 {
			w.pass(10 * time.Second)
			if _, err := w.c.Ping(w.Context()); err != nil {
				t.Error(err)
			}
		}
		if !w.c.IsConnected() || w.srv.Total() != 1 || inline.Load() == 0 {
			t.Errorf("%d connections, %d messages inline", w.srv.Total(), inline.Load())
		}
	})
}
