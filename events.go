package wsnotify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/wsnotify/wsnotify/internal/handshake"
)

// StateChange is one step of the ReadyState.
type StateChange struct {
	From, To ReadyState
	Epoch    uint64 // of the connection, or that the attempt's would have
	Cause    error  // why it became Closed; nil if this side asked for it
}

// OpenEvent is a new connection.
type OpenEvent struct {
	Epoch       uint64
	Attempt     int    // 0 the first dial, then 1, 2, … as ReconnectAttempts was
	URL         string // that was dialled; it may hold secrets
	Subprotocol string // that the server chose
	Header      http.Header
	Compression CompressionAgreement
}

// CloseEvent is the end of a connection. Code, Reason and WasClean are those
// of the WHATWG CloseEvent.
type CloseEvent struct {
	Epoch         uint64
	Code          StatusCode // the peer's; 1005 if its close frame had none, 1006 if none came
	Reason        string
	WasClean      bool // the closing handshake was completed
	WillReconnect bool
	Failure       Failure
}

// ReconnectEvent is an attempt that was scheduled.
type ReconnectEvent struct {
	Attempt int           // 1, 2, … since the counter was reset
	Delay   time.Duration // until it begins, unless Reconnect cuts it short
	Failure Failure       // why it is needed
}

// The functions below queue an event for the goroutine of the callbacks. They
// never block, so that the owner never waits for user code, and the Logger
// counts as such. The events of an attempt, from CONNECTING to the wait for the
// next one, may be dropped as a whole while a callback blocks: see inbox.Queue.BeginAttempt.

func (c *Client) onStateChange(ev StateChange) {
	if c.cfg.OnStateChange == nil && c.cfg.Logger == nil {
		return
	}
	c.inbox.NotifyOfAttempt(func() {
		c.log(slog.LevelDebug, "state", "from", ev.From.String(), "to", ev.To.String(), "epoch", ev.Epoch)
		if f := c.cfg.OnStateChange; f != nil {
			c.callbacks.enter(nameOnStateChange)
			f(ev)
		}
	})
}

func (c *Client) onOpen(ev OpenEvent) {
	c.inbox.NotifyOfAttempt(func() {
		c.log(slog.LevelInfo, "connected", "url", line(handshake.RedactedText(ev.URL)), "epoch", ev.Epoch, "attempt", ev.Attempt)
		if f := c.cfg.OnOpen; f != nil {
			c.callbacks.enter(nameOnOpen)
			f(ev)
		}
	})
}

func (c *Client) onClose(ev CloseEvent) {
	c.inbox.NotifyOfAttempt(func() {
		args := []any{
			"epoch", ev.Epoch, "code", int(ev.Code), "reason", line(ev.shown().Reason), "clean", ev.WasClean,
			"initiator", ev.Failure.Initiator.String(),
		}
		if ev.Failure.Err != ErrClosed { // which is no error, but the wish of this side
			args = append(args, "error", shownError{ev.Failure.Err})
		}
		c.log(slog.LevelInfo, "connection closed", args...)
		if f := c.cfg.OnClose; f != nil {
			c.callbacks.enter(nameOnClose)
			f(ev)
		}
	})
}

func (c *Client) onReconnecting(ev ReconnectEvent) {
	c.inbox.NotifyOfAttempt(func() {
		c.log(slog.LevelInfo, "reconnecting", "attempt", ev.Attempt, "delay", ev.Delay)
		if f := c.cfg.OnReconnecting; f != nil {
			c.callbacks.enter(nameOnReconnecting)
			f(ev)
		}
	})
}

func (c *Client) onGiveUp(err *GiveUpError) {
	c.inbox.Notify(func() {
		c.log(slog.LevelError, "giving up", "attempts", err.Attempts, "error", shownError{err.Failure.Err})
		if f := c.cfg.OnGiveUp; f != nil {
			c.callbacks.enter(nameOnGiveUp)
			f(err)
		}
	})
}

// onGap reports a gap, on the goroutine of the callbacks.
func (c *Client) onGap(g Gap) {
	c.log(slog.LevelWarn, "messages are missing", "stream", line(g.Stream), "after", line(g.After), "next", line(g.Next), "epoch", g.Epoch)
	if f := c.cfg.Resume.OnGap; f != nil {
		c.callbacks.enter(nameOnGap)
		f(g)
	}
}

// onUndelivered reports a message of a size, on the goroutine of the callbacks.
func (c *Client) onUndelivered(msg Message, size int, reason error) {
	c.log(slog.LevelWarn, "message not delivered", "bytes", size, "error", shownError{reason})
	if f := c.cfg.OnUndelivered; f != nil {
		c.callbacks.enter(nameOnUndelivered)
		f(msg, reason)
	}
}

// report queues an OnError.
func (c *Client) report(err error) { c.reportBy(c.inbox.Notify, err) }

// reportAttempt is report for the failure of an attempt or a connection.
func (c *Client) reportAttempt(err error) { c.reportBy(c.inbox.NotifyOfAttempt, err) }

func (c *Client) reportBy(notify func(func()), err error) {
	if c.cfg.OnError != nil || c.cfg.Logger != nil {
		notify(func() { c.onError(err) })
	}
}

// onError is report for those who are on the goroutine of the callbacks.
func (c *Client) onError(err error) {
	c.log(slog.LevelWarn, "error", "error", shownError{err})
	if f := c.cfg.OnError; f != nil {
		c.callbacks.enter(nameOnError)
		f(err)
	}
}

func (c *Client) log(level slog.Level, msg string, args ...any) {
	if l := c.cfg.Logger; l != nil {
		l.Log(context.Background(), level, "wsnotify: "+msg, args...)
	}
}

// Events and failures print as one line each: what happened, why, and what
// comes next where that is known. No line holds a secret of the URL, and what a
// server had a hand in is escaped and bounded.

// String returns one line, such as "CONNECTING → CLOSED: dialling
// ws://localhost:8080/: connection refused".
func (s StateChange) String() string {
	return s.From.String() + " → " + s.To.String() + because(s.Cause)
}

// String returns one line, such as "connection 2 open: wss://example.com/ws/ada".
// The values of the query, the password, and a user without a password are not
// shown.
func (e OpenEvent) String() string {
	return fmt.Sprintf("connection %d open: %s", e.Epoch, line(handshake.RedactedText(e.URL)))
}

// String returns one line, such as "connection 1 closed after 12s with code
// 1006: no answer to the heartbeat; reconnecting".
func (e CloseEvent) String() string {
	text := fmt.Sprintf("connection %d closed%s with %s%s", e.Epoch, after(e.Failure.Uptime), closeCode(e.Code, e.shown().Reason), because(e.Failure.Err))
	if e.WillReconnect {
		return text + "; reconnecting"
	}
	return text + "; not reconnecting"
}

// String returns one line, such as "dial failed: dialling ws://localhost:8080/:
// connection refused; reconnect 1 in 10s".
func (e ReconnectEvent) String() string {
	when := "now"
	if e.Delay > 0 {
		when = "in " + rounded(e.Delay)
	}
	return fmt.Sprintf("%v; reconnect %d %s", e.Failure, e.Attempt, when)
}

// String returns one line that says how far the attempt or the connection had
// come and why it ended, such as "handshake failed: expected 101 Switching
// Protocols, got 401 Unauthorized: …".
func (f Failure) String() string {
	if f.shown != "" {
		f.Reason = f.shown
	}
	text := f.Phase.String() + " failed" + because(f.Err)
	var ce CloseError
	switch closed := errors.As(f.Err, &ce); {
	case f.Phase == PhaseOpen:
		text = "open connection ended" + after(f.Uptime) + because(f.Err)
		if closed && f.Initiator == Remote {
			text += " with " + closeCode(f.Code, f.Reason)
		}
	case f.Initiator == Remote && f.Code > 0 && !closed:
		text += "; the server closed the connection with " + closeCode(f.Code, f.Reason)
	}
	if f.RetryAfter > 0 {
		text += "; the server asks to wait " + rounded(f.RetryAfter)
	}
	return text
}

// because is the cause at the end of a line.
func because(err error) string {
	if err == nil {
		return ""
	}
	if _, ok := err.(CloseError); ok { // its text is for programmers of the transport
		return ": the server closed it"
	}
	if err == ErrClosed {
		return ": this side closed it"
	}
	return ": " + line(strings.ReplaceAll(err.Error(), prefix, ""))
}

// closeCode names a close code and a reason.
func closeCode(code StatusCode, reason string) string {
	text := fmt.Sprintf("code %d", int(code))
	if code == StatusNoStatusRcvd {
		text = "no code"
	}
	if reason != "" {
		text += " \"" + line(reason) + "\""
	}
	return text
}

func after(uptime time.Duration) string {
	if uptime <= 0 {
		return ""
	}
	return " after " + rounded(uptime)
}

// rounded shows no more of a time than a reader wants: milliseconds, and of
// what takes a minute or more seconds.
func rounded(d time.Duration) string {
	if d < time.Minute {
		return max(d.Round(time.Millisecond), time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// line makes a text one line, which may be an error of the user's.
func line(s string) string { return handshake.Line(s) }
