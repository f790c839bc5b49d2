package wsnotifytest

import (
	"net/http"
	"slices"
)

// register makes a Conn of an accepted handshake, with its write lock taken; nil if the server is
// down. Called with s.mu held.
func (s *Server) register(k *socket, r *http.Request, h Handshake) *Conn {
	s.handshakes = append(s.handshakes, h)
	s.changed.send()
	if s.closed || !s.up {
		return nil
	}
	c := &Conn{
		s: s, sock: k, id: len(s.conns) + 1, user: h.User, req: r,
		writing: make(chan struct{}, 1),
		replies: make(chan reply, 16),
		done:    make(chan struct{}),
	}
	c.habits = habits{s, c.change}
	c.writing <- struct{}{}
	s.shape(k.pipe.l, c.levels()...)
	s.conns = append(s.conns, c)
	s.open = append(s.open, c)
	s.maxLive = max(s.maxLive, len(s.held()))
	return c
}

// unregister is told that c has ended. Called with s.mu held.
func (s *Server) unregister(c *Conn) {
	s.open = slices.DeleteFunc(s.open, func(o *Conn) bool { return o == c })
	s.changed.send()
}

// held are the connections whose clients have not closed their ends. Called with s.mu held.
func (s *Server) held() []*Conn {
	return slices.DeleteFunc(slices.Clone(s.open), func(c *Conn) bool { return c.sock.peerClosed() })
}

// live is called with s.mu held.
func (s *Server) live() int {
	n := 0
	for _, c := range s.open {
		if !c.sock.zombie() {
			n++
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
	return slices.DeleteFunc(slices.Clone(s.open), func(c *Conn) bool { return c.sock.zombie() })
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
