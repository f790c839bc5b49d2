package wsnotify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

var _ io.Closer = (*wsnotify.Client)(nil)

// classes are the sentinels that say what happened to a message.
var classes = map[string]error{
	"ErrNotConnected": wsnotify.ErrNotConnected, "ErrClosed": wsnotify.ErrClosed, "ErrUnconfirmed": wsnotify.ErrUnconfirmed,
	"ErrInterrupted": wsnotify.ErrInterrupted, "ErrNotAcknowledged": wsnotify.ErrNotAcknowledged,
}

// wantClasses fails the test unless err belongs to these classes and no others,
// and says what it should.
func wantClasses(t *testing.T, what string, err error, says, want string) {
	t.Helper()
	for name, class := range classes {
		if is := errors.Is(err, class); is != strings.Contains(" "+want+" ", " "+name+" ") {
			t.Errorf("%s: %v is an %s: %t", what, err, name, is)
		}
	}
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v does not say %q", what, err, says)
	}
}

// asks are the methods that need a client that runs.
func asks(c *wsnotify.Client) map[string]func(context.Context) error {
	text := []byte("x")
	return map[string]func(context.Context) error{
		"Send":     func(ctx context.Context) error { return c.Send(ctx, wsnotify.MessageText, text) },
		"SendText": func(ctx context.Context) error { return c.SendText(ctx, "x") },
		"SendJSON": func(ctx context.Context) error { return c.SendJSON(ctx, 1) },
		"Request":  func(ctx context.Context) error { _, err := c.Request(ctx, "1", wsnotify.MessageText, text); return err },
		"Ping": func(ctx context.Context) error {
			rtt, err := c.Ping(ctx)
			if rtt != 0 {
				return fmt.Errorf("a round trip of %v and an error: %v", rtt, err)
			}
			return err
		},
		"Reconnect": func(context.Context) error { return c.Reconnect() },
	}
}

func TestMethodsSayWhyTheClientDoesNotRun(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		for name, ask := range asks(w.c) {
			wantClasses(t, name+" before Connect", ask(bg), "never connected", "ErrNotConnected")
		}
		w.net.Hang(true)
		go w.c.Connect(bg, w.srv.URL(), "ada")
		synctest.Wait()
		for name, ask := range asks(w.c) {
			if name != "Reconnect" {
				wantClasses(t, name+" while connecting", ask(bg), "not connected", "ErrNotConnected")
			}
		}
		w.net.Hang(false)
		w.connect()
		w.must(w.c.Close())
		for name, ask := range asks(w.c) {
			wantClasses(t, name+" after Close", ask(bg), "closed", "ErrNotConnected ErrClosed")
		}
		wantClasses(t, "Enqueue", w.c.EnqueueJSON(1), "closed", "ErrNotConnected ErrClosed")
	})
	ended, cancel := context.WithCancel(bg)
	cancel()
	for name, ask := range asks(wsnotify.New(wsnotify.Config{})) {
		if err := ask(ended); name != "Reconnect" && err != context.Canceled {
			t.Errorf("%s with a ctx that has ended: %v", name, err)
		}
	}
}

// Whoever waits on one Connect when another takes over is told so.
func TestSupersededSaysSo(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: -1}, CloseTimeout: time.Second}, func(w *world) {
		w.net.Buffer(1 << 10)
		errs := make(chan error, 10)
		go func() { errs <- w.c.Run(bg, w.srv.URL(), "ada") }()
		w.must(w.c.WaitFor(bg, wsnotify.Open))
		w.conn().StopReading(true)
		go w.c.Send(bg, wsnotify.MessageBinary, make([]byte, 8<<10)) // is being written
		synctest.Wait()
		go func() { errs <- w.c.SendText(bg, "waits") }()
		go func() { _, err := w.c.Ping(bg); errs <- err }()
		synctest.Wait()
		go w.c.Connect(bg, w.srv.URL(), "bob")
		for range 3 {
			wantClasses(t, "the Connect before", <-errs, "superseded", "ErrNotConnected ErrClosed")
		}
		w.must(w.c.WaitFor(bg, wsnotify.Open))
	})
}

func TestErrorsSayWhatBecameOfAMessage(t *testing.T) {
	for name, test := range map[string]struct {
		outbox wsnotify.Outbox
		stop   bool // reading
		does   func(*world, *wsnotifytest.Conn) error
		want   string
	}{
		"the connection ends inside a Send": {stop: true, does: func(w *world, c *wsnotifytest.Conn) error {
			time.AfterFunc(time.Second, func() { c.Reset() })
			return w.c.Send(bg, wsnotify.MessageBinary, make([]byte, 8<<10))
		}, want: "ErrUnconfirmed ErrInterrupted"},
		"ctx ends inside a Send": {stop: true, does: func(w *world, c *wsnotifytest.Conn) error {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			err := w.c.Send(ctx, wsnotify.MessageBinary, make([]byte, 8<<10))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not say that ctx ended", err)
			}
			return err
		}, want: "ErrUnconfirmed ErrInterrupted"},
		"a Request is written and not answered": {does: func(w *world, _ *wsnotifytest.Conn) error {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			_, err := w.c.Request(ctx, "1", wsnotify.MessageText, []byte(`{"id":"1"}`))
			return err
		}, want: "ErrUnconfirmed ErrNotAcknowledged"},
		"the connection ends before the answer": {does: func(w *world, c *wsnotifytest.Conn) error {
			time.AfterFunc(time.Second, func() { c.Reset() })
			_, err := w.c.Request(bg, "1", wsnotify.MessageText, []byte(`{"id":"1"}`))
			return err
		}, want: "ErrUnconfirmed ErrNotAcknowledged"},
		"the connection ends inside a Request": {stop: true, does: func(w *world, c *wsnotifytest.Conn) error {
			time.AfterFunc(time.Second, func() { c.Reset() })
			_, err := w.c.Request(bg, "1", wsnotify.MessageBinary, []byte(`{"id":"1","more":"`+strings.Repeat("x", 8<<10)+`"}`))
			return err
		}, want: "ErrUnconfirmed ErrInterrupted"},
		"a message of Enqueue is torn": {stop: true, does: func(w *world, c *wsnotifytest.Conn) error {
			w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 8<<10)))
			w.pass(time.Second)
			c.Reset()
			return nil
		}, want: "ErrUnconfirmed ErrInterrupted"},
		"a message of Enqueue is written and not confirmed": {
			outbox: wsnotify.Outbox{ConfirmID: func(wsnotify.Message) string { return "1" }},
			does: func(w *world, _ *wsnotifytest.Conn) error {
				w.must(w.c.Enqueue(wsnotify.MessageText, []byte("x")))
				synctest.Wait()
				w.must(w.c.Disconnect())
				return nil
			}, want: "ErrUnconfirmed ErrNotAcknowledged"},
		"a message that is to be confirmed is torn": {
			outbox: wsnotify.Outbox{ConfirmID: func(wsnotify.Message) string { return "1" }}, stop: true,
			does: func(w *world, c *wsnotifytest.Conn) error {
				w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 8<<10)))
				w.pass(time.Second)
				w.srv.Stop()
				w.pass(time.Second)
				w.must(w.c.Disconnect())
				return nil
			}, want: "ErrUnconfirmed ErrInterrupted"},
	} {
		for how, record := range map[string]io.Writer{"": nil, ", recorded": io.Discard} {
			t.Run(name+how, func(t *testing.T) {
				undelivered := make(chan error, 1)
				cfg := wsnotify.Config{
					Outbox: test.outbox, Heartbeat: wsnotify.Heartbeat{Interval: -1}, Record: record,
					OnUndelivered: func(_ wsnotify.Message, err error) { undelivered <- err },
				}
				inBubble(t, cfg, func(w *world) {
					w.net.Buffer(1 << 10)
					conn := w.connect()
					conn.StopReading(test.stop)
					err := test.does(w, conn)
					if err == nil {
						err = <-undelivered
					}
					wantClasses(t, name, err, "may or may not", test.want)
					conn.StopReading(false)
				})
			})
		}
	}
}

func TestCloseErrorIsFoundAsValueAndPointer(t *testing.T) {
	err := fmt.Errorf("lost: %w", wsnotify.CloseError{Code: 1001, Reason: "bye\x1b"})
	var value wsnotify.CloseError
	var pointer *wsnotify.CloseError
	if !errors.As(err, &value) || !errors.As(err, &pointer) || *pointer != value || value.Code != wsnotify.StatusGoingAway {
		t.Errorf("%v, %v", value, pointer)
	}
	if text, want := err.Error(), `lost: wsnotify: the server closed the connection with 1001 (going away): bye\x1b`; text != want {
		t.Errorf("%q and not %q", text, want)
	}
	for code, want := range map[wsnotify.StatusCode]string{
		1000: "1000 (normal closure)", 1001: "1001 (going away)", 1002: "1002 (protocol error)", 1003: "1003 (unsupported data)",
		1005: "1005 (no status received)", 1006: "1006 (abnormal closure)", 1007: "1007 (invalid payload data)", 1008: "1008 (policy violation)",
		1009: "1009 (message too big)", 1010: "1010 (mandatory extension)", 1011: "1011 (internal error)", 1012: "1012 (service restart)",
		1013: "1013 (try again later)", 1014: "1014 (bad gateway)", 1015: "1015 (TLS handshake)", 1004: "1004", 4001: "4001", -1: "-1",
	} {
		if code.String() != want {
			t.Errorf("%q and not %q", code.String(), want)
		}
	}
}

func TestErrorsWrapTheirCauses(t *testing.T) {
	cause := &json.UnmarshalTypeError{Value: "string", Type: reflect.TypeFor[int]()}
	for _, err := range []error{
		&wsnotify.DecodeError{Err: cause}, &wsnotify.ParseError{Err: cause}, &wsnotify.HandlerError{Err: cause},
		&wsnotify.HandshakeError{Err: cause}, &wsnotify.DrainError{Err: cause}, &wsnotify.GiveUpError{Failure: wsnotify.Failure{Err: cause}},
	} {
		var got *json.UnmarshalTypeError
		if !errors.As(err, &got) || got != cause || !strings.HasPrefix(err.Error(), "wsnotify: ") {
			t.Errorf("%T: %v", err, err)
		}
	}
}

// What errors say, also those that a program makes by hand.
func TestTextsOfErrors(t *testing.T) {
	syntax := json.Unmarshal([]byte("no"), new(any))
	why := errors.New("wsnotify: it is late\n")
	failed := func(err error) wsnotify.Failure { return wsnotify.Failure{Err: err} }
	for want, err := range map[string]error{
		`the content of a "mail" notification can't be decoded`:                                             &wsnotify.DecodeError{MsgType: "mail"},
		`the content of a "mail" notification: it is\na number`:                                             &wsnotify.DecodeError{MsgType: "mail", Err: errors.New("it is\na number")},
		"a message of 3 bytes can't be parsed":                                                              &wsnotify.ParseError{Data: []byte("abc")},
		"a message of 2 bytes is not JSON: " + syntax.Error():                                               &wsnotify.ParseError{Data: []byte("no"), Err: syntax},
		`Config.Envelope.Parse refused a message of 2 bytes: a\nb`:                                          &wsnotify.ParseError{Data: []byte("no"), Err: errors.New("a\nb")},
		`the handler of "mail" notifications failed`:                                                        &wsnotify.HandlerError{MsgType: "mail"},
		`the handler of "mail" notifications: it is late` + "\n":                                            &wsnotify.HandlerError{MsgType: "mail", Err: why},
		"a message of 12 bytes is larger than the outbox may be, 10 bytes: raise Outbox.Bytes, or use Send": &wsnotify.MessageTooLargeError{Size: 12, Limit: 10},

		"the server's 101 Switching Protocols opens no WebSocket":                                           &wsnotify.HandshakeError{StatusCode: 101},
		"the server's 101 Switching Protocols opens no WebSocket: it is late\n":                             &wsnotify.HandshakeError{StatusCode: 101, Err: why},
		"expected 101 Switching Protocols, got 503 Service Unavailable":                                     &wsnotify.HandshakeError{StatusCode: 503},
		"expected 101 Switching Protocols, got 503 Service Unavailable: it is late\n":                       &wsnotify.HandshakeError{StatusCode: 503, Err: why},
		"expected 101 Switching Protocols, got status 799":                                                  &wsnotify.HandshakeError{StatusCode: 799},
		"giving up without another attempt":                                                                 &wsnotify.GiveUpError{},
		"giving up after 1 attempt":                                                                         &wsnotify.GiveUpError{Attempts: 1},
		"giving up after 2 attempts":                                                                        &wsnotify.GiveUpError{Attempts: 2},
		"giving up after 2 attempts: it is late\n":                                                          &wsnotify.GiveUpError{Attempts: 2, Failure: failed(why)},
		"giving up without another attempt: it is late\n":                                                   &wsnotify.GiveUpError{Failure: failed(why)},
		"the client was closed before it was drained, with a callback that had not returned":                &wsnotify.DrainError{},
		"the client was closed before it was drained, with 1 message not handled: it is late\n":             &wsnotify.DrainError{Unhandled: 1, Err: why},
		"the client was closed before it was drained, with 2 messages not sent":                             &wsnotify.DrainError{Unsent: 2},
		"the client was closed before it was drained, with 2 messages not sent and 1 message not confirmed": &wsnotify.DrainError{Unsent: 2, Unconfirmed: 1},
		"the client was closed before it was drained, with 3 messages not handled, 1 message not sent and 2 messages not confirmed": &wsnotify.DrainError{
			Unhandled: 3, Unsent: 1, Unconfirmed: 2},

		`subscription "a\nb" failed`:                                      &wsnotify.SubscriptionError{Key: "a\nb"},
		`subscription "a": it is late` + "\n":                             &wsnotify.SubscriptionError{Key: "a", Err: why},
		"the server closed the connection with 1005 (no status received)": wsnotify.CloseError{Code: 1005},
		"asked the server to resume behind 8, but it began with 1; its messages are dropped as duplicates until they are past that: " +
			"if it counts anew, call SetPosition and Reconnect": &wsnotify.ResumeError{Asked: "8", Got: "1"},
		`stream "a": asked the server to resume behind 8, but it began with 1\n; its messages are dropped as duplicates until they are past that: ` +
			"if it counts anew, call SetPosition and Reconnect": &wsnotify.ResumeError{Stream: "a", Asked: "8", Got: "1\n"},
	} {
		if got := err.Error(); got != "wsnotify: "+want {
			t.Errorf("%T says\n%s\nand not\nwsnotify: %s", err, got, want)
		}
	}
}

// A value that is no JSON is said to be so, with its type.
func TestValuesThatAreNoJSON(t *testing.T) {
	c := wsnotify.New(wsnotify.Config{})
	_, requested := wsnotify.RequestJSON[int](bg, c, "1", make(chan int))
	for _, err := range []error{c.SendJSON(bg, make(chan int)), c.EnqueueJSON(make(chan int)), requested} {
		if err == nil || !strings.Contains(err.Error(), "chan int") || errors.Is(err, wsnotify.ErrNotConnected) {
			t.Errorf("%v", err)
		}
	}
}

// Whatever an attempt or the wait for one ends with, the error of Connect names
// the address once, without its secrets, and the hook that had not returned.
func TestErrorsNameTheAddressAndTheHook(t *testing.T) {
	const address, shown = "ws://server.test/ws/?token=hunter2", "ws://server.test/ws/?token=xxxxx"
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	blocks := func(ctx context.Context) error { time.Sleep(time.Minute); return nil }
	before := func(f func(context.Context) error) wsnotify.Config {
		return wsnotify.Config{BeforeDial: func(ctx context.Context, _ *wsnotify.DialRequest) error { return f(ctx) }}
	}
	on := func(f func(context.Context) error) wsnotify.Config {
		return wsnotify.Config{OnHandshake: func(ctx context.Context, _ *wsnotify.Handshake) error { return f(ctx) }}
	}
	fails := func(context.Context) error { return errors.New("no token") }
	open := accepts((*rawPeer).silence)
	for name, test := range map[string]struct {
		cfg    wsnotify.Config
		script func(*rawPeer)
		hook   string // that is named; "-" if none is
	}{
		"no answer":                     {wsnotify.Config{}, (*rawPeer).silence, "-"},
		"a refusal":                     {wsnotify.Config{}, answers(response(503, "no")), "-"},
		"a 101 that is wrong":           {wsnotify.Config{}, answers("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "-"},
		"another subprotocol":           {wsnotify.Config{Subprotocols: []string{"v1"}}, open, "-"},
		"a FIN":                         {wsnotify.Config{}, func(p *rawPeer) { p.request() }, "-"},
		"BeforeDial fails":              {before(fails), open, "BeforeDial: no token"},
		"BeforeDial waits for its ctx":  {before(hangs), open, "BeforeDial"},
		"BeforeDial waits":              {before(blocks), open, "BeforeDial"},
		"OnHandshake fails":             {on(fails), open, "OnHandshake: no token"},
		"OnHandshake waits for its ctx": {on(hangs), open, "OnHandshake"},
		"OnHandshake waits":             {on(blocks), open, "OnHandshake"},
		"a proxy hangs up":              {throughProxy("http://proxy.test", nil), func(p *rawPeer) { p.request() }, "-"},
	} {
		for how, limit := range map[string]time.Duration{
			"DialTimeout": 0, "the ctx of Connect": 5 * time.Second, "the ctx of Connect, later": 15 * time.Second, "the ctx of Connect, in the wait": 25 * time.Second,
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				cfg := test.cfg
				cfg.BackOff = every(10 * time.Second)
				if limit == 0 {
					cfg.BackOff = never
				}
				inRawBubble(t, cfg, test.script, func(w *world, _ *rawNet) {
					ctx := w.Context()
					if limit > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, limit)
						defer cancel()
					}
					err := w.c.Connect(ctx, address, "")
					if err == nil || strings.Count(err.Error(), shown) != 1 || strings.Contains(err.Error(), "hunter2") {
						t.Fatalf("the error is %v", err)
					}
					for _, hook := range []string{"BeforeDial", "OnHandshake"} {
						if named := strings.Contains(err.Error(), hook); named != strings.HasPrefix(test.hook, hook) {
							t.Errorf("the error is %v", err)
						}
					}
					if test.hook != "-" && !strings.Contains(err.Error(), test.hook) {
						t.Errorf("the error is %v", err)
					}
					checkShown(t, err.Error())
				})
			})
		}
	}
}

// A ctx that ends before there was an attempt says so.
func TestErrorBeforeTheFirstDial(t *testing.T) {
	inBubble(t, wsnotify.Config{BackOff: func() wsnotify.BackOff { time.Sleep(time.Hour); return nil }}, func(w *world) {
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		err := w.c.Connect(ctx, "ws://server.test/?token=hunter2", "")
		if want := "wsnotify: no connection until ctx ended: context deadline exceeded; ws://server.test/?token=xxxxx was not dialled"; err == nil || err.Error() != want {
			t.Errorf("the error is %v", err)
		}
		w.wantErr(err, context.DeadlineExceeded)
	})
}

// The address that BeforeDial has set is the one that is named.
func TestErrorsNameTheAddressOfBeforeDial(t *testing.T) {
	cfg := wsnotify.Config{BackOff: never, BeforeDial: func(_ context.Context, r *wsnotify.DialRequest) error {
		r.URL.Host, r.URL.RawQuery = "other.test", "token=hunter2"
		return nil
	}}
	inRawBubble(t, cfg, func(p *rawPeer) { p.request() }, func(w *world, _ *rawNet) {
		err := w.c.Connect(w.Context(), "ws://server.test/ws/", "")
		if err == nil || !strings.Contains(err.Error(), "dialling ws://other.test/ws/?token=xxxxx: ") || strings.Contains(err.Error(), "server.test") {
			t.Errorf("the error is %v", err)
		}
	})
}
