//go:build !js

package wsnotify

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// link stands between the transport and the upgraded body of its handshake,
// above TLS, and is the only place that knows the transport's secrets:
//
//   - a write of the transport is held back until the writer takes all of it
//     to send as one;
//   - a close frame among those writes is noticed, and nothing goes out
//     behind it;
//   - the end of the stream is an error of its own, since the transport takes
//     io.EOF and io.ErrUnexpectedEOF inside a message for the message's end;
//   - kill closes the net.Conn under everything, which nothing can delay.
type link struct {
	body  io.ReadWriteCloser
	conn  *socket // what kill closes
	waits func()  // the reader is about to wait for the socket
	heard func()  // the socket has given something

	// Until started, a read ends at once: after a handshake that it refuses,
	// the transport would wait 3 s for a body that is no body.
	started atomic.Bool
	readErr error // of the socket; for the reader and those who have joined it

	// The reader's own.
	inbound inboundScanner
	refused error     // of inbound
	unended io.Reader // the message that was not read to its EOF
	insists bool      // the transport wants the EOF to be read

	// Large reads, for as long as they pay.
	hungry bool // the last read filled its buffer
	buf    *[]byte
	unread []byte

	mu        sync.Mutex
	pending   []byte // encoded and not yet taken by the writer
	appended  int64  // bytes that went into pending, and what would have after the seal
	frames    frameScanner
	sealed    bool // a close frame was the last thing
	closeSent StatusCode
}

// errStreamEnd replaces io.EOF below the transport.
var errStreamEnd = errors.New("the connection ended without a close frame")

const largeRead = 64 << 10

var largeReads = sync.Pool{New: func() any { b := make([]byte, largeRead); return &b }}

func newLink(body io.ReadWriteCloser, conn *socket) *link {
	return &link{body: body, conn: conn, closeSent: -1}
}

// start lets the transport read.
func (l *link) start() { l.started.Store(true) }

// next returns the next message, and its size, or -1 if it has to be read to
// its end to know. A message of known size need not be read past it: the EOF
// would cost a third of what a small message costs.
//
// The context must not be one that can be cancelled: the transport would pay
// for it at every message, and would skip the close frame when it is.
func (l *link) next(ws *websocket.Conn) (typ MessageType, r io.Reader, size int64, err error) {
	typ, r, err = ws.Reader(context.Background())
	if err != nil && l.unended != nil && strings.Contains(err.Error(), "not read to completion") {
		// A version of the transport that insists on the EOF. It gets it, from
		// now on.
		l.insists = true
		l.unended.Read(make([]byte, 1))
		typ, r, err = ws.Reader(context.Background())
	}
	if err != nil {
		return 0, nil, 0, err
	}
	size = l.inbound.size()
	if l.insists {
		size = -1
	}
	if l.unended = nil; size >= 0 {
		l.unended = r
	}
	return typ, r, size, nil
}

// Read serves the transport's reader.
func (l *link) Read(p []byte) (int, error) {
	if len(l.unread) > 0 {
		n := copy(p, l.unread)
		l.unread = l.unread[n:]
		return n, nil
	}
	if !l.started.Load() {
		return 0, io.EOF
	}
	if l.buf == nil && l.hungry && len(p) < largeRead/2 {
		l.buf = largeReads.Get().(*[]byte)
	}
	if l.buf == nil {
		n, err := l.receive(p)
		l.hungry = n == len(p)
		return n, err
	}
	n, err := l.receive(*l.buf)
	m := copy(p, (*l.buf)[:n])
	l.unread = (*l.buf)[m:n]
	if len(l.unread) == 0 {
		l.hungry = false
		largeReads.Put(l.buf)
		l.buf = nil
	}
	return m, err
}

func (l *link) receive(p []byte) (int, error) {
	if l.refused != nil {
		return 0, l.refused
	}
	l.waits()
	n, err := l.body.Read(p)
	if n > 0 {
		l.heard()
		// What stands before a frame that is refused is still good.
		if n, l.refused = l.inbound.scan(p[:n]); l.refused != nil && n == 0 {
			return 0, l.refused
		}
	}
	if err != nil {
		l.readErr = err
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			l.readErr, err = io.ErrUnexpectedEOF, errStreamEnd
		}
	}
	return n, err
}

// Write holds back what the transport encoded, in pieces of any size.
func (l *link) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.add(p)
	l.mu.Unlock()
	return len(p), nil
}

// Close is called by the transport when it has nothing more to say. The owner
// of the connection is about to learn of it, sends what is pending and kills
// the link.
func (l *link) Close() error { return nil }

// add keeps p up to the end of a close frame. What comes behind that is
// counted all the same, so that the writer knows that it never left.
func (l *link) add(p []byte) {
	l.appended += int64(len(p))
	if l.sealed {
		return
	}
	n, closed := l.frames.scan(p)
	l.pending = append(l.pending, p[:n]...)
	if closed {
		l.sealed, l.closeSent = true, l.frames.closeCode()
	}
}

// appendFrame adds a frame of our own between two messages.
func (l *link) appendFrame(opcode byte, payload []byte) {
	var frame [256]byte
	b := encodeFrame(frame[:0], opcode, payload)
	l.mu.Lock()
	l.add(b)
	l.mu.Unlock()
}

// offset is where the next frame begins in the stream of bytes.
func (l *link) offset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.appended
}

func (l *link) closeFrameSent() (code StatusCode, sent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeSent, l.sealed
}

// lend gives memory for what comes, and reports whether it was needed.
func (l *link) lend(buf []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending != nil {
		return false
	}
	l.pending = buf[:0]
	return true
}

// take returns what is pending.
func (l *link) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.pending
	l.pending = nil
	return out
}

// socketError is what ended the stream; nil if that goes on.
func (l *link) socketError() error { return l.readErr }

// write sends a part of what was taken.
func (l *link) write(p []byte) (int, error) { return l.body.Write(p) }

// kill ends every read and write at once.
func (l *link) kill() {
	if !l.conn.close() {
		l.body.Close()
	}
}

// end closes the layers above the socket too, such as TLS, for which a peer
// that does not read gets a moment and no more.
func (l *link) end() {
	guard := time.AfterFunc(time.Second, l.kill)
	l.body.Close()
	guard.Stop()
	l.kill()
}

// release gives memory back once the reader has ended.
func (l *link) release() {
	if l.buf != nil {
		l.unread = nil
		largeReads.Put(l.buf)
		l.buf = nil
	}
}

// socket is the handle of the net.Conn that an attempt dialled. It may be
// closed before there is one.
type socket struct {
	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

// adopt keeps conn as what close closes, unless that has been called.
func (s *socket) adopt(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conn = conn
	}
	return !s.closed
}

// close reports whether there was a net.Conn to close.
func (s *socket) close() bool {
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
