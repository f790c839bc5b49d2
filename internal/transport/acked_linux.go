//go:build linux && !386

package transport

import (
	"encoding/binary"
	"net"
	"syscall"
	"unsafe"
)

// acknowledged asks the kernel how many bytes the peer's host has acknowledged since
// the connection began: tcpi_bytes_acked of TCP_INFO, tcp(7), since Linux 4.1. It is
// known while a write waits, too, whose bytes nobody has counted yet.
func acknowledged(conn net.Conn) (n int64, known bool) {
	const offset, end = 120, 128
	var info [end]byte
	size := uint32(end)
	known = asked(conn, func(fd uintptr) error {
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		return failure(errno)
	})
	if !known || size < end {
		return 0, false
	}
	return int64(binary.NativeEndian.Uint64(info[offset:])), true
}
