package wsnotifytest

import (
	"net/http"
)

// behaviour is how the server treats connections to come. Guarded by Server.mu.
type behaviour struct {
	plans        []plan // what happens to the next handshakes, in order
	onHandshake  func(*http.Request) (int, http.Header)
	onConn       func(*Conn)
	onMessage    func(*Conn, byte, []byte)
	subprotocols []string
	answerPings  bool
	answerText   string
	answerClose  bool
	allowOpen    bool
	allowBad     bool
}

type planKind byte

const (
	planAccept planKind = iota
	planRefuse
	planRaw
	planWrongKey
	planHang
)

// A plan is the fate of the next n handshakes; n < 0 means of all.
type plan struct {
	kind   planKind
	n      int
	status int
	header http.Header
	body   string
}

// Refuse answers the next n handshakes with status, header and body, as a server does that is
// overloaded or wants other credentials. With n < 0 it goes on until further notice; n == 0 ends
// it. Refuse, RefuseRaw, WrongKey and HangHandshake queue up: what was called first comes first.
func (s *Server) Refuse(n, status int, header http.Header, body string) {
	s.plan(plan{kind: planRefuse, n: n, status: status, header: header.Clone(), body: body})
}

// RefuseRaw answers the next n handshakes with these bytes and closes the connection; see Refuse
// for n.
func (s *Server) RefuseRaw(n int, response string) {
	s.plan(plan{kind: planRaw, n: n, body: response})
}

// WrongKey answers the next n handshakes with 101 and a wrong Sec-WebSocket-Accept and leaves the
// connection open; it does not become a Conn. See Refuse for n.
func (s *Server) WrongKey(n int) { s.plan(plan{kind: planWrongKey, n: n}) }

// HangHandshake never answers the next n handshakes; see Refuse for n.
func (s *Server) HangHandshake(n int) { s.plan(plan{kind: planHang, n: n}) }

func (s *Server) plan(ps ...plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range ps {
		kept := s.plans[:0:0]
		for _, q := range s.plans {
			// "Until further notice" ends with any further notice.
			keep := q.n > 0
			if p.n == 0 {
				keep = q.kind != p.kind
			}
			if keep {
				kept = append(kept, q)
			}
		}
		if p.n != 0 {
			kept = append(kept, p)
		}
		s.plans = kept
	}
	s.changed.send()
}

// nextPlan takes the fate of one handshake. Called with s.mu held.
func (s *Server) nextPlan() plan {
	if len(s.plans) == 0 {
		return plan{kind: planAccept}
	}
	p := s.plans[0]
	if p.n > 0 {
		if s.plans[0].n--; s.plans[0].n == 0 {
			s.plans = s.plans[1:]
		}
	}
	return p
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

// OnConn calls f for each new connection, right after the 101 response, on a goroutine of its own,
// while the server's own reading goes on. f has to return when c.Done is closed.
func (s *Server) OnConn(f func(c *Conn)) { s.behave(func(b *behaviour) { b.onConn = f }) }

// OnMessage calls f for each message, heartbeats too, in order, on the connection's goroutine: as
// long as f runs, that connection is not read. typ is OpText or OpBinary.
func (s *Server) OnMessage(f func(c *Conn, typ byte, data []byte)) {
	s.behave(func(b *behaviour) { b.onMessage = f })
}

// Echo sends each message back to its sender. It is an OnMessage.
func (s *Server) Echo() {
	s.OnMessage(func(c *Conn, typ byte, data []byte) { _ = c.WriteFrame(true, typ, data) })
}

// Subprotocols makes the server choose the first of names that the client offers. If there is
// none, the response has no Sec-WebSocket-Protocol.
func (s *Server) Subprotocols(names ...string) {
	names = append([]string(nil), names...)
	s.behave(func(b *behaviour) { b.subprotocols = names })
}

// AnswerPings says whether protocol pings are answered with pongs; they are by default.
func (s *Server) AnswerPings(on bool) { s.behave(func(b *behaviour) { b.answerPings = on }) }

// AnswerText is the reply to the text message "ping"; "" means none and is the default.
func (s *Server) AnswerText(reply string) { s.behave(func(b *behaviour) { b.answerText = reply }) }

// AnswerClose says whether a close frame is echoed and the socket then closed; it is by default.
func (s *Server) AnswerClose(on bool) { s.behave(func(b *behaviour) { b.answerClose = on }) }

// AllowViolations keeps violations of RFC 6455 by the client from failing the test; Violations
// still lists them.
func (s *Server) AllowViolations() { s.behave(func(b *behaviour) { b.allowBad = true }) }
