package wsnotify_test

import (
	"context"
	"encoding/json"
	"log"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// The code of docs/migrating.md that uses this package stands here, so that it
// compiles, and TestMigratingCode compares the two.

var _, _, _ = stayConnected, followOrders, pullMessages

type Order struct{ ID int }

// --- begin
func stayConnected(ctx context.Context, url, token string, handle func([]byte)) error {
	client := wsnotify.New(wsnotify.Config{
		Header:          http.Header{"Authorization": {"Bearer " + token}},
		BackOff:         wsnotify.Exponential(time.Second, 30*time.Second, -1),
		ShouldReconnect: wsnotify.FailFast,
		Heartbeat:       wsnotify.Heartbeat{Interval: 10 * time.Second, NoText: true},
		OnMessage:       func(m wsnotify.Message) { handle(m.Data) },
		OnReconnecting:  func(e wsnotify.ReconnectEvent) { log.Println(e) },
	})
	err := client.Run(ctx, url, "")
	<-client.Done()
	return err
}

// --- end

// --- begin
func followOrders(ctx context.Context, url string, fetchToken func(context.Context) (string, error), handle func(Order)) error {
	client := wsnotify.New(wsnotify.Config{
		Logger: slog.Default(), // logs connections, failures and errors
		BeforeDial: func(ctx context.Context, req *wsnotify.DialRequest) error { // before each attempt
			token, err := fetchToken(ctx)
			if err == nil {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			return err // the attempt fails, and the next one asks again
		},
		BackOff:         wsnotify.Exponential(time.Second, 30*time.Second, -1),
		StableAfter:     time.Minute, // after such a connection the waits begin anew
		ShouldReconnect: wsnotify.RetryOnce(http.StatusUnauthorized),
		Heartbeat:       wsnotify.Heartbeat{Interval: 10 * time.Second, Timeout: 5 * time.Second, NoText: true},
		Subscriptions: wsnotify.Subscriptions{ // on each connection
			Subscribe: func(keys []string, _ func(string) string) (wsnotify.Message, error) {
				text, err := json.Marshal(map[string]any{"type": "subscribe", "channels": keys})
				return wsnotify.Message{Data: text}, err
			},
			Batch: 100, // channels in one message
		},
		Envelope:     wsnotify.Envelope{Type: "type", Content: "payload"}, // {"type": "order", "payload": {…}}
		DrainTimeout: 10 * time.Second,                                    // when ctx ends
	})
	if err := client.Subscribe("orders", "trades"); err != nil {
		return err
	}
	wsnotify.On(client, "order", handle) // a case of the switch
	wsnotify.On(client, "error", func(e struct{ Message string }) { log.Println("the server says:", e.Message) })

	err := client.Run(ctx, url, "")
	<-client.Done()
	return err
}

// --- end

func watched(cfg wsnotify.Config) *wsnotify.Client {
	// --- begin
	var client *wsnotify.Client
	watch := time.AfterFunc(time.Minute, func() { client.Reconnect() })
	watch.Stop() // until there is a connection
	cfg.OnOpen = func(wsnotify.OpenEvent) { watch.Reset(time.Minute) }
	cfg.OnMessage = func(wsnotify.Message) { watch.Reset(time.Minute) }
	cfg.OnClose = func(wsnotify.CloseEvent) { watch.Stop() }
	client = wsnotify.New(cfg)
	// --- end
	return client
}

// --- begin
func pullMessages(ctx context.Context, url string, handle func([]byte)) error {
	client := wsnotify.New(wsnotify.Config{
		BackOff: wsnotify.Exponential(2*time.Second, 30*time.Second, -1),
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return h.SendText(ctx, `{"subscribe": "mail"}`)
		},
		Heartbeat: wsnotify.Heartbeat{Interval: 10 * time.Second, NoText: true},
	})
	messages := client.Messages(ctx) // from here on, nothing is missed
	if err := client.Connect(ctx, url, ""); err != nil {
		return err
	}
	defer client.Disconnect()
	for m := range messages {
		handle(m.Data)
	}
	if err := client.Err(); err != nil {
		return err
	}
	return ctx.Err()
}

// --- end

// followOrders gets a new token and subscribes again on each connection.
func TestFollowOrders(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Envelope("type", "payload")
	ctx, cancel := context.WithCancel(t.Context())
	tokens, orders, ended := 0, make(chan Order), make(chan error, 1)
	go func() {
		ended <- followOrders(ctx, srv.URL()+"ada", func(context.Context) (string, error) {
			tokens++
			return "token " + strconv.Itoa(tokens), nil
		}, func(o Order) { orders <- o })
	}()
	for i := 1; i <= 2; i++ {
		conn, err := srv.NthConn(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.Request().Header.Get("Authorization"); got != "Bearer token "+strconv.Itoa(i) {
			t.Errorf("connection %d has the authorization %q", i, got)
		}
		got, err := srv.WaitMessages(t.Context(), "ada", i)
		if subscribe := `{"channels":["orders","trades"],"type":"subscribe"}`; err != nil || got[i-1] != subscribe {
			t.Errorf("expected %s, got %q, %v", subscribe, got, err)
		}
		srv.Notify("ada", "order", Order{i})
		if got := <-orders; got.ID != i {
			t.Errorf("expected order %d, got %v", i, got)
		}
		if i == 1 {
			conn.Drop()
		}
	}
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("expected %v, got %v", context.Canceled, err)
	}
}

// A server that answers pings and sends nothing is dropped by a timer of the
// user's.
func TestWatchOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := wsnotifytest.NewNetwork(t).NewServer()
		cfg := wsnotify.Config{HTTPClient: srv.HTTPClient()}
		client := watched(cfg)
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		srv.Notify("ada", "mail", "new")
		time.Sleep(59 * time.Second)
		if got := srv.Total(); got != 1 {
			t.Errorf("59 s after a message there are %d connections, and not the first", got)
		}
		time.Sleep(2 * time.Second)
		if got := srv.Total(); got != 2 {
			t.Errorf("61 s after a message there were %d connections, and not two", got)
		}
		client.Disconnect()
		<-client.Done()
	})
}

func TestMigratingCode(t *testing.T) {
	var ours []string
	for _, code := range fences(t, "docs/migrating.md", "go") {
		if strings.Contains(code, "wsnotify.New(") {
			ours = append(ours, code)
		}
	}
	compareCode(t, ours, sourceBlocks(t, "example_migrating_test.go"))
}
