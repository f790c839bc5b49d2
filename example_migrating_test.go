package wsnotify_test

import (
	"context"
	"log"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// The code of docs/migrating.md that uses this package stands here, so that it
// compiles, and TestMigratingCode compares the two.

var _, _ = stayConnected, pullMessages

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

func TestMigratingCode(t *testing.T) {
	var ours []string
	for _, code := range fences(t, "docs/migrating.md", "go") {
		if strings.Contains(code, "wsnotify.New(") {
			ours = append(ours, code)
		}
	}
	compareCode(t, ours, sourceBlocks(t, "example_migrating_test.go"))
}
