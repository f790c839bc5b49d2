package model

import (
	"fmt"
	"time"
)

// model says what a client must do, in the plainest way: every step of a
// script and every event changes some variables and writes into the journal
// what callbacks are to be run. It knows nothing of goroutines, frames or
// sockets.
type model struct {
	// The client's Config.
	delay   time.Duration
	retries int // negative: no limit
	stable  time.Duration
	store   bool // the envelope is the store's
	box     modelBox

	now     time.Duration
	journal []string
	results []string // of Connect and Run

	// The server.
	up         bool
	handshakes []handshake // what will become of the next ones; then they succeed
	seen       []*peer     // connections, in order

	// The client.
	phase     phase
	begun     bool  // at all
	call      *call // under way
	opened    int   // connections
	attempts  int   // since the counter was reset
	dials     int   // likewise
	scheduled time.Duration
	gaveUp    bool
	err       string
	closeErr  string
	why       string // a Run that lost something ended
	conn      *peer
	received  int
}

// phase is what the client is doing.
type phase string

const (
	off     phase = "off"
	dials   phase = "dials"
	isOpen  phase = "is open"
	waiting phase = "waits"
)

// handshake is what becomes of one: refused with a status, or hanging.
type handshake struct {
	status int // 0: hangs
	after  time.Duration
}

// call is a Connect or a Run.
type call struct {
	name  string
	stays bool // Run
	done  bool // has returned
}

// peer is a connection as the server sees it.
type peer struct {
	opened time.Duration
	beats  int           // so far
	watch  time.Duration // when silence ends the connection; noTime
	hole   bool          // nothing arrives, in either direction
	upward []string      // messages that are in the hole, and beats as ""
	down   []string      // notifications that are
	got    []string
	code   int // of the close frame; 1006: none came; inHole: it can't tell
	stable bool
}

const (
	inHole = -1
	noType = "no type" // the text of a message that has none

	noTime       = time.Duration(1 << 62)
	beatEvery    = 6 * time.Second
	lifeWithin   = 6 * time.Second
	dialWithin   = 10 * time.Second
	closeWithin  = 5 * time.Second
	answerWithin = 500 * time.Millisecond
)

func (m *model) note(format string, args ...any) {
	m.journal = append(m.journal, fmt.Sprintf("%v ", m.now)+fmt.Sprintf(format, args...))
}

// pass lets time go by, event after event.
func (m *model) pass(d time.Duration) {
	for end := m.now + d; ; {
		at, event := m.next()
		if at > end {
			m.now = end
			return
		}
		m.now = at
		event()
	}
}

// next returns what happens by itself, and when.
func (m *model) next() (at time.Duration, event func()) {
	at = noTime
	earlier := func(t time.Duration, f func()) {
		if t < at {
			at, event = t, f
		}
	}
	switch m.phase {
	case waiting:
		earlier(m.scheduled, m.dial)
	case dials:
		earlier(m.scheduled, func() { m.failed("timeout", 0) })
	case isOpen:
		c := m.conn
		earlier(c.watch, func() { m.broke("error heartbeat") })
		earlier(c.opened+time.Duration(c.beats+1)*beatEvery, m.beat)
		if m.stable > 0 && !c.stable {
			earlier(c.opened+m.stable, func() { c.stable = true; m.attempts, m.dials = 0, 0 })
		}
	}
	m.box.next(m, earlier)
	return at, event
}

func (m *model) beat() {
	c := m.conn
	c.beats++
	if c.hole {
		c.upward = append(c.upward, "")
		c.watch = min(c.watch, m.now+lifeWithin)
	}
}

// begin is Connect or Run.
func (m *model) begin(c *call) {
	m.end(1000, "")
	m.finish("ErrClosed")
	m.begun, m.call = true, c
	m.gaveUp, m.err, m.closeErr = false, "", ""
	m.box.begin(m)
	m.attempts, m.dials = 0, 0
	m.dial()
}

func (m *model) dial() {
	m.dials++
	m.note("CONNECTING")
	m.phase, m.scheduled = dials, m.now+dialWithin
	switch {
	case !m.up:
		m.failed("dial", 0)
	case len(m.handshakes) == 0:
		m.open()
	default:
		h := m.handshakes[0]
		m.handshakes = m.handshakes[1:]
		if h.status != 0 {
			m.failed(fmt.Sprint("handshake ", h.status), h.after)
		}
	}
}

func (m *model) open() {
	m.opened++
	m.phase = isOpen
	if m.stable == 0 {
		m.attempts, m.dials = 0, 0
	}
	m.note("OPEN")
	m.note("open %d", m.opened)
	m.conn = &peer{opened: m.now, watch: noTime}
	m.seen = append(m.seen, m.conn)
	if !m.call.done && !m.call.stays {
		m.returns("nil")
	}
	m.box.open(m)
}

// write gives a message to the connection.
func (m *model) write(text string) {
	if m.conn.hole {
		m.conn.upward = append(m.conn.upward, text)
	} else {
		m.conn.got = append(m.conn.got, text)
	}
}

func (m *model) returns(result string) {
	m.call.done = true
	m.results = append(m.results, m.call.name+": "+result)
}

// failed is an attempt that came to nothing.
func (m *model) failed(why string, after time.Duration) {
	m.note("CLOSED")
	m.note("error %s", why)
	m.again("", after)
}

// broke is a connection that ended without a close frame.
func (m *model) broke(report string) {
	m.note("CLOSED")
	m.box.parted(m)
	if report != "" {
		m.note("%s", report)
	}
	m.conn.lose()
	m.again(m.closing(1006, "", false), 0)
}

// closing is the line of an OnClose without its end.
func (m *model) closing(code int, reason string, clean bool) string {
	m.conn = nil
	return fmt.Sprintf("close %d code=%d reason=%q clean=%v again=", m.opened, code, reason, clean)
}

// lose is the end of a connection without a close frame.
func (c *peer) lose() {
	c.code = 1006
	if c.hole {
		c.code = inHole
	}
}

// again asks the policy, and waits or gives up.
func (m *model) again(closing string, after time.Duration) {
	more := m.retries < 0 || m.attempts < m.retries
	if closing != "" {
		m.note("%s%v", closing, more)
	}
	if !more {
		m.note("give up after %d", m.dials)
		m.gaveUp, m.err = true, "gave up"
		m.box.ending = m.box.reported
		m.finish("gave up")
		return
	}
	m.attempts++
	wait := max(m.delay, after)
	if after < 0 {
		wait = 0 // Reconnect
	}
	m.note("reconnect %d in %v", m.attempts, wait)
	m.phase, m.scheduled = waiting, m.now+wait
	if wait == 0 {
		m.dial()
	}
}

// stop is the server's going away.
func (m *model) stop() {
	m.up = false
	switch m.phase {
	case dials:
		m.failed("dial", 0)
	case isOpen:
		m.broke("")
	}
}

// end is what Close does until the client is closed.
func (m *model) end(code int, reason string) {
	m.box.ending = m.box.reported
	switch m.phase {
	case dials:
		m.note("CLOSING")
		m.note("CLOSED")
	case isOpen:
		m.note("CLOSING")
		if c := m.conn; c.hole {
			m.hush(closeWithin)
			c.lose()
			m.closeErr = "other"
			m.box.parted(m)
			m.note("CLOSED")
			m.note("%s", m.closing(1006, "", false)+"false")
		} else {
			c.code = code
			m.box.parted(m)
			m.note("CLOSED")
			m.note("%s", m.closing(code, reason, true)+"false")
		}
	}
	m.attempts = 0
}

// hush waits for an answer out of a hole, which is the end of the watch at the latest.
func (m *model) hush(within time.Duration) {
	end := m.now + within
	for m.conn.watch > m.conn.opened+time.Duration(m.conn.beats+1)*beatEvery && m.conn.opened+time.Duration(m.conn.beats+1)*beatEvery < end {
		m.now = m.conn.opened + time.Duration(m.conn.beats+1)*beatEvery
		m.beat()
	}
	m.now = min(end, m.conn.watch)
}

// finish is the end of a Connect or Run. The outbox tells what it still holds.
func (m *model) finish(result string) {
	if m.call == nil {
		return
	}
	m.phase = off
	m.box.finish(m)
	unsent, unconfirmed := m.box.reported[0]-m.box.ending[0], m.box.reported[1]-m.box.ending[1]
	if m.call.stays && unsent+unconfirmed > 0 { // a Run that lost something says so
		if result == "nil" {
			result = m.why
		}
		result = lostText(unsent, unconfirmed, result)
		m.err = result
	}
	if !m.call.done {
		m.returns(result)
	}
	m.call = nil
}

// close is Close or Disconnect.
func (m *model) close(code int, reason string) (err string) {
	if m.call == nil {
		m.attempts = 0
		return ""
	}
	m.end(code, reason)
	m.why = "ErrClosed"
	result := "ErrClosed"
	if m.call != nil && m.call.stays {
		result = "nil"
	}
	m.finish(result)
	return m.closeErr
}

// drain is Drain. Callbacks take no time here, and a socket takes everything, so
// that something is left only where there is no connection.
func (m *model) drain() (err string) {
	if m.call == nil || m.phase == isOpen || m.box.stores {
		return m.close(1000, "")
	}
	m.end(1000, "")
	m.why = "ErrNotConnected"
	result := "ErrClosed"
	if m.call.stays {
		result = "nil"
	}
	m.finish(result)
	if unsent, unconfirmed := m.box.reported[0]-m.box.ending[0], m.box.reported[1]-m.box.ending[1]; unsent+unconfirmed > 0 {
		return lostText(unsent, unconfirmed, m.why)
	}
	return m.closeErr
}

// lostText is a DrainError.
func lostText(unsent, unconfirmed int, why string) string {
	return fmt.Sprintf("%d not sent, %d not confirmed: %s", unsent, unconfirmed, why)
}

// cancel ends the context of the latest Connect or Run.
func (m *model) cancel() {
	if m.call == nil || m.call.done {
		return
	}
	m.end(1000, "")
	m.err = "canceled"
	m.finish("canceled")
}

// reconnect is Reconnect.
func (m *model) reconnect() (err string) {
	switch m.phase {
	case off:
		if !m.begun {
			return "ErrNotConnected"
		}
		return "ErrClosed"
	case waiting:
		m.dial()
	case isOpen:
		c := m.conn
		m.note("CLOSED")
		if c.hole {
			m.hush(answerWithin)
			c.lose()
			m.box.parted(m)
			m.again(m.closing(1006, "", false), -1)
		} else {
			c.code = 1000
			m.box.parted(m)
			m.again(m.closing(1000, "", true), -1)
		}
	}
	return ""
}

func (m *model) sendMessage(text string) (err string) {
	switch {
	case m.box.refuses:
		return "ErrClosed"
	case m.phase != isOpen:
		return "ErrNotConnected"
	}
	m.box.sent++
	m.write(text)
	return ""
}

// notify is a notification of the server.
func (m *model) notify(text string) {
	if m.conn.hole {
		m.conn.down = append(m.conn.down, text)
	} else {
		m.arrives(text)
	}
}

func (m *model) arrives(text string) {
	m.received++
	switch {
	case text == noType && !m.store:
		m.note("notification : ")
	case m.store && (text == noType || text == ""):
		m.note("notification 您有新的通知: 您有新的通知，请前往消息列表查看")
	default:
		m.note("notification news: %s", text)
	}
}

// lift ends a hole: what was in it arrives.
func (m *model) lift() {
	c := m.conn
	c.hole = false
	if len(c.down) > 0 {
		c.watch = noTime
	}
	for _, text := range c.upward {
		if text == "" {
			c.watch = noTime // a pong comes
		} else {
			c.got = append(c.got, text)
		}
	}
	for _, text := range c.down {
		m.arrives(text)
	}
	c.upward, c.down = nil, nil
}

// serverCloses is a close frame of the server, and the answer.
func (m *model) serverCloses(code int, reason string) {
	m.conn.code = code
	m.note("CLOSED")
	m.box.parted(m)
	m.again(m.closing(code, reason, true), 0)
}

// serverErrs is a frame that must not be.
func (m *model) serverErrs() {
	c := m.conn
	m.broke("error violation")
	c.code = 1002
}
