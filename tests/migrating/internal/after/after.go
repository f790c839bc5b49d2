// Package after is what the programs are after they have migrated.
package after

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/wsnotify/wsnotify"
)

// Run is what the loops around gorilla, coder and nhooyr become.
var Run = stayConnected

// Pull is what the program of recws becomes.
func Pull(ctx context.Context, url, _ string, handle func([]byte)) error {
	return pullMessages(ctx, url, handle)
}

// --- begin
func stayConnected(ctx context.Context, url, token string, handle func([]byte)) error {
	client := wsnotify.New(wsnotify.Config{
		Header:          http.Header{"Authorization": {"Bearer " + token}},
		BackOff:         wsnotify.Exponential(time.Second, 30*time.Second, -1),
		ShouldReconnect: wsnotify.FailFast,
		Heartbeat:       wsnotify.Heartbeat{Interval: 10 * time.Second, NoText: true},
		OnMessage:       func(m wsnotify.Message) { handle(m.Data) },
		OnReconnecting:  func(e wsnotify.ReconnectEvent) { log.Println(e) },
	})
	err := client.Run(ctx, url, "")
	<-client.Done()
	return err
}

// --- end

// --- begin
func pullMessages(ctx context.Context, url string, handle func([]byte)) error {
	client := wsnotify.New(wsnotify.Config{
		BackOff: wsnotify.Exponential(2*time.Second, 30*time.Second, -1),
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return h.SendText(ctx, `{"subscribe": "mail"}`)
		},
		Heartbeat: wsnotify.Heartbeat{Interval: 10 * time.Second, NoText: true},
	})
	messages := client.Messages(ctx) // from here on, nothing is missed
	if err := client.Connect(ctx, url, ""); err != nil {
		return err
	}
	defer client.Disconnect()
	for m := range messages {
		handle(m.Data)
	}
	if err := client.Err(); err != nil {
		return err
	}
	return ctx.Err()
}

// --- end
