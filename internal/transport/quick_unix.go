//go:build unix

package transport

import (
	"net"
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
		q.n, _ = syscall.Write(int(fd), q.p)
		return true // whatever came of it: do not wait
	}
	return q
}

// write returns how much of p it wrote. Why that is not more, a Write says.
func (q *quick) write(p []byte) (n int) {
	if q == nil || len(p) == 0 || !q.busy.CompareAndSwap(false, true) {
		return 0
	}
	q.p, q.n = p, 0
	q.raw.Write(q.put)
	n, q.p = max(q.n, 0), nil
	q.busy.Store(false)
	return n
}
