package wsnotifytest

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A Server is a WebSocket notification server for tests. It accepts every handshake, answers pings
// and close frames and records what it gets, until it is told otherwise. All methods may be
// called from any goroutine, at any time.
type Server struct {
	habits
	fates
	tb        TB
	scope     *scope
	network   *Network // nil on loopback
	hangDials bool     // guarded by network.mu
	host      string
	ip        net.IP
	port      int
	addr      string
	tls       *tls.Config  // nil without TLS
	cert      *certificate // on loopback with TLS

	wg sync.WaitGroup // every goroutine of the server; Add only under mu and not after closed

	mu       sync.Mutex // guards all below and the state of the Conns; held over no wait and no I/O
	changed  broadcast
	up       bool
	starting bool
	closed   bool
	listener net.Listener // on loopback, while up
	sockets  map[*socket]struct{}
	relays   map[relay]struct{} // on loopback
	users    map[string]*userState
	hole     bool        // BlackHole
	restart  *time.Timer // Restart
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
	received   map[string]int
	texts      map[string]int
	pings      map[string]int
	closeCodes []int
	violations []string
}

func newServer(t TB, sc *scope) *Server {
	s := &Server{
		scope:   sc,
		tb:      t,
		changed: newBroadcast(),
		sockets: make(map[*socket]struct{}),
		relays:  make(map[relay]struct{}),
		users:   make(map[string]*userState),
		record: record{
			messages: make(map[string][]string),
			received: make(map[string]int),
			texts:    make(map[string]int),
			pings:    make(map[string]int),
		},
	}
	all := s.Everybody()
	s.habits, s.fates = all.habits, all.fates
	return s
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

// misuse fails the test for a mistake in the test itself.
func (s *Server) misuse(format string, args ...any) {
	s.tb.Helper()
	s.tb.Errorf("wsnotifytest: "+format, args...)
}

// take serves end on a goroutine of its own, unless the server is down. The relay is for loopback.
func (s *Server) take(end *pipeConn, r relay) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.up || s.closed {
		return false
	}
	k := newSocket(end, s.tls)
	s.sockets[k] = struct{}{}
	s.shape(end.l)
	end.l.setHole(s.hole)
	s.wg.Go(func() {
		s.serve(k)
		k.close()
		s.mu.Lock()
		delete(s.sockets, k)
		s.mu.Unlock()
	})
	if r.raw != nil {
		s.relays[r] = struct{}{}
		s.wg.Go(func() { r.up(); s.poke() })
		s.wg.Go(func() {
			r.down()
			s.mu.Lock()
			delete(s.relays, r)
			s.mu.Unlock()
		})
	}
	return true
}

// Close is a Stop for good that returns when the server's goroutines have ended, so it must not be
// called from a function given to OnConn, OnMessage or OnHandshake. The end of the test does it.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	if s.restart != nil {
		s.restart.Stop()
	}
	s.mu.Unlock()
	s.Stop()
	s.mu.Lock()
	for r := range s.relays {
		r.end.l.hurry()
		defer r.bound(leaveTime)()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// AllowOpenConns lets the test end with connections to this server open, and with goroutines left.
func (s *Server) AllowOpenConns() {
	s.scope.allowGoroutines()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowOpen = true
}

// AllowGoroutines lets the test end with goroutines left that were started after the server, by the
// goroutine that made it or by one that comes from that.
func (s *Server) AllowGoroutines() { s.scope.allowGoroutines() }

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
