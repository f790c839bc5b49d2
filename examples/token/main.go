// Token sends an access token with every handshake, and fetches a new one only
// when the server has refused the old with 401. See token.go.
//
//	go run ./examples/token
//	go run ./examples/token wss://example.com/ws/
//
// It prints:
//
//	connected with token-1
//	lost
//	401: the token is not good any more
//	connected with token-2
//	lost
//	connected with token-2
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

func run(ctx context.Context, url string, out io.Writer) error {
	a := &access{fetch: fetchToken}
	client := wsnotify.New(wsnotify.Config{
		BeforeDial:      a.BeforeDial,
		ShouldReconnect: a.ShouldReconnect,
		BackOff:         wsnotify.Exponential(100*time.Millisecond, 10*time.Second, -1),

		OnOpen: func(wsnotify.OpenEvent) { fmt.Fprintln(out, "connected with", a.current()) },
		OnClose: func(ev wsnotify.CloseEvent) {
			if ev.WillReconnect {
				fmt.Fprintln(out, "lost")
			}
		},
		OnReconnecting: func(ev wsnotify.ReconnectEvent) {
			if ev.Failure.HTTPStatus == http.StatusUnauthorized {
				fmt.Fprintln(out, "401: the token is not good any more")
			}
		},
	})

	err := client.Run(ctx, url, "ada")
	<-client.Done() // the last callback has returned
	return err
}

func main() { demo.Main(run, script) }
