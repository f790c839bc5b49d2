package wsnotify_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
)

// A callback ends its goroutine, as testing.T.FailNow does. What is behind it in
// the same batch is told.
func TestGoexitInACallbackLosesNothingBehindIt(t *testing.T) {
	var got []string
	var closed bool
	inBubble(t, wsnotify.Config{
		OnMessage: func(m wsnotify.Message) {
			got = append(got, string(m.Data))
			switch string(m.Data) {
			case "1":
				time.Sleep(time.Second) // so that the others come as one batch, and OnClose with them
			case "2", "4":
				runtime.Goexit()
			}
		},
		OnClose: func(wsnotify.CloseEvent) { closed = true },
	}, func(w *world) {
		got, closed = nil, false
		conn := w.connect()
		for i := range 5 {
			w.must(conn.SendText(fmt.Sprint(i + 1)))
		}
		w.pass(100 * time.Millisecond)
		conn.Close(1001, "")
		w.pass(5 * time.Second)
		if fmt.Sprint(got) != "[1 2 3 4 5]" || !closed {
			t.Errorf("delivered %v, OnClose told: %v", got, closed)
		}
	})
}

// Each message and each event is dispatched, whichever callback ends its goroutine; what is
// behind it for the same message may be skipped.
func TestGoexitInAnyCallbackDoesNotStopTheClient(t *testing.T) {
	for _, culprit := range []string{"OnMessage", "OnNotification", "On", "Logger", "OnError"} {
		t.Run(culprit, func(t *testing.T) {
			calls := 0
			call := func(name string) {
				if name == culprit {
					calls++
					runtime.Goexit()
				}
			}
			closed := false
			inBubble(t, wsnotify.Config{
				OnMessage:      func(wsnotify.Message) { call("OnMessage") },
				OnNotification: func(wsnotify.Notification) { call("OnNotification") },
				OnError:        func(error) { call("OnError") },
				OnClose:        func(wsnotify.CloseEvent) { closed = true },
				Logger: slog.New(logHandler(func(r slog.Record) {
					if r.Message == "wsnotify: error" {
						call("Logger")
					}
				})),
			}, func(w *world) {
				calls, closed = 0, false
				wsnotify.On(w.c, "a", func(string) { call("On") })
				conn := w.connect()
				for range 3 {
					w.must(conn.Notify("a", "text"))
					w.must(conn.SendText("{")) // an OnError
				}
				synctest.Wait()
				w.must(w.c.Disconnect())
				<-w.c.Done()
				want := 3
				if culprit == "OnMessage" {
					want = 6
				}
				if calls != want || !closed {
					t.Errorf("%d calls and not %d, OnClose called: %v", calls, want, closed)
				}
			})
		})
	}
}

type logHandler func(slog.Record)

func (h logHandler) Enabled(context.Context, slog.Level) bool      { return true }
func (h logHandler) Handle(_ context.Context, r slog.Record) error { h(r); return nil }
func (h logHandler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h logHandler) WithGroup(string) slog.Handler                 { return h }

// A Logger that ends the goroutine at every line does not stop the client.
func TestGoexitInTheLogger(t *testing.T) {
	inBubble(t, wsnotify.Config{
		Logger: slog.New(logHandler(func(slog.Record) { runtime.Goexit() })),
	}, func(w *world) {
		w.connect().Drop()
		w.pass(10 * time.Second)
		if w.srv.Total() != 2 || !w.c.IsConnected() {
			t.Errorf("%d connections, connected: %v", w.srv.Total(), w.c.IsConnected())
		}
		w.must(w.c.Disconnect())
		<-w.c.Done()
	})
}

// A function of Config.HTTPClient that ends its goroutine fails the attempt at once.
func TestGoexitInTheHTTPClient(t *testing.T) {
	for name, transport := range map[string]http.RoundTripper{
		"DialContext":  &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { runtime.Goexit(); return nil, nil }},
		"Proxy":        &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { runtime.Goexit(); return nil, nil }},
		"RoundTripper": roundTripper(func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := wsnotify.New(wsnotify.Config{BackOff: never, HTTPClient: &http.Client{Transport: transport}})
				began := time.Now()
				err := c.Connect(t.Context(), "ws://server.test/", "")
				<-c.Done()
				if took := time.Since(began); took > 0 || !strings.Contains(err.Error(), "Config.HTTPClient") || !strings.Contains(err.Error(), "ended its goroutine") {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}

func TestDoneIsClosedBehindACallbackThatEndsItsGoroutine(t *testing.T) {
	inBubble(t, wsnotify.Config{OnStateChange: func(s wsnotify.StateChange) {
		switch s.To {
		case wsnotify.Closing:
			time.Sleep(time.Second) // the rest comes as one batch: Closed, OnClose, the end
		case wsnotify.Closed:
			runtime.Goexit()
		}
	}}, func(w *world) {
		w.connect()
		w.must(w.c.Disconnect())
		select {
		case <-w.c.Done():
		case <-time.After(time.Hour):
			t.Error("an hour after Disconnect, Done is not closed")
		}
	})
}

func TestGoexitReleasesCapacity(t *testing.T) {
	n := 0
	inBubble(t, wsnotify.Config{Inbox: wsnotify.Inbox{Messages: 4}, OnMessage: func(wsnotify.Message) {
		n++
		if n == 1 {
			time.Sleep(time.Second)
		}
		runtime.Goexit()
	}}, func(w *world) {
		n = 0
		conn := w.connect()
		for range 100 {
			w.must(conn.SendText("x"))
		}
		w.pass(time.Minute)
		if n != 100 {
			t.Errorf("%d of 100 delivered", n)
		}
	})
}

// What is asked for a decision and gives none is as if it were not there.
func TestGoexitWhereTheClientAsks(t *testing.T) {
	exit := func() { runtime.Goexit() }
	for name, test := range map[string]struct {
		cfg   wsnotify.Config
		again bool
	}{
		"ShouldReconnect": {wsnotify.Config{ShouldReconnect: func(wsnotify.Failure) bool { exit(); return false }}, true},
		"NextBackOff":     {wsnotify.Config{BackOff: func() wsnotify.BackOff { return &policy{next: func() time.Duration { exit(); return 0 }} }}, false},
		"Reset": {wsnotify.Config{BackOff: func() wsnotify.BackOff {
			return &policy{reset: exit, next: func() time.Duration { return time.Second }}
		}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, test.cfg, func(w *world) {
				w.connect().Drop()
				w.pass(time.Minute)
				if s := w.c.Status(); w.c.IsConnected() != test.again || s.GaveUp == test.again {
					t.Errorf("a minute later: %+v", s)
				}
			})
		})
	}
}

// policy is a user's wsnotify.BackOff.
type policy struct {
	reset func()
	next  func() time.Duration
}

func (p *policy) Reset() {
	if p.reset != nil {
		p.reset()
	}
}

func (p *policy) NextBackOff() time.Duration { return p.next() }

// A panic is the user's, and is not told to anybody else before it ends the program.
func TestPanicInACallbackIsNotSwallowed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	const env = "WSNOTIFY_TEST_PANIC"
	if runInChild(env) {
		inBubble(t, wsnotify.Config{
			OnMessage:      func(wsnotify.Message) { panic("the user's own") },
			OnNotification: func(wsnotify.Notification) { fmt.Println("told"); select {} },
		}, func(w *world) {
			w.must(w.connect().Notify("a", "b"))
			w.pass(time.Minute)
		})
		return
	}
	out := child(t, env, "^TestPanicInACallbackIsNotSwallowed$")
	if !strings.Contains(out, "the user's own") || !strings.Contains(out, "goexit_test.go") || strings.Contains(out, "told\n") {
		t.Errorf("the program said %s", out)
	}
}

func runInChild(env string) bool { return os.Getenv(env) != "" }

// child runs a test of this binary that must fail, and returns what it wrote.
func child(t *testing.T, env, test string) string {
	cmd := exec.Command(os.Args[0], "-test.run", test, "-test.timeout=20s")
	cmd.Env = append(os.Environ(), env+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the program did not end")
	}
	return string(out)
}
