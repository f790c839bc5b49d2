package wsnotify

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ReadyState is the state of the client's current socket, with the names and
// numbers of the WHATWG WebSocket interface.
type ReadyState int

const (
	// Connecting means that a dial is under way, hooks included.
	Connecting ReadyState = iota
	// Open means that messages flow.
	Open
	// Closing means that Disconnect or Close is at work.
	Closing
	// Closed means that there is no socket: before the first Connect, after
	// the end, and while the client waits for its next attempt.
	Closed
)

// String returns the name in the WHATWG spelling, such as "CONNECTING".
func (s ReadyState) String() string {
	switch s {
	case Connecting:
		return "CONNECTING"
	case Open:
		return "OPEN"
	case Closing:
		return "CLOSING"
	case Closed:
		return "CLOSED"
	}
	return fmt.Sprintf("ReadyState(%d)", int(s))
}

// legalEdges holds the states that may follow each state.
var legalEdges = [...][]ReadyState{
	Connecting: {Open, Closing, Closed},
	Open:       {Closing, Closed},
	Closing:    {Closed},
	Closed:     {Connecting},
}

func legal(from, to ReadyState) bool {
	for _, s := range legalEdges[from] {
		if s == to {
			return true
		}
	}
	return false
}

// Status is a snapshot of a Client.
type Status struct {
	ReadyState        ReadyState
	Epoch             uint64    // number of the current or last connection; 0 before the first
	ReconnectAttempts int       // reconnects scheduled since the counter was last reset, as ReconnectAttempts()
	NextAttempt       time.Time // when the next attempt begins; zero unless the client waits for it
	GaveUp            bool      // the policy ended the last Connect or Run
	LastFailure       *Failure  // why the last attempt or connection ended; nil if none did

	OpenSince    time.Time     // zero unless Open
	LastReceived time.Time     // when the last byte came from the server; zero before the first
	RTT          time.Duration // of the last ping that was answered; zero before the first

	// Application messages since New, heartbeats not counted.
	MessagesIn, MessagesOut uint64
	BytesIn, BytesOut       uint64

	// What ended attempts and connections since New, except by Disconnect,
	// CloseWith, Drain and ctx; and those of them that a reconnect was scheduled for.
	Failures, FailuresRetried FailureCounts

	Connections uint64 // opened since New
	Reconnects  uint64 // those of them after the first
	Queued      int    // messages in the outbox
	Unconfirmed int    // those of them that were written and wait for Client.Confirm
	Resent      uint64 // messages that were written again, after the end of the connection before
	// Keys of Client.Subscribe: all of them, and of these the active and the
	// refused ones.
	Subscriptions struct{ Wanted, Active, Refused int }

	Duplicates  uint64 // received messages that were dropped, since Config.Resume knew their positions
	Gaps        uint64 // that Resume.OnGap was called for, or would have been
	Limited     bool   // messages wait for the Outbox.Limiter
	Undelivered uint64 // messages that were reported to OnUndelivered, or would have been

	UndeliveredBy UndeliveredCounts // those, by reason

	// The way of received messages to the callbacks.
	InboxQueued   int       // messages whose callbacks have not all returned, as Inbox.Messages counts them
	InboxBytes    int       // their bytes, as Inbox.Bytes counts them
	CallbackSince time.Time // when the callback began that runs now, within half a second; zero if none runs
	Unhandled     uint64    // notifications since New that no callback, handler, iterator or Subscriptions.Confirm took; content of a wrong type is a DecodeError, and not counted
}

// tracker holds what Status shows. The owner goroutine of the current run is
// the only writer of the state; readers take mu for moments and never wait
// for anything else.
type tracker struct {
	ready atomic.Int32 // as status.ReadyState, to be read without mu

	mu      sync.Mutex
	status  Status      // without the counters below
	entered [4]watchers // of each state

	messagesIn, messagesOut, bytesIn, bytesOut atomic.Uint64
	resent, unhandled                          atomic.Uint64
	unnamed                                    atomic.Bool // a message without the fields of a notification was logged
	undelivered                                reasonCounter
	failures, retried                          causeCounter
	lastReceived                               atomic.Int64 // UnixNano
	rtt                                        atomic.Int64
}

func (t *tracker) init() {
	t.status.ReadyState = Closed
	t.ready.Store(int32(Closed))
}

func (t *tracker) readyState() ReadyState { return ReadyState(t.ready.Load()) }

// enter moves to a state and returns the one before. An edge that is not
// legal is a mistake of this package, found by its tests.
func (t *tracker) enter(to ReadyState, update func(*Status)) (from ReadyState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from = t.status.ReadyState
	if !legal(from, to) {
		panic(fmt.Sprintf("wsnotify: a bug of this package, please report it: the state becomes %v after %v", to, from))
	}
	t.status.ReadyState = to
	if update != nil {
		update(&t.status)
	}
	t.ready.Store(int32(to))
	t.entered[to].notify()
	return from
}

// watchers wait for something that happens now and then, under a lock of whom
// it happens to. Nothing is held while nobody waits: a client that is done may be
// used in another bubble of synctest, where a channel of the last one can't be
// closed.
type watchers struct {
	ch chan struct{} // closed when it happens; nil if nobody waits
	n  int
}

func (w *watchers) join() <-chan struct{} {
	if w.n++; w.ch == nil {
		w.ch = make(chan struct{})
	}
	return w.ch
}

// leave is for one who does not wait for ch any more.
func (w *watchers) leave(ch <-chan struct{}) {
	if w.ch != ch { // it has happened
		return
	}
	if w.n--; w.n == 0 {
		w.ch = nil
	}
}

func (w *watchers) notify() {
	if w.ch != nil {
		close(w.ch)
		*w = watchers{}
	}
}

// reach returns nil when the client is in s now, and otherwise a channel that
// is closed when s is entered next, to be given to leave.
func (t *tracker) reach(s ReadyState) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.status.ReadyState == s {
		return nil
	}
	return t.entered[s].join()
}

func (t *tracker) leave(s ReadyState, reached <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entered[s].leave(reached)
}

// received counts a message.
func (c *Client) received(messages, bytes int) {
	c.state.messagesIn.Add(uint64(messages))
	c.state.bytesIn.Add(uint64(bytes))
}

func (t *tracker) update(f func(*Status)) {
	t.mu.Lock()
	f(&t.status)
	t.mu.Unlock()
}

func (t *tracker) snapshot() Status {
	t.mu.Lock()
	s := t.status
	t.mu.Unlock()
	if s.LastFailure != nil {
		f := *s.LastFailure
		s.LastFailure = &f
	}
	if ns := t.lastReceived.Load(); ns != 0 {
		s.LastReceived = time.Unix(0, ns)
	}
	s.RTT = time.Duration(t.rtt.Load())
	s.MessagesIn, s.BytesIn = t.messagesIn.Load(), t.bytesIn.Load()
	s.MessagesOut, s.BytesOut = t.messagesOut.Load(), t.bytesOut.Load()
	s.Resent, s.Unhandled = t.resent.Load(), t.unhandled.Load()
	s.UndeliveredBy = t.undelivered.load()
	s.Undelivered = s.UndeliveredBy.Closed + s.UndeliveredBy.Expired + s.UndeliveredBy.OutboxFull + s.UndeliveredBy.Unconfirmed
	s.Failures, s.FailuresRetried = t.failures.load(), t.retried.load()
	return s
}

// ReadyState returns the state of the current socket. It never blocks.
func (c *Client) ReadyState() ReadyState {
	if !c.made {
		return Closed
	}
	return c.state.readyState()
}

// IsConnected reports whether the ReadyState is Open.
func (c *Client) IsConnected() bool { return c.ReadyState() == Open }

// ReconnectAttempts returns how many reconnects were scheduled since the
// counter was last reset, as Status.ReconnectAttempts.
func (c *Client) ReconnectAttempts() int {
	return c.Status().ReconnectAttempts
}

// Status returns a consistent snapshot.
func (c *Client) Status() Status {
	if !c.made {
		return Status{ReadyState: Closed}
	}
	s := c.state.snapshot()
	s.Queued, s.Unconfirmed = c.outbox.Counts()
	s.InboxQueued, s.InboxBytes = c.inbox.Held()
	s.CallbackSince = c.callbacks.runningSince()
	s.Limited = c.outbox.Limited()
	if subs := c.subscriptions; subs != nil {
		s.Subscriptions.Wanted, s.Subscriptions.Active, s.Subscriptions.Refused = subs.counts()
	}
	if rs := c.resume; rs != nil {
		s.Duplicates, s.Gaps = rs.duplicates.Load(), rs.gaps.Load()
	}
	return s
}

// WaitFor waits until the client is in a state, or was since the call, and returns
// nil. It returns ctx.Err() if ctx ends first, and Err or ErrClosed if the current
// Connect or Run is over, so that the state won't come. Before the first Connect it
// waits for that.
func (c *Client) WaitFor(ctx context.Context, s ReadyState) error {
	if s < Connecting || s > Closed {
		return fmt.Errorf("wsnotify: WaitFor: %v is none of Connecting, Open, Closing and Closed", s)
	}
	if !c.made {
		return errNotMade
	}
	reached := c.state.reach(s)
	if reached == nil {
		return nil
	}
	defer c.state.leave(s, reached)
	for {
		c.mu.Lock()
		r, begun := c.run, c.begun.join()
		c.mu.Unlock()
		again, err := r.waitFor(ctx, reached, begun)
		c.mu.Lock()
		c.begun.leave(begun)
		c.mu.Unlock()
		if !again {
			return err
		}
	}
}

// waitFor waits for a state while the run is the latest; again says that a
// later Connect goes on.
func (r *run) waitFor(ctx context.Context, reached, begun <-chan struct{}) (again bool, err error) {
	var over <-chan struct{}
	switch {
	case r == nil:
	case r.isOver():
		over = closedForEver
	default:
		over = r.over
	}
	select {
	case <-reached:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-begun:
		return true, nil
	case <-over:
	}
	select {
	case <-reached:
		return false, nil
	case <-begun:
		return true, nil
	default:
	}
	if err := r.outcome(); err != nil {
		return false, err
	}
	return false, ErrClosed
}
