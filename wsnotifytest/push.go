package wsnotifytest

import (
	"errors"
	"fmt"
)

// Notify sends {"msgType":…,"content":…} to the live connections of user. It returns ErrNoConn if
// there is none, and waits for room if a client does not read.
func (s *Server) Notify(user, msgType string, content any) error {
	b, err := notification(msgType, content)
	if err != nil {
		return err
	}
	return s.push(user, OpText, b)
}

// SendText sends a text message to the live connections of user; see Notify.
func (s *Server) SendText(user, text string) error { return s.push(user, OpText, []byte(text)) }

// SendBinary sends a binary message to the live connections of user; see Notify.
func (s *Server) SendBinary(user string, b []byte) error { return s.push(user, OpBinary, b) }

// Broadcast sends a text message to all live connections. Those that end meanwhile miss it.
func (s *Server) Broadcast(text string) {
	for _, c := range s.receivers(func(*Conn) bool { return true }) {
		_ = c.SendText(text)
	}
}

func (s *Server) push(user string, opcode byte, payload []byte) error {
	conns := s.receivers(func(c *Conn) bool { return c.user == user })
	if len(conns) == 0 {
		return fmt.Errorf("%w of user %q", ErrNoConn, user)
	}
	var errs []error
	for _, c := range conns {
		errs = append(errs, c.WriteFrame(true, opcode, payload))
	}
	return errors.Join(errs...)
}

func (s *Server) receivers(want func(*Conn) bool) []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var conns []*Conn
	for _, c := range s.open {
		if want(c) && c.usable() {
			conns = append(conns, c)
		}
	}
	return conns
}
