package transport

import (
	"net"
	"syscall"
)

// unacknowledged asks the kernel how much of what it holds of conn the peer
// has not acknowledged: SO_NWRITE, setsockopt(2).
func unacknowledged(conn net.Conn) (n int, known bool) {
	known = asked(conn, func(fd uintptr) (err error) {
		n, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_NWRITE)
		return err
	})
	return n, known
}
