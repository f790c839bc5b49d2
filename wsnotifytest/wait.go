package wsnotifytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// What a test waits for.

// How long a wait may take whose context has no deadline, as that of a test has none. In virtual time a
// day comes at once, and without it a client's heartbeats would go on for as long as the test binary
// may run.
const (
	realTimeout    = 10 * time.Second
	virtualTimeout = 24 * time.Hour
)

// timeout is how long to wait for something with ctx at most; 0 if ctx says that itself. What the test
// waited for is to be said before "go test -timeout" ends everything.
func (s *Server) timeout(ctx context.Context) time.Duration {
	if _, ok := ctx.Deadline(); ok {
		return 0
	}
	if inBubble() {
		return virtualTimeout
	}
	limit := realTimeout
	if t, ok := s.tb.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := t.Deadline(); ok {
			limit = max(min(limit, time.Until(end)-2*leaveTime), leaveTime)
		}
	}
	return limit
}

// errTimedOut is the end of a wait whose context has no deadline.
func errTimedOut(d time.Duration) error {
	if d == virtualTimeout {
		return errors.New("a day has passed, and the context has no deadline")
	}
	return fmt.Errorf("%v have passed, and the context has no deadline", d.Round(time.Second/10))
}

// limit is how long a wait without a deadline of ctx may take, and the channel that says that it
// is over; 0 and nil if ctx has one.
func (s *Server) limit(ctx context.Context) (limit time.Duration, over <-chan time.Time, stop func() bool) {
	if limit = s.timeout(ctx); limit <= 0 {
		return 0, nil, func() bool { return false }
	}
	timer := time.NewTimer(limit)
	return limit, timer.C, timer.Stop
}

// wait returns when ok, called with s.mu held, has returned true. have, called likewise, says what there
// is instead; it is asked for when the wait has failed, since each change of the server calls ok.
func (s *Server) wait(ctx context.Context, what string, ok func() bool, have func() string) error {
	limit, over, stop := s.limit(ctx)
	defer stop()
	failed := func(why error) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return fmt.Errorf("wsnotifytest: waiting for %s, have %s: %w", what, have(), why)
	}
	for {
		s.mu.Lock()
		done := ok()
		closed, changed := s.closed, s.changed.next()
		s.mu.Unlock()
		switch {
		case done:
			return nil
		case closed:
			return failed(ErrServerClosed)
		case ctx.Err() != nil:
			return failed(ctx.Err())
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-over:
			return failed(errTimedOut(limit))
		}
	}
}

// Conn returns the newest live connection of user, or of anybody if user is "", and waits for one
// if there is none. One that is being closed is passed over.
//
// Conn and the other functions that wait end with ctx. If ctx has no deadline, as t.Context has none, they
// end after 10 s, or after 24 hours of virtual time. The error says what was waited for, and what came.
func (s *Server) Conn(ctx context.Context, user string) (c *Conn, err error) {
	what := "a connection"
	if user != "" {
		what = fmt.Sprintf("a connection of user %q", user)
	}
	err = s.wait(ctx, what, func() bool {
		for o := range s.openOf(user).backward() {
			if o.usable() {
				c = o
				return true
			}
		}
		return false
	}, s.connected)
	return c, err
}

// connected says who is connected. Called with s.mu held.
func (s *Server) connected() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.byUser)) {
		names = append(names, fmt.Sprintf("%.40q", name))
	}
	if len(names) == 0 {
		return fmt.Sprintf("none; nobody is connected, after %d handshakes", len(s.handshakes))
	}
	return "none; connected: " + brief(names, ", ")
}

// NthConn returns the connection with the number n, live or not, counting from 1, and waits for it.
func (s *Server) NthConn(ctx context.Context, n int) (c *Conn, err error) {
	err = s.wait(ctx, fmt.Sprintf("connection %d", n), func() bool {
		if n < 1 || n > len(s.conns) {
			return false
		}
		c = s.conns[n-1]
		return true
	}, func() string {
		have := strconv.Itoa(len(s.conns))
		if refused := len(s.handshakes) - len(s.conns); refused > 0 {
			have += fmt.Sprintf(", and %d handshakes that led to none", refused)
		}
		return have
	})
	return c, err
}

// WaitMessages waits until user has sent n messages and returns them all.
func (s *Server) WaitMessages(ctx context.Context, user string, n int) ([]string, error) {
	s.mu.Lock()
	lost := s.forget && len(s.messages[user]) < n
	s.mu.Unlock()
	if lost {
		return s.Messages(user), errNotRecorded
	}
	err := s.wait(ctx, fmt.Sprintf("%d messages of user %q", n, user),
		func() bool { return len(s.messages[user]) >= n },
		func() string { return latest(s.messages[user], quote) })
	return s.Messages(user), err
}

// WaitHeartbeats waits until user has sent at least that many text messages "ping" and ping frames.
func (s *Server) WaitHeartbeats(ctx context.Context, user string, texts, pings int) error {
	return s.wait(ctx, fmt.Sprintf("%d texts and %d pings of user %q", texts, pings, user),
		func() bool { return s.texts[user] >= texts && s.pings[user] >= pings },
		func() string { return fmt.Sprintf("%d and %d", s.texts[user], s.pings[user]) })
}

// WaitLive waits until exactly n connections are live.
func (s *Server) WaitLive(ctx context.Context, n int) error {
	return s.wait(ctx, fmt.Sprintf("%d live connections", n),
		func() bool { return s.live() == n },
		func() string { return fmt.Sprintf("%d, of %d ever", s.live(), len(s.conns)) })
}

// WaitHandshakes waits until there have been n handshakes, refused ones included.
func (s *Server) WaitHandshakes(ctx context.Context, n int) error {
	return s.wait(ctx, fmt.Sprintf("%d handshakes", n),
		func() bool { return len(s.handshakes) >= n },
		func() string { return fmt.Sprint(len(s.handshakes)) })
}

// WaitQuiet waits until nothing happens any more on the connections to this server: what was sent
// has arrived and was read, by those that read, and whatever it led to has been sent. In a bubble
// that is when all goroutines wait and nothing is on its way over the network. Outside of one nobody
// can know, and it is when no byte has moved for 50 ms. What comes later by a timer, such as a
// heartbeat, is not waited for, nor is what a black hole holds. Of two servers of one network,
// only this one is asked.
func (s *Server) WaitQuiet(ctx context.Context) error {
	limit, over, stop := s.limit(ctx)
	defer stop()
	last, due := s.activity()
	for {
		pause := 50 * time.Millisecond
		if inBubble() {
			// The clock moves when all goroutines wait, and no sooner.
			pause = max(time.Until(due), 0) + time.Nanosecond
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wsnotifytest: waiting until all is quiet, have %d connections on which %d bytes have moved: %w",
				last.open, last.bytes, ctx.Err())
		case <-over:
			timer.Stop()
			return fmt.Errorf("wsnotifytest: waiting until all is quiet, have %d connections on which %d bytes have moved: %w",
				last.open, last.bytes, errTimedOut(limit))
		}
		quiet := due.IsZero()
		before := last
		if last, due = s.activity(); last == before && quiet && due.IsZero() {
			return nil
		}
	}
}

// activity is what changes as long as something happens.
type activity struct {
	handshakes, conns, open int
	bytes                   uint64 // written and read on the links that there are
}

// activity also returns when the next of what is on its way arrives; zero if nothing is.
func (s *Server) activity() (a activity, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a = activity{handshakes: len(s.handshakes), conns: len(s.conns), open: s.open.len()}
	for k := range s.sockets {
		bytes, next := k.pipe.l.activity()
		a.bytes += bytes
		if !next.IsZero() && (due.IsZero() || next.Before(due)) {
			due = next
		}
	}
	return a, due
}

// WaitCloseCodes waits until n close frames were received and returns the codes of all.
func (s *Server) WaitCloseCodes(ctx context.Context, n int) ([]int, error) {
	err := s.wait(ctx, fmt.Sprintf("%d close frames", n),
		func() bool { return len(s.closeCodes) >= n },
		func() string { return latest(s.closeCodes, strconv.Itoa) })
	return s.CloseCodes(), err
}
