package wsnotifytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wsnotify/wsnotify/internal/record"
)

// A replay is a recording on its way. Only its goroutine uses it.
type replay struct {
	s      *Server
	events []Event
	conns  int // of the server, that were there before or belong to the replay

	// The connection that is being played.
	conn   *Conn
	number int           // in the recording
	heard  int           // messages of it that were expected
	over   bool          // nothing of it is left to be played
	at     time.Time     // when the event before was played
	t      time.Duration // when that was in the recording
	mute   time.Duration // when the server fell silent for good; negative: it did not
}

// How much later than in the recording a client may do what it did there.
const (
	realDelay    = 10 * time.Second
	virtualDelay = time.Hour
)

func delay() time.Duration {
	if inBubble() {
		return virtualDelay
	}
	return realDelay
}

// await waits for what the client did at due in the recording. It returns errTestOver if the test has ended
// before that, and otherwise what there is instead.
func (p *replay) await(e *Event, due time.Time, ok func() bool, have func() string) error {
	ctx, cancel := context.WithDeadline(context.Background(), due.Add(delay()))
	defer cancel()
	what := ""
	err := p.s.wait(ctx, "", ok, func() string { what = have(); return "" })
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, ErrServerClosed):
		return fmt.Errorf("expected %s, got nothing, %v after it was due; %s", e, delay(), what)
	case time.Now().Before(due):
		return errTestOver
	}
	return fmt.Errorf("expected %s, got nothing before the test was over; %s", e, what)
}

// errSkip ends a connection of a replay that the test has broken: the rest of it can't happen.
var errSkip = errors.New("the test has broken the connection")

// errTestOver ends a replay whose test is over before its time.
var errTestOver = errors.New("the test is over")

// Replay plays the server's side of a recording, on a goroutine of its own: it accepts the next connection,
// sends what the server sent, with the time between two events that there was in the recording, and ends
// connections and refuses handshakes as the server did. In a bubble that is exact, and takes no time.
//
// What the client sends is compared with the recording: messages, their order, and close frames, but not the
// text "ping", pings, pongs, and what a handshake asks for. The first difference fails the test and
// ends the replay: it says the event, what was expected, and what came. A client may be faster or slower
// than in the recording; the gap before the next event begins with what it sends.
//
// Faults can be laid over a recording: Refuse and its siblings, called before, come before the first
// connection; Latency, BytesPerSecond, and what can be done to a Conn work as always; and Event.Do calls a
// function behind an event. If a connection ends by such a fault, the rest of it is skipped, and the replay
// goes on with the next connection of the recording.
//
// A replay ends with the last event. After that the server does what it does without one.
func (s *Server) Replay(r *Recording) {
	s.tb.Helper()
	p := &replay{s: s, events: r.Events, at: time.Now()}
	if len(r.Events) > 0 {
		p.t = r.Events[0].T
	}
	done := make(chan struct{})
	s.mu.Lock()
	problem := ""
	switch {
	case s.closed:
		problem = "Replay on a server that is closed"
	case s.replayDone != nil && !isClosed(s.replayDone):
		problem = "Replay while another one goes on: wait for it with WaitReplay"
	case s.forget:
		problem = "Replay can't compare messages while RecordMessages is off"
	}
	if problem == "" {
		s.replayDone, s.replayErr, s.replayLength = done, nil, 0
		if n := len(r.Events); n > 0 {
			s.replayLength = r.Events[n-1].T - r.Events[0].T
		}
		p.conns = len(s.conns)
	}
	s.mu.Unlock()
	if problem != "" {
		s.misuse("%s", problem)
		return
	}
	p.planFailures(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(r.Events, func(e Event) bool { return e.Type == record.Open }); i >= 0 {
		s.subprotocol = r.Events[i].Subprotocol // for a client that is faster than the goroutine
	}
	s.spawn(func() {
		err := p.run()
		if err != nil {
			s.tb.Errorf("%v", err)
		}
		s.mu.Lock()
		s.replayErr = err
		close(done)
		s.changed.send()
		s.mu.Unlock()
	})
}

// WaitReplay waits until the latest Replay is over, and returns what was different, if anything was. If ctx
// has no deadline, it waits for the length of the recording, and a day of virtual time or a minute longer.
func (s *Server) WaitReplay(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		s.mu.Lock()
		limit := s.replayLength + 6*delay()
		s.mu.Unlock()
		if inBubble() {
			limit += virtualTimeout
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	var err error
	waited := s.wait(ctx, "the end of the replay", func() bool {
		err = s.replayErr
		return s.replayDone == nil || isClosed(s.replayDone)
	}, func() string { return fmt.Sprintf("%d events of it", s.replayed) })
	return errors.Join(waited, err)
}

func isClosed(ch chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// run plays all events; the error is the first difference.
func (p *replay) run() error {
	for i := range p.events {
		e := &p.events[i]
		p.s.mu.Lock()
		p.s.replayed = i
		p.s.changed.send()
		p.s.mu.Unlock()
		err := p.play(i, e)
		switch {
		case errors.Is(err, errSkip):
			if p.over = true; p.testOver() {
				return nil
			}
		case errors.Is(err, errTestOver):
			return nil
		case err != nil:
			return fmt.Errorf("wsnotifytest: the client differs from the recording at event %d, after %v on connection %d: %w", i+1, e.T, e.Conn, err)
		case e.Do != nil && p.conn != nil:
			p.s.calling(func() string { return fmt.Sprintf("Do of event %d", i+1) }, func() { e.Do(p.conn) })
		}
	}
	return nil
}

func (p *replay) testOver() bool {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return p.s.closed
}

// play plays one event.
func (p *replay) play(i int, e *Event) error {
	if e.Type == record.Failure || e.Type == record.Lost {
		return nil // a failure is planned; what was lost nobody knows
	}
	if e.Type == record.Open || e.Conn != p.number {
		if err := p.accept(i, e); err != nil || e.Type == record.Open {
			return err
		}
	}
	if p.over {
		return nil
	}
	if err := p.fallSilent(e); err != nil {
		return err
	}
	if e.Dir == record.DirIn {
		return p.server(e)
	}
	return p.client(e)
}

// accept waits for the client to connect.
func (p *replay) accept(i int, e *Event) error {
	p.conn = nil
	p.conns++
	p.s.mu.Lock()
	p.s.subprotocol = e.Subprotocol
	p.s.mu.Unlock()
	due := p.at.Add(e.T - p.t)
	if err := p.await(e, due, func() bool {
		if len(p.s.conns) < p.conns {
			return false
		}
		p.conn = p.s.conns[p.conns-1]
		return true
	}, func() string { return fmt.Sprintf("%d handshakes came since the beginning", len(p.s.handshakes)) }); err != nil {
		return err
	}
	p.number, p.heard, p.over, p.mute = e.Conn, 0, false, -1
	p.at, p.t = time.Now(), e.T
	last := e.T
	closes, answered := 0, false
	for j := i; j < len(p.events) && (j == i || p.events[j].Type != record.Open) && p.events[j].Conn == e.Conn; j++ {
		switch n := &p.events[j]; {
		case n.Type == record.Close && n.Dir == record.DirOut && n.Code == record.Abnormal:
			if p.mute = n.T - n.Silent; n.Silent == 0 {
				p.mute = last
			}
			closes++
		case n.Type == record.Close:
			// The client's first close frame is answered when the server answered it.
			answered = answered || closes == 0 && n.Dir == record.DirOut
			closes++
		case n.Dir == record.DirIn && n.Type != record.Failure:
			last = n.T
		}
		p.planFailures(j + 1)
	}
	if answered && closes > 1 {
		p.conn.AnswerClose(false)
	}
	return nil
}

// planFailures decides about the handshakes that the events from the ith on refuse.
func (p *replay) planFailures(i int) {
	for ; i < len(p.events) && p.events[i].Type == record.Failure; i++ {
		f := plan{kind: planRaw, n: 1} // the connection ends without an answer
		if status := p.events[i].Status; status >= 200 && status <= 999 {
			f = plan{kind: planRefuse, n: 1, status: status}
		}
		p.s.plan(p.s.Everybody(), f)
	}
}

// fallSilent stops everything that the server sends by itself, before e, if that is when it did.
func (p *replay) fallSilent(e *Event) error {
	if p.mute < 0 || e.T <= p.mute {
		return nil
	}
	mute := p.mute
	p.mute = -1
	if err := p.pause(mute + 1); err != nil { // what came at that very time came before
		return err
	}
	p.at, p.t = p.at.Add(mute+1-p.t), mute+1
	p.conn.mute(true)
	return nil
}

// pause returns when it is time for an event at t.
func (p *replay) pause(t time.Duration) error {
	timer := time.NewTimer(time.Until(p.at.Add(t - p.t)))
	defer timer.Stop()
	for {
		p.s.mu.Lock()
		closed, changed := p.s.closed, p.s.changed.next()
		err := p.gone()
		p.s.mu.Unlock()
		switch {
		case err != nil:
			return err
		case closed:
			return errTestOver
		}
		select {
		case <-timer.C:
			return nil
		case <-changed:
		}
	}
}

// gone says that the client has ended the connection, or that the test has. Called with s.mu held.
func (p *replay) gone() error {
	c := p.conn
	leaves := c.ended || c.closeCode != 0 && c.closeCode != codeAbnormal || c.sock.peerClosed()
	switch {
	case !leaves || c.replayEnded:
	case c.faulted || c.broken || c.sock.pipe.l.holed():
		return errSkip
	case c.closeCode != 0:
		return fmt.Errorf("expected the connection to go on, got %s; %s", c.ending(), c.soFar())
	} // else its end is on its way
	return nil
}

// ending is how the client has ended the connection. Called with Server.mu held.
func (c *Conn) ending() string {
	e := Event{Type: record.Close, Dir: record.DirOut, Code: c.closeCode, Reason: c.closeReason}
	return e.String()
}

// played notes that an event has been played.
func (p *replay) played(e *Event) { p.at, p.t = time.Now(), e.T }

// server does what the server did.
func (p *replay) server(e *Event) error {
	if e.Type == record.Pong {
		return nil // the server answers pings by itself
	}
	c := p.conn
	if err := p.pause(e.T); err != nil && !(e.Type == record.Close && p.closing()) {
		return err
	}
	p.played(e)
	if e.Type != record.Close {
		sent := make(chan error, 1)
		p.s.mu.Lock()
		p.s.spawn(func() { sent <- p.send(e) })
		p.s.mu.Unlock()
		var result, gone error
		err := p.s.wait(context.Background(), "the client to read "+e.String(), func() bool {
			select {
			case result = <-sent:
				return true
			default:
			}
			gone = p.gone()
			return gone != nil
		}, func() string { return "buffers that are full; " + c.soFar() })
		if gone != nil && err == nil { // the client may have left because of what it has read
			timer := time.NewTimer(time.Second)
			defer timer.Stop()
			select {
			case result = <-sent:
				if result == nil {
					gone = nil
				}
			case <-timer.C:
			}
		}
		switch {
		case gone != nil:
			return gone
		case errors.Is(err, ErrServerClosed):
			return errTestOver
		case err != nil:
			return err
		case result != nil:
			p.s.mu.Lock()
			defer p.s.mu.Unlock()
			if err := p.gone(); err != nil {
				return err
			}
			return fmt.Errorf("expected to send %s, got %w; %s", e, result, c.soFar())
		}
		return nil
	}
	if err := p.nothingMore(e); err != nil {
		return err
	}
	p.s.mu.Lock()
	c.replayEnded = true
	p.s.mu.Unlock()
	switch {
	case e.Code == record.Abnormal && strings.Contains(e.Error, "reset"):
		c.end(c.sock.reset)
	case e.Code == record.Abnormal:
		c.end(c.sock.drop)
	case validClose(e.Code, e.Reason):
		code := e.Code
		if code == codeNoStatus {
			code = 0
		}
		_ = c.close(code, e.Reason)
	default:
		_ = c.WriteFrame(true, OpClose, closePayload(e.Code, e.Reason))
	}
	return nil
}

// closing reports whether the client has begun the closing handshake that the recording has.
func (p *replay) closing() bool {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return p.conn.replayEnded
}

func (p *replay) send(e *Event) error {
	switch e.Type {
	case record.Text:
		return p.conn.SendText(e.Text)
	case record.Ping:
		return p.conn.Ping(string(e.Data))
	}
	return p.conn.SendBinary(e.Data)
}

func validClose(code int, reason string) bool {
	if code == codeNoStatus {
		return reason == ""
	}
	_, _, err := parseClose(closePayload(code, reason))
	return err == nil && len(reason) <= 123
}

// nothingMore compares what the client has sent so far with what it had sent when the connection ended.
func (p *replay) nothingMore(e *Event) error {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if c := p.conn; len(c.messages) > p.heard && !c.faulted && !c.broken {
		return fmt.Errorf("expected %s, got %s; %s", e, c.messages[p.heard].kind(), c.soFar())
	}
	return nil
}

// client expects what the client did.
func (p *replay) client(e *Event) error {
	c := p.conn
	switch {
	case e.Type == record.Ping, e.Type == record.Pong, e.Type == record.Text && e.Text == heartbeat:
		return nil // how often is not compared
	}
	want := message{OpText, e.Text}
	if e.Type == record.Binary {
		want = message{OpBinary, string(e.Data)}
	}
	var got *message
	var end bool
	var skip error
	heard := ""
	due := p.at.Add(e.T - p.t)
	err := p.await(e, due, func() bool {
		heard = ""
		switch {
		case len(c.messages) > p.heard:
			got = &c.messages[p.heard]
		case c.closeCode != 0:
			end = true
		default:
			skip = p.gone()
		}
		if skip == nil && (end || e.Type == record.Close && got != nil) && (c.faulted || c.broken || c.sock.pipe.l.holed()) {
			skip = errSkip
		}
		if got != nil || end {
			heard = c.soFar()
		}
		return got != nil || end || skip != nil
	}, c.soFar)
	if err == nil {
		err = skip
	}
	switch {
	case err != nil && p.testOver(): // which ends the connection, too, before or after this was noticed
		return errTestOver
	case err != nil:
		return err
	}
	p.s.mu.Lock()
	ending, code, reason, first := c.ending(), c.closeCode, c.closeReason, !c.replayEnded
	if end {
		c.replayEnded = true
	}
	p.s.mu.Unlock()
	p.played(e)
	switch {
	case e.Type == record.Close && end:
		if code != e.Code || first && reason != e.Reason {
			return fmt.Errorf("expected %s, got %s; %s", e, ending, heard)
		}
		return nil
	case end:
		return fmt.Errorf("expected %s, got %s; %s", e, ending, heard)
	case e.Type == record.Close, *got != want:
		return fmt.Errorf("expected %s, got %s; %s", e, got.kind(), heard)
	}
	p.heard++
	return nil
}
