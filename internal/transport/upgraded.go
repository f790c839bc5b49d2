//go:build !js

package transport

import (
	"errors"
	"io"
	"sync"
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

	discarding sync.Once
	discarded  chan struct{} // closed when the peer has ended the connection, if anything is discarded
}

// newUpgraded takes over the body of a response.
func newUpgraded(body io.ReadWriteCloser, sock *Socket) *Upgraded {
	sock.own(body)
	return &Upgraded{body: body, sock: sock, above: !sock.counts}
}

// start begins with what the handshake has agreed on.
func (u *Upgraded) start(agreed *extension.Params, opts Options) {
	u.opts = opts
	u.use(agreed)
	u.reader = wire.NewReader((*source)(u), opts.ReadLimit, agreed != nil, opts.Reuse)
}

// source is what the reader reads from.
type source Upgraded

func (s *source) Read(p []byte) (int, error) {
	if !s.above {
		return s.body.Read(p)
	}
	return s.sock.read(s.body, p)
}

// Read implements Conn.
func (u *Upgraded) Read(events []Event) (n int, pingPong bool, err error) {
	if len(u.pending) > 0 {
		n, err = u.next(events)
		return n, false, err
	}
	if n, err = u.reader.Read(events); err != nil {
		return n, false, u.readFailed(err)
	}
	if u.sock.kind == System {
		pingPong = u.soonAfter() && n == 1
	}
	if u.in != nil {
		n, err = u.inflateAll(events[:n])
		u.refuses(err)
	}
	return n, pingPong, err
}

// soonAfter reports whether something has come soon after what came before.
func (u *Upgraded) soonAfter() bool {
	now := time.Now()
	past := now.Sub(u.came)
	u.came = now
	return past < soon
}

// readFailed ends reading, and says why it did.
func (u *Upgraded) readFailed(err error) error {
	u.reader.Close()
	u.refuses(err)
	if u.sock.late.Load() && !isViolation(err) {
		return ErrWriteTimeout // for which the socket was closed
	}
	return err
}

// refuses goes on to read if the peer broke the protocol: one that can't write
// does not read our close frame.
func (u *Upgraded) refuses(err error) {
	if isViolation(err) && u.sock.canHalfClose() {
		u.discard()
	}
}

func isViolation(err error) bool {
	var wrong *wire.Violation
	return errors.As(err, &wrong)
}

// discard reads what comes until the connection ends, below any TLS.
func (u *Upgraded) discard() {
	u.discarding.Do(func() {
		u.discarded = make(chan struct{})
		go func() {
			defer close(u.discarded)
			if !u.sock.begin() {
				return
			}
			defer u.sock.calls.Done()
			from, buf := u.sock.raw(u.body), make([]byte, 4<<10)
			for empty := 0; empty < wire.MaxEmpty; empty++ {
				n, err := from.Read(buf)
				u.sock.noteReceived(n)
				if err != nil {
					return
				}
				if n > 0 {
					empty = 0
				}
			}
		}()
	})
}

// soon is the longest time between two events of ping-pong traffic.
const soon = time.Millisecond

const (
	pieceBytes = 64 << 10            // what one write sends, about
	keepBytes  = pieceBytes + 16<<10 // and at most
)

// Write implements Conn.
func (u *Upgraded) Write(b *Batch) (ended int, torn bool, err error) {
	if u.sealed {
		return 0, false, errSealed
	}
	b.Lock()
	first, inside := b.next, b.begun
	out := u.encode(b)
	ends, between := b.list.ends, b.between
	b.Unlock()
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
	start := between // what is before it, is of no frame of b, or of one that has ended or that was inside
	if ended > 0 {
		start = max(start, int(ends[ended-1]))
	}
	return ended, n > start || ended == 0 && inside, err
}

// encode returns frames of b, until a piece is full. b is locked.
func (u *Upgraded) encode(b *Batch) (out []byte) {
	out = b.list.piece[:0]
	defer func() { b.list.piece = out }()
	frames, keys := b.list.frames, &b.list.keys
	b.list.ends = b.list.ends[:0]
	b.between = 0
	for {
		if b.left == 0 {
			out = b.appendUrgent(out, keys)
			if b.cut {
				return out
			}
		}
		if b.next == len(frames) || len(out) >= pieceBytes {
			return out
		}
		f := &frames[b.next]
		if !u.compress(f) {
			return out // what there is leaves first
		}
		switch size := len(f.data); {
		case f.withdrawn:
		case !b.begun && len(out)+wire.MaxHeader+size <= keepBytes && u.fragment(size) == size:
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

// send writes out.
func (u *Upgraded) send(out []byte) (n int, err error) {
	if u.above {
		return u.sock.write(u.body, out)
	}
	return u.body.Write(out)
}

// Close implements Conn.
func (u *Upgraded) Close(code int, reason string) error {
	if u.sealed {
		return errSealed
	}
	u.sealed = true
	_, err := u.send(wire.AppendFrame(nil, wire.Fin|byte(wire.Close), wire.ClosePayload(code, reason), new(wire.Keys)))
	return err
}

// Received implements Conn.
func (u *Upgraded) Received() int64 { return u.sock.received.Load() }

// End implements Conn.
func (u *Upgraded) End() <-chan struct{} {
	if u.sealed {
		u.part()
	}
	u.Kill()
	return u.sock.ended()
}

// part lets our close frame arrive: RFC 6455, section 7.1.1. A socket that is
// closed while something of the peer's is unread, or still to come, sends a reset,
// for which the peer's system forgets what it has not read.
func (u *Upgraded) part() {
	parted := make(chan struct{})
	go func() { // a net.Conn that a user supplies may hang in each of its methods
		defer close(parted)
		if !u.sock.begin() {
			return
		}
		half := u.sock.halfClose()
		u.sock.calls.Done()
		if half {
			u.discard()
			<-u.discarded
		}
	}()
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-parted:
		return
	case <-u.sock.killed:
	case <-timer.C: // the peer does not read, or does not end
		u.Kill()
	}
	timer.Reset(returning)
	select {
	case <-parted:
	case <-timer.C:
	}
}

// Kill implements Conn.
func (u *Upgraded) Kill() { u.sock.Close() }
