package wsnotifytest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A Step is one line of a Script.
type Step struct {
	name  string
	plan  *plan // for the steps that are about a handshake
	needs bool  // an Accept before it
	run   func(ctx context.Context, p *play) error
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
// settled before Script returns, however fast the client dials. A script that can't work, such as one
// that says something before its first Accept, fails the test at once. A step that fails, as one does that
// is still waiting when ctx or the test ends, fails the test and ends the script; wait returns its
// error when the script is over. A script is about one client, which has not dialled yet.
//
//	wait := s.Script(ctx,
//		Accept(), Say("hello"), Expect("hello yourself"), DropConn(),
//		RefuseWith(503), Accept(), CloseConn(1000))
func (s *Server) Script(ctx context.Context, steps ...Step) (wait func() error) {
	s.tb.Helper()
	var plans []plan
	var err error
	done := make(chan struct{})
	wait = func() error { <-done; return err }
	if err = check(steps); err != nil {
		close(done)
		s.tb.Fatalf("%v", err)
		return wait
	}
	for _, st := range steps {
		if st.plan != nil {
			plans = append(plans, *st.plan)
		}
	}
	s.plan(s.Everybody(), plans...)
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

// check finds what is wrong with a script before it is played.
func check(steps []Step) error {
	accepted := false
	for i, st := range steps {
		problem := ""
		switch {
		case st.run == nil:
			problem = "is a zero Step"
		case st.needs && !accepted:
			problem = "needs an Accept before it"
		case st.plan != nil:
			problem = st.plan.check()
			accepted = accepted || st.plan.kind == planAccept
		}
		if problem != "" {
			return fmt.Errorf("wsnotifytest: step %d, %s: %s", i+1, st.name, problem)
		}
	}
	return nil
}

// Accept waits for the next handshake, accepts it, and makes its connection the one that the steps
// after it are about.
func Accept() Step {
	return Step{name: "Accept", plan: &plan{kind: planAccept, n: 1}, run: func(ctx context.Context, p *play) error {
		p.handshakes++
		p.conns++
		c, err := p.s.NthConn(ctx, p.conns)
		p.conn, p.heard = c, 0
		return err
	}}
}

// AcceptUser is Accept, and the script fails if it is anybody else.
func AcceptUser(name string) Step {
	st := Accept()
	accept := st.run
	st.name = fmt.Sprintf("AcceptUser(%q)", name)
	st.run = func(ctx context.Context, p *play) error {
		err := accept(ctx, p)
		if err == nil && p.conn.user != name {
			err = fmt.Errorf("user %q came", p.conn.user)
		}
		return err
	}
	return st
}

// RefuseWith waits for the next handshake and answers it with status.
func RefuseWith(status int) Step {
	return refuse(fmt.Sprintf("RefuseWith(%d)", status), plan{kind: planRefuse, n: 1, status: status})
}

// RefuseHandshake is RefuseWith that answers with headers and a body as well.
func RefuseHandshake(status int, header http.Header, body string) Step {
	return refuse(fmt.Sprintf("RefuseHandshake(%d)", status),
		plan{kind: planRefuse, n: 1, status: status, header: header.Clone(), body: body})
}

// RedirectTo waits for the next handshake and answers it with 302 and location.
func RedirectTo(location string) Step {
	return refuse(fmt.Sprintf("RedirectTo(%q)", location), redirection(1, location))
}

// NeverAnswer waits for the next handshake and leaves it without an answer.
func NeverAnswer() Step { return refuse("NeverAnswer", plan{kind: planHang, n: 1}) }

func refuse(name string, pl plan) Step {
	return Step{name: name, plan: &pl, run: func(ctx context.Context, p *play) error {
		p.handshakes++
		return p.s.WaitHandshakes(ctx, p.handshakes)
	}}
}

func onConn(name string, f func(ctx context.Context, p *play) error) Step {
	return Step{name: name, needs: true, run: f}
}

// Say sends a text message.
func Say(text string) Step {
	return onConn(fmt.Sprintf("Say(%q)", text), func(_ context.Context, p *play) error {
		return p.conn.SendText(text)
	})
}

// SayBinary sends a binary message.
func SayBinary(b []byte) Step {
	return onConn("SayBinary", func(_ context.Context, p *play) error { return p.conn.SendBinary(b) })
}

// SayHalf is Conn.StopMidFrame.
func SayHalf(text string) Step {
	return onConn(fmt.Sprintf("SayHalf(%q)", text), func(_ context.Context, p *play) error {
		return p.conn.StopMidFrame(text)
	})
}

// SayNotification is Conn.Notify.
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

// CloseConn sends a close frame, with a reason if one is given, and waits until the connection has
// ended.
func CloseConn(code int, reason ...string) Step {
	return onConn(fmt.Sprintf("CloseConn(%d)", code), func(ctx context.Context, p *play) error {
		if err := p.conn.Close(code, strings.Join(reason, " ")); err != nil {
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

// MuteConn is Conn.Mute.
func MuteConn() Step { return act("MuteConn", func(c *Conn) { c.Mute(true) }) }

// ComeBack is Conn.ComeBack.
func ComeBack() Step { return act("ComeBack", (*Conn).ComeBack) }

// RestartServer is Server.Restart. It does not wait until the server is up: the next Accept does.
func RestartServer(down time.Duration) Step {
	return Step{name: fmt.Sprintf("RestartServer(%v)", down), run: func(_ context.Context, p *play) error {
		p.s.Restart(down)
		return nil
	}}
}

func act(name string, f func(*Conn)) Step {
	return onConn(name, func(_ context.Context, p *play) error { f(p.conn); return nil })
}

// Wait lets time pass.
func Wait(d time.Duration) Step {
	return Step{name: fmt.Sprintf("Wait(%v)", d), run: func(ctx context.Context, p *play) error {
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
	return Step{name: name, run: func(ctx context.Context, p *play) error { return f(ctx, p.conn) }}
}
