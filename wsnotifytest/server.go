package wsnotifytest

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// A Server is a WebSocket notification server for tests. It accepts every handshake, answers pings
// and close frames and records what it gets, until it is told otherwise. All methods may be
// called from any goroutine, at any time.
type Server struct {
	tb      TB
	network *Network // nil on loopback
	host    string
	ip      net.IP
	port    int
	addr    string
	tls     *tls.Config  // nil without TLS
	cert    *certificate // on loopback with TLS

	wg sync.WaitGroup // every goroutine of the server; Add only under mu and not after closed

	mu       sync.Mutex // guards all below and the state of the Conns; held over no wait and no I/O
	changed  broadcast
	up       bool
	starting bool
	closed   bool
	listener net.Listener // on loopback, while up
	sockets  map[*socket]struct{}
	behaviour
	record
}

// record is what the server saw. Guarded by Server.mu.
type record struct {
	conns      []*Conn // all there ever were
	open       []*Conn // those that have not ended, oldest first
	maxLive    int
	handshakes []Handshake
	messages   map[string][]string
	texts      map[string]int
	pings      map[string]int
	closeCodes []int
	violations []string
}

func newServer(t TB) *Server {
	return &Server{
		tb:        t,
		changed:   newBroadcast(),
		sockets:   make(map[*socket]struct{}),
		behaviour: behaviour{answerPings: true, answerClose: true},
		record: record{
			messages: make(map[string][]string),
			texts:    make(map[string]int),
			pings:    make(map[string]int),
		},
	}
}

// URL is the address to give to a client that appends the user: "ws://host/ws/", or "wss://" with
// TLS. The server takes the last segment of the path as the user, or the query parameter "user".
func (s *Server) URL() string {
	u := url.URL{Scheme: "ws", Host: s.Addr(), Path: "/ws/"}
	if s.tls != nil {
		u.Scheme = "wss"
	}
	if s.network != nil {
		u.Host = s.host
	}
	return u.String()
}

// Addr is host:port, as one would dial it.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// HTTPClient returns a client that reaches the server and trusts its certificate. It keeps no idle
// connections.
func (s *Server) HTTPClient() *http.Client {
	if s.network != nil {
		return s.network.HTTPClient()
	}
	t := &http.Transport{DisableKeepAlives: true}
	if s.cert != nil {
		t.TLSClientConfig = &tls.Config{RootCAs: s.cert.pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: t}
}

// Start ends a Stop: the server listens again at the same address.
func (s *Server) Start() {
	s.tb.Helper()
	s.mu.Lock()
	if s.up || s.closed || s.starting {
		s.mu.Unlock()
		return
	}
	s.starting = true
	addr := s.addr
	s.mu.Unlock()
	var l net.Listener
	var err error
	if s.network == nil {
		l, err = listen(addr)
	}
	s.mu.Lock()
	s.starting = false
	switch {
	case err != nil:
	case s.closed && l != nil:
		_ = l.Close()
	case s.closed:
	default:
		s.up = true
		if l != nil {
			s.listener = l
			s.addr = l.Addr().String()
			s.wg.Go(func() { s.acceptLoop(l) })
		}
	}
	s.changed.send()
	s.mu.Unlock()
	if err != nil {
		s.tb.Fatalf("wsnotifytest: %v", err)
	}
}

// take serves raw on a goroutine of its own, unless the server is down.
func (s *Server) take(raw net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.up || s.closed {
		return false
	}
	k := newSocket(raw, s.tls)
	s.sockets[k] = struct{}{}
	s.wg.Go(func() {
		s.serve(k)
		k.close()
		s.mu.Lock()
		delete(s.sockets, k)
		s.mu.Unlock()
	})
	return true
}

// Stop takes the listener down and drops all connections, as the end of a process does: FIN and
// no close frame. Dials are refused until Start.
func (s *Server) Stop() {
	s.mu.Lock()
	s.up = false
	l := s.listener
	s.listener = nil
	sockets := make([]*socket, 0, len(s.sockets))
	for k := range s.sockets {
		sockets = append(sockets, k)
	}
	open := append([]*Conn(nil), s.open...)
	s.changed.send()
	s.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}
	for _, c := range open {
		c.Drop()
	}
	for _, k := range sockets {
		k.drop()
	}
}

// DropAll drops all live connections with FIN and no close frame; new ones are accepted.
func (s *Server) DropAll() {
	for _, c := range s.LiveConns() {
		c.Drop()
	}
}

// Close is a Stop for good that returns when the server's goroutines have ended, so it must not be
// called from a function given to OnConn, OnMessage or OnHandshake. The end of the test does it.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Stop()
	s.wg.Wait()
}

// AllowOpenConns lets the test end with connections open.
func (s *Server) AllowOpenConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowOpen = true
}

func (s *Server) opensAllowed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allowOpen
}

// poke wakes those who wait for a change.
func (s *Server) poke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.send()
}

func (s *Server) all() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Conn(nil), s.conns...)
}
