package peertime

import (
	"slices"
	"sync"
	"time"
)

const (
	// late is how late a timer fires at least when the process was stopped.
	late = 250 * time.Millisecond

	// maxGrace is how much longer the clock stands still after an excuse of at
	// least twice as long: what came meanwhile has to be read first.
	maxGrace = time.Second

	// parts is how often the timer fires during a timeout: a part of it is how
	// exactly an acknowledgement is timed, and how much of a stop may count.
	parts = 8
)

// Line is the way of a connection to its peer, in bytes since it began. Both are 0
// where the system does not tell.
type Line interface {
	Acknowledged() int64 // by the peer's host; it may ask the system
	Written() int64
}

// Clock is the peer time of one connection.
type Clock struct {
	mu      sync.Mutex
	line    Line
	began   time.Time
	at      time.Duration // since began: up to then time is accounted for
	wall    int64         // the wall clock then
	spent   time.Duration // peer time then
	grace   time.Duration // that does not count, from then on
	paused  bool
	away    time.Duration // how long it has been paused
	stops   int           // in a row
	excused int           // of those, at most; negative: all
	timer   *time.Timer
	due     time.Duration // of timer, since began; 0 if it does not run
	closed  bool
	watches []*Watch // that are on
	meters  []*Meter // likewise
}

// New returns a clock that excuses so many stops in a row; negative means any
// number. Where timers are late all the time, as in the page of a browser that is
// hidden, they show no stop.
func New(stops int) *Clock {
	t := time.Now()
	return &Clock{line: noLine{}, began: t, wall: t.UnixNano(), excused: stops}
}

// SetLine sets the line of the connection, before anything is measured.
func (c *Clock) SetLine(line Line) { c.line = line }

// noLine is the line of a connection that has none.
type noLine struct{}

func (noLine) Acknowledged() int64 { return 0 }
func (noLine) Written() int64      { return 0 }

// Mark is how much was written on the line.
func (c *Clock) Mark() int64 { return c.line.Written() }

// Pause stops the clock while the reader waits, and lets it go on.
func (c *Clock) Pause(paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account()
	if c.paused == paused {
		return
	}
	c.paused = paused
	if paused {
		c.away = 0
	} else {
		c.excuse(c.away)
	}
	c.arm()
}

// Alive says that the peer has given a sign of life, so that timers are not
// always late.
func (c *Clock) Alive() {
	c.mu.Lock()
	c.stops = 0
	c.mu.Unlock()
}

// excuse gives the reader time to read what came while nobody counted. mu is
// held.
func (c *Clock) excuse(d time.Duration) { c.grace = max(c.grace, min(d/2, maxGrace)) }

// account adds the time since the last call to what is spent. mu is held.
func (c *Clock) account() {
	t := time.Now()
	now, wall := t.Sub(c.began), t.UnixNano()
	past := now - c.at
	stepped := time.Duration(wall-c.wall) - past
	c.at, c.wall = now, wall
	if c.due > 0 && max(now-c.due, stepped) > late {
		c.due = now // its timer is about to fire
		if c.stops++; c.excused < 0 || c.stops <= c.excused {
			c.excuse(max(past, stepped))
			return
		}
	}
	if c.paused {
		c.away += past
		return
	}
	free := min(past, c.grace)
	c.grace -= free
	c.spent += past - free
}

// Close ends all that is measured. Nothing expires any more.
func (c *Clock) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.watches, c.meters = true, nil, nil
	c.arm()
}

// arm sets the timer to when something has to be checked. mu is held.
func (c *Clock) arm() {
	wait := time.Duration(-1)
	if !c.paused {
		for _, w := range c.watches {
			pulse := min(w.timeout-(c.spent-w.since)+c.grace, max(w.timeout/parts, time.Millisecond))
			if wait < 0 || pulse < wait {
				wait = pulse
			}
		}
		for _, m := range c.meters {
			if wait < 0 || m.span/parts < wait {
				wait = max(m.span/parts, time.Millisecond)
			}
		}
	}
	switch {
	case wait < 0:
		if c.due > 0 {
			c.due = 0
			c.timer.Stop()
		}
	case c.timer == nil:
		c.due = c.at + wait
		c.timer = time.AfterFunc(wait, c.pulse)
	case c.due == 0 || c.due > c.at+wait:
		c.due = c.at + wait
		c.timer.Reset(wait)
	}
}

// pulse checks everything that is measured.
func (c *Clock) pulse() {
	acknowledged := c.line.Acknowledged()
	written := c.line.Written()
	var expired []func()
	c.mu.Lock()
	c.account()
	c.due = 0
	c.watches = slices.DeleteFunc(c.watches, func(w *Watch) bool {
		w.see(acknowledged)
		if c.paused || c.spent-w.since < w.timeout {
			return false
		}
		w.on, w.over = false, true
		expired = append(expired, w.expired)
		return true
	})
	c.meters = slices.DeleteFunc(c.meters, func(m *Meter) bool {
		m.see(acknowledged, written)
		return !m.on
	})
	c.arm()
	c.mu.Unlock()
	for _, f := range expired {
		f()
	}
}

// Watch waits for a sign of the peer's life for a timeout of peer time.
type Watch struct {
	c       *Clock
	timeout time.Duration
	expired func()
	brief   bool

	on    bool
	over  bool          // it has expired
	since time.Duration // when it began, or the latest sign of life
	seen  time.Duration // when it was last looked for one
	mark  int64         // acknowledgements are signs of life until all of it is acknowledged
	acked int64         // negative: nobody has asked since it began
}

// BriefWatch is Watch for one that is on again and again, and mostly briefly: the
// timer, which costs as much as a small write, goes on when it is off.
func (c *Clock) BriefWatch(timeout time.Duration, expired func()) Watch {
	return Watch{c: c, timeout: timeout, expired: expired, brief: true}
}

// Watch returns one that is off. It calls expired when it is over, on a
// goroutine of its own, and is off then. One whose timeout is not positive is
// never on.
func (c *Clock) Watch(timeout time.Duration, expired func()) Watch {
	return Watch{c: c, timeout: timeout, expired: expired}
}

// Start begins anew. Until mark bytes are acknowledged, it is a sign of life that
// more are than when the timer first fired: to ask the system at once, for each
// heartbeat, takes a fifth of what an idle client costs.
func (w *Watch) Start(mark int64) {
	if w.timeout <= 0 {
		return
	}
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account()
	w.over, w.since, w.seen, w.acked, w.mark = false, c.spent, c.spent, -1, mark
	if !w.on {
		w.on = true
		c.watches = append(c.watches, w)
	}
	c.arm()
}

// Stop ends it, and reports false if it has expired since Start.
func (w *Watch) Stop() (inTime bool) {
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.on {
		return !w.over
	}
	w.on = false
	if i := slices.Index(c.watches, w); i >= 0 { // else the clock is closed
		c.watches = slices.Delete(c.watches, i, i+1)
	}
	if !w.brief {
		c.arm()
	}
	return true
}

// On reports whether it waits.
func (w *Watch) On() bool {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.on
}

// Pending reports whether it waits, or has expired since it began.
func (w *Watch) Pending() bool {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.on || w.over
}

// see notes what is acknowledged. When that is all up to the mark, it shows no
// more than a host that lives. The clock's mu is held.
func (w *Watch) see(acknowledged int64) {
	if acknowledged > w.acked {
		w.acked = acknowledged
		if acknowledged < w.mark {
			w.since = w.seen // at the latest: it may have been silent since; at first, when it began
		}
	}
	w.seen = w.c.spent
}

// Meter is peer time as a reading, for those who measure many things at once,
// as an outbox does its unacknowledged messages. It can't have a mark for each
// of them, so it sets one after another: when a mark is acknowledged, time counts,
// and the next mark is what has been written by then. So it stands still while a
// slow line moves, and not for a peer that hangs while its host acknowledges one
// small message after another.
type Meter struct {
	c     *Clock
	span  time.Duration
	on    bool          // it is among the meters
	until time.Duration // of the clock: nobody measures any more
	mark  int64
	acked int64
	from  time.Duration // of the clock: what counted before it stays counted
	still time.Duration // in all, of the clock's time
	shown time.Duration // the latest reading
}

// Meter returns one that is off. span is the longest time that is measured by it.
func (c *Clock) Meter(span time.Duration) *Meter {
	return &Meter{c: c, span: max(span, time.Millisecond)}
}

// Now returns a reading, which never goes back.
func (m *Meter) Now() time.Duration {
	c := m.c
	c.mu.Lock()
	defer c.mu.Unlock()
	var acknowledged, written int64
	if !m.on {
		c.mu.Unlock() // not held over the question to the system
		acknowledged, written = c.line.Acknowledged(), c.line.Written()
		c.mu.Lock()
	}
	c.account()
	if !m.on && !c.closed {
		c.meters = append(c.meters, m)
		m.on, m.from, m.acked, m.mark = true, c.spent, acknowledged, written
	}
	m.until = c.spent + m.span + m.span/parts // behind the reading that is due then
	c.arm()
	m.shown = max(m.shown, c.spent-m.still)
	return m.shown
}

// see notes what is acknowledged. The clock's mu is held.
func (m *Meter) see(acknowledged, written int64) {
	spent := m.c.spent
	if acknowledged > m.acked {
		m.acked = acknowledged
		if acknowledged < m.mark {
			m.still += spent - m.from
			m.from = spent
		}
	}
	if acknowledged >= m.mark {
		m.mark, m.from = written, spent
	}
	if spent >= m.until {
		m.on = false
	}
}
