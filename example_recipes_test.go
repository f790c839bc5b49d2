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

// --- end

func recipeGraphQL(subscription func() string) wsnotify.Config {
	// --- begin
	cfg := wsnotify.Config{
		Subprotocols: []string{"graphql-transport-ws"},
		Envelope:     wsnotify.Envelope{Type: "type", Content: "payload"},
		Heartbeat: wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
			return `{"type":"pong"}`, string(m.Data) == `{"type":"ping"}`
		}},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			if err := ask(ctx, h, `{"type":"connection_init"}`, `"connection_ack"`); err != nil {
				return err
			}
			return h.SendMessage(ctx, subscription()) // {"id":"1","type":"subscribe","payload":{"query":…}}
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
	cfg := wsnotify.Config{
		Envelope: wsnotify.Envelope{Parse: parsePush}, // {"push":{"channel":…,"pub":{"data":…,"offset":7}}}
		Heartbeat: wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
			return "{}", string(m.Data) == "{}"
		}},
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			if err := ask(ctx, h, `{"id":1,"connect":{"token":"…"}}`, `"connect"`); err != nil {
				return err
			}
			return ask(ctx, h, `{"id":2,"subscribe":{"channel":"news"}}`, `"subscribe"`)
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
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return ask(ctx, h, `["1","1","room:lobby","phx_join",{}]`, `"status":"ok"`)
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
			connect := "CONNECT\naccept-version:1.2\nhost:example.com\nheart-beat:10000,10000\n\n\x00"
			if err := ask(ctx, h, connect, "CONNECTED"); err != nil {
				return err
			}
			return h.SendMessage(ctx, "SUBSCRIBE\nid:0\ndestination:/topic/news\n\n\x00")
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
	}{
		"GraphQL": {recipeGraphQL(func() string { return "subscribe" }),
			[]string{`{"type":"connection_ack"}`, `{"id":"1","type":"next","payload":{"data":1}}`}, []string{`next {"data":1}`}, 0, ""},
		"JSON-RPC": {recipeJSONRPC(), []string{`{"jsonrpc":"2.0","id":0,"result":"0x1"}`,
			`<{"jsonrpc":"2.0","method":"eth_subscription","params":{"result":1}}`}, []string{`eth_subscription {"result":1}`}, 0, ""},
		"gateway": {recipeGateway(&seen, 20*time.Second, func() string { return "identify" }),
			[]string{`<{"op":10,"d":{"heartbeat_interval":20000}}`, `{"op":0,"t":"READY","s":1,"d":{}}`, `<{"op":11}`},
			[]string{"READY {}"}, 20 * time.Second, `{"op":1,"d":0}`},
		"Phoenix": {recipePhoenix(&interval), []string{`["1","1","room:lobby","phx_reply",{"status":"ok","response":{}}]`,
			`<["1",null,"room:lobby","new_msg",{"body":"hi"}]`}, []string{`new_msg {"body":"hi"}`}, 30 * time.Second,
			`[null,"beat-1","phoenix","heartbeat",{}]`},
		"STOMP": {recipeSTOMP(), []string{"CONNECTED\nversion:1.2\nheart-beat:10000,10000\n\n\x00",
			"MESSAGE\nsubscription:0\nmessage-id:7\ndestination:/topic/news\n\nhello\x00", "<\n"}, []string{"MESSAGE hello"}, 10 * time.Second, "\n"},
		"SignalR": {recipeSignalR(func(r []byte) { mu.Lock(); records = append(records, string(r)); mu.Unlock() }),
			[]string{"{}\x1e", "<{\"type\":1}\x1e{\"type\":2}\x1e", "<{\"type\":6}\x1e"}, nil, 15 * time.Second, "{\"type\":6}\x1e"},
		"Home Assistant": {recipeHomeAssistant("secret"), []string{`<{"type":"auth_required"}`, `{"type":"auth_ok"}`,
			`{"id":1,"type":"result","success":true,"result":null}`, `<{"id":1,"type":"event","event":{"n":1}}`}, []string{`event {"n":1}`}, 0, ""},
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
	_ = recipeCentrifugo
	_ = recipeSlack
	_ = recipeCloud
}
