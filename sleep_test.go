package wsnotify

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/transport"
)

// overslept returns a heartbeat of a process that did not run for a minute. It
// moves the times back, since virtual time stops nobody.
func overslept(t *testing.T, dead func()) *heartbeat {
	h := newHeartbeat(Config{}.withDefaults().Heartbeat, true, func() transport.Progress { return transport.Progress{} }, dead, nil, nil)
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
	mu   sync.Mutex
	text string
	ping []byte
}

func (w *waitingBeat) Beat(text string, ping []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text, w.ping = text, ping
}

func (w *waitingBeat) SendPing([]byte) {}

// Beats that were missed are not made up for: one comes at once, and the next
// an Interval later.
func TestWakingBeatsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := overslept(t, nil)
		pings := func() uint64 {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.seq
		}
		h.tick()
		synctest.Wait()
		if w := h.w.(*waitingBeat); pings() != 1 || w.ping == nil || w.text != "ping" {
			t.Errorf("%d pings, %q %q", pings(), w.text, w.ping)
		}
		time.Sleep(6*time.Second - time.Nanosecond)
		synctest.Wait()
		if pings() != 1 {
			t.Errorf("%d pings before an Interval has passed", pings())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if pings() != 2 {
			t.Errorf("%d pings after it", pings())
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

// In a hidden page every timer is late. There a peer that says nothing is
// given two more chances, and not one after another without end.
func TestTimersThatAreAlwaysLateFindADeadPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaths := 0
		h := overslept(t, func() { deaths++ })
		h.pings, h.trusted = false, true
		h.written(transport.Progress{})
		for late := range 3 {
			if deaths != 0 {
				t.Errorf("dropped when the timer was late %d times", late)
			}
			h.mu.Lock()
			h.due = h.due.Add(-time.Minute)
			h.watched, h.life = h.watched.Add(-time.Minute), h.life.Add(-time.Minute)
			h.mu.Unlock()
			h.judge()
		}
		if deaths != 1 {
			t.Errorf("dropped %d times", deaths)
		}
	})
}

// A host acknowledges for a process that has stopped. That is no sign of life,
// however often we ping, unless there is more on its way, behind which the ping
// may be.
func TestAcknowledgementsAloneAreNoLife(t *testing.T) {
	for _, test := range []struct {
		waiting int64         // that is not acknowledged
		moves   time.Duration // for how long something of it is
		want    time.Duration
	}{{0, time.Hour, 6 * time.Second}, {1 << 20, 0, 6 * time.Second}, {1 << 20, time.Minute, 66 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			dead := make(chan time.Duration, 1)
			h := overslept(t, func() { dead <- time.Since(start) })
			h.progress = func() transport.Progress {
				return transport.Progress{Acknowledged: int64(min(time.Since(start), test.moves)), Waiting: test.waiting}
			}
			for range 12 {
				go func() { h.written(h.progress()) }()
				select {
				case after := <-dead:
					if after < test.want || after > test.want+1500*time.Millisecond {
						t.Errorf("%+v: dead after %v", test, after)
					}
					return
				case <-time.After(6 * time.Second):
				}
			}
			t.Errorf("%+v: never found dead", test)
		})
	}
}
