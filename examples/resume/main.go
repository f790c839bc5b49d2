// Resume continues after the last message that came, on each new connection: so
// nothing is missed while there is no connection, and nothing comes twice.
//
//	go run ./examples/resume
//	go run ./examples/resume wss://example.com/ws/
//
// It prints:
//
//	connected, resuming after ""
//	event: ordered
//	event: paid
//	the connection was lost
//	connected, resuming after "2"
//	event: packed
//	event: shipped
//	event: delivered
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
	client := wsnotify.New(wsnotify.Config{
		BackOff: wsnotify.Exponential(100*time.Millisecond, 10*time.Second, -1),
		// The server numbers its messages in the field "seq", and sends those behind
		// the number in the parameter "after" of the URL.
		Resume: wsnotify.Resume{
			Position: wsnotify.PositionField("seq"),
			Query:    "after",
			Order:    wsnotify.PositionConsecutive,
			OnGap:    func(g wsnotify.Gap) { fmt.Fprintln(out, g) }, // the server keeps too little
			// Store: spool.Positions() continues after the last event that was handled
			// when the process comes back.
		},
		OnHandshake: func(_ context.Context, h *wsnotify.Handshake) error {
			fmt.Fprintf(out, "connected, resuming after %q\n", h.Position(""))
			return nil
		},
		OnClose: func(ev wsnotify.CloseEvent) {
			if ev.WillReconnect {
				fmt.Fprintln(out, "the connection was lost")
			}
		},
	})
	wsnotify.On(client, "event", func(text string) { fmt.Fprintln(out, "event:", text) })

	err := client.Run(ctx, url, "ada")
	<-client.Done() // the last callback has returned
	return err
}

func main() { demo.Main(run, script) }
