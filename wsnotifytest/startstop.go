package wsnotifytest

import (
	"net"
	"slices"
	"time"
)

// Whether the server can be reached at all.

// Start ends a Stop: the server listens again at the same address.
func (s *Server) Start() {
	s.tb.Helper()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		s.misuse("Start of a server that is closed")
		return
	}
	if err := s.start(); err != nil {
		s.tb.Fatalf("wsnotifytest: %v", err)
	}
}

func (s *Server) start() error {
	s.mu.Lock()
	if s.up || s.closed || s.starting {
		s.mu.Unlock()
		return nil
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
	defer s.mu.Unlock()
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
			s.spawn(func() { s.acceptLoop(l) })
		}
	}
	s.changed.send()
	return err
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
	open := slices.Collect(s.open.all())
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

// Restart is Stop, and Start once the server has been down for d. It does not wait for that.
func (s *Server) Restart(down time.Duration) {
	s.tb.Helper()
	s.Stop()
	s.mu.Lock()
	closed := s.closed
	if !closed {
		if s.restart != nil {
			s.restart.Stop()
		}
		s.restart = time.AfterFunc(down, func() {
			if err := s.start(); err != nil {
				s.tb.Errorf("wsnotifytest: %v", err)
			}
		})
	}
	s.mu.Unlock()
	if closed {
		s.misuse("Restart of a server that is closed")
	}
}

// BlackHole cuts the server's host off the network: every connection goes dead without anybody being
// told, and so does every new one. In memory dials hang; on loopback it is their handshakes that get
// no answer. With false the host is back, and what was held arrives.
func (s *Server) BlackHole(on bool) {
	s.mu.Lock()
	s.hole = on
	var links []*link
	for k := range s.sockets {
		links = append(links, k.pipe.l)
	}
	s.mu.Unlock()
	for _, l := range links {
		l.setHole(on)
	}
	if s.network != nil {
		s.network.set(func() {})
	}
	s.poke()
}

// HangDials makes every dial to this server wait, until its context ends or HangDials is called with
// false: then it goes on. It needs a server in memory, since on loopback the kernel answers dials.
func (s *Server) HangDials(on bool) {
	s.tb.Helper()
	if s.network == nil {
		s.misuse("HangDials needs a server of NewNetwork: on loopback the kernel answers dials; HangHandshake comes next to it")
		return
	}
	s.network.set(func() { s.hangDials = on })
}

// hangs reports whether dials wait. Called with the network's lock held.
func (s *Server) hangs() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hangDials || s.hole
}

// DropAll drops all live connections with FIN and no close frame; new ones are accepted.
func (s *Server) DropAll() { s.Everybody().Drop() }
