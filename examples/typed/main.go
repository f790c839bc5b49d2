// Typed receives three types of notifications, each decoded into a Go type.
//
//	go run ./examples/typed
//	go run ./examples/typed wss://example.com/ws/
//
// It prints:
//
//	mail    Charles: The engine is ready
//	deploy  web 1.4.2, after 41s
//	alert   db-1: 97 % of the disk is used
//	other   {"msgType":"survey","content":"How was it?"}
//	unfit   mail: no object
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

type mail struct {
	From    string `json:"from"`
	Subject string `json:"subject"`
}

type deploy struct {
	Service string  `json:"service"`
	Version string  `json:"version"`
	Seconds float64 `json:"seconds"`
}

// An alert is plain text.
type alert string

func run(ctx context.Context, url string, out io.Writer) error {
	client := wsnotify.New(wsnotify.Config{
		// What is of none of the types below.
		OnNotification: func(n wsnotify.Notification) {
			switch n.MsgType {
			case "mail", "deploy", "alert":
			default:
				fmt.Fprintf(out, "other   %s\n", n.Raw)
			}
		},
		// Content that does not fit its type, and all other errors.
		OnError: func(err error) {
			var unfit *wsnotify.DecodeError
			if errors.As(err, &unfit) {
				fmt.Fprintf(out, "unfit   %s: %s\n", unfit.MsgType, unfit.Content)
				return
			}
			fmt.Fprintf(out, "error   %v\n", err)
		},
	})
	wsnotify.On(client, "mail", func(m mail) {
		fmt.Fprintf(out, "mail    %s: %s\n", m.From, m.Subject)
	})
	wsnotify.On(client, "deploy", func(d deploy) {
		took := time.Duration(d.Seconds * float64(time.Second))
		fmt.Fprintf(out, "deploy  %s %s, after %v\n", d.Service, d.Version, took)
	})
	wsnotify.On(client, "alert", func(a alert) {
		fmt.Fprintf(out, "alert   %s\n", a)
	})

	err := client.Run(ctx, url, "ada")
	<-client.Done() // the last callback has returned
	return err
}

func main() { demo.Main(run, script) }
