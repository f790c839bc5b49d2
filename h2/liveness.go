package h2

import (
	"encoding/binary"
	"time"
)

// liveness is what is known of whether the server still answers. A client that
// gives up on its stream may mean the stream or the whole connection: a PING
// tells, and until it is answered no stream is opened. The connection's lock
// guards it.
type liveness struct {
	asked    time.Time // zero: no PING is under way
	suspect  bool      // it has not been answered for long
	seq      uint64    // of the latest
	answered time.Time // when the latest answer came
	timer    *time.Timer
	due      time.Time // when it fires
	stopped  bool
}

const (
	// askAgain is how long an answer counts.
	askAgain = time.Second

	// suspectAfter is how long a new stream waits for the answer before another
	// connection is dialled.
	suspectAfter = time.Second

	// deadAfter is when a connection without an answer is closed. While other
	// things come, the answer may be behind them, and there is time until
	// deadAtLast.
	deadAfter  = 5 * time.Second
	deadAtLast = 60 * time.Second

	// quietFor is how long nothing may have come from a connection that is used
	// for a new stream without a PING before.
	quietFor = 15 * time.Second
)

// ask sends a PING, unless one is under way or was answered just now. c is
// locked.
func (c *conn) ask() {
	a := &c.alive
	now := time.Now()
	if a.stopped || !a.asked.IsZero() || !a.answered.IsZero() && now.Sub(a.answered) < askAgain {
		return
	}
	a.asked = now
	a.seq++
	c.outbound.framer.WritePing(false, a.payload())
	c.outbound.wake()
	a.due = now.Add(suspectAfter)
	if a.timer == nil {
		a.timer = time.AfterFunc(suspectAfter, c.unanswered)
	} else {
		a.timer.Reset(suspectAfter)
	}
}

// again sets the timer anew.
func (a *liveness) again() {
	a.due = time.Now().Add(deadAfter - suspectAfter)
	a.timer.Reset(deadAfter - suspectAfter)
}

func (a *liveness) payload() (p [8]byte) {
	binary.BigEndian.PutUint64(p[:], a.seq)
	return p
}

// answer reports whether p answers the PING that is under way.
func (a *liveness) answer(p [8]byte) bool {
	if a.asked.IsZero() || p != a.payload() {
		return false
	}
	a.asked, a.answered, a.suspect = time.Time{}, time.Now(), false
	a.timer.Stop()
	return true
}

func (a *liveness) stop() {
	a.stopped = true
	if a.timer != nil {
		a.timer.Stop()
	}
}

// unanswered is called when a PING has not been answered for a while.
func (c *conn) unanswered() {
	c.mu.Lock()
	a := &c.alive
	waited := time.Since(a.asked)
	heard := time.Since(time.Unix(0, c.lastRead.Load())) < deadAfter-suspectAfter
	stopped := time.Since(a.due) > time.Second // this process was, and the answer may be here
	dead := false
	switch {
	case a.stopped, a.asked.IsZero(): // meanwhile
	case !a.suspect:
		a.suspect = true
		c.pool.changed.notify() // who waits for the answer had better dial
		a.again()
	case stopped, heard && waited < deadAtLast:
		a.again()
	default:
		dead = true
	}
	c.mu.Unlock()
	if dead {
		c.fail(&unansweredError{waited.Round(time.Millisecond)})
	}
}

// quiet reports whether nothing has come for so long that the connection may
// be dead.
func (c *conn) quiet() bool {
	return time.Since(time.Unix(0, c.lastRead.Load())) > quietFor
}
