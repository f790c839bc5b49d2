package peertime

import (
	"math"
	"sync/atomic"
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
	dies      time.Duration // after start; 0: never
}

func (l *line) Acknowledged() int64 {
	past := time.Since(l.start) - l.roundTrip
	if l.dies > 0 {
		past = min(past, l.dies)
	}
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

// next is when the timer is due; 0 if it does not run.
func (c *Clock) next() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.due
}

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
		w.Stop()
		if synctest.Wait(); len(c.watches) != 0 || len(c.meters) == 0 && (c.next() != 0 || c.timer != nil && c.timer.Stop()) {
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
		// The stop is found when the timer fires, at the next eighth of the timeout or when it is over. From then on,
		// the grace period does not count.
		for before, want := range map[time.Duration]time.Duration{0: 7750 * time.Millisecond, 3 * time.Second: 4750 * time.Millisecond, timeout - 1: 1750*time.Millisecond + 1} {
			inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
				time.Sleep(before)
				stop(c, time.Minute)
				if d := expired() - before; d != want {
					t.Errorf("%s after %v: expired %v after waking, expected %v", name, before, d, want)
				}
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
		if c.stops != 1 {
			t.Errorf("it counts as %d stops", c.stops)
		}
		wantBetween(t, expired(), timeout, timeout+timeout/parts+maxGrace)
	})
	inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
		m := c.Meter(timeout)
		m.Now()
		c.stop(time.Minute)
		m.Now()
		m.Now()
		if c.stops != 1 {
			t.Errorf("it counts as %d stops", c.stops)
		}
	})
}

// A timer that is a little late shows a machine that is busy.
func TestLateTimerIsNoStop(t *testing.T) {
	for _, stop := range []func(*Clock, time.Duration){(*Clock).stop, (*Clock).suspend} {
		inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
			time.Sleep(timeout - 1)
			stop(c, late)
			wantBetween(t, expired(), timeout, timeout)
		})
		inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
			time.Sleep(timeout - 1)
			stop(c, late+1)
			wantBetween(t, expired(), timeout+late/2, timeout+timeout/parts+maxGrace)
		})
	}
}

func TestClockThatExcusesNoStop(t *testing.T) {
	inBubble(t, 0, func(c *Clock, w *Watch, expired func() time.Duration) {
		c.stop(time.Minute)
		wantBetween(t, expired(), timeout/parts, timeout/parts)
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

// To pause twice is to pause once, and what one pause has excused, no other excuses again.
func TestPausesAreNotCounted(t *testing.T) {
	inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
		c.Pause(true)
		time.Sleep(10 * time.Second)
		c.Pause(true)
		c.Pause(false)
		time.Sleep(timeout)
		c.Pause(false)
		if d := expired(); d != 10*time.Second+maxGrace+timeout {
			t.Errorf("expired after %v", d)
		}
	})
	inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
		c.Pause(true)
		time.Sleep(time.Second)
		c.Pause(false)
		if d := expired(); d != time.Second+time.Second/2+timeout { // half of it
			t.Errorf("expired after %v", d)
		}
	})
}

// A timer that was about to fire when the reader began to wait ends nothing.
func TestPauseAtTheLastMoment(t *testing.T) {
	inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
		time.Sleep(timeout - 1)
		c.stop(1)
		c.Pause(true)
		c.pulse()
		synctest.Wait()
		if !w.On() {
			t.Error("it has expired")
		}
	})
}

// After Close nothing expires, nothing is measured and no timer runs.
func TestClosedClock(t *testing.T) {
	inBubble(t, -1, func(c *Clock, w *Watch, expired func() time.Duration) {
		m, old := c.Meter(time.Second), c.Meter(time.Second)
		old.Now()
		c.Close()
		if c.next() != 0 || c.timer.Stop() {
			t.Error("the timer runs")
		}
		m.Now()
		old.Now()
		c.Pause(true)
		c.Pause(false)
		if c.next() != 0 || c.timer.Stop() || len(c.meters) != 0 || expired() >= 0 {
			t.Error("something is measured")
		}
		if !w.On() || !w.Stop() || w.On() {
			t.Error("it was stopped too late")
		}
	})
}

// Each of several watches has its own time, whichever began first, and from when it began: time before it, in which
// nothing was measured, is not its.
func TestWatchesOfOneClock(t *testing.T) {
	for _, timeouts := range [][]time.Duration{{3 * time.Second, 20 * time.Second}, {20 * time.Second, 3 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			c := New(0)
			var over [2]time.Time
			var list [2]Watch
			time.Sleep(time.Hour)
			start := time.Now()
			for i, d := range timeouts {
				list[i] = c.Watch(d, func() { over[i] = time.Now() })
				list[i].Start(0)
				time.Sleep(time.Second)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			for i, d := range timeouts {
				if got := over[i].Sub(start) - time.Duration(i)*time.Second; got != d {
					t.Errorf("the watch of %v among %v expired after %v", d, timeouts, got)
				}
			}
		})
	}
}

// The timer of a brief watch goes on when it is stopped; it ends nothing, and then it ends.
func TestBriefWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(-1)
		start, over := time.Now(), time.Duration(0)
		w := c.BriefWatch(timeout, func() { over = time.Since(start) })
		for range 3 {
			w.Start(0)
			if !w.Stop() || c.next() != timeout/parts {
				t.Errorf("the timer is due at %v", c.next())
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(timeout)
		if synctest.Wait(); over != 0 || c.next() != 0 {
			t.Errorf("expired after %v, the timer is due at %v", over, c.next())
		}
		start = time.Now()
		w.Start(0)
		time.Sleep(timeout)
		if synctest.Wait(); over != timeout {
			t.Errorf("expired after %v", over)
		}
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
// of life, and nothing behind it is. It is looked for in each eighth of the timeout, and may have come just behind the
// look before.
func TestAcknowledgementsCountUpToTheMark(t *testing.T) {
	const perSecond = 1000
	for _, test := range []struct {
		name string
		l    line
		mark int64
		want time.Duration
	}{
		{"a slow upload of a minute", line{writes: func(time.Duration) int64 { return 60 * perSecond }, perSecond: perSecond}, 60 * perSecond, 64500 * time.Millisecond},
		{"one that ends at the second look", line{writes: func(time.Duration) int64 { return 1500 }, perSecond: perSecond}, 1500, timeout},
		{"one that ends behind it", line{writes: func(time.Duration) int64 { return 1501 }, perSecond: perSecond}, 1501, timeout + timeout/parts},
		{"one that begins at the second look", line{writes: func(time.Duration) int64 { return 1 << 20 }, perSecond: 1e6, roundTrip: timeout / parts}, 1 << 20, timeout + timeout/parts},
		{"nothing is acknowledged", line{writes: func(time.Duration) int64 { return 1 << 20 }}, 1 << 20, timeout},
		{"small messages behind the mark", line{writes: steady(perSecond), perSecond: math.Inf(1), roundTrip: 100 * time.Millisecond}, 1, timeout},
		{"small messages on a long way", line{writes: steady(perSecond), perSecond: math.Inf(1), roundTrip: 5 * time.Second}, 1, timeout},
	} {
		onLine(t, -1, &test.l, test.mark, func(c *Clock, w *Watch, expired func() time.Duration) {
			if d := expired(); d != test.want {
				t.Errorf("%s: expired after %v, expected %v", test.name, d, test.want)
			}
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
		name string
		l    line
		want time.Duration // when the reading has come to span
	}{
		{"nothing to acknowledge", line{writes: func(time.Duration) int64 { return 0 }}, span},
		{"an upload of five minutes", line{writes: func(time.Duration) int64 { return 300_000 }, perSecond: 1000}, 5*time.Minute + 26250*time.Millisecond},
		{"an upload without end", line{writes: func(d time.Duration) int64 { return int64(d.Seconds()*1000) + 100_000 }, perSecond: 1000}, 13*time.Minute + 30*time.Second}, // longer than its bytes are on their way
		{"it moves once in 10 s", line{writes: func(time.Duration) int64 { return 300 }, perSecond: .1}, 50*time.Minute + 22500*time.Millisecond},
		{"a link that dies in an upload", line{writes: func(time.Duration) int64 { return 300_000 }, perSecond: 0}, span},
		{"one that dies after a minute of it", line{writes: func(time.Duration) int64 { return 300_000 }, perSecond: 1000, dies: time.Minute}, time.Minute + span},
		{"one that ends at the second look", line{writes: func(time.Duration) int64 { return 7500 }, perSecond: 1000}, span + span/parts},
		{"one that ends behind it", line{writes: func(time.Duration) int64 { return 7501 }, perSecond: 1000}, span + 2*span/parts},
		{"a peer that hangs while small messages are sent", line{writes: steady(3000), perSecond: math.Inf(1), roundTrip: 100 * time.Millisecond}, span},
		{"it hangs, on a long way", line{writes: steady(3000), perSecond: math.Inf(1), roundTrip: 6 * time.Second}, span},
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
				synctest.Wait() // the timer comes first
			}
			d := time.Since(test.l.start)
			if d != test.want {
				t.Errorf("%s: after %v, expected %v", test.name, d, test.want)
			}
			time.Sleep(span + span/parts - 1)
			runs := c.next() != 0
			time.Sleep(time.Nanosecond)
			if synctest.Wait(); !runs || c.next() != 0 || m.on {
				t.Errorf("%s: the timer does not run for as long as the next reading may be due, or longer", test.name)
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

type countedLine struct {
	line
	asked atomic.Int32
}

func (l *countedLine) Acknowledged() int64 {
	l.asked.Add(1)
	return l.line.Acknowledged()
}

// Readings ask the system nothing: the timer does, and the first of them. Many of them don't put it off. What has passed
// since it fired counts, and no reading goes back.
func TestReadingsAreCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &countedLine{line: line{writes: func(time.Duration) int64 { return 300_000 }, perSecond: 1000, start: time.Now()}}
		c := New(-1)
		c.SetLine(l)
		m := c.Meter(8 * time.Second)
		for range 10_000 {
			m.Now()
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		if l.asked.Load() != 11 || m.Now() != 999*time.Millisecond {
			t.Errorf("in 10 s the system was asked %d times, and the reading is %v", l.asked.Load(), m.Now())
		}
		c.Close()
	})
}

// A short timeout is as exact beside a long one.
func TestMetersOfOneClock(t *testing.T) {
	for _, shortFirst := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := line{writes: func(time.Duration) int64 { return 300_000 }, perSecond: 1000, start: time.Now()}
			c := New(-1)
			c.SetLine(&l)
			long, short := c.Meter(30*time.Second), c.Meter(2*time.Second)
			if shortFirst {
				short.Now()
			}
			long.Now()
			for short.Now() < 2*time.Second && time.Since(l.start) < time.Hour {
				time.Sleep(time.Second)
				synctest.Wait() // the timer comes first
				long.Now()
			}
			if d := time.Since(l.start); d != 5*time.Minute+2*time.Second {
				t.Errorf("short first %v: after %v", shortFirst, d)
			}
			for long.Now() < 30*time.Second && time.Since(l.start) < time.Hour {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if d := time.Since(l.start); d != 5*time.Minute+30*time.Second {
				t.Errorf("short first %v: the long one after %v", shortFirst, d)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if c.next() != 0 || len(c.meters) != 0 {
				t.Error("the timer runs for ever")
			}
		})
	}
}
