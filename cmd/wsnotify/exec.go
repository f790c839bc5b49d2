package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// How a command is started, and how much of a content its environment takes
// (maxVariable), is in exec_windows.go and exec_unix.go. All of a content is on the
// standard input.

// execute runs a shell command for a message, and waits for it. It is
// killed when ctx ends.
func execute(ctx context.Context, command string, r record, out *display) error {
	cmd := exec.CommandContext(ctx, shellName)
	shell(cmd, command)
	cmd.WaitDelay = time.Second // for those it has started and who hold the pipes
	content := r.text
	if r.Binary != nil {
		content = base64.StdEncoding.EncodeToString(r.Binary)
	}
	cmd.Stdin = bytes.NewReader(append(r.json(), '\n'))
	cmd.Env = append(os.Environ(),
		"MSG_TYPE="+variable(r.MsgType), "CONTENT="+variable(content),
		fmt.Sprint("FALLBACK=", r.Fallback), fmt.Sprint("EPOCH=", r.Epoch))
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return nil
	}
	out.text(output)
	return err
}

// variable makes a text fit for the environment.
func variable(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > maxVariable {
		s = strings.ToValidUTF8(s[:maxVariable], "")
	}
	return s
}

// percentVariable finds a variable of ours that cmd.exe would replace before it reads the line.
var percentVariable = regexp.MustCompile(`(?i)%(MSG_TYPE|CONTENT)[%:]`)

// checkPercent is for cmd.exe, which takes what a server has put into %CONTENT% for a part of the
// command: "& del …" would be run. It takes !CONTENT! for text.
func checkPercent(command string) error {
	if found := percentVariable.FindStringSubmatch(command); found != nil {
		name := strings.ToUpper(found[1])
		return usage("--exec: %%%s%% would have the server's text run as a command; write !%[1]s!", name)
	}
	return nil
}
