package wsnotify_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestEndedContextChangesNothing(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.journal()
		ctx, cancel := context.WithCancel(bg)
		cancel()
		w.wantErr(w.c.Connect(ctx, w.srv.URL(), "ada"), context.Canceled)
		w.wantErr(w.c.Run(ctx, w.srv.URL(), "ada"), context.Canceled)
		w.must(w.c.SendMessage(bg, "still here"))
		w.expect()
		w.must(w.c.Err())
	})
}

// The error of a ctx that ends says why there was no connection until then.
func TestContextErrorSaysWhyThereWasNoConnection(t *testing.T) {
	for name, test := range map[string]struct {
		fault func(*world)
		cause func(error) bool
		says  []string
	}{
		"refused": {func(w *world) { w.net.Refuse(true) },
			func(err error) bool { var op *net.OpError; return errors.As(err, &op) }, []string{"refused"}},
		"503": {func(w *world) { w.srv.Refuse(-1, 503, nil, "") },
			func(err error) bool { var h *wsnotify.HandshakeError; return errors.As(err, &h) }, []string{"503"}},
		"the first attempt hangs": {func(w *world) { w.net.Hang(true) },
			func(error) bool { return true }, []string{"under way", `"dial"`}},
		"refused, and then it hangs": {func(w *world) {
			w.net.Refuse(true)
			time.AfterFunc(time.Second, func() { w.net.Refuse(false); w.net.Hang(true) })
		}, func(error) bool { return true }, []string{"refused", "under way"}},
	} {
		for _, stays := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, wsnotify.Config{BackOff: every(4 * time.Second), DialTimeout: -1}, func(w *world) {
					test.fault(w)
					ctx, cancel := context.WithTimeout(bg, 5*time.Second)
					defer cancel()
					begin := w.c.Connect
					if stays {
						begin = w.c.Run
					}
					err := begin(ctx, w.srv.URL(), "ada")
					w.wantErr(err, context.DeadlineExceeded)
					if !test.cause(err) || w.c.Err() != err {
						t.Errorf("%v; Err: %v", err, w.c.Err())
					}
					for _, s := range test.says {
						if !strings.Contains(err.Error(), s) {
							t.Errorf("%q does not say %s", err, s)
						}
					}
					if strings.Count(err.Error(), "wsnotify: ") != 1 {
						t.Errorf("%q", err)
					}
				})
			})
		}
	}
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

func TestReconnectWhileTheContextOfRunCloses(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		ctx, cancel := context.WithCancel(bg)
		go w.c.Run(ctx, w.srv.URL(), "ada")
		w.must(w.c.WaitFor(ctx, wsnotify.Open))
		w.srv.AnswerClose(false)
		cancel()
		w.wantErr(w.c.Reconnect(), wsnotify.ErrClosed)
		w.pass(time.Second)
		w.wantErr(w.c.Reconnect(), wsnotify.ErrClosed)
		w.pass(time.Minute)
		w.wantErr(w.c.Reconnect(), wsnotify.ErrClosed)
		if w.net.Dials() != 1 {
			t.Errorf("%d dials", w.net.Dials())
		}
	})
}

// A Connect whose ctx ends before it came to dial is the latest all the same.
func TestGaveUpIsOfTheLatestRun(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.Stop()
		w.c.Connect(bg, w.srv.URL(), "ada")
		if !w.c.Status().GaveUp {
			t.Error("it did not give up")
		}
		w.net.Hang(true)
		w.srv.Start()
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		w.c.Connect(endsWhenAsked{ctx, cancel}, w.srv.URL(), "ada")
		if s := w.c.Status(); s.GaveUp || s.ReconnectAttempts != 0 || s.LastFailure != nil {
			t.Errorf("%+v", s)
		}
	})
}

// endsWhenAsked is a context that ends once somebody has seen that it has not.
type endsWhenAsked struct {
	context.Context
	cancel func()
}

func (c endsWhenAsked) Err() error {
	defer c.cancel()
	return c.Context.Err()
}

func TestDoneWaitsForTheHooksOfEarlierRuns(t *testing.T) {
	var release chan struct{}
	n := 0
	inBubble(t, wsnotify.Config{BeforeDial: func(context.Context, *wsnotify.DialRequest) error {
		if n++; n == 1 {
			<-release
		}
		return nil
	}}, func(w *world) {
		release, n = make(chan struct{}), 0
		go w.c.Connect(bg, w.srv.URL(), "ada")
		synctest.Wait()
		w.must(w.c.Connect(bg, w.srv.URL(), "ada"))
		w.must(w.c.Disconnect())
		w.pass(time.Minute)
		if isDone(w.c) {
			t.Error("it is Done while a hook runs")
		}
		close(release)
		<-w.c.Done()
	})
}

func isDone(c *wsnotify.Client) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

func TestWaitForWhatIsNoState(t *testing.T) {
	for _, s := range []wsnotify.ReadyState{-1, 4} {
		err := wsnotify.New(wsnotify.Config{}).WaitFor(bg, s)
		if err == nil || !strings.Contains(err.Error(), s.String()) {
			t.Errorf("WaitFor(%v): %v", s, err)
		}
	}
}

// A policy of backoff/v4 with a MaxElapsedTime, which its own default has (15
// min), limits how long attempts fail. The time for which a connection
// was open before it was lost is no part of that.
func TestPolicyWithElapsedTimeSurvivesALongConnection(t *testing.T) {
	for name, test := range map[string]struct {
		stable time.Duration
		end    func(*wsnotify.Client, *wsnotifytest.Conn)
	}{
		"the server drops it":                  {0, func(_ *wsnotify.Client, conn *wsnotifytest.Conn) { conn.Drop() }},
		"the server drops it, StableAfter":     {time.Minute, func(_ *wsnotify.Client, conn *wsnotifytest.Conn) { conn.Drop() }},
		"Reconnect on a healthy connection":    {0, func(c *wsnotify.Client, _ *wsnotifytest.Conn) { c.Reconnect() }},
		"Reconnect, StableAfter":               {time.Minute, func(c *wsnotify.Client, _ *wsnotifytest.Conn) { c.Reconnect() }},
		"the server restarts, close with 1012": {0, func(_ *wsnotify.Client, conn *wsnotifytest.Conn) { conn.Close(1012, "") }},
		"the link falls silent":                {0, func(_ *wsnotify.Client, conn *wsnotifytest.Conn) { conn.BlackHole(true) }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{
				BackOff:     func() wsnotify.BackOff { return backoff.NewExponentialBackOff() },
				StableAfter: test.stable,
			}, func(w *world) {
				conn := w.connect()
				w.pass(16 * time.Minute) // all is well
				test.end(w.c, conn)
				w.pass(30 * time.Second)
				if w.c.Err() != nil || !w.c.IsConnected() {
					t.Errorf("30 s later it is %v: %v", w.c.ReadyState(), w.c.Err())
				}
			})
		})
	}
}

// A connection that did not last resets nothing, also not the policy's clock.
func TestPolicyWithElapsedTimeCountsConnectionsThatDoNotLast(t *testing.T) {
	inBubble(t, wsnotify.Config{
		BackOff:     func() wsnotify.BackOff { return backoff.NewExponentialBackOff() },
		StableAfter: time.Minute,
	}, func(w *world) {
		w.srv.OnConn(func(conn *wsnotifytest.Conn) {
			go func() { time.Sleep(30 * time.Second); conn.Drop() }()
		})
		w.must(w.c.Connect(bg, w.srv.URL(), "ada"))
		w.pass(17 * time.Minute)
		if !w.c.Status().GaveUp {
			t.Errorf("%+v", w.c.Status())
		}
		w.srv.OnConn(nil)
	})
}

// Every method that ends or begins something may be called where the client asks
// for a decision. It gets its answer, and so does the client.
func TestMethodsWhereTheClientAsks(t *testing.T) {
	var w *world
	for method, call := range map[string]func(context.Context) error{
		"Reconnect":  func(context.Context) error { return w.c.Reconnect() },
		"Disconnect": func(context.Context) error { return w.c.Disconnect() },
		"Close":      func(ctx context.Context) error { return w.c.CloseWith(ctx, 4000, "") },
		"Drain":      func(ctx context.Context) error { return w.c.Drain(ctx) },
		"Connect":    func(ctx context.Context) error { return w.c.Connect(ctx, w.srv.URL(), "ada") },
		"Run":        func(ctx context.Context) error { return w.c.Run(ctx, w.srv.URL(), "ada") },
		"Flush":      func(ctx context.Context) error { return w.c.Flush(ctx) },
		"WaitFor":    func(ctx context.Context) error { return w.c.WaitFor(ctx, wsnotify.Open) },
		"Ping":       func(ctx context.Context) error { _, err := w.c.Ping(ctx); return err },
	} {
		for place, set := range map[string]func(*wsnotify.Config, func()){
			"ShouldReconnect": func(cfg *wsnotify.Config, f func()) {
				cfg.ShouldReconnect = func(wsnotify.Failure) bool { f(); return true }
			},
			"NextBackOff": func(cfg *wsnotify.Config, f func()) {
				cfg.BackOff = func() wsnotify.BackOff { return &policy{next: func() time.Duration { f(); return time.Second }} }
			},
			"Reset": func(cfg *wsnotify.Config, f func()) {
				cfg.BackOff = func() wsnotify.BackOff { return &policy{reset: f, next: func() time.Duration { return time.Second }} }
			},
			"BackOff": func(cfg *wsnotify.Config, f func()) {
				cfg.BackOff = func() wsnotify.BackOff { f(); return backoff.NewConstantBackOff(time.Second) }
			},
			"BeforeDial": func(cfg *wsnotify.Config, f func()) {
				cfg.BeforeDial = func(context.Context, *wsnotify.DialRequest) error { f(); return nil }
			},
			"OnHandshake": func(cfg *wsnotify.Config, f func()) {
				cfg.OnHandshake = func(context.Context, *wsnotify.Handshake) error { f(); return nil }
			},
			"OnClose": func(cfg *wsnotify.Config, f func()) { cfg.OnClose = func(wsnotify.CloseEvent) { f() } },
		} {
			t.Run(method+" in "+place, func(t *testing.T) {
				armed, returned := false, make(chan error, 1)
				var cfg wsnotify.Config
				set(&cfg, func() {
					if !armed {
						return
					}
					armed = false
					ctx, cancel := context.WithTimeout(bg, 30*time.Second)
					defer cancel()
					returned <- call(ctx)
				})
				inBubble(t, cfg, func(world *world) {
					w, armed, returned = world, place == "BackOff", make(chan error, 1)
					w.must(w.c.Enqueue(wsnotify.MessageText, []byte("x")))
					go w.c.Connect(bg, w.srv.URL(), "ada")
					w.pass(0)
					armed = place != "BackOff"
					w.srv.DropAll()
					w.pass(time.Minute)
					select {
					case err := <-returned:
						t.Log(err)
					default:
						t.Errorf("it has not returned within a minute: %+v", w.c.Status())
					}
					w.must(w.c.Connect(bg, w.srv.URL(), "ada"))
				})
			})
		}
	}
}

// Reconnect overrules ShouldReconnect, since the network is known to be back.
func TestReconnectOverrulesShouldReconnect(t *testing.T) {
	var w *world
	inBubble(t, wsnotify.Config{ShouldReconnect: func(wsnotify.Failure) bool {
		w.must(w.c.Reconnect())
		return false
	}}, func(world *world) {
		w = world
		w.connect().Drop()
		w.pass(0)
		w.expect("0s CONNECTING", "0s OPEN", "0s open 1", "0s CLOSED",
			`0s close 1 code=1006 reason="" clean=false again=true`, "0s reconnect 1 in 0s", "0s CONNECTING", "0s OPEN", "0s open 2")
	})
}

// The client goes on without a policy that does not answer when it is closed.
func TestDisconnectWhileThePolicyBlocks(t *testing.T) {
	block := make(chan struct{})
	inBubble(t, wsnotify.Config{BackOff: func() wsnotify.BackOff {
		return &policy{next: func() time.Duration { <-block; return 0 }}
	}}, func(w *world) {
		block = make(chan struct{})
		w.connect().Drop()
		w.pass(time.Second)
		w.must(w.c.Disconnect())
		if isDone(w.c) {
			t.Error("it is Done while the policy is asked")
		}
		close(block)
		<-w.c.Done()
	})
}
