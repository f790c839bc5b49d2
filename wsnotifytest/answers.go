package wsnotifytest

import "time"

// habits is how the server behaves on connections, which can be said of everybody, of a user and of
// a connection: it is part of a Server, a User and a Conn.
type habits struct {
	s  *Server
	on func(change func(*manner))
}

// AnswerPings says whether protocol pings are answered with pongs; they are by default. This and the
// next four are methods of Server, User and Conn. What was said of a Conn beats what was said of its
// User, and that beats the Server.
func (h *habits) AnswerPings(on bool) { h.on(func(m *manner) { m.pings = &on }) }

// AnswerText is the reply to the text message "ping"; "" means none and is the default.
func (h *habits) AnswerText(reply string) { h.on(func(m *manner) { m.text = &reply }) }

// AnswerClose says whether a close frame is echoed and the socket then closed; it is by default.
func (h *habits) AnswerClose(on bool) { h.on(func(m *manner) { m.closes = &on }) }

// Latency is how long a byte takes from one end to the other, in either direction, on the connections
// that are there and those to come. A line that becomes faster delivers nothing before what is already
// on its way. In memory the dial of a Server with a latency takes twice as long.
func (h *habits) Latency(d time.Duration) {
	h.s.tb.Helper()
	if d < 0 {
		h.s.misuse("Latency(%v) is negative", d)
		return
	}
	h.on(func(m *manner) { m.latency = &d })
}

// BytesPerSecond limits each direction of the connections that are there and those to come; 0 ends it.
// Frames' headers count, and so does TLS.
func (h *habits) BytesPerSecond(rate int) {
	h.s.tb.Helper()
	if rate < 0 {
		h.s.misuse("BytesPerSecond(%d) is negative", rate)
		return
	}
	h.on(func(m *manner) { m.rate = &rate })
}

// A manner is what was said of a connection, of a user or of everybody; nil where nothing was.
type manner struct {
	pings, closes *bool
	text          *string
	latency       *time.Duration
	rate          *int
}

// setting returns what the first of levels says that says anything, or else usual.
func setting[T any](usual T, levels []*manner, what func(*manner) *T) T {
	for _, m := range levels {
		if v := what(m); v != nil {
			return *v
		}
	}
	return usual
}

// shape makes a link as slow as levels and the server say. Called with s.mu held.
func (s *Server) shape(l *link, levels ...*manner) {
	levels = append(levels, &s.manner)
	l.shape(setting(l.base.latency, levels, func(m *manner) *time.Duration { return m.latency }),
		setting(l.base.bytesPerSec, levels, func(m *manner) *int { return m.rate }))
}

// change is how the habits of a connection change.
func (c *Conn) change(f func(*manner)) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	f(&c.manner)
	c.s.shape(c.sock.pipe.l, c.levels()...)
}

// change is how the habits of a user, or of all, change.
func (u *User) change(f func(*manner)) {
	s := u.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.all {
		f(&s.manner)
	} else {
		f(&s.state(u.name).manner)
	}
	for c := range s.open.all() {
		s.shape(c.sock.pipe.l, c.levels()...)
	}
}

// levels is what was said of the connection and of its user. Called with s.mu held.
func (c *Conn) levels() []*manner {
	levels := []*manner{&c.manner}
	if u := c.s.users[c.user]; u != nil {
		levels = append(levels, &u.manner)
	}
	return levels
}

// allLevels is levels, and what was said of everybody.
func (c *Conn) allLevels() []*manner { return append(c.levels(), &c.s.manner) }
