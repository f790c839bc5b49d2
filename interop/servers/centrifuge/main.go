// Centrifuge is a server of the library that centrifugo is made of, with a
// procedure and a channel that keeps its history.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"

	"github.com/wsnotify/wsnotify/interop/servers/internal/child"
)

const channel = "count"

func main() {
	node, err := centrifuge.New(centrifuge.Config{})
	check(err)
	node.OnConnecting(func(_ context.Context, _ centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:        &centrifuge.Credentials{UserID: "ada"},
			PingPongConfig:     &centrifuge.PingPongConfig{PingInterval: 300 * time.Millisecond, PongTimeout: 200 * time.Millisecond},
			MaxMessagesInFrame: 1,
		}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(e centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			if e.Channel != channel {
				child.Emit("join", e.Channel)
			}
			if e.Channel == "no" {
				answer(centrifuge.SubscribeReply{}, centrifuge.ErrorPermissionDenied)
				return
			}
			child.Emit("subscribe", e.Channel)
			answer(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{EnableRecovery: true}}, nil)
		})
		client.OnRPC(func(e centrifuge.RPCEvent, answer centrifuge.RPCCallback) {
			var do struct {
				N    int
				Hold bool
			}
			if e.Method != "do" || json.Unmarshal(e.Data, &do) != nil {
				answer(centrifuge.RPCReply{}, centrifuge.ErrorMethodNotFound)
				return
			}
			child.Emit("do", fmt.Sprint(do.N))
			if !do.Hold {
				answer(centrifuge.RPCReply{Data: fmt.Append(nil, do.N)}, nil)
			}
		})
		client.OnDisconnect(func(e centrifuge.DisconnectEvent) { child.Emit("close", e.Disconnect.Reason) })
	})
	check(node.Run())
	go func() {
		for n := 1; ; n++ {
			time.Sleep(20 * time.Millisecond)
			_, err := node.Publish(channel, fmt.Append(nil, n), centrifuge.WithHistory(1000, time.Minute))
			check(err)
		}
	}()
	handler := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin: func(*http.Request) bool { return true },
	})
	child.Serve(handler)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
