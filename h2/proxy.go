package h2

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"

	"github.com/wsnotify/wsnotify/internal/handshake"
	"golang.org/x/net/proxy"
)

// reach returns a connection to a server, through a proxy if there is one.
func (t *Transport) reach(ctx context.Context, to target) (net.Conn, error) {
	via := to.via
	if via == nil {
		return t.plain(ctx, "tcp", to.addr)
	}
	port := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[via.Scheme]
	if port == "" {
		return nil, fmt.Errorf("h2: the proxy has the scheme %q; it must be http, https, socks5 or socks5h", via.Scheme)
	}
	if p := via.Port(); p != "" {
		port = p
	}
	address := net.JoinHostPort(via.Hostname(), port)
	if via.Scheme == "socks5" || via.Scheme == "socks5h" {
		return t.socks(ctx, via, address, to.addr)
	}
	conn, err := t.plain(ctx, "tcp", address)
	if err != nil {
		return nil, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err} // as net/http has it
	}
	outer := conn
	stop := context.AfterFunc(ctx, func() { outer.Close() })
	defer stop()
	if via.Scheme == "https" {
		config := t.config(address)
		config.NextProtos = []string{"http/1.1"} // in which CONNECT is spoken
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			discard(outer)
			return nil, fmt.Errorf("h2: TLS with the proxy: %w", err)
		}
		conn = secure
	}
	tunnel, err := connect(conn, via, to.addr)
	if err != nil {
		discard(outer)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return tunnel, nil
}

// maxProxyHeader bounds the answer to CONNECT.
const maxProxyHeader = 64 << 10

// connect asks an HTTP proxy for a tunnel to addr. Any 2xx makes one: RFC 9110,
// section 9.3.6.
func connect(conn net.Conn, via *url.URL, addr string) (net.Conn, error) {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if user := via.User; user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return nil, lost(err)
	}
	limited := &io.LimitedReader{R: conn, N: maxProxyHeader}
	r := bufio.NewReader(limited)
	for {
		resp, err := http.ReadResponse(r, req)
		switch {
		case err != nil && limited.N <= 0:
			return nil, fmt.Errorf("h2: the proxy's answer to CONNECT has more than %d bytes of headers", maxProxyHeader)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("h2: the proxy ended the connection instead of answering CONNECT: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return nil, err
		case resp.StatusCode/100 == 1 && resp.StatusCode != http.StatusSwitchingProtocols:
			continue // RFC 9110, section 15.2
		case resp.StatusCode/100 != 2:
			return nil, &handshake.ProxyError{Response: resp}
		}
		if r.Buffered() == 0 {
			return conn, nil
		}
		early, _ := r.Peek(r.Buffered()) // a server may speak first
		return &earlyConn{Conn: conn, early: early}, nil
	}
}

// earlyConn is a tunnel whose first bytes came with the proxy's answer.
type earlyConn struct {
	net.Conn
	early []byte
}

func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.early) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.early)
	c.early = c.early[n:]
	return n, nil
}

// socks asks a SOCKS5 proxy for a connection to addr, whose name the proxy
// resolves: RFC 1928 and 1929.
func (t *Transport) socks(ctx context.Context, via *url.URL, proxyAddr, addr string) (net.Conn, error) {
	var auth *proxy.Auth
	if user := via.User; user != nil {
		password, _ := user.Password()
		auth = &proxy.Auth{User: user.Username(), Password: password}
	}
	d, _ := proxy.SOCKS5("tcp", proxyAddr, auth, forward(t.plain)) // never fails
	conn, err := d.(proxy.ContextDialer).DialContext(ctx, "tcp", addr)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "socks connect" && !handshake.IsNetworkError(op.Err) && !socksNetwork.MatchString(op.Err.Error()) {
		return nil, fmt.Errorf("h2: the SOCKS5 proxy refused the connection: %w", op.Err) // which is no fault of the network
	}
	return conn, err
}

// socksNetwork are the answers of a SOCKS5 proxy that would be errors of the
// network without it: RFC 1928, section 6, 3 to 6.
var socksNetwork = regexp.MustCompile("unreachable|connection refused|TTL expired")

// forward is what the SOCKS5 client of x/net dials the proxy with.
type forward dialFunc

func (f forward) Dial(network, addr string) (net.Conn, error) {
	return f(context.Background(), network, addr)
}

func (f forward) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return f(ctx, network, addr)
}
