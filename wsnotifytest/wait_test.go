package wsnotifytest_test

import (
	"context"
	"errors"
	"net"
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

// A black hole holds what it holds, and that is no noise.
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

// A client on loopback that sends to a server which reads nothing blocks before
// it has written very much.
func TestStopReadingOnLoopback(t *testing.T) {
	s := wsnotifytest.NewServer(t)
	s.AllowViolations()
	raw, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.(*net.TCPConn).SetWriteBuffer(64 << 10)
	raw.Write([]byte("GET /ws/ada HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	newest(t, s, "ada").StopReading(true)
	raw.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := raw.Write([]byte(strings.Repeat("x", 8<<20)))
	if !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "timeout") || n > 1<<20 {
		t.Errorf("%d bytes were taken: %v", n, err)
	}
}
