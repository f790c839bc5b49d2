// Gateway speaks as the gateways of chats do: the server says hello with the
// interval of the heartbeat, the client identifies itself, sends the number of
// the last event with each beat, and resumes after a drop. See session.go.
//
//	go run ./examples/gateway
//	go run ./examples/gateway wss://example.com/gateway
//
// It prints:
//
//	a new session, s1
//	ada: hello
//	grace: hi
//	the connection was lost
//	session s1 resumes after event 3
//	ada: are you there?
//	grace: yes
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

func run(ctx context.Context, url string, out io.Writer) error {
	var s session
	var client *wsnotify.Client
	client = wsnotify.New(wsnotify.Config{
		Envelope: wsnotify.Envelope{Type: "t", Content: "d"},
		Heartbeat: wsnotify.Heartbeat{TextFunc: s.beat, Answer: func(m wsnotify.Message) (string, bool) {
			var p packet
			if json.Unmarshal(m.Data, &p) != nil || p.Op != 1 && p.Op != 11 {
				return "", false
			}
			if p.Op == 11 {
				return "", true // nobody else is interested
			}
			return s.beat(), true // the server asks for a beat at once
		}},
		OnHandshake:     s.handshake,
		Resume:          wsnotify.Resume{Position: position, Order: wsnotify.PositionIncreasing},
		BackOff:         wsnotify.Exponential(100*time.Millisecond, 10*time.Second, -1),
		ShouldReconnect: func(f wsnotify.Failure) bool { return f.Code != 4004 }, // the token is wrong
		OnOpen: func(wsnotify.OpenEvent) {
			if id := s.get(); id != "" {
				fmt.Fprintf(out, "session %s resumes after event %s\n", id, client.Position(""))
			}
		},
		OnClose: func(ev wsnotify.CloseEvent) {
			if ev.WillReconnect {
				fmt.Fprintln(out, "the connection was lost")
			}
		},
		OnNotification: func(n wsnotify.Notification) {
			var p packet
			if err := json.Unmarshal(n.Raw, &p); err != nil {
				return
			}
			if p.Op == 9 { // the server does not know the session any more
				s.begin("")
				client.Reconnect()
				return
			}
			if err := s.handle(p, out); err != nil {
				fmt.Fprintln(out, err)
			}
		},
	})
	s.client = client
	err := client.Run(ctx, url, "")
	<-client.Done() // the last callback has returned
	return err
}

func main() { demo.Main(run, script) }
