//go:build !js

package transport

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/extension"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// Pings says that protocol pings can be sent.
const Pings = true

// Upgraded is a connection that a handshake has upgraded.
type Upgraded struct {
	compression
	body  io.ReadWriteCloser // above TLS
	sock  *Socket
	above bool // what passes is counted here, since the socket does not
	opts  Options

	reader *wire.Reader
	came   time.Time // when Read last returned, on a socket of the system
	sealed bool      // a close frame was sent; the writer's
}

// newUpgraded takes over the body of a response.
func newUpgraded(body io.ReadWriteCloser, sock *Socket) *Upgraded {
	return &Upgraded{body: body, sock: sock, above: !sock.counts}
}

// start begins with what the handshake has agreed on.
func (u *Upgraded) start(agreed *extension.Params, opts Options) {
	u.opts = opts
	u.use(agreed)
	u.reader = wire.NewReader(source{u}, opts.ReadLimit, agreed != nil, opts.Reuse)
}

// source is what the reader reads from.
type source struct{ *Upgraded }

func (s source) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	if s.above {
		s.sock.heard(n)
	}
	return n, err
}

// Read implements Conn.
func (u *Upgraded) Read(events []Event) (n int, brisk bool, err error) {
	if len(u.pending) > 0 {
		n, err = u.next(events)
		return n, false, err
	}
	n, err = u.reader.Read(events)
	if err != nil {
		u.reader.Close()
		return n, false, err
	}
	if u.sock.system {
		now := time.Now()
		since := now.Sub(u.came)
		brisk = n == 1 && since > 0 && since < soon // it is 0 where time is virtual
		u.came = now
	}
	if u.in != nil {
		n, err = u.inflateAll(events[:n])
	}
	return n, brisk, err
}

// soon is how close together the things are that come briskly.
const soon = time.Millisecond

const (
	pieceBytes = 64 << 10            // what one write sends, about
	keepBytes  = pieceBytes + 16<<10 // and at most; larger buffers are not kept
)

var pieces = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// Write implements Conn.
func (u *Upgraded) Write(b *Batch) (ended int, torn bool, err error) {
	if u.sealed {
		return 0, false, errSealed
	}
	buf := pieces.Get().(*[]byte)
	defer pieces.Put(buf)

	b.Lock()
	first, inside := b.next, b.begun
	out := u.encode((*buf)[:0], b)
	var ends []int32
	if b.list != nil {
		ends = b.list.ends
	}
	b.Unlock()
	if cap(out) <= keepBytes {
		*buf = out
	}
	n := 0
	if len(out) > 0 { // nothing, if a part of a long message was compressed
		n, err = u.send(out)
	}
	if err == nil {
		return b.next - first, b.begun, nil
	}
	for ended < len(ends) && int(ends[ended]) <= n {
		ended++
	}
	start := 0
	if ended > 0 {
		start = int(ends[ended-1])
	}
	return ended, n > start || ended == 0 && inside, err
}

// encode appends frames of b until a piece is full. b is locked.
func (u *Upgraded) encode(out []byte, b *Batch) []byte {
	keys := wire.GetKeys()
	defer keys.Release()
	frames := b.frames()
	if len(frames) > 0 {
		b.list.ends = b.list.ends[:0]
	}
	for b.next < len(frames) && len(out) < pieceBytes {
		f := &frames[b.next]
		if !u.compress(f) {
			return out // what there is leaves first
		}
		switch size := len(f.data); {
		case f.void:
		case !b.begun && len(out)+wire.MaxHeader+size <= keepBytes && (size <= u.opts.MaxFrame || u.opts.MaxFrame == 0):
			out = wire.AppendFrame(out, wire.Fin|f.bits|byte(f.op), f.data, keys)
		default:
			if out = u.appendPart(out, b, f, keys); b.left > 0 || len(f.data) > 0 {
				continue
			}
			b.begun = false
		}
		u.unpack()
		f.data = nil
		b.next++
		b.list.ends = append(b.list.ends, int32(len(out)))
	}
	return out
}

// appendPart appends what there is room for of a message that is long, or
// leaves in fragments.
func (u *Upgraded) appendPart(out []byte, b *Batch, f *frame, keys *wire.Keys) []byte {
	if b.left == 0 {
		size := b.remains()
		b.key, b.left = keys.Next(), u.fragment(size)
		first := f.bits | byte(f.op)
		if b.begun {
			first = byte(wire.Continuation)
		}
		if b.left == size {
			first |= wire.Fin
		}
		out = wire.AppendHeader(out, first, b.left, b.key)
		b.begun = true
	}
	n := min(b.left, len(f.data), max(pieceBytes-len(out), 1))
	out = wire.AppendMasked(out, f.data[:n], b.key)
	b.key, b.left = wire.KeyAfter(b.key, n), b.left-n
	b.skip(n)
	return out
}

// fragment is how much of size bytes the next frame takes.
func (u *Upgraded) fragment(size int) int {
	if u.opts.MaxFrame > 0 {
		return min(size, u.opts.MaxFrame)
	}
	return size
}

// send writes out. Where the socket does not see to the timeout by itself, out
// leaves in pieces that a slow line takes in less.
func (u *Upgraded) send(out []byte) (n int, err error) {
	if !u.above {
		return u.body.Write(out)
	}
	for n < len(out) && err == nil {
		var m int
		stop := u.guarded()
		m, err = u.body.Write(out[n:min(len(out), n+smallPiece)])
		if late := stop(); late {
			err = ErrWriteTimeout
		}
		n += m
		u.sock.sent.Add(int64(m))
	}
	return n, err
}

// smallPiece is what one write is for under a timeout of ours.
const smallPiece = 16 << 10

// guarded kills the connection when WriteTimeout has passed without a sign
// that anything of what was written arrives.
func (u *Upgraded) guarded() (stop func() (late bool)) {
	if u.opts.WriteTimeout <= 0 {
		return func() bool { return false }
	}
	var late atomic.Bool
	confirmed, _, _ := u.sock.acknowledged()
	var guard *time.Timer
	var mu sync.Mutex // guard is set before it fires
	mu.Lock()
	defer mu.Unlock()
	guard = time.AfterFunc(u.opts.WriteTimeout, func() {
		mu.Lock()
		defer mu.Unlock()
		if acked, _, known := u.sock.acknowledged(); known && acked > confirmed {
			confirmed = acked
			guard.Reset(u.opts.WriteTimeout)
			return
		}
		late.Store(true)
		u.Kill()
	})
	return func() bool { guard.Stop(); return late.Load() }
}

// Close implements Conn.
func (u *Upgraded) Close(code int, reason string) error {
	if u.sealed {
		return errSealed
	}
	u.sealed = true
	keys := wire.GetKeys()
	defer keys.Release()
	_, err := u.send(wire.AppendFrame(nil, wire.Fin|byte(wire.Close), wire.ClosePayload(code, reason), keys))
	return err
}

// Progress implements Conn.
func (u *Upgraded) Progress() Progress {
	p := Progress{Received: u.sock.received.Load()}
	if n, waiting, known := u.sock.acknowledged(); known {
		p.Acknowledged, p.Waiting = n, waiting
	}
	return p
}

// End implements Conn.
func (u *Upgraded) End() {
	guard := time.AfterFunc(goodbye, u.Kill) // for a peer that does not read
	u.body.Close()
	guard.Stop()
	u.Kill()
}

const goodbye = time.Second

// Kill implements Conn.
func (u *Upgraded) Kill() {
	if !u.sock.Close() {
		u.body.Close()
	}
}
