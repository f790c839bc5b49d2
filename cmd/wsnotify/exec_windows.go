package main

import (
	"os/exec"
	"strconv"
	"syscall"
)

const shellName = "cmd"

// maxVariable is in bytes. Windows takes 32,767 characters with the name and the "=".
const maxVariable = 32_000

// shell has cmd run a command. cmd.exe has quoting of its own: with /S it takes off the first and the
// last quote, and what is between them is the command as it was typed. /D runs nothing of the
// registry before it, and /V:ON makes !CONTENT! the value of a variable as text.
func shell(cmd *exec.Cmd, command string) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd /D /V:ON /S /C "` + command + `"`}
	cmd.Cancel = func() error { // and what it has started
		if exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(cmd.Process.Pid)).Run() == nil {
			return nil
		}
		return cmd.Process.Kill()
	}
}

// checkCommand refuses what lets a server run commands.
func checkCommand(command string) error { return checkPercent(command) }
