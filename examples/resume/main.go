// Resume tells the server on each new connection what it has already seen, so
// that nothing is lost while there is no connection, and nothing comes twice.
//
//	go run ./examples/resume
//	go run ./examples/resume wss://example.com/ws/
//
// It prints:
//
//	connection 1, resuming after event 0
//	event 1: ordered
//	event 2: paid
//	the connection was lost
//	connection 2, resuming after event 2
//	event 3: packed
//	event 4: shipped
//	event 5: delivered
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// event is the content of a notification. The server numbers them.
type event struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
}

func run(ctx context.Context, url string, out io.Writer) error {
	var seen atomic.Int64 // the position: the last event that was handled
	client := wsnotify.New(wsnotify.Config{
		BackOff: wsnotify.Exponential(100*time.Millisecond, 10*time.Second, -1),
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return h.SendMessage(ctx, fmt.Sprintf(`{"resumeAfter":%d}`, seen.Load()))
		},
		OnOpen: func(ev wsnotify.OpenEvent) {
			fmt.Fprintf(out, "connection %d, resuming after event %d\n", ev.Epoch, seen.Load())
		},
		OnClose: func(ev wsnotify.CloseEvent) {
			if ev.WillReconnect {
				fmt.Fprintln(out, "the connection was lost")
			}
		},
	})
	wsnotify.On(client, "event", func(e event) {
		// OnHandshake does not wait for the handlers: while one is still busy with
		// event 7, the next connection resumes after 6, and 7 comes again.
		if e.ID <= seen.Load() {
			return
		}
		fmt.Fprintf(out, "event %d: %s\n", e.ID, e.Text)
		seen.Store(e.ID) // what came of it is safe from here on
	})

	err := client.Run(ctx, url, "ada")
	<-client.Done() // the last callback has returned
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	// With the address in the arguments, or else a server that plays a script.
	if err := demo.Run(ctx, os.Args[1:], os.Stdout, run, script); err != nil {
		log.Fatal(err)
	}
}
