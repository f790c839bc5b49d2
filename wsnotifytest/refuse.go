package wsnotifytest

import (
	"fmt"
	"net/http"
)

// How the server lets nobody in.

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

// fates is what becomes of handshakes, of everybody or of a user: it is part of a Server and a User.
type fates struct{ of *User }

// Refuse answers the next n handshakes with status, header and body, as a server does that is
// overloaded, wants other credentials, or redirects: 302 and a header Location. With n < 0 it goes on until
// further notice; n == 0 ends it. Refuse, RefuseRaw, WrongKey and HangHandshake queue up: what was called first comes
// first. They are methods of Server and User; those of a User concern its handshakes alone.
func (f *fates) Refuse(n, status int, header http.Header, body string) {
	f.of.s.tb.Helper()
	f.plan(plan{kind: planRefuse, n: n, status: status, header: header.Clone(), body: body})
}

// RefuseRaw answers the next n handshakes with these bytes and closes the connection; see Refuse
// for n.
func (f *fates) RefuseRaw(n int, response string) {
	f.of.s.tb.Helper()
	f.plan(plan{kind: planRaw, n: n, body: response})
}

// WrongKey answers the next n handshakes with 101 and a wrong Sec-WebSocket-Accept and leaves the
// connection open; it does not become a Conn. See Refuse for n.
func (f *fates) WrongKey(n int) {
	f.of.s.tb.Helper()
	f.plan(plan{kind: planWrongKey, n: n})
}

// HangHandshake never answers the next n handshakes; see Refuse for n.
func (f *fates) HangHandshake(n int) {
	f.of.s.tb.Helper()
	f.plan(plan{kind: planHang, n: n})
}

func (f *fates) plan(p plan) {
	f.of.s.tb.Helper()
	if problem := p.check(); problem != "" {
		f.of.s.misuse("%s", problem)
		return
	}
	f.of.s.plan(f.of, p)
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
