package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// script is what the server does if the example is given none.
func script(ctx context.Context, srv *demo.Server) error {
	srv.Subprotocols("graphql-transport-ws")
	values := []int{100, 90, 110, 120}
	for _, until := range []int{2, 4} {
		client, err := srv.Accept(ctx)
		if err != nil {
			return err
		}
		if _, err := client.Receive(ctx); err != nil { // connection_init
			return err
		}
		if err := client.Send(ctx, `{"type":"connection_ack"}`); err != nil {
			return err
		}
		text, err := client.Receive(ctx)
		if err != nil {
			return err
		}
		var subscribe struct {
			Payload struct{ Variables struct{ After int } }
		}
		if err := json.Unmarshal([]byte(text), &subscribe); err != nil {
			return err
		}
		for i := subscribe.Payload.Variables.After; i < until; i++ {
			text := fmt.Sprintf(`{"id":"prices","type":"next","payload":{"data":{"price":{"number":%d,"value":%d}}}}`, i+1, values[i])
			if err := client.Send(ctx, `{"type":"ping"}`, text); err != nil {
				return err
			}
			if pong, err := client.Receive(ctx); err != nil || pong != `{"type":"pong"}` {
				return fmt.Errorf("in the place of a pong came %s, %v", pong, err)
			}
		}
		if until == len(values) {
			return nil
		}
		if _, err := client.Receive(ctx); err != nil { // the mutation
			return err
		}
		if err := client.Send(ctx, `{"id":"order-2","type":"next","payload":{"data":{"buy":"bought at 90"}}}`,
			`{"id":"order-2","type":"complete"}`); err != nil {
			return err
		}
		client.Drop()
	}
	return nil
}
