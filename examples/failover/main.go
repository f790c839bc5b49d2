// Failover uses another server when one fails.
//
//	go run ./examples/failover
//	go run ./examples/failover wss://a.example.com/ws/ wss://b.example.com/ws/
//
// It prints:
//
//	connected to server 1
//	news: all is well on the first floor
//	lost: trying the next server
//	connected to server 2
//	news: all is well on the second floor
//	lost: trying the next server
//	failed: trying the next server
//	connected to server 2
package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// turns lets servers take turns: each failure, of an attempt or of a
// connection, is the next one's turn.
func turns(servers []string) func(context.Context, *wsnotify.DialRequest) error {
	turn := 0
	return func(_ context.Context, req *wsnotify.DialRequest) error {
		if req.Last != nil {
			turn++
		}
		u, err := url.Parse(servers[turn%len(servers)])
		if err != nil {
			return err
		}
		req.URL.Scheme, req.URL.Host = u.Scheme, u.Host // path and user stay
		return nil
	}
}

func run(ctx context.Context, servers []string, out io.Writer) error {
	client := wsnotify.New(wsnotify.Config{
		BeforeDial: turns(servers),
		BackOff:    wsnotify.Exponential(100*time.Millisecond, 10*time.Second, -1),

		OnOpen: func(ev wsnotify.OpenEvent) {
			fmt.Fprintln(out, "connected to server", number(servers, ev.URL))
		},
		OnReconnecting: func(ev wsnotify.ReconnectEvent) {
			what := "failed"
			if ev.Failure.Phase == wsnotify.PhaseOpen {
				what = "lost"
			}
			fmt.Fprintf(out, "%s: trying the next server\n", what)
		},
		OnNotification: func(n wsnotify.Notification) { fmt.Fprintf(out, "%s: %s\n", n.MsgType, n.Content) },
	})

	err := client.Run(ctx, servers[0], "ada")
	<-client.Done() // the last callback has returned
	return err
}

func main() { demo.MainMany(2, run, script) }
