//go:build !js

package wsnotify

import (
	"context"
	"io"
	"net"
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
//   - what comes is looked at before the transport sees it: inbound;
//   - the end of the stream is an error of its own, since the transport takes
//     io.EOF and io.ErrUnexpectedEOF inside a message for the message's end;
//   - kill closes the net.Conn under everything, which nothing can delay.
type link struct {
	body io.ReadWriteCloser
	conn *socket // what kill closes
	in   inbound

	// Until started, a read ends at once: after a handshake that it refuses,
	// the transport would wait 3 s for a body that is no body.
	started atomic.Bool

	mu        sync.Mutex
	pending   []byte // encoded and not yet taken by the writer
	appended  int64  // bytes that went into pending, and what would have after the seal
	frames    frameScanner
	sealed    bool // a close frame was the last thing
	closeSent StatusCode
}

func newLink(body io.ReadWriteCloser, conn *socket) *link {
	return &link{body: body, conn: conn, in: inbound{body: body}, closeSent: -1}
}

// start lets the transport read, messages of at most limit bytes.
func (l *link) start(limit int64, waits, heard func()) {
	l.in.limit, l.in.waits, l.in.heard = limit, waits, heard
	l.started.Store(true)
}

// divert gives message what it can, instead of the transport, from the next
// frame on.
func (l *link) divert(message func(MessageType, []byte) error) { l.in.message = message }

// next returns the next message that is for the transport. The context must
// not be one that can be cancelled: the transport would pay for it at every
// message, and would skip the close frame when it is.
func (l *link) next(ws *websocket.Conn) (MessageType, io.Reader, error) {
	return ws.Reader(context.Background())
}

// Read serves the transport's reader.
func (l *link) Read(p []byte) (int, error) {
	if !l.started.Load() {
		return 0, io.EOF
	}
	return l.in.Read(p)
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
func (l *link) socketError() error { return l.in.err }

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
func (l *link) release() { l.in.release() }

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
