package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wsnotify/wsnotify/internal/extension"
)

// A socket is a WebSocket as a server has it (RFC 6455). It is written for serve, and stands neither
// on the client's code, whose peer it is, nor on the server of coder/websocket, which does not check
// UTF-8 and panics on some compressed frames: those are read on a goroutine that nobody guards.
type socket struct {
	conn  net.Conn
	in    *bufio.Reader
	limit int64         // of a message in bytes; negative: none
	large chan struct{} // holds a token for each large message under way, of all sockets
	muted func() bool   // no control frame is answered

	holds   bool          // a token of large; the reader's
	writing chan struct{} // full while somebody writes: a lock that may be held over I/O
	sealed  bool          // a close frame was sent; guarded by writing
	compression
	over chan struct{} // closed by end
}

// Opcodes of RFC 6455, section 5.2.
const (
	opContinuation byte = 0x0
	opText         byte = 0x1
	opBinary       byte = 0x2
	opClose        byte = 0x8
	opPing         byte = 0x9
	opPong         byte = 0xA

	rsv1 byte = 0x40 // beside the opcode: the message is compressed
)

const (
	smallMessage = 64 << 10         // bytes that every client may have under way
	largeAtOnce  = 8                // messages that are larger
	stallWait    = 30 * time.Second // for the next bytes of one of these
	writeWait    = 10 * time.Second // for a client that does not read
	closeWait    = 5 * time.Second  // for the answer to a close frame
	lingerWait   = time.Second      // for a close frame to arrive before the connection ends
	maxReason    = 123              // bytes of a close reason, section 5.5
)

// accept answers a handshake (section 4.2). If it can't be one, it has said so to the client.
func accept(w http.ResponseWriter, r *http.Request) (*socket, error) {
	key := r.Header.Get("Sec-WebSocket-Key")
	raw, err := base64.StdEncoding.DecodeString(key)
	status, wrong := http.StatusBadRequest, ""
	switch {
	case !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		status, wrong = http.StatusUpgradeRequired, "this is the address of a WebSocket: expected the headers Connection: Upgrade and Upgrade: websocket"
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		status, wrong = http.StatusUpgradeRequired, "expected Sec-WebSocket-Version: 13"
	case err != nil || len(raw) != 16 || len(r.Header.Values("Sec-WebSocket-Key")) != 1:
		wrong = "expected one Sec-WebSocket-Key of 16 bytes in base64"
	case !originAllowed(r):
		status, wrong = http.StatusForbidden, fmt.Sprintf("the page at %s may not connect: expected one of this server, or of localhost",
			shorten(r.Header.Get("Origin"), 200))
	}
	if wrong != "" {
		http.Error(w, wrong, status)
		return nil, errors.New(wrong)
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this is no HTTP/1.1 connection", http.StatusNotImplemented)
		return nil, err
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn.SetDeadline(time.Time{})
	conn.SetWriteDeadline(time.Now().Add(writeWait))
	agreed, extensions := extension.Accept(r.Header.Values("Sec-WebSocket-Extensions"))
	if agreed != nil {
		extensions = "Sec-WebSocket-Extensions: " + extensions + "\r\n"
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
		base64.StdEncoding.EncodeToString(sum[:]), extensions)
	if err != nil {
		conn.Close()
		return nil, err
	}
	s := newSocket(conn, rw.Reader)
	s.agree(agreed)
	return s, nil
}

func newSocket(conn net.Conn, in *bufio.Reader) *socket {
	return &socket{conn: conn, in: in, limit: -1, large: make(chan struct{}, 1), muted: func() bool { return false },
		writing: make(chan struct{}, 1), over: make(chan struct{})}
}

// originAllowed takes what is not a page, the pages of this server, and those that somebody tries
// things with on this machine. The host of the request has been checked by then.
func originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && (strings.EqualFold(u.Host, r.Host) || isLoopback(u.Hostname()))
}

func hasToken(h http.Header, name, token string) bool {
	return slices.ContainsFunc(strings.Split(strings.Join(h.Values(name), ","), ","), func(t string) bool {
		return strings.EqualFold(strings.TrimSpace(t), token)
	})
}

// closedError is the close frame of a client.
type closedError struct {
	code   int // 1005: it had none
	reason string
}

func (e *closedError) Error() string { return fmt.Sprintf("closed with %d", e.code) }

// refusedError is what a client must not send, and the code that it is closed with.
type refusedError struct {
	code int
	text string
}

func (e *refusedError) Error() string { return e.text }

func violation(format string, args ...any) error {
	return &refusedError{1002, fmt.Sprintf(format, args...)}
}

// errStalled ends a client that has stopped in the middle of a large message.
var errStalled = &refusedError{1008, "it stopped in the middle of a message"}

// read waits for the next message, and answers control frames meanwhile. Data is the caller's until
// release. An error ends the reading: it has been answered with a close frame if that is due.
func (s *socket) read() (op byte, data []byte, err error) {
	op, data, err = s.message()
	var wrong *refusedError
	var closed *closedError
	var late net.Error
	if s.holds && errors.As(err, &late) && late.Timeout() {
		err = errStalled
	}
	switch {
	case errors.As(err, &closed) && !s.muted():
		code := closed.code
		if code == 1005 {
			code = 0
		}
		s.close(code, "")
	case errors.As(err, &wrong):
		s.close(wrong.code, wrong.text)
		// A socket that is closed while something of the client's is unread is reset, and the close
		// frame is lost with it.
		s.conn.SetReadDeadline(time.Now().Add(lingerWait))
		io.Copy(io.Discard, s.conn)
	}
	return op, data, err
}

// release ends the use of the last message's data.
func (s *socket) release() {
	if s.holds {
		s.holds = false
		<-s.large
		s.conn.SetReadDeadline(time.Time{})
	}
}

// message puts the next one together.
func (s *socket) message() (op byte, data []byte, err error) {
	compressed := false
	for {
		h, err := s.header()
		switch {
		case err != nil:
			return 0, nil, err
		case h.op >= opClose:
			if err := s.control(h); err != nil {
				return 0, nil, err
			}
			continue
		case h.op == opContinuation && op == 0:
			return 0, nil, violation("a continuation frame came without a message (section 5.4)")
		case h.op != opContinuation && op != 0:
			return 0, nil, violation("a message began inside another one (section 5.4)")
		case h.op != opContinuation:
			op, compressed = h.op, h.compressed
		}
		limit := s.limit
		if compressed {
			limit = s.mayGrow(limit)
		}
		if s.limit >= 0 && h.size > limit-int64(len(data)) {
			return 0, nil, s.tooBig()
		}
		if data, err = s.payload(h, data); err != nil {
			return 0, nil, err
		}
		if !h.fin {
			continue
		}
		if compressed {
			if data, err = s.inflate(data); err != nil {
				return 0, nil, err
			}
		}
		if op == opText && !utf8.Valid(data) {
			return 0, nil, &refusedError{1007, "a text message is not UTF-8 (section 5.6)"}
		}
		return op, data, nil
	}
}

func (s *socket) tooBig() error {
	return &refusedError{1009, fmt.Sprintf("a message of more than %s", bytesText(s.limit))}
}

// frameHeader is that of a frame.
type frameHeader struct {
	fin, compressed bool
	op              byte
	size            int64
	mask            [4]byte
}

func (s *socket) header() (h frameHeader, err error) {
	var b [8]byte
	if _, err := io.ReadFull(s.in, b[:2]); err != nil {
		return h, err
	}
	h.fin, h.op, h.size = b[0]&0x80 != 0, b[0]&0x0F, int64(b[1]&0x7F)
	control := h.op >= opClose
	reserved := b[0] & 0x70
	if s.inflater != nil && (h.op == opText || h.op == opBinary) {
		h.compressed = reserved&rsv1 != 0
		reserved &^= rsv1
	}
	switch {
	case reserved != 0:
		return h, violation("a frame has reserved bits set, and no extension was agreed on (section 5.2)")
	case h.op > opBinary && h.op < opClose || h.op > opPong:
		return h, violation("a frame has the unknown opcode %#x (section 5.2)", h.op)
	case control && !h.fin:
		return h, violation("a control frame is fragmented (section 5.5)")
	case control && h.size > 125:
		return h, violation("a control frame has more than 125 bytes (section 5.5)")
	case b[1]&0x80 == 0:
		return h, violation("a frame has no mask (section 5.1)")
	}
	least := int64(0)
	switch h.size {
	case 126:
		if _, err := io.ReadFull(s.in, b[:2]); err != nil {
			return h, err
		}
		h.size, least = int64(binary.BigEndian.Uint16(b[:])), 126
	case 127:
		if _, err := io.ReadFull(s.in, b[:]); err != nil {
			return h, err
		}
		h.size, least = int64(binary.BigEndian.Uint64(b[:])), 1<<16 // negative with the highest bit
	}
	if h.size < least {
		return h, violation("a frame's length is negative, or not in its shortest form (section 5.2)")
	}
	_, err = io.ReadFull(s.in, h.mask[:])
	return h, err
}

// hold waits until the message under way is one of those that may be large.
func (s *socket) hold() error {
	if s.holds {
		return nil
	}
	select {
	case s.large <- struct{}{}:
		s.holds = true
		return nil
	case <-s.over:
		return net.ErrClosed
	}
}

// payload appends that of a frame to data. What is allocated for more than a small message is
// one of a few, so that what clients announce can't take more memory than that.
func (s *socket) payload(h frameHeader, data []byte) ([]byte, error) {
	have := len(data)
	if int64(have)+h.size > smallMessage {
		if err := s.hold(); err != nil {
			return nil, err
		}
	}
	for left := h.size; left > 0; {
		n := int(min(left, smallMessage))
		if s.limit >= 0 && cap(data)-len(data) < n {
			data = slices.Grow(data, int(left)) // at most limit
		} else {
			data = slices.Grow(data, n)
		}
		if s.holds {
			s.conn.SetReadDeadline(time.Now().Add(stallWait))
		}
		part := data[len(data) : len(data)+n]
		if _, err := io.ReadFull(s.in, part); err != nil {
			return nil, err
		}
		data = data[:len(data)+n]
		left -= int64(n)
	}
	for i := range data[have:] {
		data[have+i] ^= h.mask[i&3]
	}
	return data, nil
}

// control answers a ping, and makes an error of a close frame.
func (s *socket) control(h frameHeader) error {
	payload, err := s.payload(h, make([]byte, 0, h.size))
	switch {
	case err != nil:
		return err
	case h.op == opPing && !s.muted():
		if err := s.write(opPong, payload); !errors.Is(err, errSealed) {
			return err
		}
		return nil
	case h.op != opClose:
		return nil
	}
	closed := &closedError{code: 1005}
	if len(payload) == 1 {
		return violation("a close frame has a body of one byte (section 5.5.1)")
	}
	if len(payload) > 1 {
		closed.code, closed.reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
		if !mayClose(closed.code) {
			return violation("a close frame has the code %d (section 7.4)", closed.code)
		}
		if !utf8.ValidString(closed.reason) {
			return &refusedError{1007, "the reason of a close frame is not UTF-8 (section 5.5.1)"}
		}
	}
	return closed
}

var errSealed = errors.New("a close frame was sent")

// write sends a frame. It waits no longer than writeWait for a client that does not read; the
// connection is of no use after an error.
func (s *socket) write(op byte, payload []byte) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-s.over:
		return net.ErrClosed
	}
	if s.sealed {
		return errSealed
	}
	s.sealed = op == opClose
	op, payload = s.deflate(op, payload)
	frame := appendServerFrame(nil, op, payload)
	s.conn.SetWriteDeadline(time.Now().Add(writeWait))
	_, err := s.conn.Write(frame)
	if err == nil && len(payload) > smallMessage {
		_, err = s.conn.Write(payload)
	}
	return err
}

// appendServerFrame appends a frame without a mask; of a large one its header alone, so that
// nothing large is copied.
func appendServerFrame(dst []byte, op byte, payload []byte) []byte {
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|op, byte(n))
	case n <= 0xFFFF:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|op, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|op, 127), uint64(n))
	}
	if len(payload) > smallMessage {
		return dst
	}
	return append(dst, payload...)
}

// close sends a close frame, one without a code if that is 0, unless one was sent. The client's
// answer is an error of read.
func (s *socket) close(code int, reason string) error {
	var payload []byte
	if code != 0 {
		if len(reason) > maxReason {
			reason = shorten(reason, maxReason-len("…"))
		}
		payload = append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
	}
	return s.write(opClose, payload)
}

// end ends the connection, and what waits for it.
func (s *socket) end() {
	close(s.over)
	s.conn.Close()
}
