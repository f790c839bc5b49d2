package wsnotifytest

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// A pipeConn is one end of an in-memory connection that behaves like TCP: it is buffered, and it
// knows FIN, RST and deadlines. All fields but the last group are guarded by link.mu.
type pipeConn struct {
	l       *link
	in, out *stream
	peer    *pipeConn

	closed   bool          // Close was called on this end
	finSent  bool          // CloseWrite was called
	peerGone bool          // the news has arrived that the peer, being closed, reads nothing
	reset    bool          // an RST has arrived
	writing  bool          // a Write is under way: others queue, so that their bytes do not mix
	tally    *atomic.Int64 // of ends that will send nothing more; may be nil

	readBy, writeBy deadline

	// set before the connection is used
	local, remote net.Addr
	writeCalls    *atomic.Int64 // may be nil
	onClose       func()        // may be nil; called once, without the lock
}

var _ interface {
	net.Conn
	CloseWrite() error
} = (*pipeConn)(nil)

// Read reads what has arrived.
func (c *pipeConn) Read(p []byte) (int, error) {
	n, marked, err := c.read(p)
	if marked != nil {
		marked() // before the reader can act on what it has read
	}
	return n, err
}

func (c *pipeConn) read(p []byte) (n int, marked func(), err error) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, nil, c.opError("read", net.ErrClosed)
		case c.reset:
			return 0, nil, c.opError("read", os.NewSyscallError("read", syscall.ECONNRESET))
		case c.readBy.expired:
			return 0, nil, c.opError("read", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil, nil
		case c.in.arrived.Len() > 0:
			n, _ := c.in.arrived.Read(p)
			c.l.bytes += uint64(n)
			c.in.taken += uint64(n)
			if c.in.onMark != nil && c.in.taken >= c.in.mark {
				marked, c.in.onMark = c.in.onMark, nil
			}
			c.l.cond.Broadcast()
			return n, marked, nil
		case c.in.eof:
			return 0, nil, io.EOF
		}
		c.l.cond.Wait()
	}
}

// Write returns when all of p is buffered or an error has come; it blocks while the buffer is full.
func (c *pipeConn) Write(p []byte) (int, error) {
	if c.writeCalls != nil {
		c.writeCalls.Add(1)
	}
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	for c.writing {
		if err := c.writeErr(); err != nil {
			return 0, err
		}
		c.l.cond.Wait()
	}
	c.writing = true
	defer func() {
		c.writing = false
		c.l.cond.Broadcast()
	}()
	n := 0
	for {
		if err := c.writeErr(); err != nil {
			return n, err
		}
		n += c.out.sendData(p[n:])
		if n == len(p) {
			return n, nil
		}
		c.l.cond.Wait()
	}
}

func (c *pipeConn) writeErr() error {
	switch {
	case c.closed:
		return c.opError("write", net.ErrClosed)
	case c.reset:
		return c.opError("write", os.NewSyscallError("write", syscall.ECONNRESET))
	case c.peerGone, c.finSent:
		return c.opError("write", os.NewSyscallError("write", syscall.EPIPE))
	case c.writeBy.expired:
		return c.opError("write", os.ErrDeadlineExceeded)
	}
	return nil
}

// Acknowledged is how many bytes have arrived of what was written: what a system would tell of a
// socket. The client counts that as progress on a slow line.
func (c *pipeConn) Acknowledged() int64 {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.out.acked
}

// writeMarked is Write, and has read called when the peer has read all of p, on its goroutine, before
// its Read returns. What the peer has not read by then, it will have to read later.
func (c *pipeConn) writeMarked(p []byte, read func()) (int, error) {
	c.l.mu.Lock()
	c.out.mark, c.out.onMark = c.out.sent+uint64(len(p)), read
	c.l.mu.Unlock()
	return c.Write(p)
}

// received is how many bytes the peer has sent to this end that have been read, and how many in all.
func (c *pipeConn) received() (taken, sent uint64) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.in.taken, c.in.sent
}

// hasAll reports whether everything that this end has sent is there to be read by the peer.
func (c *pipeConn) hasAll() bool {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return !c.l.hole && len(c.out.flight) == 0
}

// CloseWrite sends a FIN; reading goes on.
func (c *pipeConn) CloseWrite() error {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	if !c.finSent {
		c.tallyEnd()
		c.finSent = true
		c.out.send(segment{kind: segFIN})
		c.l.cond.Broadcast()
	}
	return nil
}

// tallyEnd counts that this end will send nothing more. Called with l.mu held, before that is so.
func (c *pipeConn) tallyEnd() {
	if c.tally != nil && !c.closed && !c.finSent {
		c.tally.Add(1)
	}
}

// tallyIn has t count this end while it will send nothing more; nil ends it.
func (c *pipeConn) tallyIn(t *atomic.Int64) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if c.closed || c.finSent {
		if c.tally != nil {
			c.tally.Add(-1)
		}
		if t != nil {
			t.Add(1)
		}
	}
	c.tally = t
}

// Close sends a FIN: the peer reads what was sent before and then io.EOF. As with TCP, the peer's
// first write after that may still succeed; those after it get EPIPE.
func (c *pipeConn) Close() error { return c.end(segFIN) }

// Reset sends an RST: what was not read is lost, in both directions.
func (c *pipeConn) Reset() error { return c.end(segRST) }

func (c *pipeConn) end(kind segmentKind) error {
	c.l.mu.Lock()
	if c.closed {
		c.l.mu.Unlock()
		return c.opError("close", net.ErrClosed)
	}
	c.tallyEnd()
	c.closed = true
	c.readBy.stop()
	c.writeBy.stop()
	if kind == segRST {
		c.out.drop()
	}
	c.out.send(segment{kind: kind})
	if c.in.arrived.Len() > 0 {
		c.out.send(segment{kind: segGone})
	}
	if c.peer.closed {
		c.l.bury()
	}
	c.l.cond.Broadcast()
	c.l.mu.Unlock()
	if c.onClose != nil {
		c.onClose()
	}
	return nil
}

// hasEnded reports whether this end will send nothing more. A half-closed WebSocket is of no use.
func (c *pipeConn) hasEnded() bool {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.closed || c.finSent
}

func (c *pipeConn) LocalAddr() net.Addr  { return c.local }
func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }

func (c *pipeConn) SetDeadline(t time.Time) error      { return c.setDeadlines(t, &c.readBy, &c.writeBy) }
func (c *pipeConn) SetReadDeadline(t time.Time) error  { return c.setDeadlines(t, &c.readBy) }
func (c *pipeConn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.writeBy) }

func (c *pipeConn) setDeadlines(t time.Time, ds ...*deadline) error {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	for _, d := range ds {
		d.set(c.l, t)
	}
	c.l.cond.Broadcast()
	return nil
}

func (c *pipeConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// A deadline is guarded by link.mu.
type deadline struct {
	expired bool
	timer   *time.Timer
	gen     int // a timer that could not be stopped in time must not expire a later deadline
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.gen++
}

func (d *deadline) set(l *link, t time.Time) {
	d.stop()
	d.expired = false
	if t.IsZero() || l.dead {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.expired = true
		return
	}
	mine := d.gen
	d.timer = time.AfterFunc(left, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if d.gen == mine {
			d.expired = true
			l.cond.Broadcast()
		}
	})
}
