// Rpc is a JSON-RPC server of go-ethereum's package rpc, with a method and a
// subscription.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/rpc"

	"github.com/wsnotify/wsnotify/interop/servers/internal/child"
)

type demo struct{}

// Do does n, and does not answer if it is to hold.
func (demo) Do(ctx context.Context, n int, hold bool) int {
	child.Emit("do", fmt.Sprint(n))
	if hold {
		<-ctx.Done()
	}
	return n
}

// Count is a subscription to numbers, one each 20 ms.
func (demo) Count(ctx context.Context) (*rpc.Subscription, error) {
	notifier, ok := rpc.NotifierFromContext(ctx)
	if !ok {
		return nil, rpc.ErrNotificationsUnsupported
	}
	child.Emit("subscribe", "")
	sub := notifier.CreateSubscription()
	go func() {
		for n := 0; ; n++ {
			select {
			case <-time.After(20 * time.Millisecond):
				notifier.Notify(sub.ID, n)
			case <-sub.Err():
				return
			}
		}
	}()
	return sub, nil
}

func main() {
	server := rpc.NewServer()
	if err := server.RegisterName("demo", demo{}); err != nil {
		panic(err)
	}
	child.Serve(server.WebsocketHandler([]string{"*"}))
}
