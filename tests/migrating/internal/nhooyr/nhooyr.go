// Package nhooyr is the program of package coder with the old name of its library.
package nhooyr

//lint:file-ignore SA1019 that the library is deprecated is why its users migrate

import (
	"context"
	"log"
	"net/http"
	"time"

	"nhooyr.io/websocket"
)

// Run is the program: the loop around readAll is that of gorilla.
func Run(ctx context.Context, url, token string, handle func([]byte)) error {
	wait := time.Second
	for {
		conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
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

// --- begin
func readAll(ctx context.Context, conn *websocket.Conn, handle func([]byte)) error {
	defer conn.CloseNow()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Second):
			}
			ping, stop := context.WithTimeout(ctx, 5*time.Second)
			err := conn.Ping(ping)
			stop()
			if err != nil {
				return
			}
		}
	}()
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		handle(data)
	}
}

// --- end
