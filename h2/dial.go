package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// dial makes a connection and waits until the server has said what it can do.
func (t *Transport) dial(ctx context.Context, p *pool) (*conn, error) {
	raw, err := t.reach(ctx, p.target)
	if err != nil {
		return nil, err
	}
	return t.begin(ctx, p, raw)
}

// discard closes a connection that is of no use. It does not wait, since the Close of a
// user's net.Conn may, and why it is of no use is to be known before.
func discard(conn net.Conn) { go conn.Close() }

// begin does the handshakes of TLS and HTTP/2. It leaves nothing open after an
// error.
func (t *Transport) begin(ctx context.Context, p *pool, raw net.Conn) (*conn, error) {
	nc := raw
	var state *tls.ConnectionState
	if p.target.secure {
		secure, err := t.secure(ctx, raw, p.target.addr)
		if err != nil {
			discard(raw)
			return nil, err
		}
		s := secure.ConnectionState()
		nc, state = secure, &s
		if chosen := s.NegotiatedProtocol; chosen != "h2" {
			discard(raw)
			if chosen == "" {
				return nil, &unsupportedError{"the server chose no protocol by ALPN, so it speaks HTTP/1.1"}
			}
			return nil, &unsupportedError{fmt.Sprintf("the server chose %q by ALPN, and not h2", chosen)}
		}
	}
	c := newConn(t, p, raw, nc, state)
	select {
	case <-c.settled:
	case <-ctx.Done():
		c.fail(lost(ctx.Err()))
		return nil, ctx.Err()
	}
	c.mu.Lock()
	err, connects := c.err, c.peer.connect
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if !connects {
		c.fail(errRetired)
		return nil, &unsupportedError{"the server speaks HTTP/2 without extended CONNECT (SETTINGS_ENABLE_CONNECT_PROTOCOL is not 1)"}
	}
	return c, nil
}

// secure makes a TLS connection to a server that may speak HTTP/2.
func (t *Transport) secure(ctx context.Context, raw net.Conn, addr string) (*tls.Conn, error) {
	config := t.config(addr)
	if !slices.Contains(config.NextProtos, "h2") {
		if len(config.NextProtos) == 0 {
			config.NextProtos = []string{"http/1.1"} // a server without h2 is to say so, and not to fail
		}
		config.NextProtos = slices.Insert(slices.Clone(config.NextProtos), 0, "h2")
	}
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secure, nil
}

// config is a copy of the user's, for one connection.
func (t *Transport) config(addr string) *tls.Config {
	config := t.TLSClientConfig.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	// What is sent comes in batches, whose records may be full at once.
	config.DynamicRecordSizingDisabled = true
	return config
}

// plain makes a connection by the user's function.
func (t *Transport) plain(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := t.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, network, addr)
	if err == nil && conn == nil {
		err = errors.New("h2: Transport.DialContext returned neither a connection nor an error")
	}
	return conn, err
}
