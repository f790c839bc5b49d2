package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/wsnotify/wsnotify"
)

// order is the content of a notification of that type.
type order struct {
	ID   int    `json:"id"`
	Item string `json:"item"`
}

// orders works on orders and sends a receipt for each.
type orders struct {
	client *wsnotify.Client
	log    *slog.Logger

	mu       sync.Mutex
	stopping bool
	work     sync.WaitGroup
}

// take runs on the client's goroutine of callbacks, which the work must not
// hold up. An order that comes when the service is ending gets no receipt, and
// so the server gives it to somebody else.
func (o *orders) take(order order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopping {
		return
	}
	o.work.Go(func() {
		o.log.Info("working", "order", order.ID, "item", order.Item)
		time.Sleep(300 * time.Millisecond) // the work
		// Enqueue and not Send: the receipt may wait for the next connection.
		err := o.client.Enqueue(wsnotify.MessageText, fmt.Appendf(nil, `{"done":%d}`, order.ID))
		if err != nil {
			o.log.Error("receipt not sent", "order", order.ID, "err", err)
		}
	})
}

// stop takes no more orders, and waits for those that were taken, until ctx ends.
// Drain can't: they are worked on outside of the callbacks.
func (o *orders) stop(ctx context.Context) {
	o.mu.Lock()
	o.stopping = true
	o.mu.Unlock()
	done := make(chan struct{})
	go func() { o.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		o.log.Warn("some orders are not done")
	}
}
