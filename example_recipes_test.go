package wsnotify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// The code of docs/recipes.md stands here between lines of dashes, so that it
// compiles. The functions around it give it what it refers to.

// --- begin
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

func asJSON(v any) (wsnotify.Message, error) {
	data, err := json.Marshal(v)
	return wsnotify.Message{Data: data}, err
}

// --- end

func recipeGraphQL(query func(key string) any) wsnotify.Config {
	// --- begin
	cfg := wsnotify.Config{
		Subprotocols: []string{"graphql-transport-ws"},
		Envelope:     wsnotify.Envelope{Type: "type", Content: "payload"},
		Heartbeat: wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
			return `{"type":"pong"}`, string(m.Data) == `{"type":"ping"}`
		}},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return ask(ctx, h, `{"type":"connection_init"}`, `"connection_ack"`)
		},
		Subscriptions: wsnotify.Subscriptions{
			Subscribe: func(keys []string, _ func(string) string) (wsnotify.Message, error) {
				return asJSON(map[string]any{"id": keys[0], "type": "subscribe", "payload": query(keys[0])}) // {"query":…,"variables":…}
			},
			Unsubscribe: func(keys []string) (wsnotify.Message, error) {
				return asJSON(map[string]any{"id": keys[0], "type": "complete"})
			},
			Confirm: func(m wsnotify.Message) ([]string, error) {
				var answer struct {
					ID, Type string
					Payload  json.RawMessage
				}
				switch json.Unmarshal(m.Data, &answer); answer.Type {
				case "next":
					return []string{answer.ID}, nil
				case "error":
					return []string{answer.ID}, fmt.Errorf("%s", answer.Payload)
				}
				return nil, nil
			},
			ConfirmTimeout: -1, // the first "next" may take long
		},
	}
	// --- end
	return cfg
}

func recipeJSONRPC() wsnotify.Config {
	// --- begin
	cfg := wsnotify.Config{
		Envelope:  wsnotify.Envelope{Type: "method", Content: "params"},
		Heartbeat: wsnotify.Heartbeat{NoText: true},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return ask(ctx, h, `{"jsonrpc":"2.0","id":0,"method":"eth_subscribe","params":["newHeads"]}`, `"result"`)
		},
	}
	// --- end
	return cfg
}

func recipeSocketIO(parseEvent func(wsnotify.Message) (string, []byte, error)) wsnotify.Config {
	// --- begin
	cfg := wsnotify.Config{
		Envelope: wsnotify.Envelope{Parse: parseEvent}, // 42["event",…]
		Heartbeat: wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
			return "3", string(m.Data) == "2"
		}},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			if _, err := h.Receive(ctx); err != nil { // 0{"sid":…,"pingInterval":25000,…}
				return err
			}
			return ask(ctx, h, `40{"token":"secret"}`, `40{"sid"`)
		},
	}
	// --- end
	return cfg
}

func recipeCentrifugo(parsePush func(wsnotify.Message) (string, []byte, error)) wsnotify.Config {
	// --- begin
	var ids atomic.Int64  // of commands
	var channels sync.Map // by id, until the answer
	ids.Store(1)
	cfg := wsnotify.Config{
		Envelope: wsnotify.Envelope{Parse: parsePush}, // {"push":{"channel":…,"pub":{"data":…,"offset":7}}}
		Heartbeat: wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
			return "{}", string(m.Data) == "{}"
		}},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return ask(ctx, h, `{"id":1,"connect":{"token":"…"}}`, `"connect"`)
		},
		Subscriptions: wsnotify.Subscriptions{
			Subscribe: func(keys []string, _ func(string) string) (wsnotify.Message, error) {
				id := ids.Add(1)
				channels.Store(id, keys[0])
				return asJSON(map[string]any{"id": id, "subscribe": map[string]string{"channel": keys[0]}})
			},
			Unsubscribe: func(keys []string) (wsnotify.Message, error) {
				return asJSON(map[string]any{"id": ids.Add(1), "unsubscribe": map[string]string{"channel": keys[0]}})
			},
			Confirm: func(m wsnotify.Message) ([]string, error) {
				var answer struct {
					ID    int64
					Error *struct{ Message string }
				}
				json.Unmarshal(m.Data, &answer)
				channel, ok := channels.LoadAndDelete(answer.ID)
				switch {
				case !ok:
					return nil, nil
				case answer.Error != nil:
					return []string{channel.(string)}, errors.New(answer.Error.Message)
				}
				return []string{channel.(string)}, nil
			},
		},
	}
	// --- end
	return cfg
}

func recipeGateway(seq *atomic.Int64, interval time.Duration, identify func() string) wsnotify.Config {
	// --- begin
	cfg := wsnotify.Config{
		Envelope: wsnotify.Envelope{Type: "t", Content: "d"},
		Heartbeat: wsnotify.Heartbeat{
			TextFunc: func() string { return fmt.Sprintf(`{"op":1,"d":%d}`, seq.Load()) },
			Answer:   func(m wsnotify.Message) (string, bool) { return "", bytes.Contains(m.Data, []byte(`"op":11`)) },
		},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			if _, err := h.Receive(ctx); err != nil { // {"op":10,"d":{"heartbeat_interval":41250}}
				return err
			}
			h.SetHeartbeat(interval)
			return h.SendMessage(ctx, identify()) // or resume, with the session and seq
		},
	}
	// --- end
	return cfg
}

func recipePhoenix(beats *atomic.Int64) wsnotify.Config {
	// --- begin
	cfg := wsnotify.Config{
		Heartbeat: wsnotify.Heartbeat{Interval: 30 * time.Second, TextFunc: func() string {
			return fmt.Sprintf(`[null,"beat-%d","phoenix","heartbeat",{}]`, beats.Add(1))
		}},
		Envelope: wsnotify.Envelope{Parse: func(m wsnotify.Message) (event string, payload []byte, err error) {
			var parts [5]json.RawMessage // join_ref, ref, topic, event, payload
			if err := json.Unmarshal(m.Data, &parts); err != nil {
				return "", nil, err
			}
			return event, parts[4], json.Unmarshal(parts[3], &event)
		}},
		Subscriptions: wsnotify.Subscriptions{ // a topic is its own join_ref
			Subscribe: func(keys []string, _ func(string) string) (wsnotify.Message, error) {
				return asJSON([]any{keys[0], keys[0], keys[0], "phx_join", struct{}{}})
			},
			Unsubscribe: func(keys []string) (wsnotify.Message, error) {
				return asJSON([]any{keys[0], "leave", keys[0], "phx_leave", struct{}{}})
			},
			Confirm: func(m wsnotify.Message) ([]string, error) {
				var parts [5]json.RawMessage
				var topic string
				var reply struct {
					Status   string
					Response json.RawMessage
				}
				if json.Unmarshal(m.Data, &parts) != nil || string(parts[3]) != `"phx_reply"` || !bytes.Equal(parts[0], parts[1]) ||
					json.Unmarshal(parts[2], &topic) != nil || json.Unmarshal(parts[4], &reply) != nil {
					return nil, nil
				}
				if reply.Status != "ok" {
					return []string{topic}, fmt.Errorf("%s", reply.Response)
				}
				return []string{topic}, nil
			},
		},
	}
	// --- end
	return cfg
}

func recipePusher(socket *atomic.Value, sign func(socketID, channel string) string) wsnotify.Config {
	// --- begin
	cfg := wsnotify.Config{
		Envelope: wsnotify.Envelope{Type: "event", Content: "data"},
		Heartbeat: wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
			return `{"event":"pusher:pong","data":{}}`, bytes.Contains(m.Data, []byte(`"pusher:ping"`))
		}},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			m, err := h.Receive(ctx) // pusher:connection_established
			var hello struct{ Data string }
			var data struct {
				SocketID string `json:"socket_id"`
			}
			if err = errors.Join(err, json.Unmarshal(m.Data, &hello), json.Unmarshal([]byte(hello.Data), &data)); err == nil {
				socket.Store(data.SocketID)
			}
			return err
		},
		Subscriptions: wsnotify.Subscriptions{
			Subscribe: func(keys []string, _ func(string) string) (wsnotify.Message, error) {
				data := map[string]string{"channel": keys[0]}
				if strings.HasPrefix(keys[0], "private-") {
					data["auth"] = sign(socket.Load().(string), keys[0]) // of your own server
				}
				return asJSON(map[string]any{"event": "pusher:subscribe", "data": data})
			},
			Unsubscribe: func(keys []string) (wsnotify.Message, error) {
				return asJSON(map[string]any{"event": "pusher:unsubscribe", "data": map[string]string{"channel": keys[0]}})
			},
			Confirm: func(m wsnotify.Message) ([]string, error) {
				var answer struct {
					Event, Channel string
					Data           json.RawMessage
				}
				switch json.Unmarshal(m.Data, &answer); answer.Event {
				case "pusher_internal:subscription_succeeded":
					return []string{answer.Channel}, nil
				case "pusher:subscription_error":
					return []string{answer.Channel}, fmt.Errorf("%s", answer.Data)
				}
				return nil, nil
			},
		},
	}
	// --- end
	return cfg
}

func recipeSTOMP() wsnotify.Config {
	// --- begin
	cfg := wsnotify.Config{
		Subprotocols: []string{"v12.stomp"},
		Heartbeat:    wsnotify.Heartbeat{Interval: 10 * time.Second, Text: "\n", Replies: []string{"\n"}},
		Envelope: wsnotify.Envelope{Parse: func(m wsnotify.Message) (command string, body []byte, err error) {
			head, body, ok := bytes.Cut(bytes.TrimSuffix(m.Data, []byte("\x00")), []byte("\n\n"))
			if !ok {
				return "", nil, errors.New("no end of the headers")
			}
			command, _, _ = strings.Cut(string(head), "\n")
			return command, body, nil
		}},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return ask(ctx, h, "CONNECT\naccept-version:1.2\nhost:example.com\nheart-beat:10000,10000\n\n\x00", "CONNECTED")
		},
		Subscriptions: wsnotify.Subscriptions{ // a destination is its own id
			Subscribe: func(keys []string, _ func(string) string) (wsnotify.Message, error) {
				return wsnotify.Message{Data: fmt.Appendf(nil, "SUBSCRIBE\nid:%s\ndestination:%[1]s\n\n\x00", keys[0])}, nil
			},
			Unsubscribe: func(keys []string) (wsnotify.Message, error) {
				return wsnotify.Message{Data: fmt.Appendf(nil, "UNSUBSCRIBE\nid:%s\n\n\x00", keys[0])}, nil
			},
		},
	}
	// --- end
	return cfg
}

func recipeSignalR(handle func(record []byte)) wsnotify.Config {
	// --- begin
	cfg := wsnotify.Config{
		Heartbeat: wsnotify.Heartbeat{Interval: 15 * time.Second, Text: "{\"type\":6}\x1e", Replies: []string{"{\"type\":6}\x1e"}},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return ask(ctx, h, "{\"protocol\":\"json\",\"version\":1}\x1e", "{}\x1e")
		},
		OnMessage: func(m wsnotify.Message) { // several records may come in one message
			for record := range bytes.SplitSeq(bytes.TrimSuffix(m.Data, []byte("\x1e")), []byte("\x1e")) {
				handle(record) // {"type":1,"target":"news","arguments":[…]}
			}
		},
	}
	// --- end
	return cfg
}

func recipeSlack(open func(ctx context.Context) (string, error)) *wsnotify.Client {
	// --- begin
	client := wsnotify.New(wsnotify.Config{
		Envelope:  wsnotify.Envelope{Type: "type", Content: "."},
		Heartbeat: wsnotify.Heartbeat{NoText: true},
		BeforeDial: func(ctx context.Context, req *wsnotify.DialRequest) (err error) {
			address, err := open(ctx) // apps.connections.open: each address is good for one dial
			if err == nil {
				req.URL, err = url.Parse(address)
			}
			return err
		},
	})
	wsnotify.On(client, "events_api", func(ev struct {
		EnvelopeID string `json:"envelope_id"`
		Payload    json.RawMessage
	}) {
		client.SendJSON(context.Background(), map[string]string{"envelope_id": ev.EnvelopeID}) // within 3 s
	})
	// --- end
	return client
}

func recipeHomeAssistant(token string) wsnotify.Config {
	// --- begin
	errToken := errors.New("the token is not valid")
	cfg := wsnotify.Config{
		Envelope:  wsnotify.Envelope{Type: "type", Content: "event"},
		Heartbeat: wsnotify.Heartbeat{NoText: true},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			if _, err := h.Receive(ctx); err != nil { // auth_required
				return err
			}
			if err := ask(ctx, h, `{"type":"auth","access_token":`+strconv.Quote(token)+`}`, `"auth_ok"`); err != nil {
				return errors.Join(errToken, err)
			}
			return ask(ctx, h, `{"id":1,"type":"subscribe_events","event_type":"state_changed"}`, `"success":true`)
		},
		ShouldReconnect: func(f wsnotify.Failure) bool { return !errors.Is(f.Err, errToken) },
	}
	// --- end
	return cfg
}

func recipeCloud(onReady func(context.Context, *wsnotify.Handshake) error) wsnotify.Config {
	// --- begin
	cfg := wsnotify.Config{
		Heartbeat:   wsnotify.Heartbeat{Interval: 20 * time.Second}, // shorter than the shortest idle time-out on the way
		BackOff:     wsnotify.Exponential(100*time.Millisecond, 10*time.Second, -1),
		MaxFrame:    32 << 10, // of AWS's API Gateway, which closes with 1009 on a longer frame
		Outbox:      wsnotify.Outbox{MaxAge: time.Minute},
		OnHandshake: onReady, // subscribe, and say what was seen last
	}
	// --- end
	return cfg
}

func TestRecipesCode(t *testing.T) {
	compareCode(t, fences(t, "docs/recipes.md", "go"), sourceBlocks(t, "example_recipes_test.go"))
}

// What the pages of each protocol show, played by the mock server. It is no real
// one, but a Config that does not even stand this is wrong.
func TestRecipes(t *testing.T) {
	var seen, interval atomic.Int64
	var records []string
	var mu sync.Mutex
	for name, test := range map[string]struct {
		cfg    wsnotify.Config
		script []string // what the server says; each after a message of the client, but those marked with <
		events []string // and what that comes to
		beat   time.Duration
		text   string
		key    string // that is subscribed to
		sends  string // the message that does it
	}{
		"GraphQL": {recipeGraphQL(func(key string) any { return map[string]string{"query": "subscription{" + key + "}"} }),
			[]string{`{"type":"connection_ack"}`, `{"id":"news","type":"next","payload":{"data":1}}`}, []string{`next {"data":1}`}, 0, "",
			"news", `{"id":"news","payload":{"query":"subscription{news}"},"type":"subscribe"}`},
		"Centrifugo": {recipeCentrifugo(func(m wsnotify.Message) (string, []byte, error) { return "answer", m.Data, nil }),
			[]string{`{"id":1,"connect":{}}`, `{"id":2,"subscribe":{}}`}, []string{`answer {"id":2,"subscribe":{}}`}, 0, "",
			"news", `{"id":2,"subscribe":{"channel":"news"}}`},
		"Pusher": {recipePusher(new(atomic.Value), func(socket, channel string) string { return socket + ":" + channel }),
			[]string{`<{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}`,
				`{"event":"pusher_internal:subscription_succeeded","channel":"private-news","data":"{}"}`, `<{"event":"pusher:ping","data":"{}"}`,
				`<{"event":"story","channel":"private-news","data":"{\"n\":1}"}`},
			[]string{`pusher_internal:subscription_succeeded {}`, `story {"n":1}`}, 0, "",
			"private-news", `{"data":{"auth":"1.2:private-news","channel":"private-news"},"event":"pusher:subscribe"}`},
		"JSON-RPC": {recipeJSONRPC(), []string{`{"jsonrpc":"2.0","id":0,"result":"0x1"}`,
			`<{"jsonrpc":"2.0","method":"eth_subscription","params":{"result":1}}`}, []string{`eth_subscription {"result":1}`}, 0, "", "", ""},
		"gateway": {recipeGateway(&seen, 20*time.Second, func() string { return "identify" }),
			[]string{`<{"op":10,"d":{"heartbeat_interval":20000}}`, `{"op":0,"t":"READY","s":1,"d":{}}`, `<{"op":11}`},
			[]string{"READY {}"}, 20 * time.Second, `{"op":1,"d":0}`, "", ""},
		"Phoenix": {recipePhoenix(&interval), []string{`["room:lobby","room:lobby","room:lobby","phx_reply",{"status":"ok","response":{}}]`,
			`<["room:lobby",null,"room:lobby","new_msg",{"body":"hi"}]`},
			[]string{`phx_reply {"status":"ok","response":{}}`, `new_msg {"body":"hi"}`}, 30 * time.Second,
			`[null,"beat-1","phoenix","heartbeat",{}]`, "room:lobby", `["room:lobby","room:lobby","room:lobby","phx_join",{}]`},
		"STOMP": {recipeSTOMP(), []string{"CONNECTED\nversion:1.2\nheart-beat:10000,10000\n\n\x00",
			"MESSAGE\nsubscription:0\nmessage-id:7\ndestination:/topic/news\n\nhello\x00", "<\n"}, []string{"MESSAGE hello"}, 10 * time.Second, "\n",
			"/topic/news", "SUBSCRIBE\nid:/topic/news\ndestination:/topic/news\n\n\x00"},
		"SignalR": {recipeSignalR(func(r []byte) { mu.Lock(); records = append(records, string(r)); mu.Unlock() }),
			[]string{"{}\x1e", "<{\"type\":1}\x1e{\"type\":2}\x1e", "<{\"type\":6}\x1e"}, nil, 15 * time.Second, "{\"type\":6}\x1e", "", ""},
		"Home Assistant": {recipeHomeAssistant("secret"), []string{`<{"type":"auth_required"}`, `{"type":"auth_ok"}`,
			`{"id":1,"type":"result","success":true,"result":null}`, `<{"id":1,"type":"event","event":{"n":1}}`}, []string{`event {"n":1}`}, 0, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			cfg := test.cfg
			cfg.OnNotification = func(n wsnotify.Notification) { got = append(got, n.MsgType+" "+n.Content) }
			cfg.OnError = func(err error) {
				if name != "SignalR" {
					t.Error(err)
				}
			}
			inBubble(t, cfg, func(w *world) {
				got = nil
				if cfg.Subprotocols != nil {
					w.srv.Subprotocols(cfg.Subprotocols...)
				}
				w.srv.OnMessage(nil)
				if test.key != "" {
					w.must(w.c.Subscribe(test.key))
				}
				connected := make(chan error, 1)
				go func() { connected <- w.c.Connect(w.Context(), w.srv.URL(), "ada") }()
				conn := w.conn()
				said := 0
				for _, line := range test.script {
					text, unasked := strings.CutPrefix(line, "<")
					if !unasked {
						said++
						_, err := w.srv.WaitMessages(w.Context(), "ada", said)
						w.must(err)
					}
					w.must(conn.SendText(text))
				}
				w.must(<-connected)
				if w.pass(time.Second); name == "SignalR" {
					got = nil
					mu.Lock()
					if !slices.Equal(records, []string{`{"type":1}`, `{"type":2}`}) {
						t.Errorf("the records are %q", records)
					}
					mu.Unlock()
				}
				if !slices.Equal(got, test.events) {
					t.Errorf("it came to %q and not %q", got, test.events)
				}
				if sent := w.srv.Messages("ada"); test.key != "" {
					if list := w.c.Subscriptions(); !slices.Contains(sent, test.sends) || list[0].State != wsnotify.SubscriptionActive {
						t.Errorf("it sent %q, and not %q: %+v", sent, test.sends, list)
					}
				}
				if test.beat > 0 {
					before := len(w.srv.Messages("ada"))
					w.pass(test.beat - time.Second)
					if beats := w.srv.Messages("ada")[before:]; !slices.Equal(beats, []string{test.text}) {
						t.Errorf("the heartbeat is %q and not %q", beats, test.text)
					}
				}
			})
		})
	}
	_ = recipeSocketIO
	_ = recipeSlack
	_ = recipeCloud
}
