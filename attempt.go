package wsnotify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/wsnotify/wsnotify/internal/transport"
)

// attempt is one try to open a connection. It runs on a goroutine of its own,
// since the user's hooks do; the owner abandons it when it must, and then it
// cleans up behind itself.
type attempt struct {
	c      *Client
	box    *outbox
	req    *DialRequest
	epoch  uint64
	sock   *transport.Socket
	spawn  func(func())       // starts a goroutine of the run
	result chan attemptResult // of capacity 1
	ended  chan struct{}      // closed when run returns

	mu        sync.Mutex
	phase     Phase
	abandoned bool
	response  *http.Response
}

type attemptResult struct {
	conn *conn
	err  error
}

// joinAttempt is how long the owner waits for an attempt that is ending but
// for a hook. Only an http.RoundTripper that ignores its context needs it.
const joinAttempt = time.Second

func newAttempt(r *run) *attempt {
	header := r.c.cfg.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	var last *Failure
	if r.last != nil {
		f := *r.last
		last = &f
	}
	return &attempt{
		c: r.c, box: r.outbox, epoch: r.c.opened + 1,
		req:    &DialRequest{URL: urlOf(r.url), Header: header, Attempt: r.attempts, Last: last},
		sock:   transport.NewSocket(r.c.options()),
		spawn:  func(f func()) { r.hooks.Go(f) },
		result: make(chan attemptResult, 1),
		ended:  make(chan struct{}),
		phase:  PhaseDial,
	}
}

// run makes the attempt. ctx ends with it.
func (a *attempt) run(ctx context.Context) {
	defer close(a.ended)
	conn, err := a.open(ctx)
	if err != nil {
		a.sock.Close()
		conn = nil
	}
	a.mu.Lock()
	abandoned := a.abandoned
	if !abandoned {
		a.result <- attemptResult{conn, err}
	}
	a.mu.Unlock()
	if abandoned && conn != nil {
		conn.discard()
	}
}

// in moves to a phase, unless the attempt is over.
func (a *attempt) in(ctx context.Context, phase Phase) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.abandoned {
		return context.Canceled
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	a.phase = phase
	return nil
}

// open is the attempt: hook, dial, checks, hook.
func (a *attempt) open(ctx context.Context) (*conn, error) {
	cfg := &a.c.cfg
	if hook := cfg.BeforeDial; hook != nil {
		if err := a.in(ctx, PhaseHook); err != nil {
			return nil, err
		}
		if err := hook(ctx, a.req); err != nil {
			return nil, fmt.Errorf("wsnotify: BeforeDial: %w", err)
		}
		if err := a.checkRequest(); err != nil {
			return nil, fmt.Errorf("wsnotify: BeforeDial: %w", err)
		}
	}
	if err := a.in(ctx, PhaseDial); err != nil {
		return nil, err
	}
	tr, resp, err := dial(ctx, cfg, a.c.options(), a.req, a.sock, a.answered)
	if err != nil {
		return nil, a.explain(resp, err)
	}
	cn := newConn(a.c, a.box, tr, a.spawn)
	cn.epoch = a.epoch
	cn.event = &OpenEvent{
		Epoch: a.epoch, Attempt: a.req.Attempt, URL: a.req.URL.String(),
		Subprotocol: subprotocol(tr, resp), Header: responseHeader(resp),
	}
	if err := checkResponse(cfg, resp, cn.event.Subprotocol); err != nil {
		cn.discard()
		return nil, handshakeError(resp, err)
	}
	if hook := cfg.OnHandshake; hook != nil {
		if err := a.in(ctx, PhaseHook); err != nil {
			cn.discard()
			return nil, err
		}
		h := &Handshake{Epoch: cn.epoch, Subprotocol: cn.event.Subprotocol, Header: cn.event.Header.Clone(), conn: cn}
		err := hook(ctx, h)
		h.over.Store(true)
		if err != nil {
			cn.apologize()
			return nil, fmt.Errorf("wsnotify: OnHandshake: %w", err)
		}
	}
	return cn, nil
}

// checkRequest looks at what BeforeDial has made of the request.
func (a *attempt) checkRequest() error {
	if a.req.URL == nil {
		return errors.New("wsnotify: DialRequest.URL is nil")
	}
	if err := checkURL(a.req.URL); err != nil {
		return err
	}
	if !a.c.pings && len(a.req.Header) > 0 {
		return errors.New("DialRequest.Header can't be changed: in a browser a page sets no headers; " + insteadOfHeader)
	}
	return validateHeader(a.req.Header)
}

// answered notes that a response has come.
func (a *attempt) answered(resp *http.Response) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.response = resp
	if a.phase == PhaseDial {
		a.phase = PhaseHandshake
	}
}

// abandon ends the attempt, whose result does not matter any more, and waits
// for that unless it is in a hook.
func (a *attempt) abandon(cancel context.CancelFunc) {
	cancel()
	a.mu.Lock()
	a.abandoned = true
	inHook := a.phase == PhaseHook
	a.mu.Unlock()
	a.sock.Close()
	select {
	case res := <-a.result: // it came too late
		if res.conn != nil {
			res.conn.discard()
		}
	default:
	}
	if inHook {
		return
	}
	timer := time.NewTimer(joinAttempt)
	defer timer.Stop()
	select {
	case <-a.ended:
	case <-timer.C:
	}
}

// explain makes one error of what the transport returned. The addresses that
// it and net/http put into theirs may hold secrets, and what they quote of the
// server may be long, or meant for a terminal.
func (a *attempt) explain(resp *http.Response, err error) error {
	err = withoutURL(err)
	if text := err.Error(); printable(text) != text {
		err = &quotingError{err}
	}
	if resp != nil {
		return handshakeError(resp, err)
	}
	return fmt.Errorf("wsnotify: dialling %s: %w", redacted(a.req.URL), err)
}

// checkResponse looks for what the transport lets pass in a 101, and WHATWG
// and RFC 6455, sections 4.1 and 11.3, don't. A browser has looked by itself,
// and shows no response.
func checkResponse(cfg *Config, resp *http.Response, subprotocol string) error {
	if resp == nil {
		return nil
	}
	for _, name := range []string{"Sec-WebSocket-Accept", "Sec-WebSocket-Protocol"} {
		if len(resp.Header.Values(name)) > 1 {
			return fmt.Errorf("it has more than one %s", name)
		}
	}
	switch {
	case len(cfg.Subprotocols) == 0 || slices.Contains(cfg.Subprotocols, subprotocol):
		return nil
	case subprotocol == "":
		return errors.New("it chose none of the offered subprotocols")
	}
	return fmt.Errorf("it chose the subprotocol %q, which was not offered", subprotocol)
}

// handshakeError describes a response that made no connection.
func handshakeError(resp *http.Response, err error) error {
	e := &HandshakeError{StatusCode: resp.StatusCode, Header: resp.Header, Err: err}
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		e.Err = errors.New("redirects are not followed")
	default:
		e.Err = errors.New("it must be 101")
	}
	if resp.Body != nil { // the transport has left its first KiB
		e.Body, _ = io.ReadAll(io.LimitReader(resp.Body, 1024))
	}
	return e
}

// proxyError is the refusal of a proxy. errors.As finds a HandshakeError.
type proxyError struct {
	resp *http.Response
	err  *HandshakeError
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy answered CONNECT with %s", statusText(e.resp.StatusCode))
}

func (e *proxyError) Unwrap() error { return e.err }

// refusal returns the response of a proxy that made no tunnel.
func refusal(err error) *http.Response {
	var proxy *proxyError
	if errors.As(err, &proxy) {
		return proxy.resp
	}
	return nil
}

// failure describes an attempt that ended with err.
func (a *attempt) failure(err error) Failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := Failure{Phase: a.phase, Code: -1, Err: err}
	switch {
	case a.phase == PhaseHook:
		f.Initiator = Local
	case isNetworkError(err):
		f.Initiator = Network
	default:
		f.Initiator = Remote
	}
	resp := a.response
	if a.phase != PhaseHandshake {
		resp = refusal(err)
	}
	if resp != nil {
		f.HTTPStatus = resp.StatusCode
		f.RetryAfter = retryAfter(resp, time.Now())
	}
	return f
}

// isNetworkError reports whether a dial failed without a word of the peer.
func isNetworkError(err error) bool {
	var record tls.RecordHeaderError
	var cert *tls.CertificateVerificationError
	if errors.As(err, &record) || errors.As(err, &cert) {
		return false
	}
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return false // a TLS alert
	}
	var timeout interface{ Timeout() bool }
	var dns *net.DNSError
	var errno syscall.Errno
	return op != nil || errors.As(err, &dns) || errors.As(err, &errno) ||
		errors.As(err, &timeout) && timeout.Timeout() ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		strings.HasSuffix(err.Error(), "http: server closed idle connection") // a FIN before the request; net/http keeps the value to itself
}

// urlOf copies a URL for a hook to change.
func urlOf(u *url.URL) *url.URL {
	v := *u
	if u.User != nil {
		user := *u.User
		v.User = &user
	}
	return &v
}

func subprotocol(tr transport.Conn, resp *http.Response) string {
	if resp == nil { // a browser shows none
		if tr, ok := tr.(interface{ Subprotocol() string }); ok {
			return tr.Subprotocol()
		}
		return ""
	}
	return resp.Header.Get("Sec-WebSocket-Protocol")
}

func responseHeader(resp *http.Response) http.Header {
	if resp == nil {
		return nil
	}
	return resp.Header
}
