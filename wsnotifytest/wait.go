package wsnotifytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// What a test waits for.

// errADay ends a wait whose context has no deadline. In a bubble it comes at once: without it a client's
// heartbeats would go on in virtual time for as long as the test binary may run.
var errADay = errors.New("a day has passed")

// wait returns when done, called with s.mu held, has returned true.
func (s *Server) wait(ctx context.Context, what string, done func() (ok bool, have string)) error {
	var day <-chan time.Time
	if _, ok := ctx.Deadline(); !ok {
		t := time.NewTimer(24 * time.Hour)
		defer t.Stop()
		day = t.C
	}
	for {
		s.mu.Lock()
		ok, have := done()
		closed, changed := s.closed, s.changed.next()
		s.mu.Unlock()
		switch {
		case ok:
			return nil
		case closed:
			return fmt.Errorf("%w: waiting for %s, have %s", ErrServerClosed, what, have)
		case ctx.Err() != nil:
			return fmt.Errorf("wsnotifytest: waiting for %s, have %s: %w", what, have, ctx.Err())
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-day:
			return fmt.Errorf("wsnotifytest: waiting for %s, have %s: %w", what, have, errADay)
		}
	}
}

// Conn returns the newest live connection of user, or of anybody if user is "", and waits for one
// if there is none. One that is being closed is passed over.
func (s *Server) Conn(ctx context.Context, user string) (c *Conn, err error) {
	err = s.wait(ctx, fmt.Sprintf("a connection of user %q", user), func() (bool, string) {
		for _, o := range slices.Backward(s.open) {
			if (user == "" || o.user == user) && o.usable() {
				c = o
				return true, ""
			}
		}
		return false, "none"
	})
	return c, err
}

// NthConn returns the connection with the number n, live or not, counting from 1, and waits for it.
func (s *Server) NthConn(ctx context.Context, n int) (c *Conn, err error) {
	err = s.wait(ctx, fmt.Sprintf("connection %d", n), func() (bool, string) {
		if n < 1 || n > len(s.conns) {
			return false, fmt.Sprint(len(s.conns))
		}
		c = s.conns[n-1]
		return true, ""
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
	err := s.wait(ctx, fmt.Sprintf("%d messages of user %q", n, user), func() (bool, string) {
		return len(s.messages[user]) >= n, fmt.Sprintf("%.200q", s.messages[user])
	})
	return s.Messages(user), err
}

// WaitHeartbeats waits until user has sent at least that many text messages "ping" and ping frames.
func (s *Server) WaitHeartbeats(ctx context.Context, user string, texts, pings int) error {
	return s.wait(ctx, fmt.Sprintf("%d texts and %d pings of user %q", texts, pings, user), func() (bool, string) {
		return s.texts[user] >= texts && s.pings[user] >= pings,
			fmt.Sprintf("%d and %d", s.texts[user], s.pings[user])
	})
}

// WaitLive waits until exactly n connections are live.
func (s *Server) WaitLive(ctx context.Context, n int) error {
	return s.wait(ctx, fmt.Sprintf("%d live connections", n), func() (bool, string) {
		return s.live() == n, fmt.Sprint(s.live())
	})
}

// WaitHandshakes waits until there have been n handshakes, refused ones included.
func (s *Server) WaitHandshakes(ctx context.Context, n int) error {
	return s.wait(ctx, fmt.Sprintf("%d handshakes", n), func() (bool, string) {
		return len(s.handshakes) >= n, fmt.Sprint(len(s.handshakes))
	})
}

// WaitQuiet waits until nothing happens any more on the connections to this server: what was sent
// has arrived and was read, by those that read, and whatever it led to has been sent. In a bubble
// that is when all goroutines wait and nothing is on its way over the network. Outside of one nobody
// can know, and it is when no byte has moved for 50 ms. What comes later by a timer, such as a
// heartbeat, is not waited for, nor is what a black hole holds. Of two servers of one network,
// only this one is asked.
func (s *Server) WaitQuiet(ctx context.Context) error {
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
	a = activity{handshakes: len(s.handshakes), conns: len(s.conns), open: len(s.open)}
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
	err := s.wait(ctx, fmt.Sprintf("%d close frames", n), func() (bool, string) {
		return len(s.closeCodes) >= n, fmt.Sprint(s.closeCodes)
	})
	return s.CloseCodes(), err
}
