package wsnotify

import (
	"context"
	"net/url"
	"sync"

	"github.com/wsnotify/wsnotify/internal/outbox"
)

// run is one Connect or Run, from its call to its end. Its owner goroutine is
// the only one that writes the state and asks the policy; the others tell it
// what they want through the channels.
type run struct {
	c      *Client
	number uint64 // of the client's runs: 1 the first
	url    *url.URL
	outbox *outbox.Box
	ctx    context.Context // of the caller who waits
	stays  bool            // Run: ctx matters to the end
	stop   chan struct{}   // closed: end
	rush   chan struct{}   // closed: end without waiting for the peer
	drain  chan struct{}   // closed: end once nothing is left to be done
	opened chan struct{}   // closed by the first Open
	over   chan struct{}   // closed when the owner has returned
	done   chan struct{}   // closed when the last callback has, too
	woke   chan struct{}   // of capacity 1: the page is shown again, or has a network; nil where no page is

	mu         sync.Mutex
	told       bool // stop is closed
	rushed     bool // rush is closed
	draining   bool // drain is closed
	cancelled  bool // it was ctx that ended it
	code       StatusCode
	reason     string
	superseded bool
	own        bool     // a callback or the body of a loop has ended it
	err        error    // why it is over; nil if it was told so
	closeErr   error    // what the closing handshake lacked
	left       left     // what was not done when it was over
	hindrance  error    // why that was not done; nil if the client was closed
	request    *request // what Reconnect would ask for; nil while connecting

	conn *conn // while Open

	// The owner's.
	prev     *run            // to be ended first
	prevDone <-chan struct{} // of that
	ctxDone  <-chan struct{} // nil once it does not matter any more
	backoff  BackOff
	proven   bool   // the connection has reset the counter
	attempts int    // reconnects since the counter was reset
	dials    int    // dials since then
	epoch    uint64 // of the attempt or connection
	last     *Failure
	underway *Phase // of the attempt that was under way when the run was to end
	gaveUp   bool
	leaving  bool              // left is noted
	reported UndeliveredCounts // before that
	question <-chan struct{}   // closed when the last question is answered
	hooks    sync.WaitGroup    // goroutines that may be in user code
	cancel   func()            // ends the context of the handlers; nil before the first Open
}

// request is a Reconnect that may come.
type request struct {
	asked   chan struct{} // closed by the first Reconnect
	free    chan struct{} // closed while there is nothing to wait for
	done    chan struct{} // closed when it is answered
	err     error         // the answer; valid after done
	isAsked bool
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

// end tells the run to end. The first to do so chooses code and reason.
func (r *run) end(code StatusCode, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(code, reason)
}

// tell is end for those who hold mu.
func (r *run) tell(code StatusCode, reason string) {
	if !r.told {
		r.told, r.code, r.reason = true, code, reason
		close(r.stop)
	}
}

// conclude is end for the owner, whose reason is ctx or a drain.
func (r *run) conclude() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancelled = r.cancelled || !r.told && !r.gaveUp && r.ctxEnded()
	r.tell(StatusNormalClosure, "")
}

// ctxEnded reports whether ctx has ended while it matters.
func (r *run) ctxEnded() bool { return r.ctx.Err() != nil && (r.stays || !isClosed(r.opened)) }

// hurry makes an end that is under way not wait for the peer.
func (r *run) hurry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.rushed {
		r.rushed = true
		close(r.rush)
	}
}

// ask calls f, which is the user's, on a goroutine of its own, so that it may
// do anything there, such as Close, which waits for the owner. It returns false
// when the run is to end first: then f goes on alone, and what it sets must not
// be looked at. An f that ends its goroutine has set nothing. There is one call
// at a time, also when an earlier one was left alone.
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
	default:
	}
}

func newRequest() *request {
	return &request{asked: make(chan struct{}), free: make(chan struct{}), done: make(chan struct{})}
}

// listen sets what a Reconnect asks from now on; nil while it would change
// nothing. One that was asked and not answered is kept for the wait that
// follows, and answered with err when there is none.
func (r *run) listen(req *request, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.request; old != nil && old.isAsked {
		if req != nil {
			return
		}
		old.err = err
		close(old.done)
	}
	r.request = req
}

// answer lets a Reconnect return: it has been done.
func (r *run) answer(req *request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(req.done)
	r.request = newRequest()
}

// asking is called before and after the user's code is asked. A Reconnect that is
// made meanwhile is done once the answer is there, but must not wait for it: the
// user's code may have made it.
func (r *run) asking(begins bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch req := r.request; {
	case req == nil:
	case begins:
		close(req.free)
	default:
		req.free = make(chan struct{})
	}
}

// isAsked reports whether there is a Reconnect to be answered.
func (r *run) isAsked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.request != nil && r.request.isAsked
}

// reconnect asks for a new connection, and returns once the owner is at it.
func (r *run) reconnect() error {
	r.mu.Lock()
	req := r.request
	if r.told || r.draining || r.ctxEnded() || r.isOver() {
		defer r.mu.Unlock()
		return r.whyClosed()
	}
	if req == nil { // it is connecting
		r.mu.Unlock()
		return nil
	}
	if !req.isAsked {
		req.isAsked = true
		close(req.asked)
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

func (r *run) isOver() bool { return isClosed(r.over) }

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
	r.superseded = !r.told
	r.mu.Unlock()
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

// endedHere notes that a callback, or the body of a loop, is about to end the run.
func (r *run) endedHere() {
	if !inCallback() {
		return
	}
	r.mu.Lock()
	r.own = r.own || !r.told
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
	if r.told || r.isOver() {
		return r.whyClosed()
	}
	return ErrNotConnected
}
