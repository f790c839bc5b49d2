//go:build !js

package transport

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
	"net/http/httptrace"
	"net/url"
	"reflect"
	"slices"
)

// An http.Transport that a user supplies says how a server is reached. Its settings are
// honoured here, and it makes no request itself, since it does not reach a server as a
// WebSocket needs it:
//
//   - It asks a proxy to CONNECT for https alone, and sends it the request
//     itself for http. A proxy then takes Upgrade off, as a field that is for
//     one hop, and the server sees no WebSocket. RFC 6455, section 4.1, wants a
//     tunnel for both.
//   - It takes no other answer to CONNECT than 200, and a 1xx for one.
//   - It offers no protocol by ALPN for a request with an Upgrade.
//   - A connection of its own has three goroutines, for requests that follow each
//     other. An upgrade needs none of them, and to wake them takes a third of the time of a dial.
//
// request.go has the request itself.

// route is the way to a server, of one handshake.
type route struct {
	ctx   context.Context
	end   context.CancelCauseFunc // of ctx
	t     *http.Transport         // the handshake's own
	plain dialFunc
	own   dialFunc    // of the user, for TLS; may be nil
	tls   *tls.Config // for the server
	proxy *url.URL    // nil without one; known once the request is made
	sock  *Socket

	prompt bool // plain is a net.Dialer's, which ends with its ctx
	quick  bool // t.Proxy is not the user's

	sending  func(proxy *url.URL, header http.Header)
	securing func(underWay bool)
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// route returns the way that t describes.
func (d *dialing) route(t *http.Transport) *route {
	t = t.Clone() // which waits for a request that has just begun to set its defaults
	if t.MaxResponseHeaderBytes == 0 {
		t.MaxResponseHeaderBytes = 1 << 20
	}
	ctx, end := context.WithCancelCause(d.ctx)
	r := &route{
		ctx: ctx, end: end, t: t, plain: (&net.Dialer{}).DialContext, tls: t.TLSClientConfig.Clone(), own: t.DialTLSContext, sock: d.sock, sending: d.sending, securing: d.req.Securing,
	}
	if r.securing == nil {
		r.securing = func(bool) {}
	}
	if r.tls == nil {
		r.tls = &tls.Config{}
	}
	// net/http adds h2 to a tls.Config by itself.
	r.tls.NextProtos = slices.DeleteFunc(slices.Clone(r.tls.NextProtos), func(p string) bool { return p == "h2" })
	if len(r.tls.NextProtos) == 0 {
		r.tls.NextProtos = []string{"http/1.1"}
	}
	// What is to be sent comes in batches, whose records may be full at once.
	r.tls.DynamicRecordSizingDisabled = true
	//lint:ignore SA1019 a user's transport may still set them
	oldDial, oldDialTLS := t.Dial, t.DialTLS
	switch {
	case t.DialContext != nil:
		r.plain, r.prompt = t.DialContext, isDialer(t.DialContext)
	case oldDial != nil:
		r.plain = withoutContext(oldDial)
	default:
		r.prompt = true
	}
	if r.own == nil && oldDialTLS != nil {
		r.own = withoutContext(oldDialTLS)
	}
	r.quick = t.Proxy == nil || same(t.Proxy, http.ProxyFromEnvironment)
	r.plain = d.counting(d.adopting(r.plain))
	if r.own != nil {
		r.own = d.adopting(r.own)
	}
	return r
}

// isDialer reports whether dial is the method of a net.Dialer, as http.DefaultTransport has it.
func isDialer(dial dialFunc) bool { return same(dial, dialFunc((&net.Dialer{}).DialContext)) }

// same reports whether the code of two functions is the same.
func same[F any](f, g F) bool { return reflect.ValueOf(f).Pointer() == reflect.ValueOf(g).Pointer() }

// findProxy finds the proxy for a request.
func (r *route) findProxy(req *http.Request) (err error) {
	if find := r.t.Proxy; find != nil {
		r.proxy, err = find(req)
	}
	return err
}

func withoutContext(dial func(network, addr string) (net.Conn, error)) dialFunc {
	return func(_ context.Context, network, addr string) (net.Conn, error) { return dial(network, addr) }
}

// adopting binds what a dial returns to its attempt, which may have ended meanwhile.
func (d *dialing) adopting(dial dialFunc) dialFunc {
	return func(_ context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(d.ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if conn == nil {
			return nil, errors.New("the dial function of Config.HTTPClient returned neither a connection nor an error")
		}
		if !d.sock.Adopt(beneath(conn)) {
			conn.Close()
			return nil, net.ErrClosed
		}
		if beneath(conn) != conn {
			d.sock.over(conn)
		}
		return conn, nil
	}
}

// counting has the socket count what passes, below TLS. A connection of the
// user's that is TLS already is counted above it.
func (d *dialing) counting(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return d.sock.Counted(conn), nil
	}
}

// open returns a connection to the server, on which HTTP can be spoken.
func (r *route) open(addr string, secure bool) (net.Conn, error) {
	if !secure {
		return r.reach("tcp", addr)
	}
	if r.own != nil && r.proxy == nil {
		conn, err := r.own(r.ctx, "tcp", addr)
		if conn, ok := conn.(*tls.Conn); ok { // it may have left the handshake to us
			r.securing(true)
			if err := r.handshake(conn); err != nil {
				r.sock.Close()
				return nil, err
			}
			r.securing(false)
		}
		return conn, err
	}
	conn, err := r.reach("tcp", addr)
	if err != nil {
		return nil, err
	}
	r.securing(true)
	if conn, err = r.secure(conn, addr, r.tls, "TLS handshake"); err == nil {
		r.securing(false)
	}
	return conn, err
}

// reach returns a connection to addr, which TLS may follow on.
func (r *route) reach(network, addr string) (net.Conn, error) {
	proxy := r.proxy
	if proxy == nil {
		return r.plain(r.ctx, network, addr)
	}
	dial, tunnel, secure := r.plain, r.connect, false
	switch proxy.Scheme {
	case "http":
	case "https":
		secure = r.own == nil
		if !secure {
			dial = r.own
		}
	case "socks5", "socks5h":
		tunnel = r.socks
	default:
		return nil, fmt.Errorf("the proxy has the scheme %q; it must be http, https, socks5 or socks5h", proxy.Scheme)
	}
	port := proxy.Port()
	if port == "" {
		port = defaultPort(proxy.Scheme)
	}
	address := net.JoinHostPort(proxy.Hostname(), port)
	conn, err := dial(r.ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "proxyconnect", Net: network, Err: err} // as net/http has it
	}
	if secure {
		config := r.tls.Clone()
		config.NextProtos = []string{"http/1.1"} // in which CONNECT is spoken
		if conn, err = r.secure(conn, address, config, "TLS handshake with the proxy"); err != nil {
			return nil, fmt.Errorf("TLS with the proxy: %w", err)
		}
	}
	if err := tunnel(conn, addr); err != nil {
		r.sock.Close()
		return nil, err
	}
	return conn, nil
}

// secure makes a TLS connection of conn, or closes the socket, which does not wait as conn
// may. The limit of its time calls it handshake.
func (r *route) secure(conn net.Conn, addr string, config *tls.Config, handshake string) (net.Conn, error) {
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	secure := tls.Client(conn, config)
	stop := r.limit(r.t.TLSHandshakeTimeout, handshake, "TLSHandshakeTimeout")
	err := r.handshake(secure)
	stop()
	if err != nil {
		r.sock.Close()
		return nil, err
	}
	r.sock.over(secure)
	return secure, nil
}

// handshake is that of TLS. Its error is why the ctx ended, if it did.
func (r *route) handshake(conn *tls.Conn) error {
	trace := httptrace.ContextClientTrace(r.ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := conn.HandshakeContext(r.ctx)
	if err != nil && r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(conn.ConnectionState(), err)
	}
	return err
}

// connect asks an HTTP proxy for a tunnel to addr.
func (r *route) connect(conn net.Conn, addr string) error {
	header := r.t.ProxyConnectHeader.Clone()
	if r.t.GetProxyConnectHeader != nil {
		var err error
		if header, err = r.t.GetProxyConnectHeader(r.ctx, r.proxy, addr); err != nil {
			return err
		}
		header = header.Clone()
	}
	if header == nil {
		header = http.Header{}
	}
	if user := r.proxy.User; user != nil && header.Get("Proxy-Authorization") == "" {
		password, _ := user.Password()
		header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	r.sending(r.proxy, header)
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: header}
	if err := req.Write(conn); err != nil {
		return err
	}
	// The server does not speak first, so nothing is read past the response.
	limited := &io.LimitedReader{R: conn, N: r.t.MaxResponseHeaderBytes}
	responses := bufio.NewReader(limited)
	for {
		resp, err := http.ReadResponse(responses, req)
		switch {
		case err != nil && limited.N <= 0:
			return fmt.Errorf("the proxy's answer to CONNECT has more than %d bytes of headers", r.t.MaxResponseHeaderBytes)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err} // a conn of the user's may have no addresses
		case err != nil:
			return err
		case resp.StatusCode/100 == 1 && resp.StatusCode != http.StatusSwitchingProtocols:
			continue // RFC 9110, section 15.2
		}
		return r.tunnelled(req, resp)
	}
}

// tunnelled looks at what a proxy answered. Any 2xx makes the tunnel: RFC 9110,
// section 9.3.6.
func (r *route) tunnelled(req *http.Request, resp *http.Response) error {
	if check := r.t.OnProxyConnectResponse; check != nil {
		if err := check(r.ctx, r.proxy, req, resp); err != nil {
			return err
		}
	}
	if resp.StatusCode/100 != 2 {
		return &ProxyError{Response: resp}
	}
	return nil
}
