package wsnotify

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/peertime"
)

// A beat that is written at the moment at which the peer is found dead does not
// begin another watch.
func TestBeatAtTheMomentOfTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 6 * time.Second
		start, died := time.Now(), make(chan time.Duration, 1)
		var h *heartbeat
		beats := 0
		received := func() int64 {
			if time.Since(start) == timeout && beats == 0 {
				beats++
				h.written(0)
			}
			return 0
		}
		clock := peertime.New(-1)
		h = newHeartbeat(Heartbeat{Interval: timeout, Timeout: timeout}, true, clock, received,
			func() { died <- time.Since(start) }, nil, nil)
		h.ticker = time.AfterFunc(time.Hour, func() {})
		h.written(0)
		if at := <-died; at != timeout || beats != 1 {
			t.Errorf("dead after %v, with %d more beats", at, beats)
		}
		clock.Close()
	})
}

// Nor is a peer taken for dead whose answer to that beat comes at that moment, too.
func TestPongAtTheMomentOfTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 6 * time.Second
		start := time.Now()
		var pongs atomic.Int64
		var h *heartbeat
		received := func() int64 {
			now := pongs.Load()
			if time.Since(start) == timeout && now == 1 {
				pongs.Add(1)
				h.written(now)
				h.mu.Lock()
				h.watch.Stop()
				h.mu.Unlock()
			}
			return now
		}
		clock := peertime.New(-1)
		h = newHeartbeat(Heartbeat{Interval: timeout, Timeout: timeout}, true, clock, received,
			func() { t.Error("dead") }, nil, nil)
		h.ticker = time.AfterFunc(time.Hour, func() {})
		h.written(0)
		pongs.Add(1)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := pongs.Load(); n != 2 {
			t.Errorf("%d pongs", n)
		}
		clock.Close()
	})
}

// A pong that is read before the writer comes to say that the ping has left is life, and
// no watch begins that would look for one.
func TestPongBeforeTheWriteReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		received := int64(1)
		h := overslept(t, func() int64 { return received }, upload{}, func() { t.Error("dead") })
		h.written(0)
		if h.watch.On() {
			t.Error("a watch is on, though something has come since the ping")
		}
		h.written(1)
		if !h.watch.On() {
			t.Error("nothing has come since the ping, and no watch is on")
		}
		received = 2
		h.written(1)
		if h.watch.On() {
			t.Error("the watch of the ping before is still on, though something has come")
		}
	})
}

// Beats that were missed are not made up for: one comes at once, and the next
// an Interval later.
func TestWakingBeatsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := overslept(t, nothing, upload{}, nil)
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

// A host acknowledges for a process that has stopped. That is a sign of life only
// until the ping is acknowledged, whatever is queued behind it.
func TestAcknowledgementsBehindThePingAreNotLiveness(t *testing.T) {
	for _, test := range []struct {
		name      string
		queued    int64 // before the ping
		roundTrip time.Duration
		sends     bool // goes on to send
		within    time.Duration
	}{
		{"only the ping", 0, 0, false, 6 * time.Second},
		{"messages behind the ping", 0, 100 * time.Millisecond, true, 6 * time.Second},
		{"messages behind the ping on a long way", 0, 4 * time.Second, true, 10 * time.Second},
		{"an upload of a minute before the ping", 60 * perSecond, 0, false, 67 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			dead := make(chan time.Duration, 1)
			line := upload{start: start, queued: test.queued, roundTrip: test.roundTrip, sends: test.sends}
			h := overslept(t, nothing, line, func() { dead <- time.Since(start) })
			for range 20 {
				h.written(h.received())
				select {
				case after := <-dead:
					if after < 6*time.Second || after > test.within {
						t.Errorf("%s: dead after %v, expected %v", test.name, after, test.within)
					}
					return
				case <-time.After(6 * time.Second):
				}
			}
			t.Errorf("%s: never found dead", test.name)
		})
	}
}

// upload is a line on which the peer's host acknowledges perSecond of what is queued at
// first, and then of what is sent.
type upload struct {
	start     time.Time
	queued    int64
	roundTrip time.Duration
	sends     bool
}

const perSecond = 1000

func (u upload) Written() int64 {
	if u.sends {
		return u.queued + u.rate(0)
	}
	return u.queued
}

func (u upload) Acknowledged() int64 { return min(u.rate(u.roundTrip), u.Written()) }

// rate is how much goes in the time since the start, but for some.
func (u upload) rate(less time.Duration) int64 {
	return int64(max(time.Since(u.start)-less, 0) * perSecond / time.Second)
}

// A watch that has expired while something came is no death.
func TestByteThatComesWithTheTimeoutIsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		received := func() int64 { return int64(time.Since(start) / (5 * time.Second)) }
		h := overslept(t, received, upload{}, func() { t.Error("dead") })
		h.written(0)
		time.Sleep(6*time.Second + 1)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.stopped || h.watch.On() {
			t.Errorf("stopped: %v, watch on: %v", h.stopped, h.watch.On())
		}
	})
}

// overslept returns a heartbeat of a process that did not run for a minute. It
// moves the times back, since virtual time stops nobody. received and line are what its
// connection says of itself.
func overslept(t *testing.T, received func() int64, line peertime.Line, dead func()) *heartbeat {
	clock := peertime.New(-1)
	clock.SetLine(line)
	h := newHeartbeat(Config{}.withDefaults().Heartbeat, true, clock, received, dead, nil, nil)
	h.w = &waitingBeat{}
	h.start()
	t.Cleanup(h.stop)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = time.Now().Add(-time.Minute)
	return h
}

func nothing() int64 { return 0 }

// waitingBeat is what a writer has that never comes to it.
type waitingBeat struct {
	mu    sync.Mutex
	text  string
	ping  []byte
	beats int
}

func (w *waitingBeat) Beat(text string, ping []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text, w.ping = text, ping
	w.beats++
}

func (w *waitingBeat) SendPing([]byte) {}

// A peer is dead only if the watch has expired and nothing has begun, come or ended since.
func TestWhoIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 6 * time.Second
		clock, start := peertime.New(-1), time.Now()
		defer clock.Close()
		var h *heartbeat
		alive := func(when string, received int64) {
			t.Helper()
			if h.isDead(received) {
				t.Errorf("dead, %s", when)
			}
		}
		expired := func() int64 {
			if time.Since(start) == timeout {
				alive("though something has come", 1)
				h.stopped = true
				alive("though the heartbeat has ended", 0)
				h.stopped = false
			}
			return 0
		}
		var died time.Duration
		h = newHeartbeat(Heartbeat{Interval: timeout, Timeout: timeout}, true, clock, expired, func() { died = time.Since(start) }, nil, nil)
		h.ticker = time.AfterFunc(time.Hour, func() {})
		alive("without a watch", 0)
		h.written(0)
		alive("while the watch is on", 0)
		time.Sleep(timeout)
		synctest.Wait()
		if died != timeout || !h.stopped {
			t.Errorf("dead after %v", died)
		}
		alive("once more", 0)
	})
}

// A beat with nothing in it is not written: without text, while the reader waits for callbacks.
func TestBeatWithNothingInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := peertime.New(-1)
		defer clock.Close()
		h := newHeartbeat(Heartbeat{Interval: time.Second, Timeout: time.Second, NoText: true}, true, clock, nothing, nil, nil, nil)
		w := &waitingBeat{}
		h.w = w
		h.start()
		defer h.stop()
		h.stalling(true)
		time.Sleep(2500 * time.Millisecond)
		h.now()
		synctest.Wait()
		if w.beats != 0 {
			t.Errorf("%d beats", w.beats)
		}
		h.stalling(false)
		h.now()
		synctest.Wait()
		if w.beats != 1 || w.ping == nil || w.text != "" {
			t.Errorf("%d beats, of %q and %q", w.beats, w.text, w.ping)
		}
	})
}

// Nothing is sent by a heartbeat that has ended, also not at once.
func TestHeartbeatThatHasEndedDoesNotBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := peertime.New(-1)
		defer clock.Close()
		h := newHeartbeat(Heartbeat{Interval: time.Second, Timeout: time.Second}, true, clock, func() int64 { return 0 },
			func() { t.Error("the peer is taken for dead") }, nil, nil)
		h.now() // it has not begun
		h.ticker = time.AfterFunc(time.Hour, func() {})
		h.stop()
		h.now()
		if len(h.sent) != 0 {
			t.Errorf("%d pings", len(h.sent))
		}
	})
}

// Who gives up a ping takes that one back, and no other; an answered one is not there any more.
func TestForgottenPings(t *testing.T) {
	h := &heartbeat{sent: []pingSent{{seq: 3}, {seq: 4}, {seq: 6}}}
	for _, test := range []struct {
		seq  uint64
		want bool
		left []uint64
	}{{4, true, []uint64{3, 6}}, {4, false, []uint64{3, 6}}, {5, false, []uint64{3, 6}}, {6, true, []uint64{3}}, {3, true, nil}} {
		got := h.forget(test.seq)
		var left []uint64
		for _, p := range h.sent {
			left = append(left, p.seq)
		}
		if got != test.want || !slices.Equal(left, test.left) {
			t.Errorf("%d: %v, and %d are left", test.seq, got, left)
		}
	}
}
