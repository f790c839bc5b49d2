package wsnotify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/wsnotify/wsnotify/internal/handshake"
	"github.com/wsnotify/wsnotify/internal/transport"
)

// attempt is one try to open a connection. It runs on a goroutine of its own,
// since the user's hooks do; the owner abandons it when it must, and then it
// cleans up behind itself.
type attempt struct {
	r      *run
	c      *Client
	req    *DialRequest
	epoch  uint64
	last   *Failure           // as in req, which a hook may change
	result chan attemptResult // of capacity 1
	ended  chan struct{}      // closed when run returns

	secrets *handshake.Secrets // of what is asked, once BeforeDial has returned

	mu        sync.Mutex
	url       string // that is dialled, redacted
	phase     Phase
	securing  bool // a TLS handshake with the server is under way, or has failed
	abandoned bool
	response  *http.Response
	tr        transport.Conn // once it is open
	peer      *Failure       // what the peer did while OnHandshake ran; nil if nothing
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
		r: r, c: r.c, epoch: r.c.opened + 1,
		req: &DialRequest{
			URL: urlOf(r.url), Header: header, Subprotocols: slices.Clone(r.c.cfg.Subprotocols), Attempt: r.attempts, Last: last,
		},
		url:    handshake.Redacted(r.url),
		last:   r.last,
		result: make(chan attemptResult, 1),
		ended:  make(chan struct{}),
		phase:  PhaseDial,
	}
}

// run makes the attempt. ctx ends with it.
func (a *attempt) run(ctx context.Context) {
	defer close(a.ended)
	var conn *conn
	var err error = &wrapped{"Config.HTTPClient", errGoexit} // whose functions run on this goroutine
	defer func() { a.conclude(conn, err) }()
	conn, err = a.open(ctx)
}

// conclude hands over what came of the attempt, or cleans up behind one that was abandoned.
func (a *attempt) conclude(conn *conn, err error) {
	a.mu.Lock()
	if err != nil {
		err = &attemptError{a.url, err}
	}
	abandoned := a.abandoned
	if !abandoned {
		a.result <- attemptResult{conn, err}
	}
	a.mu.Unlock()
	if abandoned && conn != nil {
		conn.discard()
	}
}

// in moves to a phase, unless the attempt is over: abandon ends ctx.
func (a *attempt) in(ctx context.Context, phase Phase) error {
	a.mu.Lock()
	defer a.mu.Unlock()
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
		err := call(func() error { return hook(ctx, a.req) })
		if err == nil {
			err = a.checkRequest()
		}
		if err != nil {
			return nil, &wrapped{"BeforeDial", err}
		}
	}
	if err := a.in(ctx, PhaseDial); err != nil {
		return nil, err
	}
	a.secrets = handshake.NewSecrets(a.req.URL, a.req.Header, a.req.Subprotocols)
	clock := a.c.clock()
	tr, resp, err := transport.Open(ctx, &transport.Request{
		URL: a.req.URL, Header: a.req.Header, Subprotocols: a.req.Subprotocols, Compression: cfg.offer(),
		HTTPClient: cfg.HTTPClient, Options: a.c.options(clock), Answered: a.answered, Securing: a.tls,
		Sending: func(proxy *url.URL, header http.Header) { a.secrets.AddURL(proxy); a.secrets.AddHeader(header) },
	})
	if err != nil {
		return nil, a.explain(resp, err)
	}
	tr = a.c.recorder.opened(a, tr, resp)
	cn := newConn(a.r, tr, clock)
	cn.secrets = a.secrets
	a.mu.Lock()
	a.tr = tr
	a.mu.Unlock()
	cn.epoch = a.epoch
	cn.event = &OpenEvent{
		Epoch: a.epoch, Attempt: a.req.Attempt, URL: a.req.URL.String(),
		Subprotocol: subprotocol(tr, resp), Header: responseHeader(resp), Compression: agreement(tr),
	}
	if err := handshake.CheckResponse(a.req.Subprotocols, resp, cn.event.Subprotocol); err != nil {
		cn.discard()
		return nil, a.refused(resp, err)
	}
	if hook := cfg.OnHandshake; hook != nil {
		if err := a.in(ctx, PhaseHook); err != nil {
			cn.discard()
			return nil, err
		}
		h := &Handshake{over: make(chan struct{}), Epoch: cn.epoch, Subprotocol: cn.event.Subprotocol, Header: cn.event.Header.Clone(), conn: cn}
		err := call(func() error { return hook(ctx, h) })
		h.end()
		if err != nil {
			peer := cn.refuse()
			a.mu.Lock()
			a.peer = peer
			a.mu.Unlock()
			return nil, &wrapped{"OnHandshake", err}
		}
	}
	return cn, nil
}

// errGoexit is the error of a hook that did not return one.
var errGoexit = errors.New("it ended its goroutine (runtime.Goexit, which a test's FailNow calls too) instead of returning")

// call runs a hook on a goroutine of its own, so that one which ends its
// goroutine fails the attempt and nothing else. A panic there ends the program.
func call(hook func() error) error {
	result := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() { result <- err }()
		err = hook()
	}()
	return <-result
}

// checkRequest validates and normalizes what BeforeDial has made of the request.
func (a *attempt) checkRequest() error {
	req := a.req
	if req.URL == nil {
		return errors.New("DialRequest.URL is nil; BeforeDial may change it, or leave it as it is")
	}
	u, err := handshake.Normalize(req.URL)
	if err != nil {
		return err
	}
	if !a.c.pings && len(req.Header) > 0 {
		return errors.New("DialRequest.Header can't be changed: in a browser a page sets no headers; " + insteadOfHeader)
	}
	req.URL = u
	a.mu.Lock()
	a.url = handshake.Redacted(req.URL)
	a.mu.Unlock()
	for key := range req.Header { // all were canonical before, so the other spelling is the hook's
		if canonical := http.CanonicalHeaderKey(key); canonical != key {
			delete(req.Header, canonical)
		}
	}
	req.Header = handshake.CanonicalHeader(req.Header)
	if err := handshake.CheckHeader(req.Header); err != nil {
		return fmt.Errorf("DialRequest.Header: %w", err)
	}
	if err := handshake.CheckSubprotocols(req.Subprotocols); err != nil {
		return fmt.Errorf("DialRequest.Subprotocols%w", err)
	}
	return nil
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

// tls notes that a TLS handshake with the server begins, or is done.
func (a *attempt) tls(underWay bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.securing = underWay
}

// abandon ends the attempt, whose result does not matter any more, and waits
// for that unless it is in a hook, or aborted is closed.
func (a *attempt) abandon(cancel context.CancelFunc, aborted <-chan struct{}) {
	cancel()
	a.mu.Lock()
	a.abandoned = true
	inHook, tr := a.phase == PhaseHook, a.tr
	a.mu.Unlock()
	if tr != nil { // a hook may be waiting for it
		tr.Kill()
	}
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
	select {
	case <-a.ended:
	case <-time.After(joinAttempt):
	case <-aborted:
	}
}

// failure describes an attempt that ended with err.
func (a *attempt) failure(err error) Failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := Failure{Phase: a.phase, Code: -1, Err: err, prior: -1}
	if a.last != nil && a.last.HTTPStatus != 0 {
		f.prior = a.last.HTTPStatus
	}
	switch {
	case a.phase == PhaseHook && a.peer != nil:
		f.Initiator, f.Code, f.Reason, f.shown = a.peer.Initiator, a.peer.Code, a.peer.Reason, a.peer.shown
	case a.phase == PhaseHook:
		f.Initiator = Local
	case handshake.IsNetworkError(err):
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
		f.RetryAfter = handshake.RetryAfter(resp, time.Now())
	}
	return f
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

// A browser holds the sockets where Client.pings is false, which a test can set.
// What follows is what it does not let a page do.

// insteadOfHeader is what a page can do for an Authorization.
const insteadOfHeader = "put a token into the URL or a subprotocol, or use a cookie"

// useless says which fields a browser has no use for.
func (cfg *Config) useless() error {
	var errs []error
	for _, field := range []struct {
		set           bool
		name, instead string
	}{
		{len(cfg.Header) > 0, "Header", "a page sets no headers; " + insteadOfHeader},
		{cfg.HTTPClient != nil, "HTTPClient", "the browser makes the connection by its own settings of proxies, certificates and cookies"},
		{cfg.Compression != CompressionDisabled, "Compression", "the browser offers compression by itself"},
	} {
		if field.set {
			errs = append(errs, fmt.Errorf("wsnotify: Config.%s is of no use in a browser, leave it out: %s", field.name, field.instead))
		}
	}
	return errors.Join(errs...)
}
