package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func every(d time.Duration) func() wsnotify.BackOff {
	return func() wsnotify.BackOff { return backoff.NewConstantBackOff(d) }
}

func TestReconnectAfterTheServerHasGone(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		w.journal()
		w.must(conn.Close(1012, "restart"))
		w.pass(10 * time.Second)
		w.expect("0s CLOSED", `0s close 1 code=1012 reason="restart" clean=true again=true`, "0s reconnect 1 in 10s",
			"10s CONNECTING", "10s OPEN", "10s open 2")
		s := w.c.Status()
		if s.Reconnects != 1 || s.ReconnectAttempts != 0 || s.Epoch != 2 || s.LastFailure.Code != 1012 {
			t.Errorf("%+v", s)
		}
		if s.LastFailure.Initiator != wsnotify.Remote || s.LastFailure.Phase != wsnotify.PhaseOpen {
			t.Errorf("%+v", s.LastFailure)
		}
	})
}

func TestConnectReturnsWithTheFirstConnectionThatOpens(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.Refuse(3, 503, nil, "busy")
		w.connect()
		if d := time.Since(w.start); d != 30*time.Second {
			t.Errorf("connected after %v", d)
		}
		if n := w.c.ReconnectAttempts(); n != 0 {
			t.Errorf("ReconnectAttempts is %d after Open", n)
		}
	})
}

// With Open itself as the proof, a server that accepts and drops is dialled
// for ever; with StableAfter the client gives up.
func TestServerThatAcceptsAndDrops(t *testing.T) {
	for _, stable := range []time.Duration{0, time.Minute} {
		t.Run(fmt.Sprint(stable), func(t *testing.T) {
			inBubble(t, wsnotify.Config{StableAfter: stable}, func(w *world) {
				w.srv.OnConn(func(c *wsnotifytest.Conn) { c.Drop() })
				w.c.Connect(context.Background(), w.srv.URL(), "ada")
				w.pass(time.Hour)
				total := w.srv.Total()
				if stable == 0 && (total < 300 || w.c.Err() != nil) {
					t.Errorf("%d connections, %v", total, w.c.Err())
				}
				if stable > 0 && (total != 7 || !w.c.Status().GaveUp) {
					t.Errorf("%d connections, %v", total, w.c.Err())
				}
			})
		})
	}
}

func TestStableConnectionResetsTheCounter(t *testing.T) {
	inBubble(t, wsnotify.Config{StableAfter: time.Minute}, func(w *world) {
		w.srv.Refuse(3, 503, nil, "")
		w.connect()
		w.pass(59 * time.Second)
		if n := w.c.ReconnectAttempts(); n != 3 {
			t.Errorf("ReconnectAttempts is %d before StableAfter", n)
		}
		w.pass(time.Second)
		if n := w.c.ReconnectAttempts(); n != 0 {
			t.Errorf("ReconnectAttempts is %d after StableAfter", n)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for _, test := range []struct {
		status int
		header string
		want   time.Duration
	}{
		{503, "25", 25 * time.Second},
		{429, "25", 25 * time.Second},
		{503, "3", 10 * time.Second}, // the back-off is later
		{500, "25", 25 * time.Second},
		{418, "25", 25 * time.Second}, // of an exchange, whose ban grows otherwise
		{403, "25", 25 * time.Second},
		{302, "25", 25 * time.Second},
		{503, "Sat, 01 Jan 2000 00:00:40 GMT", 40 * time.Second},
		{503, "Sat, 01 Jan 1999 00:00:40 GMT", 10 * time.Second},
		{503, "999999999999999999999999", 5 * time.Minute},
		{503, "100000", 5 * time.Minute},
		{503, "-5", 10 * time.Second},
		{503, "soon", 10 * time.Second},
		{503, "", 10 * time.Second},
	} {
		inBubble(t, wsnotify.Config{}, func(w *world) {
			w.srv.Refuse(1, test.status, http.Header{"Retry-After": {test.header}}, "")
			w.connect()
			if d := time.Since(w.start); d != test.want {
				t.Errorf("%d with Retry-After %q: %v and not %v", test.status, test.header, d, test.want)
			}
		})
	}
}

func TestFailFast(t *testing.T) {
	stops := map[int]bool{
		200: true, 302: true, 308: true, 400: true, 401: true, 403: true, 404: true, 407: true, 410: true, 422: true, 426: true, 451: true,
		408: false, 418: false, 421: false, 425: false, 429: false, 500: false, 501: false, 502: false, 503: false,
	}
	for status, stop := range stops {
		inBubble(t, wsnotify.Config{ShouldReconnect: wsnotify.FailFast}, func(w *world) {
			w.srv.Refuse(1, status, http.Header{"X-Why": {"because"}}, "no")
			err := w.c.Connect(context.Background(), w.srv.URL(), "ada")
			if !stop {
				w.must(err)
				return
			}
			var gaveUp *wsnotify.GiveUpError
			var refused *wsnotify.HandshakeError
			if !errors.As(err, &gaveUp) || gaveUp.Attempts != 1 || !errors.As(err, &refused) {
				t.Fatalf("%d: %v", status, err)
			}
			if !strings.HasPrefix(err.Error(), "wsnotify: giving up after 1 attempt: ") {
				t.Errorf("%d: %v", status, err)
			}
			if refused.StatusCode != status || string(refused.Body) != "no" || refused.Header.Get("X-Why") != "because" {
				t.Errorf("%+v", refused)
			}
			f := gaveUp.Failure
			if f.Phase != wsnotify.PhaseHandshake || f.Initiator != wsnotify.Remote || f.HTTPStatus != status || f.Code != -1 {
				t.Errorf("%+v", f)
			}
		})
	}
	for code := wsnotify.StatusCode(1000); code <= 1014; code++ {
		if code >= 1004 && code <= 1006 {
			continue
		}
		inBubble(t, wsnotify.Config{ShouldReconnect: wsnotify.FailFast}, func(w *world) {
			w.must(w.connect().Close(int(code), ""))
			w.pass(10 * time.Second)
			stop := code == 1002 || code == 1003 || code >= 1007 && code <= 1010
			if w.c.Status().GaveUp != stop {
				t.Errorf("close code %d: %+v", code, w.c.Status())
			}
			if err := w.c.Err(); stop && !strings.HasPrefix(err.Error(), "wsnotify: giving up without another attempt: ") {
				t.Errorf("close code %d: %v", code, err)
			}
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	inBubble(t, wsnotify.Config{ShouldReconnect: func(wsnotify.Failure) bool { return false }}, func(w *world) {
		other := w.net.NewServer()
		w.srv.Refuse(-1, 302, http.Header{"Location": {strings.Replace(other.URL(), "ws://", "http://", 1)}}, "")
		err := w.c.Connect(context.Background(), w.srv.URL(), "ada")
		var refused *wsnotify.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != 302 || !strings.Contains(err.Error(), "redirects are not followed") {
			t.Errorf("Connect: %v", err)
		}
		if len(other.Handshakes()) != 0 {
			t.Error("the redirect was followed")
		}
	})
}

func TestDialTimeoutLimitsAWrongKey(t *testing.T) {
	inBubble(t, wsnotify.Config{ShouldReconnect: func(wsnotify.Failure) bool { return false }}, func(w *world) {
		w.srv.WrongKey(-1)
		err := w.c.Connect(context.Background(), w.srv.URL(), "ada")
		var refused *wsnotify.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != 101 || !strings.Contains(err.Error(), "Sec-WebSocket-Accept") {
			t.Errorf("Connect: %v", err)
		}
		if d := time.Since(w.start); d > time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

func TestDialTimeoutLimitsAnAttempt(t *testing.T) {
	for name, hang := range map[string]func(*world){
		"dial":      func(w *world) { w.net.Hang(true) },
		"handshake": func(w *world) { w.srv.HangHandshake(-1) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{ShouldReconnect: func(wsnotify.Failure) bool { return false }}, func(w *world) {
				hang(w)
				err := w.c.Connect(context.Background(), w.srv.URL(), "ada")
				w.wantErr(err, context.DeadlineExceeded)
				var gaveUp *wsnotify.GiveUpError
				if !errors.As(err, &gaveUp) || gaveUp.Failure.Phase != wsnotify.PhaseDial || gaveUp.Failure.Initiator != wsnotify.Network {
					t.Errorf("%+v", gaveUp)
				}
				if d := time.Since(w.start); d != 10*time.Second {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}

func TestDialFailuresAreTheNetworks(t *testing.T) {
	for name, fault := range map[string]func(*world){
		"refused":      func(w *world) { w.net.Refuse(true) },
		"no such host": func(w *world) { w.net.NoSuchHost(true) },
		"stopped":      func(w *world) { w.srv.Stop() },
		"EOF":          func(w *world) { w.srv.RefuseRaw(-1, "") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{ShouldReconnect: func(wsnotify.Failure) bool { return false }}, func(w *world) {
				fault(w)
				var gaveUp *wsnotify.GiveUpError
				if err := w.c.Connect(context.Background(), w.srv.URL(), "ada"); !errors.As(err, &gaveUp) {
					t.Fatal(err)
				}
				f := gaveUp.Failure
				if f.Phase != wsnotify.PhaseDial || f.Initiator != wsnotify.Network || f.Code != -1 || f.HTTPStatus != 0 {
					t.Errorf("%+v", f)
				}
			})
		})
	}
}

func TestGarbageInsteadOfAResponseIsRemote(t *testing.T) {
	inBubble(t, wsnotify.Config{ShouldReconnect: func(wsnotify.Failure) bool { return false }}, func(w *world) {
		w.srv.RefuseRaw(-1, "SSH-2.0-OpenSSH\r\n\r\n")
		var gaveUp *wsnotify.GiveUpError
		if err := w.c.Connect(context.Background(), w.srv.URL(), "ada"); !errors.As(err, &gaveUp) {
			t.Fatal(err)
		}
		if f := gaveUp.Failure; f.Phase != wsnotify.PhaseDial || f.Initiator != wsnotify.Remote {
			t.Errorf("%+v", f)
		}
	})
}

func TestSubprotocolThatIsMissingFailsTheAttempt(t *testing.T) {
	inBubble(t, wsnotify.Config{Subprotocols: []string{"v2", "v1"}, ShouldReconnect: func(wsnotify.Failure) bool { return false }}, func(w *world) {
		err := w.c.Connect(context.Background(), w.srv.URL(), "ada")
		var refused *wsnotify.HandshakeError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "subprotocols") {
			t.Errorf("Connect: %v", err)
		}
		w.srv.Subprotocols("v1")
		got := ""
		c := wsnotify.New(wsnotify.Config{HTTPClient: w.net.HTTPClient(), Subprotocols: []string{"v2", "v1"},
			OnOpen: func(ev wsnotify.OpenEvent) { got = ev.Subprotocol }})
		w.must(c.Connect(context.Background(), w.srv.URL(), "ada"))
		w.must(c.Disconnect())
		<-c.Done()
		if got != "v1" {
			t.Errorf("the subprotocol is %q", got)
		}
	})
}

func TestReconnectOnAnOpenConnection(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.pass(time.Second)
		w.journal()
		w.must(w.c.Reconnect())
		w.must(w.c.WaitFor(context.Background(), wsnotify.Open))
		if w.c.Status().Epoch != 2 {
			t.Errorf("%+v", w.c.Status())
		}
		w.expect("1s CLOSED", `1s close 1 code=1000 reason="" clean=true again=true`, "1s reconnect 1 in 0s",
			"1s CONNECTING", "1s OPEN", "1s open 2")
		if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != 1000 {
			t.Errorf("the server got the close codes %v", codes)
		}
		if w.srv.MaxLive() != 1 {
			t.Errorf("%d live at once", w.srv.MaxLive())
		}
		if f := w.c.Status().LastFailure; f.Initiator != wsnotify.Local || f.Phase != wsnotify.PhaseOpen || f.Code != 1000 || f.Uptime != time.Second {
			t.Errorf("%+v", f)
		}
	})
}

// A peer that does not answer the close frame of Reconnect has half a second for it.
func TestReconnectWithoutAnAnswer(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.srv.AnswerClose(false)
		w.journal()
		w.must(w.c.Reconnect())
		if d := time.Since(w.start); d != 0 {
			t.Errorf("it returned after %v", d)
		}
		w.pass(time.Second)
		w.expect("0s CLOSED", `500ms close 1 code=1006 reason="" clean=false again=true`, "500ms reconnect 1 in 0s",
			"500ms CONNECTING", "500ms OPEN", "500ms open 2")
		if codes := w.srv.CloseCodes(); !slices.Equal(codes, []int{1000}) {
			t.Errorf("the server got the close codes %v", codes)
		}
	})
}

func TestReconnectCutsTheWaitShort(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect().Drop()
		w.pass(3 * time.Second)
		if next := w.c.Status().NextAttempt; !next.Equal(w.start.Add(10 * time.Second)) {
			t.Errorf("the next attempt is at %v", next)
		}
		w.must(w.c.Reconnect())
		w.must(w.c.WaitFor(context.Background(), wsnotify.Open))
		if d := time.Since(w.start); d != 3*time.Second {
			t.Errorf("connected after %v", d)
		}
		if !w.c.Status().NextAttempt.IsZero() {
			t.Error("NextAttempt is not zero while Open")
		}
	})
}

func TestReconnectWhileConnectingChangesNothing(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.wantErr(w.c.Reconnect(), wsnotify.ErrNotConnected)
		w.net.Hang(true)
		go w.c.Connect(context.Background(), w.srv.URL(), "ada")
		w.pass(time.Second)
		w.must(w.c.Reconnect())
		w.net.Hang(false)
		w.pass(time.Minute)
		w.expect("0s CONNECTING", "1s OPEN", "1s open 1")
	})
}

func TestReconnectCountsAsAnAttempt(t *testing.T) {
	inBubble(t, wsnotify.Config{StableAfter: time.Hour}, func(w *world) {
		w.connect()
		for range 6 {
			w.must(w.c.Reconnect())
			w.must(w.c.WaitFor(context.Background(), wsnotify.Open))
		}
		w.must(w.c.Reconnect())
		<-w.c.Done()
		if !w.c.Status().GaveUp {
			t.Errorf("%+v", w.c.Status())
		}
	})
}

func TestShouldReconnectStopsWithItsFailure(t *testing.T) {
	var got wsnotify.Failure
	inBubble(t, wsnotify.Config{ShouldReconnect: func(f wsnotify.Failure) bool { got = f; return false }}, func(w *world) {
		conn := w.connect()
		w.pass(5 * time.Second)
		w.must(conn.Close(4001, "revoked"))
		<-w.c.Done()
		if got.Code != 4001 || got.Reason != "revoked" || got.Initiator != wsnotify.Remote || got.Uptime != 5*time.Second {
			t.Errorf("%+v", got)
		}
		var ce wsnotify.CloseError
		if err := w.c.Err(); !errors.As(err, &ce) || ce.Code != 4001 {
			t.Errorf("Err: %v", err)
		}
		w.expect("0s CONNECTING", "0s OPEN", "0s open 1", "5s CLOSED",
			`5s close 1 code=4001 reason="revoked" clean=true again=false`, "5s give up after 0")
	})
}

func TestUsersBackOffIsResetAndAskedOnce(t *testing.T) {
	inBubble(t, wsnotify.Config{BackOff: every(time.Second)}, func(w *world) {
		w.srv.Refuse(100, 500, nil, "")
		w.connect()
		if d := time.Since(w.start); d != 100*time.Second {
			t.Errorf("connected after %v", d)
		}
	})
}

// What the old connection still had to say is not reported of the new one.
func TestLateErrorsOfAnOldConnectionChangeNothing(t *testing.T) {
	inBubble(t, wsnotify.Config{BackOff: every(time.Second)}, func(w *world) {
		old := w.connect()
		old.BlackHole(true)
		w.must(w.c.Reconnect())
		w.must(w.c.WaitFor(context.Background(), wsnotify.Open))
		w.journal()
		old.BlackHole(false)
		old.Reset()
		w.pass(time.Second)
		w.expect()
	})
}

// Refused handshakes leave no idle connection behind, whatever the user's
// transport would keep.
func TestRefusedHandshakesLeaveNothingBehind(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		c := wsnotify.New(wsnotify.Config{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: w.net.DialContext}}})
		w.srv.Refuse(3, 503, nil, "busy")
		w.must(c.Connect(context.Background(), w.srv.URL(), "ada"))
		synctest.Wait()
		if n := w.net.Conns(); n != 1 {
			t.Errorf("%d connections", n)
		}
		w.must(c.Disconnect())
		<-c.Done()
	})
}

// The network comes back while the policy is being asked.
func TestReconnectWhileThePolicyIsAsked(t *testing.T) {
	ask := make(chan bool)
	inBubble(t, wsnotify.Config{ShouldReconnect: func(wsnotify.Failure) bool { return <-ask }}, func(w *world) {
		ask = make(chan bool)
		w.connect().Drop()
		synctest.Wait()
		done := make(chan error)
		go func() { done <- w.c.Reconnect() }()
		w.pass(time.Second)
		ask <- true
		w.must(<-done)
		w.must(w.c.WaitFor(context.Background(), wsnotify.Open))
		if d := time.Since(w.start); d != time.Second {
			t.Errorf("connected after %v", d)
		}
	})
}

// Whoever sees that there is no connection sees why, however long the last frames take.
func TestStatusSaysWhyAtOnce(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.AnswerClose(false)
		w.connect().CloseFrame(1001, "") // and the server stays
		w.pass(time.Millisecond)
		if s := w.c.Status(); s.ReadyState != wsnotify.Closed || s.LastFailure == nil || s.LastFailure.Code != 1001 {
			t.Errorf("closed by the server: %+v", s)
		}
		w.pass(10 * time.Second)
		w.conn()
		go w.c.Reconnect()
		w.pass(time.Millisecond)
		s := w.c.Status()
		if s.ReadyState != wsnotify.Closed || s.LastFailure.Initiator != wsnotify.Local || s.LastFailure.Uptime == 0 {
			t.Errorf("closed by Reconnect: %+v, %+v", s, s.LastFailure)
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

// A Reconnect that is called while the last frames of a lost connection leave waits for no decision of the user's code,
// and is not forgotten.
func TestReconnectWhileALostConnectionEnds(t *testing.T) {
	var returned chan struct{}
	cfg := wsnotify.Config{ShouldReconnect: func(wsnotify.Failure) bool { <-returned; return true }, BackOff: every(time.Hour)}
	inBubble(t, cfg, func(w *world) {
		returned = make(chan struct{})
		w.net.Buffer(1 << 10)
		conn := w.connect()
		conn.StopReading(true)
		w.srv.AnswerClose(false)
		for range 4 {
			w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 8<<10)))
		}
		w.pass(0)
		w.must(conn.CloseFrame(1001, ""))
		w.pass(0)
		w.must(w.c.Reconnect())
		if d := time.Since(w.start); d != time.Second {
			t.Errorf("it returned after %v", d)
		}
		close(returned)
		w.must(w.c.WaitFor(w.Context(), wsnotify.Open))
		if d := time.Since(w.start); d != time.Second {
			t.Errorf("open after %v", d)
		}
	})
}
