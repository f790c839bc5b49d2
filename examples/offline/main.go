// Offline sends while there is no connection: what Enqueue takes waits in the
// outbox, which is bounded, and leaves in order once there is a connection.
//
//	go run ./examples/offline
//	go run ./examples/offline wss://example.com/ws/
//
// It prints:
//
//	not sent: {"reading":1}: wsnotify: the outbox is full
//	no connection, 3 wait
//	no connection, 3 wait
//	connected
//	stored: {"reading":2}
//	stored: {"reading":3}
//	stored: {"reading":4}
//	0 wait
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
	var client *wsnotify.Client
	client = wsnotify.New(wsnotify.Config{
		BackOff: wsnotify.Exponential(100*time.Millisecond, 10*time.Second, -1),
		Outbox: wsnotify.Outbox{
			Messages: 3,                   // that may wait
			Overflow: wsnotify.DropOldest, // a new reading is worth more than an old one
			MaxAge:   time.Hour,
		},
		OnUndelivered: func(m wsnotify.Message, err error) {
			fmt.Fprintf(out, "not sent: %s: %v\n", m.Data, err)
		},
		OnReconnecting: func(wsnotify.ReconnectEvent) {
			fmt.Fprintf(out, "no connection, %d wait\n", client.Status().Queued)
		},
		OnOpen:         func(wsnotify.OpenEvent) { fmt.Fprintln(out, "connected") },
		OnNotification: func(n wsnotify.Notification) { fmt.Fprintf(out, "%s: %s\n", n.MsgType, n.Content) },
	})

	for i := range 4 { // nobody has connected yet
		reading := fmt.Appendf(nil, `{"reading":%d}`, i+1)
		if err := client.Enqueue(wsnotify.MessageText, reading); err != nil {
			return err
		}
	}

	err := client.Run(ctx, url, "ada")
	<-client.Done() // the last callback has returned
	fmt.Fprintf(out, "%d wait\n", client.Status().Queued)
	return err
}

func main() { demo.Main(run, script) }
