// Package gorilla is a program before it migrates: gorilla/websocket and a loop.
package gorilla

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// Run is the program.
var Run = stayConnected

// --- begin
func stayConnected(ctx context.Context, url, token string, handle func([]byte)) error {
	wait := time.Second
	for {
		header := http.Header{"Authorization": {"Bearer " + token}}
		conn, _, err := websocket.DefaultDialer.DialContext(ctx, url, header)
		if err == nil {
			wait = time.Second
			err = readAll(ctx, conn, handle)
		}
		log.Println(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Second)
	}
}

func readAll(ctx context.Context, conn *websocket.Conn, handle func([]byte)) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(15 * time.Second)) }
	conn.SetPongHandler(alive)
	alive("")
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-ticker.C:
				conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(5*time.Second))
			case <-done:
				return
			}
		}
	}()
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		handle(data)
	}
}

// --- end
