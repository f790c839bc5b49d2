//go:build !js

package wsnotifytest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// Close returns before the answer has come, which is not known without waiting.
func TestWaitCloseCode(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		for _, test := range []struct {
			end  func(server *wsnotifytest.Conn, client *websocket.Conn)
			want int
		}{
			{func(server *wsnotifytest.Conn, _ *websocket.Conn) { server.Close(1012, "restart") }, 1012},
			{func(_ *wsnotifytest.Conn, client *websocket.Conn) { go client.Close(4000, "bye") }, 4000},
			{func(_ *wsnotifytest.Conn, client *websocket.Conn) { client.CloseNow() }, 1006},
			{func(server *wsnotifytest.Conn, _ *websocket.Conn) { server.Drop() }, 1006},
		} {
			client := dial(t, s, "ada")
			conn := newest(t, s, "ada")
			go client.Read(t.Context())
			test.end(conn, client)
			if code, err := conn.WaitCloseCode(t.Context()); code != test.want || err != nil {
				t.Errorf("it waits for %d and not %d: %v", code, test.want, err)
			}
			<-conn.Done()
		}
		dial(t, s, "eve")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if code, err := newest(t, s, "eve").WaitCloseCode(ctx); code != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("of an open connection it says %d, %v", code, err)
		}
		s.AllowOpenConns()
	})
}

// What leads from one message to the next has an end, and that is waited for:
// here a hundred messages go back and forth.
func TestWaitQuiet(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		s.Echo()
		if virtual(s) {
			s.Latency(time.Second)
		}
		client := dial(t, s, "ada")
		defer client.CloseNow()
		const rounds = 100
		go func() {
			for range rounds {
				if client.Write(context.Background(), websocket.MessageText, []byte("there and back")) != nil {
					return
				}
				if _, _, err := client.Read(context.Background()); err != nil {
					return
				}
			}
		}()
		if err := s.WaitQuiet(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.Received("ada"); n != rounds {
			t.Errorf("it was quiet after %d of %d rounds", n, rounds)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.WaitQuiet(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("with a ctx that has ended it says %v", err)
		}
	})
}

// What a black hole holds back is no noise.
func TestWaitQuietInABlackHole(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		client := dial(t, s, "ada")
		defer client.CloseNow()
		newest(t, s, "ada").BlackHole(true)
		client.Write(t.Context(), websocket.MessageText, []byte("lost"))
		if err := s.WaitQuiet(t.Context()); err != nil || s.Received("ada") != 0 {
			t.Errorf("%v, and %d arrived", err, s.Received("ada"))
		}
	})
}

// A client on loopback blocks before it has written very much to a server which
// reads nothing, also when that has read fast before.
func TestStopReadingOnLoopback(t *testing.T) {
	s := wsnotifytest.NewServer(t)
	s.AllowViolations()
	s.RecordMessages(false)
	var raw *net.TCPConn
	client, _, err := websocket.Dial(t.Context(), s.URL()+"ada", &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				raw = c.(*net.TCPConn)
				err = raw.SetWriteBuffer(64 << 10)
			}
			return c, err
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseNow()
	big := make([]byte, 8<<20)
	for range 4 {
		if err := client.Write(t.Context(), websocket.MessageBinary, big); err != nil {
			t.Fatal(err)
		}
	}
	newest(t, s, "ada").StopReading(true)
	raw.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := raw.Write(big); !errors.Is(err, os.ErrDeadlineExceeded) || n > 1<<20 {
		t.Errorf("%d bytes were taken: %v", n, err)
	}
}

// What a wait has says who is there, and which handshakes led to nobody.
func TestWaitsSayWhoIsThere(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *wsnotifytest.Network, s *wsnotifytest.Server) {
		short := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}
		s.Refuse(2, 503, nil, "")
		for range 2 {
			_ = tryDial(t.Context(), s)
		}
		if _, err := s.NthConn(short(), 1); !strings.Contains(err.Error(), "have 0, and 2 handshakes that led to none") {
			t.Error(err)
		}
		dial(t, s, "a")
		if _, err := s.NthConn(short(), 0); err == nil {
			t.Error("there is a connection 0")
		}
		for i := range 9 {
			dial(t, s, fmt.Sprint("u", i))
		}
		_, err := s.Conn(short(), "nobody")
		if !strings.Contains(err.Error(), `connected: `) || strings.Contains(err.Error(), "more") {
			t.Errorf("of 10: %v", err)
		}
		dial(t, s, "x")
		dial(t, s, "y")
		if _, err = s.Conn(short(), "nobody"); !strings.Contains(err.Error(), " and 2 more") {
			t.Errorf("of 12: %v", err)
		}
	})
}

// What goes on for a day is not quiet.
func TestWaitQuietInVain(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *wsnotifytest.Network, s *wsnotifytest.Server) {
		s.Echo()
		c := dial(t, s, "ada")
		s.Latency(time.Hour)
		go func() {
			for c.Write(context.Background(), websocket.MessageText, []byte("on and on")) == nil {
				if _, _, err := c.Read(context.Background()); err != nil {
					return
				}
			}
		}()
		start := time.Now()
		err := s.WaitQuiet(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "wsnotifytest: waiting until all is quiet, have 1 connections on which ") ||
			!strings.HasSuffix(err.Error(), " bytes have moved: a day has passed, and the context has no deadline") || time.Since(start) != 24*time.Hour {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Minute)
		defer cancel()
		if err := s.WaitQuiet(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "wsnotifytest: waiting until all is quiet, have 1 connections on which ") {
			t.Error(err)
		}
		_ = c.CloseNow()
	})
}

// Messages that came before RecordMessages was off can be waited for, others can't.
func TestWaitForMessagesThatAreNotRecorded(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *wsnotifytest.Network, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		say(t, c, "one")
		if _, err := s.WaitMessages(t.Context(), "ada", 1); err != nil {
			t.Fatal(err)
		}
		s.RecordMessages(false)
		if got, err := s.WaitMessages(t.Context(), "ada", 1); err != nil || fmt.Sprint(got) != "[one]" {
			t.Errorf("%q, %v", got, err)
		}
		start := time.Now()
		if got, err := s.WaitMessages(t.Context(), "ada", 2); err == nil || fmt.Sprint(got) != "[one]" || time.Since(start) != 0 {
			t.Errorf("%q, %v after %v", got, err, time.Since(start))
		}
		_ = c.CloseNow()
	})
}
