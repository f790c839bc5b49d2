//go:build linux

package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// The subprotocol graphql-transport-ws, against graphql-ws. A subscription goes
// on over a restart of the server, since it says where it was.
func TestGraphQLOverWebSocket(t *testing.T) {
	t.Parallel()
	s := serve(t, "graphql-ws", options{})
	numbers := newSequence()
	ctx, cancel := context.WithTimeout(t.Context(), 3*waitLimit)
	defer cancel()

	c := newClient(t, wsnotify.Config{
		Subprotocols: []string{"graphql-transport-ws"},
		Envelope:     wsnotify.Envelope{Type: "type", Content: "payload"},
		Heartbeat:    answering(`{"type":"ping"}`, `{"type":"pong"}`),
		BackOff:      quick,
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			if err := h.SendMessage(ctx, `{"type":"connection_init","payload":{"token":"secret"}}`); err != nil {
				return err
			}
			answer, err := h.Receive(ctx)
			if err != nil {
				return err
			}
			var ack struct{ Type string }
			if json.Unmarshal(answer.Data, &ack) != nil || ack.Type != "connection_ack" {
				return fmt.Errorf("expected a connection_ack, got %s", answer.Data)
			}
			return h.SendMessage(ctx, fmt.Sprintf(`{"id":"count","type":"subscribe","payload":{
				"query":"subscription($from: Int!){count(from: $from)}","variables":{"from":%d}}}`, numbers.next()))
		},
	})
	block := time.Second // several pings of the server
	wsnotify.On(c.Client, "next", func(payload struct{ Data struct{ Count int } }) {
		time.Sleep(block)
		block = 0
		numbers.add(payload.Data.Count)
	})
	// A mutation is answered by "next" and "complete", of which the first is the answer.
	ask := func(n int, hold bool) (int, error) {
		answer, err := wsnotify.RequestJSON[struct {
			Type    string
			Payload struct{ Data struct{ Do int } }
		}](ctx, c.Client, itoa(n), map[string]any{
			"id": itoa(n), "type": "subscribe", "payload": map[string]any{
				"query":     "mutation($n: Int!, $hold: Boolean!){do(n: $n, hold: $hold)}",
				"variables": map[string]any{"n": n, "hold": hold},
			},
		})
		return answer.Payload.Data.Do, err
	}

	if err := c.Connect(ctx, "ws://"+s.addr()+"/graphql", ""); err != nil {
		t.Fatal(err)
	}
	numbers.reach(t, 5)
	s.await(t, 0, waitLimit, "a pong", event("pong"))
	asked(t, 1, ask)
	s.held(t, 2, ask, s.kill)
	c.closed(1)
	if _, err := ask(3, false); !errors.Is(err, wsnotify.ErrNotConnected) {
		t.Errorf("while the server is down: %v", err)
	}
	wantDone(t, s.process, 1, 2)

	last := numbers.next()
	s.start()
	c.opened(2)
	numbers.reach(t, last+20)
	s.held(t, 4, ask, s.drop)
	c.opened(3)
	asked(t, 5, ask)
	numbers.reach(t, numbers.next()+20)
	wantDone(t, s.process, 4, 5)
	wantLost(t, c.closed(1))
	wantLost(t, c.closed(2))
}
