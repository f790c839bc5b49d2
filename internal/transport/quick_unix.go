//go:build unix

package transport

import (
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// quick writes what a socket of the system has room for, which is mostly all,
// and does not wait. A deadline for each write would set a timer, and wake up a
// thread to look after it.
type quick struct {
	raw syscall.RawConn
	put func(fd uintptr) bool

	// net/http may still be about to return from the write of its request when
	// the first of ours begins.
	busy atomic.Bool
	p    []byte
	n    int
	err  error
}

// newQuick takes sockets alone: what wraps one may have a Write of its own.
func newQuick(conn net.Conn) *quick {
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
	q := &quick{raw: raw}
	q.put = func(fd uintptr) bool {
		q.n, q.err = syscall.Write(int(fd), q.p)
		return true // whatever came of it: do not wait
	}
	return q
}

// write returns how much of p it wrote. There may be no error although that is
// not all: then a Write says why. An error of the socket is told only once.
func (q *quick) write(p []byte) (n int, err error) {
	if q == nil || len(p) == 0 || !q.busy.CompareAndSwap(false, true) {
		return 0, nil
	}
	q.p, q.n, q.err = p, 0, nil
	q.raw.Write(q.put)
	n, err, q.p = max(q.n, 0), q.err, nil
	q.busy.Store(false)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		err = nil
	}
	return n, os.NewSyscallError("write", err)
}
