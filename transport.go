//go:build !js

package wsnotify

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"

	"github.com/coder/websocket"
)

// dialer makes the handshakes of a Client.
type dialer struct {
	cfg  *Config
	once sync.Once
	base http.RoundTripper
}

type dialKey struct{}

// dialing is one handshake under way, found by the functions that the HTTP
// transport calls through the context of the request.
type dialing struct {
	ctx      context.Context
	sock     *socket
	link     *link                // once there is a 101
	answered func(*http.Response) // a response has come
}

// dial returns a connection whose link has not started, or an error. The
// response, if one came, is returned with either.
func (d *dialer) dial(ctx context.Context, req *DialRequest, sock *socket, answered func(*http.Response), frames *controlFrames) (*websocket.Conn, *link, *http.Response, error) {
	d.once.Do(d.init)
	if c := d.cfg.HTTPClient; c != nil && c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	dg := &dialing{sock: sock, answered: answered}
	ctx = context.WithValue(ctx, dialKey{}, dg)
	dg.ctx = ctx

	client := &http.Client{
		Transport:     d,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if d.cfg.HTTPClient != nil {
		client.Jar = d.cfg.HTTPClient.Jar
	}
	header := req.Header.Clone()
	host := header.Get("Host")
	header.Del("Host")
	ws, resp, err := websocket.Dial(ctx, req.URL.String(), &websocket.DialOptions{
		HTTPClient:      client,
		HTTPHeader:      header,
		Host:            host,
		Subprotocols:    d.cfg.Subprotocols,
		CompressionMode: d.cfg.Compression,
		OnPingReceived: func(_ context.Context, payload []byte) bool {
			frames.ping(payload)
			return false // the writer answers it
		},
		OnPongReceived: func(_ context.Context, payload []byte) { frames.pong(payload) },
	})
	return ws, dg.link, resp, err
}

// init prepares the transport that makes the requests.
func (d *dialer) init() {
	base := http.DefaultTransport
	if c := d.cfg.HTTPClient; c != nil && c.Transport != nil {
		base = c.Transport
	}
	t, ok := base.(*http.Transport)
	if !ok {
		d.base = base
		return
	}
	t = t.Clone()
	// An idle connection would be left behind by a refused handshake.
	t.DisableKeepAlives = true
	t.DisableCompression = true
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
	t.DialContext = adopting(dial)
	if t.DialTLSContext != nil {
		t.DialTLSContext = adopting(t.DialTLSContext)
	}
	d.base = t
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// adopting binds a dial to its attempt: the HTTP transport would go on with
// it after the attempt's end, and keep the net.Conn to itself.
func adopting(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		dg, ok := ctx.Value(dialKey{}).(*dialing)
		if !ok {
			return dial(ctx, network, addr)
		}
		conn, err := dial(dg.ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if !dg.sock.adopt(conn) {
			conn.Close()
			return nil, net.ErrClosed
		}
		return conn, nil
	}
}

// RoundTrip makes the request and puts a link in the place of the upgraded
// body.
func (d *dialer) RoundTrip(r *http.Request) (*http.Response, error) {
	dg := r.Context().Value(dialKey{}).(*dialing)
	if _, ours := d.base.(*http.Transport); !ours {
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			conn := info.Conn
			if t, ok := conn.(*tls.Conn); ok {
				conn = t.NetConn()
			}
			if !dg.sock.adopt(conn) {
				conn.Close()
			}
		}}
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	}
	resp, err := d.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	dg.answered(resp)
	if body, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		dg.link = newLink(body, dg.sock)
		resp.Body = dg.link
	}
	return resp, nil
}

// canPing says that the transport lets us write frames of our own.
const canPing = true

func validCompression(m CompressionMode) bool {
	return m == CompressionDisabled || m == CompressionContextTakeover || m == CompressionNoContextTakeover
}
