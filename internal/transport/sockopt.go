//go:build linux || darwin

package transport

import (
	"net"
	"syscall"
)

// asked calls ask with the descriptor of a socket of the system. It reports false for
// any other net.Conn, and if ask has failed.
func asked(conn net.Conn, ask func(fd uintptr) error) bool {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = ask(fd) })
	return err == nil && failed == nil
}
