package wsnotify_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// What Status says at a moment fits together, whatever happens meanwhile.
func TestStatusFitsTogether(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	c := wsnotify.New(wsnotify.Config{BackOff: wsnotify.Exponential(2*time.Millisecond, 2*time.Millisecond, -1)})
	var over atomic.Bool
	var pollers sync.WaitGroup
	for range 2 {
		pollers.Go(func() {
			var last wsnotify.Status
			for !over.Load() {
				s := c.Status()
				open, waits := s.ReadyState == wsnotify.Open, !s.NextAttempt.IsZero()
				for what, wrong := range map[string]bool{
					"OpenSince":   open == s.OpenSince.IsZero(),
					"NextAttempt": waits && s.ReadyState != wsnotify.Closed,
					"LastFailure": s.LastFailure == nil && (waits || s.Epoch > 0 && !open && s.ReadyState == wsnotify.Closed),
					"Epoch":       s.Epoch < s.Reconnects || open && s.Epoch != s.Reconnects+1,
					"order":       s.Epoch+1 < last.Epoch || s.Reconnects < last.Reconnects,
				} {
					if wrong {
						t.Errorf("%s: %+v after %+v", what, s, last)
						return
					}
				}
				last = s
				runtime.Gosched() // else a machine with few cores does little more than this
			}
		})
	}
	if err := c.Connect(t.Context(), srv.URL(), "ada"); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		conn, err := srv.NthConn(t.Context(), i+1)
		if err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 0:
			conn.Drop()
		case 1:
			conn.Close(1001, "")
		case 2:
			srv.Refuse(1, 503, nil, "")
			conn.Reset()
		case 3:
			c.WaitFor(t.Context(), wsnotify.Open)
			c.Reconnect()
		}
	}
	c.Disconnect()
	over.Store(true)
	pollers.Wait()
}

// LastReceived is the time of the latest bytes of the server, and zero before there were any.
func TestStatusSaysWhenTheServerWasHeard(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: -1}}, func(w *world) {
		if got := w.c.Status().LastReceived; !got.IsZero() {
			t.Errorf("before Connect something came at %v", got)
		}
		conn := w.connect()
		w.pass(time.Hour)
		w.must(conn.SendText("x"))
		w.pass(0)
		heard := time.Now()
		w.pass(time.Hour)
		if got := w.c.Status().LastReceived; !got.Equal(heard) {
			t.Errorf("the server was heard at %v, want %v", got, heard)
		}
	})
}
