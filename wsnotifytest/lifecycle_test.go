//go:build !js

package wsnotifytest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestHangingHandshakeEndsWithTheClient(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		s.HangHandshake(1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_ = s.WaitHandshakes(ctx, 1)
			cancel()
		}()
		_, _, err := websocket.Dial(ctx, s.URL()+"ada", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		dial(t, s, "ada")
	})
}

func TestStopAndStart(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		url := s.URL()
		s.Stop()
		if s.Live() != 0 {
			t.Error(s.Live())
		}
		if _, _, err := c.Read(t.Context()); err == nil {
			t.Error("read from a stopped server")
		}
		_, _, err := websocket.Dial(t.Context(), url+"ada", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
		if !isErrno(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		s.Start()
		if s.URL() != url {
			t.Errorf("%s is now %s", url, s.URL())
		}
		dial(t, s, "ada")
		if s.Total() != 2 {
			t.Error(s.Total())
		}
	})
}

func TestEchoAndCallbacks(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		s.Echo()
		s.OnConn(func(c *wsnotifytest.Conn) {
			_ = c.SendText("hello " + c.User())
			<-c.Done()
		})
		c := dial(t, s, "ada")
		if _, b, err := c.Read(t.Context()); string(b) != "hello ada" {
			t.Error(string(b), err)
		}
		for i := range 50 {
			want := fmt.Sprint(i)
			if err := c.Write(t.Context(), websocket.MessageText, []byte(want)); err != nil {
				t.Fatal(err)
			}
			if _, b, err := c.Read(t.Context()); string(b) != want {
				t.Fatal(string(b), err)
			}
		}
	})
}

// A server that does not read makes writes block once the buffers are full; nothing hangs.
func TestStopReadingFillsTheBuffers(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		sc := newest(t, s, "ada")
		sc.StopReading(true)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		big := make([]byte, 16<<20)
		if err := c.Write(ctx, websocket.MessageBinary, big); err == nil {
			t.Error("16 MiB were written to a server that does not read")
		}
		if got := s.Messages("ada"); len(got) != 0 {
			t.Error(len(got))
		}
	})
}

func TestReadingGoesOn(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		sc := newest(t, s, "ada")
		for i := range 20 {
			sc.StopReading(true)
			if err := c.Write(t.Context(), websocket.MessageText, []byte("x")); err != nil {
				t.Fatal(err)
			}
			sc.StopReading(false)
			if _, err := s.WaitMessages(t.Context(), "ada", i+1); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestOnlyWhatIsAskedForIsSent(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		s.AnswerPings(false)
		a, b := dial(t, s, "ada"), dial(t, s, "bob")
		s.Broadcast("to all")
		for _, c := range []*websocket.Conn{a, b} {
			if _, got, err := c.Read(t.Context()); string(got) != "to all" {
				t.Error(string(got), err)
			}
		}
		sc := newest(t, s, "bob")
		if got := sc.Request().URL.Path; got != "/ws/bob" {
			t.Error(got)
		}
		b.CloseRead(context.Background())
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := b.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		_ = a.Write(t.Context(), websocket.MessageText, []byte("from ada"))
		if _, err := s.WaitMessages(t.Context(), "ada", 1); err != nil {
			t.Error(err)
		}
		if len(sc.Messages()) != 0 || !slices.Equal(newest(t, s, "ada").Messages(), []string{"from ada"}) {
			t.Error(sc.Messages())
		}
		s.DropAll()
		if s.Live() != 0 || s.MaxLive() != 2 {
			t.Error(s.Live(), s.MaxLive())
		}
	})
}

func TestNotAWebSocketRequest(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		resp, err := s.HTTPClient().Get("http" + s.URL()[2:])
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusUpgradeRequired || string(b) != "not a WebSocket handshake" {
			t.Error(resp.Status, string(b))
		}
	})
}

// Stop is allowed where Close is not.
func TestStopInCallbacks(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		again := make(chan bool, 1)
		s.OnMessage(func(*wsnotifytest.Conn, byte, []byte) {
			s.Stop()
			s.Start()
			again <- true
		})
		for range 5 {
			c := dial(t, s, "ada")
			_ = c.Write(t.Context(), websocket.MessageText, []byte("x"))
			if _, _, err := c.Read(t.Context()); err == nil {
				t.Error("still connected")
			}
			_ = c.CloseNow()
			<-again
		}
	})
}

// Everything at once: nothing deadlocks, nothing races, nothing is left.
func TestChaos(t *testing.T) {
	run := func(t *testing.T, s *wsnotifytest.Server, pause time.Duration) {
		s.AnswerText("pong")
		ctx, cancel := context.WithTimeout(t.Context(), 100*pause)
		defer cancel()
		var wg sync.WaitGroup
		defer wg.Wait()
		for i := range 8 {
			wg.Go(func() {
				for ctx.Err() == nil {
					dctx, stop := context.WithTimeout(ctx, 10*pause)
					c, _, err := websocket.Dial(dctx, fmt.Sprint(s.URL(), i), &websocket.DialOptions{HTTPClient: s.HTTPClient()})
					if err == nil {
						c.SetReadLimit(-1)
						wg.Go(func() {
							for err := error(nil); err == nil; {
								_, _, err = c.Read(dctx)
							}
						})
						for dctx.Err() == nil {
							if c.Write(dctx, websocket.MessageText, make([]byte, 5000)) != nil || c.Ping(dctx) != nil {
								break
							}
						}
						_ = c.CloseNow()
					}
					time.Sleep(pause)
					stop()
				}
			})
		}
		rnd := rand.New(rand.NewPCG(1, 2))
		for ctx.Err() == nil {
			time.Sleep(time.Duration(rnd.Int64N(int64(pause))))
			c, err := s.Conn(ctx, fmt.Sprint(rnd.IntN(8)))
			if err != nil {
				break
			}
			switch rnd.IntN(14) {
			case 0:
				c.Drop()
			case 1:
				c.Reset()
			case 2:
				wg.Go(func() { _ = c.Close(1001, "") })
			case 3:
				c.BlackHole(true)
			case 4:
				c.StopReading(true)
			case 5:
				c.Mute(true)
			case 6:
				s.Stop()
				s.Start()
			case 7:
				s.Refuse(1, 503, nil, "")
			case 8:
				s.RefuseRaw(1, "?")
			case 9:
				s.HangHandshake(1)
			case 10:
				wg.Go(func() { s.Broadcast("x") })
			case 11:
				c.StopReading(false)
				c.BlackHole(false)
			case 12:
				_ = c.CloseFrame(1000, "")
			default:
				_ = s.WaitLive(ctx, s.Live())
			}
		}
		for _, c := range s.LiveConns() {
			c.Drop()
		}
	}
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := wsnotifytest.NewNetwork(t)
			n.Latency(20 * time.Millisecond)
			run(t, n.NewServer(), time.Second/10)
		})
	})
	t.Run("loopback", func(t *testing.T) { run(t, wsnotifytest.NewServer(t), 3*time.Millisecond) })
}
