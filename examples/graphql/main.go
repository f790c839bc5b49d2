// Graphql subscribes over the subprotocol graphql-transport-ws, as graphql-ws
// and most servers speak it. The subscription goes on over a drop, and a
// mutation is a request with exactly one outcome.
//
//	go run ./examples/graphql
//	go run ./examples/graphql wss://example.com/graphql
//
// It prints:
//
//	connected
//	price 1: 100
//	price 2: 90
//	order: bought at 90
//	connected
//	price 3: 110
//	price 4: 120
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// operation is the payload of a "subscribe" message: a subscription, a query or
// a mutation.
type operation struct {
	Query     string         `json:"query"`
	Variables map[string]any `json:"variables"`
}

type message struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Payload any    `json:"payload,omitempty"`
}

// subscribe makes the message that subscribes to one operation, from where the
// connection before came to.
func subscribe(ids []string, received func(id string) string) (wsnotify.Message, error) {
	after, _ := strconv.Atoi(received(ids[0])) // 0 at first
	text, err := json.Marshal(message{ids[0], "subscribe", operation{
		"subscription($after: Int!) { price(after: $after) { number value } }", map[string]any{"after": after},
	}})
	return wsnotify.Message{Data: text}, err
}

// position is the number of a price, in the stream of its operation.
func position(m wsnotify.Message) (id, number string) {
	var next struct {
		ID      string
		Payload struct {
			Data struct {
				Price struct{ Number json.Number }
			}
		}
	}
	json.Unmarshal(m.Data, &next) // what is no price has no number
	return next.ID, next.Payload.Data.Price.Number.String()
}

func run(ctx context.Context, url string, out io.Writer) error {
	client := wsnotify.New(wsnotify.Config{
		Subprotocols: []string{"graphql-transport-ws"},
		Envelope:     wsnotify.Envelope{Type: "type", Content: "payload"},
		Heartbeat: wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
			return `{"type":"pong"}`, string(m.Data) == `{"type":"ping"}`
		}},
		BackOff: wsnotify.Exponential(100*time.Millisecond, 10*time.Second, -1),
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			if err := h.SendMessage(ctx, `{"type":"connection_init"}`); err != nil {
				return err
			}
			var ack message
			if answer, err := h.Receive(ctx); err != nil {
				return err
			} else if err := json.Unmarshal(answer.Data, &ack); err != nil || ack.Type != "connection_ack" {
				return fmt.Errorf("expected a connection_ack, got %s", answer.Data)
			}
			return nil
		},
		Subscriptions: wsnotify.Subscriptions{Subscribe: subscribe},
		Resume:        wsnotify.Resume{Position: position, Order: wsnotify.PositionConsecutive},
		OnOpen:        func(wsnotify.OpenEvent) { fmt.Fprintln(out, "connected") },
	})
	if err := client.Subscribe("prices"); err != nil { // on every connection
		return err
	}
	wsnotify.On(client, "next", func(payload struct {
		Data struct{ Price struct{ Number, Value int64 } }
	}) {
		price := payload.Data.Price
		fmt.Fprintf(out, "price %d: %d\n", price.Number, price.Value)
		if price.Value >= 100 {
			return
		}
		// Its own "next" is the answer; the "complete" behind that is a message like
		// any other. wsnotify.ErrUnconfirmed would mean that nobody knows whether the
		// server has got it: look before you ask again.
		id := fmt.Sprint("order-", price.Number)
		answer, err := wsnotify.RequestJSON[struct {
			Payload struct{ Data struct{ Buy string } }
		}](ctx, client, id, message{id, "subscribe", operation{
			"mutation($limit: Int!) { buy(limit: $limit) }", map[string]any{"limit": price.Value},
		}})
		if err != nil {
			fmt.Fprintln(out, "order:", err)
			return
		}
		fmt.Fprintln(out, "order:", answer.Payload.Data.Buy)
	})

	err := client.Run(ctx, url, "")
	<-client.Done() // the last callback has returned
	return err
}

func main() { demo.Main(run, script) }
