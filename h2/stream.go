package h2

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// stream is one WebSocket: the net.Conn that is the body of its response. What
// is sent is queued on the connection, under its lock; what comes has a lock of
// its own, so that readers of many streams don't meet. The two are never held
// together.
type stream struct {
	c        *conn
	id       uint32
	queuedAt int64 // where in what the connection sends its request ends

	// Sending and the stream's place on the connection, under c.mu.
	window     int64 // what the server takes
	writes     []*pendingWrite
	scheduled  bool
	writeErr   error // of every Write from now on
	writeBy    time.Time
	writeTimer *time.Timer
	opened     bool        // the server has accepted the WebSocket
	refused    bool        // or has not
	ended      bool        // this side sends nothing more
	peerEnded  bool        // nor does the server
	linger     *time.Timer // runs after Close, while the server has yet to end its side
	sent       int64       // bytes
	credited   int64       // of them, as far as WINDOW_UPDATE tells

	// Receiving, under mu. Read waits for woken, and so does RoundTrip before.
	mu        sync.Mutex
	woken     chan struct{} // of capacity 1
	response  *http.Response
	answered  bool
	buffer    buffer
	allowed   int64 // what the server may still send
	owed      int64 // was read and is not credited
	readErr   error // behind what is buffered
	readBy    time.Time
	readTimer *time.Timer
}

func newStream(c *conn, id uint32) *stream {
	return &stream{c: c, id: id, allowed: streamWindow, woken: make(chan struct{}, 1)}
}

func (s *stream) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// Read implements net.Conn. What came before an end is read before its error;
// the error is io.EOF where the server ended the stream in order.
func (s *stream) Read(p []byte) (n int, err error) {
	for {
		s.mu.Lock()
		late := !s.readBy.IsZero() && !time.Now().Before(s.readBy)
		switch {
		case late:
			err = os.ErrDeadlineExceeded
		case s.buffer.size > 0:
			n = s.buffer.read(p)
			s.owed += int64(n)
		default:
			err = s.readErr
		}
		credit := s.creditable()
		more := s.buffer.size > 0 || s.readErr != nil
		s.mu.Unlock()
		s.c.credit(s, credit)
		if n > 0 || err != nil || len(p) == 0 {
			if more {
				s.wake() // another Read, if there is one
			}
			return n, err
		}
		<-s.woken
	}
}

// receive takes the data of a frame, with length bytes of flow control. Only
// the connection's reader calls it.
func (s *stream) receive(data []byte, length int64, end bool) (credit int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.readErr == io.EOF:
		return 0, streamError(s.id, http2.ErrCodeStreamClosed, "DATA after the end of a stream")
	case !s.answered:
		return 0, streamError(s.id, http2.ErrCodeProtocol, "DATA before the response")
	}
	if s.allowed -= length; s.allowed < 0 {
		return 0, streamError(s.id, http2.ErrCodeFlowControl, "DATA of %d bytes, %d beyond the stream's window", length, -s.allowed)
	}
	if s.readErr != nil {
		return 0, nil // closed by this side
	}
	s.owed += length - int64(len(data)) // padding
	s.buffer.write(data)
	if end {
		s.readErr = io.EOF
	}
	if len(data) > 0 || end {
		s.wake()
	}
	return s.creditable(), nil
}

// creditable is how much of the window is to be given back: half of it at a
// time, so that a frame for it is rare.
func (s *stream) creditable() (n int64) {
	if s.owed >= streamWindow/2 && s.readErr == nil {
		n, s.owed = s.owed, 0
		s.allowed += n
	}
	return n
}

// fail ends what can be read. What is buffered stays.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr == nil {
		s.readErr = err
	}
	s.stopReadTimer()
	s.wake()
}

// Close implements net.Conn. It does not wait, and touches no other stream: the
// server is told that nothing more comes, as by a FIN, and has a second to end
// its side, too, so that it may still read what was sent before. A stream that
// the server has not accepted, or that is closed in the middle of a Write, is
// reset.
func (s *stream) Close() error {
	s.mu.Lock()
	s.readErr = net.ErrClosed
	s.buffer.free()
	s.stopReadTimer()
	s.wake()
	s.mu.Unlock()

	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	torn := len(s.writes) > 0
	c.outbound.drop(s, net.ErrClosed)
	s.writeErr = net.ErrClosed
	if c.streams[s.id] != s || s.linger != nil {
		return nil
	}
	switch {
	case torn, !s.opened && !s.peerEnded, s.ended: // CloseWrite was the friendly way
		c.reset(s, http2.ErrCodeCancel)
	default:
		s.end()
		if s.peerEnded {
			return nil
		}
		s.linger = time.AfterFunc(goodbye, s.lingered)
	}
	if !s.refused {
		c.ask()
	}
	return nil
}

// CloseEndsCalls tells the client that Close does not wait and ends every Read and
// Write at once, so that it need not guard itself against calls that don't return.
func (s *stream) CloseEndsCalls() {}

// CloseWrite tells the server that nothing more comes, and goes on reading.
func (s *stream) CloseWrite() error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.writeErr != nil {
		return s.writeErr
	}
	if len(s.writes) > 0 {
		return errors.New("h2: CloseWrite during a Write")
	}
	c.outbound.drop(s, net.ErrClosed)
	s.end()
	return nil
}

// end ends this side of the stream. The connection is locked.
func (s *stream) end() {
	c := s.c
	c.outbound.framer.WriteData(s.id, true, nil)
	c.outbound.wake()
	s.ended = true
	if s.peerEnded {
		c.forget(s)
	}
}

// lingered ends a stream that the server has not ended in time.
func (s *stream) lingered() {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[s.id] == s {
		c.reset(s, http2.ErrCodeCancel)
	}
}

// stopLinger is called with the connection locked.
func (s *stream) stopLinger() {
	if s.linger != nil {
		s.linger.Stop()
	}
}

// Acknowledged is how much of what was sent the server has made room for again:
// a sign of its life during a long upload, like the acknowledgements of TCP that
// can't be told apart on a shared connection. It lags behind, and does not reach
// what was sent where a server credits in large steps.
func (s *stream) Acknowledged() int64 {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.credited
}

// LocalAddr implements net.Conn: the address of the shared connection.
func (s *stream) LocalAddr() net.Addr { return s.c.nc.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return s.c.nc.RemoteAddr() }

// SetDeadline implements net.Conn.
func (s *stream) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr == net.ErrClosed {
		return net.ErrClosed
	}
	s.readBy = t
	s.stopReadTimer()
	switch {
	case t.IsZero():
	case s.readTimer == nil:
		s.readTimer = time.AfterFunc(time.Until(t), s.wake)
	default:
		s.readTimer.Reset(time.Until(t))
	}
	return nil
}

func (s *stream) stopReadTimer() {
	if s.readTimer != nil {
		s.readTimer.Stop()
	}
}
