// Package recws is a program before it migrates: recws-org/recws.
package recws

import (
	"context"
	"time"

	"github.com/gorilla/websocket"
	"github.com/recws-org/recws"
)

// Run is the program.
func Run(ctx context.Context, url, _ string, handle func([]byte)) error {
	return pullMessages(ctx, url, handle)
}

// --- begin
func pullMessages(ctx context.Context, url string, handle func([]byte)) error {
	ws := recws.RecConn{KeepAliveTimeout: 10 * time.Second}
	ws.SubscribeHandler = func() error {
		return ws.WriteMessage(websocket.TextMessage, []byte(`{"subscribe": "mail"}`))
	}
	ws.Dial(url, nil)
	defer ws.Close()
	for ctx.Err() == nil {
		_, data, err := ws.ReadMessage()
		if err != nil {
			time.Sleep(time.Second) // it reconnects meanwhile
			continue
		}
		handle(data)
	}
	return ctx.Err()
}

// --- end
