// Package observetest has the clients whose metrics the tests of prom and otel check.
package observetest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// life runs a client of cfg in virtual time, connected to srv, from before Connect to Done.
func life(t *testing.T, cfg wsnotify.Config, observe func(*wsnotify.Client), f func(c *wsnotify.Client, srv *wsnotifytest.Server)) {
	net := wsnotifytest.NewNetwork(t)
	srv := net.NewServer()
	cfg.HTTPClient = net.HTTPClient()
	c := wsnotify.New(cfg)
	observe(c)
	f(c, srv)
	c.Close()
	<-c.Done()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Connect connects c as ada.
func Connect(t *testing.T, c *wsnotify.Client, srv *wsnotifytest.Server) {
	t.Helper()
	must(t, c.Connect(t.Context(), srv.URL(), "ada"))
}

// Exchange connects c as ada, has it send 4 bytes and the server 3, and waits for a beat.
func Exchange(t *testing.T, c *wsnotify.Client, srv *wsnotifytest.Server) {
	t.Helper()
	Connect(t, c, srv)
	must(t, c.SendMessage(t.Context(), "four"))
	must(t, srv.SendText("ada", "[1]"))
	time.Sleep(10 * time.Second)
	synctest.Wait()
}

// Inbox calls during when a callback has been running for 30 s, with another message
// behind it, after a notification that nobody handles; and after once both are done.
func Inbox(t *testing.T, observe func(*wsnotify.Client), during, after func()) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		life(t, wsnotify.Config{}, observe, func(c *wsnotify.Client, srv *wsnotifytest.Server) {
			wsnotify.On(c, "slow", func(string) { <-release })
			Connect(t, c, srv)
			for _, msgType := range []string{"nobody's", "slow", "slow"} {
				must(t, srv.Notify("ada", msgType, "x"))
			}
			time.Sleep(30 * time.Second)
			synctest.Wait()
			during()
			close(release)
			synctest.Wait()
			after()
		})
	})
}

// Streams calls during when the first of three keys is subscribed, and the second waits
// for the limiter; and after once two are active, one is refused, seven messages came
// again and two numbers of the stream are missing.
func Streams(t *testing.T, observe func(*wsnotify.Client), during, after func()) {
	cfg := wsnotify.Config{
		Resume: wsnotify.Resume{Position: wsnotify.PositionField("seq"), Order: wsnotify.PositionConsecutive},
		Subscriptions: wsnotify.Subscriptions{
			Subscribe: func(keys []string, _ func(string) string) (wsnotify.Message, error) {
				return wsnotify.Message{Data: []byte(keys[0])}, nil
			},
			Confirm: func(m wsnotify.Message) ([]string, error) {
				switch key := string(m.Data); key {
				case "a", "b":
					return []string{key}, nil
				case "no":
					return []string{key}, errors.New("forbidden")
				}
				return nil, nil
			},
		},
	}
	synctest.Test(t, func(t *testing.T) {
		cfg.Outbox.Limiter = new(everyMinute)
		life(t, cfg, observe, func(c *wsnotify.Client, srv *wsnotifytest.Server) {
			srv.OnMessage(func(conn *wsnotifytest.Conn, _ byte, data []byte) {
				for _, text := range []string{string(data), `{"seq":1}`, `{"seq":1}`, `{"seq":4}`} {
					if string(data) != "ping" {
						conn.SendText(text)
					}
				}
			})
			must(t, c.Subscribe("a", "no", "b"))
			Connect(t, c, srv)
			synctest.Wait()
			during()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			after()
		})
	})
}

// everyMinute is a Limiter: the first goes at once.
type everyMinute struct{ next time.Time }

func (l *everyMinute) Wait(ctx context.Context) error {
	wait := time.Until(l.next)
	l.next = time.Now().Add(max(wait, 0) + time.Minute)
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
