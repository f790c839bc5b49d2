package wsnotify_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
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
			w.must(w.c.WaitFor(w.Context(), wsnotify.Closed))
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

// A write that fails is why such a connection was lost: it ends a second later, in which the peer may say more, and its
// Read does not return.
func TestStubbornConnThatIsBroken(t *testing.T) {
	if transport.AssumedKind == transport.System {
		t.Skip("WSNOTIFY_CONNS=system: the Close of a socket of the system does not block")
	}
	synctest.Test(t, func(t *testing.T) {
		network := wsnotifytest.NewNetwork(t)
		network.AllowOpenConns()
		srv := network.NewServer()
		release := make(chan struct{})
		var broken atomic.Bool
		c := wsnotify.New(wsnotify.Config{
			HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, n, addr string) (net.Conn, error) {
				conn, err := network.DialContext(ctx, n, addr)
				return &brokenConn{stubbornConn{Conn: conn, release: release}, &broken}, err
			}}},
			BackOff: never,
		})
		if err := c.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		broken.Store(true)
		began := time.Now()
		if err := c.SendText(t.Context(), "x"); !errors.Is(err, wsnotify.ErrNotConnected) && !errors.Is(err, wsnotify.ErrUnconfirmed) {
			t.Errorf("Send: %v", err)
		}
		if err := c.WaitFor(t.Context(), wsnotify.Closed); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < time.Second || took > 1500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if f := c.Status().LastFailure; f == nil || describe(*f) != "open, network" || f.Err.Error() != "wsnotify: the connection was lost: no route to host" {
			t.Errorf("it failed with %v", f)
		}
		close(release)
		<-c.Done()
	})
}

// brokenConn is a stubbornConn whose writes fail from some time on.
type brokenConn struct {
	stubbornConn
	broken *atomic.Bool
}

func (c *brokenConn) Write(p []byte) (int, error) {
	if c.broken.Load() {
		return 0, errors.New("no route to host")
	}
	return c.stubbornConn.Write(p)
}

// After a write of OnHandshake that failed, what the peer may have said before is awaited for a second, and no
// longer: a Read that waits already may not return.
func TestStubbornConnInOnHandshake(t *testing.T) {
	if transport.AssumedKind == transport.System {
		t.Skip("WSNOTIFY_CONNS=system: the Close of a socket of the system does not block")
	}
	synctest.Test(t, func(t *testing.T) {
		network := wsnotifytest.NewNetwork(t)
		network.AllowOpenConns()
		srv := network.NewServer()
		srv.OnConn(func(c *wsnotifytest.Conn) { c.StopReading(true) })
		release := make(chan struct{})
		c := wsnotify.New(wsnotify.Config{
			HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, n, addr string) (net.Conn, error) {
				conn, err := network.DialContext(ctx, n, addr)
				return &stubbornConn{Conn: conn, release: release}, err
			}}},
			WriteTimeout: 4 * time.Second, BackOff: never,
			OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
				short, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				h.Receive(short)
				return h.Send(ctx, wsnotify.MessageBinary, make([]byte, 1<<20))
			},
		})
		began := time.Now()
		err := c.Connect(t.Context(), srv.URL(), "ada")
		if took := time.Since(began) - 5*time.Second; !errors.Is(err, wsnotify.ErrInterrupted) || took != 1250*time.Millisecond {
			t.Errorf("%v behind the write: %v", took, err)
		}
		if got := describe(*c.Status().LastFailure); got != "hook, local" {
			t.Errorf("it failed with %q", got)
		}
		synctest.Wait()
		if isDone(c) {
			t.Error("Done is closed, and the net.Conn is not gone")
		}
		close(release)
		<-c.Done()
	})
}

// stubbornConn is one whose Close waits for release, and does not end its other
// calls before.
type stubbornConn struct {
	net.Conn
	release chan struct{}
}

func (c *stubbornConn) Close() error { <-c.release; return c.Conn.Close() }
