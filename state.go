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
	Undelivered uint64 // messages that were reported to OnUndelivered, or would have been

	UndeliveredBy UndeliveredCounts // those, by reason
}

// tracker holds what Status shows. The owner goroutine of the current run is
// the only writer of the state; readers take mu for moments and never wait
// for anything else.
type tracker struct {
	ready atomic.Int32 // as status.ReadyState, for readers in a hurry

	mu      sync.Mutex
	status  Status           // without the counters below
	entered [4]chan struct{} // closed and forgotten when its state is entered

	messagesIn, messagesOut, bytesIn, bytesOut atomic.Uint64
	resent                                     atomic.Uint64
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
		panic(fmt.Sprintf("wsnotify: internal: %v after %v", to, from))
	}
	t.status.ReadyState = to
	if update != nil {
		update(&t.status)
	}
	t.ready.Store(int32(to))
	if ch := t.entered[to]; ch != nil {
		close(ch)
		t.entered[to] = nil
	}
	return from
}

// reach returns nil when the client is in s now, and otherwise a channel that
// is closed when s is entered next.
func (t *tracker) reach(s ReadyState) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.status.ReadyState == s {
		return nil
	}
	if t.entered[s] == nil {
		t.entered[s] = make(chan struct{})
	}
	return t.entered[s]
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
	s.Resent = t.resent.Load()
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
	s.Queued, s.Unconfirmed = c.box().Counts()
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
	for {
		c.mu.Lock()
		r, begun := c.run, c.begun
		c.mu.Unlock()
		var over <-chan struct{}
		if r != nil {
			over = r.over
		}
		select {
		case <-reached:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-begun:
			continue // a later Connect goes on
		case <-over:
		}
		select {
		case <-reached:
			return nil
		case <-begun:
			continue
		default:
		}
		if err := r.outcome(); err != nil {
			return err
		}
		return ErrClosed
	}
}
