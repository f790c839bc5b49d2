package wsnotify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// A server with a protocol of its own: {"type":…,"payload":…}.
func Example_envelope() {
	withServer(func(srv *wsnotifytest.Server) {
		type Trade struct {
			Symbol string
			Price  float64
		}
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: srv.HTTPClient(),
			Envelope:   wsnotify.Envelope{Type: "type", Content: "payload"},
		})
		done := make(chan bool)
		wsnotify.On(client, "welcome", func(struct{}) { fmt.Println("welcome") })
		wsnotify.On(client, "trade", func(t Trade) { fmt.Println(t.Symbol, t.Price); close(done) })

		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		defer client.Disconnect()
		srv.SendText("ada", `{"type":"welcome"}`)
		srv.SendText("ada", `{"type":"trade","payload":{"symbol":"ADA","price":0.45}}`)
		<-done
	})
	// Output:
	// welcome
	// ADA 0.45
}

// A server whose messages are lines: a word, a space and the rest.
func Example_parse() {
	withServer(func(srv *wsnotifytest.Server) {
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: srv.HTTPClient(),
			Envelope: wsnotify.Envelope{Parse: func(m wsnotify.Message) (string, []byte, error) {
				word, rest, ok := bytes.Cut(m.Data, []byte(" "))
				if !ok {
					return "", nil, errors.New("a line without a space")
				}
				return string(word), rest, nil
			}},
		})
		done := make(chan bool)
		wsnotify.On(client, "say", func(text string) { fmt.Println("said:", text) })
		wsnotify.On(client, "count", func(n int) { fmt.Println("counted:", n); close(done) })

		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		defer client.Disconnect()
		srv.SendText("ada", "say good morning")
		srv.SendBinary("ada", []byte("count 3"))
		<-done
	})
	// Output:
	// said: good morning
	// counted: 3
}

// A question of JSON-RPC and its answer.
func ExampleRequestJSON() {
	withServer(func(srv *wsnotifytest.Server) {
		srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
			if bytes.Contains(data, []byte("add")) {
				c.SendText(`{"jsonrpc":"2.0","id":1,"result":5}`)
			}
		})
		client := wsnotify.New(wsnotify.Config{HTTPClient: srv.HTTPClient()})
		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		defer client.Disconnect()

		type call struct {
			Version string `json:"jsonrpc"`
			ID      int    `json:"id"`
			Method  string `json:"method"`
			Params  []int  `json:"params"`
		}
		type reply struct{ Result int }
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		sum, err := wsnotify.RequestJSON[reply](ctx, client, "1", call{"2.0", 1, "add", []int{2, 3}})
		fmt.Println(sum.Result, err)
	})
	// Output:
	// 5 <nil>
}
