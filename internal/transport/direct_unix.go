//go:build unix

package transport

import (
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// direct writes to a socket of the system without net.Conn.Write, so that what the
// socket takes is known at once, and not only when it has taken all: progress needs
// no deadline then. A deadline for each write would set a timer, and wake up a
// thread to look after it.
type direct struct {
	sock *Socket
	raw  syscall.RawConn
	put  func(fd uintptr) bool

	// A second write, of a layer above that has two writers, goes through the net.Conn.
	busy    atomic.Bool
	p       []byte
	err     error
	blocked bool
}

// newDirect takes sockets alone: what wraps one may have a Write of its own.
func newDirect(conn net.Conn, sock *Socket) *direct {
	var raw syscall.RawConn
	switch conn := conn.(type) {
	case *net.TCPConn:
		raw, _ = conn.SyscallConn()
	case *net.UnixConn:
		raw, _ = conn.SyscallConn()
	}
	if raw == nil {
		return nil
	}
	d := &direct{sock: sock, raw: raw}
	d.put = d.write
	return d
}

// write writes what the socket takes, and reports whether that is all, or the
// end.
func (d *direct) write(fd uintptr) (done bool) {
	for len(d.p) > 0 {
		n, err := syscall.Write(int(fd), d.p)
		if n > 0 {
			d.p = d.p[n:]
			d.sock.sent.Add(int64(n))
			if d.blocked {
				d.sock.moves()
			}
			continue
		}
		switch err {
		case syscall.EINTR:
		case syscall.EAGAIN:
			if !d.blocked {
				d.blocked = true
				d.sock.waits()
			}
			return false
		default:
			d.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// Write is the net.Conn's, and reports false if that has to do it.
func (d *direct) Write(p []byte) (n int, err error, ok bool) {
	if d == nil || len(p) == 0 || !d.busy.CompareAndSwap(false, true) {
		return 0, nil, false
	}
	d.p, d.err, d.blocked = p, nil, false
	err = d.raw.Write(d.put)
	if d.err != nil {
		err = d.err
	}
	if d.blocked && !d.sock.wrote() {
		err = ErrWriteTimeout
	}
	n = len(p) - len(d.p)
	d.p = nil
	d.busy.Store(false)
	return n, err, true
}
