package transport

import (
	"net"
	"syscall"
	"unsafe"
)

// unacknowledged asks the kernel how much of what it holds of conn the peer
// has not acknowledged: SIOCOUTQ, tcp(7), which has the number of TIOCOUTQ.
func unacknowledged(conn net.Conn) (n int, known bool) {
	var value int32
	known = asked(conn, func(fd uintptr) error {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&value)))
		return failure(errno)
	})
	return int(value), known
}

// failure is errno as an error, of which 0 is none.
func failure(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
