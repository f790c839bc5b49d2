package wsnotifytest

import (
	"net/http"
)

// behaviour is how the server treats its clients. Guarded by Server.mu.
type behaviour struct {
	manner              // of everybody
	plans        []plan // what happens to the next handshakes, in order
	onHandshake  func(*http.Request) (int, http.Header)
	onConn       func(*Conn)
	onMessage    func(*Conn, byte, []byte)
	subprotocols []string
	compress     bool
	forget       bool      // record no messages
	envelope     [2]string // names of type and content; "" for the usual ones
	allowOpen    bool
	allowBad     bool
}

func (s *Server) behave(f func(*behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.behaviour)
}

// OnHandshake lets f decide about each handshake: status 0 or 101 accepts it, with header added to
// the response; any other refuses it. f runs on the connection's goroutine and may wait, at
// most until the request's context ends.
func (s *Server) OnHandshake(f func(r *http.Request) (status int, header http.Header)) {
	s.behave(func(b *behaviour) { b.onHandshake = f })
}

// OnConn calls f for each new connection, once the client has read the 101 response, on a goroutine of its
// own, while the server's own reading goes on. f has to return when c.Done is closed: if it hasn't a second
// after the end of the test, the test fails.
func (s *Server) OnConn(f func(c *Conn)) { s.behave(func(b *behaviour) { b.onConn = f }) }

// OnMessage calls f for each message, heartbeats too, in order, on the connection's goroutine: as
// long as f runs, that connection is not read. typ is OpText or OpBinary. If f has not returned a second
// after the end of the test, the test fails; if it ends its goroutine, as t.Fatal does, the connection ends.
func (s *Server) OnMessage(f func(c *Conn, typ byte, data []byte)) {
	s.behave(func(b *behaviour) { b.onMessage = f })
}

// Echo sends each message back to its sender. It is an OnMessage.
func (s *Server) Echo() {
	s.OnMessage(func(c *Conn, typ byte, data []byte) { _ = c.send(typ, data) })
}

// Subprotocols makes the server choose the first of names that the client offers. If there is
// none, the response has no Sec-WebSocket-Protocol.
func (s *Server) Subprotocols(names ...string) {
	names = append([]string(nil), names...)
	s.behave(func(b *behaviour) { b.subprotocols = names })
}

// AllowViolations keeps violations of RFC 6455 by the client from failing the test; Violations
// still lists them.
func (s *Server) AllowViolations() { s.behave(func(b *behaviour) { b.allowBad = true }) }

// RecordMessages says whether messages are kept; they are by default. Without, those already recorded
// stay, Received goes on counting, and WaitMessages and Expect fail: for soaks of millions.
func (s *Server) RecordMessages(on bool) { s.behave(func(b *behaviour) { b.forget = !on }) }
