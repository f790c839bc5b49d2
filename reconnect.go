package wsnotify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify/internal/transport"
)

const (
	closeGrace = time.Second            // for the last frames of a connection that ends
	replyGrace = 500 * time.Millisecond // for the answer to the close frame of Reconnect
	noTimeout  = time.Duration(1 << 62)
)

// errReconnect is why Reconnect ended a connection.
var errReconnect = errors.New("wsnotify: Reconnect was called")

// loss is an attempt that failed, or a connection that ended, and what is to
// be told of it.
type loss struct {
	failure Failure
	close   *CloseEvent // nil for an attempt
	report  bool        // an OnError is due
	now     bool        // Reconnect: dial without waiting
}

// supervise is the owner: end what the client did before; then dial; while
// open, serve the connection; then wait, or give up.
func (r *run) supervise() {
	defer r.finish()
	if !r.succeed() {
		return
	}
	if r.backoff = r.c.cfg.BackOff(); r.backoff == nil {
		r.backoff = &backoff.StopBackOff{}
	}
	if r.woke != nil {
		defer r.c.onWake(r.wake)()
	}
	r.resetCounter()
	r.c.state.update(func(s *Status) { s.GaveUp, s.LastFailure = false, nil })
	for {
		var l *loss
		if cn, failure := r.dial(); cn != nil {
			l = r.serve(cn)
		} else if failure != nil {
			l = r.failed(*failure)
		}
		if l == nil || !r.wait(l) {
			return
		}
	}
}

// succeed ends the Connect or Run before this one and waits for it.
func (r *run) succeed() bool {
	if prev := r.prev; prev != nil {
		r.prev = nil
		prev.end(StatusNormalClosure, "")
		select {
		case <-prev.over:
		case <-r.rush:
			prev.hurry()
		case <-r.ctxDone:
			prev.hurry()
		}
		<-prev.over
	}
	return !r.stopping()
}

// dial makes one attempt. It returns neither a connection nor a failure when
// the run is to end.
func (r *run) dial() (*conn, *Failure) {
	if r.stopping() {
		return nil, nil
	}
	timeout := r.c.cfg.DialTimeout
	if timeout < 0 {
		timeout = noTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	a := newAttempt(r)
	r.dials++
	r.enter(Connecting, nil)
	r.listen(nil)
	r.hooks.Go(func() { a.run(ctx) })

	var err error
	select {
	case res := <-a.result:
		if res.err == nil {
			return res.conn, nil
		}
		err = res.err
	case <-ctx.Done():
	case <-r.stop:
	case <-r.ctxDone:
	}
	if ctx.Err() != nil && !errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("wsnotify: no connection within %v: %w", timeout, context.DeadlineExceeded)
	}
	if err != nil {
		failure := a.failure(err)
		a.abandon(cancel)
		return nil, &failure
	}
	r.enter(Closing, nil)
	a.abandon(cancel)
	r.enter(Closed, nil)
	return nil, nil
}

// failed says what an attempt's failure means.
func (r *run) failed(f Failure) *loss {
	r.listen(newRequest())
	r.last = &f
	r.enter(Closed, f.Err)
	return &loss{failure: f, report: true}
}

// serve runs a connection from Open to its end, and returns nil when the run
// is to end too.
func (r *run) serve(cn *conn) *loss {
	req := newRequest()
	r.open(cn, req)
	var stable <-chan time.Time
	if d := r.c.cfg.StableAfter; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		stable = timer.C
	}
	broken := cn.broken
	var lingered <-chan time.Time
	for {
		select {
		case <-cn.ended:
			return r.lost(cn)
		case <-broken:
			// The reader is about to see the same, or a close frame that says
			// more. If it does not, or waits for a callback, the connection is
			// over all the same.
			broken = nil
			lingered = time.After(closeGrace)
		case <-lingered:
			cn.tr.Kill()
			cn.unbind()
		case <-stable:
			r.resetCounter()
		case <-r.woke:
			cn.beats.now()
		case <-req.asked:
			return r.drop(cn, req)
		case <-r.stop:
			r.close(cn)
			return nil
		case <-r.ctxDone:
			r.close(cn)
			return nil
		}
	}
}

// open makes a connection the current one. It can send before it is seen to
// be Open, so that nobody who sees it finds that it can't.
func (r *run) open(cn *conn, req *request) {
	c := r.c
	c.opened = cn.epoch
	if c.cfg.StableAfter == 0 {
		r.resetCounter()
	}
	r.listen(req)
	cn.opened = time.Now()
	r.mu.Lock()
	r.conn = cn
	r.mu.Unlock()
	r.outbox.attach(cn.w)
	r.enter(Open, nil)
	c.onOpen(*cn.event)
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

// lost ends a connection that the peer or the network has ended.
func (r *run) lost(cn *conn) *loss {
	failure, ev, violation := cn.verdict()
	r.listen(newRequest())
	r.outbox.part()
	r.last = &failure
	r.enter(Closed, failure.Err)
	switch {
	case violation:
		cn.w.bye(failure.Code, "", false)
	case ev.WasClean: // its answer, RFC 6455, section 5.5.1
		cn.w.bye(ev.Code, ev.Reason, false)
	}
	if failure.Initiator == Network {
		r.shut(cn, 0)
	} else {
		r.shut(cn, closeGrace)
	}
	return &loss{failure: failure, close: &ev, report: violation || errors.Is(failure.Err, ErrHeartbeatTimeout) || errors.Is(failure.Err, transport.ErrFailed)}
}

// drop ends a connection for Reconnect.
func (r *run) drop(cn *conn, req *request) *loss {
	cn.deafen()
	r.outbox.part()
	own := cn.own(errReconnect)
	r.last = &own
	r.enter(Closed, errReconnect)
	r.answer(req)
	cn.w.bye(StatusNormalClosure, "", false)
	r.await(cn, replyGrace)
	ev, _ := r.localClose(cn, errReconnect)
	r.last = &ev.Failure // with what the peer answered
	r.c.state.update(func(s *Status) { s.LastFailure = r.last })
	return &loss{failure: ev.Failure, close: &ev, now: true}
}

// close ends a connection for Disconnect, Close or ctx.
func (r *run) close(cn *conn) {
	r.mu.Lock()
	code, reason := r.code, r.reason
	r.mu.Unlock()
	if code == 0 { // it was ctx
		code = StatusNormalClosure
	}
	r.listen(nil)
	r.outbox.refuse()
	cn.deafen()
	r.enter(Closing, nil)
	cn.w.bye(code, reason, true)
	r.await(cn, r.c.cfg.CloseTimeout)
	ev, missing := r.localClose(cn, ErrClosed)
	r.mu.Lock()
	r.closeErr = missing
	r.mu.Unlock()
	r.last = &ev.Failure
	r.enter(Closed, nil)
	r.c.onClose(ev)
}

// await waits for the peer's answer to a close frame.
func (r *run) await(cn *conn, timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-cn.ended:
	case <-timer.C:
	case <-r.rush:
	}
}

// localClose ends a connection that this side has closed. It says how that
// went, and what the closing handshake lacked.
func (r *run) localClose(cn *conn, cause error) (ev CloseEvent, missing error) {
	ev = CloseEvent{Epoch: cn.epoch, Code: StatusAbnormalClosure, Failure: cn.own(cause)}
	grace := time.Duration(0)
	select {
	case <-cn.ended:
		var reply CloseError
		if errors.As(cn.readErr, &reply) {
			ev.Code, ev.Reason, ev.WasClean = reply.Code, reply.Reason, true
			ev.Failure.Code, ev.Failure.Reason = reply.Code, reply.Reason
			grace = closeGrace
		} else {
			missing = fmt.Errorf("wsnotify: the connection ended before the close frame was answered: %w", cn.readErr)
		}
	default:
		missing = errors.New("wsnotify: the peer did not answer the close frame in time")
		if r.c.cfg.CloseTimeout < 0 {
			grace = closeGrace // for the frame itself
		}
	}
	r.shut(cn, grace)
	return ev, missing
}

// shut joins everything of a connection.
func (r *run) shut(cn *conn, grace time.Duration) {
	cn.shut(grace)
	r.mu.Lock()
	r.conn = nil
	r.mu.Unlock()
}

// wait asks the policy, tells what happened and what will, and waits for the
// next attempt. It returns false when there is none.
func (r *run) wait(l *loss) bool {
	c := r.c
	if l.report {
		c.report(l.failure.Err)
	}
	delay, again := r.next(l)
	stopping := r.stopping()
	again = again && !stopping
	if l.close != nil {
		l.close.WillReconnect = again
		c.onClose(*l.close)
	}
	if stopping {
		return false
	}
	if !again {
		r.giveUp(l.failure)
		return false
	}
	r.attempts++
	c.state.update(func(s *Status) {
		s.ReconnectAttempts = r.attempts
		s.NextAttempt = time.Now().Add(delay)
	})
	c.onReconnecting(ReconnectEvent{Attempt: r.attempts, Delay: delay, Failure: l.failure})
	defer c.state.update(func(s *Status) { s.NextAttempt = time.Time{} })

	r.mu.Lock()
	req := r.request
	r.mu.Unlock()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.asked:
	case <-r.woke:
	case <-r.stop:
		return false
	case <-r.ctxDone:
		return false
	}
	return true
}

// next asks the policy for a further attempt.
func (r *run) next(l *loss) (delay time.Duration, again bool) {
	if l.now {
		// Reconnect overrules ShouldReconnect, but not the cap.
		return 0, r.backoff.NextBackOff() >= 0
	}
	if should := r.c.cfg.ShouldReconnect; should != nil {
		answer := make(chan bool, 1)
		r.hooks.Go(func() { answer <- should(l.failure) })
		select {
		case yes := <-answer:
			if !yes {
				return 0, false
			}
		case <-r.stop:
			return 0, false
		case <-r.ctxDone:
			return 0, false
		}
	}
	delay = r.backoff.NextBackOff()
	if delay < 0 { // backoff.Stop
		return 0, false
	}
	return max(delay, l.failure.RetryAfter), true
}

func (r *run) giveUp(f Failure) {
	err := &GiveUpError{Attempts: r.dials, Failure: f}
	r.outbox.refuse()
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
	r.gaveUp = true
	r.c.state.update(func(s *Status) { s.GaveUp = true })
	r.c.onGiveUp(err)
}

// finish is the last that the owner does.
func (r *run) finish() {
	r.outbox.refuse()
	r.mu.Lock()
	if !r.gaveUp && !r.told {
		r.err = r.ctx.Err()
	}
	r.mu.Unlock()
	if !r.gaveUp {
		r.resetCounter()
	}
	r.outbox.finish()
	close(r.over)
	r.listen(nil)
	r.hooks.Wait() // of hooks that were abandoned
	r.c.inbox.tell(func() { r.c.ended(r) })
}

// enter changes the state and tells so.
func (r *run) enter(to ReadyState, cause error) {
	c := r.c
	if to == Connecting {
		r.epoch = c.opened + 1
	}
	from := c.state.enter(to, func(s *Status) {
		s.Epoch, s.OpenSince, s.LastFailure = r.epoch, time.Time{}, r.last
		switch to {
		case Open:
			s.OpenSince = time.Now()
			if r.epoch > 1 {
				s.Reconnects++
			}
		case Closed:
			s.Epoch = c.opened
		}
	})
	c.onStateChange(StateChange{From: from, To: to, Epoch: r.epoch, Cause: cause})
}

func (r *run) resetCounter() {
	r.attempts, r.dials = 0, 0
	if r.backoff != nil {
		r.backoff.Reset()
	}
	r.c.state.update(func(s *Status) { s.ReconnectAttempts = 0 })
}
