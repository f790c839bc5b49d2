package wsnotifytest_test

import (
	"errors"
	"runtime"
	"syscall"
)

// isErrno reports whether err is an error of a socket. On Windows a real one has numbers of its own, as
// winsock2.h has them, while those of a Network are the ones that package syscall has invented.
func isErrno(err error, want syscall.Errno) bool {
	real := map[syscall.Errno]syscall.Errno{syscall.ECONNREFUSED: 10061, syscall.ECONNRESET: 10054}[want]
	return errors.Is(err, want) || runtime.GOOS == "windows" && errors.Is(err, real)
}
