package main

import (
	"context"
	"net"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

type gobwasClient struct {
	mu   sync.Mutex // a frame is two writes
	conn net.Conn
}

func openGobwas(t target, h *handlers) (client, error) {
	dialer := ws.DefaultDialer
	dialer.TLSConfig = t.tls
	if t.calls != nil {
		dialer.NetDial = t.calls.dialContext
	}
	// The reader is nil unless the server speaks right after the handshake,
	// and this one does not.
	conn, _, _, err := dialer.Dial(context.Background(), t.url)
	if err != nil {
		return nil, err
	}
	if h.reads() {
		go func() {
			deliver := h.deliver()
			for {
				p, _, err := wsutil.ReadServerData(conn)
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
	return &gobwasClient{conn: conn}, nil
}

func (c *gobwasClient) send(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return wsutil.WriteClientBinary(c.conn, p)
}

func (c *gobwasClient) enqueue(p []byte) error { return c.send(p) }
func (c *gobwasClient) flush() error           { return nil }
func (c *gobwasClient) close()                 { c.conn.Close() }
