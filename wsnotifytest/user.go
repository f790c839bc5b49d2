package wsnotifytest

import (
	"errors"
	"fmt"
	"strings"
)

// A User is what a test does to one user, or with Everybody to all of them. There are three kinds of
// verbs, and each means the same here as on a Conn or on the Server:
//
//   - to push, to end a connection or to silence one, from SendText to StopMidFrame, is done to the
//     connections that are there now, and not to those to come;
//   - how the server behaves, AnswerPings, AnswerText, AnswerClose, Latency and BytesPerSecond, holds
//     for the connections that are there and for those to come. What was said of a Conn beats what
//     was said of its User, and that beats Everybody;
//   - what becomes of handshakes, from Refuse to HangHandshake, holds for the next n of this user. A
//     user's own go before those of the server.
type User struct {
	habits
	fates
	s    *Server
	name string
	all  bool
}

// User returns the handle for one user, whether it has ever connected or not.
func (s *Server) User(name string) *User { return newUser(&User{s: s, name: name}) }

// Everybody returns the handle for all users of the server.
func (s *Server) Everybody() *User { return newUser(&User{s: s, all: true}) }

func newUser(u *User) *User {
	u.habits = habits{u.s, u.change}
	u.fates = fates{u}
	return u
}

// userState is what was said of one user. Guarded by Server.mu.
type userState struct {
	manner
	plans []plan
}

// state is called with s.mu held.
func (s *Server) state(user string) *userState {
	u := s.users[user]
	if u == nil {
		u = new(userState)
		s.users[user] = u
	}
	return u
}

// conns are the connections that the server holds and want allows, oldest first.
func (u *User) conns(want func(*Conn) bool) []*Conn {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	var list []*Conn
	of := &u.s.open
	if !u.all {
		of = u.s.byUser[u.name]
	}
	if of == nil {
		return nil
	}
	for c := range of.all() {
		if want(c) {
			list = append(list, c)
		}
	}
	return list
}

func (u *User) each(f func(*Conn)) {
	for _, c := range u.conns(func(*Conn) bool { return true }) {
		f(c)
	}
}

// push calls f for the connections through which the client can be reached.
func (u *User) push(f func(*Conn) error) error {
	u.s.tb.Helper()
	conns := u.conns((*Conn).usable)
	if len(conns) == 0 {
		return u.nobody()
	}
	var errs []error
	for _, c := range conns {
		errs = append(errs, f(c))
	}
	return errors.Join(errs...)
}

func (u *User) nobody() error {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	who := "of anybody"
	if !u.all {
		who = fmt.Sprintf("of user %q", u.name)
	}
	if u.s.closed {
		return fmt.Errorf("%w %s: %w", ErrNoConn, who, ErrServerClosed)
	}
	if u.s.open.len() > 0 {
		who += strings.TrimPrefix(u.s.connected(), "none")
	}
	return fmt.Errorf("%w %s", ErrNoConn, who)
}

// Notify sends {"msgType":…,"content":…}, or what Server.Envelope made of that. It returns ErrNoConn if nobody is there, and waits for
// capacity if a client does not read; so do the other two.
func (u *User) Notify(msgType string, content any) error {
	b, err := u.s.notification(msgType, content)
	if err != nil {
		return err
	}
	return u.push(func(c *Conn) error { return c.send(OpText, b) })
}

// SendText sends a text message, JSON or not.
func (u *User) SendText(text string) error {
	return u.push(func(c *Conn) error { return c.SendText(text) })
}

// SendBinary sends a binary message.
func (u *User) SendBinary(b []byte) error {
	return u.push(func(c *Conn) error { return c.SendBinary(b) })
}

// Ping sends a ping frame and does not wait for the pong.
func (u *User) Ping(payload string) error {
	return u.push(func(c *Conn) error { return c.Ping(payload) })
}

// Close is Conn.Close.
func (u *User) Close(code int, reason string) error {
	u.s.tb.Helper()
	return u.push(func(c *Conn) error { u.s.tb.Helper(); return c.Close(code, reason) })
}

// Drop is Conn.Drop.
func (u *User) Drop() { u.each((*Conn).Drop) }

// Reset is Conn.Reset.
func (u *User) Reset() { u.each((*Conn).Reset) }

// Mute is Conn.Mute.
func (u *User) Mute(on bool) { u.each(func(c *Conn) { c.Mute(on) }) }

// BlackHole is Conn.BlackHole. New connections get through: see Server.BlackHole and HangHandshake.
func (u *User) BlackHole(on bool) { u.each(func(c *Conn) { c.BlackHole(on) }) }

// StopReading is Conn.StopReading.
func (u *User) StopReading(on bool) { u.each(func(c *Conn) { c.StopReading(on) }) }

// StopMidFrame is Conn.StopMidFrame.
func (u *User) StopMidFrame(text string) error {
	return u.push(func(c *Conn) error { return c.StopMidFrame(text) })
}

// ComeBack is Conn.ComeBack.
func (u *User) ComeBack() { u.each((*Conn).ComeBack) }
