package transport

import (
	"net"
	"syscall"
	"unsafe"
)

// unacknowledged asks the kernel how much of what it holds of conn the peer
// has not acknowledged: SIOCOUTQ, tcp(7), which has the number of TIOCOUTQ.
func unacknowledged(conn net.Conn) (n int, known bool) {
	tcp, ok := conn.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	var value int32
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&value)))
	}); err != nil || errno != 0 {
		return 0, false
	}
	return int(value), true
}
