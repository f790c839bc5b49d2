package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What a command has started ends with it, so that nothing is left.
func TestEndOfWhatACommandHasStarted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- execute(ctx, "sleep 60 >"+path+" & wait", record{}, &display{err: new(bytes.Buffer)}) }()
	pipe, err := os.Open(path) // which waits until it is opened for writing
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	ended := make(chan int, 1)
	go func() {
		n, _ := pipe.Read(make([]byte, 1)) // which waits until nobody has it open for writing
		ended <- n
	}()
	cancel()
	if n, err := next(t, ended), next(t, over); n != 0 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
