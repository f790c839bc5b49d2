package wsnotify_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
)

func TestConnectNotifyDisconnect(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.must(w.srv.Notify("ada", "mail", "3 new"))
		w.pass(time.Second)
		w.must(w.c.SendMessage(context.Background(), "hello"))
		w.must(w.c.Disconnect())
		w.expect(
			"0s CONNECTING", "0s OPEN", "0s open 1",
			"0s notification mail: 3 new",
			"1s CLOSING", "1s CLOSED",
			`1s close 1 code=1000 reason="" clean=true again=false`)
		if f := w.c.Status().LastFailure; describe(*f) != "open, local, code 1000" || f.Uptime != time.Second || f.Err != wsnotify.ErrClosed {
			t.Errorf("%+v", f)
		}
		if got := w.srv.Messages("ada"); len(got) != 1 || got[0] != "hello" {
			t.Errorf("the server got %q", got)
		}
		w.wantErr(w.c.SendMessage(context.Background(), "late"), wsnotify.ErrClosed)
	})
}

func TestDefaultPolicyIsSixReconnectsTenSecondsApart(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.journal()
		w.srv.Stop()
		<-w.c.Done()
		w.expect(
			"0s CLOSED", `0s close 1 code=1006 reason="" clean=false again=true`, "0s reconnect 1 in 10s",
			"10s CONNECTING", "10s CLOSED", "10s error dial", "10s reconnect 2 in 10s",
			"20s CONNECTING", "20s CLOSED", "20s error dial", "20s reconnect 3 in 10s",
			"30s CONNECTING", "30s CLOSED", "30s error dial", "30s reconnect 4 in 10s",
			"40s CONNECTING", "40s CLOSED", "40s error dial", "40s reconnect 5 in 10s",
			"50s CONNECTING", "50s CLOSED", "50s error dial", "50s reconnect 6 in 10s",
			"1m0s CONNECTING", "1m0s CLOSED", "1m0s error dial", "1m0s give up after 6")
	})
}

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

func TestConnectOnAConnectedClient(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		ran := w.running(context.Background())
		w.must(w.c.Connect(context.Background(), w.srv.URL(), "bob"))
		w.wantErr(<-ran, wsnotify.ErrClosed)
		if w.srv.MaxLive() != 1 || w.srv.Total() != 2 {
			t.Errorf("at most %d live, %d in total", w.srv.MaxLive(), w.srv.Total())
		}
		w.pass(time.Minute)
		w.must(w.c.Err())
		w.expect("0s CONNECTING", "0s OPEN", "0s open 1", "0s CLOSING", "0s CLOSED",
			`0s close 1 code=1000 reason="" clean=true again=false`,
			"0s CONNECTING", "0s OPEN", "0s open 2")
		if w.srv.Live() != 1 {
			t.Errorf("%d live connections", w.srv.Live())
		}
	})
}

// The old peer does not answer the close frame, and its connection breaks
// when the new one is long there.
func TestConnectDoesNotHearTheOldConnection(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		w.srv.AnswerClose(false)
		conn.Mute(true)
		w.must(w.c.Connect(context.Background(), w.srv.URL(), "bob"))
		if w.srv.MaxLive() > 1 {
			t.Errorf("%d connections were live at once", w.srv.MaxLive())
		}
		conn.Reset()
		w.pass(time.Second)
		if !w.c.IsConnected() || w.c.Status().Epoch != 2 {
			t.Errorf("%+v", w.c.Status())
		}
		w.srv.AnswerClose(true)
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		ran := w.running(ctx)
		cancel()
		w.wantErr(<-ran, context.Canceled)
		w.wantErr(w.c.Err(), context.Canceled)
		if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != 1000 {
			t.Errorf("the server got the close codes %v", codes)
		}
	})
}

func TestRunReturnsNilAfterDisconnect(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		ran := w.running(context.Background())
		w.must(w.c.Disconnect())
		w.must(<-ran)
	})
}

func TestConnectEndsWithItsContext(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		defer cancel()
		err := w.c.Connect(ctx, w.srv.URL(), "ada")
		w.wantErr(err, context.DeadlineExceeded)
		if d := time.Since(w.start); d != 25*time.Second {
			t.Errorf("returned after %v", d)
		}
		dials := w.net.Dials()
		w.pass(time.Hour)
		if w.net.Dials() != dials {
			t.Error("it went on behind the caller's back")
		}
	})
}

func TestConnectContextDoesNotMatterOnceOpen(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		w.must(w.c.Connect(ctx, w.srv.URL(), "ada"))
		cancel()
		w.pass(time.Minute)
		if !w.c.IsConnected() {
			t.Error("it was closed")
		}
	})
}

func TestClientStartsAfreshAfterGivingUp(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.Stop()
		err := w.c.Connect(context.Background(), w.srv.URL(), "ada")
		var gaveUp *wsnotify.GiveUpError
		if !errors.As(err, &gaveUp) || gaveUp.Attempts != 7 {
			t.Fatalf("Connect: %v", err)
		}
		if w.c.Err() != err || !w.c.Status().GaveUp {
			t.Errorf("Err is %v, Status %+v", w.c.Err(), w.c.Status())
		}
		w.wantErr(w.c.Enqueue(wsnotify.MessageText, nil), wsnotify.ErrClosed)
		w.wantErr(w.c.Reconnect(), wsnotify.ErrClosed)
		w.srv.Start()
		w.connect()
		if s := w.c.Status(); s.GaveUp || s.ReconnectAttempts != 0 || s.LastFailure != nil || w.c.Err() != nil {
			t.Errorf("Status %+v, Err %v", s, w.c.Err())
		}
	})
}

func TestWaitForEndsWithTheClient(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.Stop()
		go w.c.Connect(context.Background(), w.srv.URL(), "ada")
		var gaveUp *wsnotify.GiveUpError
		if err := w.c.WaitFor(context.Background(), wsnotify.Open); !errors.As(err, &gaveUp) {
			t.Errorf("WaitFor: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.wantErr(wsnotify.New(wsnotify.Config{}).WaitFor(ctx, wsnotify.Open), context.DeadlineExceeded)
	})
}

// An address that can't be dialled changes nothing: what was connected stays so.
func TestAddressThatCannotBeDialledChangesNothing(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		for _, connected := range []bool{false, true} {
			if connected {
				w.connect()
			}
			w.journal()
			dials := w.net.Dials()
			for _, address := range []string{"", "ws://", "ftp://server/", "ws://[", "ws://server/#x"} {
				if err := w.c.Connect(w.Context(), address, ""); err == nil {
					t.Errorf("Connect to %q is no error", address)
				}
				if err := w.c.Run(w.Context(), address, ""); err == nil {
					t.Errorf("Run with %q is no error", address)
				}
			}
			w.expect()
			if w.net.Dials() != dials || w.c.IsConnected() != connected {
				t.Errorf("connected %v: %d dials more, now %v", connected, w.net.Dials()-dials, w.c.ReadyState())
			}
		}
	})
}
