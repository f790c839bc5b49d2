package wsnotify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/wsnotify/wsnotify/internal/handshake"
	"github.com/wsnotify/wsnotify/internal/inbox"
	"github.com/wsnotify/wsnotify/internal/outbox"
	"github.com/wsnotify/wsnotify/internal/transport"
)

// Client is a WebSocket that stays connected. Make one with New. Its methods
// may be called from any goroutine, and from every callback.
type Client struct {
	cfg    Config // with its defaults; never changed
	cfgErr error
	made   bool                            // by New
	pings  bool                            // protocol pings can be sent: no browser holds the sockets
	onWake func(wake func()) (stop func()) // see transport.OnWake

	state            tracker
	contexts         atomic.Pointer[runContext] // of the runs whose messages may be at hand
	inbox            inbox.Queue
	callbacks        callbacks
	reading          reading
	named            bool        // Heartbeat.Replies are the user's
	ownPolicy        bool        // Config.BackOff is not
	asking           atomic.Bool // Heartbeat.TextFunc runs
	handlers         handlers
	notificationSubs subscribers[Notification]
	messageSubs      subscribers[Message]
	opened           uint64         // connections so far; handed from owner to owner
	recorder         *recorder      // nil without Config.Record
	resume           *resume        // nil without a Config.Resume
	subscriptions    *subscriptions // nil without a Config.Subscriptions

	mu    sync.Mutex
	run   *run     // the latest; nil before the first
	begun watchers // of a change of that

	outbox *outbox.Outbox // for every run
}

// New returns a client that is Closed. It dials nothing; a wrong Config is
// reported by Connect.
func New(cfg Config) *Client {
	c := &Client{
		made: true, cfg: cfg.withDefaults(), named: cfg.Heartbeat.Replies != nil, ownPolicy: cfg.BackOff == nil,
		pings: transport.Pings, onWake: transport.OnWake,
	}
	if c.cfgErr = c.cfg.validate(); !c.pings {
		c.cfgErr = errors.Join(c.cfgErr, c.cfg.useless())
	}
	c.state.init()
	c.notificationSubs.busy, c.messageSubs.busy = c.inbox.Loop, c.inbox.Loop
	c.callbacks.init(c.cfg.SlowCallback, c.slowCallback)
	c.notificationSubs.wait = func() { c.callbacks.enter(nameLoop) }
	c.messageSubs.wait, c.inbox.OnIdle = c.notificationSubs.wait, c.callbacks.idle
	c.inbox.Limit = inbox.Limit{Messages: c.cfg.Inbox.Messages, Bytes: c.cfg.Inbox.Bytes}
	c.inbox.Dispatch, c.inbox.Count = c.dispatch, c.received
	c.reading = newReading(c.cfg.Envelope)
	c.recorder = newRecorder(c)
	if c.resume = newResume(c); c.resume != nil {
		c.inbox.Handled = c.resume.dispatched
	}
	c.subscriptions = newSubscriptions(c)
	c.notificationSubs.resume, c.messageSubs.resume = c.resume, c.resume
	c.outbox = outbox.New(c.outboxConfig())
	c.load()
	return c
}

// Connect dials url + userID and returns nil once the connection is Open. From
// then on the client stays connected until Disconnect or CloseWith, or until the
// policy gives up; ctx no longer matters. If there is no connection, Connect
// returns the *GiveUpError of the policy, ErrClosed if the client was closed
// meanwhile, or an error that wraps ctx.Err() and says why there was no
// connection; then the client does nothing any more. The hooks get the values of
// ctx.
//
// The userID is escaped, so that it can't change the path or the query. If it is
// empty, url is dialled as it is. A bad url or Config is an error at once, and
// changes nothing.
//
// A client that is connected or connecting is ended first, as by Disconnect, and
// starts again with an empty outbox.
func (c *Client) Connect(ctx context.Context, url, userID string) error {
	r, err := c.begin(ctx, url, userID, false)
	if err != nil {
		return err
	}
	select {
	case <-r.opened:
	case <-r.over:
	}
	if isClosed(r.opened) { // and perhaps over since
		return nil
	}
	r.rethrow()
	if err := r.outcome(); err != nil {
		return err
	}
	return ErrClosed
}

// Run connects as Connect does and returns when everything is over: nil after
// Disconnect, CloseWith or Drain; ctx.Err() after ctx has ended and the connection was
// closed with code 1000; the *GiveUpError of the policy; or ErrClosed if a later
// Connect or Run has taken over. If ctx ends before there was a connection, the
// error is the one that Connect returns. With a Config.DrainTimeout, Run drains the
// connection before it closes it.
//
// If messages were lost at the end, the error is a *DrainError, which counts them
// and wraps the error above. It does not match context.Canceled. A message whose
// callback, or loop body, ends the client itself is not counted.
func (c *Client) Run(ctx context.Context, url, userID string) error {
	r, err := c.begin(ctx, url, userID, true)
	if err != nil {
		return err
	}
	select {
	case <-r.over:
	case <-ctx.Done():
		r.signal()
		<-r.over
	}
	r.rethrow()
	return r.outcome()
}

// begin makes a run the current one and starts it.
func (c *Client) begin(ctx context.Context, url, userID string, stays bool) (*run, error) {
	if !c.made {
		return nil, errNotMade
	}
	if c.cfgErr != nil {
		return nil, c.cfgErr
	}
	u, err := handshake.Address(url, userID)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &run{
		c: c, number: 1, url: u, ctx: ctx, stays: stays,
		runSignals: runSignals{
			stop: make(chan struct{}), aborted: make(chan struct{}), drain: make(chan struct{}),
		},
		runMilestones: runMilestones{opened: make(chan struct{}), over: make(chan struct{}), done: make(chan struct{})},
		runOwner:      runOwner{ctxDone: ctx.Done()},
	}
	if !c.pings {
		r.woke = make(chan struct{}, 1)
	}
	if c.resume != nil {
		r.handlerFailed, r.recovered = make(chan struct{}, 1), make(chan struct{}, 1)
	}
	c.mu.Lock()
	if r.prev = c.run; r.prev != nil {
		r.number = r.prev.number + 1
		r.outbox = c.outbox.Begin()
		r.prev.supersede()
		r.prev.noteOwnEnd()
		if r.prev.wasDone.Load() {
			r.prev = nil // there is nothing to wait for
		}
	} else {
		r.outbox = c.outbox.Latest()
	}
	c.run = r
	c.begun.notify()
	c.mu.Unlock()
	go r.supervise()
	return r, nil
}

// current returns the latest run; nil before the first.
func (c *Client) current() *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.run
}

// Reconnect drops the current connection, with close code 1000, and dials at
// once. If the client waits for its next attempt, the wait ends; call it when the
// network is back. While the client is connecting it does nothing. It counts as an
// attempt, so if the policy allows no more of them the client gives up. It returns
// once the old connection is no longer used, and ErrClosed if the client is
// closed, closing or draining; before the first Connect it is ErrNotConnected.
func (c *Client) Reconnect() error {
	r := c.current()
	switch {
	case !c.made:
		return errNotMade
	case r == nil:
		return errNeverConnected
	}
	return r.reconnect()
}

// Disconnect is CloseWith with code 1000, within CloseTimeout.
func (c *Client) Disconnect() error {
	return c.CloseWith(context.Background(), StatusNormalClosure, "")
}

// Close is Disconnect, so that a Client is an io.Closer.
func (c *Client) Close() error { return c.Disconnect() }

// CloseWith ends whatever the client does: a wait, a dial, a hook, a connection.
// On an open one it sends what is queued and the close frame, and waits for
// the peer's answer, for at most CloseTimeout; ctx can only shorten that. There
// is no reconnect after it.
//
// It returns nil when the closing handshake was completed or there was nothing
// to close, and otherwise an error that says what was missing; the client is
// closed either way. A call while the client is closing waits and returns the same
// result. With a negative CloseTimeout it does not wait for the answer, and a
// missing answer is no error.
//
// code must be 1000, or 3000 to 4999, and reason at most 123 bytes of UTF-8;
// otherwise CloseWith returns an error and changes nothing. While the client is
// connecting they are not used. CloseWith does not wait for callbacks: Done does.
func (c *Client) CloseWith(ctx context.Context, code StatusCode, reason string) error {
	if !c.made {
		return errNotMade
	}
	if err := checkClose(code, reason); err != nil {
		return err
	}
	r := c.current()
	if r == nil || r.isOver() {
		c.closed(r)
		return nil
	}
	r.noteOwnEnd()
	r.end(code, reason)
	select {
	case <-r.over:
	case <-ctx.Done():
		r.abort()
		<-r.over
	}
	c.closed(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closeErr
}

// closed resets the counter of a run that may have given up before it was
// closed, unless a later one counts already.
func (c *Client) closed(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r == c.run {
		c.state.update(func(s *Status) { s.ReconnectAttempts = 0 })
	}
}

// checkClose holds the rules of the WHATWG close() method.
func checkClose(code StatusCode, reason string) error {
	if code != StatusNormalClosure && (code < 3000 || code > 4999) {
		return fmt.Errorf("wsnotify: the close code %d is not for applications; it must be 1000 or 3000 to 4999", code)
	}
	if len(reason) > 123 {
		return fmt.Errorf("wsnotify: the close reason has %d bytes; it must have at most 123", len(reason))
	}
	if !utf8.ValidString(reason) {
		return fmt.Errorf("wsnotify: the close reason %q is not UTF-8, as RFC 6455, section 5.5.1, wants it", reason)
	}
	return nil
}

// Ping sends a protocol ping and returns how long its pong took. The error is
// ErrNotConnected when there is no open connection or it ends meanwhile,
// ErrClosed, or ctx.Err(). While the inbox is full nothing is read, so a Ping in
// a callback would wait for itself: there it returns an error at once. Elsewhere it waits,
// and the time until the pong is read counts. In a browser, which sends no pings for
// a page, the error is always errors.ErrUnsupported, and Status.RTT comes from the
// replies to the heartbeat's text.
func (c *Client) Ping(ctx context.Context) (rtt time.Duration, err error) {
	if !c.made {
		return 0, errNotMade
	}
	if !c.pings {
		return 0, fmt.Errorf("wsnotify: a browser sends no protocol pings for a page; Status.RTT has the time of the heartbeat's replies: %w", errors.ErrUnsupported)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r, cn, err := c.connection()
	if err != nil {
		return 0, err
	}
	answer, stalls := make(chan time.Duration, 1), cn.beats.stallsNext()
	seq := cn.beats.ping(answer)
	rtt, err = awaitAnswer(ctx, cn, answer, stalls)
	switch {
	case err == nil:
		return rtt, nil
	case !cn.beats.forget(seq):
		return <-answer, nil // it came just before
	case err == errEndedUnanswered:
		return 0, r.notConnected()
	case err == errStalled:
		return 0, errPingInCallback
	}
	return 0, err
}

var errPingInCallback = waitsForItself("Ping", "a callback", "that callback: the inbox is full, so no pong is read before it returns")

// closedForEver is what Done returns while nothing goes on.
var closedForEver = func() <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// Done returns a channel that is closed when the latest Connect or Run is over
// and the last callback has returned. It is closed before the first one, too.
// Waiting for it inside a callback blocks forever.
func (c *Client) Done() <-chan struct{} {
	if r := c.current(); r != nil && !r.wasDone.Load() {
		return r.done
	}
	return closedForEver
}

// Err returns why the latest Connect or Run is over: nil while it is not, and
// after Disconnect or Close; a *GiveUpError; or the error of its ctx. For a Run it
// is what that returned.
func (c *Client) Err() error {
	r := c.current()
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// subscriptionRun returns the number of the run whose messages are still to come: that
// of the latest, or of the next if that has no more events.
func (c *Client) subscriptionRun() uint64 {
	r := c.current()
	switch {
	case r == nil:
		return 1
	case r.wasDone.Load():
		return r.number + 1
	}
	return r.number
}

// ended is called behind the last callback of a run.
func (c *Client) ended(r *run) { c.resume.ended(r, func() { c.finished(r) }) }

// finished is the end of a run, of which nothing is left.
func (c *Client) finished(r *run) {
	c.forgetContexts(r)
	c.callbacks.stop()
	r.wasDone.Store(true)
	close(r.done)
	r.mu.Lock()
	superseded := r.superseded
	r.mu.Unlock()
	if !superseded { // else the next one goes on for it
		c.notificationSubs.end(r.number)
		c.messageSubs.end(r.number)
	}
}
