package main

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
)

type wsnotifyClient struct{ c *wsnotify.Client }

func openWsnotify(t target, h *handlers) (client, error) {
	cfg := wsnotify.Config{HTTPClient: httpClient(t), Inbox: wsnotify.Inbox{Reuse: h.reuse}}
	switch h.deflate {
	case takeover:
		cfg.Compression, cfg.CompressionWindow = wsnotify.CompressionContextTakeover, h.window
	case alone:
		cfg.Compression = wsnotify.CompressionNoContextTakeover
	}
	if h.raw != nil {
		cfg.OnMessage = func(m wsnotify.Message) { h.raw(m.Data) }
	}
	if h.notification != nil {
		cfg.OnNotification = func(n wsnotify.Notification) { h.notification(n.MsgType, n.Content) }
	}
	if h.resume {
		cfg.Resume = wsnotify.Resume{Position: wsnotify.PositionField("seq"), Order: wsnotify.PositionConsecutive}
	}
	if h.opened != nil {
		cfg.OnOpen = func(wsnotify.OpenEvent) { h.opened() }
		cfg.BackOff = func() wsnotify.BackOff { return backoff.NewConstantBackOff(0) }
	}
	c := wsnotify.New(cfg)
	if h.order != nil {
		wsnotify.On(c, orderType, h.order)
	}
	if h.orderOnce != nil {
		wsnotify.On(c, orderType, h.orderOnce)
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := c.Connect(ctx, t.url, ""); err != nil {
		return nil, err
	}
	return &wsnotifyClient{c}, nil
}

// openHerd is a client that comes back forever, as many do at once.
func openHerd(url string) (client, error) {
	c := wsnotify.New(wsnotify.Config{BackOff: wsnotify.Exponential(0, 0, -1)})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return &wsnotifyClient{c}, c.Connect(ctx, url, "")
}

func (c *wsnotifyClient) send(p []byte) error {
	return c.c.Send(context.Background(), wsnotify.MessageBinary, p)
}

// enqueue waits a little while the outbox is full, as a peer's write call
// waits for the socket. To spin here would take the CPU from the writer.
func (c *wsnotifyClient) enqueue(p []byte) error {
	for {
		err := c.c.Enqueue(wsnotify.MessageBinary, p)
		if !errors.Is(err, wsnotify.ErrOutboxFull) {
			return err
		}
		time.Sleep(50 * time.Microsecond)
	}
}

func (c *wsnotifyClient) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	return c.c.Flush(ctx)
}

func (c *wsnotifyClient) close() {
	c.c.Disconnect()
	<-c.c.Done()
}
