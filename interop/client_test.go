//go:build linux

package interop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/wsnotify/wsnotify"
)

// quick reconnects every 100 ms for ever.
func quick() wsnotify.BackOff { return backoff.NewConstantBackOff(100 * time.Millisecond) }

// client is a wsnotify.Client whose callbacks are written down.
type client struct {
	*wsnotify.Client
	t testing.TB

	mu            sync.Mutex
	news          chan struct{}
	opens         []wsnotify.OpenEvent
	closes        []wsnotify.CloseEvent
	reconnects    []wsnotify.ReconnectEvent
	notifications []wsnotify.Notification
	messages      []wsnotify.Message
	undelivered   []string
	errors        []error
	closedAt      []time.Time
}

// newClient returns a client that is closed with the test.
func newClient(t testing.TB, cfg wsnotify.Config) *client {
	c := &client{t: t, news: make(chan struct{})}
	note := func(f func()) {
		c.mu.Lock()
		defer c.mu.Unlock()
		f()
		close(c.news)
		c.news = make(chan struct{})
	}
	cfg.OnOpen = func(e wsnotify.OpenEvent) { note(func() { c.opens = append(c.opens, e) }) }
	cfg.OnClose = func(e wsnotify.CloseEvent) {
		note(func() { c.closes, c.closedAt = append(c.closes, e), append(c.closedAt, time.Now()) })
	}
	cfg.OnReconnecting = func(e wsnotify.ReconnectEvent) { note(func() { c.reconnects = append(c.reconnects, e) }) }
	cfg.OnNotification = func(n wsnotify.Notification) { note(func() { c.notifications = append(c.notifications, n) }) }
	cfg.OnMessage = func(m wsnotify.Message) { note(func() { c.messages = append(c.messages, m) }) }
	cfg.OnError = func(err error) { note(func() { c.errors = append(c.errors, err) }) }
	cfg.OnUndelivered = func(m wsnotify.Message, err error) {
		if !errors.Is(err, wsnotify.ErrUnconfirmed) {
			t.Errorf("%q was not delivered: %v", m.Data, err)
		}
		note(func() { c.undelivered = append(c.undelivered, string(m.Data)) })
	}
	c.Client = wsnotify.New(cfg)
	t.Cleanup(func() {
		c.Disconnect()
		<-c.Done()
		if t.Failed() {
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Logf("opens %d, closes %+v, reconnects %d, errors %v, %+v", len(c.opens), c.closes, len(c.reconnects), c.errors, c.Status())
		}
	})
	return c
}

// connect opens the first connection.
func (c *client) connect(url string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	if err := c.Connect(ctx, url, "ada"); err != nil {
		c.t.Fatal(err)
	}
}

// say has the server send text.
func (c *client) say(text string) {
	c.t.Helper()
	if err := c.SendMessage(context.Background(), "say "+text); err != nil {
		c.t.Fatal(err)
	}
}

// until waits for what the callbacks are to write down. is runs under mu.
func (c *client) until(what string, within time.Duration, is func() bool) {
	c.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		c.mu.Lock()
		ok, news := is(), c.news
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-timer.C:
			c.t.Fatalf("%s did not come within %v", what, within)
		}
	}
}

// nth waits until list, which mu guards, has n values, and returns the last of them.
func nth[T any](c *client, what string, list *[]T, n int) (v T) {
	c.t.Helper()
	c.until(what, waitLimit, func() bool {
		if len(*list) < n {
			return false
		}
		v = (*list)[n-1]
		return true
	})
	return v
}

// notification waits for the next one after the first n.
func (c *client) notification(n int) wsnotify.Notification {
	c.t.Helper()
	return nth(c, "a notification", &c.notifications, n+1)
}

// opened waits until there were n connections.
func (c *client) opened(n int) wsnotify.OpenEvent {
	c.t.Helper()
	e := nth(c, fmt.Sprintf("connection %d", n), &c.opens, n)
	c.wantEpoch(e.Epoch, n)
	return e
}

// closed waits until n connections have ended, and returns the event of the last.
func (c *client) closed(n int) wsnotify.CloseEvent {
	c.t.Helper()
	e := nth(c, fmt.Sprintf("the end of connection %d", n), &c.closes, n)
	c.wantEpoch(e.Epoch, n)
	return e
}

func (c *client) wantEpoch(got uint64, n int) {
	c.t.Helper()
	if got != uint64(n) {
		c.t.Errorf("the event of connection %d has the epoch %d", n, got)
	}
}

// wantNoticed waits for the end of the first connection, whose peer has died: the
// heartbeat is to notice it within Interval and Timeout.
func (c *client) wantNoticed(died time.Time) {
	c.t.Helper()
	e := c.closed(1)
	wantLost(c.t, e)
	noticed := nth(c, "its time", &c.closedAt, 1).Sub(died)
	c.t.Logf("noticed after %v: %v", noticed.Round(time.Millisecond), e.Failure.Err)
	if noticed > 13*time.Second || !errors.Is(e.Failure.Err, wsnotify.ErrHeartbeatTimeout) {
		c.t.Errorf("noticed after %v: %v", noticed, e.Failure.Err)
	}
}

// failed waits for a failure with so many notes of it before, of the kind
// that is asked for.
func (c *client) failed(what string, is func(wsnotify.Failure) bool) (e wsnotify.ReconnectEvent) {
	c.t.Helper()
	c.until(what, waitLimit, func() bool {
		for _, r := range c.reconnects {
			if is(r.Failure) {
				e = r
				return true
			}
		}
		return false
	})
	return e
}

// status waits for an attempt that was refused with an HTTP status.
func (c *client) status(status int) wsnotify.ReconnectEvent {
	c.t.Helper()
	return c.failed(fmt.Sprintf("HTTP status %d", status), func(f wsnotify.Failure) bool { return f.HTTPStatus == status })
}

func numbered(i int) string { return fmt.Sprintf("n %06d", i) }

// enqueue queues the messages first to last-1.
func (c *client) enqueue(first, last int) {
	c.t.Helper()
	for i := first; i < last; i++ {
		if err := c.Enqueue(wsnotify.MessageText, []byte(numbered(i))); err != nil {
			c.t.Fatal(err)
		}
	}
}

// wantLost says that the connection broke without a close frame.
func wantLost(t testing.TB, e wsnotify.CloseEvent) {
	t.Helper()
	f := e.Failure
	if e.Code != wsnotify.StatusAbnormalClosure || e.WasClean || !e.WillReconnect ||
		f.Phase != wsnotify.PhaseOpen || f.Initiator != wsnotify.Network || f.Code != -1 {
		t.Errorf("a connection that broke ended with %+v", e)
	}
}

// wantClosed says that the server ended the connection with a close frame.
func wantClosed(t testing.TB, e wsnotify.CloseEvent, code wsnotify.StatusCode, reason string) {
	t.Helper()
	f := e.Failure
	if e.Code != code || e.Reason != reason || !e.WasClean || !e.WillReconnect ||
		f.Phase != wsnotify.PhaseOpen || f.Initiator != wsnotify.Remote || f.Code != code || f.Reason != reason {
		t.Errorf("a connection that was closed with %d %q ended with %+v", code, reason, e)
	}
}
