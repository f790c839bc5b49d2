// Pull ranges over notifications, as a program does that asks for something and
// waits for the answers. It needs no callback.
//
//	go run ./examples/pull
//	go run ./examples/pull wss://example.com/ws/
//
// It prints:
//
//	progress  compiling
//	progress  testing
//	progress  packing
//	built     wsnotify-1.0.tar.gz
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

func run(ctx context.Context, url string, out io.Writer) error {
	client := wsnotify.New(wsnotify.Config{})
	if err := client.Connect(ctx, url, "ada"); err != nil {
		return err
	}
	defer client.Disconnect()

	// From here on nothing is missed, and the client waits for a slow loop.
	notifications := client.Notifications(ctx)
	if err := client.SendMessage(ctx, `{"build":"wsnotify"}`); err != nil {
		return err
	}
	for n := range notifications {
		fmt.Fprintf(out, "%-8s  %s\n", n.MsgType, n.Content)
		if n.MsgType == "built" {
			return nil
		}
	}
	// The sequence has ended before the answer: ctx did, or the client gave up.
	return errors.Join(ctx.Err(), client.Err())
}

func main() { demo.Main(run, script) }
