// Exchange keeps a set of subscriptions over reconnects. Each begins with a
// snapshot, increments follow, and a gap in their numbers is closed with another
// snapshot. See feed.go.
//
//	go run ./examples/exchange
//	go run ./examples/exchange wss://example.com/feed
//
// It prints:
//
//	BTC 100 (snapshot 7)
//	ETH 10 (snapshot 3)
//	BTC 101
//	BTC: 9 is missing, got 10
//	BTC 104 (snapshot 11)
//	BTC 105
//	the connection was lost
//	ETH 12 (snapshot 9)
//	BTC 120 (snapshot 20)
//	ETH 13
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
	f := &feed{out: out, books: map[string]*book{}}
	client := wsnotify.New(wsnotify.Config{
		Envelope: wsnotify.Envelope{Type: "type", Content: "data"},
		Heartbeat: wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
			return "pong", string(m.Data) == "ping"
		}},
		BackOff: wsnotify.Exponential(100*time.Millisecond, 10*time.Second, -1),
		Subscriptions: wsnotify.Subscriptions{
			Subscribe: func(symbols []string, _ func(string) string) (wsnotify.Message, error) {
				return request("subscribe", symbols)
			},
			Unsubscribe: func(symbols []string) (wsnotify.Message, error) { return request("unsubscribe", symbols) },
			Batch:       100,
		},
		OnOpen: func(wsnotify.OpenEvent) { f.begin() },
		OnClose: func(ev wsnotify.CloseEvent) {
			if ev.WillReconnect {
				fmt.Fprintln(out, "the connection was lost")
			}
		},
	})
	f.resync = func(symbol string) { // the server answers with another snapshot
		client.Unsubscribe(symbol)
		client.Subscribe(symbol)
	}
	wsnotify.On(client, "snapshot", f.snapshot)
	wsnotify.On(client, "update", f.update)
	if err := client.Subscribe("BTC", "ETH"); err != nil { // on every connection from now on
		return err
	}

	err := client.Run(ctx, url, "")
	<-client.Done() // the last callback has returned
	return err
}

func main() { demo.Main(run, script) }
