package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/wsnotify/wsnotify"
)

// A Mail is the content of a notification of the type "mail".
type Mail struct {
	ID            int
	From, Subject string
}

// newClient returns the client of the service. fetch gets a new token.
func newClient(log *slog.Logger, httpClient *http.Client, fetch func(context.Context) (string, error)) *wsnotify.Client {
	tokens := &tokens{fetch: fetch}
	client := wsnotify.New(wsnotify.Config{
		Logger:     log,
		HTTPClient: httpClient, // nil: the default one

		BackOff:         wsnotify.Exponential(500*time.Millisecond, 10*time.Second, -1), // never give up
		StableAfter:     30 * time.Second,
		BeforeDial:      tokens.BeforeDial,
		ShouldReconnect: wsnotify.RetryOnce(http.StatusUnauthorized), // once with a fresh token
		DrainTimeout:    10 * time.Second,

		Subscriptions: wsnotify.Subscriptions{
			Subscribe: func(topics []string, _ func(string) string) (wsnotify.Message, error) {
				text, err := json.Marshal(map[string]any{"op": "subscribe", "topics": topics})
				return wsnotify.Message{Data: text}, err
			},
			Batch: 100, // topics in one message
		},
		OnUndelivered: func(m wsnotify.Message, err error) {
			log.Error("not sent", "message", string(m.Data), "err", err)
		},
	})
	client.Subscribe("mail", "deploy") // on every connection

	wsnotify.On(client, "deploy", func(text string) { log.Info("deploy", "text", text) })
	wsnotify.Handle(client, "mail", func(ctx context.Context, n wsnotify.Typed[Mail]) error {
		log.Info("mail", "from", n.Value.From, "subject", n.Value.Subject)
		return client.EnqueueJSON(map[string]int{"read": n.Value.ID})
	})
	return client
}
