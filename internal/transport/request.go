//go:build !js

package transport

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"time"
)

// roundTripped is what came of a request.
type roundTripped struct {
	resp *http.Response
	err  error
}

// RoundTrip implements http.RoundTripper, for requests without a body. It makes the request on
// this goroutine where nothing of the user's can hang. Elsewhere it does not wait, once the time
// of the attempt or of a limit is over, for a function of the user's, or for a net.Conn whose calls
// don't return when it is closed.
func (r *route) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	if r.quick {
		if err = r.findProxy(req); err != nil {
			return nil, err
		}
	}
	if r.prompt && r.quick && r.proxy == nil && req.URL.Scheme == "http" {
		resp, err = r.roundTrip(req)
	} else {
		done := make(chan roundTripped, 1)
		go func() {
			got := roundTripped{err: errGoexit}
			defer func() { done <- got }()
			got.resp, got.err = r.roundTrip(req)
		}()
		select {
		case got := <-done:
			resp, err = got.resp, got.err
		case <-r.ctx.Done():
		}
	}
	if r.ctx.Err() != nil { // for which the socket was closed
		return nil, context.Cause(r.ctx)
	}
	return resp, err
}

// errGoexit is what net/http would wait for in vain.
var errGoexit = errors.New("a function of Config.HTTPClient ended its goroutine (runtime.Goexit, which a test's FailNow calls too) instead of returning")

// limit ends the request once d has passed, for want of what was missing, whether its net.Conn
// ends then or not. Zero is no limit.
func (r *route) limit(d time.Duration, missing, setting string) (stop func() bool) {
	if d <= 0 {
		return func() bool { return false }
	}
	return time.AfterFunc(d, func() {
		r.end(fmt.Errorf("no %s within the %s of %v: %w", missing, setting, d, context.DeadlineExceeded))
		r.sock.Close()
	}).Stop
}

func (r *route) roundTrip(req *http.Request) (*http.Response, error) {
	if !r.quick {
		if err := r.findProxy(req); err != nil {
			return nil, err
		}
	}
	trace := httptrace.ContextClientTrace(req.Context())
	if trace == nil {
		trace = &noTrace
	}
	addr := net.JoinHostPort(req.URL.Hostname(), cmp.Or(req.URL.Port(), defaultPort(req.URL.Scheme)))
	if trace.GetConn != nil {
		trace.GetConn(addr)
	}
	conn, err := r.open(addr, req.URL.Scheme == "https")
	if err != nil {
		return nil, err
	}
	if trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: conn})
	}
	if err := write(req, conn); err != nil {
		return nil, broken(err)
	}
	defer r.limit(r.t.ResponseHeaderTimeout, "response headers", "ResponseHeaderTimeout")()
	resp, err := r.response(req, conn, trace)
	if err != nil {
		return nil, err
	}
	if secure, ok := conn.(*tls.Conn); ok {
		state := secure.ConnectionState()
		resp.TLS = &state
	}
	return resp, nil
}

var noTrace httptrace.ClientTrace

// broken says of an error what net/http does.
func broken(err error) error {
	return fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", err)
}

var (
	requests  = sync.Pool{New: func() any { return bufio.NewWriter(nil) }}
	responses = sync.Pool{New: func() any { return bufio.NewReader(nil) }}
)

// write sends a request with one write.
func write(req *http.Request, conn net.Conn) error {
	w := requests.Get().(*bufio.Writer)
	w.Reset(conn)
	err := req.Write(w)
	if err == nil {
		err = w.Flush()
	}
	w.Reset(nil)
	requests.Put(w)
	return err
}

// response reads the response. The body of a 101 is conn, behind what was read of it.
func (r *route) response(req *http.Request, conn net.Conn, trace *httptrace.ClientTrace) (*http.Response, error) {
	limited := &io.LimitedReader{R: conn, N: r.t.MaxResponseHeaderBytes}
	br := responses.Get().(*bufio.Reader)
	br.Reset(limited)
	if _, err := br.Peek(1); err != nil {
		return nil, err // without an answer
	}
	if trace.GotFirstResponseByte != nil {
		trace.GotFirstResponseByte()
	}
	for {
		resp, err := http.ReadResponse(br, req)
		switch {
		case err != nil && limited.N <= 0:
			return nil, broken(fmt.Errorf("net/http: server response headers exceeded %d bytes; aborted", r.t.MaxResponseHeaderBytes))
		case err != nil:
			return nil, broken(err)
		case resp.StatusCode == http.StatusSwitchingProtocols:
			resp.Body = bodyOf(br, conn)
			return resp, nil
		case resp.StatusCode/100 != 1:
			limited.N = math.MaxInt64
			resp.Body = cutBody{resp.Body, r.sock}
			return resp, nil
		}
		if trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header)); err != nil {
				return nil, broken(err)
			}
			limited.N = r.t.MaxResponseHeaderBytes // it is for the trace to limit their number
		}
	}
}

// cutBody is the body of a refusal. That of http.ReadResponse would be read to its end by
// Close, which may never come.
type cutBody struct {
	io.Reader
	sock *Socket
}

func (b cutBody) Close() error {
	b.sock.Close()
	return nil
}

// bodyOf returns conn as the body of a response, and what was read of it into br first.
func bodyOf(br *bufio.Reader, conn net.Conn) io.ReadWriteCloser {
	early, _ := br.Peek(br.Buffered())
	var body io.ReadWriteCloser = conn
	if len(early) > 0 {
		body = &earlyBody{Conn: conn, early: append([]byte(nil), early...)}
	}
	br.Reset(nil)
	responses.Put(br)
	return body
}

// earlyBody is a connection of which something was read with the response.
type earlyBody struct {
	net.Conn
	early []byte
}

func (b *earlyBody) Read(p []byte) (n int, err error) {
	if len(b.early) == 0 {
		return b.Conn.Read(p)
	}
	n = copy(p, b.early)
	if b.early = b.early[n:]; len(b.early) == 0 {
		b.early = nil // its memory would be kept as long as the connection
	}
	return n, nil
}
