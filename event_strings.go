package wsnotify

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wsnotify/wsnotify/internal/handshake"
)

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
	text := fmt.Sprintf("connection %d closed%s with %s%s", e.Epoch, after(e.Failure.Uptime), closeCode(e.Code, e.Reason), because(e.Failure.Err))
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
