package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// maxVariable is how much of a content goes into the environment, where Linux
// takes 128 KiB at most. All of it is on the standard input.
const maxVariable = 64 << 10

// execute runs a shell command for a message, and waits for it. It is
// killed when ctx ends.
func execute(ctx context.Context, command string, r record, out *display) error {
	shell, option := "sh", "-c"
	if runtime.GOOS == "windows" {
		shell, option = "cmd", "/C"
	}
	cmd := exec.CommandContext(ctx, shell, option, command)
	killAll(cmd)
	cmd.WaitDelay = time.Second // for those it has started and who hold the pipes
	input, err := json.Marshal(r)
	if err != nil {
		return err
	}
	content := r.text
	if r.Binary != nil {
		content = base64.StdEncoding.EncodeToString(r.Binary)
	}
	cmd.Stdin = bytes.NewReader(append(input, '\n'))
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
