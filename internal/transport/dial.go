//go:build !js

package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// dialing is one handshake under way. It is the http.RoundTripper that
// coder/websocket makes its request with.
type dialing struct {
	ctx    context.Context // ends with the attempt
	cancel context.CancelFunc
	base   http.RoundTripper
	sock   *Socket
	req    *Request
	do     func(request func()) // on the goroutine for requests

	upgraded *Upgraded // once there is a 101
	location []string  // of a redirect
	answer   []string  // of the server to Compression
}

// Open makes a connection. The response, if one came, is returned with an
// error, too; its Request is what was sent. Nothing is left open after an error,
// and nothing goes on for long after ctx has ended.
func Open(ctx context.Context, req *Request) (Conn, *http.Response, error) {
	sock := NewSocket(req.Options)
	if c := req.HTTPClient; c != nil && c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	stop := context.AfterFunc(ctx, func() { sock.Close() })
	conn, resp, err := open(ctx, req, sock)
	if !stop() && err == nil { // ctx has ended meanwhile
		conn.End()
		return nil, resp, ctx.Err()
	}
	if err != nil {
		sock.Close()
		return nil, resp, err
	}
	return conn, resp, nil
}

func open(ctx context.Context, req *Request, sock *Socket) (*Upgraded, *http.Response, error) {
	base := http.DefaultTransport
	var jar http.CookieJar
	if c := req.HTTPClient; c != nil {
		jar = c.Jar
		if c.Transport != nil {
			base = c.Transport
		}
	}
	within := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &dialing{ctx: ctx, cancel: cancel, base: base, sock: sock, req: req}
	if t, ok := base.(*http.Transport); ok {
		d.base = d.route(t)
	}
	u, err := asBrowser(req.URL)
	if err != nil {
		return nil, nil, err
	}
	header := req.Header.Clone()
	host := header.Get("Host")
	header.Del("Host")
	var ws *websocket.Conn
	var resp *http.Response
	if forbidden := withSHA1(func(do func(request func())) {
		d.do = do
		ws, resp, err = websocket.Dial(ctx, u.String(), &websocket.DialOptions{
			HTTPClient: &http.Client{
				Transport: d, // which lets it see no redirect
				Jar:       jar,
			},
			HTTPHeader:      header,
			Host:            host,
			Subprotocols:    req.Subprotocols,
			CompressionMode: websocket.CompressionDisabled, // see RoundTrip
		})
	}); forbidden != nil {
		return nil, nil, forbidden
	}
	if resp != nil && d.location != nil {
		resp.Header["Location"] = d.location
	}
	if resp != nil && d.answer != nil {
		resp.Header["Sec-Websocket-Extensions"] = d.answer
	}
	if err != nil {
		if d.upgraded != nil {
			d.leave(d.upgraded.body)
		}
		if resp != nil {
			err = errors.Unwrap(err) // coder/websocket puts "failed to WebSocket dial" before it
		} else if within.Err() != nil && (errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)) {
			err = within.Err() // for which the socket was closed
		}
		return nil, resp, err
	}
	ws.CloseNow() // which gives its buffers back, and closes nothing of ours
	if d.upgraded == nil {
		return nil, resp, errUnwritable
	}
	agreed, err := req.Compression.Agree(d.answer)
	if err != nil {
		d.leave(d.upgraded.body)
		return nil, resp, fmt.Errorf("its answer about extensions, Sec-WebSocket-Extensions, is not allowed: %w", err)
	}
	d.upgraded.start(agreed, req.Options)
	return d.upgraded, resp, nil
}

// errUnwritable is for a handshake that all is well with but for the body.
var errUnwritable = errors.New("the Transport of Config.HTTPClient returned it with a Body that can't be written to, and must pass it on as it is")

// noBody stands for one that can't be written to, and for one that is kept from
// coder/websocket, which would read either for 3 s.
type noBody struct{}

func (noBody) Read([]byte) (int, error)  { return 0, io.EOF }
func (noBody) Write([]byte) (int, error) { return 0, errUnwritable }
func (noBody) Close() error              { return nil }

// RoundTrip makes the request and keeps the upgraded body to itself. So it does
// with compression, of which coder/websocket does not know all.
func (d *dialing) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if _, ours := d.base.(*route); !ours {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			conn := beneath(info.Conn)
			if !d.sock.Adopt(conn) {
				conn.Close()
			}
		}})
	}
	r = r.Clone(ctx)
	if d.req.Compression != nil {
		r.Header.Set("Sec-WebSocket-Extensions", d.req.Compression.String())
	}
	d.sending(nil, r.Header)
	d.respell(r.Header)
	var resp *http.Response
	var err error
	d.do(func() { resp, err = d.base.RoundTrip(r) })
	if err != nil {
		if resp != nil && resp.Body != nil {
			d.leave(resp.Body)
		}
		return nil, err
	}
	if resp == nil {
		return nil, errors.New("the Transport of Config.HTTPClient returned neither a response nor an error")
	}
	resp.Request = r
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	if d.req.Answered != nil {
		d.req.Answered(resp)
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		// The http.Client must not see where it leads: one that can't be parsed
		// would be quoted in an error, and hide the response.
		d.location = resp.Header["Location"]
		delete(resp.Header, "Location")
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = d.beginning(resp.Body)
		return resp, nil
	}
	body, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		if resp.Body != nil {
			d.leave(resp.Body)
		}
		resp.Body = noBody{}
		return resp, nil
	}
	d.answer = resp.Header["Sec-Websocket-Extensions"]
	delete(resp.Header, "Sec-Websocket-Extensions")
	d.upgraded = newUpgraded(body, d.sock)
	resp.Body = noBody{} // which ends at once, should the handshake be refused
	return resp, nil
}

func (d *dialing) sending(proxy *url.URL, header http.Header) {
	if f := d.req.Sending; f != nil {
		f(proxy, header)
	}
}

// respell writes the names of the handshake's headers as RFC 6455 does, and
// browsers. There are servers to which Sec-Websocket-Key, as net/http has it,
// is none; and the list of subprotocols they split at ", ".
func (d *dialing) respell(h http.Header) {
	for _, name := range []string{"Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"} {
		if values := h.Values(name); len(values) > 0 {
			h.Del(name)
			h[name] = values
		}
	}
	if len(d.req.Subprotocols) > 0 {
		h["Sec-WebSocket-Protocol"] = []string{strings.Join(d.req.Subprotocols, ", ")}
	}
}

const (
	maxRefusal = 1 << 10     // of a refusal's body is kept
	moment     = time.Second // is how long that may take
)

// beginning returns the first KiB of a refusal's body, or what of it comes in a
// moment, and closes it. A body may never end, and the status is to be known
// long before the attempt's time is over.
func (d *dialing) beginning(body io.ReadCloser) io.ReadCloser {
	if body == nil {
		return http.NoBody
	}
	wait := moment
	if end, ok := d.ctx.Deadline(); ok {
		wait = min(wait, time.Until(end)/2)
	}
	var mu sync.Mutex
	buf, n := make([]byte, maxRefusal), 0
	read := make(chan struct{})
	go func() {
		defer close(read)
		for have := 0; have < len(buf); {
			m, err := body.Read(buf[have:])
			have += m
			mu.Lock()
			n = have
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-read:
	case <-timer.C:
	case <-d.ctx.Done():
	}
	mu.Lock()
	first := bytes.Clone(buf[:n])
	mu.Unlock()
	d.leave(body)
	return io.NopCloser(bytes.NewReader(first))
}

// leave closes a body that is of no use. The socket goes first, if it is known,
// and the request's context: nothing else ends a Read of net/http's body, whose
// Close waits for it, and a TLS connection would write a farewell to a peer
// that may not read. A RoundTripper that minds neither is left to itself after
// a moment.
func (d *dialing) leave(body io.Closer) {
	d.sock.Close()
	d.cancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		body.Close()
	}()
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
}

// beneath returns what a TLS connection writes to, since closing that needs no
// farewell.
func beneath(conn net.Conn) net.Conn {
	if layer, ok := conn.(interface{ NetConn() net.Conn }); ok {
		if inner := layer.NetConn(); inner != nil {
			return inner
		}
	}
	return conn
}
