package main

import (
	"context"
	"net"

	"github.com/lxzan/gws"
)

type gwsClient struct{ conn *gws.Conn }

// gwsEvents receives on the goroutine of ReadLoop.
type gwsEvents struct {
	gws.BuiltinEventHandler
	deliver func([]byte)
	keeps   bool
}

func (e *gwsEvents) OnMessage(_ *gws.Conn, message *gws.Message) {
	e.deliver(message.Bytes())
	if !e.keeps {
		message.Close()
	}
}

// gwsDialer is the interface that the library takes its dialer as.
type gwsDialer struct{ calls *calls }

func (d gwsDialer) Dial(network, addr string) (net.Conn, error) {
	return d.calls.dialContext(context.Background(), network, addr)
}

func openGws(t target, h *handlers) (client, error) {
	option := &gws.ClientOption{Addr: t.url, TlsConfig: t.tls}
	if h.deflate != plain {
		option.PermessageDeflate = gws.PermessageDeflate{
			Enabled: true, Threshold: 1, ServerContextTakeover: h.deflate == takeover, ClientContextTakeover: h.deflate == takeover,
			ServerMaxWindowBits: h.window, ClientMaxWindowBits: h.window,
		}
	}
	if t.calls != nil {
		option.NewDialer = func() (gws.Dialer, error) { return gwsDialer{t.calls}, nil }
	}
	conn, _, err := gws.NewClient(&gwsEvents{deliver: h.deliver(), keeps: h.keeps}, option)
	if err != nil {
		return nil, err
	}
	if h.reads() {
		go func() {
			conn.ReadLoop()
			if h.ended != nil {
				h.ended()
			}
		}()
	}
	return &gwsClient{conn}, nil
}

func (c *gwsClient) send(p []byte) error    { return c.conn.WriteMessage(gws.OpcodeBinary, p) }
func (c *gwsClient) enqueue(p []byte) error { return c.send(p) }
func (c *gwsClient) flush() error           { return nil }
func (c *gwsClient) close()                 { c.conn.NetConn().Close() }
