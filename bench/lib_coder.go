package main

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// coderClient uses a context that can't be cancelled, which is the faster way:
// one with a deadline costs 1 µs a message read and 2 µs a message written.
type coderClient struct{ conn *websocket.Conn }

func openCoder(t target, h *handlers) (client, error) {
	options := &websocket.DialOptions{HTTPClient: httpClient(t)}
	switch h.deflate {
	case takeover:
		options.CompressionMode, options.CompressionThreshold = websocket.CompressionContextTakeover, 1
	case alone:
		options.CompressionMode, options.CompressionThreshold = websocket.CompressionNoContextTakeover, 1
	}
	conn, _, err := websocket.Dial(context.Background(), t.url, options)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(1 << 20) // its default is too small for the largest work
	if h.reads() {
		go func() {
			deliver := h.deliver()
			for {
				_, p, err := conn.Read(context.Background())
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
	if h.beats {
		go beat(conn)
	}
	return &coderClient{conn}, nil
}

// beat is the heartbeat that a user of coder/websocket writes himself.
func beat(conn *websocket.Conn) {
	for range time.Tick(6 * time.Second) {
		ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
		err := conn.Write(ctx, websocket.MessageText, []byte("ping"))
		if err == nil {
			err = conn.Ping(ctx)
		}
		cancel()
		if err != nil {
			conn.CloseNow()
			return
		}
	}
}

func (c *coderClient) send(p []byte) error {
	return c.conn.Write(context.Background(), websocket.MessageBinary, p)
}

func (c *coderClient) enqueue(p []byte) error { return c.send(p) }
func (c *coderClient) flush() error           { return nil }
func (c *coderClient) close()                 { c.conn.CloseNow() }

// httpClient is how coder/websocket and ours are given a dialer. Nil, where
// there is nothing to give, means their default.
func httpClient(t target) *http.Client {
	if t.tls == nil && t.calls == nil {
		return nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = t.tls
	if t.calls != nil {
		transport.DialContext = t.calls.dialContext
	}
	return &http.Client{Transport: transport}
}
