package h2

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
)

// Transport makes WebSocket connections as streams of shared HTTP/2
// connections: RFC 8441. It is an [http.RoundTripper] for Config.HTTPClient of
// package wsnotify, and makes no other requests. All clients that use the same
// Transport share its connections: one for each server, as long as that allows
// as many streams, and for each proxy on the way to it.
//
// The zero Transport is ready to use. Its fields must not be changed after the
// first request, and it must not be copied. All methods may be called from any
// goroutine.
type Transport struct {
	// TLSClientConfig is for wss://, and for proxies with https://. It is not
	// changed. "h2" is offered by ALPN (RFC 7301) before its NextProtos unless
	// they have it. Nil means the zero Config.
	TLSClientConfig *tls.Config

	// DialContext makes the connections below TLS and HTTP/2, to the server or
	// to the proxy. Its ctx is not that of a request, since the connection
	// outlives that; it has none of its values, and ends when nobody waits for
	// the connection any more. Nil means a net.Dialer. It is called on a
	// goroutine of its own, one at a time for each server, and may block.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// Proxy returns the proxy for a request: its scheme may be http, https,
	// socks5 or socks5h, and nil means none. It is called for each handshake and
	// must not block. A nil Proxy means none at all; http.ProxyFromEnvironment
	// obeys the environment.
	Proxy func(*http.Request) (*url.URL, error)

	// MaxStreams is how many streams one connection has at most. More of them
	// share the fate, the congestion window and the one lost packet of a
	// connection. Zero means as many as the server allows.
	MaxStreams int

	// Fallback is for servers that don't support WebSockets over HTTP/2: those
	// that speak HTTP/1.1 alone, or have not switched on extended CONNECT. It
	// gets the request as it is, and the host is remembered for an hour. For
	// ws:// it is used at once unless PriorKnowledge is set. Mostly it is an
	// *http.Transport. If it is nil, the handshake fails with an error that says
	// what the server lacks, and the next one asks again.
	Fallback http.RoundTripper

	// PriorKnowledge has ws:// speak HTTP/2 at once, without TLS and ALPN: RFC
	// 9113, section 3.3.
	PriorKnowledge bool

	mu      sync.Mutex
	pools   map[target]*pool
	lacking map[string]time.Time // servers without extended CONNECT: until when that is believed
	closed  bool

	serving sync.WaitGroup // dials, readers and writers
}

// lackingFor is how long a server is known to lack extended CONNECT.
const lackingFor = time.Hour

// tries is how often a request is sent that the server says it has not
// processed.
const tries = 3

// Close ends all connections, and with them every WebSocket of this Transport;
// for their clients that is an abnormal closure, 1006, by the network. Later
// handshakes fail. It waits until nothing is left of the connections, for two
// seconds at most, and may be called more than once. Disconnect or drain the
// clients first.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	var conns []*conn
	for _, p := range t.pools {
		conns = append(conns, p.conns...)
		if p.dial != nil {
			p.dial.cancel()
		}
		p.changed.notify()
	}
	t.mu.Unlock()
	for _, c := range conns {
		go c.fail(errClosed) // closing a net.Conn of the user's may block
	}
	ended := make(chan struct{})
	go func() {
		t.serving.Wait()
		close(ended)
	}()
	timer := time.NewTimer(2 * goodbye)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
	return nil
}

// RoundTrip implements [http.RoundTripper]. The request must be the handshake
// of a WebSocket: RFC 6455, section 4.1. A response of status 2xx comes back as a
// 101 whose Body is the stream, which is a [net.Conn]; it outlives the request's
// context. Other responses come back as they are. Of the hooks of package
// httptrace, GotConn alone is called, with the stream.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || r.Method != http.MethodGet {
		return nil, errors.New("h2: the Transport makes WebSocket connections, and no other requests: use another http.Client for them")
	}
	to, err := t.targetOf(r)
	if err == nil && !t.lacks(to) {
		var resp *http.Response
		if resp, err = t.handshake(r, to); err == nil {
			return resp, nil
		}
	} else if err == nil {
		err = &unsupportedError{"the server was found to lack it"}
	}
	var unsupported *unsupportedError
	if t.Fallback == nil || !errors.As(err, &unsupported) {
		return nil, err
	}
	t.remember(to)
	return t.Fallback.RoundTrip(r)
}

// targetOf says where a request goes.
func (t *Transport) targetOf(r *http.Request) (to target, err error) {
	port := "443"
	switch r.URL.Scheme {
	case "https":
		to.secure = true
	case "http":
		port = "80"
		if !t.PriorKnowledge {
			return to, &unsupportedError{"ws:// can't ask a server for HTTP/2, which takes TLS; set Transport.PriorKnowledge if it speaks that without"}
		}
	default:
		return to, fmt.Errorf("h2: the url has the scheme %q; it must be http or https", r.URL.Scheme)
	}
	if p := r.URL.Port(); p != "" {
		port = p
	}
	to.addr = net.JoinHostPort(r.URL.Hostname(), port)
	if t.Proxy != nil {
		if to.via, err = t.Proxy(r); err != nil {
			return to, err
		}
		if to.via != nil {
			to.proxy = to.via.String()
		}
	}
	return to, nil
}

// lacks reports whether a server is known to lack extended CONNECT, and it
// matters.
func (t *Transport) lacks(to target) bool {
	if t.Fallback == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Now().Before(t.lacking[to.addr])
}

// remember notes that a server lacks extended CONNECT.
func (t *Transport) remember(to target) {
	if to.addr == "" {
		return // the request's scheme decides
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.lacking[to.addr]) {
		return
	}
	maps.DeleteFunc(t.lacking, func(_ string, until time.Time) bool { return !now.Before(until) }) // once for each server and hour
	if t.lacking == nil {
		t.lacking = map[string]time.Time{}
	}
	t.lacking[to.addr] = now.Add(lackingFor)
}

// use returns the pool of a target, which the caller uses.
func (t *Transport) use(to target) *pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pools[to.key()]
	if p == nil {
		p = &pool{t: t, target: to}
		if t.pools == nil {
			t.pools = map[target]*pool{}
		}
		t.pools[to.key()] = p
	}
	p.users++
	return p
}

// tidy forgets a pool that nothing is left of. mu is locked.
func (t *Transport) tidy(p *pool) {
	if len(p.conns) == 0 && p.dial == nil && p.users == 0 && t.pools[p.target.key()] == p {
		delete(t.pools, p.target.key())
	}
}

// handshake opens a WebSocket on a stream.
func (t *Transport) handshake(r *http.Request, to target) (*http.Response, error) {
	fields, err := requestFields(r)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		resp, err := t.try(r, to, fields)
		if err == nil || try == tries || !unprocessed(err) || r.Context().Err() != nil {
			return resp, err
		}
	}
}

// try sends a request and waits for the response.
func (t *Transport) try(r *http.Request, to target, fields []hpack.HeaderField) (*http.Response, error) {
	ctx := r.Context()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	s, err := t.use(to).open(ctx, fields)
	if err != nil {
		return nil, err
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: s, Reused: s.id > 1}) // whoever keeps it to close it closes no more than the stream
	}
	for {
		s.mu.Lock()
		resp, err := s.response, s.readErr
		s.response = nil
		s.mu.Unlock()
		switch {
		case resp != nil:
			s.wake() // for a Read, if something has come behind it
			return switched(r, resp), nil
		case err != nil:
			return nil, err
		}
		select {
		case <-s.woken:
		case <-ctx.Done():
			s.Close()
			return nil, context.Cause(ctx)
		}
	}
}

// switched makes the response that a client of HTTP/1.1 expects. HTTP/2 has
// neither a 101 nor the fields of an upgrade: RFC 8441, section 5.
func switched(r *http.Request, resp *http.Response) *http.Response {
	resp.Request = r
	if resp.StatusCode/100 != 2 {
		return resp
	}
	resp.StatusCode, resp.Status = http.StatusSwitchingProtocols, "101 Switching Protocols"
	resp.ContentLength = 0
	var key string
	for name, values := range r.Header {
		if strings.EqualFold(name, "Sec-WebSocket-Key") && len(values) > 0 {
			key = values[0]
		}
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, section 4.2.2
	resp.Header.Set("Upgrade", "websocket")
	resp.Header.Set("Connection", "Upgrade")
	resp.Header.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	return resp
}
