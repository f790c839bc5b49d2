package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wsnotify/wsnotify"
)

// outgoing sends what an input holds, and knows how much of it the server has
// read. That a message was written says only that this machine has it; but a
// server that answers a ping has read what was sent before.
type outgoing struct {
	conn   *connection
	frame  *framing
	client *wsnotify.Client
	say    func(format string, args ...any)
	eager  bool      // the first failure is final once the input has ended
	ids    fieldPath // by which the server confirms messages; nil if it does not

	ctx  context.Context // of Run
	stop context.CancelFunc

	mu        sync.Mutex
	ended     bool                // the input
	closing   bool                // by us
	code      wsnotify.StatusCode // that we close with
	opened    bool
	anew      bool              // a close that is not 0 is forgotten when there is another connection
	isAllSent bool              // all is sent: a loss is no reason to connect again
	begun     chan struct{}     // closed when Run has begun
	open      chan struct{}     // closed when opened
	ours      bool              // the latest close was
	first     *wsnotify.Failure // before opened
	given     int               // messages taken from the input
	read      int               // of these, messages that the server has read, or whose loss was told
	lost      int               // messages that may be lost, or are
	told      int               // of these, messages of whom that was said
	untold    int               // of these, messages of whom it will be said
	refused   int               // messages that were not sent at all
	bad       error             // a close that is not 0
	lastClose wsnotify.CloseEvent
	unsent    []string // descriptions
	behind    []string // of what was to come behind these
	wake      chan struct{}
}

// newOutgoing adds to cfg what it needs to know.
func newOutgoing(conn *connection, frame *framing, cfg *wsnotify.Config, say func(string, ...any)) *outgoing {
	g := &outgoing{conn: conn, frame: frame, say: say, code: wsnotify.StatusNormalClosure,
		ctx: context.Background(), begun: make(chan struct{}), open: make(chan struct{}), wake: make(chan struct{}, 1)}
	cfg.Outbox.Bytes = int(max(4<<20, frame.maxLine))
	retry := conn.retry()
	cfg.ShouldReconnect = func(f wsnotify.Failure) bool { return retry(f) && g.mayRetry(f) }
	cfg.OnUndelivered = func(m wsnotify.Message, err error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.read < g.given {
			g.lost++
			g.read++
		} else { // it was on its way when the connection ended, and counted then
			g.untold = max(0, g.untold-1)
		}
		what := "not delivered: "
		if errors.Is(err, wsnotify.ErrUnconfirmed) {
			what = "may be lost: "
		}
		if m.Type == wsnotify.MessageBinary {
			g.unsent = append(g.unsent, fmt.Sprintf("%s%d bytes", what, len(m.Data)))
		} else {
			g.unsent = append(g.unsent, what+shorten(string(m.Data), 200))
		}
	}
	cfg.OnStateChange = func(wsnotify.StateChange) {
		select {
		case <-g.begun:
		default:
			close(g.begun)
		}
	}
	before := cfg.OnOpen
	cfg.OnOpen = func(ev wsnotify.OpenEvent) {
		g.mu.Lock()
		if !g.opened {
			g.opened = true
			close(g.open)
		}
		if g.anew {
			g.bad = nil
		}
		g.mu.Unlock()
		g.poke()
		if before != nil {
			before(ev)
		}
	}
	cfg.OnClose = g.closed
	return g
}

func (g *outgoing) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// mayRetry is asked after what may get better.
func (g *outgoing) mayRetry(f wsnotify.Failure) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isAllSent && f.Phase == wsnotify.PhaseOpen {
		return false
	}
	if g.opened || f.Phase == wsnotify.PhaseOpen || !g.eager {
		return true
	}
	g.first = &f
	return !g.ended
}

// closed counts what may have been lost with a connection.
func (g *outgoing) closed(ev wsnotify.CloseEvent) {
	queued := g.client.Status().Queued
	g.mu.Lock()
	defer g.mu.Unlock()
	closing := g.closing || g.ctx.Err() != nil // then the client closes by itself
	g.lastClose, g.ours = ev, closing
	lost := 0
	var theirs wsnotify.CloseError // a close of the server that ours did not ask for
	answered := closing && !errors.As(ev.Failure.Err, &theirs) && (ev.Code == g.code || ev.Code == wsnotify.StatusNoStatusRcvd)
	if !answered && g.ids == nil { // what is confirmed is sent again
		lost = max(0, g.given-queued-g.read)
	}
	g.lost += lost
	g.read += lost
	if isOdd(ev.Code) && !answered {
		g.bad = closedOddly(ev.Code, ev.Reason)
	}
	if g.untold += lost; ev.WillReconnect { // else the end says it, and why
		g.tellLocked()
	}
}

// reportLost says how many messages a connection took with it, if nobody has.
func (g *outgoing) reportLost() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tellLocked()
}

func (g *outgoing) tellLocked() {
	if g.untold > 0 {
		g.say("of what was sent, %s may be lost", messages(g.untold))
		g.told += g.untold
		g.untold = 0
	}
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// confirm asks after each burst how far the server has read, until ctx ends.
func (g *outgoing) confirm(ctx context.Context) {
	for {
		select {
		case <-g.wake:
			g.ask(ctx, time.Minute)
		case <-ctx.Done():
			return
		}
	}
}

// ask reports whether the server has read all that was given.
func (g *outgoing) ask(ctx context.Context, timeout time.Duration) bool {
	g.mu.Lock()
	given := g.given
	g.mu.Unlock()
	epoch := g.client.Status().Epoch
	if g.client.Flush(ctx) != nil {
		return false
	}
	if g.ids == nil {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		_, err := g.client.Ping(ctx)
		if err != nil || g.client.Status().Epoch != epoch {
			return false
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if given > g.read && g.conn.verbose {
		g.say("the server has read %s", messages(given))
	}
	g.read = max(g.read, given)
	return true
}

// begin starts the client, and returns what Run will return. When ctx ends,
// the client says good-bye.
func (g *outgoing) begin(ctx context.Context, url string) chan error {
	g.ctx, g.stop = context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() { over <- g.client.Run(g.ctx, url, g.conn.user) }()
	select { // before it has begun, there is nothing to close or to wait for
	case <-g.begun:
	case err := <-over:
		over <- err
	}
	go g.confirm(g.ctx)
	return over
}

// endOfInput makes the failure of a first attempt final.
func (g *outgoing) endOfInput() {
	g.mu.Lock()
	g.ended = true
	failed := g.eager && !g.opened && g.first != nil
	g.mu.Unlock()
	if failed {
		g.stop()
	}
}

// allSent notes that all is sent.
func (g *outgoing) allSent() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isAllSent = true
}

func (g *outgoing) wasAllSent() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.isAllSent
}

// finish waits until all is sent and, if the server says so, read. It does not
// close the connection.
func (g *outgoing) finish(ctx context.Context) error {
	select {
	case <-g.open:
	case <-g.client.Done():
		return g.client.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := g.client.Flush(ctx); err != nil {
		return err
	}
	g.ask(ctx, 2*time.Second)
	return nil
}

// close says good-bye. What it returns matters only if the server has not told
// that it has read all.
func (g *outgoing) close(code wsnotify.StatusCode, reason string) error {
	g.mu.Lock()
	g.closing, g.code = true, code
	timeout := 5 * time.Second
	if g.read >= g.given {
		timeout = 2 * time.Second // an answer is no more than polite
	}
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := g.client.CloseWith(ctx, code, reason)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.read >= g.given {
		return nil
	}
	return err
}

// result is how the program ends, when the client has. ended is what Run
// returned, and err what went wrong besides.
func (g *outgoing) result(ctx context.Context, ended, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if errors.Is(err, context.Canceled) || errors.Is(err, wsnotify.ErrClosed) {
		err = nil // which follows from what is told below
	}
	var f *failure
	var unsent *wsnotify.DrainError // does not match context.Canceled
	var policy *wsnotify.GiveUpError
	stopped := errors.Is(ended, context.Canceled) || errors.As(ended, &unsent) && !errors.As(ended, &policy)
	switch {
	case g.first != nil && !g.opened && g.ended && stopped && ctx.Err() == nil:
		err = outcome(&wsnotify.GiveUpError{Attempts: 1, Failure: *g.first})
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		text := fmt.Sprintf("not all was sent within %v", g.conn.timeout)
		switch last := g.client.Status().LastFailure; {
		case g.isAllSent:
			text = fmt.Sprintf("the server has not answered within %v", g.conn.timeout)
		case !g.opened:
			text = fmt.Sprintf("no connection within %v", g.conn.timeout)
			if last != nil {
				text += ": " + cause(*last)
			}
		}
		err = &failure{code: exitTimeout, err: errors.New(text)}
	case ended != nil && outcome(ended) != nil:
		err = outcome(ended)
		var cut *wsnotify.DrainError
		var gaveUp *wsnotify.GiveUpError // which has the cause
		if last := g.client.Status().LastFailure; errors.As(ended, &cut) && !errors.As(ended, &gaveUp) && last != nil && !g.opened {
			err = fmt.Errorf("%w: %s", err, cause(*last))
		}
	case g.bad != nil:
		err = g.bad
	case g.refused > 0 && g.lost > 0:
		err = fmt.Errorf("%s not sent, and %d that may be lost", messages(g.refused), g.lost)
	case g.refused > 0:
		err = fmt.Errorf("%s not sent", messages(g.refused))
	case g.lost > 0:
		text := messages(g.lost) + " may be lost"
		switch last := g.client.Status().LastFailure; {
		case last != nil && last.Phase == wsnotify.PhaseOpen && !errors.Is(last.Err, wsnotify.ErrClosed):
			text += ": " + cause(*last)
		case g.ours && len(g.unsent) == 0:
			text += ": the server has not answered"
		}
		err = errors.New(text)
		g.untold = 0
	case ended != nil: // Ctrl-C, and all that was read is sent
		return nil
	}
	if err != nil && g.untold > 0 {
		g.unsent = append([]string{fmt.Sprintf("of what was sent, %s may be lost", messages(g.untold))}, g.unsent...)
		g.untold = 0
	}
	g.unsent = append(g.unsent, g.behind...)
	if err != nil && len(g.unsent) > 0 {
		if !errors.As(err, &f) {
			f = &failure{code: exitFailure, err: err}
			err = f
		}
		f.details = g.unsent
	}
	return err
}
