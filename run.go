package wsnotify

import (
	"context"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/outbox"
)

// run is one Connect or Run, from its call to its end. Its owner goroutine is the only
// one that writes the state and asks the policy; the others signal what they want. There is
// no owner goroutine while an open connection wants nothing of it, see serve.
type run struct {
	// Set when the run begins.
	c      *Client
	number uint64 // of the client's runs: 1 the first
	url    *url.URL
	outbox *outbox.Session
	ctx    context.Context // of the caller who waits
	stays  bool            // Run: ctx matters to the end

	runSignals
	runMilestones
	owner atomic.Int32 // ownerAwake, ownerSignalled or ownerAtRest

	mu           sync.Mutex
	runEnd                         // guarded by mu
	reconnectReq *reconnectRequest // what a Reconnect requests; nil while connecting; guarded by mu
	conn         *conn             // while Open; written by the owner, guarded by mu

	runOwner
	panicked any            // by the Store; written by the owner, valid after over
	hooks    sync.WaitGroup // goroutines that may be in user code
}

// Values of run.owner.
const (
	ownerAwake     = iota // there is a goroutine
	ownerSignalled        // likewise, and it must check its channels before it rests
	ownerAtRest           // there is none
)

// runSignals are what others want of the owner. The first three are closed under mu; the
// others have capacity 1. Whoever changes one calls signal.
type runSignals struct {
	stop          chan struct{} // closed: end
	aborted       chan struct{} // closed: end without waiting for the peer
	drain         chan struct{} // closed: end once nothing is left to be done
	handlerFailed chan struct{} // a message is to be redelivered; nil without Config.Resume
	recovered     chan struct{} // it was handled; likewise
	woke          chan struct{} // the page is shown again, or has a network; nil where no page is
}

// runMilestones are what others wait for. The owner closes the first two, the
// dispatcher the last.
type runMilestones struct {
	opened chan struct{} // closed by the first Open
	over   chan struct{} // closed when the owner has returned
	done   chan struct{} // closed when the last callback has, too

	// As over and done, for those who don't wait: a client that is done may be used in
	// another bubble of synctest, where nobody may receive from its channels.
	wasOver, wasDone atomic.Bool
}

// runEnd says how a run is to end, and how it did.
type runEnd struct {
	isEnding    bool // stop is closed
	endingSince time.Time
	isAborted   bool // aborted is closed
	draining    bool // drain is closed
	cancelled   bool // it was ctx that ended it
	superseded  bool // a later Connect has taken over
	ownEnd      bool // a callback or the body of a loop has ended it
	code        StatusCode
	reason      string
	err         error // why it is over; nil if somebody closed the client
	closeErr    error // what the closing handshake lacked
	left        left  // what was not done when it was over
	drainErr    error // why that was not done; nil if the client was closed
}

// runOwner is the owner goroutine's alone.
type runOwner struct {
	prev      *run            // to be ended first
	prevDone  <-chan struct{} // of that
	ctxDone   <-chan struct{} // nil once it does not matter any more
	question  <-chan struct{} // closed when the last question is answered
	cancel    func()          // ends the context of the handlers; nil before the first Open
	unwake    func()          // ends calls of wake; nil where no page is
	serving   serving
	gaveUp    bool
	leftNoted bool              // left is noted
	reported  UndeliveredCounts // before that
	retries
}

// retries are the attempts of a run and the policy that counts them.
type retries struct {
	backoff  BackOff
	stable   bool         // the connection has reset the counter
	attempts int          // reconnects since the counter was reset
	dials    int          // dials since then
	epoch    uint64       // of the attempt or connection
	last     *Failure     // of the attempt or connection before
	underway *whereabouts // of the attempt that was under way when the run was to end
}

// reconnectRequest is a Reconnect that may come. Its fields are guarded by mu of the run.
type reconnectRequest struct {
	requested   chan struct{} // closed by the first Reconnect
	done        chan struct{} // made by the first Reconnect, and closed when it is answered
	err         error         // the answer; valid after done
	isRequested bool
	isFree      bool          // there is nothing to wait for
	free        chan struct{} // closed when that becomes so; nil if nobody waits
}

// stopping reports whether the run is to end, though not at once if it drains
// a connection.
func (r *run) stopping() bool {
	select {
	case <-r.stop:
		return true
	case <-r.ctxDone:
		return true
	case <-r.drain:
		return true
	default:
		return false
	}
}

// end makes the run end. The first caller chooses code and reason.
func (r *run) end(code StatusCode, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endLocked(code, reason)
}

// endLocked is end for those who hold mu.
func (r *run) endLocked(code StatusCode, reason string) {
	if !r.isEnding {
		r.isEnding, r.endingSince, r.code, r.reason = true, time.Now(), code, reason
		close(r.stop)
		r.signal()
	}
}

// conclude is end for the owner, whose reason is ctx or a drain.
func (r *run) conclude() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancelled = r.cancelled || !r.isEnding && !r.gaveUp && r.ctxEnded()
	r.endLocked(StatusNormalClosure, "")
}

// ctxEnded reports whether ctx has ended while it matters.
func (r *run) ctxEnded() bool { return r.ctx.Err() != nil && (r.stays || !isClosed(r.opened)) }

// abort makes an end that is under way not wait for the peer.
func (r *run) abort() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isAborted {
		r.isAborted = true
		close(r.aborted)
	}
}

// ask calls f, which is the user's, on a goroutine of its own, so that it may
// do anything there, such as Close, which waits for the owner. It returns false
// when the run is to end first: then f goes on alone, and nobody may read what it
// sets. An f that ends its goroutine has set nothing. There is one call at a time, also
// when an earlier one goes on alone.
func (r *run) ask(f func()) bool {
	r.asking(true)
	defer r.asking(false)
	done, before := make(chan struct{}), r.question
	r.question = done
	r.hooks.Go(func() {
		defer close(done)
		if before != nil {
			<-before
		}
		f()
	})
	select {
	case <-done:
		r.question = nil
		return true
	case <-r.stop:
	case <-r.ctxDone:
	case <-r.drain:
	}
	return false
}

// wake is called by the page of a browser. One that comes while the run is
// connecting cuts the wait short that follows.
func (r *run) wake() {
	select {
	case r.woke <- struct{}{}:
		r.signal()
	default:
	}
}

// redeliver asks for a new connection, on which a message that was not handled is
// redelivered.
func (r *run) redeliver() {
	select {
	case r.handlerFailed <- struct{}{}:
		r.signal()
	default:
	}
}

// spawn starts a goroutine that Done waits for.
func (r *run) spawn(f func()) { r.hooks.Go(f) }

func newReconnectRequest() *reconnectRequest {
	return &reconnectRequest{requested: make(chan struct{})}
}

// request is called with mu of the run.
func (req *reconnectRequest) request() {
	if !req.isRequested {
		req.isRequested = true
		req.done = make(chan struct{})
		close(req.requested)
	}
}

// setReconnectRequest sets what a Reconnect requests from now on; nil while it would change
// nothing. A request that is not answered yet stays for the wait that follows, and is
// answered with err when there is none.
func (r *run) setReconnectRequest(req *reconnectRequest, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.reconnectReq; old != nil && old.isRequested {
		if req != nil {
			return
		}
		old.err = err
		close(old.done)
	}
	r.reconnectReq = req
}

// answerReconnect lets a Reconnect return: it has been done.
func (r *run) answerReconnect(req *reconnectRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(req.done)
	r.reconnectReq = newReconnectRequest()
}

// asking is called before and after a call of ShouldReconnect or the policy. A Reconnect
// that is made meanwhile takes effect once that has returned, but must not wait for it:
// the user's code may have made it.
func (r *run) asking(before bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	req := r.reconnectReq
	if req == nil {
		return
	}
	if req.isFree = before; before && req.free != nil {
		close(req.free)
		req.free = nil
	}
}

// reconnectRequested reports whether there is a Reconnect to be answered.
func (r *run) reconnectRequested() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reconnectReq != nil && r.reconnectReq.isRequested
}

// reconnect asks for a new connection, and returns once the owner is at it.
func (r *run) reconnect() error {
	r.mu.Lock()
	req := r.reconnectReq
	if r.isEnding || r.draining || r.ctxEnded() || r.isOver() {
		defer r.mu.Unlock()
		return r.whyClosed()
	}
	if req == nil { // it is connecting
		r.mu.Unlock()
		return nil
	}
	req.request()
	r.signal()
	if req.isFree {
		r.mu.Unlock()
		return nil
	}
	if req.free == nil {
		req.free = make(chan struct{})
	}
	free := req.free
	r.mu.Unlock()
	select {
	case <-req.done:
		return req.err
	case <-free:
		return nil
	}
}

func (r *run) isOver() bool { return r.wasOver.Load() }

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// supersede lets the run end as one that a later Connect has taken over.
func (r *run) supersede() {
	r.mu.Lock()
	r.superseded = !r.isEnding
	r.mu.Unlock()
}

// rethrow lets a panic of the Store go on in the user's call.
func (r *run) rethrow() {
	if r.panicked != nil {
		panic(r.panicked)
	}
}

// outcome is what Run returns.
func (r *run) outcome() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.superseded && r.err == nil {
		return errSuperseded
	}
	return r.err
}

// noteOwnEnd notes that a callback, or the body of a loop, is about to end the run.
func (r *run) noteOwnEnd() {
	if !r.c.inCallback() {
		return
	}
	r.mu.Lock()
	r.ownEnd = r.ownEnd || !r.isEnding
	r.mu.Unlock()
}

// whyClosed is the error of a method whose run is over, or about to be. mu is
// held.
func (r *run) whyClosed() error {
	if r.superseded {
		return errSuperseded
	}
	return ErrClosed
}

// notConnected says why there is no connection any more.
func (r *run) notConnected() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isEnding || r.isOver() {
		return r.whyClosed()
	}
	return ErrNotConnected
}
