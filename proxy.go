//go:build !js

package wsnotify

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
)

// net/http asks a proxy to CONNECT for https alone, and sends it the request
// itself for http. A proxy then takes Upgrade off, as a field that is for one
// hop, and the server sees no WebSocket. RFC 6455, section 4.1, wants a tunnel
// for both; this file makes the one that net/http does not.

// tunnelled lets t reach servers through its HTTP proxy by CONNECT only. It
// returns dial, or a dial that makes the tunnel.
func (d *dialing) tunnelled(t *http.Transport, dial dialFunc) dialFunc {
	t.OnProxyConnectResponse = checkProxy(t.OnProxyConnectResponse)
	if t.Proxy == nil {
		return dial
	}
	var proxy *url.URL // of the only request that t makes; net/http asks before it dials
	find := t.Proxy
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		u, err := find(r)
		if err != nil || u == nil || r.URL.Scheme != "http" || u.Scheme != "http" && u.Scheme != "https" {
			return u, err
		}
		proxy = u
		return nil, nil
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if proxy == nil {
			return dial(ctx, network, addr)
		}
		secure := proxy.Scheme == "https"
		dial := dial
		if secure && t.DialTLSContext != nil {
			dial, secure = t.DialTLSContext, false
		}
		conn, err := dial(ctx, network, proxyAddress(proxy))
		if err != nil {
			return nil, &net.OpError{Op: "proxyconnect", Net: network, Err: err} // as net/http has it
		}
		stop := context.AfterFunc(d.ctx, func() { conn.Close() })
		defer stop()
		through := conn
		if secure {
			through, err = secured(d.ctx, t.TLSClientConfig, proxy.Hostname(), conn)
		}
		if err == nil {
			err = connect(d.ctx, t, proxy, through, addr)
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
		return through, nil
	}
}

// secured makes a TLS connection to a proxy.
func secured(ctx context.Context, config *tls.Config, host string, conn net.Conn) (net.Conn, error) {
	config = config.Clone()
	config.NextProtos = nil // CONNECT is spoken in HTTP/1.1
	if config.ServerName == "" {
		config.ServerName = host
	}
	secure := tls.Client(conn, config)
	return secure, secure.HandshakeContext(ctx)
}

// connect asks a proxy for a tunnel to addr.
func connect(ctx context.Context, t *http.Transport, proxy *url.URL, conn net.Conn, addr string) error {
	header := t.ProxyConnectHeader.Clone()
	if t.GetProxyConnectHeader != nil {
		var err error
		if header, err = t.GetProxyConnectHeader(ctx, proxy, addr); err != nil {
			return err
		}
		header = header.Clone()
	}
	if header == nil {
		header = http.Header{}
	}
	if user := proxy.User; user != nil && header.Get("Proxy-Authorization") == "" {
		password, _ := user.Password()
		header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: header}
	if err := req.Write(conn); err != nil {
		return err
	}
	// The server does not speak first, so nothing is read past the response.
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, t.MaxResponseHeaderBytes)), req)
	if err != nil {
		return err
	}
	return t.OnProxyConnectResponse(ctx, proxy, req, resp)
}

func proxyAddress(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// checkProxy returns an http.Transport.OnProxyConnectResponse that keeps what
// a proxy answered, of which net/http shows only the text.
func checkProxy(also func(context.Context, *url.URL, *http.Request, *http.Response) error) func(context.Context, *url.URL, *http.Request, *http.Response) error {
	return func(ctx context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
		if also != nil {
			if err := also(ctx, proxy, req, resp); err != nil {
				return err
			}
		}
		if resp.StatusCode != http.StatusOK {
			return &proxyError{resp, &HandshakeError{
				StatusCode: resp.StatusCode, Header: resp.Header, Err: errors.New("the proxy made no tunnel"),
			}}
		}
		return nil
	}
}
