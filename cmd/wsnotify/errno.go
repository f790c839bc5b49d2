package main

import (
	"errors"
	"runtime"
	"syscall"
)

// An errno is an error of sockets. Those of Windows are numbers of their own, and not the syscall.E…
// that package syscall invents for it: no socket returns these there, and nothing maps one to the other.
type errno struct {
	unix    error
	windows syscall.Errno // WSAE…, as winsock2.h has it
}

var (
	connectionRefused = errno{syscall.ECONNREFUSED, 10061}
	addressInUse      = errno{syscall.EADDRINUSE, 10048}
)

func isErrno(err error, e errno) bool { return e.is(err, runtime.GOOS) }

func (e errno) is(err error, goos string) bool {
	return errors.Is(err, e.unix) || goos == "windows" && errors.Is(err, e.windows)
}
