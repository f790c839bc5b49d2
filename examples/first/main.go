// First is the program of the README: it stays connected to one server, prints
// what it sends, and ends on Ctrl-C.
package main

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/wsnotify/wsnotify"
)

type Mail struct{ From, Subject string }

func main() {
	client := wsnotify.New(wsnotify.Config{
		Logger:         slog.Default(), // connected, lost, why, and when the next attempt is
		OnNotification: func(n wsnotify.Notification) { log.Println(n.MsgType, n.Content) },
	})
	wsnotify.On(client, "mail", func(m Mail) { log.Printf("%s wrote: %s", m.From, m.Subject) })

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := client.Run(ctx, "ws://localhost:8080/ws/ada", "") // until ctx ends, or it gives up
	<-client.Done()                                          // the last callback has returned
	if err != nil && !errors.Is(err, context.Canceled) {     // a *wsnotify.DrainError says what was lost
		log.Fatal(err)
	}
}
