package wsnotify_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// Each failure is counted once under its cause, and as retried if a reconnect
// follows.
func TestStatusCountsFailuresByCause(t *testing.T) {
	type counts = wsnotify.FailureCounts
	again := func(w *world) { w.srv.DropAll(); w.pass(1500 * time.Millisecond) } // lost, and what then happens
	for name, test := range map[string]struct {
		cfg   wsnotify.Config
		wrong func(*world, *wsnotifytest.Conn)
		want  counts
	}{
		"lost":      {wrong: func(_ *world, c *wsnotifytest.Conn) { c.Reset() }, want: counts{Lost: 1}},
		"closed":    {wrong: func(_ *world, c *wsnotifytest.Conn) { c.Close(1001, "bye") }, want: counts{Closed: 1}},
		"requested": {wrong: func(w *world, _ *wsnotifytest.Conn) { w.must(w.c.Reconnect()) }, want: counts{Requested: 1}},
		"heartbeat": {wrong: func(w *world, c *wsnotifytest.Conn) { c.BlackHole(true); w.pass(12500 * time.Millisecond) }, want: counts{Heartbeat: 1}},
		"violation": {wrong: func(_ *world, c *wsnotifytest.Conn) { c.WriteRaw([]byte{0xff, 0}) }, want: counts{Violation: 1}},
		"refused": {wrong: func(w *world, _ *wsnotifytest.Conn) {
			w.srv.Refuse(1, http.StatusServiceUnavailable, nil, "")
			again(w)
		}, want: counts{Lost: 1, Refused: 1}},
		"dial": {wrong: func(w *world, _ *wsnotifytest.Conn) { w.srv.Stop(); w.pass(1500 * time.Millisecond) }, want: counts{Lost: 1, Dial: 1}},
		"hook": {cfg: wsnotify.Config{BeforeDial: func(_ context.Context, req *wsnotify.DialRequest) error {
			if req.Last != nil && req.Last.Phase == wsnotify.PhaseOpen {
				return errors.New("no token")
			}
			return nil
		}}, wrong: func(w *world, _ *wsnotifytest.Conn) { again(w) }, want: counts{Lost: 1, Hook: 1}},
		"nothing, by Disconnect": {wrong: func(w *world, _ *wsnotifytest.Conn) { w.must(w.c.Disconnect()) }},
		"nothing, by Drain":      {wrong: func(w *world, _ *wsnotifytest.Conn) { w.must(w.c.Drain(bg)) }},
		"nothing, by a later Connect": {wrong: func(w *world, _ *wsnotifytest.Conn) {
			w.must(w.c.Connect(bg, w.srv.URL(), "bob"))
		}},
	} {
		for _, retries := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				cfg := test.cfg
				cfg.BackOff = func() wsnotify.BackOff { return backoff.NewConstantBackOff(time.Second) }
				if !retries {
					cfg.ShouldReconnect = func(wsnotify.Failure) bool { return false }
				}
				inBubble(t, cfg, func(w *world) {
					w.srv.AllowViolations()
					test.wrong(w, w.connect())
					synctest.Wait()
					st := w.c.Status()
					want, retried := test.want, test.want
					if !retries {
						if want != (counts{Requested: 1}) { // Reconnect overrules ShouldReconnect
							retried = counts{}
						}
						if want.Lost == 1 {
							want = counts{Lost: 1} // and nothing came after it
						}
					}
					if st.Failures != want || st.FailuresRetried != retried {
						t.Errorf("failures %+v, of which %+v were retried; expected %+v, %+v", st.Failures, st.FailuresRetried, want, retried)
					}
					if st.Connections != st.Reconnects+1 || st.Connections != uint64(w.srv.Total()) {
						t.Errorf("%d connections, %d reconnects, and the server saw %d", st.Connections, st.Reconnects, w.srv.Total())
					}
				})
			})
		}
	}
}

// Each message that is not sent is counted once under its reason.
func TestStatusCountsUndeliveredByReason(t *testing.T) {
	type counts = wsnotify.UndeliveredCounts
	for name, test := range map[string]struct {
		outbox wsnotify.Outbox
		open   bool // the messages are written
		want   counts
	}{
		"closed":      {want: counts{Closed: 3}},
		"expired":     {outbox: wsnotify.Outbox{MaxAge: time.Second}, want: counts{Expired: 3}},
		"outbox full": {outbox: wsnotify.Outbox{Messages: 2, Overflow: wsnotify.DropOldest}, want: counts{OutboxFull: 1, Closed: 2}},
		"unconfirmed": {outbox: wsnotify.Outbox{ConfirmID: func(wsnotify.Message) string { return "1" }}, open: true, want: counts{Unconfirmed: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{Outbox: test.outbox}, func(w *world) {
				w.connect()
				if !test.open {
					w.srv.Stop()
				}
				synctest.Wait()
				for range 3 {
					w.must(w.c.Enqueue(wsnotify.MessageText, []byte("x")))
				}
				w.pass(5 * time.Second)
				w.must(w.c.Disconnect())
				<-w.c.Done()
				if st := w.c.Status(); st.UndeliveredBy != test.want || st.Undelivered != 3 {
					t.Errorf("%+v, %d altogether", st.UndeliveredBy, st.Undelivered)
				}
			})
		})
	}
}
