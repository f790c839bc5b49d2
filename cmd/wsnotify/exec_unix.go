//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

const shellName = "sh"

// maxVariable is in bytes. Linux takes 128 KiB at most.
const maxVariable = 64 << 10

// shell has cmd run a command, and makes the end of cmd's context the end of all that it has
// started. It keeps the terminal's Ctrl-C from it: we end it.
func shell(cmd *exec.Cmd, command string) {
	cmd.Args = append(cmd.Args, "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// checkCommand has nothing to refuse: sh takes the value of "$CONTENT" for nothing but text.
func checkCommand(string) error { return nil }
