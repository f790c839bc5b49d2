package wsnotify

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/transport"
)

// overslept returns a heartbeat of a process that did not run for a minute. It
// moves the times back, since virtual time stops nobody.
func overslept(t *testing.T, dead func()) *heartbeat {
	h := newHeartbeat(Config{}.withDefaults().Heartbeat, func() transport.Progress { return transport.Progress{} }, dead, nil, nil)
	h.w = &waitingBeat{}
	h.start()
	t.Cleanup(h.stop)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = time.Now().Add(-time.Minute)
	return h
}

// waitingBeat is what a writer has that never comes to it.
type waitingBeat struct {
	text string
	ping []byte
}

func (w *waitingBeat) Beat(text string, ping []byte) { w.text, w.ping = text, ping }
func (w *waitingBeat) SendPing([]byte)               {}

// Beats that were missed are not made up for: one comes at once, and the next
// an Interval later.
func TestWakingBeatsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := overslept(t, nil)
		h.tick()
		synctest.Wait()
		if h.seq != 1 || h.w.(*waitingBeat).ping == nil || h.w.(*waitingBeat).text != "ping" {
			t.Errorf("%d pings, %+v", h.seq, h.w)
		}
		time.Sleep(6*time.Second - time.Nanosecond)
		synctest.Wait()
		if h.seq != 1 {
			t.Errorf("%d pings before an Interval has passed", h.seq)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if h.seq != 2 {
			t.Errorf("%d pings after it", h.seq)
		}
	})
}

// A watch that ends long after its time says nothing: the answer may be there,
// unread. It begins anew, and its next verdict holds.
func TestWakingIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := make(chan time.Time, 1)
		h := overslept(t, func() { dead <- time.Now() })
		woken := time.Now()
		h.mu.Lock()
		h.begin(woken.Add(-time.Minute), transport.Progress{})
		h.watch.Stop()
		h.mu.Unlock()
		h.judge()
		if len(dead) > 0 {
			t.Fatal("dead on waking, before anything was read")
		}
		if d := (<-dead).Sub(woken); d != 6*time.Second {
			t.Errorf("dead %v after waking", d)
		}
	})
}

// A timer that is only a little late is no sleep.
func TestLateVerdictHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := overslept(t, nil)
		h.mu.Lock()
		h.begin(time.Now().Add(-7*time.Second), transport.Progress{})
		h.watch.Stop()
		h.due = time.Now().Add(-time.Second) // of the last look
		h.mu.Unlock()
		if !h.verdict(time.Now()) {
			t.Error("a second late, and the peer is not dead")
		}
	})
}
