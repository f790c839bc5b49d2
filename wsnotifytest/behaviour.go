package wsnotifytest

import (
	"fmt"
	"net/http"
	"time"
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

// check returns what is wrong with a plan.
func (p plan) check() string {
	if p.kind == planRefuse && p.n != 0 && (p.status < 200 || p.status > 999) {
		return fmt.Sprintf("a handshake can't be refused with status %d: want 200 to 999", p.status)
	}
	return ""
}

func redirection(n int, location string) plan {
	return plan{kind: planRefuse, n: n, status: http.StatusFound, header: http.Header{"Location": {location}}}
}

// Refuse answers the next n handshakes with status, header and body, as a server does that is
// overloaded or wants other credentials. With n < 0 it goes on until further notice; n == 0 ends
// it. Refuse, Redirect, RefuseRaw, WrongKey and HangHandshake queue up: what was called first comes
// first. For the handshakes of one user they are methods of User.
func (s *Server) Refuse(n, status int, header http.Header, body string) {
	s.tb.Helper()
	s.Everybody().Refuse(n, status, header, body)
}

// Redirect answers the next n handshakes with 302 and location. It is a Refuse, which can do so with
// any other status: see there for n.
func (s *Server) Redirect(n int, location string) {
	s.tb.Helper()
	s.Everybody().Redirect(n, location)
}

// RefuseRaw answers the next n handshakes with these bytes and closes the connection; see Refuse
// for n.
func (s *Server) RefuseRaw(n int, response string) {
	s.tb.Helper()
	s.Everybody().RefuseRaw(n, response)
}

// WrongKey answers the next n handshakes with 101 and a wrong Sec-WebSocket-Accept and leaves the
// connection open; it does not become a Conn. See Refuse for n.
func (s *Server) WrongKey(n int) {
	s.tb.Helper()
	s.Everybody().WrongKey(n)
}

// HangHandshake never answers the next n handshakes; see Refuse for n.
func (s *Server) HangHandshake(n int) {
	s.tb.Helper()
	s.Everybody().HangHandshake(n)
}

// plan queues ps behind what is planned for u.
func (s *Server) plan(u *User, ps ...plan) {
	s.tb.Helper()
	s.mu.Lock()
	closed := s.closed
	if !closed {
		queue := &s.plans
		if !u.all {
			queue = &s.state(u.name).plans
		}
		for _, p := range ps {
			*queue = enqueue(*queue, p)
		}
		s.changed.send()
	}
	s.mu.Unlock()
	if closed {
		s.misuse("plans for the handshakes of a server that is closed")
	}
}

func enqueue(queue []plan, p plan) []plan {
	var kept []plan
	for _, q := range queue {
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
	return kept
}

// nextPlan takes the fate of one handshake of user. Called with s.mu held.
func (s *Server) nextPlan(user string) plan {
	queue := &s.plans
	if u := s.users[user]; u != nil && len(u.plans) > 0 {
		queue = &u.plans
	}
	if len(*queue) == 0 {
		return plan{kind: planAccept}
	}
	first := &(*queue)[0]
	p := *first
	if first.n > 0 {
		if first.n--; first.n == 0 {
			*queue = (*queue)[1:]
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
	s.OnMessage(func(c *Conn, typ byte, data []byte) { _ = c.send(typ, data) })
}

// Subprotocols makes the server choose the first of names that the client offers. If there is
// none, the response has no Sec-WebSocket-Protocol.
func (s *Server) Subprotocols(names ...string) {
	names = append([]string(nil), names...)
	s.behave(func(b *behaviour) { b.subprotocols = names })
}

// AnswerPings says whether protocol pings are answered with pongs; they are by default. It is said
// of everybody: User and Conn have it too, and so with the next four.
func (s *Server) AnswerPings(on bool) { s.Everybody().AnswerPings(on) }

// AnswerText is the reply to the text message "ping"; "" means none and is the default.
func (s *Server) AnswerText(reply string) { s.Everybody().AnswerText(reply) }

// AnswerClose says whether a close frame is echoed and the socket then closed; it is by default.
func (s *Server) AnswerClose(on bool) { s.Everybody().AnswerClose(on) }

// Latency is how long a byte takes from one end to the other on the connections to this server, those
// that are there and those to come; see User.Latency. In memory the dial takes twice as long.
func (s *Server) Latency(d time.Duration) {
	s.tb.Helper()
	s.Everybody().Latency(d)
}

// BytesPerSecond limits each direction of the connections to this server, those that are there and
// those to come; 0 ends it.
func (s *Server) BytesPerSecond(rate int) {
	s.tb.Helper()
	s.Everybody().BytesPerSecond(rate)
}

// AllowViolations keeps violations of RFC 6455 by the client from failing the test; Violations
// still lists them.
func (s *Server) AllowViolations() { s.behave(func(b *behaviour) { b.allowBad = true }) }

// RecordMessages says whether messages are kept; they are by default. Without, those already recorded
// stay, Received goes on counting, and WaitMessages and Expect fail: for soaks of millions.
func (s *Server) RecordMessages(on bool) { s.behave(func(b *behaviour) { b.forget = !on }) }
