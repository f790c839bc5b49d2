package wsnotify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/internal/transport"
)

// logged is a logger, and what it has written since the last call, without the
// time and the name of this package.
func logged(level slog.Level) (*slog.Logger, func() []string) {
	var b testkit.Buffer
	logger := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return logger, func() (lines []string) {
		for line := range strings.Lines(b.Take()) {
			lines = append(lines, strings.TrimSpace(strings.ReplaceAll(line, "wsnotify: ", "")))
		}
		return lines
	}
}

// Status says since when a callback runs, also where nobody wants to know what a message says.
func TestCallbackSinceInOnMessageAlone(t *testing.T) {
	for _, typ := range []wsnotify.MessageType{wsnotify.MessageText, wsnotify.MessageBinary} {
		synctest.Test(t, func(t *testing.T) {
			w := bubbleWorld(t, wsnotify.Config{OnMessage: func(wsnotify.Message) { time.Sleep(time.Minute) }})
			conn := w.connect()
			begun := time.Now()
			if typ == wsnotify.MessageText {
				conn.SendText("x")
			} else {
				conn.SendBinary([]byte("x"))
			}
			w.pass(time.Second)
			if got := w.c.Status().CallbackSince; !got.Equal(begun) {
				t.Errorf("%v: %v and not %v", typ, got, begun)
			}
			w.pass(time.Minute)
			if got := w.c.Status().CallbackSince; !got.IsZero() {
				t.Errorf("%v: %v when none runs", typ, got)
			}
			w.must(w.c.Disconnect())
			<-w.c.Done()
		})
	}
}

// A callback that runs for long is reported once, by its name or type and without
// content, while it runs.
func TestSlowCallbackIsLoggedOnce(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(c *wsnotify.Client, cfg *wsnotify.Config, slow func())
		want string
	}{
		"a handler": {func(c *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			if c != nil {
				wsnotify.On(c, "mail\u202e", func(string) { slow() })
			}
		}, `msgType=mail\u202e`},
		"OnMessage": {func(_ *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			cfg.OnMessage = func(wsnotify.Message) { slow() }
		}, "callback=OnMessage"},
		"OnNotification": {func(_ *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			cfg.OnNotification = func(wsnotify.Notification) { slow() }
		}, "callback=OnNotification"},
		"OnClose": {func(_ *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			cfg.OnClose = func(wsnotify.CloseEvent) { slow() }
		}, "callback=OnClose"},
		"OnStateChange": {func(_ *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			cfg.OnStateChange = func(wsnotify.StateChange) { slow() }
		}, "callback=OnStateChange"},
		"OnOpen": {func(_ *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			cfg.OnOpen = func(wsnotify.OpenEvent) { slow() }
		}, "callback=OnOpen"},
		"OnReconnecting": {func(_ *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			cfg.OnReconnecting = func(wsnotify.ReconnectEvent) { slow() }
		}, "callback=OnReconnecting"},
		"OnGiveUp": {func(_ *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			cfg.BackOff, cfg.OnGiveUp = never, func(*wsnotify.GiveUpError) { slow() }
		}, "callback=OnGiveUp"},
		"OnError": {func(_ *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			cfg.Envelope.Parse = func(wsnotify.Message) (string, []byte, error) { return "", nil, errors.New("no") }
			cfg.OnError = func(error) { slow() }
		}, "callback=OnError"},
		"OnUndelivered": {func(_ *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			cfg.Outbox = wsnotify.Outbox{Messages: 1, Overflow: wsnotify.DropOldest}
			cfg.OnUndelivered = func(wsnotify.Message, error) { slow() }
		}, "callback=OnUndelivered"},
		"OnGap": {func(_ *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			at := 0
			cfg.Resume = wsnotify.Resume{Order: wsnotify.PositionConsecutive, OnGap: func(wsnotify.Gap) { slow() },
				Position: func(wsnotify.Message) (string, string) { at += 2; return "", fmt.Sprint(at) }}
		}, "callback=OnGap"},
		"Subscriptions.Confirm": {func(_ *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			cfg.Subscriptions = wsnotify.Subscriptions{Subscribe: func([]string, func(string) string) (m wsnotify.Message, err error) { return m, nil },
				Confirm: func(wsnotify.Message) ([]string, error) { slow(); return nil, nil }}
		}, "callback=Subscriptions.Confirm"},
		"Envelope.Parse": {func(c *wsnotify.Client, cfg *wsnotify.Config, slow func()) {
			cfg.Envelope.Parse = func(wsnotify.Message) (string, []byte, error) { slow(); return "", nil, nil }
		}, "callback=Envelope.Parse"},
		"a loop": {func(c *wsnotify.Client, _ *wsnotify.Config, slow func()) {
			if c != nil {
				seq := c.Notifications(context.Background())
				go func() {
					for range seq {
						slow()
					}
				}()
			}
		}, `callback="the loop over Notifications or Messages"`},
	} {
		t.Run(name, func(t *testing.T) {
			logger, all := logged(slog.LevelWarn)
			lines := func() []string {
				return slices.DeleteFunc(all(), func(line string) bool { return !strings.Contains(line, "a callback runs for long") })
			}
			n := 0
			slow := func() {
				if n++; n == 2 {
					time.Sleep(25 * time.Second)
				}
			}
			cfg := wsnotify.Config{Logger: logger}
			test.set(nil, &cfg, slow)
			synctest.Test(t, func(t *testing.T) {
				w := bubbleWorld(t, cfg)
				test.set(w.c, &cfg, slow)
				once := slices.Contains([]string{"OnOpen", "OnClose", "OnReconnecting", "OnGiveUp", "OnUndelivered"}, name)
				if once {
					n = 1
				}
				for range 2 {
					w.must(w.c.Enqueue(wsnotify.MessageText, []byte("hunter2")))
				}
				conn := w.connect()
				if once {
					conn.Close(4001, "hunter2")
				}
				for range 3 {
					conn.SendText(`{"msgType":"mail\u202e","content":"hunter2"}`)
				}
				w.pass(10*time.Second - 1)
				if got := lines(); len(got) != 0 {
					t.Errorf("it was logged early: %q", got)
				}
				w.pass(time.Second)
				got := lines()
				if len(got) != 1 || !strings.HasPrefix(got[0], `level=WARN msg="a callback runs for long, and holds up all others" took=1`) || !strings.Contains(got[0], " "+test.want+" ") {
					t.Errorf("the log says %q, and not %s", got, test.want)
				}
				w.pass(10 * time.Second)
				if got := lines(); len(got) != 0 {
					t.Errorf("it was logged again: %q", got)
				}
				w.pass(time.Minute)
				w.c.Disconnect()
				<-w.c.Done()
			})
		})
	}
}

// SlowCallback is what the user says; negative is never.
func TestSlowCallbackOfTheConfig(t *testing.T) {
	for limit, want := range map[time.Duration]int{-1: 0, 0: 1, time.Second: 1, time.Minute: 0} {
		logger, lines := logged(slog.LevelWarn)
		inBubble(t, wsnotify.Config{Logger: logger, SlowCallback: limit, OnMessage: func(wsnotify.Message) { time.Sleep(30 * time.Second) }}, func(w *world) {
			w.must(w.connect().SendText("x"))
			w.pass(31 * time.Second)
			got := lines()
			for i := len(got) - 1; i >= 0; i-- {
				if !strings.Contains(got[i], "runs for long") {
					got = append(got[:i], got[i+1:]...)
				}
			}
			if len(got) != want {
				t.Errorf("with %v: %q", limit, got)
			}
		})
	}
}

// Status shows what waits for the callbacks, and since when the one runs that
// holds it up.
func TestStatusShowsWhatWaitsForCallbacks(t *testing.T) {
	release := make(chan chan struct{}, 1)
	inBubble(t, wsnotify.Config{OnMessage: func(wsnotify.Message) { <-<-release }}, func(w *world) {
		conn := w.connect()
		check := func(queued, bytes int, since time.Time) {
			t.Helper()
			synctest.Wait()
			if s := w.c.Status(); s.InboxQueued != queued || s.InboxBytes < bytes || (s.InboxBytes == 0) != (queued == 0) || !s.CallbackSince.Equal(since) {
				t.Errorf("%d messages of %d bytes, since %v; and not %d of %d since %v", s.InboxQueued, s.InboxBytes, s.CallbackSince, queued, bytes, since)
			}
		}
		w.pass(time.Second)
		check(0, 0, time.Time{})
		first := make(chan struct{})
		release <- first
		begin := time.Now()
		w.must(conn.SendText("12345"))
		w.must(conn.SendText("67890"))
		w.pass(3 * time.Second)
		check(2, 10, begin)
		second := make(chan struct{})
		close(first)
		release <- second
		begin = time.Now()
		w.pass(3 * time.Second)
		check(1, 5, begin)
		close(second)
		w.pass(time.Second)
		check(0, 0, time.Time{})
	})
}

// A notification that nobody takes is counted, and logged at the level Debug.
func TestUnhandledNotifications(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*wsnotify.Config, *wsnotify.Client)
		want uint64 // of mail, and of three others
	}{
		"nobody":    {func(*wsnotify.Config, *wsnotify.Client) {}, 4},
		"a handler": {func(_ *wsnotify.Config, c *wsnotify.Client) { handleMail(c, func(string) {}) }, 3},
		"a handler that is gone": {func(_ *wsnotify.Config, c *wsnotify.Client) {
			if c != nil {
				wsnotify.On(c, "mail", func(string) {})()
			}
		}, 4},
		"a wrong type":   {func(_ *wsnotify.Config, c *wsnotify.Client) { handleMail(c, func(int) {}) }, 3},
		"OnMessage":      {func(cfg *wsnotify.Config, _ *wsnotify.Client) { cfg.OnMessage = func(wsnotify.Message) {} }, 0},
		"OnNotification": {func(cfg *wsnotify.Config, _ *wsnotify.Client) { cfg.OnNotification = func(wsnotify.Notification) {} }, 0},
		"Confirm": {func(cfg *wsnotify.Config, _ *wsnotify.Client) {
			cfg.Subscriptions = joins()
			cfg.Subscriptions.Confirm = func(m wsnotify.Message) (keys []string, err error) {
				if strings.Contains(string(m.Data), `"mail"`) {
					keys = []string{"mail"}
				}
				return keys, nil
			}
		}, 3},
		"a loop": {func(_ *wsnotify.Config, c *wsnotify.Client) {
			if c != nil {
				seq := c.Notifications(context.Background())
				go func() {
					for range seq {
					}
				}()
			}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			logger, lines := logged(slog.LevelDebug)
			cfg := wsnotify.Config{Logger: logger}
			test.set(&cfg, nil)
			synctest.Test(t, func(t *testing.T) {
				w := bubbleWorld(t, cfg)
				test.set(&cfg, w.c)
				conn := w.connect()
				for _, message := range []string{`{"msgType":"mail","content":"x"}`, `{"msgType":"Mail","content":"x"}`, `{"content":"hunter2"}`, `{"type":"x"}`, "no JSON"} {
					conn.SendText(message)
				}
				conn.SendBinary([]byte(`{"msgType":"mail","content":"x"}`))
				w.pass(time.Second)
				if got := w.c.Status().Unhandled; got != test.want {
					t.Errorf("%d notifications are unhandled, and not %d", got, test.want)
				}
				w.c.Disconnect()
				<-w.c.Done()
				logged, unnamed := uint64(0), 0
				for _, line := range lines() {
					if strings.Contains(line, "hunter2") {
						t.Errorf("the log says %s", line)
					}
					if strings.HasPrefix(line, `level=DEBUG msg="nobody handles a notification of this type" msgType=`) {
						logged++
					}
					if strings.HasPrefix(line, `level=INFO msg="a message has no msgType and content`) {
						unnamed++
					}
				}
				expected := 0
				if name == "a handler" || name == "a wrong type" {
					expected = 1
				}
				if unnamed != expected {
					t.Errorf("that a message has no type is logged %d times, and not %d", unnamed, expected)
				}
				if logged != test.want {
					t.Errorf("%d are logged", logged)
				}
			})
		})
	}
}

func handleMail[T any](c *wsnotify.Client, handler func(T)) {
	if c != nil {
		wsnotify.On(c, "mail", handler)
	}
}

// While a callback blocks, the events of attempts that wait are limited. What is
// reported are legal steps, and the end is that of the client.
func TestEventsOfAttemptsAreLimited(t *testing.T) {
	const attempts = 5000
	var states []wsnotify.ReadyState
	opened, closed, errs, last := 0, 0, 0, 0
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		w := bubbleWorld(t, wsnotify.Config{
			BackOff: every(10 * time.Second),
			OnOpen: func(wsnotify.OpenEvent) {
				if opened++; opened == 1 {
					<-free
				}
			},
			OnClose:        func(wsnotify.CloseEvent) { closed++ },
			OnError:        func(error) { errs++ },
			OnStateChange:  func(ev wsnotify.StateChange) { states = append(states, ev.To) },
			OnReconnecting: func(ev wsnotify.ReconnectEvent) { last = ev.Attempt },
		})
		conn := w.connect()
		w.srv.Stop()
		conn.Drop()
		w.pass(attempts / 2 * 10 * time.Second)
		w.srv.Start()
		for range 300 { // connections that bring nothing
			w.pass(20 * time.Second)
			w.conn().Drop()
		}
		w.srv.Stop()
		w.pass(attempts / 2 * 10 * time.Second)
		want := w.c.Status()
		w.c.Disconnect()
		close(free)
		<-w.c.Done()
		if last != want.ReconnectAttempts || want.Failures.Dial < attempts-10 {
			t.Errorf("the last attempt reported is %d, and not %d; %+v", last, want.ReconnectAttempts, want.Failures)
		}
	})
	if len(states)+opened+closed+errs > 300 || errs < 50 || opened != closed {
		t.Errorf("reported were %d states, %d errors, %d opened and %d closed", len(states), errs, opened, closed)
	}
	for i, s := range states[1:] {
		if before := states[i]; before == s || before == wsnotify.Closed && s != wsnotify.Connecting {
			t.Fatalf("%v after %v", s, before)
		}
	}
}

func TestCallbackThatSendsWhileTheConnectionIsDown(t *testing.T) {
	var w *world
	var errs []error
	inBubble(t, wsnotify.Config{
		OnClose: func(wsnotify.CloseEvent) {
			errs = append(errs, w.c.SendMessage(context.Background(), "now"), w.c.Enqueue(wsnotify.MessageText, []byte("later")))
		},
	}, func(world *world) {
		w, errs = world, nil
		w.connect().Drop()
		w.pass(10 * time.Second)
		w.wantErr(errs[0], wsnotify.ErrNotConnected)
		if errors.Is(errs[0], wsnotify.ErrClosed) {
			t.Error("it is ErrClosed")
		}
		w.must(errs[1])
		if got := fmt.Sprint(w.srv.Messages("ada")); got != "[later]" {
			t.Errorf("the server got %s", got)
		}
	})
}

func TestEveryMethodInEveryCallback(t *testing.T) {
	var w *world
	var calls atomic.Int32 // hooks run beside the callbacks
	all := func() {
		calls.Add(1)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.c.ReadyState()
		w.c.IsConnected()
		w.c.Status()
		w.c.Err()
		w.c.Done()
		w.c.ReconnectAttempts()
		w.c.SendMessage(ctx, "x")
		w.c.SendJSON(ctx, 1)
		w.c.Enqueue(wsnotify.MessageText, []byte("y"))
		w.c.Flush(ctx)
		w.c.Ping(ctx)
		w.c.WaitFor(ctx, wsnotify.Open)
		wsnotify.On(w.c, "q", func(string) {})()
	}
	inBubble(t, wsnotify.Config{
		OnStateChange:  func(wsnotify.StateChange) { all() },
		OnOpen:         func(wsnotify.OpenEvent) { all() },
		OnClose:        func(wsnotify.CloseEvent) { all() },
		OnReconnecting: func(wsnotify.ReconnectEvent) { all(); w.c.Reconnect() },
		OnGiveUp:       func(*wsnotify.GiveUpError) { all() },
		OnError:        func(error) { all() },
		OnMessage:      func(wsnotify.Message) { all() },
		OnNotification: func(wsnotify.Notification) { all() },
		BeforeDial:     func(context.Context, *wsnotify.DialRequest) error { all(); return nil },
		OnHandshake:    func(context.Context, *wsnotify.Handshake) error { all(); return nil },
	}, func(world *world) {
		w = world
		conn := w.connect()
		w.must(conn.SendText("not JSON"))
		w.must(conn.Notify("q", "x"))
		w.pass(time.Minute)
		w.srv.Stop()
		<-w.c.Done()
		if n := calls.Load(); n < 30 {
			t.Errorf("%d calls", n)
		}
	})
}

// Where the reader runs callbacks itself, one that blocks hands reading off.
func TestInlineDispatchHandsOffReading(t *testing.T) {
	before := transport.AssumedKind
	transport.AssumedKind = transport.System
	defer func() { transport.AssumedKind = before }()
	var inline atomic.Int64
	inBubble(t, wsnotify.Config{
		OnMessage: func(m wsnotify.Message) {
			if bytes.Contains(debug.Stack(), []byte("inbox.(*InlineDispatch).Run")) {
				inline.Add(1)
			}
			if string(m.Data) == "block" {
				time.Sleep(time.Minute)
			}
		},
	}, func(w *world) {
		conn := w.connect()
		w.must(conn.SendText("first"))
		synctest.Wait() // and the next comes soon after it
		w.must(conn.SendText("block"))
		for range 5 {
			w.pass(10 * time.Second)
			if _, err := w.c.Ping(w.Context()); err != nil {
				t.Error(err)
			}
		}
		if !w.c.IsConnected() || w.srv.Total() != 1 || inline.Load() == 0 {
			t.Errorf("%d connections, %d messages inline", w.srv.Total(), inline.Load())
		}
	})
}
