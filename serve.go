package wsnotify

import (
	"errors"
	"fmt"
	"time"

	"github.com/wsnotify/wsnotify/internal/outbox"
	"github.com/wsnotify/wsnotify/internal/transport"
)

const (
	closeGrace = time.Second            // for the last frames of a connection that ends
	replyGrace = 500 * time.Millisecond // for the answer to the close frame of Reconnect
	frameGrace = 20 * time.Millisecond  // for the close frame when there is no time at all
)

// errReconnect is why Reconnect ended a connection.
var errReconnect = errors.New("wsnotify: Reconnect was called")

// serving is what the owner knows of the open connection.
type serving struct {
	cn       *conn // nil while there is none
	req      *reconnectRequest
	isStable bool          // it has been open for StableAfter
	stable   chan struct{} // closed when it has; nil before and after
	timer    *time.Timer   // of stable; nil without a StableAfter
}

// serve runs the connection that is open to its end, and returns nil when the run
// is to end too. While nothing happens to the connection the owner rests: one that waited
// would be a second goroutine of each idle client, and with what a select of many channels
// takes a fourth of its memory.
func (r *run) serve() (l *loss, rests bool) {
	s := &r.serving
	cn, req := s.cn, s.req
	broken, drain := cn.broken, r.drain
	var lingered <-chan time.Time
	var draining bool
	var undone <-chan struct{}
	var drainTimeout <-chan time.Time
	for {
		if broken != nil && !draining && r.rest() {
			return nil, true
		}
		select {
		case <-cn.ended:
			return r.ended(cn, draining), false
		case <-broken:
			// The reader is about to see the same, or a close frame that says
			// more. If it does not, or waits for a callback, the connection is
			// over all the same.
			broken = nil
			lingered = time.After(cn.linger())
		case <-lingered:
			if cn.killed.Load() { // a net.Conn that a user supplies does not end
				return r.ended(cn, draining), false
			}
			cn.end()
			cn.unbind()
			lingered = time.After(cn.linger())
		case <-s.stable:
			s.isStable, s.stable = true, nil
			r.setStable()
		case <-r.recovered:
			if s.isStable {
				r.setStable()
			}
		case <-r.handlerFailed:
			// Else this connection has asked for it. One that is drained is the last.
			if r.c.resume.rewind.Load() && !draining {
				return r.drop(cn, nil, errRedeliver), false
			}
		case <-r.woke:
			cn.beats.now()
		case <-req.requested:
			return r.drop(cn, req, errReconnect), false
		case <-undone:
		case <-drain:
			drain, draining = nil, true
		case <-r.ctxDone:
			if d := r.c.cfg.DrainTimeout; d > 0 && r.stays {
				r.ctxDone, draining = nil, true
				r.beginDrain()
				drainTimeout = time.After(d)
				break
			}
			r.conclude()
			r.close(cn)
			return nil, false
		case <-drainTimeout:
			r.conclude()
			r.close(cn)
			return nil, false
		case <-r.stop:
			r.close(cn)
			return nil, false
		}
		if !draining {
			continue
		}
		if undone = r.undone(); undone == nil {
			if rs := r.c.resume; rs != nil && rs.rewind.Load() {
				r.setDrainErr(errRedeliver)
			}
			r.conclude()
			r.noteLeft(true)
			r.drained()
			r.close(cn)
			return nil, false
		}
	}
}

// rest makes this goroutine end until signal starts another one, and returns false if
// there is something to be done for which serve has a case.
func (r *run) rest() bool {
	for {
		r.owner.Store(ownerAwake)
		if r.isSignalled() {
			return false
		}
		if r.owner.CompareAndSwap(ownerAwake, ownerAtRest) {
			return true
		}
	}
}

// isSignalled checks the channels for which serve has a case.
func (r *run) isSignalled() bool {
	s := &r.serving
	return isClosed(s.cn.ended) || isClosed(s.cn.broken) || isClosed(s.stable) || isClosed(s.req.requested) ||
		len(r.recovered) > 0 || len(r.handlerFailed) > 0 || len(r.woke) > 0 || r.stopping()
}

// signal makes the owner look at the channels of serve, if it is at rest. It is called
// after each change of one of them.
func (r *run) signal() {
	if r.owner.Swap(ownerSignalled) == ownerAtRest {
		go r.goOn()
	}
}

// ended is lost for a run that may be draining.
func (r *run) ended(cn *conn, draining bool) *loss {
	if draining {
		r.setDrainErr(cn.lossErr())
		r.conclude()
	}
	return r.lost(cn)
}

// open makes a connection the current one. It can send before it is seen to
// be Open, so that nobody who sees it finds that it can't.
func (r *run) open(cn *conn) {
	c := r.c
	req := newReconnectRequest()
	r.serving = serving{cn: cn, req: req, isStable: c.cfg.StableAfter == 0}
	c.opened = cn.epoch
	r.stable = false
	if d := c.cfg.StableAfter; d == 0 {
		r.setStable()
	} else {
		stable := make(chan struct{})
		r.serving.stable = stable
		r.serving.timer = time.AfterFunc(d, func() {
			close(stable)
			r.signal()
		})
	}
	r.setReconnectRequest(req, nil)
	cn.opened = time.Now()
	r.mu.Lock()
	r.conn = cn
	r.mu.Unlock()
	c.subscriptions.opened(cn)
	r.outbox.Attach(cn.w)
	r.enter(Open, nil)
	if r.cancel == nil {
		r.cancel = c.addContext(r.ctx, r.number, cn.epoch)
	}
	c.onOpen(*cn.event)
	c.subscriptions.begin()
	cn.event = nil
	cn.start()
	select {
	case <-r.opened:
	default:
		close(r.opened)
		if !r.stays {
			r.ctxDone = nil
		}
	}
}

// setStable resets what counts failures, unless a message is still to be handled
// that has failed.
func (r *run) setStable() {
	if !r.c.resume.recovering() {
		r.stable = true
		r.resetCounter()
		r.resetPolicy()
	}
}

// lost ends a connection that the peer or the network has ended.
func (r *run) lost(cn *conn) *loss {
	failure, ev, violation := cn.outcome(cn.lastErr())
	r.noteLeft(true)
	r.c.subscriptions.closed()
	r.outbox.Part()
	r.last = &failure
	r.enter(Closed, failure.Err)
	r.startPolicyClock()
	switch {
	case violation:
		cn.w.SendClose(int(failure.Code), "", false)
	case ev.WasClean: // its answer, RFC 6455, section 5.5.1
		cn.w.SendClose(int(ev.Code), ev.Reason, false)
	}
	if failure.Initiator == Network {
		r.shut(cn, 0)
	} else {
		r.shut(cn, closeGrace)
	}
	return &loss{failure: failure, close: &ev, report: violation || reported(failure.Err)}
}

// reported says which ends of a connection are an OnError, besides violations.
func reported(err error) bool {
	return errors.Is(err, errUnanswered) || errors.Is(err, ErrHeartbeatTimeout) || errors.Is(err, outbox.ErrConfirmTimeout) || errors.Is(err, transport.ErrFailed)
}

// startPolicyClock is called at the end of a connection, when the client begins to
// retry.
func (r *run) startPolicyClock() {
	if r.stable {
		r.stable = false
		r.resetPolicy()
	}
}

// errRedeliver is why the client ended a connection for a handler that failed.
var errRedeliver = errors.New("wsnotify: a handler returned an error, and its message is to be redelivered")

// drop ends a connection for a reconnect that this side wants: with a request at
// once, else as the policy says.
func (r *run) drop(cn *conn, req *reconnectRequest, cause error) *loss {
	cn.discardIncoming()
	r.noteLeft(true)
	r.c.subscriptions.closed()
	r.outbox.Part()
	own := cn.localFailure(cause)
	r.last = &own
	r.enter(Closed, cause)
	if req != nil {
		r.answerReconnect(req)
	}
	r.startPolicyClock()
	cn.w.SendClose(int(StatusNormalClosure), "", false)
	r.awaitCloseFrame(cn, replyGrace)
	ev, missing := r.localClose(cn, cause)
	if missing == nil {
		r.shut(cn, closeGrace)
	} else {
		r.shut(cn, 0)
	}
	r.last = &ev.Failure // with what the peer answered
	r.c.state.update(func(s *Status) { s.LastFailure = r.last })
	return &loss{failure: ev.Failure, close: &ev, now: req != nil}
}

// close ends a connection for Disconnect, Close, Drain or ctx.
func (r *run) close(cn *conn) {
	r.noteLeft(true)
	r.mu.Lock()
	code, reason := r.code, r.reason
	r.mu.Unlock()
	r.setReconnectRequest(nil, r.notConnected())
	r.outbox.Close()
	cn.discardIncoming()
	r.enter(Closing, nil)
	began := time.Now()
	timeout := r.c.cfg.CloseTimeout
	last := min(timeout/4, closeGrace)
	r.awaitSubscriptions(cn, last)
	// What is queued must not come before the subscriptions.
	cn.w.SendClose(int(code), reason, r.c.subscriptions.closed())
	r.awaitCloseFrame(cn, timeout-last-time.Since(began))
	if last > 0 && !isClosed(cn.ended) && !isClosed(r.aborted) {
		// What has not left by now does not, or the close frame would not, either.
		cn.w.SendClose(int(code), reason, false)
		r.awaitCloseFrame(cn, timeout-time.Since(began))
	}
	ev, missing := r.localClose(cn, ErrClosed)
	var grace time.Duration
	switch {
	case timeout < 0:
		missing, grace = nil, closeGrace // for the frame itself
	case missing == nil:
		grace = min(closeGrace, timeout-time.Since(began))
	default:
		grace = min(frameGrace, timeout) - time.Since(began) // none, unless the end was aborted
	}
	r.shut(cn, grace)
	r.mu.Lock()
	r.closeErr = missing
	r.mu.Unlock()
	r.last = &ev.Failure
	r.enter(Closed, nil)
	r.c.onClose(ev)
}

// awaitSubscriptions lets the first subscriptions of a connection leave, if something is
// queued behind them.
func (r *run) awaitSubscriptions(cn *conn, timeout time.Duration) {
	pending := r.c.subscriptions.pending()
	if queued, _ := r.c.outbox.Counts(); pending == nil || queued == 0 {
		return
	}
	select {
	case <-pending:
	case <-time.After(timeout):
	case <-cn.ended:
	case <-r.aborted:
	}
}

// awaitCloseFrame waits for the peer's answer to a close frame.
func (r *run) awaitCloseFrame(cn *conn, timeout time.Duration) {
	over := time.After(timeout)
	stop := r.stop
	if isClosed(stop) {
		stop = nil // timeout is that of the end
	}
	for {
		select {
		case <-cn.ended:
			return
		case <-over:
			return
		case <-r.aborted:
			return
		case <-stop:
			stop = nil
			if r.c.cfg.CloseTimeout < timeout {
				over = time.After(r.c.cfg.CloseTimeout)
			}
		}
	}
}

// localClose says how the end of a connection went that this side has closed,
// and what the closing handshake lacked.
func (r *run) localClose(cn *conn, cause error) (ev CloseEvent, missing error) {
	ev = CloseEvent{Epoch: cn.epoch, Code: StatusAbnormalClosure, Failure: cn.localFailure(cause)}
	if !isClosed(cn.ended) {
		return ev, errors.New("wsnotify: the peer did not answer the close frame in time")
	}
	var reply CloseError
	if !errors.As(cn.readErr, &reply) {
		return ev, fmt.Errorf("wsnotify: the connection ended before the close frame was answered: %w", cn.secrets.Error(cn.readErr))
	}
	ev.Code, ev.Reason, ev.WasClean = reply.Code, reply.Reason, true
	ev.Failure.Code, ev.Failure.Reason, ev.Failure.shown = reply.Code, reply.Reason, cn.secrets.Hide(reply.Reason)
	return ev, nil
}

// shut joins everything of a connection. Its last frames have grace to leave,
// and less when the run is to end meanwhile.
func (r *run) shut(cn *conn, grace time.Duration) {
	if grace > frameGrace {
		done, joined := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(joined)
			r.abortSlowShut(cn, done)
		}()
		cn.shut(grace)
		close(done)
		<-joined
	} else {
		cn.shut(grace)
	}
	if timer := r.serving.timer; timer != nil {
		timer.Stop()
	}
	r.serving = serving{}
	r.mu.Lock()
	r.conn = nil
	r.mu.Unlock()
}

// abortSlowShut kills the link when an end may not take longer.
func (r *run) abortSlowShut(cn *conn, done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-r.stop: // before it is aborted
	}
	limit := r.c.cfg.CloseTimeout
	if limit < 0 {
		limit = closeGrace
	}
	select {
	case <-done:
		return
	case <-r.aborted:
	case <-time.After(limit):
	}
	cn.tr.Kill()
}
