package wsnotify

import (
	"context"
	"net/url"
	"sync"

	"github.com/cenkalti/backoff/v4"
)

// run is one Connect or Run, from its call to its end. Its owner goroutine is
// the only one that writes the state and asks the policy; the others tell it
// what they want through the channels.
type run struct {
	c      *Client
	url    *url.URL
	outbox *outbox
	stop   chan struct{} // closed: end
	rush   chan struct{} // closed: end without waiting for the peer
	opened chan struct{} // closed by the first Open
	over   chan struct{} // closed when the owner has returned
	done   chan struct{} // closed when the last callback has, too
	woke   chan struct{} // of capacity 1: the page is shown again, or has a network; nil where no page is

	mu         sync.Mutex
	told       bool // stop is closed
	rushed     bool // rush is closed
	code       StatusCode
	reason     string
	superseded bool
	err        error    // why it is over; nil if it was told so
	closeErr   error    // what the closing handshake lacked
	request    *request // what Reconnect would ask for; nil while connecting
	conn       *conn    // while Open

	// The owner's.
	prev     *run            // to be ended first
	ctx      context.Context // of the caller who waits
	ctxDone  <-chan struct{} // nil once it does not matter any more
	stays    bool            // Run: ctx matters to the end
	backoff  backoff.BackOff
	attempts int    // reconnects since the counter was reset
	dials    int    // dials since then
	epoch    uint64 // of the attempt or connection
	last     *Failure
	gaveUp   bool
	hooks    sync.WaitGroup // goroutines that may be in user code
}

// request is a Reconnect that may come.
type request struct {
	asked, done chan struct{}
	isAsked     bool
}

// stopping reports whether the run has been told to end.
func (r *run) stopping() bool {
	select {
	case <-r.stop:
		return true
	case <-r.ctxDone:
		return true
	default:
		return false
	}
}

// end tells the run to end. The first to do so chooses code and reason.
func (r *run) end(code StatusCode, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.told {
		r.told, r.code, r.reason = true, code, reason
		close(r.stop)
	}
}

// hurry makes an end that is under way not wait for the peer.
func (r *run) hurry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.rushed {
		r.rushed = true
		close(r.rush)
	}
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
	return &request{asked: make(chan struct{}), done: make(chan struct{})}
}

// listen sets what a Reconnect asks from now on; nil while it would change
// nothing. One that was asked and not answered is kept for the wait that
// follows.
func (r *run) listen(req *request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.request; old != nil && old.isAsked {
		if req != nil {
			return
		}
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

// reconnect asks for a new connection, and returns once the owner is at it.
func (r *run) reconnect() error {
	r.mu.Lock()
	req := r.request
	if r.told || r.isOver() {
		r.mu.Unlock()
		return ErrClosed
	}
	if req == nil { // it is connecting
		r.mu.Unlock()
		return nil
	}
	if !req.isAsked {
		req.isAsked = true
		close(req.asked)
	}
	r.mu.Unlock()
	select {
	case <-req.done:
		return nil
	case <-r.over:
		return ErrClosed
	}
}

func (r *run) isOver() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}
