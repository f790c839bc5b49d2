package wsnotifytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	s.spawn(func() {
		defer close(done)
		for i, st := range steps {
			err = fmt.Errorf("wsnotifytest: step %d, %s: it has ended its goroutine, as t.Fatal does", i+1, st.name)
			if stepErr := st.run(ctx, p); stepErr != nil {
				err = &stepError{i + 1, st.name, stepErr}
				s.tb.Errorf("%v", err)
				return
			}
			err = nil
		}
	})
	return wait
}

// stepError is the failure of a step.
type stepError struct {
	number int
	name   string
	err    error
}

func (e *stepError) Error() string {
	return fmt.Sprintf("wsnotifytest: step %d, %s: %s", e.number, e.name, strings.TrimPrefix(e.err.Error(), "wsnotifytest: "))
}

func (e *stepError) Unwrap() error { return e.err }

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

// RefuseWith waits for the next handshake and answers it with status, and with header if one is given: a
// Retry-After, or the Location of a redirect. See Server.Refuse.
func RefuseWith(status int, header ...http.Header) Step {
	all := http.Header{}
	for _, h := range header {
		maps.Copy(all, h.Clone())
	}
	return refuse(fmt.Sprintf("RefuseWith(%d)", status), plan{kind: planRefuse, n: 1, status: status, header: all})
}

// HangHandshake waits for the next handshake and leaves it without an answer. See Server.HangHandshake.
func HangHandshake() Step { return refuse("HangHandshake", plan{kind: planHang, n: 1}) }

func refuse(name string, pl plan) Step {
	return Step{name: name, plan: &pl, run: func(ctx context.Context, p *play) error {
		p.handshakes++
		return p.s.WaitHandshakes(ctx, p.handshakes)
	}}
}

func onConn(name string, f func(ctx context.Context, p *play) error) Step {
	return Step{name: name, needs: true, run: f}
}

// saying is a step that sends. If the client does not read, it blocks for as long as a step may wait.
func saying(name string, f func(*Conn) error) Step {
	return onConn(name, func(ctx context.Context, p *play) error {
		sent := make(chan error, 1)
		p.s.mu.Lock()
		p.s.spawn(func() { sent <- f(p.conn) })
		p.s.mu.Unlock()
		var result error
		done := false
		return errors.Join(p.s.wait(ctx, "the client to read, since the buffers are full", func() bool {
			select {
			case result = <-sent:
				done = true
			default:
			}
			return done
		}, func() string { return "none; " + p.conn.soFar() }), result)
	})
}

// Say sends a text message.
func Say(text string) Step {
	return saying(fmt.Sprintf("Say(%s)", quote(text)), func(c *Conn) error { return c.SendText(text) })
}

// SayBinary sends a binary message.
func SayBinary(b []byte) Step {
	return saying(fmt.Sprintf("SayBinary(%s)", quote(string(b))), func(c *Conn) error { return c.SendBinary(b) })
}

// StopMidFrame is Conn.StopMidFrame.
func StopMidFrame(text string) Step {
	return saying(fmt.Sprintf("StopMidFrame(%s)", quote(text)), func(c *Conn) error { return c.StopMidFrame(text) })
}

// SayNotification is Conn.Notify.
func SayNotification(msgType string, content any) Step {
	return saying(fmt.Sprintf("SayNotification(%q)", msgType), func(c *Conn) error { return c.Notify(msgType, content) })
}

// Expect waits for the connection's next message, heartbeats aside, which has to be this text. A failure
// says what came instead, and before.
func Expect(text string) Step {
	return expect(fmt.Sprintf("Expect(%s)", quote(text)), message{OpText, text})
}

// ExpectBinary is Expect of a binary message.
func ExpectBinary(b []byte) Step {
	return expect(fmt.Sprintf("ExpectBinary(%s)", quote(string(b))), message{OpBinary, string(b)})
}

func expect(name string, want message) Step {
	return onConn(name, func(ctx context.Context, p *play) error {
		var got *message
		var heard string
		err := p.s.wait(ctx, want.String(), func() bool {
			c := p.conn
			if len(c.messages) > p.heard {
				got = &c.messages[p.heard]
			}
			heard = ""
			switch {
			case got != nil && *got != want, got == nil && c.ended:
				heard = c.soFar()
			}
			return got != nil || c.ended
		}, func() string { return "none; " + p.conn.soFar() })
		p.heard++
		switch {
		case err != nil:
			return err
		case got == nil:
			return fmt.Errorf("got the end of the connection, expected %s; %s", want, heard)
		case *got != want:
			return fmt.Errorf("got %s, expected %s; %s", *got, want, heard)
		}
		return nil
	})
}

// ExpectClose waits for the end of the connection or a close frame, whichever is first, and checks
// the code: 1005 for an empty frame, 1006 for none.
func ExpectClose(code int) Step {
	return onConn(fmt.Sprintf("ExpectClose(%d)", code), func(ctx context.Context, p *play) error {
		got, heard := 0, ""
		err := p.s.wait(ctx, fmt.Sprintf("a close frame with %d, or the end of the connection", code), func() bool {
			got = p.conn.closeCode
			if got != 0 && got != code {
				heard = p.conn.soFar()
			}
			return got != 0
		}, func() string { return "neither; " + p.conn.soFar() })
		if err == nil && got != code {
			err = fmt.Errorf("got %d, expected %d; %s", got, code, heard)
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
		return p.s.wait(ctx, "the client's answer to the close frame, and the end", func() bool { return p.conn.ended },
			func() string { return "neither; " + p.conn.soFar() })
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
		return p.s.sleep(ctx, d)
	}}
}

// sleep returns after d, or when ctx or the server ends.
func (s *Server) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		s.mu.Lock()
		closed, changed := s.closed, s.changed.next()
		s.mu.Unlock()
		if closed {
			return fmt.Errorf("waiting for %v to pass: %w", d, ErrServerClosed)
		}
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for %v to pass: %w", d, ctx.Err())
		case <-changed:
		}
	}
}

// Do calls f, for whatever there is no step for. The connection is that of the last Accept, or nil.
func Do(name string, f func(ctx context.Context, c *Conn) error) Step {
	return Step{name: name, run: func(ctx context.Context, p *play) (err error) {
		p.s.calling(func() string { return "the step " + name }, func() { err = f(ctx, p.conn) })
		return err
	}}
}
