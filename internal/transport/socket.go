//go:build !js

package transport

import (
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wsnotify/wsnotify/internal/peertime"
)

// Socket is the net.Conn under everything, from its dial on: what comes and
// goes is counted here, below TLS, where a record that takes long to come does
// not hide that bytes do. It may be closed before there is one.
//
// No deadlines are set: some connections refuse or ignore them, and crypto/tls
// writes nothing more after one that has passed. A guard closes the connection
// instead.
type Socket struct {
	clock    *peertime.Clock
	guard    peertime.Watch // of the write that waits
	late     atomic.Bool    // it has expired
	last     *atomic.Int64  // when something came
	kind     Kind
	counts   bool // by a net.Conn of ours
	tells    bool // what the peer's host has acknowledged, also while a call waits
	asks     bool // the system how much that is, since s does not count it; guarded by mu
	received atomic.Int64
	sent     atomic.Int64

	mu      sync.Mutex
	conn    net.Conn
	layers  []halfCloser // above it, the topmost first
	body    io.Closer    // of the response, above all of them
	closed  bool
	writers int            // that may wait: more than one if a layer above has several
	calls   sync.WaitGroup // of a net.Conn that may not return when it is closed
	killed  chan struct{}  // closed with it; nil on a socket of the system
	gone    chan struct{}  // closed when it has been closed, and no call is under way
}

type halfCloser interface{ CloseWrite() error }

// NewSocket returns one for a connection that is about to be dialled.
func NewSocket(opts Options) *Socket {
	s := &Socket{clock: opts.PeerTime, last: opts.LastReceived, kind: opts.Kind}
	if s.kind == ByType {
		s.kind = AssumedKind
	}
	if s.clock == nil {
		s.clock = peertime.New(-1)
	}
	s.clock.SetLine(s)
	s.guard = s.clock.BriefWatch(opts.WriteTimeout, func() {
		s.late.Store(true)
		s.Close()
	})
	return s
}

// Adopt makes conn what Close closes, unless that was called before. It
// returns false then, and conn is the caller's.
func (s *Socket) Adopt(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conn = conn
	if _, s.tells = conn.(teller); !s.tells {
		_, s.tells = acknowledged(conn)
		s.asks = s.tells
	}
	_, system := conn.(syscall.Conn)
	_, ends := conn.(endsCalls)
	s.decide(system || ends)
	return true
}

// endsCalls is a net.Conn that says of itself what is known of a socket of the system: its
// Close does not wait, and ends every Read and Write at once. A stream of the module h2 is
// one. That spares a goroutine and a copy for each write.
type endsCalls interface{ CloseEndsCalls() }

// decide settles the kind, when the net.Conn is known. mu is held.
func (s *Socket) decide(system bool) {
	if s.kind == ByType {
		s.kind = Foreign
		if system {
			s.kind = System
		}
	}
	if s.kind == Foreign && s.killed == nil {
		s.killed = make(chan struct{})
	}
}

// own takes the body of a response over, which is closed after the net.Conn.
// Without a net.Conn that is known, nobody can tell what is under it.
func (s *Socket) own(body io.ReadWriteCloser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = body
	s.decide(false)
}

// raw is what is under everything that is known; body if nothing is.
func (s *Socket) raw(body io.Reader) io.Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return body
	}
	return s.conn
}

// halfClose says that nothing more will be written, in each layer that can, and
// reports whether that reached the peer.
func (s *Socket) halfClose() (ok bool) {
	s.mu.Lock()
	layers, under := s.layers, s.bottom()
	s.mu.Unlock()
	if under == nil {
		return false
	}
	for _, layer := range layers {
		layer.CloseWrite()
	}
	return under.CloseWrite() == nil
}

// bottom is what is half-closed last; nil if that can't be. mu is held.
func (s *Socket) bottom() halfCloser {
	if s.closed {
		return nil
	}
	if s.conn == nil {
		half, _ := s.body.(halfCloser)
		return half
	}
	half, _ := s.conn.(halfCloser)
	return half
}

// canHalfClose reports whether halfClose is of use.
func (s *Socket) canHalfClose() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bottom() != nil
}

// ended returns a channel that is closed when nothing of the socket is left.
func (s *Socket) ended() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// over notes a layer above the net.Conn, which says goodbye before it.
func (s *Socket) over(layer any) {
	if half, ok := layer.(halfCloser); ok {
		s.mu.Lock()
		s.layers = append([]halfCloser{half}, s.layers...)
		s.mu.Unlock()
	}
}

// Close ends every read and write, and reports whether there was a net.Conn to
// close. It does not wait for that.
func (s *Socket) Close() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	conn, body := s.conn, s.body
	if conn == nil && body == nil {
		s.clock.Close()
		return false
	}
	if s.gone != nil {
		return true
	}
	gone := make(chan struct{})
	s.gone = gone
	if s.killed != nil {
		close(s.killed)
	}
	s.clock.Close()
	go func() { // it may wait for the link
		if conn != nil {
			conn.Close() // first: layers above would say goodbye to a peer that may not read
		}
		if body != nil {
			body.Close()
		}
		s.calls.Wait()
		close(gone)
	}()
	return true
}

// begin reports whether a call of a foreign net.Conn may begin, which end ends.
func (s *Socket) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.calls.Add(1)
	return true
}

// isClosed reports whether Close was called.
func (s *Socket) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Counted returns conn, which was adopted, with its reads and writes counted.
func (s *Socket) Counted(conn net.Conn) net.Conn {
	s.counts = true
	c := &countedConn{Conn: conn, s: s}
	s.mu.Lock()
	if s.kind == System {
		c.direct = newDirect(conn, s)
		s.asks = s.asks && c.direct == nil
	}
	s.mu.Unlock()
	return c
}

// noteReceived notes that n bytes came.
func (s *Socket) noteReceived(n int) {
	if n > 0 {
		s.received.Add(int64(n))
		if s.last != nil {
			s.last.Store(time.Now().UnixNano())
		}
	}
}

// Acknowledged implements peertime.Line: it is how much of what was written the peer's
// host has acknowledged, and never more.
func (s *Socket) Acknowledged() int64 {
	conn, counted := s.line()
	if !counted {
		n, _ := acknowledged(conn)
		return n
	}
	if t, ok := conn.(teller); ok {
		return t.Acknowledged()
	}
	sent := s.sent.Load() // before the question: a write between the two makes it less
	held, known := unacknowledged(conn)
	if !known {
		return 0
	}
	return sent - int64(held)
}

// Written implements peertime.Line, without a question to the system where s counts.
func (s *Socket) Written() int64 {
	conn, counted := s.line()
	if counted {
		return s.sent.Load()
	}
	n, _ := acknowledged(conn)
	held, _ := unacknowledged(conn)
	return n + int64(held)
}

// line returns the net.Conn, and whether s counts what it takes when it takes it.
// What writes to a wrapped socket of the system does not say so while a call waits,
// but the system does.
func (s *Socket) line() (conn net.Conn, counted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn, !s.asks
}

// waits begins to watch a write that waits.
func (s *Socket) waits() {
	s.mu.Lock()
	s.writers++
	s.mu.Unlock()
	s.moves()
}

// moves begins anew. Nothing is queued behind the write, so all that is
// acknowledged is a sign of life.
func (s *Socket) moves() { s.guard.Start(math.MaxInt64) }

// wrote ends the watch, and reports false if it was too late.
func (s *Socket) wrote() (inTime bool) {
	s.mu.Lock()
	s.writers--
	others := s.writers > 0
	s.mu.Unlock()
	if others {
		return true
	}
	return s.guard.Stop()
}

// smallPiece is what one call writes where it shows no progress: WriteTimeout is
// for each.
const smallPiece = 16 << 10

// teller is a net.Conn that knows what the peer's host has acknowledged, as those of
// tests do.
type teller interface{ Acknowledged() int64 }

// write writes p to w, which is the net.Conn or a layer above it, under a guard.
func (s *Socket) write(w io.Writer, p []byte) (n int, err error) {
	most := smallPiece
	if s.tells {
		most = len(p)
	}
	for n < len(p) && err == nil {
		s.waits()
		var m int
		m, err = s.call(w, p[n:min(len(p), n+most)])
		n += m
		s.sent.Add(int64(m))
		if !s.wrote() {
			return n, ErrWriteTimeout
		}
	}
	return n, err
}

var smallPieces = sync.Pool{New: func() any { b := make([]byte, 0, smallPiece); return &b }}

type written struct {
	n   int
	err error
}

// call writes p to w, and does not wait for a foreign w that does not return when
// it is closed, and keeps what it was given.
func (s *Socket) call(w io.Writer, p []byte) (n int, err error) {
	if s.kind != Foreign {
		return w.Write(p)
	}
	if !s.begin() {
		return 0, net.ErrClosed
	}
	piece := smallPieces.Get().(*[]byte)
	*piece = append((*piece)[:0], p...)
	done := make(chan written, 1)
	go func() {
		defer s.calls.Done()
		n, err := w.Write(*piece)
		done <- written{n, err}
	}()
	var r written
	select {
	case r = <-done:
	case <-s.killed:
		timer := time.NewTimer(returning)
		defer timer.Stop()
		select { // how much was written matters
		case r = <-done:
		case <-timer.C:
			return 0, net.ErrClosed
		}
	}
	if cap(*piece) == smallPiece {
		smallPieces.Put(piece)
	}
	return r.n, r.err
}

// returning is how long a call of a net.Conn that is closed may take to return.
const returning = 50 * time.Millisecond

// readForeign reads from r, which is a foreign net.Conn or a layer above it. What it
// returns after it was closed is lost, and nobody may be waiting for it.
func (s *Socket) readForeign(r io.Reader, p []byte) (n int, err error) {
	if !s.begin() {
		return 0, net.ErrClosed
	}
	defer s.calls.Done()
	n, err = r.Read(p)
	if s.isClosed() {
		return 0, net.ErrClosed
	}
	s.noteReceived(n)
	return n, err
}

// read reads from r, which is the net.Conn or a layer above it, and counts.
func (s *Socket) read(r io.Reader, p []byte) (n int, err error) {
	if s.kind == Foreign {
		return s.readForeign(r, p)
	}
	n, err = r.Read(p)
	s.noteReceived(n)
	return n, err
}

// countedConn is the net.Conn that the layers above see.
type countedConn struct {
	net.Conn
	s      *Socket
	direct *direct
}

func (c *countedConn) Read(p []byte) (n int, err error) { return c.s.read(c.Conn, p) }

func (c *countedConn) Write(p []byte) (int, error) {
	n, err, ok := c.direct.Write(p)
	if !ok {
		return c.s.write(c.Conn, p)
	}
	if _, is := err.(*net.OpError); err != nil && err != ErrWriteTimeout && !is { // as a net.Conn has it
		err = &net.OpError{Op: "write", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	}
	return n, err
}
