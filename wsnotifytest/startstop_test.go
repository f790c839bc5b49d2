//go:build !js

package wsnotifytest_test

import (
	"context"
	"errors"
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

func TestRestart(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		s.Restart(short)
		if got := read(t, c, long); got != "FIN" {
			t.Error(got)
		}
		if err := tryDial(t.Context(), s); !isErrno(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), long)
		defer cancel()
		for err := errors.New(""); err != nil; time.Sleep(short / 10) {
			if err = tryDial(ctx, s); ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	})
}

// One of two hosts goes dead: what is on its way is held, and its dials wait.
func TestOneHostIsCutOff(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		other := n.NewServer()
		a, b := dial(t, s, "ada"), dial(t, other, "ada")
		s.BlackHole(true)
		if x, y := ping(t, a, short), ping(t, b, long); x != "no pong" || y != "pong" {
			t.Error(x, y)
		}
		_ = a.CloseNow()
		for _, unreachable := range []func(bool){s.BlackHole, s.HangDials} {
			unreachable(true)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := tryDial(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if err := tryDial(t.Context(), other); err != nil {
				t.Error("the other host: ", err)
			}
			cancel()
			time.AfterFunc(time.Second, func() { unreachable(false) })
			testkit.Took(t, time.Second, func() {
				if err := tryDial(t.Context(), s); err != nil {
					t.Error(err)
				}
			})
		}
		if err := s.WaitLive(t.Context(), 0); err != nil {
			t.Error(err)
		}
	})
}

// A host on loopback that is cut off accepts, since the kernel does, and says nothing.
func TestCutOffOnLoopback(t *testing.T) {
	s := wsnotifytest.NewServer(t)
	s.BlackHole(true)
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	if err := tryDial(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	s.BlackHole(false)
	if err := tryDial(t.Context(), s); err != nil {
		t.Error(err)
	}
}

// The line can be slowed down for one server, one user or one connection, in the middle of it all.
func TestSlowLines(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		const ms = time.Millisecond
		other := n.NewServer()
		n.Latency(10 * ms)
		s.Latency(50 * ms)
		s.User("ada").Latency(100 * ms)
		var a *websocket.Conn
		testkit.Took(t, 250*ms, func() { a = dial(t, s, "ada") }) // 100 for TCP, 50 up; the user is known then
		testkit.Took(t, 200*ms, func() { dial(t, s, "bob") })
		testkit.Took(t, 40*ms, func() { dial(t, other, "ada") })
		next := func() {
			t.Helper()
			if _, _, err := a.Read(t.Context()); err != nil {
				t.Error(err)
			}
		}
		sc := newest(t, s, "ada")
		_ = sc.SendText("x")
		testkit.Took(t, 100*ms, next)
		sc.Latency(7 * ms)
		_ = sc.SendText("x")
		testkit.Took(t, 7*ms, next)
		sc.Latency(0)
		s.User("ada").BytesPerSecond(1000)
		_ = sc.SendText(strings.Repeat("x", 98))
		testkit.Took(t, 100*ms, next)
		s.User("ada").BytesPerSecond(0)
		_ = sc.SendText(strings.Repeat("x", 98))
		testkit.Took(t, 0, next)
	})
	loopback := wsnotifytest.NewServer(t)
	loopback.Latency(short)
	start := time.Now()
	dial(t, loopback, "ada")
	if d := time.Since(start); d < 2*short { // the kernel answers the dial
		t.Error(d)
	}
}

func TestStartOfAServerThatIsUpDoesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		address := s.Addr()
		s.Start()
		c := dial(t, s, "ada")
		s.Start()
		if got := ping(t, c, long); got != "pong" || s.Addr() != address {
			t.Errorf("%s at %s, which was %s", got, s.Addr(), address)
		}
	})
}

// The latest Restart decides when the server is back.
func TestRestartThatIsPutOff(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *wsnotifytest.Network, s *wsnotifytest.Server) {
		s.Restart(time.Second)
		s.Restart(time.Minute)
		time.Sleep(time.Minute - 1)
		if err := tryDial(t.Context(), s); !isErrno(err, syscall.ECONNREFUSED) {
			t.Errorf("before that: %v", err)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if err := tryDial(t.Context(), s); err != nil {
			t.Errorf("then: %v", err)
		}
	})
}

// A server that can't listen at its address again fails the test, at once or later.
func TestRestartAtAnAddressThatIsTaken(t *testing.T) {
	for name, restart := range map[string]func(s *wsnotifytest.Server){
		"Start": (*wsnotifytest.Server).Start, "Restart": func(s *wsnotifytest.Server) { s.Restart(0) },
	} {
		r := &testkit.Recorder{TB: t}
		s := wsnotifytest.NewServer(r)
		s.Stop()
		l, err := net.Listen("tcp", s.Addr())
		if err != nil {
			t.Skip(err) // somebody else has it
		}
		restart(s)
		if name == "Restart" {
			for end := time.Now().Add(long); r.Len() == 0 && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
		}
		_ = l.Close()
		wantErrors(t, r.End(), "address already in use")
	}
}

// What is over can't be closed again.
func TestCloseOfAConnectionThatIsOver(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		defer c.CloseNow()
		conn := newest(t, s, "ada")
		conn.Drop()
		if err := conn.Close(1000, ""); !errors.Is(err, wsnotifytest.ErrConnClosed) {
			t.Errorf("%v", err)
		}
	})
}
