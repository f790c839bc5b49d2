package wsnotify_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// A client that is done may be used again anywhere: a program often has one in
// a package variable, and its tests use that in one bubble of synctest after
// another. A channel or timer of an earlier bubble would end the whole test binary.
func TestClientOfEarlierBubbles(t *testing.T) {
	var dial func(ctx context.Context, network, addr string) (net.Conn, error)
	var release chan struct{} // of the bubble
	cfg := wsnotify.Config{
		HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) { return dial(ctx, network, addr) },
		}},
		Outbox:         wsnotify.Outbox{MaxAge: time.Minute, ConfirmID: func(m wsnotify.Message) string { return string(m.Data) }},
		Inbox:          wsnotify.Inbox{Messages: 1},
		Heartbeat:      wsnotify.Heartbeat{TextFunc: func() string { return "beat" }},
		OnNotification: func(n wsnotify.Notification) { <-release; time.Sleep(time.Second) },
	}
	client := wsnotify.New(cfg)
	client.Enqueue(wsnotify.MessageText, []byte("before"))
	use := func(t *testing.T, end func(ctx context.Context, conn *wsnotifytest.Conn) error) {
		synctest.Test(t, func(t *testing.T) {
			release = make(chan struct{}, 99)
			n := wsnotifytest.NewNetwork(t)
			srv := n.NewServer()
			dial = n.DialContext
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			waits := make(chan error, 2)
			go func() { waits <- client.WaitFor(ctx, wsnotify.Open) }()
			go func() { waits <- client.WaitFor(ctx, wsnotify.Closing) }()
			synctest.Wait()
			go func() {
				for range client.Messages(ctx) {
				}
			}()
			if err := client.Connect(ctx, srv.URL(), "ada"); err != nil {
				t.Fatal(err)
			}
			conn, err := srv.Conn(ctx, "ada")
			if err != nil {
				t.Fatal(err)
			}
			client.Enqueue(wsnotify.MessageText, []byte("hello"))
			short, cancelShort := context.WithTimeout(ctx, time.Second)
			defer cancelShort()
			client.Flush(short)
			client.Ping(short)
			client.Request(short, "1", wsnotify.MessageText, []byte(`{"id":"1"}`))
			for range 5 { // the reader waits for capacity
				conn.SendText(`{"msgType":"a","content":"1"}`)
			}
			time.Sleep(time.Minute)
			for range 9 {
				release <- struct{}{}
			}
			end(short, conn)
			client.Disconnect()
			<-client.Done()
			<-waits
			<-waits
		})
	}
	for range 2 {
		use(t, func(context.Context, *wsnotifytest.Conn) error { return nil })
		use(t, func(ctx context.Context, _ *wsnotifytest.Conn) error { return client.Drain(ctx) })
		use(t, func(_ context.Context, conn *wsnotifytest.Conn) error { conn.Drop(); return nil })
		use(t, func(context.Context, *wsnotifytest.Conn) error { return client.Reconnect() })
		// And outside of any.
		short, cancel := context.WithCancel(t.Context())
		cancel()
		<-client.Done()
		if err := client.Err(); err != nil {
			t.Error(err)
		}
		client.WaitFor(t.Context(), wsnotify.Open)
		client.Drain(short)
		client.Reconnect()
		client.Ping(t.Context())
		client.Status()
		client.Disconnect()
		client.Enqueue(wsnotify.MessageText, []byte("between"))
	}
}

func TestClientOfThePackageInAnotherBubble(t *testing.T) {
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			n := wsnotifytest.NewNetwork(t)
			srv := n.NewServer()
			globalDial = n.HTTPClient().Transport.(*http.Transport).DialContext
			srv.OnMessage(func(conn *wsnotifytest.Conn, _ byte, data []byte) {
				if keys, ok := strings.CutPrefix(string(data), "join "); ok {
					conn.SendText("ok " + keys)
				}
			})
			global.Subscribe("a", "b", "c")
			global.SetPosition("", "5")
			if err := global.Connect(t.Context(), srv.URL(), "ada"); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				global.Enqueue(wsnotify.MessageText, []byte("x"))
				conn, err := srv.Conn(t.Context(), "ada")
				if err != nil {
					t.Fatal(err)
				}
				conn.SendText(event(6 + i))
				time.Sleep(10 * time.Second)
				srv.DropAll()
				time.Sleep(20 * time.Second)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			global.SendText(ctx, "y")
			global.SendText(ctx, "y")
			cancel()
			for _, s := range global.Subscriptions() {
				if s.State != wsnotify.SubscriptionActive {
					t.Errorf("%+v", s)
				}
			}
			global.Enqueue(wsnotify.MessageText, []byte("x"))
			global.Disconnect()
			<-global.Done()
		})
	}
}

// global is used in one bubble after another.
var global = wsnotify.New(func() wsnotify.Config {
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: confirmed(joins()), Resume: bySeq(), HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return globalDial(ctx, network, addr)
	}}}}
	cfg.Resume.Store = &memoryStore{}
	cfg.Outbox.Limiter, cfg.DialLimiter = &oneEach{interval: time.Second}, &oneEach{interval: time.Second}
	return cfg
}())

var globalDial func(ctx context.Context, network, addr string) (net.Conn, error)
