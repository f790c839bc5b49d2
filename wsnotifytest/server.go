package wsnotifytest

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
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

	clientsGone atomic.Int64 // open connections whose clients have closed their ends

	mu       sync.Mutex // guards all below and the state of the Conns; held over no wait and no I/O
	changed  broadcast
	up       bool
	starting bool
	closed   bool
	listener net.Listener   // on loopback, while up
	running  int            // goroutines of the server
	calls    map[*call]bool // of the test's functions, by these
	sockets  map[*socket]struct{}
	relays   map[relay]struct{} // on loopback
	users    map[string]*userState
	hole     bool        // BlackHole
	restart  *time.Timer // Restart

	subprotocol  string        // that a replay chooses, if the client offers it
	replayDone   chan struct{} // of the latest Replay; nil before the first
	replayErr    error         // what was different in it
	replayed     int           // events of it
	replayLength time.Duration

	behaviour
	seen
}

// seen is what the server saw. Guarded by Server.mu.
type seen struct {
	conns      []*Conn // all there ever were
	open       openConns
	byUser     map[string]*openConns // none that is empty
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
		calls:   make(map[*call]bool),
		users:   make(map[string]*userState),
		seen: seen{
			byUser:   make(map[string]*openConns),
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

// accept serves end on a goroutine of its own, unless the server is down. The relay is for loopback.
func (s *Server) accept(end *pipeConn, r relay) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.up || s.closed {
		return false
	}
	k := newSocket(end, s.tls)
	s.sockets[k] = struct{}{}
	s.shape(end.l)
	end.l.setHole(s.hole)
	s.spawn(func() {
		defer func() { // also when a function of the test ends this goroutine, as t.Fatal does
			k.close()
			s.mu.Lock()
			delete(s.sockets, k)
			s.mu.Unlock()
		}()
		s.serve(k)
	})
	if r.raw != nil {
		s.relays[r] = struct{}{}
		s.spawn(func() { r.up(); s.poke() })
		s.spawn(func() {
			r.down()
			s.mu.Lock()
			delete(s.relays, r)
			s.mu.Unlock()
		})
	}
	return true
}

// Close is a Stop for good that returns when the server's goroutines have ended. A function given to
// OnConn, OnMessage, OnHandshake or Do that has not returned a second later fails the test, is named, and
// is not waited for; so Close must not be called in one. The end of the test calls Close.
func (s *Server) Close() {
	s.tb.Helper()
	s.mu.Lock()
	s.closed = true
	if s.restart != nil {
		s.restart.Stop()
	}
	s.mu.Unlock()
	s.Stop()
	s.mu.Lock()
	for r := range s.relays {
		r.end.l.flush()
		defer r.bound(leaveTime)()
	}
	s.mu.Unlock()
	timeout := time.NewTimer(leaveTime)
	defer timeout.Stop()
	for late := false; ; {
		s.mu.Lock()
		running, changed := s.running, s.changed.next()
		stuck := make([]*call, 0, len(s.calls))
		for c, reported := range s.calls {
			if late && !reported {
				s.calls[c] = true
				stuck = append(stuck, c)
			}
		}
		waits := running > len(s.calls)
		s.mu.Unlock()
		for _, c := range stuck {
			s.tb.Errorf("wsnotifytest: the server ends, and %s has not returned, %v after it was called; let it stop waiting when the test ends",
				c.what(), time.Since(c.since).Round(time.Millisecond))
		}
		if running == 0 || late && !waits {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			late = true
		}
	}
}

// spawn runs f on a goroutine that Close waits for. Called with s.mu held, and not after closed.
func (s *Server) spawn(f func()) {
	s.running++
	go func() {
		defer func() {
			s.mu.Lock()
			s.running--
			s.changed.send()
			s.mu.Unlock()
		}()
		f()
	}()
}

// A call is one of a function that the test gave to the server.
type call struct {
	what  func() string
	since time.Time
}

// calling calls f, which is the test's, on one of the server's goroutines.
func (s *Server) calling(what func() string, f func()) {
	c := &call{what, time.Now()}
	s.mu.Lock()
	s.calls[c] = false
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.calls, c)
		s.mu.Unlock()
	}()
	f()
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
