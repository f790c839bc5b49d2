package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// TestMain fails when a goroutine is left by any test.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if stacks := leftGoroutines(); stacks != "" {
			fmt.Fprintf(os.Stderr, "goroutines were left behind:\n%s\n", stacks)
			code = 1
		}
	}
	os.Exit(code)
}

// leftGoroutines returns the stacks of goroutines of this module or of the
// HTTP transport that do not end by themselves.
func leftGoroutines() string {
	var left string
	for range 100 {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		left = ""
		for _, g := range strings.Split(string(buf), "\n\n") {
			if !strings.Contains(g, "TestMain") && (strings.Contains(g, "wsnotify") || strings.Contains(g, "net/http.")) {
				left += g + "\n\n"
			}
		}
		if left == "" {
			return ""
		}
		time.Sleep(10 * time.Millisecond) // real time: a goroutine that has signalled its end may still be ending
	}
	return left
}

// world is a bubble with a network, a server and a client whose callbacks are
// written down.
type world struct {
	*testing.T
	net *wsnotifytest.Network
	srv *wsnotifytest.Server
	c   *wsnotify.Client

	start time.Time
	mu    sync.Mutex
	log   []string
}

// inBubble runs f in virtual time. The client has cfg, its callbacks after
// the journal's. At the end it is closed, and nothing may be left of it.
func inBubble(t *testing.T, cfg wsnotify.Config, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: wsnotifytest.NewNetwork(t), start: time.Now()}
		w.srv = w.net.NewServer()
		w.c = wsnotify.New(w.config(cfg))
		defer func() {
			w.c.Disconnect()
			<-w.c.Done()
			synctest.Wait()
			if n := w.net.Conns(); n != 0 {
				t.Errorf("%d connections were left open", n)
			}
		}()
		f(w)
	})
}

// config makes every callback of cfg write to the journal first.
func (w *world) config(cfg wsnotify.Config) wsnotify.Config {
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = w.net.HTTPClient()
	}
	cfg.OnStateChange = before(cfg.OnStateChange, func(ev wsnotify.StateChange) { w.note("%v", ev.To) })
	cfg.OnOpen = before(cfg.OnOpen, func(ev wsnotify.OpenEvent) { w.note("open %d", ev.Epoch) })
	cfg.OnClose = before(cfg.OnClose, func(ev wsnotify.CloseEvent) {
		w.note("close %d code=%d reason=%q clean=%v again=%v", ev.Epoch, ev.Code, ev.Reason, ev.WasClean, ev.WillReconnect)
	})
	cfg.OnReconnecting = before(cfg.OnReconnecting, func(ev wsnotify.ReconnectEvent) { w.note("reconnect %d in %v", ev.Attempt, ev.Delay) })
	cfg.OnGiveUp = before(cfg.OnGiveUp, func(err *wsnotify.GiveUpError) { w.note("give up after %d", err.Attempts) })
	cfg.OnError = before(cfg.OnError, func(err error) { w.note("error %s", kind(err)) })
	cfg.OnMessage = before(cfg.OnMessage, func(m wsnotify.Message) {
		if m.Type == wsnotify.MessageBinary {
			w.note("message binary %q", m.Data)
		}
	})
	cfg.OnNotification = before(cfg.OnNotification, func(n wsnotify.Notification) { w.note("notification %s: %s", n.MsgType, n.Content) })
	if f := cfg.OnUndelivered; true {
		cfg.OnUndelivered = func(m wsnotify.Message, err error) {
			w.note("undelivered %q: %s", m.Data, kind(err))
			if f != nil {
				f(m, err)
			}
		}
	}
	return cfg
}

func before[T any](f func(T), first func(T)) func(T) {
	return func(v T) {
		first(v)
		if f != nil {
			f(v)
		}
	}
}

// kind names an error for the journal.
func kind(err error) string {
	var parse *wsnotify.ParseError
	var decode *wsnotify.DecodeError
	var handshake *wsnotify.HandshakeError
	switch {
	case errors.As(err, &parse):
		return "parse"
	case errors.As(err, &decode):
		return "decode"
	case errors.As(err, &handshake):
		return fmt.Sprint("handshake ", handshake.StatusCode)
	case errors.Is(err, wsnotify.ErrHeartbeatTimeout):
		return "heartbeat"
	case errors.Is(err, wsnotify.ErrClosed):
		return "closed"
	case errors.Is(err, wsnotify.ErrNotConnected):
		return "not connected"
	case errors.Is(err, wsnotify.ErrUnconfirmed):
		return "unconfirmed"
	case errors.Is(err, wsnotify.ErrOutboxFull):
		return "full"
	case errors.Is(err, wsnotify.ErrExpired):
		return "expired"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case strings.Contains(err.Error(), "broke the protocol"):
		return "violation"
	case strings.Contains(err.Error(), "Handshake:"), strings.Contains(err.Error(), "BeforeDial:"):
		return "hook"
	case strings.Contains(err.Error(), "dialling"):
		return "dial"
	}
	return err.Error()
}

// note writes a line with the virtual time before it.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf("%v ", time.Since(w.start))+fmt.Sprintf(format, args...))
}

// connect connects as ada.
func (w *world) connect() *wsnotifytest.Conn {
	w.Helper()
	if err := w.c.Connect(w.Context(), w.srv.URL(), "ada"); err != nil {
		w.Fatalf("Connect: %v", err)
	}
	return w.conn()
}

// conn is the server's side of the newest connection.
func (w *world) conn() *wsnotifytest.Conn {
	w.Helper()
	synctest.Wait()
	conn, err := w.srv.Conn(w.Context(), "ada")
	if err != nil {
		w.Fatal(err)
	}
	return conn
}

// pass lets virtual time go by.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// journal returns what happened since the last call.
func (w *world) journal() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

// expect compares the journal since the last call.
func (w *world) expect(want ...string) {
	w.Helper()
	got := w.journal()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		w.Errorf("the journal says\n\t%s\nand not\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// must fails the test on an error.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// wantErr fails the test unless err is target.
func (w *world) wantErr(err, target error) {
	w.Helper()
	if !errors.Is(err, target) {
		w.Errorf("the error is %v and not %v", err, target)
	}
}
