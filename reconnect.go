package wsnotify

import (
	"context"
	"time"
)

const noTimeout = time.Duration(1 << 62)

// loss is an attempt that failed, or a connection that ended, and what is to
// be reported of it.
type loss struct {
	failure Failure
	close   *CloseEvent // nil for an attempt
	report  bool        // an OnError is due
	now     bool        // Reconnect: dial without waiting
}

// supervise is the owner: end what the client did before; then dial; while
// open, serve the connection; then wait, or give up.
func (r *run) supervise() {
	if !r.awaitPredecessor() || !r.load() || !r.c.resume.begin(r) || !r.choosePolicy() {
		r.finish()
		return
	}
	if r.woke != nil {
		r.unwake = r.c.onWake(r.wake)
	}
	r.goOn()
}

// goOn is the loop of supervise. It returns at the end, and also while an open
// connection wants nothing of the owner: signal starts it again then.
func (r *run) goOn() {
	for {
		var l *loss
		if r.serving.cn == nil {
			if cn, failure := r.dial(); cn != nil {
				r.open(cn)
			} else if failure != nil {
				l = r.failed(*failure)
			}
		}
		if r.serving.cn != nil {
			var rests bool
			if l, rests = r.serve(); rests {
				return // what is the owner's may be another goroutine's by now
			}
		}
		if l == nil || !r.wait(l) {
			break
		}
	}
	if r.unwake != nil {
		r.unwake()
	}
	r.finish()
}

// awaitPredecessor ends the Connect or Run before this one and waits for it.
func (r *run) awaitPredecessor() bool {
	if prev := r.prev; prev != nil {
		r.prev, r.prevDone = nil, prev.done
		prev.end(StatusNormalClosure, "")
		select {
		case <-prev.over:
		case <-r.aborted:
			prev.abort()
		case <-r.ctxDone:
			prev.abort()
		}
		<-prev.over
		r.mu.Lock()
		if r.isEnding { // Close came meanwhile: it gets how the closing went
			r.closeErr = prev.closeErr
		}
		r.mu.Unlock()
	}
	r.c.state.update(func(s *Status) { s.ReconnectAttempts, s.GaveUp, s.LastFailure = 0, false, nil })
	return !r.stopping()
}

// load waits until the Store is loaded, so that what it holds is in the outbox
// before the connection is, and so that OnError is called first. If that takes
// long, it goes on meanwhile. A panic of the Store goes on in Connect or Run.
func (r *run) load() bool {
	l := r.c.outbox.Load()
	if l == nil {
		return true
	}
	select {
	case <-l.Over():
		panicked, err := l.Result()
		if panicked != nil {
			r.panicked = panicked
			return false
		}
		if err != nil {
			r.c.report(err)
		}
		return true
	case <-time.After(loadGrace):
	case <-r.stop:
	case <-r.ctxDone:
	case <-r.drain:
	}
	r.hooks.Go(func() {
		<-l.Over()
		if _, err := l.Result(); err != nil {
			r.c.report(err)
		}
	})
	return !r.stopping()
}

// choosePolicy makes the policy of this run.
func (r *run) choosePolicy() bool {
	var policy BackOff
	if !r.askPolicy(func() { policy = r.c.cfg.BackOff() }) {
		return false
	}
	if policy == nil {
		policy = never{}
	}
	r.backoff = policy
	return r.resetPolicy()
}

// resetPolicy begins the policy's own clock, too (backoff's MaxElapsedTime):
// it counts how long attempts fail, and so not from the Open of a
// connection, but from its loss.
func (r *run) resetPolicy() bool { return r.askPolicy(r.backoff.Reset) }

// askPolicy is ask, which spares a goroutine where the policy is not the user's: three
// calls come before Open.
func (r *run) askPolicy(f func()) bool {
	if r.c.ownPolicy {
		f()
		return true
	}
	return r.ask(f)
}

// dial makes one attempt. It returns neither a connection nor a failure when
// the run is to end.
func (r *run) dial() (*conn, *Failure) {
	if !r.awaitDial() {
		return nil, nil
	}
	timeout := r.c.cfg.DialTimeout
	if timeout < 0 {
		timeout = noTimeout
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), timeout)
	defer cancel()
	a := newAttempt(r)
	r.c.resume.dialling(a.req, r.c.opened)
	r.dials++
	r.leftNoted = false
	r.c.inbox.BeginAttempt()
	r.enter(Connecting, nil)
	r.setReconnectRequest(nil, nil)
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
	case <-r.drain:
	}
	if ctx.Err() != nil {
		err = a.timedOut(timeout, err)
	}
	if err != nil {
		failure := a.failure(err)
		a.abandon(cancel, r.aborted)
		return nil, &failure
	}
	underway := a.where()
	r.underway = &underway
	r.enter(Closing, nil)
	a.abandon(cancel, r.aborted)
	r.enter(Closed, nil)
	return nil, nil
}

// failed says what an attempt's failure means.
func (r *run) failed(f Failure) *loss {
	r.setReconnectRequest(newReconnectRequest(), nil)
	r.last = &f
	r.c.recorder.failed(r.url, f)
	r.enter(Closed, f.Err)
	return &loss{failure: f, report: true}
}

// wait asks the policy, reports what happened and what will, and waits for the
// next attempt. It returns false when there is none.
func (r *run) wait(l *loss) bool {
	c := r.c
	c.state.failures.add(&l.failure)
	if l.report {
		c.reportAttempt(l.failure.Err)
	}
	var delay time.Duration
	var again bool
	if !r.stopping() {
		delay, again = r.next(l)
	}
	stopping := r.stopping()
	again = again && !stopping
	if l.close != nil {
		l.close.WillReconnect = again
		c.onClose(*l.close)
	}
	if stopping {
		return false
	}
	r.leftNoted = false
	if !again {
		r.giveUp(l.failure)
		return false
	}
	r.attempts++
	c.state.retried.add(&l.failure)
	c.state.update(func(s *Status) {
		s.ReconnectAttempts = r.attempts
		s.NextAttempt = time.Now().Add(delay)
	})
	c.onReconnecting(ReconnectEvent{Attempt: r.attempts, Delay: delay, Failure: l.failure})
	defer c.state.update(func(s *Status) { s.NextAttempt = time.Time{} })

	r.mu.Lock()
	req := r.reconnectReq
	r.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-req.requested:
	case <-r.woke:
	case <-r.stop:
	case <-r.ctxDone:
	case <-r.drain:
	}
	return true // dial finds out whether the run is to end
}

// next asks the policy for a further attempt. Reconnect overrules
// ShouldReconnect, but not the cap.
func (r *run) next(l *loss) (delay time.Duration, again bool) {
	yes := true // and if it ends its goroutine: as without it
	if should := r.c.cfg.ShouldReconnect; should != nil && !l.now {
		if !r.ask(func() { yes = should(l.failure) }) {
			return 0, false
		}
	}
	now := l.now || r.reconnectRequested()
	if !yes && !now {
		return 0, false
	}
	next := Stop
	if !r.askPolicy(func() { next = r.backoff.NextBackOff() }) || next < 0 {
		return 0, false
	}
	if now || r.reconnectRequested() {
		return 0, true
	}
	return max(next, l.failure.RetryAfter), true
}

func (r *run) giveUp(f Failure) {
	err := &GiveUpError{Attempts: r.dials, Failure: f}
	r.outbox.Close()
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
	r.gaveUp = true
	r.c.state.update(func(s *Status) { s.GaveUp = true })
	r.c.onGiveUp(err)
}

// finish is the last that the owner does.
func (r *run) finish() {
	r.noteLeft(false)
	r.setDrainErr(ErrNotConnected)
	r.conclude()
	r.outbox.Close()
	if r.cancelled {
		r.mu.Lock()
		r.err = r.ctxError()
		r.mu.Unlock()
	}
	if !r.gaveUp {
		r.resetCounter()
	}
	counted := make(chan struct{})
	if o := &r.c.cfg.Outbox; o.ConfirmID != nil || o.Resend { // what is reported late must not be counted twice
		r.c.inbox.Notify(func() { <-counted })
	}
	r.countLeft(r.outbox.Finish())
	close(counted)
	r.hooks.Go(func() { <-r.outbox.Reported() })
	r.awaitStores()
	r.setReconnectRequest(nil, r.notConnected())
	r.wasOver.Store(true)
	close(r.over)
	if r.cancel != nil {
		r.cancel()
	}
	r.c.recorder.finish()
	r.hooks.Wait() // of hooks that were abandoned
	if r.prevDone != nil {
		<-r.prevDone // and those of the run before
	}
	r.c.inbox.Notify(func() { r.c.ended(r) })
}

// awaitStores gives the Stores what is left of CloseTimeout to remove the
// messages that are done, and to save the positions. Done waits for the rest.
func (r *run) awaitStores() {
	removed, saved := r.c.outbox.Removed(), r.c.resume.save()
	if removed == nil && saved == nil {
		return
	}
	stored := make(chan struct{})
	r.hooks.Go(func() {
		defer close(stored)
		for _, done := range []<-chan struct{}{removed, saved} {
			if done != nil {
				<-done
			}
		}
	})
	r.mu.Lock()
	began := r.endingSince
	r.mu.Unlock()
	select {
	case <-stored:
	case <-time.After(r.c.cfg.CloseTimeout - time.Since(began)):
	case <-r.aborted:
	}
}

// enter changes the state and queues its event.
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
			s.Connections++
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
	r.c.state.update(func(s *Status) { s.ReconnectAttempts = 0 })
}
