package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/internal/transport"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// Main runs the tests of a package, and fails when a goroutine is left by any.
// It is the whole of a TestMain.
//
// The client does some things on sockets of the system alone, such as running
// callbacks on the goroutine that reads, and others on any other net.Conn. With
// WSNOTIFY_CONNS=system or foreign, all connections are taken for such.
func Main(m *testing.M) {
	switch kind := os.Getenv("WSNOTIFY_CONNS"); kind {
	case "":
	case "system":
		transport.AssumedKind = transport.System
	case "foreign":
		transport.AssumedKind = transport.Foreign
	default:
		panic("WSNOTIFY_CONNS=" + kind + ": expected system or foreign")
	}
	testkit.Main(m, "wsnotify", "net/http.") // of this module, or of the HTTP transport
}

// NeedsSystem skips a test of what only sockets of the system do.
func NeedsSystem(t testing.TB) {
	t.Helper()
	if transport.AssumedKind == transport.Foreign {
		t.Skip("WSNOTIFY_CONNS=foreign")
	}
}

// Carry, if it is set, makes what carries the clients of InBubble and of
// InRawBubble to what dial reaches, instead of HTTP/1.1, and returns what ends it.
// The module h2 sets it, and runs the suites over HTTP/2.
var Carry func(dial func(ctx context.Context, network, addr string) (net.Conn, error)) (carrier http.RoundTripper, end func())

// Carried returns what carries clients over the network of client, and what ends that: client
// itself, unless Carry is set.
func Carried(client *http.Client) (carried *http.Client, end func()) {
	if Carry == nil {
		return client, func() {}
	}
	carrier, end := Carry(client.Transport.(*http.Transport).DialContext)
	return &http.Client{Transport: carrier}, end
}

// World is a bubble with a network, a server and a client whose callbacks are
// written down.
type World struct {
	*testing.T
	Net    *wsnotifytest.Network // nil in a RawBubble
	Server *wsnotifytest.Server  // likewise
	Client *wsnotify.Client
	Start  time.Time

	carrier http.RoundTripper // if Carry is set

	mu  sync.Mutex
	log []string
}

// InBubble runs f in virtual time. The client has cfg, its callbacks after
// the journal's. At the end it is closed, and nothing may be left of it.
func InBubble(t *testing.T, cfg wsnotify.Config, f func(*World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &World{T: t, Net: wsnotifytest.NewNetwork(t), Start: time.Now()}
		w.Server = w.Net.NewServer()
		end := func() {}
		if Carry != nil {
			w.carrier, end = Carry(w.Net.HTTPClient().Transport.(*http.Transport).DialContext)
		}
		w.Client = wsnotify.New(w.Config(cfg))
		defer func() {
			w.Client.Disconnect()
			<-w.Client.Done()
			synctest.Wait() // until what was sent is passed on
			end()
			synctest.Wait()
			if n := w.Net.Conns(); n != 0 {
				t.Errorf("%d connections were left open", n)
			}
		}()
		f(w)
	})
}

// Config makes every callback of cfg write to the journal first.
func (w *World) Config(cfg wsnotify.Config) wsnotify.Config {
	switch {
	case cfg.HTTPClient != nil:
	case w.carrier != nil:
		cfg.HTTPClient = &http.Client{Transport: w.carrier}
	default:
		cfg.HTTPClient = w.Net.HTTPClient()
	}
	cfg.OnStateChange = Before(cfg.OnStateChange, func(ev wsnotify.StateChange) { w.Note("%v", ev.To) })
	cfg.OnOpen = Before(cfg.OnOpen, func(ev wsnotify.OpenEvent) { w.Note("open %d", ev.Epoch) })
	cfg.OnClose = Before(cfg.OnClose, func(ev wsnotify.CloseEvent) {
		w.Note("close %d code=%d reason=%q clean=%v again=%v", ev.Epoch, ev.Code, ev.Reason, ev.WasClean, ev.WillReconnect)
	})
	cfg.OnReconnecting = Before(cfg.OnReconnecting, func(ev wsnotify.ReconnectEvent) { w.Note("reconnect %d in %v", ev.Attempt, ev.Delay) })
	cfg.OnGiveUp = Before(cfg.OnGiveUp, func(err *wsnotify.GiveUpError) { w.Note("give up after %d", err.Attempts) })
	cfg.OnError = Before(cfg.OnError, func(err error) { w.Note("error %s", Kind(err)) })
	cfg.OnMessage = Before(cfg.OnMessage, func(m wsnotify.Message) {
		if m.Type == wsnotify.MessageBinary {
			w.Note("message binary %s", quoted(m.Data))
		}
	})
	cfg.OnNotification = Before(cfg.OnNotification, func(n wsnotify.Notification) { w.Note("notification %s: %s", n.MsgType, n.Content) })
	if f := cfg.OnUndelivered; true {
		cfg.OnUndelivered = func(m wsnotify.Message, err error) {
			w.Note("undelivered %q: %s", m.Data, Kind(err))
			if f != nil {
				f(m, err)
			}
		}
	}
	return cfg
}

// quoted is data for the journal, which needs no large message byte by byte.
func quoted(data []byte) string {
	if len(data) > 4<<10 {
		return fmt.Sprintf("of %d bytes, %.20q", len(data), data)
	}
	return fmt.Sprintf("%q", data)
}

// Before returns a callback that runs first, and then f unless that is nil.
func Before[T any](f func(T), first func(T)) func(T) {
	return func(v T) {
		first(v)
		if f != nil {
			f(v)
		}
	}
}

// Kind names an error for the journal.
func Kind(err error) string {
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

// Note writes a line with the virtual time before it.
func (w *World) Note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf("%v ", time.Since(w.Start))+fmt.Sprintf(format, args...))
}

// Connect connects as ada.
func (w *World) Connect() *wsnotifytest.Conn {
	w.Helper()
	if err := w.Client.Connect(w.Context(), w.Server.URL(), "ada"); err != nil {
		w.Fatalf("Connect: %v", err)
	}
	return w.Conn()
}

// Conn is the server's side of the newest connection.
func (w *World) Conn() *wsnotifytest.Conn {
	w.Helper()
	synctest.Wait()
	conn, err := w.Server.Conn(w.Context(), "ada")
	if err != nil {
		w.Fatal(err)
	}
	return conn
}

// Pass lets virtual time go by.
func (w *World) Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Journal returns what happened since the last call.
func (w *World) Journal() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

// Expect compares the journal since the last call.
func (w *World) Expect(want ...string) {
	w.Helper()
	got := w.Journal()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		w.Errorf("the journal says\n\t%s\nand not\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// Must fails the test on an error.
func (w *World) Must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// WantErr fails the test unless err is target.
func (w *World) WantErr(err, target error) {
	w.Helper()
	if !errors.Is(err, target) {
		w.Errorf("the error is %v and not %v", err, target)
	}
}
