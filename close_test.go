package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestDisconnectWhileWaiting(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect().Drop()
		w.pass(time.Second)
		w.journal()
		w.must(w.c.Disconnect())
		if n := w.c.ReconnectAttempts(); n != 0 {
			t.Errorf("ReconnectAttempts is %d after Disconnect", n)
		}
		w.must(w.c.Disconnect()) // again
		w.pass(time.Minute)
		w.expect()
		if w.srv.Total() != 1 {
			t.Errorf("%d connections were made", w.srv.Total())
		}
		w.must(w.c.Err())
	})
}

func TestDisconnectWhileDialling(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.net.Hang(true)
		result := make(chan error)
		go func() { result <- w.c.Connect(context.Background(), w.srv.URL(), "ada") }()
		w.pass(time.Second)
		w.must(w.c.CloseWith(context.Background(), 4000, "not used"))
		w.wantErr(<-result, wsnotify.ErrClosed)
		w.expect("0s CONNECTING", "1s CLOSING", "1s CLOSED")
	})
}

func TestDisconnectWhileTheHandshakeHangs(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.HangHandshake(1)
		result := make(chan error)
		go func() { result <- w.c.Connect(context.Background(), w.srv.URL(), "ada") }()
		w.pass(time.Second)
		w.must(w.c.Disconnect())
		w.wantErr(<-result, wsnotify.ErrClosed)
		w.expect("0s CONNECTING", "1s CLOSING", "1s CLOSED")
	})
}

// A hook that ignores its context keeps Done waiting, but not Disconnect.
func TestDisconnectWhileInAHook(t *testing.T) {
	for _, name := range []string{"BeforeDial", "OnHandshake"} {
		t.Run(name, func(t *testing.T) {
			release := func() {}
			hook := func() error { panic("set below") }
			cfg := wsnotify.Config{}
			if name == "BeforeDial" {
				cfg.BeforeDial = func(context.Context, *wsnotify.DialRequest) error { return hook() }
			} else {
				cfg.OnHandshake = func(context.Context, *wsnotify.Handshake) error { return hook() }
			}
			inBubble(t, cfg, func(w *world) {
				stuck := make(chan struct{})
				release = func() { close(stuck) }
				hook = func() error { <-stuck; return nil }
				result := make(chan error, 1)
				go func() { result <- w.c.Connect(context.Background(), w.srv.URL(), "ada") }()
				w.pass(time.Second)
				w.must(w.c.Disconnect())
				w.wantErr(<-result, wsnotify.ErrClosed)
				w.expect("0s CONNECTING", "1s CLOSING", "1s CLOSED")
				select {
				case <-w.c.Done():
					t.Error("Done did not wait for the hook")
				default:
				}
				release()
				<-w.c.Done()
			})
		})
	}
}

func TestDisconnectInsideEachCallback(t *testing.T) {
	var w *world
	calls := 0
	disconnect := func() {
		calls++
		if err := w.c.Disconnect(); err != nil && w.c.ReadyState() != wsnotify.Closed {
			w.Errorf("Disconnect: %v", err)
		}
	}
	for name, set := range map[string]func(*wsnotify.Config){
		"OnStateChange/Connecting": func(cfg *wsnotify.Config) {
			cfg.OnStateChange = func(ev wsnotify.StateChange) {
				if ev.To == wsnotify.Connecting {
					disconnect()
				}
			}
		},
		"OnStateChange/Open": func(cfg *wsnotify.Config) {
			cfg.OnStateChange = func(ev wsnotify.StateChange) {
				if ev.To == wsnotify.Open {
					disconnect()
				}
			}
		},
		"OnStateChange/Closed": func(cfg *wsnotify.Config) {
			cfg.OnStateChange = func(ev wsnotify.StateChange) {
				if ev.To == wsnotify.Closed {
					disconnect()
				}
			}
		},
		"OnOpen":         func(cfg *wsnotify.Config) { cfg.OnOpen = func(wsnotify.OpenEvent) { disconnect() } },
		"OnClose":        func(cfg *wsnotify.Config) { cfg.OnClose = func(wsnotify.CloseEvent) { disconnect() } },
		"OnReconnecting": func(cfg *wsnotify.Config) { cfg.OnReconnecting = func(wsnotify.ReconnectEvent) { disconnect() } },
		"OnError":        func(cfg *wsnotify.Config) { cfg.OnError = func(error) { disconnect() } },
		"OnMessage":      func(cfg *wsnotify.Config) { cfg.OnMessage = func(wsnotify.Message) { disconnect() } },
		"OnNotification": func(cfg *wsnotify.Config) { cfg.OnNotification = func(wsnotify.Notification) { disconnect() } },
		"ShouldReconnect": func(cfg *wsnotify.Config) {
			cfg.ShouldReconnect = func(wsnotify.Failure) bool { disconnect(); return true }
		},
	} {
		t.Run(name, func(t *testing.T) {
			calls = 0
			var cfg wsnotify.Config
			set(&cfg)
			inBubble(t, cfg, func(world *world) {
				w = world
				w.c.Connect(context.Background(), w.srv.URL(), "ada")
				synctest.Wait()
				if w.srv.Live() > 0 {
					w.srv.SendText("ada", `{"msgType":"a","content":"b"}`)
					w.srv.SendText("ada", `not JSON`)
					synctest.Wait()
					w.srv.DropAll()
				}
				w.pass(time.Hour)
				total := w.srv.Total()
				if calls == 0 {
					t.Error("the callback was not called")
				}
				if w.c.ReadyState() != wsnotify.Closed || total > 1 {
					t.Errorf("%v after %d connections", w.c.ReadyState(), total)
				}
				select {
				case <-w.c.Done():
				default:
					t.Error("Done is not closed")
				}
			})
		})
	}
}

func TestDisconnectInsideOnUndelivered(t *testing.T) {
	var w *world
	inBubble(t, wsnotify.Config{
		Outbox:        wsnotify.Outbox{MaxAge: time.Second},
		OnUndelivered: func(wsnotify.Message, error) { w.c.Disconnect() },
	}, func(world *world) {
		w = world
		w.connect()
		w.srv.Stop()
		w.pass(0)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("old")))
		<-w.c.Done()
		if d := time.Since(w.start); d != time.Second {
			t.Errorf("closed after %v", d)
		}
	})
}

func TestCloseTimeoutWhenThePeerStopsInMidFrame(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		w.must(conn.WriteRaw([]byte{0x81, 0x05, 'h'}))
		conn.Mute(true)
		w.srv.AnswerClose(false)
		w.pass(time.Second)
		w.journal()
		err := w.c.Disconnect()
		if err == nil || !strings.Contains(err.Error(), "did not answer the close frame") {
			t.Errorf("Disconnect: %v", err)
		}
		w.expect("1s CLOSING", "6s CLOSED", `6s close 1 code=1006 reason="" clean=false again=false`)
	})
}

func TestCloseTimeoutWhenThePeerDoesNotRead(t *testing.T) {
	inBubble(t, wsnotify.Config{Outbox: wsnotify.Outbox{Messages: -1, Bytes: -1}}, func(w *world) {
		conn := w.connect()
		conn.StopReading(true)
		for range 100 {
			w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 4096)))
		}
		w.pass(time.Second)
		w.journal()
		if err := w.c.Disconnect(); err == nil {
			t.Error("Disconnect returned nil")
		}
		if d := time.Since(w.start); d != 6*time.Second {
			t.Errorf("closed at %v", d)
		}
	})
}

func TestCloseContextShortensTheWait(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.srv.AnswerClose(false)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := w.c.CloseWith(ctx, 4001, "bye"); err == nil {
			t.Error("Close returned nil")
		}
		if d := time.Since(w.start); d != time.Second {
			t.Errorf("closed after %v", d)
		}
		if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != 4001 {
			t.Errorf("the server got the close codes %v", codes)
		}
	})
}

func TestCloseFlushesWhatWasAccepted(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		for range 500 {
			w.must(w.c.Enqueue(wsnotify.MessageText, []byte("m")))
		}
		w.must(w.c.Disconnect())
		if n := len(w.srv.Messages("ada")); n != 500 {
			t.Errorf("the server got %d messages", n)
		}
	})
}

func TestCloseRefusesCodesThatAreNotForApplications(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		for _, code := range []wsnotify.StatusCode{0, 999, 1001, 1005, 1006, 1011, 2999, 5000, -1} {
			err := w.c.CloseWith(w.Context(), code, "")
			if want := fmt.Sprintf("wsnotify: the close code %d is not for applications; it must be 1000 or 3000 to 4999", code); err == nil || err.Error() != want {
				t.Errorf("code %d: %v", code, err)
			}
		}
		for reason, want := range map[string]string{
			strings.Repeat("x", 124): "wsnotify: the close reason has 124 bytes; it must have at most 123",
			"\xff":                   `wsnotify: the close reason "\xff" is not UTF-8, as RFC 6455, section 5.5.1, wants it`,
		} {
			if err := w.c.CloseWith(w.Context(), 1000, reason); err == nil || err.Error() != want {
				t.Errorf("reason %q: %v", reason, err)
			}
		}
		if !w.c.IsConnected() {
			t.Error("a refused Close changed something")
		}
		for _, code := range []wsnotify.StatusCode{1000, 3000, 4999} {
			w.must(w.c.CloseWith(w.Context(), code, strings.Repeat("é", 61)+"x"))
			w.connect()
		}
		if codes := w.srv.CloseCodes(); !slices.Equal(codes, []int{1000, 3000, 4999}) {
			t.Errorf("the server got the close codes %v", codes)
		}
	})
}

func TestConcurrentCloseCallsAgree(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.srv.AnswerClose(false)
		results := make(chan error, 10)
		for range 10 {
			go func() { results <- w.c.Disconnect() }()
		}
		for range 10 {
			if <-results == nil {
				t.Error("one of them returned nil")
			}
		}
		if codes := w.srv.CloseCodes(); len(codes) != 1 {
			t.Errorf("the server got the close codes %v", codes)
		}
	})
}

func TestCloseTimeoutNegativeDoesNotWait(t *testing.T) {
	inBubble(t, wsnotify.Config{CloseTimeout: -1}, func(w *world) {
		w.connect()
		w.c.Disconnect()
		if d := time.Since(w.start); d != 0 {
			t.Errorf("closed after %v", d)
		}
		synctest.Wait()
		if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != 1000 {
			t.Errorf("the server got the close codes %v", codes)
		}
	})
}

// Reading is not possible any more once close has begun, so nothing is lost
// that a callback could still have seen.
func TestDisconnectWithAFullInbox(t *testing.T) {
	block := make(chan struct{})
	got := 0
	inBubble(t, wsnotify.Config{
		Inbox:     wsnotify.Inbox{Messages: 2},
		OnMessage: func(wsnotify.Message) { got++; <-block },
	}, func(w *world) {
		block = make(chan struct{})
		conn := w.connect()
		for range 10 {
			w.must(conn.SendText("{}"))
		}
		synctest.Wait()
		w.must(w.c.Disconnect())
		if d := time.Since(w.start); d != 0 {
			t.Errorf("Disconnect took %v", d)
		}
		close(block)
		<-w.c.Done()
		if got != 3 { // one more than the inbox holds was read from the socket
			t.Errorf("%d messages were delivered", got)
		}
	})
}

// Those who call while it closes get how that went; later there is nothing to close.
func TestLaterDisconnectHasNothingToClose(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.srv.AnswerClose(false)
		if w.c.Disconnect() == nil {
			t.Error("the first is nil, though the peer did not answer")
		}
		w.must(w.c.Disconnect())

		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		w.wantErr(w.c.Run(ctx, w.srv.URL(), "ada"), context.DeadlineExceeded)
		w.must(w.c.Disconnect())
	})
}

func TestNegativeCloseTimeoutIsNoError(t *testing.T) {
	for name, fault := range map[string]func(*world, *wsnotifytest.Conn){
		"well":          func(*world, *wsnotifytest.Conn) {},
		"no answer":     func(w *world, _ *wsnotifytest.Conn) { w.srv.AnswerClose(false) },
		"does not read": func(_ *world, conn *wsnotifytest.Conn) { conn.StopReading(true) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{CloseTimeout: -1}, func(w *world) {
				fault(w, w.connect())
				w.must(w.c.Disconnect())
			})
		})
	}
}

func TestCloseWhileAConnectTakesOver(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.srv.AnswerClose(false)
		taken := make(chan error, 1)
		go func() { taken <- w.c.Connect(bg, w.srv.URL(), "bob") }()
		w.pass(time.Second)
		if err := w.c.Disconnect(); err == nil || !strings.Contains(err.Error(), "did not answer") {
			t.Errorf("the peer did not answer, and Disconnect says %v", err)
		}
		w.wantErr(<-taken, wsnotify.ErrClosed)
		w.must(w.c.Disconnect())
	})
}

func TestOldCloseLeavesTheCounterOfALaterRunAlone(t *testing.T) {
	dials := 0
	inBubble(t, wsnotify.Config{BeforeDial: func(context.Context, *wsnotify.DialRequest) error {
		if dials++; dials > 1 {
			return errors.New("no")
		}
		return nil
	}}, func(w *world) {
		dials = 0
		w.connect()
		w.srv.AnswerClose(false)
		ctx, cancel := context.WithTimeout(bg, 2*time.Second)
		defer cancel()
		go w.c.CloseWith(ctx, 1000, "")
		synctest.Wait()
		go w.c.Connect(bg, w.srv.URL(), "bob")
		w.pass(3 * time.Second)
		if s := w.c.Status(); s.ReconnectAttempts != 1 || s.NextAttempt.IsZero() {
			t.Errorf("it waits for attempt 1: %+v", s)
		}
	})
}

// ctx bounds Close also while the last frames leave of a connection that ends by
// itself, or by Reconnect; and so does CloseTimeout.
func TestCloseContextLimitsTheGraceOfAnEarlierEnd(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second / 5, time.Minute} {
		for name, end := range map[string]func(*world, *wsnotifytest.Conn){
			"close frame": func(w *world, conn *wsnotifytest.Conn) { w.must(conn.CloseFrame(1001, "")) },
			"violation":   func(w *world, conn *wsnotifytest.Conn) { w.must(conn.WriteRaw([]byte{0x83, 0})) },
			"Reconnect":   func(w *world, conn *wsnotifytest.Conn) { go w.c.Reconnect() },
		} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, wsnotify.Config{CloseTimeout: timeout}, func(w *world) {
					w.net.Buffer(1 << 10)
					conn := w.connect()
					conn.StopReading(true)
					w.srv.AnswerClose(false)
					for range 4 {
						w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 8<<10)))
					}
					synctest.Wait()
					end(w, conn)
					synctest.Wait()
					if w.c.ReadyState() != wsnotify.Closed {
						t.Fatalf("it is %v", w.c.ReadyState())
					}
					ctx, want := bg, timeout
					if timeout > time.Second {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(bg, 10*time.Millisecond)
						defer cancel()
						want = 10 * time.Millisecond
					}
					start := time.Now()
					w.must(w.c.CloseWith(ctx, 1000, ""))
					if d := time.Since(start); d > want {
						t.Errorf("closed after %v and not %v", d, want)
					}
				})
			})
		}
	}
}

// A Close without any time still sends its close frame, if the socket takes it.
func TestCloseWithAnEndedContextSaysGoodBye(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		ctx, cancel := context.WithCancel(bg)
		cancel()
		w.c.CloseWith(ctx, 4001, "")
		synctest.Wait()
		if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != 4001 || time.Since(w.start) != 0 {
			t.Errorf("the server got the close codes %v after %v", codes, time.Since(w.start))
		}
	})
}

// A Connect that takes over waits for the end of the one before, but no longer than its own ctx, or that of a
// CloseWith, allows.
func TestEndOfAConnectThatWaitsForTheOneBefore(t *testing.T) {
	inBubble(t, wsnotify.Config{CloseTimeout: time.Minute}, func(w *world) {
		w.connect()
		w.srv.AnswerClose(false)
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		w.wantErr(w.c.Connect(ctx, w.srv.URL(), "bob"), context.DeadlineExceeded)
		w.expect("0s CONNECTING", "0s OPEN", "0s open 1", "0s CLOSING", "1s CLOSED", `1s close 1 code=1006 reason="" clean=false again=false`)

		w.srv.AnswerClose(true)
		w.connect()
		w.srv.AnswerClose(false)
		taken := make(chan error, 1)
		go func() { taken <- w.c.Connect(w.Context(), w.srv.URL(), "bob") }()
		synctest.Wait()
		if err := w.drainWithin(time.Second); err == nil || !strings.Contains(err.Error(), "did not answer the close frame") {
			t.Errorf("Drain: %v", err)
		}
		w.wantErr(<-taken, wsnotify.ErrClosed)
		w.expect("1s CONNECTING", "1s OPEN", "1s open 2", "1s CLOSING", "2.1s CLOSED", `2.1s close 2 code=1006 reason="" clean=false again=false`)

		w.srv.AnswerClose(true)
		w.connect()
		w.srv.AnswerClose(false)
		go func() { taken <- w.c.Connect(w.Context(), w.srv.URL(), "bob") }()
		synctest.Wait()
		short, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		if err := w.c.CloseWith(short, 1000, ""); err == nil || !strings.Contains(err.Error(), "did not answer the close frame") {
			t.Errorf("CloseWith: %v", err)
		}
		w.wantErr(<-taken, wsnotify.ErrClosed)
		w.expect("2.1s CONNECTING", "2.1s OPEN", "2.1s open 3", "2.1s CLOSING", "3.1s CLOSED", `3.1s close 3 code=1006 reason="" clean=false again=false`)
	})
}
