package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"unicode/utf8"
)

// Event is a thing that came: a message, a ping, a pong or the close frame.
type Event struct {
	// Data is a message, which is the receiver's to keep unless it has Memory.
	// Of a compressed message and of a ping or a pong it is the payload and of a
	// close frame the reason, valid until the next Read.
	Data []byte

	// Memory is what Data is part of, to be released by the receiver; nil if
	// Data is on its own. Cost is how many bytes the message keeps from being
	// used: its own, and of shared memory all that came since the message before;
	// MinCost at least.
	Memory *Memory
	Cost   int

	Op         Op
	Compressed bool   // Data is what RFC 7692 made of a message
	Code       uint16 // of a close frame; NoStatus if it had none
}

// MinCost is what an empty message costs, about: its place among others, and what
// the allocator and the callbacks need for it.
const MinCost = 256

// cost is the Cost of a message that keeps so many bytes.
func cost(retained int) int { return max(retained, MinCost) }

// Release gives up Memory, if there is any.
func (ev *Event) Release() {
	if ev.Memory != nil {
		ev.Memory.Release()
		ev.Memory = nil
	}
}

// Reader takes the stream of a server apart. It reads in large pieces for as
// long as they pay, and holds little memory while nothing comes.
type Reader struct {
	src     io.Reader
	limit   int64 // of a message; negative: none
	deflate bool  // compressed messages may come
	reuse   bool  // messages may be parts of shared memory

	small [512]byte // of an idle connection
	large holds     // of a busy one; none while small is in use
	buf   []byte    // either of them
	r, w  int       // what was read and not used is buf[r:w]
	full  bool      // the last read filled all the space it had
	last  int64     // size of the last data frame
	cost  int       // of the stream since the last message

	// The message that is coming in pieces.
	op         Op // 0 if there is none
	compressed bool
	data       []byte
	mem        *Memory // that holds data; nil if it is on its own
	claimed    int64   // by the frames so far
	text       text

	// Its frame under way.
	inside bool  // there is one
	left   int64 // of the payload
	fin    bool

	srcErr error // came with bytes, and is returned after them
	empty  int   // reads since the last that returned bytes
	err    error
}

const (
	largeRead   = 64 << 10
	largeFrame  = 16 << 10 // a payload for which a large read would only be copied
	trustedSize = 1 << 20  // what is allocated because a server says that it will send as much
)

// NewReader returns a Reader of messages of at most limit bytes; negative
// means any. With reuse, messages are parts of memory that is to be released.
func NewReader(src io.Reader, limit int64, deflate, reuse bool) *Reader {
	r := &Reader{src: src, limit: limit, deflate: deflate, reuse: reuse}
	r.buf = r.small[:]
	return r
}

// Read waits until something has come and returns all of it that fits into
// events. It waits for the source only when it has nothing to return. An error
// is final: a *Violation, or what the source returned.
func (r *Reader) Read(events []Event) (n int, err error) {
	for {
		for r.err == nil && n < len(events) {
			events[n] = Event{}
			var ok bool
			if ok, r.err = r.next(&events[n]); !ok || r.err != nil {
				break
			}
			n++
		}
		switch {
		case n > 0:
			return n, nil
		case r.err != nil:
			return 0, r.err
		}
		if err := r.fill(); err != nil {
			r.err = err
		}
	}
}

// Fail makes the next Read return err, as if the server had broken a rule here.
func (r *Reader) Fail(err error) { r.err = err }

// Close gives the Reader's memory back. It reads nothing more.
func (r *Reader) Close() {
	r.err = io.ErrClosedPipe
	r.r, r.w = 0, 0
	r.buf = nil
	if r.large.Memory != nil {
		r.large.end()
	}
	if r.mem != nil {
		r.mem.Release()
	}
	r.mem, r.data = nil, nil
}

// next makes an event of what was read. It returns false when more must be.
func (r *Reader) next(ev *Event) (ok bool, err error) {
	for {
		if r.inside {
			if err := r.gather(); err != nil || r.left > 0 {
				return false, err
			}
			r.inside = false
			if r.fin {
				return true, r.finish(ev)
			}
		}
		b := r.buf[r.r:r.w]
		header, size, err := parseHeader(b)
		if err != nil || header == 0 {
			return false, err
		}
		op := Op(b[0] & 0xf)
		if err := r.check(b[0], op, size); err != nil {
			return false, err
		}
		if op >= Close {
			if len(b) < header+int(size) {
				return false, nil
			}
			r.use(header + int(size))
			return true, control(ev, op, b[header:header+int(size)])
		}
		r.last = size
		whole := b[0]&Fin != 0 && op != Continuation
		if whole && int64(len(b)-header) >= size {
			r.use(header + int(size))
			return true, r.whole(ev, op, b[0]&RSV1 != 0, b[header:header+int(size):header+int(size)])
		}
		r.use(header)
		r.begin(b[0], op, size)
	}
}

// parseHeader reads the header at the start of b; length is 0 if it is not
// whole.
func parseHeader(b []byte) (length int, size int64, err error) {
	if len(b) < 2 {
		return 0, 0, nil
	}
	if b[1]&0x80 != 0 {
		return 0, 0, violation(ProtocolError, "a frame of the server is masked") // section 5.1
	}
	switch b[1] {
	case 126:
		if len(b) < 4 {
			return 0, 0, nil
		}
		length, size = 4, int64(binary.BigEndian.Uint16(b[2:]))
		if size < 126 {
			return 0, 0, errLength
		}
	case 127:
		if len(b) < 10 {
			return 0, 0, nil
		}
		n := binary.BigEndian.Uint64(b[2:])
		if n > math.MaxInt64 {
			return 0, 0, violation(ProtocolError, "a frame's length is negative: its highest bit is set")
		}
		if length, size = 10, int64(n); size <= math.MaxUint16 {
			return 0, 0, errLength
		}
	default:
		length, size = 2, int64(b[1])
	}
	return length, size, nil
}

var errLength = violation(ProtocolError, "a frame's length is not in its shortest form") // section 5.2

// check holds a frame's header against sections 5.2, 5.4 and 5.5, and against
// the limit.
func (r *Reader) check(first byte, op Op, size int64) error {
	if bits := first & 0x70; bits != 0 {
		if bits != RSV1 || !r.deflate || op != Text && op != Binary {
			return violation(ProtocolError, "a frame with the opcode %#x has unexpected rsv bits set: %03b", byte(op), bits>>4)
		}
	}
	switch op {
	case Text, Binary:
		if r.op != 0 {
			return violation(ProtocolError, "a new message began without finishing the one before, which came in fragments")
		}
		r.claimed = 0
	case Continuation:
		if r.op == 0 {
			return violation(ProtocolError, "a continuation frame came without a message")
		}
	case Close, Ping, Pong:
		if first&Fin == 0 {
			return violation(ProtocolError, "a fragmented control frame came")
		}
		if size > MaxControl {
			return violation(ProtocolError, "a control frame has the invalid length %d; at most %d bytes are allowed", size, MaxControl)
		}
		return nil
	default:
		return violation(ProtocolError, "a frame has the unknown opcode %#x", byte(op))
	}
	limit := r.limit
	if limit >= 0 && (r.compressed && op == Continuation || first&RSV1 != 0) {
		limit += limit/8 + 1024 // what can't be compressed grows, by less than this
	}
	if r.claimed > math.MaxInt64-size {
		return violation(TooBig, "a message is too big to be counted")
	}
	if r.claimed += size; limit >= 0 && r.claimed > limit {
		return violation(TooBig, "a message is too big: it has %d bytes or more, and ReadLimit is %d", r.claimed, r.limit)
	}
	return nil
}

// control makes the event of a control frame.
func control(ev *Event, op Op, payload []byte) (err error) {
	ev.Op, ev.Data = op, payload
	if op == Close {
		ev.Code, ev.Data, err = parseClose(payload)
	}
	return err
}

// whole makes the event of a message that was read as a whole.
func (r *Reader) whole(ev *Event, op Op, compressed bool, payload []byte) error {
	if op == Text && !compressed && !utf8.Valid(payload) {
		return ErrNotUTF8
	}
	ev.Op, ev.Compressed = op, compressed
	switch {
	case compressed: // what it becomes is put elsewhere
		ev.Data = payload
	case !r.reuse:
		data := append([]byte{}, payload...) // make would clear it first
		ev.Data, ev.Cost = data[:len(data):len(data)], cost(len(data))
	case r.large.Memory != nil:
		ev.Data, ev.Memory, ev.Cost = payload, r.large.give(), cost(r.cost)
	default:
		ev.Memory = getMemory(len(payload))
		ev.Data = ev.Memory.b[:copy(ev.Memory.b, payload):len(payload)]
		ev.Cost = cost(len(ev.Memory.b))
	}
	r.cost = 0
	return nil
}

// ErrNotUTF8 is text that is none.
var ErrNotUTF8 = violation(InvalidPayload, "a text message is not valid UTF-8")

func (r *Reader) use(n int) {
	r.r += n
	r.cost += n
}

// begin starts a frame whose payload comes in pieces, or is a piece itself.
func (r *Reader) begin(first byte, op Op, size int64) {
	r.inside, r.left, r.fin = true, size, first&Fin != 0
	if op != Continuation {
		r.op, r.compressed, r.text = op, first&RSV1 != 0, text{}
		space := int(min(size, trustedSize))
		if r.reuse {
			r.mem = getMemory(space)
			r.data = r.mem.b[:0]
		} else {
			r.data = make([]byte, 0, space)
		}
	}
}

// gather moves what was read of the frame under way to its message.
func (r *Reader) gather() error {
	b := r.buf[r.r:r.w]
	b = b[:min(int64(len(b)), r.left)]
	r.growMessage(len(b))
	r.data = append(r.data, b...)
	r.use(len(b))
	return r.added(len(b))
}

// added accounts for the last n bytes of data.
func (r *Reader) added(n int) error {
	r.left -= int64(n)
	if r.op == Text && !r.compressed && !r.text.add(r.data[len(r.data)-n:]) {
		return ErrNotUTF8
	}
	return nil
}

// growMessage makes space for at least n more bytes of the message, so that what is
// allocated follows what has come.
func (r *Reader) growMessage(n int) {
	need := len(r.data) + n
	if need <= cap(r.data) {
		return
	}
	size := int(min(int64(max(2*cap(r.data), need)), max(int64(need), int64(len(r.data))+r.left)))
	if !r.fin { // more fragments will come
		size = max(2*cap(r.data), need)
	}
	if r.limit >= 0 && !r.compressed {
		size = max(need, int(min(int64(size), r.limit)))
	}
	if !r.reuse {
		r.data = append(make([]byte, 0, size), r.data...)
		return
	}
	m := getMemory(size)
	r.data = m.b[:copy(m.b, r.data)]
	r.mem.Release()
	r.mem = m
}

// finish makes the event of a message that came in pieces.
func (r *Reader) finish(ev *Event) error {
	if !r.text.ends() {
		return ErrNotUTF8
	}
	ev.Op, ev.Compressed, ev.Data, ev.Memory = r.op, r.compressed, r.data[:len(r.data):len(r.data)], r.mem
	ev.Cost = cost(cap(r.data)) // more than its length if it came in fragments
	r.op, r.compressed, r.data, r.mem, r.cost = 0, false, nil, nil, 0
	return nil
}

// fill reads more: the rest of a large payload straight to its message, and
// anything else behind what is in the buffer.
func (r *Reader) fill() error {
	if r.last >= largeFrame && r.left >= int64(len(r.small)) {
		r.growMessage(1)
		space := r.data[len(r.data):cap(r.data)]
		n, err := r.read(space[:min(int64(len(space)), r.left)])
		r.data = r.data[:len(r.data)+n]
		r.full = false
		if bad := r.added(n); bad != nil {
			return bad
		}
		return err
	}
	dst := r.space()
	n, err := r.read(dst)
	r.w += n
	r.full = n == len(dst)
	return err
}

// space returns space behind what is in the buffer. Large memory is for a
// source that has just given all that was asked for.
func (r *Reader) space() []byte {
	rest := r.buf[r.r:r.w]
	old := r.large
	switch {
	case !r.full || r.last >= largeFrame: // rest is less than a control frame
		r.large, r.buf = holds{}, r.small[:]
	case old.Memory == nil || old.shared():
		r.large = holds{Memory: getMemory(largeRead)}
		r.buf = r.large.b
	}
	r.r, r.w = 0, copy(r.buf, rest)
	if old.Memory != nil && old.Memory != r.large.Memory {
		old.end()
	}
	return r.buf[r.w:]
}

// MaxEmpty is how many reads in a row may return neither bytes nor an error, as with bufio.
const MaxEmpty = 100

// read reads from the source. An error that comes with bytes is returned by
// the next call.
func (r *Reader) read(p []byte) (n int, err error) {
	if r.srcErr == nil {
		n, r.srcErr = r.src.Read(p)
		if errors.Is(r.srcErr, io.EOF) {
			r.srcErr = io.ErrUnexpectedEOF // a stream ends with a close frame
		}
	}
	if n > 0 {
		r.empty = 0
		return n, nil
	}
	if r.empty++; r.empty == MaxEmpty && r.srcErr == nil {
		r.srcErr = io.ErrNoProgress
	}
	return 0, r.srcErr
}
