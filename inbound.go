//go:build !js

package wsnotify

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// inbound is the reading half of a link. It takes the stream apart into
// frames, with large reads for as long as they pay.
//
// A message that is whole in one frame it hands over by itself, since the
// transport would take three locks for each. Everything else the transport
// gets, one frame at a time: control frames, fragments, what is compressed,
// what is too long, what is wrong. So at the beginning of each frame the
// transport's own buffer is empty, and the order is that of the stream.
//
// All of it belongs to the reader's goroutine.
type inbound struct {
	body    io.Reader
	waits   func()                          // called before a wait for the socket
	heard   func()                          // called when it has given something
	message func(MessageType, []byte) error // nil: everything is for the transport
	limit   int64                           // of a message; negative: none

	small [512]byte // the buffer of an idle connection
	large *[]byte   // that of a busy one, from a pool
	buf   []byte    // read and not used: a part of either
	full  bool      // the last read filled its buffer
	last  uint64    // size of the last message in one frame

	pass       uint64 // bytes of the frame that the transport has still to get
	fragmented bool   // a message in fragments is under way
	counts     bool   // it is not compressed, so that its size is
	total      uint64 // what its frames have claimed
	err        error  // of the socket
}

const (
	largeRead   = 64 << 10
	largeFrame  = 16 << 10 // a frame for which a large read would only be copied
	trustedSize = 1 << 20  // what is allocated because a peer says that it will send as much
)

var largeReads = sync.Pool{New: func() any { b := make([]byte, largeRead); return &b }}

// errStreamEnd replaces io.EOF below the transport.
var errStreamEnd = errors.New("the connection ended without a close frame")

// Read gives the transport what is left of the frame that is its own.
func (in *inbound) Read(p []byte) (int, error) {
	for in.pass == 0 {
		if err := in.frame(); err != nil {
			return 0, err
		}
	}
	p = p[:min(uint64(len(p)), in.pass)]
	var n int
	var err error
	if len(in.buf) > 0 {
		n = copy(p, in.buf)
		in.buf = in.buf[n:]
	} else {
		n, err = in.receive(p)
	}
	in.pass -= uint64(n)
	return n, err
}

// frame deals with the next frame, or leaves it to the transport.
func (in *inbound) frame() error {
	header, size, err := in.header()
	if err != nil {
		return err
	}
	first := in.buf[0]
	switch opcode := first & 0xf; {
	case in.message != nil && !in.fragmented && (first == 0x80|opText || first == 0x80|opBinary) &&
		size <= trustedSize && (in.limit < 0 || size <= uint64(in.limit)):
		in.buf = in.buf[header:]
		in.last = size
		data, err := in.take(int(size))
		if err != nil {
			return err
		}
		return in.message(MessageType(opcode), data)
	case opcode <= opBinary:
		if opcode != 0 {
			in.counts, in.total = first&0x70 == 0, 0
		}
		in.fragmented = first&0x80 == 0
		if in.counts && in.limit >= 0 && size <= math.MaxInt64 {
			// The transport would read up to the limit before it said so.
			if in.total += size; in.total > uint64(in.limit) {
				return websocket.ErrMessageTooBig
			}
		}
	case first >= 0x80|opClose && first <= 0x80|opPong && size <= 125:
		// The transport gives a control frame 5 s from its header on; a slow
		// line may take longer.
		if err := in.need(header + int(size)); err != nil {
			return err
		}
		if opcode == opClose && size > 2 && !utf8.Valid(in.buf[header+2:header+int(size)]) {
			return errCloseReason
		}
	}
	in.pass = uint64(header) + min(size, math.MaxInt64)
	return nil
}

// header has the next frame's header in buf, and reads it.
func (in *inbound) header() (length int, size uint64, err error) {
	if err := in.need(2); err != nil {
		return 0, 0, err
	}
	code := in.buf[1]
	if code&0x80 != 0 {
		return 0, 0, errMasked
	}
	switch code {
	case 126:
		err := in.need(4)
		if err != nil {
			return 0, 0, err
		}
		if size = uint64(binary.BigEndian.Uint16(in.buf[2:])); size < 126 {
			return 0, 0, errLength
		}
		return 4, size, nil
	case 127:
		err := in.need(10)
		if err != nil {
			return 0, 0, err
		}
		if size = binary.BigEndian.Uint64(in.buf[2:]); size <= math.MaxUint16 {
			return 0, 0, errLength
		}
		return 10, size, nil
	}
	return 2, uint64(code), nil
}

// need reads until buf has n bytes, which are few.
func (in *inbound) need(n int) error {
	for len(in.buf) < n {
		if err := in.more(); err != nil {
			return err
		}
	}
	return nil
}

// more reads into a buffer, behind what is in it. A large one is for a socket
// that has just given all that was asked for: an idle connection keeps none.
func (in *inbound) more() error {
	old := in.large
	dst := in.small[:]
	if in.full && in.last < largeFrame {
		if in.large == nil {
			in.large = largeReads.Get().(*[]byte)
		}
		dst = *in.large
	} else {
		in.large = nil
	}
	have := copy(dst, in.buf)
	if old != nil && in.large == nil {
		largeReads.Put(old)
	}
	n, err := in.receive(dst[have:])
	in.buf = dst[:have+n]
	in.full = have+n == len(dst)
	return err
}

// take returns the next n bytes in memory of their own. What is not in buf is
// read past every buffer.
func (in *inbound) take(n int) ([]byte, error) {
	if n <= len(in.buf) {
		data := append([]byte{}, in.buf[:n]...) // make would clear it first
		in.buf = in.buf[n:]
		return data[:n:n], nil
	}
	data := make([]byte, n)
	have := copy(data, in.buf)
	in.buf = nil
	for have < n {
		m, err := in.receive(data[have:])
		if err != nil {
			return nil, err
		}
		have += m
	}
	return data, nil
}

// receive reads from the socket. An error that comes with bytes is returned
// by the next call.
func (in *inbound) receive(p []byte) (int, error) {
	if in.err == nil {
		in.waits()
		n, err := in.body.Read(p)
		in.err = err
		if n > 0 {
			in.heard()
			return n, nil
		}
	}
	if errors.Is(in.err, io.EOF) || errors.Is(in.err, io.ErrUnexpectedEOF) {
		in.err = io.ErrUnexpectedEOF
		return 0, errStreamEnd
	}
	return 0, in.err
}

// release gives memory back. The reader has ended.
func (in *inbound) release() {
	if in.large != nil {
		in.buf = nil
		largeReads.Put(in.large)
		in.large = nil
	}
}
