package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A recording is read twice, which a pipe can't be.
func TestReplayOfAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	go os.WriteFile(path, []byte(openLine+"\n"), 0)
	p := &replay{path: path}
	if err := p.open(); err == nil || err.Error() != "--replay: seek "+path+": illegal seek; a recording is read twice, so it can't be a pipe" {
		t.Error(err)
	}
	if _, err := p.file.Stat(); err == nil {
		t.Error("it is still open")
	}
}
