//go:build !js

package transport

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Socket is the net.Conn under everything, from its dial on: what comes and
// goes is counted here, below TLS, where a record that takes long to come does
// not hide that bytes do. It may be closed before there is one.
type Socket struct {
	timeout  time.Duration // how long it may take nothing; negative: forever
	last     *atomic.Int64 // when something came
	counts   bool          // by a net.Conn of ours
	system   bool          // a socket of the operating system
	received atomic.Int64
	sent     atomic.Int64

	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

// NewSocket returns one for a connection that is about to be dialled.
func NewSocket(opts Options) *Socket {
	return &Socket{timeout: opts.WriteTimeout, last: opts.LastReceived}
}

// slice is how often a write that waits is looked at. A link that dies is
// noticed so much later than WriteTimeout, at most.
func (s *Socket) slice() time.Duration { return min(time.Second, s.timeout/4) }

// Adopt makes conn what Close closes, unless that was called before. It
// returns false then, and conn is the caller's.
func (s *Socket) Adopt(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conn = conn
		_, s.system = conn.(syscall.Conn)
	}
	return !s.closed
}

// Close ends every read and write, and reports whether there was a net.Conn to
// close.
func (s *Socket) Close() bool {
	s.mu.Lock()
	s.closed = true
	conn := s.conn
	s.mu.Unlock()
	if conn == nil {
		return false
	}
	conn.Close()
	return true
}

// Counted returns conn, which was adopted, with its reads and writes counted.
func (s *Socket) Counted(conn net.Conn) net.Conn {
	s.counts = true
	return &countedConn{conn, s, newQuick(conn)}
}

// heard notes that n bytes came.
func (s *Socket) heard(n int) {
	if n > 0 {
		s.received.Add(int64(n))
		if s.last != nil {
			s.last.Store(time.Now().UnixNano())
		}
	}
}

// acknowledged is how much of what was sent the peer's host has confirmed, as
// far as the system tells, and how much it has not.
func (s *Socket) acknowledged() (n, waiting int64, known bool) {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	held, known := unacknowledged(conn)
	if !known {
		return 0, 0, false
	}
	return s.sent.Load() - int64(held), int64(held), true
}

// countedConn is the net.Conn that the layers above see.
type countedConn struct {
	net.Conn
	s     *Socket
	quick *quick
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.s.heard(n)
	return n, err
}

// Write obeys the timeout: it goes on for as long as the socket takes
// something, or the peer's host confirms something of what it took before.
func (c *countedConn) Write(p []byte) (n int, err error) {
	s := c.s
	n, err = c.quick.write(p)
	s.sent.Add(int64(n))
	switch {
	case err != nil: // as a net.Conn has it
		return n, &net.OpError{Op: "write", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	case n > 0 && n == len(p):
		return n, nil
	}
	moved := time.Now()
	if s.timeout <= 0 || c.Conn.SetWriteDeadline(moved.Add(s.slice())) != nil {
		m, err := c.Conn.Write(p[n:])
		s.sent.Add(int64(m))
		return n + m, err
	}
	defer c.Conn.SetWriteDeadline(time.Time{})
	confirmed := int64(-1)
	for begun := moved; ; {
		m, err := c.Conn.Write(p[n:])
		n += m
		s.sent.Add(int64(m))
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		now := time.Now()
		if acked, _, known := s.acknowledged(); known {
			if confirmed >= 0 && acked > confirmed {
				moved = begun
			}
			confirmed = max(acked, 0)
		}
		if m > 0 {
			moved = begun // at the latest: the rest of the slice may have been silence
		}
		left := s.timeout - now.Sub(moved)
		if left <= 0 {
			return n, ErrWriteTimeout
		}
		begun = now
		c.Conn.SetWriteDeadline(now.Add(min(s.slice(), left)))
	}
}
