package wsnotify

import (
	"context"
	"log/slog"
	"net/http"
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
// counts as such.

func (c *Client) onStateChange(ev StateChange) {
	if c.cfg.OnStateChange == nil && c.cfg.Logger == nil {
		return
	}
	c.inbox.Tell(func() {
		inTurn(func() {
			c.log(slog.LevelDebug, "state", "from", ev.From.String(), "to", ev.To.String(), "epoch", ev.Epoch)
		}, func() {
			if f := c.cfg.OnStateChange; f != nil {
				f(ev)
			}
		})
	})
}

func (c *Client) onOpen(ev OpenEvent) {
	c.inbox.Tell(func() {
		inTurn(func() {
			c.log(slog.LevelInfo, "connected", "url", handshake.RedactedText(ev.URL), "epoch", ev.Epoch, "attempt", ev.Attempt)
		}, func() {
			if f := c.cfg.OnOpen; f != nil {
				f(ev)
			}
		})
	})
}

func (c *Client) onClose(ev CloseEvent) {
	c.inbox.Tell(func() {
		inTurn(func() {
			c.log(slog.LevelInfo, "connection closed", "epoch", ev.Epoch, "code", int(ev.Code), "reason", ev.Reason,
				"clean", ev.WasClean, "initiator", ev.Failure.Initiator.String(), "error", ev.Failure.Err)
		}, func() {
			if f := c.cfg.OnClose; f != nil {
				f(ev)
			}
		})
	})
}

func (c *Client) onReconnecting(ev ReconnectEvent) {
	c.inbox.Tell(func() {
		inTurn(func() {
			c.log(slog.LevelInfo, "reconnecting", "attempt", ev.Attempt, "delay", ev.Delay)
		}, func() {
			if f := c.cfg.OnReconnecting; f != nil {
				f(ev)
			}
		})
	})
}

func (c *Client) onGiveUp(err *GiveUpError) {
	c.inbox.Tell(func() {
		inTurn(func() {
			c.log(slog.LevelError, "giving up", "attempts", err.Attempts, "error", err.Failure.Err)
		}, func() {
			if f := c.cfg.OnGiveUp; f != nil {
				f(err)
			}
		})
	})
}

// onUndelivered tells of a message of a size, on the goroutine of the
// callbacks.
func (c *Client) onUndelivered(msg Message, size int, reason error) {
	inTurn(func() {
		c.log(slog.LevelWarn, "message not delivered", "bytes", size, "error", reason)
	}, func() {
		if f := c.cfg.OnUndelivered; f != nil {
			f(msg, reason)
		}
	})
}

// report queues an OnError.
func (c *Client) report(err error) {
	if c.cfg.OnError == nil && c.cfg.Logger == nil {
		return
	}
	c.inbox.Tell(func() { c.onError(err) })
}

// onError is report for those who are on the goroutine of the callbacks.
func (c *Client) onError(err error) {
	inTurn(func() {
		c.log(slog.LevelWarn, "error", "error", err)
	}, func() {
		if f := c.cfg.OnError; f != nil {
			f(err)
		}
	})
}

// inTurn calls first, which is the user's, and then the rest. When first ends
// the goroutine (runtime.Goexit, as testing.T.FailNow does) the rest is called
// on its way out. A panic goes on at once: it is the user's.
func inTurn(first, rest func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if p := recover(); p != nil {
			panic(p)
		}
		rest()
	}()
	first()
	returned = true
	rest()
}

func (c *Client) log(level slog.Level, msg string, args ...any) {
	if l := c.cfg.Logger; l != nil {
		l.Log(context.Background(), level, "wsnotify: "+msg, args...)
	}
}
