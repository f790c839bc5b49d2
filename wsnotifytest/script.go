package wsnotifytest

import (
	"context"
	"fmt"
	"time"
)

// A Step is one line of a Script.
type Step struct {
	name string
	plan *plan // for the steps that are about a handshake
	run  func(ctx context.Context, p *play) error
}

func (st Step) String() string { return st.name }

// A play is a Script on its way; only its goroutine uses it.
type play struct {
	s          *Server
	handshakes int   // seen by the steps so far, those before the script included
	conns      int   // likewise
	conn       *Conn // of the last Accept
	heard      int   // messages of conn that were expected already
}

// Script plays the steps one after another on a goroutine of its own. The handshakes' fates are
// settled before Script returns, however fast the client dials. A step that fails, as one does that
// is still waiting when ctx or the test ends, fails the test and ends the script; wait returns its
// error when the script is over. A script is about one client.
//
//	wait := s.Script(ctx,
//		Accept(), Say("hello"), Expect("hello yourself"), DropConn(),
//		RefuseWith(503), Accept(), CloseConn(1000))
func (s *Server) Script(ctx context.Context, steps ...Step) (wait func() error) {
	s.tb.Helper()
	var plans []plan
	for _, st := range steps {
		if st.plan != nil {
			plans = append(plans, *st.plan)
		}
	}
	s.plan(s.Everybody(), plans...)
	var (
		err  error
		done = make(chan struct{})
	)
	wait = func() error { <-done; return err }
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		err = ErrServerClosed
		close(done)
		return wait
	}
	p := &play{s: s, handshakes: len(s.handshakes), conns: len(s.conns)}
	s.wg.Go(func() {
		defer close(done)
		for i, st := range steps {
			if err = st.run(ctx, p); err != nil {
				err = fmt.Errorf("wsnotifytest: step %d, %s: %w", i+1, st.name, err)
				s.tb.Errorf("%v", err)
				return
			}
		}
	})
	return wait
}

// Accept waits for the next handshake, accepts it, and makes its connection the one that the steps
// after it are about.
func Accept() Step {
	return Step{"Accept", &plan{kind: planAccept, n: 1}, func(ctx context.Context, p *play) error {
		p.handshakes++
		p.conns++
		c, err := p.s.NthConn(ctx, p.conns)
		p.conn, p.heard = c, 0
		return err
	}}
}

// RefuseWith waits for the next handshake and answers it with status.
func RefuseWith(status int) Step {
	return refuse(fmt.Sprintf("RefuseWith(%d)", status), plan{kind: planRefuse, n: 1, status: status})
}

// NeverAnswer waits for the next handshake and leaves it without an answer.
func NeverAnswer() Step { return refuse("NeverAnswer", plan{kind: planHang, n: 1}) }

func refuse(name string, pl plan) Step {
	return Step{name, &pl, func(ctx context.Context, p *play) error {
		p.handshakes++
		return p.s.WaitHandshakes(ctx, p.handshakes)
	}}
}

func onConn(name string, f func(ctx context.Context, p *play) error) Step {
	return Step{name, nil, func(ctx context.Context, p *play) error {
		if p.conn == nil {
			return fmt.Errorf("needs an Accept before it")
		}
		return f(ctx, p)
	}}
}

// Say sends a text message.
func Say(text string) Step {
	return onConn(fmt.Sprintf("Say(%q)", text), func(_ context.Context, p *play) error {
		return p.conn.SendText(text)
	})
}

// SayNotification sends {"msgType":…,"content":…}.
func SayNotification(msgType string, content any) Step {
	return onConn(fmt.Sprintf("SayNotification(%q)", msgType), func(_ context.Context, p *play) error {
		return p.conn.Notify(msgType, content)
	})
}

// Expect waits for the connection's next message, heartbeats aside, which has to be text.
func Expect(text string) Step {
	return onConn(fmt.Sprintf("Expect(%q)", text), func(ctx context.Context, p *play) error {
		got := ""
		err := p.s.wait(ctx, "a message", func() (bool, string) {
			if p.conn.ended && len(p.conn.messages) <= p.heard {
				got = "the end of the connection"
				return true, ""
			}
			if len(p.conn.messages) <= p.heard {
				return false, "none"
			}
			got = fmt.Sprintf("%q", p.conn.messages[p.heard])
			return true, ""
		})
		p.heard++
		if want := fmt.Sprintf("%q", text); err == nil && got != want {
			err = fmt.Errorf("got %s", got)
		}
		return err
	})
}

// ExpectClose waits for the end of the connection or a close frame, whichever is first, and checks
// the code: 1005 for an empty frame, 1006 for none.
func ExpectClose(code int) Step {
	return onConn(fmt.Sprintf("ExpectClose(%d)", code), func(ctx context.Context, p *play) error {
		got := 0
		err := p.s.wait(ctx, "a close frame", func() (bool, string) {
			got = p.conn.closeCode
			return got != 0, "none"
		})
		if err == nil && got != code {
			err = fmt.Errorf("got %d", got)
		}
		return err
	})
}

// CloseConn sends a close frame and waits until the connection has ended.
func CloseConn(code int) Step {
	return onConn(fmt.Sprintf("CloseConn(%d)", code), func(ctx context.Context, p *play) error {
		if err := p.conn.Close(code, ""); err != nil {
			return err
		}
		select {
		case <-p.conn.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// DropConn is Conn.Drop.
func DropConn() Step { return act("DropConn", (*Conn).Drop) }

// ResetConn is Conn.Reset.
func ResetConn() Step { return act("ResetConn", (*Conn).Reset) }

// BlackHoleConn is Conn.BlackHole.
func BlackHoleConn() Step { return act("BlackHoleConn", func(c *Conn) { c.BlackHole(true) }) }

func act(name string, f func(*Conn)) Step {
	return onConn(name, func(_ context.Context, p *play) error { f(p.conn); return nil })
}

// Wait lets time pass.
func Wait(d time.Duration) Step {
	return Step{fmt.Sprintf("Wait(%v)", d), nil, func(ctx context.Context, p *play) error {
		t := time.NewTimer(d)
		defer t.Stop()
		for {
			p.s.mu.Lock()
			closed, changed := p.s.closed, p.s.changed.next()
			p.s.mu.Unlock()
			if closed {
				return ErrServerClosed
			}
			select {
			case <-t.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			case <-changed:
			}
		}
	}}
}

// Do calls f, for whatever there is no step for. The connection is that of the last Accept, or nil.
func Do(name string, f func(ctx context.Context, c *Conn) error) Step {
	return Step{name, nil, func(ctx context.Context, p *play) error { return f(ctx, p.conn) }}
}
