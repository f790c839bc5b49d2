package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// Why a line was not sent is told: somebody has to know that the disk is full.
func TestSpoolOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("a file system can't be mounted here:", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	srv := wsnotifytest.NewServer(t) // which confirms nothing
	var in strings.Builder
	for i := range 30 {
		fmt.Fprintf(&in, "{\"id\":\"%d\",\"text\":\"%s\"}\n", i, strings.Repeat("x", 20_000))
	}
	c := start(t, strings.NewReader(in.String()), "send", srv.URL(), "-u", "ada", "--confirm", "id", "--spool", filepath.Join(dir, "spool"))
	c.wants(t, exitFailure)
	if !strings.Contains(c.err.String(), "and what follows: ") || !strings.Contains(c.err.String(), "the disk is full") {
		t.Errorf("it said %s", &c.err)
	}
}
