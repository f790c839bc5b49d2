package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestBeforeDialRefreshesAToken(t *testing.T) {
	var seen []string
	cfg := wsnotify.Config{
		Header: http.Header{"X-App": {"test"}},
		BeforeDial: func(_ context.Context, req *wsnotify.DialRequest) error {
			status := 0
			if req.Last != nil {
				status = req.Last.HTTPStatus
			}
			seen = append(seen, fmt.Sprint(req.Attempt, " ", status))
			token := "old"
			if status == 401 {
				token = "fresh"
			}
			req.Header.Set("Authorization", "Bearer "+token)
			q := req.URL.Query()
			q.Set("attempt", fmt.Sprint(req.Attempt))
			req.URL.RawQuery = q.Encode()
			return nil
		},
	}
	inBubble(t, cfg, func(w *world) {
		seen = nil
		w.srv.OnHandshake(func(r *http.Request) (int, http.Header) {
			if r.Header.Get("Authorization") != "Bearer fresh" || r.Header.Get("X-App") != "test" {
				return 401, nil
			}
			return 0, nil
		})
		w.connect()
		if got := strings.Join(seen, ", "); got != "0 0, 1 401" {
			t.Errorf("BeforeDial saw %q", got)
		}
		if hs := w.srv.Handshakes(); hs[1].URL.RawQuery != "attempt=1" {
			t.Errorf("the second request was for %v", hs[1].URL)
		}
	})
}

// What BeforeDial is given is its own: each attempt begins with what Connect and the Config say.
func TestBeforeDialChangesItsAttemptAlone(t *testing.T) {
	var seen []string
	cfg := wsnotify.Config{
		Header:       http.Header{"X-App": {"test"}},
		Subprotocols: []string{"chat"},
		BeforeDial: func(_ context.Context, req *wsnotify.DialRequest) error {
			seen = append(seen, fmt.Sprintf("%v %s %v %v", req.URL.User, req.URL.Path, req.Header["X-App"], req.Subprotocols))
			*req.URL.User = *url.UserPassword("eve", "hunter3")
			req.URL.Path = "/ws/eve"
			req.Header["X-App"][0] = "eve"
			req.Subprotocols[0] = "eve"
			return nil
		},
	}
	inBubble(t, cfg, func(w *world) {
		seen = nil
		u, _ := url.Parse(w.srv.URL())
		u.User = url.UserPassword("ada", "hunter2")
		_ = w.c.Connect(w.Context(), u.String(), "ada") // the server knows no subprotocol, so each attempt fails
		const want = "ada:hunter2 /ws/ada [test] [chat]"
		if len(seen) != 7 || slices.ContainsFunc(seen, func(got string) bool { return got != want }) {
			t.Errorf("BeforeDial saw %q", seen)
		}
		for _, h := range w.srv.Handshakes() {
			if user, _, _ := (&http.Request{Header: h.Header}).BasicAuth(); user != "eve" || h.URL.Path != "/ws/eve" || h.Header.Get("X-App") != "eve" {
				t.Errorf("user %q asked for %v with %v", user, h.URL, h.Header)
			}
		}
	})
}

func TestBeforeDialThatFailsIsRetried(t *testing.T) {
	fails := 2
	inBubble(t, wsnotify.Config{BeforeDial: func(context.Context, *wsnotify.DialRequest) error {
		if fails--; fails >= 0 {
			return errors.New("no token")
		}
		return nil
	}}, func(w *world) {
		w.connect()
		w.expect("0s CONNECTING", "0s CLOSED", "0s error hook", "0s reconnect 1 in 10s",
			"10s CONNECTING", "10s CLOSED", "10s error hook", "10s reconnect 2 in 10s",
			"20s CONNECTING", "20s OPEN", "20s open 1")
		if f := w.c.Status().LastFailure; f.Phase != wsnotify.PhaseHook || f.Initiator != wsnotify.Local {
			t.Errorf("%+v", f)
		}
	})
}

func TestBeforeDialMustLeaveAUsableRequest(t *testing.T) {
	for name, spoil := range map[string]func(*wsnotify.DialRequest){
		"nil":    func(r *wsnotify.DialRequest) { r.URL = nil },
		"scheme": func(r *wsnotify.DialRequest) { r.URL.Scheme = "ftp" },
		"host":   func(r *wsnotify.DialRequest) { r.URL.Host = "" },
		"header": func(r *wsnotify.DialRequest) { r.Header = http.Header{"A b": {"c"}} },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{
				ShouldReconnect: func(wsnotify.Failure) bool { return false },
				BeforeDial:      func(_ context.Context, r *wsnotify.DialRequest) error { spoil(r); return nil },
			}, func(w *world) {
				var gaveUp *wsnotify.GiveUpError
				if err := w.c.Connect(context.Background(), w.srv.URL(), "ada"); !errors.As(err, &gaveUp) || gaveUp.Failure.Phase != wsnotify.PhaseHook {
					t.Errorf("Connect: %v", err)
				}
				if w.net.Dials() != 0 {
					t.Error("it was dialled")
				}
			})
		})
	}
}

func TestOnHandshakeComesBeforeEverythingQueued(t *testing.T) {
	inBubble(t, wsnotify.Config{OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
		if err := h.SendMessage(ctx, "login "+fmt.Sprint(h.Epoch)); err != nil {
			return err
		}
		m, err := h.Receive(ctx)
		if err != nil {
			return err
		}
		if string(m.Data) != "welcome" || m.Epoch != h.Epoch {
			return fmt.Errorf("got %q", m.Data)
		}
		return nil
	}}, func(w *world) {
		w.srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
			if strings.HasPrefix(string(data), "login") {
				c.SendText("welcome")
				c.Notify("mail", "after")
			}
		})
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("queued")))
		w.connect().Drop()
		w.pass(0)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("again")))
		w.pass(10 * time.Second)
		if got := fmt.Sprint(w.srv.Messages("ada")); got != "[login 1 queued login 2 again]" {
			t.Errorf("the server got %s", got)
		}
		w.expect("0s CONNECTING", "0s OPEN", "0s open 1", "0s notification mail: after",
			"0s CLOSED", `0s close 1 code=1006 reason="" clean=false again=true`, "0s reconnect 1 in 10s",
			"10s CONNECTING", "10s OPEN", "10s open 2", "10s notification mail: after")
		if s := w.c.Status(); s.MessagesOut != 4 || s.BytesOut != 25 || s.MessagesIn != 4 {
			t.Errorf("%d messages of %d bytes were sent, and %d received", s.MessagesOut, s.BytesOut, s.MessagesIn)
		}
	})
}

// A message that Receive did not wait for is the connection's first.
func TestOnHandshakeLosesNoMessage(t *testing.T) {
	inBubble(t, wsnotify.Config{OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := h.Receive(short); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("Receive: %w", err)
		}
		return nil
	}}, func(w *world) {
		conn := w.connect()
		w.must(conn.Notify("a", "first"))
		w.must(conn.Notify("a", "second"))
		w.pass(0)
		w.expect("0s CONNECTING", "1s OPEN", "1s open 1", "1s notification a: first", "1s notification a: second")
	})
}

func TestOnHandshakeThatFails(t *testing.T) {
	inBubble(t, wsnotify.Config{OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
		if h.Epoch == 1 && time.Now().Second() == 0 {
			return errors.New("not welcome")
		}
		return nil
	}}, func(w *world) {
		w.connect()
		w.expect("0s CONNECTING", "0s CLOSED", "0s error hook", "0s reconnect 1 in 10s", "10s CONNECTING", "10s OPEN", "10s open 1")
		if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != 1000 {
			t.Errorf("the server got the close codes %v", codes)
		}
	})
}

func TestHandshakeMethodsEndWithTheHook(t *testing.T) {
	var kept *wsnotify.Handshake
	inBubble(t, wsnotify.Config{OnHandshake: func(_ context.Context, h *wsnotify.Handshake) error { kept = h; return nil }}, func(w *world) {
		w.connect()
		if kept.SendMessage(context.Background(), "x") == nil {
			t.Error("Send worked")
		}
		if _, err := kept.Receive(context.Background()); err == nil {
			t.Error("Receive worked")
		}
	})
}

// A hook that goes on sending to a connection that is gone gets an error each
// time, also without a ctx that ends.
func TestHandshakeSendOnABrokenConnection(t *testing.T) {
	var errs []error
	inBubble(t, wsnotify.Config{
		ShouldReconnect: func(wsnotify.Failure) bool { return false },
		OnHandshake: func(_ context.Context, h *wsnotify.Handshake) error {
			for len(errs) < 3 {
				if err := h.SendMessage(context.Background(), "hello"); err != nil {
					errs = append(errs, err)
				}
			}
			return errs[0]
		},
	}, func(w *world) {
		errs = nil
		w.srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, _ []byte) { c.Reset() })
		w.c.Connect(context.Background(), w.srv.URL(), "ada")
		for _, err := range errs[1:] {
			w.wantErr(err, wsnotify.ErrNotConnected)
		}
		if d := time.Since(w.start); d > time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// What Receive did not wait for is checked like any message, and its absence
// is noticed like any end.
func TestAfterAReceiveThatWasGivenUp(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(*wsnotifytest.Conn)
		code wsnotify.StatusCode
	}{
		{"text that is not UTF-8", func(c *wsnotifytest.Conn) { c.SendText("\xff") }, 1007},
		{"the link is lost", func(c *wsnotifytest.Conn) { c.Drop() }, -1},
		{"a close frame", func(c *wsnotifytest.Conn) { c.Close(4001, "") }, 4001},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
				short, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				h.Receive(short)
				return nil
			}}, func(w *world) {
				conn := w.connect()
				w.pass(0)
				test.do(conn)
				w.pass(0)
				if f := w.c.Status().LastFailure; f == nil || f.Code != test.code || f.Phase != wsnotify.PhaseOpen {
					t.Errorf("it failed with %+v", f)
				}
			})
		})
	}
}

func TestHandshakeMethodsCheckWhatTheyAreGiven(t *testing.T) {
	inBubble(t, wsnotify.Config{OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
		if err := h.SendMessage(ctx, "\xff"); err == nil {
			return errors.New("text that is not UTF-8 was sent")
		}
		if err := h.Send(ctx, 7, nil); err == nil {
			return errors.New("a message of type 7 was sent")
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		if err := h.SendMessage(over, "x"); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("Send: %w", err)
		}
		if _, err := h.Receive(over); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("Receive: %w", err)
		}
		return h.SendMessage(ctx, "hello")
	}}, func(w *world) {
		w.connect()
		if got := w.srv.Messages("ada"); len(got) != 1 || got[0] != "hello" {
			t.Errorf("the server got %q", got)
		}
	})
}

// What the peer did while OnHandshake ran is reported as it is of an open
// connection, and answered so, whatever the hook makes of it.
func TestPeerThatEndsOnHandshake(t *testing.T) {
	receive := func(ctx context.Context, h *wsnotify.Handshake) error {
		if err := h.SendMessage(ctx, "login"); err != nil {
			return err
		}
		_, err := h.Receive(ctx)
		return err
	}
	ownError := func(ctx context.Context, h *wsnotify.Handshake) error {
		receive(ctx, h)
		return errors.New("the login failed")
	}
	after := func(ctx context.Context, h *wsnotify.Handshake) error { // what it waits for is not what comes
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		h.Receive(short)
		time.Sleep(time.Second)
		return errors.New("no answer")
	}
	for _, test := range []struct {
		name    string
		hook    func(context.Context, *wsnotify.Handshake) error
		do      func(*rawPeer)
		failure string
		reason  string
		answer  wsnotify.StatusCode // the close code that the server gets
		stops   bool
	}{
		{"a close frame", receive, func(p *rawPeer) { p.frames(closeFrame(1008, "bad key")) }, "hook, remote, code 1008", "bad key", 1008, true},
		{"a close frame, and an error of the hook's", ownError, func(p *rawPeer) { p.frames(closeFrame(1008, "bad key")) }, "hook, remote, code 1008", "bad key", 1008, true},
		{"a close frame that nobody waits for", after, func(p *rawPeer) { p.rest(1500 * time.Millisecond); p.frames(closeFrame(4001, "")) }, "hook, remote, code 4001", "", 4001, false},
		{"a message too long", receive, func(p *rawPeer) { p.frames(text(strings.Repeat("x", 101))) }, "hook, remote, code 1009", "", 1009, true},
		{"text that is not UTF-8", receive, func(p *rawPeer) { p.frames(text("\xff")) }, "hook, remote, code 1007", "", 1007, true},
		{"an unknown opcode", receive, func(p *rawPeer) { p.frames(frame(true, 3, "")) }, "hook, remote, code 1002", "", 1002, true},
		{"a violation, and an error of the hook's", ownError, func(p *rawPeer) { p.frames(frame(true, 3, "")) }, "hook, remote, code 1002", "", 1002, true},
		{"FIN", receive, func(p *rawPeer) { p.fin() }, "hook, network", "", 0, false},
		{"nothing that Receive has waited for", after, func(*rawPeer) {}, "hook, local", "", 1000, false},
		{"nothing", func(context.Context, *wsnotify.Handshake) error { return errors.New("not this one") }, func(*rawPeer) {}, "hook, local", "", 1000, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var answer wsnotify.StatusCode
			inRawBubble(t, wsnotify.Config{BackOff: never, ReadLimit: 100, OnHandshake: test.hook}, func(p *rawPeer) {
				p.accept()
				test.do(p)
				if payload := p.closed(); len(payload) >= 2 {
					answer = wsnotify.StatusCode(payload[0])<<8 | wsnotify.StatusCode(payload[1])
				}
			}, func(w *world, _ *rawNet) {
				err := w.c.Connect(w.Context(), "ws://server.test/", "")
				f := *w.c.Status().LastFailure
				<-w.c.Done()
				if got := describe(f); got != test.failure || f.Reason != test.reason {
					t.Errorf("%q, reason %q: %v", got, f.Reason, err)
				}
				if stops := !wsnotify.FailFast(f); stops != test.stops {
					t.Errorf("FailFast stops: %v", stops)
				}
				if strings.Count(err.Error(), "wsnotify: ") != 1 || !strings.Contains(err.Error(), "OnHandshake: ") {
					t.Errorf("the error is %q", err)
				}
				w.pass(time.Second)
				if answer != test.answer {
					t.Errorf("the server got the close code %d and not %d", answer, test.answer)
				}
			})
		})
	}
}

// The end that Receive has returned is not forgotten: the next Receive returns it
// again, and so does the connection, if OnHandshake lets it open all the same.
func TestReceiveRepeatsTheErrorOfTheEnd(t *testing.T) {
	var first, second error
	inBubble(t, wsnotify.Config{BackOff: never, OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
		_, first = h.Receive(ctx)
		_, second = h.Receive(ctx)
		return nil
	}}, func(w *world) {
		w.srv.OnConn(func(c *wsnotifytest.Conn) { c.Close(4001, "moved") })
		w.c.Connect(w.Context(), w.srv.URL(), "ada")
		<-w.c.Done()
		var closed wsnotify.CloseError
		if !errors.As(first, &closed) || closed.Code != 4001 || !errors.As(second, &closed) {
			t.Errorf("%v, %v", first, second)
		}
		if f := w.c.Status().LastFailure; f.Code != 4001 || f.Phase != wsnotify.PhaseOpen {
			t.Errorf("%+v", f)
		}
	})
}

// A hook that ends its goroutine, as t.FailNow in it does, is a failed attempt
// at once, and the next is made as after any other.
func TestHookThatEndsItsGoroutine(t *testing.T) {
	for _, which := range []string{"BeforeDial", "OnHandshake"} {
		t.Run(which, func(t *testing.T) {
			ends := true
			once := func() {
				if ends {
					ends = false
					runtime.Goexit()
				}
			}
			cfg := wsnotify.Config{DialTimeout: -1}
			if which == "BeforeDial" {
				cfg.BeforeDial = func(context.Context, *wsnotify.DialRequest) error { once(); return nil }
			} else {
				cfg.OnHandshake = func(context.Context, *wsnotify.Handshake) error { once(); return nil }
			}
			var errs []error
			cfg.OnError = func(err error) { errs = append(errs, err) }
			inBubble(t, cfg, func(w *world) {
				ends, errs = true, nil
				w.connect()
				w.expect("0s CONNECTING", "0s CLOSED", "0s error hook", "0s reconnect 1 in 10s", "10s CONNECTING", "10s OPEN", "10s open 1")
				if len(errs) != 1 || !strings.Contains(errs[0].Error(), which+": it ended its goroutine (runtime.Goexit") {
					t.Errorf("%v", errs)
				}
				if codes := w.srv.CloseCodes(); which == "OnHandshake" && (len(codes) != 1 || codes[0] != 1000) {
					t.Errorf("the server got the close codes %v", codes)
				}
			})
		})
	}
}

// The values of the ctx of Connect and of Run reach the hooks; its end reaches
// only the caller once there is a connection.
func TestValuesOfCtxReachTheHooks(t *testing.T) {
	type key struct{}
	var seen []any
	inBubble(t, wsnotify.Config{
		BeforeDial: func(ctx context.Context, _ *wsnotify.DialRequest) error {
			seen = append(seen, ctx.Value(key{}))
			return nil
		},
		OnHandshake: func(ctx context.Context, _ *wsnotify.Handshake) error {
			seen = append(seen, ctx.Value(key{}))
			return ctx.Err()
		},
	}, func(w *world) {
		seen = nil
		ctx, cancel := context.WithCancel(context.WithValue(w.Context(), key{}, "value"))
		w.must(w.c.Connect(ctx, w.srv.URL(), "ada"))
		cancel()
		w.conn().Drop()
		w.pass(10 * time.Second)
		if got := fmt.Sprint(seen); got != "[value value value value]" || !w.c.IsConnected() {
			t.Errorf("the hooks saw %s", got)
		}
	})
}

// A hook that only sends learns of the peer's end by a write that fails. Why
// the peer ended has come before that.
func TestPeerThatEndsAHookThatOnlySends(t *testing.T) {
	inBubble(t, wsnotify.Config{BackOff: never, OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
		for {
			if err := h.SendMessage(ctx, "login"); err != nil {
				return err
			}
			time.Sleep(time.Second)
		}
	}}, func(w *world) {
		w.srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, _ []byte) {
			c.SendText("hello")
			c.CloseFrame(1008, "bad key")
			c.Drop()
		})
		err := w.c.Connect(w.Context(), w.srv.URL(), "ada")
		if f := w.c.Status().LastFailure; describe(*f) != "hook, remote, code 1008" || f.Reason != "bad key" {
			t.Errorf("%q: %v", describe(*f), err)
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

// With Inbox.Reuse, what Receive has returned stays as it is.
func TestReceivedMessageIsNotReused(t *testing.T) {
	var first wsnotify.Message
	inBubble(t, wsnotify.Config{Inbox: wsnotify.Inbox{Reuse: true}, OnMessage: func(wsnotify.Message) {}, OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) (err error) {
		first, err = h.Receive(ctx)
		return err
	}}, func(w *world) {
		w.srv.OnConn(func(c *wsnotifytest.Conn) { c.SendText("welcome") })
		conn := w.connect()
		for range 1000 {
			w.must(conn.SendText(strings.Repeat("x", 100)))
		}
		w.pass(0)
		if string(first.Data) != "welcome" {
			t.Errorf("it has become %q", first.Data)
		}
	})
}

// Receive returns messages alone: what else comes is answered meanwhile.
func TestReceivePassesOverControlFrames(t *testing.T) {
	var got wsnotify.Message
	inBubble(t, wsnotify.Config{OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) (err error) {
		got, err = h.Receive(ctx)
		return err
	}}, func(w *world) {
		w.srv.OnConn(func(c *wsnotifytest.Conn) {
			c.Ping("1")
			c.WriteFrame(true, wsnotifytest.OpPong, nil)
			c.Ping("2")
			c.SendBinary([]byte("welcome"))
		})
		conn := w.connect()
		if got.Type != wsnotify.MessageBinary || string(got.Data) != "welcome" || got.Epoch != 1 {
			t.Errorf("Receive returned %+v", got)
		}
		if pongs := conn.Pongs(); !slices.Equal(pongs, []string{"1", "2"}) {
			t.Errorf("the pongs are %q", pongs)
		}
	})
}
