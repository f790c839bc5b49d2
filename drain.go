package wsnotify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wsnotify/wsnotify/internal/handshake"
)

// partingGrace is for the closing handshake when the ctx of Drain has ended:
// enough for a peer that is well.
const partingGrace = 100 * time.Millisecond

// Drain ends the client in an orderly way, as a service does on SIGTERM. It
// waits until, at one moment, every message received has been handled and
// everything to be sent has been written or reported, and closes the connection
// then with code 1000. Callbacks can send until then, so that the
// acknowledgement at the end of a slow handler still leaves; what comes meanwhile
// is handled, too. The body of a loop over Notifications or Messages counts as a
// callback.
//
// It waits until ctx ends at the longest, and then closes at once. If anything was
// left, its error is a *DrainError, which says how much, and why: ctx.Err(), the
// loss of the connection, or ErrClosed when Disconnect, CloseWith or a later
// Connect came first. Without anything left the error is that of CloseWith. Drain
// never dials: while the client is connecting or waits for its next attempt, and
// when the connection is lost, it ends as CloseWith does. Before the first Connect
// and after the end there is nothing to do.
//
// Inside a callback Drain would wait for that callback. So while the connection is
// open it returns an error at once there, and changes nothing: call it on a goroutine
// of its own. The same holds for Subscriptions.Subscribe when a connection begins.
func (c *Client) Drain(ctx context.Context) error {
	if !c.made {
		return errNotMade
	}
	r := c.current()
	if r == nil || r.isOver() {
		c.closed(r)
		return nil
	}
	switch {
	case c.inSubscribe():
		return errQueueWaits("Drain")
	case !c.inCallback():
		r.beginDrain()
	case c.ReadyState() == Open:
		return errDrainInCallback
	default: // it would not wait for the callback, and is not to do so if a connection opens now
		r.setDrainErr(ErrNotConnected)
		r.end(StatusNormalClosure, "")
	}
	select {
	case <-r.over:
	case <-ctx.Done():
		r.setDrainErr(ctx.Err())
		r.end(StatusNormalClosure, "")
		select {
		case <-r.over:
		case <-time.After(partingGrace):
			r.abort()
			<-r.over
		}
	}
	c.closed(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left == (left{}) {
		return r.closeErr
	}
	drainErr := r.drainErr
	if drainErr == nil {
		drainErr = r.whyClosed()
	}
	return r.left.error(drainErr)
}

var errDrainInCallback = waitsForItself("Drain", "a callback", "that callback")

// DrainError says what was lost when Drain or Run ended: messages of the server
// that were not handled, and messages of Enqueue that were not sent. It does not
// match context.Canceled, also when ctx was cancelled, so that a program that
// ignores cancellation does not ignore loss. What an Outbox.Store holds is not
// lost, and not counted.
type DrainError struct {
	Unhandled   int   // received messages whose callbacks had not all returned when the end began
	Unsent      int   // messages reported to OnUndelivered as certainly not sent
	Unconfirmed int   // messages reported as ErrUnconfirmed, unless a callback under way confirms them
	Err         error // why it ended early: ctx, the loss of the connection, a *GiveUpError, or ErrClosed
}

func (e *DrainError) Error() string {
	var parts []string
	for _, part := range []struct {
		messages int
		what     string
	}{{e.Unhandled, "not handled"}, {e.Unsent, "not sent"}, {e.Unconfirmed, "not confirmed"}} {
		if part.messages > 0 {
			parts = append(parts, count(part.messages)+" "+part.what)
		}
	}
	if parts == nil {
		parts = []string{"a callback that had not returned"}
	}
	last := len(parts) - 1
	list := parts[last]
	if last > 0 {
		list = strings.Join(parts[:last], ", ") + " and " + list
	}
	text := "the client was closed before it was drained, with " + list
	if e.Err == nil { // made by hand
		return prefix + text
	}
	return prefixed(text, e.Err)
}

// Unwrap returns Err.
func (e *DrainError) Unwrap() error { return e.Err }

func (r *run) beginDrain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.draining {
		r.draining = true
		close(r.drain)
		r.signal()
	}
}

// setDrainErr notes why a drain ends with something left. The first reason counts.
func (r *run) setDrainErr(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.drainErr == nil && !r.isEnding {
		r.drainErr = err
	}
}

// undone returns nil when at one moment nothing is left to be handled or sent,
// and otherwise a channel that is closed when that may have changed.
//
// A message that comes while the outbox is checked may be handled meanwhile, and its
// answer be queued behind that check. So the inbox is checked before and after it, and
// must have been idle all the time between.
func (r *run) undone() <-chan struct{} {
	changed, before := r.c.inbox.Idle()
	if changed != nil {
		return changed
	}
	if changed := r.outbox.Unsent(); changed != nil {
		return changed
	}
	changed, after := r.c.inbox.Idle()
	if changed == nil && before != after {
		return r.undone()
	}
	return changed
}

// left is what was not done at the end.
type left struct {
	unhandled           int
	busy                bool // a callback had not returned
	unsent, unconfirmed int
}

// error says what was left because of err.
func (l left) error(err error) error {
	if errors.Is(err, context.Canceled) {
		err = &cancelledError{err}
	}
	return &DrainError{Unhandled: l.unhandled, Unsent: l.unsent, Unconfirmed: l.unconfirmed, Err: err}
}

// cancelledError is an error that says that ctx was cancelled, and does not match
// context.Canceled.
type cancelledError struct{ err error }

func (e *cancelledError) Error() string { return e.err.Error() }
func (e *cancelledError) Is(target error) bool {
	return target != context.Canceled && errors.Is(e.err, target)
}
func (e *cancelledError) As(target any) bool { return errors.As(e.err, target) }

func count(messages int) string {
	if messages == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", messages)
}

// noteLeft notes what is left when an end begins, before any event of it. The owner
// calls it. Without a connection only messages count: a callback that runs then
// only reports how the attempts went.
func (r *run) noteLeft(connected bool) {
	if r.leftNoted {
		return
	}
	r.leftNoted = true
	r.reported = r.c.state.undelivered.load()
	r.mu.Lock()
	r.left.unhandled, r.left.busy = r.c.inbox.Unhandled()
	r.left.busy = r.left.busy && connected
	r.mu.Unlock()
}

// drained notes that nothing is left, whatever has come since, but for what a
// handler has failed to handle, and no later connection asks for.
func (r *run) drained() {
	r.mu.Lock()
	r.left = left{}
	if rs := r.c.resume; rs != nil && rs.rewind.Load() {
		r.left.unhandled = int(rs.lost.Load())
	}
	r.mu.Unlock()
}

// countLeft completes what is left with what was reported since the end began,
// and is going to be: late messages. It makes the error of a Run that lost
// something.
func (r *run) countLeft(late int) {
	now, before := r.c.state.undelivered.load(), r.reported
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left.unsent = int(now.Closed + now.Expired + now.OutboxFull - before.Closed - before.Expired - before.OutboxFull)
	r.left.unconfirmed = int(now.Unconfirmed-before.Unconfirmed) + late
	if !r.stays {
		return
	}
	lost := r.left
	if lost.busy = false; r.ownEnd && lost.unhandled > 0 {
		lost.unhandled-- // it is the message whose callback has asked for the end
	}
	if lost == (left{}) {
		return
	}
	why := r.err
	if why == nil {
		why = r.drainErr
	}
	if why == nil {
		why = r.whyClosed()
	}
	r.err = lost.error(why)
}

// unprefixed is err for the end of an error that says whose it is.
func unprefixed(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "wsnotify: "); ok {
		return &unprefixedError{text, err}
	}
	return err
}

type unprefixedError struct {
	text string
	err  error
}

func (e *unprefixedError) Error() string { return e.text }
func (e *unprefixedError) Unwrap() error { return e.err }

// noConnectionError is the end of a ctx before there was a connection, and why
// there was none.
type noConnectionError struct {
	text  string
	ctx   error
	cause error // nil if no attempt had failed
}

func (e *noConnectionError) Error() string { return e.text }

func (e *noConnectionError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.ctx}
	}
	return []error{e.ctx, e.cause}
}

// ctxError is the error of a run that its ctx has ended. The owner calls it,
// with mu.
func (r *run) ctxError() error {
	err := r.ctx.Err()
	if isClosed(r.opened) {
		return err
	}
	e := &noConnectionError{ctx: err}
	var why []string
	var last *attemptError
	if r.last != nil {
		e.cause = r.last.Err
		errors.As(e.cause, &last)
		why = append(why, "the last attempt failed: "+unprefixed(e.cause).Error())
	}
	switch under := r.underway; {
	case under == nil && last == nil:
		why = append(why, handshake.Redacted(r.url)+" was not dialled")
	case under == nil:
	case last != nil && last.url == under.url:
		why = append(why, fmt.Sprintf("another attempt was under way: %v", *under))
	default:
		why = append(why, fmt.Sprintf("an attempt was under way, dialling %s: %v", under.url, *under))
	}
	e.text = fmt.Sprintf("wsnotify: no connection until ctx ended: %v; %s", err, strings.Join(why, "; "))
	return e
}
