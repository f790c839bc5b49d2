package wsnotify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/handshake"
	"github.com/wsnotify/wsnotify/internal/transport"
)

// An attempt moves on to no phase once it is over, and comes to nothing when somebody has abandoned it.
func TestPhasesOfAnAttemptThatIsOver(t *testing.T) {
	a := &attempt{phase: PhaseDial, result: make(chan attemptResult, 1), ended: make(chan struct{})}
	close(a.ended)
	ctx, cancel := context.WithCancel(t.Context())
	if err := a.in(ctx, PhaseHook); err != nil || a.phase != PhaseHook {
		t.Errorf("%v, in the phase %v", err, a.phase)
	}
	a.abandon(cancel, nil)
	a.conclude(nil, errors.New("no"))
	if err := a.in(ctx, PhaseDial); err != context.Canceled || a.phase != PhaseHook || len(a.result) != 0 {
		t.Errorf("behind its end: %v, in the phase %v, %d results", err, a.phase, len(a.result))
	}
}

// What DialTimeout says names the address once, and what had not returned.
func TestTimedOut(t *testing.T) {
	const timeout = 4 * time.Second
	u, late := &url.URL{Scheme: "wss", Host: "server", Path: "/"}, &attemptError{"ws://server/", fmt.Errorf("reading: %w", context.DeadlineExceeded)}
	other := &attemptError{"ws://server/", io.EOF}
	for want, test := range map[string]struct {
		a   *attempt
		err error
	}{
		"context deadline exceeded":                                        {&attempt{phase: PhaseDial}, nil},
		"reading: context deadline exceeded":                               {&attempt{phase: PhaseHook}, late},
		"BeforeDial has not returned: context deadline exceeded":           {&attempt{phase: PhaseHook}, nil},
		"BeforeDial has not returned: context deadline exceeded (not EOF)": {&attempt{phase: PhaseHook}, other},
		"OnHandshake has not returned: context deadline exceeded":          {&attempt{phase: PhaseHook, tr: struct{ transport.Conn }{}}, nil},
		"context deadline exceeded; the server did not answer the TLS handshake: if that port does not speak TLS, try ws://; else check the port of the url": {
			&attempt{phase: PhaseDial, securing: true, secrets: handshake.NewSecrets(u, nil, nil)}, nil},
	} {
		test.a.url, test.a.req = "ws://server/", &DialRequest{URL: u}
		want, _ = strings.CutSuffix(want, " (not EOF)")
		err := test.a.timedOut(timeout, test.err)
		if want = "wsnotify: dialling ws://server/: no connection within 4s: " + want; err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q, want %q", err, want)
		}
	}
}

// An attempt that was abandoned has no result, and the error of any other names the URL.
func TestResultOfAnAttempt(t *testing.T) {
	for _, abandoned := range []bool{false, true} {
		a := &attempt{url: "ws://server/", result: make(chan attemptResult, 1), abandoned: abandoned}
		a.conclude(nil, errors.New("no"))
		select {
		case res := <-a.result:
			var named *attemptError
			if abandoned || !errors.As(res.err, &named) {
				t.Errorf("abandoned %v: %v", abandoned, res.err)
			}
		default:
			if !abandoned {
				t.Error("no result")
			}
		}
	}
}

// A browser shows no response, and says which subprotocol was chosen otherwise.
func TestSubprotocolWithoutAResponse(t *testing.T) {
	if got := subprotocol(choosing{}, nil); got != "v1" {
		t.Errorf("%q was chosen", got)
	}
	if got := subprotocol(&recorded{Conn: choosing{}}, nil); got != "v1" {
		t.Errorf("%q was chosen, and is recorded", got)
	}
	if got := subprotocol(struct{ transport.Conn }{}, nil); got != "" {
		t.Errorf("%q was chosen, though nobody has said so", got)
	}
	resp := &http.Response{Header: http.Header{"Sec-Websocket-Protocol": {"v2"}}}
	if got := subprotocol(choosing{}, resp); got != "v2" || responseHeader(resp) == nil || responseHeader(nil) != nil {
		t.Errorf("%q was chosen", got)
	}
}

type choosing struct{ transport.Conn }

func (choosing) Subprotocol() string { return "v1" }

// What comes for a Receive at the moment at which OnHandshake returns is for the reader of the connection.
func TestReceiveAtTheEndOfOnHandshake(t *testing.T) {
	over := make(chan struct{})
	close(over)
	for range 50 { // a select takes any case that is ready
		cn := &conn{}
		cn.pending = make(chan received, 1)
		cn.pending <- received{msg: Message{Epoch: 7}}
		_, err := (&Handshake{conn: cn, over: over}).Receive(t.Context())
		if err != errHandshakeOver || cn.pending == nil || len(cn.pending) != 1 {
			t.Fatalf("it returned %v, and left %v", err, cn.pending)
		}
	}
}

// What OnHandshake has begun is over before the connection is anybody else's.
func TestHandshakeAwaitsItsReceives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ended := &Handshake{over: make(chan struct{})}, make(chan struct{})
		if !h.begin() {
			t.Error("a Receive may not begin")
		}
		go func() {
			h.end()
			close(ended)
		}()
		synctest.Wait()
		if isClosed(ended) || !isClosed(h.over) || h.begin() {
			t.Error("a Receive was not signalled, or not awaited, or another one may begin")
		}
		h.at.Done()
		<-ended
	})
}

// A connection that comes when nobody waits for it any more is ended, whether it came just before its attempt was
// abandoned or later.
func TestConnectionOfAnAbandonedAttempt(t *testing.T) {
	c := New(Config{})
	for name, end := range map[string]func(a *attempt, cn *conn, cancel context.CancelFunc){
		"before": func(a *attempt, cn *conn, cancel context.CancelFunc) { a.conclude(cn, nil); a.abandon(cancel, nil) },
		"behind": func(a *attempt, cn *conn, cancel context.CancelFunc) { a.abandon(cancel, nil); a.conclude(cn, nil) },
	} {
		tr := &endedConn{}
		cn := newConn(&run{c: c}, tr, c.clock())
		a := &attempt{result: make(chan attemptResult, 1), ended: make(chan struct{})}
		close(a.ended)
		ctx, cancel := context.WithCancel(t.Context())
		end(a, cn, cancel)
		if ctx.Err() == nil || tr.kills != 1 || !isClosed(cn.ended) || len(a.result) != 0 {
			t.Errorf("%s: %v, killed %d times, ended %v", name, ctx.Err(), tr.kills, isClosed(cn.ended))
		}
	}
}

// A hook that waits for the connection, and not for its ctx, ends with the attempt.
func TestAbandonedAttemptInOnHandshake(t *testing.T) {
	tr := &endedConn{}
	a := &attempt{phase: PhaseHook, tr: tr, result: make(chan attemptResult, 1), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	a.abandon(cancel, nil)
	if ctx.Err() == nil || tr.kills != 1 {
		t.Errorf("%v, killed %d times", ctx.Err(), tr.kills)
	}
}

// endedConn is a transport of which nothing is left.
type endedConn struct {
	transport.Conn
	kills int
}

func (c *endedConn) Kill()                { c.kills++ }
func (c *endedConn) End() <-chan struct{} { return closedForEver }
func (c *endedConn) Received() int64      { return 0 }

// What the end of a ctx says about the time before there was a connection: the last attempt that failed, and the one that
// was under way, each address once.
func TestErrorOfAnEndedCtx(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	failed := &Failure{Err: &attemptError{"ws://server/", io.EOF}}
	for want, test := range map[string]struct {
		last     *Failure
		underway *whereabouts
	}{
		"ws://server/?token=xxxxx was not dialled":                                    {},
		`an attempt was under way, dialling ws://server/: it was in its phase "dial"`: {nil, &whereabouts{url: "ws://server/", phase: PhaseDial}},
		"the last attempt failed: dialling ws://server/: EOF":                         {failed, nil},
		"the last attempt failed: dialling ws://server/: EOF; another attempt was under way: BeforeDial had not returned": {
			failed, &whereabouts{url: "ws://server/", hook: "BeforeDial", inTLS: true}},
		"the last attempt failed: dialling ws://server/: EOF; an attempt was under way, dialling ws://other/: the server had not answered the TLS handshake": {
			failed, &whereabouts{url: "ws://other/", inTLS: true}},
		"the last attempt failed: EOF; ws://server/?token=xxxxx was not dialled": {&Failure{Err: io.EOF}, nil},
	} {
		r := &run{ctx: ctx, url: &url.URL{Scheme: "ws", Host: "server", Path: "/", RawQuery: "token=1"}, runMilestones: runMilestones{opened: make(chan struct{})}}
		r.last, r.underway = test.last, test.underway
		err := r.ctxError()
		if want = "wsnotify: no connection until ctx ended: context canceled; " + want; err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
		if !errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) != (test.last != nil) {
			t.Errorf("the causes of %q", err)
		}
		close(r.opened)
		if err := r.ctxError(); err != context.Canceled {
			t.Errorf("once there was a connection: %v", err)
		}
	}
}
