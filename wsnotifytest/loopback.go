package wsnotifytest

import (
	"context"
	"errors"
	"net"
	"time"
)

// NewServer starts a server on a free port of the loopback address. It goes when the test ends, and
// a connection or a goroutine that the code under test has left then fails the test. In a bubble of
// testing/synctest real sockets stop the clock: use NewNetwork there.
func NewServer(t TB) *Server {
	sc := enter(t, "NewServer")
	t.Helper()
	return newLoopback(t, sc, false)
}

// NewTLSServer is NewServer with TLS; HTTPClient trusts the certificate.
func NewTLSServer(t TB) *Server {
	sc := enter(t, "NewTLSServer")
	t.Helper()
	return newLoopback(t, sc, true)
}

func newLoopback(t TB, sc *scope, withTLS bool) *Server {
	t.Helper()
	if inBubble() {
		t.Fatalf("wsnotifytest: NewServer in a synctest bubble: use NewNetwork(t).NewServer()")
		return nil
	}
	s := newServer(t, sc)
	s.host = "127.0.0.1"
	s.addr = "127.0.0.1:0"
	if withTLS {
		s.cert = newCertificate()
		s.tls = s.cert.serverConfig()
	}
	s.Start()
	t.Cleanup(s.cleanup)
	return s
}

// readBuffer is what a socket on loopback keeps of what the server does not read, in bytes.
const readBuffer = 64 << 10

// listen gets the port back even if the kernel needs a moment for it.
func listen(addr string) (l net.Listener, err error) {
	var config net.ListenConfig
	for range 50 {
		if l, err = config.Listen(context.Background(), "tcp", addr); err == nil {
			return l, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, err
}

func (s *Server) acceptLoop(l net.Listener) {
	for {
		raw, err := l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.tb.Errorf("wsnotifytest: the server accepts no more: %v", err)
			}
			return
		}
		// Else the kernel lets it grow to some MiB while the server reads fast, and StopReading would
		// be noticed late.
		_ = raw.(*net.TCPConn).SetReadBuffer(readBuffer)
		r, end := newRelay(raw.(*net.TCPConn))
		if !s.accept(end, r) {
			_ = raw.Close()
		}
	}
}

// cleanup is for a server on loopback; Network.cleanup does it for those in memory.
func (s *Server) cleanup() {
	s.tb.Helper()
	// Clients that have gone are not seen to have while the test keeps their last bytes away.
	s.mu.Lock()
	for r := range s.relays {
		r.end.l.flush()
	}
	for c := range s.open.all() {
		c.sock.stopReading(false)
	}
	s.mu.Unlock()
	timeout := time.NewTimer(leaveTime)
	defer timeout.Stop()
	last, _ := s.activity()
	for late, rounds := false, 0; ; {
		s.mu.Lock()
		left := s.openClientEnds()
		changed := s.changed.next()
		done := s.allowOpen || s.closed || late || len(left) == 0
		if s.allowOpen {
			left = nil
		}
		s.mu.Unlock()
		if done {
			reportLeft(s.tb, []*Server{s}, left)
			break
		}
		select {
		case <-changed:
		case <-timeout.C:
			// On a busy machine what a client sent before it went may take longer than that to come.
			before := last
			last, _ = s.activity()
			rounds++
			late = last.bytes == before.bytes || rounds == busyRounds
			timeout.Reset(leaveTime)
		}
	}
	s.Close()
}

// busyRounds bounds how often cleanup waits since bytes came: a client that has a heartbeat sends some, too.
const busyRounds = 5

// openClientEnds are the client ends of what clients hold on loopback. Called with s.mu held.
func (s *Server) openClientEnds() map[*pipeConn]*Server {
	left := make(map[*pipeConn]*Server)
	for k := range s.sockets {
		if !k.peerClosed() {
			left[k.pipe.peer] = s
		}
	}
	return left
}
