//go:build linux

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/wsnotify/wsnotify"
)

// JSON-RPC 2.0 with subscriptions, against the server of go-ethereum: requests,
// and a subscription that is made anew on each connection.
func TestJSONRPC(t *testing.T) {
	t.Parallel()
	s := serve(t, "rpc", options{})
	ctx, cancel := context.WithTimeout(t.Context(), 3*waitLimit)
	defer cancel()

	type subscription struct {
		name    string
		numbers *sequence
	}
	made := make(chan subscription, 1000)
	c := newClient(t, wsnotify.Config{
		Envelope:  wsnotify.Envelope{Type: "method", Content: "params"},
		Heartbeat: wsnotify.Heartbeat{NoText: true},
		BackOff:   quick,
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			if err := h.SendMessage(ctx, `{"jsonrpc":"2.0","id":0,"method":"demo_subscribe","params":["count"]}`); err != nil {
				return err
			}
			answer, err := h.Receive(ctx)
			if err != nil {
				return err
			}
			var sub struct {
				ID     *int
				Result string
			}
			if err := json.Unmarshal(answer.Data, &sub); err != nil || sub.ID == nil || sub.Result == "" {
				return fmt.Errorf("expected the name of a subscription, got %s", answer.Data)
			}
			made <- subscription{sub.Result, newSequence()}
			return nil
		},
	})
	var current subscription
	wsnotify.On(c.Client, "demo_subscription", func(params struct {
		Subscription string
		Result       int
	}) {
		for current.name != params.Subscription {
			current = <-made // in order, so the older ones are over
		}
		current.numbers.add(params.Result + 1)
	})
	received := func(more int) {
		t.Helper()
		c.until("numbers", waitLimit, func() bool { return len(c.notifications) >= more })
	}
	ask := func(n int, hold bool) (int, error) {
		answer, err := wsnotify.RequestJSON[struct{ Result int }](ctx, c.Client, itoa(n), map[string]any{
			"jsonrpc": "2.0", "id": n, "method": "demo_do", "params": []any{n, hold},
		})
		return answer.Result, err
	}

	if err := c.Connect(ctx, "ws://"+s.addr()+"/", ""); err != nil {
		t.Fatal(err)
	}
	received(10)
	asked(t, 1, ask)
	s.held(t, 2, ask, s.drop)
	wantLost(t, c.closed(1))
	c.opened(2)
	asked(t, 3, ask)
	c.mu.Lock()
	before := len(c.notifications)
	c.mu.Unlock()
	received(before + 10)
	wantDone(t, s.process, 1, 2, 3)
	if n := len(s.events("subscribe")); n != 2 {
		t.Errorf("%d subscriptions were made over 2 connections", n)
	}
	if err := c.Disconnect(); err != nil {
		t.Error(err)
	}
	<-c.Done()
	current.numbers.reach(t, 10)
	if first := current.numbers.numbers[0]; first != 1 {
		t.Errorf("the second subscription begins at %d", first)
	}
}
