package transport

import (
	"net"
	"syscall"
)

// unacknowledged asks the kernel how much of what it holds of conn the peer
// has not acknowledged: SO_NWRITE, setsockopt(2).
func unacknowledged(conn net.Conn) (n int, known bool) {
	tcp, ok := conn.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		n, failed = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_NWRITE)
	}); err != nil || failed != nil {
		return 0, false
	}
	return n, true
}
