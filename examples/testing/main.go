// Testing is a small program whose tests show how to test code that holds a
// WebSocket: the mock server, virtual time, restarts, dead links, refusals. Read
// main_test.go.
//
//	go run ./examples/testing
//	go run ./examples/testing wss://example.com/ws/
//	go test ./examples/testing
//
// It prints:
//
//	1 unread
//	2 unread
//	offline, 2 unread when last seen
//	2 unread
//	1 unread
package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

func run(ctx context.Context, url string, out io.Writer) error {
	in := newInbox(wsnotify.Config{
		BackOff: wsnotify.Exponential(100*time.Millisecond, 10*time.Second, -1),
	}, func(text string) { fmt.Fprintln(out, text) })
	return in.run(ctx, url, "ada")
}

func main() { demo.Main(run, script) }
