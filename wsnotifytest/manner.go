package wsnotifytest

import "time"

// A manner is what was said of a connection, of a user or of everybody; nil where nothing was.
type manner struct {
	pings, closes *bool
	text          *string
	latency       *time.Duration
	rate          *int
}

// said returns what the first of levels says that says anything, or else usual.
func said[T any](usual T, levels []*manner, what func(*manner) *T) T {
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
	l.shape(said(l.base.latency, levels, func(m *manner) *time.Duration { return m.latency }),
		said(l.base.bytesPerSec, levels, func(m *manner) *int { return m.rate }))
}

// AnswerPings is User.AnswerPings for one connection.
func (c *Conn) AnswerPings(on bool) { c.change(func(m *manner) { m.pings = &on }) }

// AnswerText is User.AnswerText for one connection.
func (c *Conn) AnswerText(reply string) { c.change(func(m *manner) { m.text = &reply }) }

// AnswerClose is User.AnswerClose for one connection.
func (c *Conn) AnswerClose(on bool) { c.change(func(m *manner) { m.closes = &on }) }

// Latency is User.Latency for one connection.
func (c *Conn) Latency(d time.Duration) {
	c.s.tb.Helper()
	if d < 0 {
		c.s.misuse("Latency(%v) is negative", d)
		return
	}
	c.change(func(m *manner) { m.latency = &d })
}

// BytesPerSecond is User.BytesPerSecond for one connection.
func (c *Conn) BytesPerSecond(rate int) {
	c.s.tb.Helper()
	if rate < 0 {
		c.s.misuse("BytesPerSecond(%d) is negative", rate)
		return
	}
	c.change(func(m *manner) { m.rate = &rate })
}

func (c *Conn) change(f func(*manner)) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	f(&c.manner)
	c.s.shape(c.sock.pipe.l, c.levels()...)
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
