package peertime

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// line is a connection on which the host of the peer acknowledges perSecond of
// the bytes that wait, one round trip after they were written at the earliest.
type line struct {
	start     time.Time
	writes    func(time.Duration) int64 // in all, since start
	perSecond float64
	roundTrip time.Duration
}

func (l *line) Acknowledged() int64 {
	past := time.Since(l.start) - l.roundTrip
	if past < 0 {
		return 0
	}
	return min(int64(past.Seconds()*l.perSecond), l.writes(past))
}

func (l *line) Written() int64 { return l.writes(time.Since(l.start)) }

// stop has the process of c stopped for d: virtual time stops nobody.
func (c *Clock) stop(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began = c.began.Add(-d)
}

// suspend has the machine of c suspended for d, which only the wall clock shows.
func (c *Clock) suspend(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall -= int64(d)
}

const timeout = 6 * time.Second

// inBubble runs f with a clock and a watch that is on.
func inBubble(t *testing.T, stops int, f func(c *Clock, w *Watch, expired func() time.Duration)) {
	t.Helper()
	onLine(t, stops, nil, 0, f)
}

// onLine is inBubble on a line that is measured, up to a mark.
func onLine(t *testing.T, stops int, l *line, mark int64, f func(c *Clock, w *Watch, expired func() time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start, over := time.Now(), make(chan time.Duration, 1)
		c := New(stops)
		if l != nil {
			l.start = start
			c.SetLine(l)
		}
		w := c.Watch(timeout, func() { over <- time.Since(start) })
		w.Start(mark)
		f(c, &w, func() time.Duration {
			select {
			case d := <-over:
				return d
			case <-time.After(time.Hour):
				return -1
			}
		})
		if w.Stop(); c.due != 0 && len(c.meters) == 0 || len(c.watches) != 0 {
			t.Error("its timer still runs")
		}
	})
}

// wantBetween says when the watch should have expired.
func wantBetween(t *testing.T, got, from, to time.Duration) {
	t.Helper()
	if got < from || got > to {
		t.Errorf("expired after %v, expected %v to %v", got, from, to)
	}
}

func TestWatchExpiresAfterItsTimeout(t *testing.T) {
	inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
		wantBetween(t, expired(), timeout, timeout)
		if w.On() || w.Stop() {
			t.Error("it does not say that it has expired")
		}
	})
}

func TestStoppedWatchNeverExpires(t *testing.T) {
	inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
		time.Sleep(timeout - 1)
		if !w.Stop() || expired() >= 0 || !w.Stop() {
			t.Error("it has expired")
		}
	})
}

// A Watch without a timeout is never on, never pending, and always in time.
func TestWatchWithoutATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, none := range []time.Duration{0, -1} {
			c := New(0)
			w := c.Watch(none, func() { t.Error("it has expired") })
			w.Start(0)
			time.Sleep(time.Hour)
			if w.On() || w.Pending() || !w.Stop() {
				t.Errorf("with a timeout of %v it is on: %v, pending: %v", none, w.On(), w.Pending())
			}
			c.Close()
		}
	})
}

// What a Watch says of itself: on until it expires or is stopped, pending until it is stopped.
func TestWatchSaysWhatItDoes(t *testing.T) {
	inBubble(t, 0, func(_ *Clock, w *Watch, expired func() time.Duration) {
		want := func(when string, on, pending bool) {
			t.Helper()
			if w.On() != on || w.Pending() != pending {
				t.Errorf("%s it is on: %v, pending: %v", when, w.On(), w.Pending())
			}
		}
		want("at first", true, true)
		for range 2 {
			if !w.Stop() {
				t.Error("it has expired")
			}
			want("stopped", false, false)
		}
		w.Start(0)
		expired()
		want("expired", false, true)
		if w.Stop() {
			t.Error("it was stopped in time")
		}
	})
}

// What came while the process was stopped may still have to be read.
func TestTimeInWhichTheProcessWasStoppedDoesNotCount(t *testing.T) {
	for name, stop := range map[string]func(*Clock, time.Duration){"stopped": (*Clock).stop, "suspended": (*Clock).suspend} {
		for _, before := range []time.Duration{0, 3 * time.Second, timeout - 1} {
			inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
				time.Sleep(before)
				stop(c, time.Minute)
				d := expired()
				t.Logf("%s after %v: expired %v after waking", name, before, d-before)
				wantBetween(t, d-before, time.Second, timeout+timeout/parts+maxGrace)
			})
		}
	}
}

// Whoever looks at the clock first after a stop, its timer or somebody else, finds
// the stop.
func TestStopIsFoundByWhoeverLooksFirst(t *testing.T) {
	inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
		m := c.Meter(timeout)
		time.Sleep(time.Second)
		c.stop(time.Minute)
		c.Pause(true)
		c.Pause(false)
		if d := m.Now(); d > time.Second {
			t.Errorf("the reading is %v", d)
		}
		wantBetween(t, expired(), timeout, timeout+timeout/parts+maxGrace)
	})
}

// A timer that is a little late shows a machine that is busy.
func TestLateTimerIsNoStop(t *testing.T) {
	inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
		time.Sleep(timeout - 1)
		c.stop(late / 2)
		wantBetween(t, expired(), timeout, timeout)
	})
}

// In a page that is hidden every timer is late.
func TestTimersThatAreAlwaysLateExcuseTwice(t *testing.T) {
	inBubble(t, 2, func(c *Clock, w *Watch, expired func() time.Duration) {
		for range 3 {
			if !w.On() {
				t.Fatal("it has expired")
			}
			c.stop(time.Minute)
			time.Sleep(timeout / parts)
			synctest.Wait()
		}
		if w.On() {
			t.Error("a third stop in a row was excused")
		}
		for range 2 {
			c.Alive()
			w.Start(0)
			c.stop(time.Minute)
			time.Sleep(timeout / parts)
			synctest.Wait()
			if !w.On() {
				t.Error("a stop was not excused after a sign of life")
			}
		}
	})
}

func TestTimeInWhichTheReaderWaitsDoesNotCount(t *testing.T) {
	inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
		time.Sleep(timeout - 1)
		c.Pause(true)
		time.Sleep(time.Minute)
		if !w.On() {
			t.Fatal("expired while the reader waited")
		}
		c.Pause(false)
		wantBetween(t, expired(), timeout+time.Minute+maxGrace, timeout+time.Minute+maxGrace)
	})
}

// A reader that waits again and again, for half of the time, does not excuse a peer
// that takes nothing.
func TestShortWaitsOfTheReaderAddUp(t *testing.T) {
	inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
		for range 10_000 {
			c.Pause(true)
			time.Sleep(10 * time.Millisecond)
			c.Pause(false)
			time.Sleep(10 * time.Millisecond)
			if !w.On() {
				break
			}
		}
		wantBetween(t, expired(), 2*timeout, 5*timeout)
	})
}

// What the peer's host acknowledges of what was written before the mark is a sign
// of life, and nothing behind it is.
func TestAcknowledgementsCountUpToTheMark(t *testing.T) {
	const perSecond = 1000
	for _, test := range []struct {
		name     string
		l        line
		mark     int64
		from, to time.Duration
	}{
		{"a slow upload of a minute", line{writes: func(time.Duration) int64 { return 60 * perSecond }, perSecond: perSecond}, 60 * perSecond, 64 * time.Second, 66 * time.Second},
		{"nothing is acknowledged", line{writes: func(time.Duration) int64 { return 1 << 20 }}, 1 << 20, timeout, timeout},
		{"small messages behind the mark", line{writes: steady(perSecond), perSecond: math.Inf(1), roundTrip: 100 * time.Millisecond}, 1, timeout, timeout},
		{"small messages on a long way", line{writes: steady(perSecond), perSecond: math.Inf(1), roundTrip: 5 * time.Second}, 1, timeout, timeout + 5*time.Second},
	} {
		onLine(t, -1, &test.l, test.mark, func(c *Clock, w *Watch, expired func() time.Duration) {
			d := expired()
			t.Logf("%s: %v", test.name, d)
			wantBetween(t, d, test.from, test.to)
		})
	}
}

// steady writes so many bytes in a second.
func steady(perSecond int64) func(time.Duration) int64 {
	return func(past time.Duration) int64 { return int64(past.Seconds() * float64(perSecond)) }
}

// A reading has no mark of its own, and tells a slow line from a peer that hangs all
// the same.
func TestMeterStandsStillWhileTheLineMoves(t *testing.T) {
	const span = 30 * time.Second
	for _, test := range []struct {
		name     string
		l        line
		from, to time.Duration // when the reading has come to span
	}{
		{"nothing to acknowledge", line{writes: func(time.Duration) int64 { return 0 }}, span, span},
		{"an upload of five minutes", line{writes: func(time.Duration) int64 { return 300_000 }, perSecond: 1000}, 5*time.Minute + span - 4*time.Second, 5*time.Minute + span},
		{"an upload without end", line{writes: func(d time.Duration) int64 { return int64(d.Seconds()*1000) + 100_000 }, perSecond: 1000}, 10 * time.Minute, 15 * time.Minute}, // longer than its bytes are on their way
		{"it moves once in 10 s", line{writes: func(time.Duration) int64 { return 300 }, perSecond: .1}, time.Hour / 2, math.MaxInt64},
		{"a link that dies in an upload", line{writes: func(time.Duration) int64 { return 300_000 }, perSecond: 0}, span, span},
		{"a peer that hangs while small messages are sent", line{writes: steady(3000), perSecond: math.Inf(1), roundTrip: 100 * time.Millisecond}, span, span},
		{"it hangs, on a long way", line{writes: steady(3000), perSecond: math.Inf(1), roundTrip: 6 * time.Second}, span, 2*span + 8*time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			test.l.start = time.Now()
			c := New(-1)
			c.SetLine(&test.l)
			m := c.Meter(span)
			first, last := m.Now(), time.Duration(0)
			for time.Since(test.l.start) < 2*time.Hour {
				now := m.Now()
				if now < last {
					t.Fatalf("%s: the reading went back from %v to %v", test.name, last, now)
				}
				if last = now; now-first >= span {
					break
				}
				time.Sleep(span - (now - first))
			}
			d := time.Since(test.l.start)
			t.Logf("%s: %v", test.name, d)
			wantBetween(t, d, test.from, test.to)
			time.Sleep(time.Hour)
			synctest.Wait()
			if c.due != 0 {
				t.Errorf("%s: the timer runs for ever", test.name)
			}
		})
	}
}

// A reading stands still with the clock.
func TestMeterStandsStillWithTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(-1)
		m := c.Meter(30 * time.Second)
		first := m.Now()
		c.Pause(true)
		time.Sleep(time.Minute)
		c.Pause(false)
		c.stop(time.Minute)
		time.Sleep(20 * time.Second)
		if d := m.Now() - first; d < 14*time.Second || d > 20*time.Second {
			t.Errorf("%v were read in 20 s", d)
		}
	})
}

// A short timeout is as exact beside a long one.
func TestMetersOfOneClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := line{writes: func(time.Duration) int64 { return 300_000 }, perSecond: 1000, start: time.Now()}
		c := New(-1)
		c.SetLine(&l)
		long, short := c.Meter(30*time.Second), c.Meter(2*time.Second)
		firstLong, first := long.Now(), short.Now()
		for short.Now()-first < 2*time.Second && time.Since(l.start) < time.Hour {
			time.Sleep(time.Second)
			long.Now()
		}
		wantBetween(t, time.Since(l.start), 5*time.Minute, 5*time.Minute+4*time.Second)
		for long.Now()-firstLong < 30*time.Second && time.Since(l.start) < time.Hour {
			time.Sleep(time.Second)
		}
		wantBetween(t, time.Since(l.start), 5*time.Minute+26*time.Second, 5*time.Minute+32*time.Second)
		time.Sleep(time.Hour)
		synctest.Wait()
		if c.due != 0 || len(c.meters) != 0 {
			t.Error("the timer runs for ever")
		}
	})
}
