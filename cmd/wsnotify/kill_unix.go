//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// killAll makes the end of cmd's context the end of all that it has started,
// and keeps the terminal's Ctrl-C from it: we end it.
func killAll(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
