package wsnotify_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// The tests of this file use real sockets on loopback. Their times are bounds
// against hanging, never what is tested.

func deadline(t *testing.T) context.Context { return harness.Deadline(t) }

func TestTLS(t *testing.T) {
	srv := wsnotifytest.NewTLSServer(t)
	srv.Echo()
	ctx := deadline(t)
	got := make(chan string, 1)
	c := wsnotify.New(wsnotify.Config{
		HTTPClient: srv.HTTPClient(),
		OnMessage:  func(m wsnotify.Message) { got <- string(m.Data) },
	})
	if err := c.Connect(ctx, srv.URL(), "ada"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`{"msgType":"a","content":"b"}`, strings.Repeat(" ", 200_000)} {
		wantEcho(t, c, got, text)
	}
	if err := c.Disconnect(); err != nil {
		t.Error(err)
	}
	<-c.Done()
}

// wantEcho sends a text, and compares it with what comes.
func wantEcho(t *testing.T, c *wsnotify.Client, got <-chan string, text string) {
	t.Helper()
	if err := c.SendMessage(deadline(t), text); err != nil {
		t.Fatal(err)
	}
	if echo := <-got; echo != text {
		t.Errorf("the echo of %d bytes has %d", len(text), len(echo))
	}
}

func TestTLSIsVerifiedByDefault(t *testing.T) {
	srv := wsnotifytest.NewTLSServer(t)
	c := wsnotify.New(wsnotify.Config{ShouldReconnect: wsnotify.FailFast})
	err := c.Connect(deadline(t), srv.URL(), "ada")
	var gaveUp *wsnotify.GiveUpError
	if !errors.As(err, &gaveUp) {
		t.Fatalf("Connect: %v", err)
	}
	if f := gaveUp.Failure; f.Phase != wsnotify.PhaseDial || f.Initiator != wsnotify.Remote {
		t.Errorf("%+v", f)
	}
	<-c.Done()
}

func TestTLSToAPlainPort(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler()) // answers in plain HTTP
	defer srv.Close()
	c := wsnotify.New(wsnotify.Config{ShouldReconnect: func(wsnotify.Failure) bool { return false }})
	err := c.Connect(deadline(t), strings.Replace(srv.URL, "http:", "wss:", 1), "ada")
	var gaveUp *wsnotify.GiveUpError
	if !errors.As(err, &gaveUp) || gaveUp.Failure.Phase != wsnotify.PhaseDial || gaveUp.Failure.Initiator != wsnotify.Remote {
		t.Errorf("%+v", gaveUp)
	}
	<-c.Done()
}

// The transport's own server, with compression, and a cookie jar.
func TestAgainstTheTransportsServer(t *testing.T) {
	cookies := make(chan string, 10)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, _ := r.Cookie("session")
		cookies <- cookie.String()
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "s1"})
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(-1)
		for {
			typ, data, err := ws.Read(context.Background())
			if err != nil {
				return
			}
			if ws.Write(context.Background(), typ, data) != nil {
				return
			}
		}
	})
	srv := httptest.NewServer(handler)
	defer srv.Close()
	jar := &memoryJar{}
	got := make(chan string, 1)
	c := wsnotify.New(wsnotify.Config{
		HTTPClient:  &http.Client{Jar: jar},
		Compression: wsnotify.CompressionContextTakeover,
		BackOff:     every(0),
		OnMessage:   func(m wsnotify.Message) { got <- string(m.Data) },
	})
	ctx := deadline(t)
	if err := c.Connect(ctx, srv.URL, "ada"); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 10, 1000, 100_000} {
		text := strings.Repeat("0123456789", size/10)
		wantEcho(t, c, got, text)
	}
	if err := c.Reconnect(); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitFor(ctx, wsnotify.Open); err != nil {
		t.Fatal(err)
	}
	if first, second := <-cookies, <-cookies; first != "" || second != "session=s1" {
		t.Errorf("cookies %q, %q", first, second)
	}
	if err := c.Disconnect(); err != nil {
		t.Error(err)
	}
	<-c.Done()
}

type memoryJar struct {
	cookies atomic.Pointer[[]*http.Cookie]
}

func (j *memoryJar) SetCookies(_ *url.URL, cookies []*http.Cookie) { j.cookies.Store(&cookies) }
func (j *memoryJar) Cookies(*url.URL) []*http.Cookie {
	if p := j.cookies.Load(); p != nil {
		return *p
	}
	return nil
}

// A user's own RoundTripper is used as it is.
func TestUsersRoundTripper(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	calls := 0
	c := wsnotify.New(wsnotify.Config{HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		calls++
		r = r.Clone(r.Context())
		r.Header.Set("X-Extra", "yes")
		return srv.HTTPClient().Transport.RoundTrip(r)
	})}})
	if err := c.Connect(deadline(t), srv.URL(), "ada"); err != nil {
		t.Fatal(err)
	}
	if err := c.Disconnect(); err != nil {
		t.Error(err)
	}
	<-c.Done()
	if h := srv.Handshakes(); calls != 1 || h[0].Header.Get("X-Extra") != "yes" {
		t.Errorf("%d calls, %v", calls, h[0].Header)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The user's transport is not changed, and not closed.
func TestUsersTransportIsCopied(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	dials := 0
	tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials++
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	c := wsnotify.New(wsnotify.Config{HTTPClient: &http.Client{Transport: tr}})
	if err := c.Connect(deadline(t), srv.URL(), "ada"); err != nil {
		t.Fatal(err)
	}
	c.Disconnect()
	<-c.Done()
	if dials != 1 || tr.DisableKeepAlives || tr.TLSClientConfig != nil {
		t.Errorf("%d dials, %+v", dials, tr)
	}
}

// Nothing that a user may not show stands in the log or in an error.
func TestSecretsAreRedacted(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	var log bytes.Buffer
	c := wsnotify.New(wsnotify.Config{
		Header:          http.Header{"Authorization": {"Bearer hunter2"}},
		Logger:          slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		ShouldReconnect: func(wsnotify.Failure) bool { return false },
	})
	base := strings.Replace(srv.URL(), "ws://", "ws://user:hunter2@", 1) + "?token=hunter2&user="
	ctx := deadline(t)
	if err := c.Connect(ctx, base, "ada"); err != nil {
		t.Fatal(err)
	}
	conn, err := srv.Conn(ctx, "ada")
	if err != nil {
		t.Fatal(err)
	}
	conn.Drop()
	<-c.Done()
	srv.Stop()
	err = c.Connect(ctx, base, "ada")
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "token=xxxxx") {
		t.Errorf("Connect: %v", err)
	}
	<-c.Done()
	text := log.String()
	if strings.Contains(text, "hunter2") || !strings.Contains(text, "token=xxxxx") || !strings.Contains(text, "giving up") {
		t.Errorf("the log says\n%s", text)
	}
}

// Messages of ping-pong traffic are handled by the goroutine that
// reads. Their callback may block all the same, also on what must be read.
func TestBlockingCallbackInPingPongTraffic(t *testing.T) {
	harness.NeedsSystem(t)
	for name, block := range map[string]func(ctx context.Context, c *wsnotify.Client) error{
		"Ping": func(ctx context.Context, c *wsnotify.Client) error {
			_, err := c.Ping(ctx)
			return err
		},
		"Request": func(ctx context.Context, c *wsnotify.Client) error {
			_, err := c.Request(ctx, "7", wsnotify.MessageText, []byte(`{"id":7}`))
			return err
		},
		"Disconnect": func(_ context.Context, c *wsnotify.Client) error { return c.Disconnect() },
		"Ping of another goroutine": func(ctx context.Context, c *wsnotify.Client) error {
			err := make(chan error)
			go func() {
				_, e := c.Ping(ctx)
				err <- e
			}()
			return <-err
		},
		"Reconnect": func(_ context.Context, c *wsnotify.Client) error { return c.Reconnect() },
		"a close frame of the server": func(ctx context.Context, c *wsnotify.Client) error {
			err := c.SendMessage(ctx, "close")
			return errors.Join(err, c.WaitFor(ctx, wsnotify.Closed))
		},
		"the end of its goroutine": func(ctx context.Context, c *wsnotify.Client) error {
			if err := c.SendMessage(ctx, "close"); err != nil {
				return err
			}
			runtime.Goexit()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := deadline(t)
			srv := wsnotifytest.NewServer(t)
			srv.OnMessage(func(c *wsnotifytest.Conn, typ byte, data []byte) {
				switch string(data) {
				case "ping":
				case "close":
					c.Close(1000, "")
				default:
					c.SendText(string(data))
				}
			})
			var c *wsnotify.Client
			blocked := false
			c = wsnotify.New(wsnotify.Config{
				Heartbeat:       wsnotify.Heartbeat{Interval: -1}, // which would end the wait
				ShouldReconnect: func(wsnotify.Failure) bool { return false },
				OnMessage: func(wsnotify.Message) {
					switch {
					case blocked:
					case bytes.Contains(debug.Stack(), []byte("inbox.(*InlineDispatch).Run")):
						blocked = true
						if err := block(ctx, c); err != nil {
							t.Error(err)
						}
						go c.Disconnect()
					default:
						c.SendMessage(ctx, "again")
					}
				},
			})
			if err := c.Connect(ctx, srv.URL(), "ada"); err != nil {
				t.Fatal(err)
			}
			c.SendMessage(ctx, "first")
			select {
			case <-c.Done():
			case <-ctx.Done():
				t.Fatal("it is not over")
			}
			if !blocked {
				t.Error("the messages were not ping-pong traffic")
			}
		})
	}
}
