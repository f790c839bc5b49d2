//go:build !js

package wsnotifytest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// inMemory runs f in virtual time on a network with one server.
func inMemory(t *testing.T, f func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := wsnotifytest.NewNetwork(t)
		f(t, n, n.NewServer())
	})
}

// What a Network counts is over all its servers, and MaxConns what there was at once.
func TestConnectionsOfANetworkAreCounted(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		other := n.NewServer()
		first, second, third := dial(t, s, "ada"), dial(t, other, "ada"), dial(t, s, "bob")
		_ = first.CloseNow()
		_ = second.CloseNow()
		synctest.Wait()
		if n.Conns() != 1 || n.MaxConns() != 3 {
			t.Errorf("%d connections, and %d at once, want 1 and 3", n.Conns(), n.MaxConns())
		}
		fourth := dial(t, other, "eve")
		if n.Conns() != 2 || n.MaxConns() != 3 || n.Dials() != 4 {
			t.Errorf("%d connections, %d at once, and %d dials, want 2, 3 and 4", n.Conns(), n.MaxConns(), n.Dials())
		}
		_ = third.CloseNow()
		_ = fourth.CloseNow()
	})
}

// The rate of a Network is that of the connections which are dialled from then on.
func TestRateOfANetwork(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		took := func(c *websocket.Conn, user string) time.Duration {
			start := time.Now()
			if err := newest(t, s, user).SendText(strings.Repeat("x", 1000)); err != nil {
				t.Error(err)
			}
			if _, _, err := c.Read(t.Context()); err != nil {
				t.Error(err)
			}
			return time.Since(start)
		}
		fast := dial(t, s, "ada")
		n.BytesPerSecond(100)
		slow := dial(t, s, "bob")
		n.BytesPerSecond(0)
		again := dial(t, s, "eve")
		if d := took(slow, "bob"); d < 10*time.Second || d > 11*time.Second {
			t.Errorf("1000 bytes at 100 bytes a second took %v", d)
		}
		if a, b := took(fast, "ada"), took(again, "eve"); a != 0 || b != 0 {
			t.Errorf("without a rate they took %v and %v", a, b)
		}
		for _, c := range []*websocket.Conn{fast, slow, again} {
			_ = c.CloseNow()
		}
	})
}

func TestPongsAreRecorded(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *wsnotifytest.Network, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		c.CloseRead(t.Context()) // which answers pings
		conn := newest(t, s, "ada")
		for _, payload := range []string{"a", "", "b"} {
			if err := conn.Ping(payload); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		got := conn.Pongs()
		if len(got) != 3 || got[0] != "a" || got[1] != "" || got[2] != "b" {
			t.Errorf("the pongs are %q", got)
		}
		got[0] = "x"
		if conn.Pongs()[0] != "a" {
			t.Error("they are not the caller's own")
		}
		_ = c.CloseNow()
	})
}

func tryDial(ctx context.Context, s *wsnotifytest.Server) error {
	c, _, err := websocket.Dial(ctx, s.URL()+"ada", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
	if err == nil {
		_ = c.CloseNow()
	}
	return err
}

func TestNetworkFaults(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n.Refuse(true)
		opErr := (*net.OpError)(nil)
		if err := tryDial(ctx, s); !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &opErr) {
			t.Error(err)
		}
		n.Refuse(false)
		n.NoSuchHost(true)
		dnsErr := (*net.DNSError)(nil)
		if err := tryDial(ctx, s); !errors.As(err, &dnsErr) || !dnsErr.IsNotFound {
			t.Error(err)
		}
		n.NoSuchHost(false)
		if _, err := n.DialContext(ctx, "tcp", "nobody.test:80"); !errors.As(err, &dnsErr) {
			t.Error(err)
		}
		if _, err := n.DialContext(ctx, "tcp", "server-1.test:81"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		n.Hang(true)
		start := time.Now()
		time.AfterFunc(10*time.Second, func() { n.Hang(false) })
		if err := tryDial(ctx, s); err != nil || time.Since(start) != 10*time.Second {
			t.Error(err, time.Since(start))
		}
		n.Hang(true)
		if err := tryDial(ctx, s); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Error(err, time.Since(start))
		}
		if n.Dials() != 6 || s.Total() != 1 {
			t.Error(n.Dials(), s.Total())
		}
	})
}

// The dial that outlives its caller in http.Transport ends with the network.
func TestHangingDialEndsWithTheTest(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		n.Hang(true)
		go func() {
			if _, err := n.DialContext(context.Background(), "tcp", s.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Error(err)
			}
		}()
		synctest.Wait()
	})
}

func TestLatencyAndWriteCalls(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		n.Latency(50 * time.Millisecond)
		start := time.Now()
		c := dial(t, s, "ada")
		c.CloseRead(context.Background())
		if d := time.Since(start); d != 200*time.Millisecond { // one round trip for TCP, one for HTTP
			t.Error(d)
		}
		before := n.WriteCalls()
		start = time.Now()
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Error(d)
		}
		if got := n.WriteCalls() - before; got != 1 {
			t.Error(got)
		}
	})
}

func TestBlackHoleIsSilentAndGivesBackWhatItHeld(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		got := make(chan string, 10)
		go func() {
			for {
				_, b, err := c.Read(context.Background())
				if err != nil {
					close(got)
					return
				}
				got <- string(b)
			}
		}()
		sc := newest(t, s, "ada")
		sc.BlackHole(true)
		for range 3 {
			if err := c.Write(t.Context(), websocket.MessageText, []byte("up")); err != nil {
				t.Fatal(err)
			}
			if err := sc.SendText("down"); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		if len(got) != 0 || len(s.Messages("ada")) != 0 || s.Live() != 1 {
			t.Error(len(got), s.Messages("ada"), s.Live())
		}
		sc.BlackHole(false)
		if _, err := s.WaitMessages(t.Context(), "ada", 3); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(got) < 3 {
			t.Error(len(got))
		}
	})
}

// A client that gives up a dead connection and makes a new one holds one, and the server's
// bookkeeping says so.
func TestZombiesDoNotCount(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		for i := range 4 {
			c := dial(t, s, "ada")
			sc := newest(t, s, "ada")
			if sc.ID() != i+1 {
				t.Fatalf("the newest is connection %d", sc.ID())
			}
			switch i {
			case 0:
				sc.BlackHole(true)
			case 1:
				n.BlackHole(true)
			case 2:
				sc.StopReading(true)
			}
			_ = c.CloseNow()
			if err := s.WaitLive(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			n.BlackHole(false)
		}
		if s.MaxLive() != 1 || s.Total() != 4 || n.Conns() != 0 {
			t.Error(s.MaxLive(), s.Total(), n.Conns())
		}
	})
}

// A connection whose client has closed its end counts no more, be it that the server has
// noticed or not, and takes nothing from the count of those that are open.
func TestClosedConnectionsCountNoMore(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		_ = dial(t, s, "ada").CloseNow()
		synctest.Wait() // the server has noticed
		_ = dial(t, s, "ada").CloseNow()
		_ = dial(t, s, "ada").CloseNow() // the server has not
		half, _ := rawDial(t, n, s)
		_ = half.(interface{ CloseWrite() error }).CloseWrite() // it can't send a close frame any more
		whole, _ := rawDial(t, n, s)
		_ = whole.(interface{ CloseWrite() error }).CloseWrite()
		_ = whole.Close() // counts once
		if got := s.MaxLive(); got != 1 {
			t.Errorf("%d connections at once, want 1", got)
		}
		dial(t, s, "ada")
		dial(t, s, "ada")
		synctest.Wait()
		if s.Live() != 2 || s.MaxLive() != 2 {
			t.Errorf("%d connections, and %d at once, want 2 and 2", s.Live(), s.MaxLive())
		}
	})
}

// Nor does one whose end was closed before the server saw its first frame.
func TestConnectionClosedBeforeItWasSeen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		n := wsnotifytest.NewNetwork(r)
		s := n.NewServer()
		c, err := n.DialContext(t.Context(), "tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, upgrade+masked(0x81, "x"))
		_ = c.Close()
		synctest.Wait()
		if s.Total() != 1 || s.Live() != 0 {
			t.Errorf("%d connections, %d of them open, want 1 and 0", s.Total(), s.Live())
		}
		_ = dial(t, s, "ada").CloseNow()
		if got := s.MaxLive(); got != 1 {
			t.Errorf("%d connections at once, want 1", got)
		}
		wantErrors(t, r.End(), "before it had read the response")
	})
}

func TestNetworkBlackHole(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		n.BlackHole(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := tryDial(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		_ = c.CloseNow()
		synctest.Wait()
		sc, err := s.NthConn(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-sc.Done():
			t.Error("the FIN came through")
		default:
		}
		n.BlackHole(false)
		<-sc.Done()
	})
}

func TestMutedServerReadsOn(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		s.AnswerText("pong")
		c := dial(t, s, "ada")
		rctx := c.CloseRead(context.Background())
		sc := newest(t, s, "ada")
		sc.Mute(true)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for _, text := range []string{"ping", "still here"} {
			if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.WaitMessages(t.Context(), "ada", 1); err != nil {
			t.Error(err)
		}
		if texts, pings := s.Heartbeats("ada"); texts != 1 || pings != 1 || rctx.Err() != nil {
			t.Error(texts, pings, rctx.Err())
		}
	})
}

func TestFailover(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		other := n.NewTLSServer()
		if s.URL() != "ws://server-1.test/ws/" || other.URL() != "wss://server-2.test/ws/" {
			t.Error(s.URL(), other.URL())
		}
		s.Stop()
		if err := tryDial(t.Context(), s); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		c, _, err := websocket.Dial(t.Context(), other.URL()+"ada", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.CloseNow()
	})
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.WaitMessages(ctx, "ada", 2)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `2 messages of user "ada", have []`) {
			t.Error(err)
		}
		if _, err := s.Conn(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A dial that takes a round trip ends with its context, and one to nowhere is that of a network.
func TestDialsThatEnd(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		s.Latency(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		testkit.Took(t, time.Second, func() {
			_, err := n.DialContext(ctx, "tcp", s.Addr())
			if op := (*net.OpError)(nil); !errors.As(err, &op) || !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		s.Latency(0)
		c, err := n.DialContext(t.Context(), "tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr().Network() != "tcp" || c.LocalAddr().Network() != "tcp" {
			t.Errorf("%v and %v are of no network", c.LocalAddr(), c.RemoteAddr())
		}
		_ = c.Close()
		_, err = n.DialContext(t.Context(), "tcp", "no-port")
		if op := (*net.OpError)(nil); !errors.As(err, &op) || !strings.Contains(err.Error(), "missing port") {
			t.Error(err)
		}
	})
}
