package wsnotify_test

import (
	"context"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// A connection that is lost while Subscribe makes its message ends like any
// other: the message must not wait for a writer that has ended.
func TestConnectionLostWhileSubscribeRuns(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: joins()}
	join, atSubscribe := cfg.Subscriptions.Subscribe, func() {}
	cfg.Subscriptions.Subscribe = func(keys []string, position func(string) string) (wsnotify.Message, error) {
		atSubscribe()
		return join(keys, position)
	}
	inBubble(t, cfg, func(w *world) {
		running, lost := make(chan struct{}, 10), make(chan struct{}) // of the bubble
		atSubscribe = func() { running <- struct{}{}; <-lost }
		w.must(w.c.Subscribe("a"))
		conn := w.connect()
		<-running
		conn.Drop()
		w.must(w.c.WaitFor(context.Background(), wsnotify.Closed))
		close(lost)
		w.pass(time.Minute)
		w.wantOn(w.conn(), "join a")
		w.must(w.c.Disconnect())
	})
}
