// Jsonrpc sends requests and has a subscription, as JSON-RPC 2.0 servers of
// blockchains and editors know them. A subscription belongs to a connection, so
// it is made anew on each; a request never is, since it may have been done. See
// rpc.go.
//
//	go run ./examples/jsonrpc
//	go run ./examples/jsonrpc wss://example.com/rpc
//
// It prints:
//
//	connected, with the subscription 0xa1
//	block 7
//	balance at block 7: 40
//	block 8
//	transfer: nobody knows whether it was done
//	the connection was lost
//	connected, with the subscription 0xa2
//	block 9
//	balance at block 9: 30
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

func run(ctx context.Context, url string, out io.Writer) error {
	var name atomic.Value // of the subscription
	client := wsnotify.New(wsnotify.Config{
		Envelope:  wsnotify.Envelope{Type: "method", Content: "params"},
		Heartbeat: wsnotify.Heartbeat{NoText: true},
		BackOff:   wsnotify.Exponential(100*time.Millisecond, 10*time.Second, -1),
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			id, err := subscribe(ctx, h)
			name.Store(id)
			return err
		},
		OnOpen: func(wsnotify.OpenEvent) { fmt.Fprintln(out, "connected, with the subscription", name.Load()) },
		OnClose: func(ev wsnotify.CloseEvent) {
			if ev.WillReconnect {
				fmt.Fprintln(out, "the connection was lost")
			}
		},
	})
	wsnotify.On(client, "chain_subscription", func(params struct{ Result struct{ Block int } }) {
		block := params.Result.Block
		fmt.Fprintln(out, "block", block)
		if block == 8 {
			_, err := call[bool](ctx, client, "transfer", 10)
			if errors.Is(err, wsnotify.ErrUnconfirmed) {
				fmt.Fprintln(out, "transfer: nobody knows whether it was done") // so look, and don't ask again
			}
			return
		}
		balance, err := call[int](ctx, client, "balance")
		if err != nil {
			fmt.Fprintln(out, err)
			return
		}
		fmt.Fprintf(out, "balance at block %d: %d\n", block, balance)
	})

	err := client.Run(ctx, url, "")
	<-client.Done() // the last callback has returned
	return err
}

func main() { demo.Main(run, script) }
