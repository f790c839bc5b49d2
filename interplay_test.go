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

// Every method may be called in the Subscribe function and in Confirm.
func TestMethodsInSubscribeFunctions(t *testing.T) {
	for name, f := range map[string]func(*wsnotify.Client){
		"Disconnect":  func(c *wsnotify.Client) { c.Disconnect() },
		"Subscribe":   func(c *wsnotify.Client) { c.Subscribe("other") },
		"Unsubscribe": func(c *wsnotify.Client) { c.Unsubscribe("a") },
		"Reconnect":   func(c *wsnotify.Client) { c.Reconnect() },
		"Enqueue":     func(c *wsnotify.Client) { c.Enqueue(wsnotify.MessageText, []byte("x")) },
		"Drain":       func(c *wsnotify.Client) { c.Drain(context.Background()) },
		"Status":      func(c *wsnotify.Client) { c.Status(); c.Subscriptions() },
		"SetPosition": func(c *wsnotify.Client) { c.SetPosition("a", "7") },
		"Connect": func(c *wsnotify.Client) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			c.Connect(ctx, "ws://nowhere.test", "")
		},
		"Send": func(c *wsnotify.Client) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			c.SendText(ctx, "x")
		},
	} {
		for _, where := range []string{"Subscribe", "Confirm", "Unsubscribe", "OnGap", "Position"} {
			t.Run(name+" in "+where, func(t *testing.T) {
				calls := 0
				var c *wsnotify.Client
				call := func(here string) {
					if here == where {
						if calls++; calls == 1 {
							f(c)
						}
					}
				}
				cfg := wsnotify.Config{Heartbeat: noText, CloseTimeout: time.Second, Subscriptions: confirmed(joins()), Resume: bySeq()}
				s, u, cf := cfg.Subscriptions.Subscribe, cfg.Subscriptions.Unsubscribe, cfg.Subscriptions.Confirm
				cfg.Subscriptions.Subscribe = func(keys []string, p func(string) string) (wsnotify.Message, error) {
					call("Subscribe")
					return s(keys, p)
				}
				cfg.Subscriptions.Unsubscribe = func(keys []string) (wsnotify.Message, error) { call("Unsubscribe"); return u(keys) }
				cfg.Subscriptions.Confirm = func(m wsnotify.Message) ([]string, error) { call("Confirm"); return cf(m) }
				cfg.Resume.OnGap = func(wsnotify.Gap) { call("OnGap") }
				p := cfg.Resume.Position
				cfg.Resume.Position = func(m wsnotify.Message) (string, string) {
					if where == "Position" && (name == "Status" || name == "SetPosition" || name == "Enqueue" || name == "Subscribe") {
						call("Position")
					}
					return p(m)
				}
				inBubble(t, cfg, func(w *world) {
					c = w.c
					w.srv.OnMessage(func(conn *wsnotifytest.Conn, _ byte, data []byte) {
						if keys, ok := strings.CutPrefix(string(data), "join "); ok {
							conn.SendText("ok " + keys)
						}
					})
					w.must(w.c.Subscribe("a", "b", "c"))
					w.must(w.c.Connect(w.Context(), w.srv.URL(), "ada"))
					w.pass(time.Minute)
					w.c.Unsubscribe("b")
					synctest.Wait()
					if w.c.IsConnected() {
						cn := w.conn()
						cn.SendText(event(1))
						cn.SendText(event(3))
					}
					w.pass(time.Minute)
					w.must(w.c.Disconnect())
					w.must(w.c.Unsubscribe("other"))
					ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
					defer cancel()
					w.must(w.c.Connect(ctx, w.srv.URL(), "ada"))
					w.pass(time.Minute)
					for _, s := range w.c.Subscriptions() {
						if s.State != wsnotify.SubscriptionActive {
							t.Errorf("%+v", s)
						}
					}
				})
			})
		}
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
