package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// slowWork is a Config whose callback works for 300 ms on each message, and then
// acknowledges it.
func slowWork(w **world) wsnotify.Config {
	return wsnotify.Config{OnMessage: func(m wsnotify.Message) {
		time.Sleep(300 * time.Millisecond)
		if err := (*w).c.Enqueue(wsnotify.MessageText, append([]byte("done "), m.Data...)); err != nil {
			(*w).note("enqueue: %s", kind(err))
		}
	}}
}

// whileBusy runs f while the callback of slowWork works on a first message.
func whileBusy(t *testing.T, f func(w *world, conn *wsnotifytest.Conn)) {
	t.Helper()
	var w *world
	inBubble(t, slowWork(&w), func(world *world) {
		w = world
		conn := w.connect()
		w.must(conn.SendBinary([]byte("1")))
		synctest.Wait()
		f(w, conn)
	})
}

func (w *world) drainWithin(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return w.c.Drain(ctx)
}

// wantLeft checks the error of a drain that did not get ready.
func (w *world) wantLeft(err, why error, what string) {
	w.Helper()
	if why != nil && !errors.Is(err, why) || !strings.Contains(fmt.Sprint(err), what) {
		w.Errorf("the error is %v; it should be for %q and say %q", err, why, what)
	}
}

func TestDrainLetsHandlersFinish(t *testing.T) {
	for name, drain := range map[string]func(*world, context.CancelFunc, <-chan error) error{
		"Drain": func(w *world, _ context.CancelFunc, ran <-chan error) error {
			w.must(w.drainWithin(10 * time.Second))
			return <-ran
		},
		"the ctx of Run": func(w *world, cancel context.CancelFunc, ran <-chan error) error {
			cancel()
			if err := <-ran; err != context.Canceled {
				return fmt.Errorf("Run: %w", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			cfg := slowWork(&w)
			cfg.DrainTimeout = 10 * time.Second
			inBubble(t, cfg, func(world *world) {
				w = world
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				ran := w.running(ctx)
				conn := w.conn()
				for i := range 3 {
					w.must(conn.SendBinary(fmt.Append(nil, i)))
				}
				synctest.Wait()
				w.must(drain(w, cancel, ran))
				if d := time.Since(w.start); d != 900*time.Millisecond {
					t.Errorf("drained after %v", d)
				}
				if got := fmt.Sprint(w.srv.Messages("ada")); got != "[done 0 done 1 done 2]" {
					t.Errorf("the server got %s", got)
				}
				if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != 1000 {
					t.Errorf("the server got the close codes %v", codes)
				}
			})
		})
	}
}

// What comes meanwhile is handled, too, and what others send is sent.
func TestDrainGoesOnWithWhatComes(t *testing.T) {
	whileBusy(t, func(w *world, conn *wsnotifytest.Conn) {
		drained := make(chan error, 1)
		go func() { drained <- w.drainWithin(time.Minute) }()
		w.pass(100 * time.Millisecond)
		if !w.c.IsConnected() {
			t.Errorf("it is %v while it drains", w.c.ReadyState())
		}
		w.wantErr(w.c.Reconnect(), wsnotify.ErrClosed)
		w.must(conn.SendBinary([]byte("2")))
		w.must(w.c.SendMessage(bg, "hello"))
		if _, err := w.c.Ping(bg); err != nil {
			t.Errorf("Ping: %v", err)
		}
		w.must(<-drained)
		if got := fmt.Sprint(w.srv.Messages("ada")); got != "[hello done 1 done 2]" {
			t.Errorf("the server got %s", got)
		}
		w.wantErr(w.c.Enqueue(wsnotify.MessageText, nil), wsnotify.ErrClosed)
	})
}

// The body of a loop is a callback.
func TestDrainWaitsForLoops(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		seq := w.c.Messages(w.Context())
		var errs []error
		go func() {
			for range seq {
				time.Sleep(time.Second)
				errs = append(errs, w.c.SendMessage(bg, "done"))
			}
		}()
		w.must(conn.SendBinary([]byte("1")))
		w.must(conn.SendBinary([]byte("2")))
		synctest.Wait()
		w.must(w.drainWithin(time.Minute))
		synctest.Wait()
		if fmt.Sprint(errs) != "[<nil> <nil>]" || time.Since(w.start) != 2*time.Second {
			t.Errorf("%v after %v", errs, time.Since(w.start))
		}
	})
}

// A loop that is left in the middle of its body has nothing to do any more.
func TestDrainDoesNotWaitForALoopThatWasLeft(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		seq := w.c.Messages(w.Context())
		w.must(conn.SendBinary([]byte("1")))
		for range seq {
			break
		}
		w.must(w.drainWithin(time.Minute))
		if d := time.Since(w.start); d != 0 {
			t.Errorf("drained after %v", d)
		}
	})
}

func TestDrainWaitsForTheOutbox(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: -1}}, func(w *world) {
		w.net.Buffer(1 << 10)
		conn := w.connect()
		conn.StopReading(true)
		for range 4 {
			w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 8<<10)))
		}
		time.AfterFunc(3*time.Second, func() { conn.StopReading(false) })
		w.must(w.drainWithin(time.Minute))
		if n, d := w.srv.Received("ada"), time.Since(w.start); n != 4 || d != 3*time.Second {
			t.Errorf("%d messages after %v", n, d)
		}
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	for name, test := range map[string]struct {
		begin func(*world, *wsnotifytest.Conn)
		left  string
	}{
		"a callback is slow": {func(w *world, conn *wsnotifytest.Conn) {
			for i := range 3 {
				w.must(conn.SendBinary(fmt.Append(nil, i)))
			}
		}, "with 3 messages not handled:"},
		"the peer never stops sending": {func(w *world, conn *wsnotifytest.Conn) {
			go func() {
				for conn.SendBinary([]byte("more")) == nil {
					time.Sleep(100 * time.Millisecond)
				}
			}()
		}, "not handled:"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{OnMessage: func(m wsnotify.Message) {
				time.Sleep(20 * time.Second)
			}}, func(w *world) {
				conn := w.connect()
				test.begin(w, conn)
				synctest.Wait()
				err := w.drainWithin(5 * time.Second)
				w.wantLeft(err, context.DeadlineExceeded, test.left)
				if d := time.Since(w.start); d != 5*time.Second {
					t.Errorf("it took %v", d)
				}
				if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != 1000 {
					t.Errorf("the server got the close codes %v", codes)
				}
				w.must(w.c.Err())
				w.must(w.c.Drain(bg))
			})
		})
	}
}

func TestDrainSaysWhatWasNotSent(t *testing.T) {
	for _, run := range []bool{false, true} {
		t.Run(fmt.Sprint("Run=", run), func(t *testing.T) {
			inBubble(t, wsnotify.Config{DrainTimeout: 2 * time.Second, CloseTimeout: time.Second}, func(w *world) {
				w.net.Buffer(1 << 10)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				ran := w.running(ctx)
				w.conn().StopReading(true)
				for range 4 {
					w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 8<<10)))
				}
				synctest.Wait()
				limit := 3 * time.Second
				drained := make(chan error, 1)
				if run {
					cancel()
				} else {
					drained <- w.drainWithin(2 * time.Second)
					limit = 2100 * time.Millisecond
				}
				errs := []error{<-ran}
				if !run {
					errs = append(errs, <-drained)
				}
				for _, err := range errs {
					var lost *wsnotify.DrainError
					if !errors.As(err, &lost) || lost.Unhandled != 0 || lost.Unsent != 3 || lost.Unconfirmed != 1 {
						t.Errorf("the error is %v", err)
					}
					if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) == run {
						t.Errorf("the classes of %v", err)
					}
					w.wantLeft(err, err, "with 3 messages not sent and 1 message not confirmed: context ")
				}
				if d := time.Since(w.start); d > limit {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}

// A lost connection ends it: nothing is dialled.
func TestDrainEndsWithTheConnection(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*wsnotifytest.Conn)
		left bool
		says string
	}{
		"lost, with work":    {func(c *wsnotifytest.Conn) { c.Reset() }, true, "connection was lost"},
		"closed, with work":  {func(c *wsnotifytest.Conn) { c.Close(1001, "") }, true, "1001 (going away)"},
		"closed, no message": {func(c *wsnotifytest.Conn) { c.Close(1001, "") }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			inBubble(t, wsnotify.Config{
				OnOpen:    func(wsnotify.OpenEvent) { time.Sleep(300 * time.Millisecond) },
				OnMessage: func(wsnotify.Message) { time.Sleep(300 * time.Millisecond) },
			}, func(world *world) {
				w = world
				conn := w.connect()
				if test.left {
					w.must(conn.SendBinary([]byte("1")))
					w.must(conn.SendBinary([]byte("2")))
				}
				synctest.Wait()
				drained := make(chan error, 1)
				go func() { drained <- w.drainWithin(time.Minute) }()
				w.pass(100 * time.Millisecond)
				test.end(conn)
				err := <-drained
				if d := time.Since(w.start); d != 100*time.Millisecond {
					t.Errorf("it took %v", d)
				}
				if test.left && (err == nil || !strings.Contains(err.Error(), "2 messages not handled") || !strings.Contains(err.Error(), test.says)) {
					t.Errorf("Drain: %v", err)
				}
				w.pass(time.Minute)
				if w.net.Dials() != 1 || w.c.Err() != nil {
					t.Errorf("%d dials, %v", w.net.Dials(), w.c.Err())
				}
				log := strings.Join(w.journal(), "\n")
				if strings.Contains(log, "again=true") || strings.Contains(log, "reconnect") || strings.Contains(log, "give up") {
					t.Error(log)
				}
			})
		})
	}
}

// Without a connection there is nothing that Drain could wait for.
func TestDrainWithoutAConnection(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.must(w.c.Drain(bg)) // before Connect
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("early")))
		w.must(w.c.Drain(bg))
		w.net.Hang(true)
		connected := make(chan error, 1)
		go func() { connected <- w.c.Connect(bg, w.srv.URL(), "ada") }()
		w.pass(time.Second)
		w.wantLeft(w.c.Drain(bg), wsnotify.ErrNotConnected, "with 1 message not sent:")
		w.wantErr(<-connected, wsnotify.ErrClosed)
		w.net.Hang(false)
		w.must(w.c.Drain(bg)) // after the end
		w.expect("0s CONNECTING", "1s CLOSING", "1s CLOSED", `1s undelivered "early": closed`)

		w.connect().Drop()
		w.pass(time.Second)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("late")))
		w.wantLeft(w.c.Drain(bg), wsnotify.ErrNotConnected, "with 1 message not sent:")
		if d := time.Since(w.start); d != 2*time.Second || !w.c.Status().NextAttempt.IsZero() {
			t.Errorf("after %v: %+v", d, w.c.Status())
		}
	})
}

// In a callback it would wait for the callback: an error at once, which ends nothing.
func TestDrainInsideACallback(t *testing.T) {
	for name, set := range map[string]func(cfg *wsnotify.Config, drain func()){
		"OnMessage":      func(cfg *wsnotify.Config, drain func()) { cfg.OnMessage = func(wsnotify.Message) { drain() } },
		"OnNotification": func(cfg *wsnotify.Config, drain func()) { cfg.OnNotification = func(wsnotify.Notification) { drain() } },
		"OnOpen":         func(cfg *wsnotify.Config, drain func()) { cfg.OnOpen = func(wsnotify.OpenEvent) { drain() } },
		"OnMessage, deep in it": func(cfg *wsnotify.Config, drain func()) {
			var deep func(levels int)
			deep = func(levels int) {
				if levels == 0 {
					drain()
				} else {
					deep(levels - 1)
				}
			}
			cfg.OnMessage = func(wsnotify.Message) { deep(300) }
		},
		"a loop": nil,
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			var errs []error
			drain := func() { errs = append(errs, w.c.Drain(bg)) }
			var cfg wsnotify.Config
			if set != nil {
				set(&cfg, drain)
			}
			inBubble(t, cfg, func(world *world) {
				w = world
				if set == nil {
					messages := w.c.Messages(bg)
					go func() {
						for range messages {
							drain()
						}
					}()
				}
				w.must(w.connect().Notify("a", "b"))
				w.pass(time.Second)
				if len(errs) != 1 || errs[0] == nil || !strings.Contains(errs[0].Error(), "Drain in a callback") || !w.c.IsConnected() {
					t.Errorf("%v; connected: %v", errs, w.c.IsConnected())
				}
				w.must(w.c.Drain(bg))
			})
		})
	}
}

// Without a connection it has no callback to wait for, and ends the client there, too.
func TestDrainInACallbackWithoutAConnection(t *testing.T) {
	var w *world
	errs := make(chan error, 1)
	inBubble(t, wsnotify.Config{OnReconnecting: func(wsnotify.ReconnectEvent) {
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("late")))
		errs <- w.c.Drain(bg)
	}}, func(world *world) {
		w = world
		conn := w.connect()
		w.srv.Stop()
		w.pass(time.Second)
		conn.Drop()
		w.wantLeft(<-errs, wsnotify.ErrNotConnected, "with 1 message not sent: WebSocket is not connected")
		<-w.c.Done()
		if d := time.Since(w.start); d != time.Second || w.c.Err() != nil {
			t.Errorf("over after %v: %v", d, w.c.Err())
		}
	})
}

// A callback of one client may drain another, which does not wait for it.
func TestDrainInACallbackOfAnotherClient(t *testing.T) {
	var other *wsnotify.Client
	drained := make(chan error, 1)
	inBubble(t, wsnotify.Config{OnMessage: func(wsnotify.Message) { drained <- other.Drain(bg) }}, func(w *world) {
		other = wsnotify.New(wsnotify.Config{HTTPClient: w.net.HTTPClient()})
		w.must(other.Connect(bg, w.srv.URL(), "bob"))
		synctest.Wait() // its callbacks have returned
		w.must(w.connect().SendText("x"))
		w.must(<-drained)
		<-other.Done()
	})
}

func TestDrainAndDisconnectAtOnce(t *testing.T) {
	whileBusy(t, func(w *world, _ *wsnotifytest.Conn) {
		drained := make(chan error, 2)
		for range 2 {
			go func() { drained <- w.drainWithin(time.Minute) }()
		}
		w.pass(100 * time.Millisecond)
		w.must(w.c.CloseWith(bg, 4001, "now"))
		for range 2 {
			w.wantLeft(<-drained, wsnotify.ErrClosed, "with 1 message not handled:")
		}
		if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != 4001 {
			t.Errorf("the server got the close codes %v", codes)
		}
	})
}

// Each of two waits for its own ctx, and the first that ends ends both.
func TestTwoDrains(t *testing.T) {
	whileBusy(t, func(w *world, _ *wsnotifytest.Conn) {
		drained := make(chan error, 3)
		for _, d := range []time.Duration{time.Minute, time.Hour} {
			go func() { drained <- w.drainWithin(d) }()
		}
		w.must(<-drained)
		w.must(<-drained)
		w.connect()
		w.must(w.conn().SendBinary([]byte("2")))
		synctest.Wait()
		for _, d := range []time.Duration{time.Minute, 100 * time.Millisecond} {
			go func() { drained <- w.drainWithin(d) }()
		}
		w.wantErr(<-drained, context.DeadlineExceeded)
		w.wantErr(<-drained, context.DeadlineExceeded)
		if d := time.Since(w.start); d != 400*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}

func TestDrainIsEndedByALaterConnect(t *testing.T) {
	var w *world
	inBubble(t, slowWork(&w), func(world *world) {
		w = world
		w.must(w.connect().SendBinary([]byte("1")))
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- w.drainWithin(time.Minute) }()
		synctest.Wait()
		w.must(w.c.Connect(bg, w.srv.URL(), "bob"))
		w.wantLeft(<-drained, wsnotify.ErrClosed, "1 message not handled")
		if !w.c.IsConnected() {
			t.Error("the new connection was drained, too")
		}
	})
}

// Run ends at once when its ctx ends while there is no connection.
func TestRunDrainsNoConnectionThatIsNotThere(t *testing.T) {
	inBubble(t, wsnotify.Config{DrainTimeout: time.Minute}, func(w *world) {
		w.srv.Stop()
		ctx, cancel := context.WithTimeout(bg, 15*time.Second)
		defer cancel()
		w.wantErr(w.c.Run(ctx, w.srv.URL(), "ada"), context.DeadlineExceeded)
		if d := time.Since(w.start); d != 15*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// At random moments: what was handled before the end was acknowledged, and the
// error says whether that was everything.
func TestDrainAtRandomMoments(t *testing.T) {
	for ms := range 40 {
		var handled atomic.Int32
		var w *world
		inBubble(t, wsnotify.Config{
			BackOff: func() wsnotify.BackOff { return &backoff.StopBackOff{} },
			OnMessage: func(m wsnotify.Message) {
				time.Sleep(time.Duration(m.Data[0]) * time.Millisecond)
				if w.c.Enqueue(wsnotify.MessageBinary, m.Data) == nil {
					handled.Add(1)
				}
			},
		}, func(world *world) {
			w = world
			conn := w.connect()
			go func() {
				for i := range byte(10) {
					time.Sleep(time.Duration(i) * time.Millisecond)
					conn.SendBinary([]byte{10 - i})
				}
			}()
			w.pass(time.Duration(ms) * time.Millisecond)
			err := w.drainWithin(20*time.Millisecond + time.Millisecond/2) // never the moment at which a handler ends
			<-w.c.Done()
			in, sent := int(w.c.Status().MessagesIn), w.srv.Received("ada")
			if sent != int(handled.Load()) || (err == nil) != (in == sent) {
				t.Errorf("from %d ms on: %d messages, %d handled, %d sent: %v", ms, in, handled.Load(), sent, err)
			}
		})
	}
}

// A Run that lost something says so, however it ends, and nothing else does.
func TestRunSaysWhatWasLost(t *testing.T) {
	type lost struct{ unhandled, unsent, unconfirmed int }
	enqueue := func(w *world) { w.must(w.c.Enqueue(wsnotify.MessageText, []byte("x"))) }
	for name, test := range map[string]struct {
		cfg   wsnotify.Config
		begin func(*world) // beside Run, before it has a connection
		end   func(w *world, cancel func())
		lost  lost
		why   error // that the error matches; nil: there is none
	}{
		"nothing, by Disconnect": {end: func(w *world, _ func()) { w.must(w.c.Disconnect()) }},
		"nothing, by ctx":        {end: func(_ *world, cancel func()) { cancel() }, why: context.Canceled},
		"messages in the inbox, by ctx": {
			cfg: wsnotify.Config{OnMessage: func(wsnotify.Message) { time.Sleep(time.Minute) }},
			end: func(w *world, cancel func()) {
				for range 3 {
					w.must(w.conn().SendBinary([]byte("1")))
				}
				synctest.Wait()
				cancel()
			},
			lost: lost{unhandled: 3},
		},
		"messages in the inbox, by Disconnect": {
			cfg: wsnotify.Config{OnMessage: func(wsnotify.Message) { time.Sleep(time.Minute) }},
			end: func(w *world, _ func()) {
				w.must(w.conn().SendBinary([]byte("1")))
				synctest.Wait()
				w.must(w.c.Disconnect())
			},
			lost: lost{unhandled: 1}, why: wsnotify.ErrClosed,
		},
		"messages of the outbox, before a connection": {
			begin: func(w *world) { w.net.Hang(true); enqueue(w); enqueue(w) },
			end:   func(_ *world, cancel func()) { cancel() },
			lost:  lost{unsent: 2},
		},
		"messages of the outbox, by giving up": {
			cfg:   wsnotify.Config{BackOff: never},
			begin: func(w *world) { w.srv.Refuse(-1, 503, nil, ""); enqueue(w) },
			end:   func(*world, func()) {},
			lost:  lost{unsent: 1}, why: &wsnotify.GiveUpError{},
		},
		"a message that was not confirmed": {
			cfg:  wsnotify.Config{Outbox: wsnotify.Outbox{ConfirmID: func(m wsnotify.Message) string { return string(m.Data) }}},
			end:  func(w *world, _ func()) { enqueue(w); synctest.Wait(); w.must(w.c.Disconnect()) },
			lost: lost{unconfirmed: 1}, why: wsnotify.ErrClosed,
		},
		"a message that a later Connect leaves": {
			begin: func(w *world) { w.srv.Refuse(1, 503, nil, ""); enqueue(w) },
			end:   func(w *world, _ func()) { w.must(w.c.Connect(bg, w.srv.URL(), "bob")) },
			lost:  lost{unsent: 1}, why: wsnotify.ErrClosed,
		},
		"a message that stays in a store": {
			cfg:   wsnotify.Config{Outbox: wsnotify.Outbox{Store: newShelf(t)}},
			begin: func(w *world) { w.net.Hang(true); enqueue(w) },
			end:   func(w *world, _ func()) { w.must(w.c.Disconnect()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, test.cfg, func(w *world) {
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				if test.begin != nil {
					test.begin(w)
				}
				ran := make(chan error, 1)
				go func() { ran <- w.c.Run(ctx, w.srv.URL(), "ada") }()
				synctest.Wait()
				test.end(w, cancel)
				err := <-ran
				var got *wsnotify.DrainError
				if errors.As(err, &got) != (test.lost != lost{}) {
					t.Fatalf("Run: %v", err)
				}
				if got != nil && (lost{got.Unhandled, got.Unsent, got.Unconfirmed} != test.lost || errors.Is(err, context.Canceled)) {
					t.Errorf("Run: %v, expected %+v", err, test.lost)
				}
				var gaveUp *wsnotify.GiveUpError
				switch _, wantGiveUp := test.why.(*wsnotify.GiveUpError); {
				case wantGiveUp:
					if !errors.As(err, &gaveUp) {
						t.Errorf("Run: %v", err)
					}
				case test.why != nil && !errors.Is(err, test.why), test.why == nil && got == nil && err != nil:
					t.Errorf("Run: %v, expected %v", err, test.why)
				}
				if latest := w.c.Err(); latest != err && test.why != wsnotify.ErrClosed {
					t.Errorf("Err is %v, and Run returned %v", latest, err)
				}
				w.must(w.c.Disconnect())
			})
		})
	}
}

// Whoever ends the client in a callback, or in the body of a loop, has not lost
// the message at hand.
func TestRunThatACallbackEnds(t *testing.T) {
	for _, loop := range []bool{false, true} {
		for _, behind := range []int{0, 2} {
			t.Run(fmt.Sprintf("loop=%v, %d behind", loop, behind), func(t *testing.T) {
				var w *world
				cfg := wsnotify.Config{}
				end := func() { w.must(w.c.Disconnect()) }
				if !loop {
					cfg.OnMessage = func(wsnotify.Message) { end() }
				}
				inBubble(t, cfg, func(world *world) {
					w = world
					if loop {
						seq := w.c.Messages(bg)
						go func() {
							for range seq {
								end()
								return
							}
						}()
					}
					ran := make(chan error, 1)
					go func() { ran <- w.c.Run(bg, w.srv.URL(), "ada") }()
					synctest.Wait()
					conn := w.conn()
					for range 1 + behind {
						go conn.SendBinary([]byte("1"))
					}
					err := <-ran
					var lost *wsnotify.DrainError
					if errors.As(err, &lost); behind == 0 && err != nil || lost != nil && lost.Unhandled > behind {
						t.Errorf("Run: %v", err)
					}
				})
			})
		}
	}
}

// When DrainTimeout has passed, Run closes as it does without one.
func TestDrainTimeoutPasses(t *testing.T) {
	inBubble(t, wsnotify.Config{DrainTimeout: 5 * time.Second, OnMessage: func(wsnotify.Message) { time.Sleep(time.Minute) }}, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		defer cancel()
		ran := w.running(ctx)
		w.must(w.conn().SendBinary(nil))
		w.pass(0)
		cancel()
		w.wantLeft(<-ran, nil, "wsnotify: the client was closed before it was drained, with 1 message not handled: context canceled")
		if codes, d := w.srv.CloseCodes(), time.Since(w.start); len(codes) != 1 || codes[0] != 1000 || d != 5*time.Second {
			t.Errorf("the server got the close codes %v after %v", codes, d)
		}
	})
}

// A Run that drains does not reconnect when its connection is lost.
func TestRunWhoseConnectionIsLostInADrain(t *testing.T) {
	inBubble(t, wsnotify.Config{DrainTimeout: time.Hour, OnMessage: func(wsnotify.Message) { time.Sleep(time.Minute) }}, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		defer cancel()
		ran := w.running(ctx)
		conn := w.conn()
		w.must(conn.SendBinary(nil))
		w.pass(0)
		cancel()
		w.pass(time.Second)
		w.wantErr(w.c.Reconnect(), wsnotify.ErrClosed)
		conn.Drop()
		w.wantLeft(<-ran, nil, "with 1 message not handled: context canceled")
		if d := time.Since(w.start); d != time.Second || w.net.Dials() != 1 {
			t.Errorf("after %v and %d dials", d, w.net.Dials())
		}
	})
}

// A client that has given up is closed by whatever ends one: its counter begins anew.
func TestEndsOfAClientThatHasGivenUp(t *testing.T) {
	for name, end := range map[string]func(*wsnotify.Client) error{
		"Drain": func(c *wsnotify.Client) error { return c.Drain(bg) },
		"Close": (*wsnotify.Client).Close,
	} {
		inBubble(t, wsnotify.Config{}, func(w *world) {
			w.srv.Stop()
			w.c.Connect(w.Context(), w.srv.URL(), "ada")
			before := w.c.ReconnectAttempts()
			w.must(end(w.c))
			if after := w.c.ReconnectAttempts(); before != 6 || after != 0 {
				t.Errorf("%s: ReconnectAttempts was %d, and is %d", name, before, after)
			}
		})
	}
}

// A connection that is lost while it drains ends within CloseTimeout, as any end does.
func TestCloseTimeoutOfADrain(t *testing.T) {
	inBubble(t, wsnotify.Config{CloseTimeout: 200 * time.Millisecond, Heartbeat: wsnotify.Heartbeat{Interval: -1}}, func(w *world) {
		w.net.Buffer(1 << 10)
		conn := w.connect()
		conn.StopReading(true)
		w.srv.AnswerClose(false)
		for range 4 {
			w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 8<<10)))
		}
		drained := make(chan error, 1)
		go func() { drained <- w.c.Drain(w.Context()) }()
		w.pass(time.Second)
		w.must(conn.CloseFrame(1001, ""))
		w.wantLeft(<-drained, wsnotify.CloseError{Code: 1001}, "with 3 messages not sent and 1 message not confirmed")
		if d := time.Since(w.start); d != 1200*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}
