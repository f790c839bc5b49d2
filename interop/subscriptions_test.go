//go:build linux

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// Subscriptions by the protocols of real servers: each wanted key once on each connection, in order, and a
// key that was refused not again. A server tells of each key that it was asked for, and refuses "no".
func TestSubscriptions(t *testing.T) {
	for _, test := range []struct {
		name  string
		serve func(t *testing.T) *server
		path  string
		cfg   wsnotify.Config
	}{
		{"graphql-ws", func(t *testing.T) *server { return serve(t, "graphql-ws", options{}) }, "/graphql", graphQLTopics()},
		{"centrifuge", func(t *testing.T) *server { return serve(t, "centrifuge", options{}) }, "/", centrifugeChannels()},
		{"socket.io", func(t *testing.T) *server { return serve(t, "socket.io", options{}) }, "/socket.io/?EIO=4&transport=websocket", socketIORooms()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := test.serve(t)
			cfg := test.cfg
			cfg.BackOff = quick
			c := newClient(t, cfg)
			ctx, cancel := context.WithTimeout(t.Context(), 3*waitLimit)
			defer cancel()
			reach := func(wanted, active, refused int) {
				t.Helper()
				for {
					got := c.Status().Subscriptions
					if got.Wanted == wanted && got.Active == active && got.Refused == refused {
						return
					}
					select {
					case <-time.After(5 * time.Millisecond):
					case <-ctx.Done():
						t.Fatalf("the subscriptions are %+v and not %d, %d, %d: %+v", got, wanted, active, refused, c.Subscriptions())
					}
				}
			}
			joined := func(want ...string) {
				t.Helper()
				n := 0 // the server's word to the client may be faster than that to the test
				s.await(t, 0, waitLimit, "the keys", func(l line) bool {
					if l.Event == "join" {
						n++
					}
					return n == len(want)
				})
				var got []string
				for _, l := range s.events("join") {
					got = append(got, l.Text)
				}
				if !slices.Equal(got, want) {
					t.Errorf("the server was asked for %q and not %q", got, want)
				}
			}
			if err := c.Subscribe("a", "no", "b"); err != nil {
				t.Fatal(err)
			}
			if err := c.Connect(ctx, "ws://"+s.addr()+test.path, ""); err != nil {
				t.Fatal(err)
			}
			reach(3, 2, 1)
			joined("a", "no", "b")
			c.Subscribe("c", "a") // of which a is there
			reach(4, 3, 1)
			joined("a", "no", "b", "c")

			s.drop()
			c.opened(2)
			reach(4, 3, 1)
			joined("a", "no", "b", "c", "a", "b", "c")

			c.Unsubscribe("b")
			c.Subscribe("no") // it may be allowed by now
			s.await(t, 0, waitLimit, "the key that was refused, again", func() func(line) bool {
				n := 0
				return func(l line) bool {
					if l.Event == "join" && l.Text == "no" {
						n++
					}
					return n == 2
				}
			}())
			reach(3, 2, 1)
			s.drop()
			c.opened(3)
			reach(3, 2, 1)
			joined("a", "no", "b", "c", "a", "b", "c", "no", "a", "c")

			c.mu.Lock()
			defer c.mu.Unlock()
			refused := 0
			for _, err := range c.errors {
				var key *wsnotify.SubscriptionError
				if errors.As(err, &key) {
					if refused++; key.Key != "no" || !strings.Contains(key.Error(), "forbidden") && !strings.Contains(key.Error(), "permission denied") {
						t.Errorf("OnError: %v", err)
					}
				}
			}
			if refused != 2 {
				t.Errorf("OnError got %d refused keys and not 2: %v", refused, c.errors)
			}
		})
	}
}

func graphQLTopics() wsnotify.Config {
	return wsnotify.Config{
		Subprotocols: []string{"graphql-transport-ws"},
		Envelope:     wsnotify.Envelope{Type: "type", Content: "payload"},
		Heartbeat: wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
			return `{"type":"pong"}`, string(m.Data) == `{"type":"ping"}`
		}},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return ask(ctx, h, `{"type":"connection_init","payload":{"token":"secret"}}`, "connection_ack")
		},
		Subscriptions: wsnotify.Subscriptions{
			Subscribe: func(keys []string, _ func(string) string) (wsnotify.Message, error) {
				return jsonMessage(map[string]any{"id": keys[0], "type": "subscribe", "payload": map[string]any{
					"query": "subscription($key: String!){topic(key: $key)}", "variables": map[string]any{"key": keys[0]},
				}})
			},
			Unsubscribe: func(keys []string) (wsnotify.Message, error) {
				return jsonMessage(map[string]any{"id": keys[0], "type": "complete"})
			},
			Confirm: func(m wsnotify.Message) ([]string, error) {
				var answer struct {
					ID, Type string
					Payload  json.RawMessage
				}
				if json.Unmarshal(m.Data, &answer) != nil || answer.ID == "" {
					return nil, nil
				}
				switch {
				case answer.Type == "error", answer.Type == "next" && bytes.Contains(answer.Payload, []byte(`"errors"`)):
					return []string{answer.ID}, fmt.Errorf("%s", answer.Payload)
				case answer.Type == "next":
					return []string{answer.ID}, nil
				}
				return nil, nil
			},
		},
	}
}

func centrifugeChannels() wsnotify.Config {
	var id atomic.Int64
	id.Store(1)
	keys := map[int64]string{} // by the id of the command, which is all that an answer has
	var mu sync.Mutex
	return wsnotify.Config{
		Envelope: wsnotify.Envelope{Parse: parseCentrifuge},
		Heartbeat: wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
			return "{}", string(m.Data) == "{}"
		}},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return ask(ctx, h, `{"id":1,"connect":{}}`, "connect")
		},
		Subscriptions: wsnotify.Subscriptions{
			Subscribe: func(names []string, _ func(string) string) (wsnotify.Message, error) {
				n := id.Add(1)
				mu.Lock()
				keys[n] = names[0]
				mu.Unlock()
				return jsonMessage(map[string]any{"id": n, "subscribe": map[string]any{"channel": names[0]}})
			},
			Unsubscribe: func(names []string) (wsnotify.Message, error) {
				return jsonMessage(map[string]any{"id": id.Add(1), "unsubscribe": map[string]any{"channel": names[0]}})
			},
			Confirm: func(m wsnotify.Message) ([]string, error) {
				var answer struct {
					ID    int64
					Error *struct{ Message string }
				}
				if json.Unmarshal(m.Data, &answer) != nil || answer.ID == 0 {
					return nil, nil
				}
				mu.Lock()
				key, ok := keys[answer.ID]
				delete(keys, answer.ID)
				mu.Unlock()
				switch {
				case !ok:
					return nil, nil
				case answer.Error != nil:
					return []string{key}, errors.New(answer.Error.Message)
				}
				return []string{key}, nil
			},
		},
	}
}

func socketIORooms() wsnotify.Config {
	var id atomic.Int64
	return wsnotify.Config{
		Envelope: wsnotify.Envelope{Parse: func(wsnotify.Message) (string, []byte, error) { return "", nil, nil }},
		Heartbeat: wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
			return "3", string(m.Data) == "2"
		}},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			if _, err := h.Receive(ctx); err != nil {
				return err
			}
			return ask(ctx, h, "40/rooms,", "40/rooms,")
		},
		Subscriptions: wsnotify.Subscriptions{
			Subscribe: func(keys []string, _ func(string) string) (wsnotify.Message, error) {
				event, err := json.Marshal([]string{"join", keys[0]})
				return wsnotify.Message{Data: fmt.Appendf(nil, "42/rooms,%d%s", id.Add(1), event)}, err
			},
			Confirm: func(m wsnotify.Message) ([]string, error) { // 43/rooms,7[null,"a"]
				rest, ok := bytes.CutPrefix(m.Data, []byte("43/rooms,"))
				var answer []*string
				if !ok || json.Unmarshal(bytes.TrimLeft(rest, "0123456789"), &answer) != nil || len(answer) != 2 {
					return nil, nil
				}
				if answer[0] != nil {
					return []string{*answer[1]}, errors.New(*answer[0])
				}
				return []string{*answer[1]}, nil
			},
		},
	}
}

// ask sends a message and wants an answer with something in it.
func ask(ctx context.Context, h *wsnotify.Handshake, text, want string) error {
	if err := h.SendMessage(ctx, text); err != nil {
		return err
	}
	answer, err := h.Receive(ctx)
	if err == nil && !bytes.Contains(answer.Data, []byte(want)) {
		err = fmt.Errorf("expected %s, got %s", want, answer.Data)
	}
	return err
}

func jsonMessage(v any) (wsnotify.Message, error) {
	data, err := json.Marshal(v)
	return wsnotify.Message{Data: data}, err
}
