//go:build !race

package wsnotify_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
)

func TestSendingAllocatesNothing(t *testing.T) {
	harness.NeedsSystem(t)
	url := rawServer(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	c := wsnotify.New(wsnotify.Config{CloseTimeout: -1})
	ctx := deadline(t)
	if err := c.Connect(ctx, url, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { c.Disconnect(); <-c.Done() }()
	data, large := make([]byte, 64), make([]byte, 4096)
	withDeadline, cancel := context.WithCancel(ctx)
	defer cancel()
	for name, send := range map[string]func() error{
		"Send":            func() error { return c.Send(context.Background(), wsnotify.MessageBinary, data) },
		"Send with a ctx": func() error { return c.Send(withDeadline, wsnotify.MessageBinary, data) },
		"Enqueue":         func() error { return c.Enqueue(wsnotify.MessageBinary, data) },
		"Enqueue, large":  func() error { return c.Enqueue(wsnotify.MessageBinary, large) },
	} {
		got := testing.AllocsPerRun(2000, func() {
			for send() != nil {
				c.Flush(ctx)
			}
		})
		if got > 0.5 {
			t.Errorf("%s: %v allocations a message", name, got)
		}
		if err := c.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestANotificationTakesTwoAllocations(t *testing.T) {
	const messages = 20_000
	text := `{"msgType":"order","content":"Your order 1234567 has been shipped and will arrive tomorrow","id":12345,"ts":1700000}`
	frame := append([]byte{0x81, byte(len(text))}, text...)
	begin := make(chan struct{})
	url := rawServer(t, func(conn net.Conn) {
		batch := []byte{}
		for range 100 {
			batch = append(batch, frame...)
		}
		<-begin
		for range messages / 100 {
			conn.Write(batch)
		}
		io.Copy(io.Discard, conn)
	})
	seen, all := 0, make(chan struct{})
	c := wsnotify.New(wsnotify.Config{CloseTimeout: -1, OnNotification: func(wsnotify.Notification) {
		if seen++; seen == messages {
			close(all)
		}
	}})
	if err := c.Connect(deadline(t), url, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { c.Disconnect(); <-c.Done() }()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	close(begin)
	<-all
	runtime.ReadMemStats(&after)
	if got := float64(after.Mallocs-before.Mallocs) / messages; got > 2.1 {
		t.Errorf("%.2f allocations a notification", got)
	}
}
