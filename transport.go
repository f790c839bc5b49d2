//go:build !js

package wsnotify

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"

	"github.com/coder/websocket"
	"github.com/wsnotify/wsnotify/internal/transport"
)

// dialing is one handshake under way. It is the http.RoundTripper that the
// transport makes its request with.
type dialing struct {
	ctx      context.Context
	base     http.RoundTripper
	sock     *transport.Socket
	upgraded *transport.Upgraded  // once there is a 101
	answered func(*http.Response) // a response has come
	location []string             // of a redirect
}

// dial opens a connection. The response, if one came, is returned with either.
func dial(ctx context.Context, cfg *Config, opts transport.Options, req *DialRequest, sock *transport.Socket, answered func(*http.Response)) (transport.Conn, *http.Response, error) {
	base := http.DefaultTransport
	var jar http.CookieJar
	if c := cfg.HTTPClient; c != nil {
		jar = c.Jar
		if c.Transport != nil {
			base = c.Transport
		}
		if c.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.Timeout)
			defer cancel()
		}
	}
	d := &dialing{ctx: ctx, base: base, sock: sock, answered: answered}
	if t, ok := base.(*http.Transport); ok {
		d.base = d.transport(t)
	}
	header := req.Header.Clone()
	host := header.Get("Host")
	header.Del("Host")
	ws, resp, err := websocket.Dial(ctx, req.URL.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport:     d,
			Jar:           jar,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		HTTPHeader:      header,
		Host:            host,
		Subprotocols:    cfg.Subprotocols,
		CompressionMode: cfg.Compression,
	})
	if resp != nil && d.location != nil {
		resp.Header["Location"] = d.location
	}
	if err != nil {
		return nil, resp, err
	}
	d.upgraded.Start(ws, resp.Header.Get("Sec-WebSocket-Extensions") != "", opts)
	return d.upgraded, resp, nil
}

// transport returns a copy of t for this handshake alone. Kept, it would cost
// each client 2 KB.
func (d *dialing) transport(t *http.Transport) *http.Transport {
	t = t.Clone()
	// An idle connection would be left behind by a refused handshake.
	t.DisableKeepAlives = true
	t.DisableCompression = true
	// Without this, a client would prepare for HTTP/2, which can't be upgraded.
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.MaxResponseHeaderBytes == 0 {
		t.MaxResponseHeaderBytes = 1 << 20
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{}
	}
	// What is to be sent comes in batches, whose records may be full at once.
	t.TLSClientConfig.DynamicRecordSizingDisabled = true
	t.TLSClientConfig.MinVersion = max(t.TLSClientConfig.MinVersion, tls.VersionTLS12)
	dial := t.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
		//lint:ignore SA1019 a user's transport may still set it
		if old := t.Dial; old != nil {
			dial = func(_ context.Context, network, addr string) (net.Conn, error) { return old(network, addr) }
		}
	}
	t.DialContext = d.tunnelled(t, d.adopting(dial))
	if t.DialTLSContext != nil {
		t.DialTLSContext = d.adopting(t.DialTLSContext)
	}
	return t
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// adopting binds a dial to its attempt: the HTTP transport would go on with
// it after the attempt's end, and keep the net.Conn to itself.
func (d *dialing) adopting(dial dialFunc) dialFunc {
	return func(_ context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(d.ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if !d.sock.Adopt(conn) {
			conn.Close()
			return nil, net.ErrClosed
		}
		if _, secured := conn.(*tls.Conn); secured { // which net/http has to see
			return conn, nil
		}
		return d.sock.Counted(conn), nil
	}
}

// RoundTrip makes the request and puts a link in the place of the upgraded
// body.
func (d *dialing) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, copied := d.base.(*http.Transport); !copied {
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			conn := info.Conn
			if t, ok := conn.(*tls.Conn); ok {
				conn = t.NetConn()
			}
			if !d.sock.Adopt(conn) {
				conn.Close()
			}
		}}
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	}
	resp, err := d.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	d.answered(resp)
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		// The http.Client must not see where it leads: one that can't be parsed
		// would be quoted in an error, and hide the response.
		d.location = resp.Header["Location"]
		delete(resp.Header, "Location")
	}
	if body, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		d.upgraded = transport.NewUpgraded(body, d.sock)
		resp.Body = d.upgraded.Body()
	}
	return resp, nil
}

func validCompression(m CompressionMode) bool {
	return m == CompressionDisabled || m == CompressionContextTakeover || m == CompressionNoContextTakeover
}
