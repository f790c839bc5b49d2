package testkit

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
)

// Buffer is an output that a test may read while it is written. The zero value is empty.
type Buffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	written chan struct{} // closed by the next Write; nil if nobody waits
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written != nil {
		close(b.written)
		b.written = nil
	}
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Take returns what was written since the last Take.
func (b *Buffer) Take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.b.Reset()
	return b.b.String()
}

// Await waits until what was written contains part, and fails the test when ctx ends first.
func (b *Buffer) Await(ctx context.Context, t testing.TB, part string) {
	t.Helper()
	for {
		text, written := b.snapshot()
		if strings.Contains(text, part) {
			return
		}
		select {
		case <-written:
		case <-ctx.Done():
			t.Fatalf("expected %q to be written, got %q", part, text)
		}
	}
}

// snapshot returns what was written, and a channel that the next Write closes.
func (b *Buffer) snapshot() (text string, written <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written == nil {
		b.written = make(chan struct{})
	}
	return b.b.String(), b.written
}
