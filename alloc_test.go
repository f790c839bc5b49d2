//go:build !race

package wsnotify_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"

	"github.com/wsnotify/wsnotify"
)

// rawServer upgrades every connection and hands it to f, without allocating
// anything meanwhile.
func rawServer(t testing.TB, f func(net.Conn)) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
				fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
					"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
				f(conn)
			}()
		}
	}()
	return "ws://" + l.Addr().String() + "/"
}

func TestSendingAllocatesNothing(t *testing.T) {
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
