package main

import (
	"sync"

	"github.com/gorilla/websocket"
)

type gorillaClient struct {
	mu   sync.Mutex // "Applications are responsible for ensuring that no more than one goroutine calls the write methods"
	conn *websocket.Conn
}

func openGorilla(t target, h *handlers) (client, error) {
	dialer := *websocket.DefaultDialer
	dialer.TLSClientConfig = t.tls
	dialer.EnableCompression = h.deflate != plain
	if t.calls != nil {
		dialer.NetDialContext = t.calls.dialContext
	}
	conn, _, err := dialer.Dial(t.url, nil)
	if err != nil {
		return nil, err
	}
	if h.reads() {
		go func() {
			deliver := h.deliver()
			for {
				_, p, err := conn.ReadMessage()
				if err != nil {
					break
				}
				deliver(p)
			}
			if h.ended != nil {
				h.ended()
			}
		}()
	}
	return &gorillaClient{conn: conn}, nil
}

func (c *gorillaClient) send(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.WriteMessage(websocket.BinaryMessage, p)
}

func (c *gorillaClient) enqueue(p []byte) error { return c.send(p) }
func (c *gorillaClient) flush() error           { return nil }
func (c *gorillaClient) close()                 { c.conn.Close() }
