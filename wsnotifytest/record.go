package wsnotifytest

import (
	"iter"
	"net/http"
	"slices"
)

// openConns are the connections that have not ended, oldest first. Guarded by Server.mu.
type openConns struct {
	list []*Conn // and some that have ended
	left int     // how many those are
}

func (o *openConns) len() int { return len(o.list) - o.left }

func (o *openConns) add(c *Conn) { o.list = append(o.list, c) }

// remove is for a connection that has ended just now. It costs the same however many there are.
func (o *openConns) remove() {
	if o.left++; 2*o.left > len(o.list) {
		o.list = slices.DeleteFunc(o.list, func(c *Conn) bool { return c.gone })
		o.left = 0
	}
}

func (o *openConns) all() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for _, c := range o.list {
			if !c.gone && !yield(c) {
				return
			}
		}
	}
}

func (o *openConns) backward() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for _, c := range slices.Backward(o.list) {
			if !c.gone && !yield(c) {
				return
			}
		}
	}
}

// openOf are the open connections of user, or of all if user is "". Called with s.mu held.
func (s *Server) openOf(user string) *openConns {
	if user == "" {
		return &s.open
	}
	if of := s.byUser[user]; of != nil {
		return of
	}
	return new(openConns)
}

func newConn(s *Server, k *socket, r *http.Request, user string) *Conn {
	c := &Conn{
		s: s, sock: k, user: user, req: r,
		writing: make(chan struct{}, 1),
		replies: make(chan reply, 16),
		done:    make(chan struct{}),
	}
	c.habits = habits{s, c.change}
	c.writing <- struct{}{}
	return c
}

// reveal makes c one of the server's connections. It is called when the client has read the response,
// or has sent a frame without that; early means that it had sent bytes before.
func (s *Server) reveal(c *Conn, early bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || c.id != 0 {
		return
	}
	c.early = c.early || early
	s.conns = append(s.conns, c)
	c.id = len(s.conns)
	s.changed.send()
	if c.ended { // the server has gone meanwhile
		s.maxLive = max(s.maxLive, s.openByClients()+1)
		return
	}
	s.open.add(c)
	if s.byUser[c.user] == nil {
		s.byUser[c.user] = new(openConns)
	}
	s.byUser[c.user].add(c)
	c.sock.pipe.peer.tallyIn(&s.clientsGone)
	s.maxLive = max(s.maxLive, s.openByClients())
	s.shape(c.sock.pipe.l, c.levels()...)
	s.spawn(c.replyLoop)
	if f := s.onConn; f != nil {
		s.spawn(func() { s.calling(func() string { return "OnConn of " + c.name() }, func() { f(c) }) })
	}
}

// unregister is notified that c has ended. Called with s.mu held.
func (s *Server) unregister(c *Conn) {
	if c.id != 0 {
		c.gone = true
		c.sock.pipe.peer.tallyIn(nil)
		s.open.remove()
		of := s.byUser[c.user]
		if of.remove(); of.len() == 0 {
			delete(s.byUser, c.user)
		}
	}
	s.changed.send()
}

// openByClients is how many connections there are whose clients have not closed their ends. Called with s.mu
// held.
func (s *Server) openByClients() int { return s.open.len() - int(s.clientsGone.Load()) }

// live is called with s.mu held.
func (s *Server) live() int {
	n := s.open.len()
	if s.clientsGone.Load() == 0 {
		return n
	}
	for c := range s.open.all() {
		if c.sock.zombie() {
			n--
		}
	}
	return n
}

// usable reports whether something sent on c may reach the client. Called with s.mu held.
func (c *Conn) usable() bool {
	return c.closeCode == 0 && !c.closeSent && !c.sock.peerClosed()
}

// Live is how many connections are open. One that the client has closed counts until the server
// has noticed, unless it can't, being behind a black hole in memory.
func (s *Server) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live()
}

// MaxLive is how many connections were open at once at most. In memory it counts exactly those
// that clients held open. On loopback one counts until the news of its end has come, so that a client
// which closes one and at once makes another may be seen to hold two: ask in memory.
func (s *Server) MaxLive() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.maxLive
}

// Total is how many connections there have been.
func (s *Server) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// LiveConns returns the open connections, oldest first.
func (s *Server) LiveConns() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Collect(s.open.all()), func(c *Conn) bool { return c.sock.zombie() })
}

// Handshakes returns the requests so far, the refused ones too.
func (s *Server) Handshakes() []Handshake {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.handshakes)
}

// Messages returns the messages of a user over all its connections, text and binary, without the
// text heartbeat "ping", in the order in which the server read them. Within a connection that is
// the order in which they were sent; what was still unread on one when the next was there may
// stand behind what came on that. Conn.Messages tells them apart.
func (s *Server) Messages(user string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages[user])
}

// Received is how many messages a user has sent, recorded or not, without the text heartbeats.
func (s *Server) Received(user string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received[user]
}

// Heartbeats is how many text messages "ping" and how many ping frames a user has sent.
func (s *Server) Heartbeats(user string) (texts, pings int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.texts[user], s.pings[user]
}

// CloseCodes returns the codes of the close frames received, in order; 1005 stands for an empty one.
func (s *Server) CloseCodes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.closeCodes)
}

// Violations returns what clients did against RFC 6455.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}
