package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/wsnotify/wsnotify"
)

// guest is a connected client of serve.
type guest struct {
	ID    int       `json:"id"`
	User  string    `json:"user"`
	Since time.Time `json:"since"`
	Muted bool      `json:"muted"` // guarded by hub.mu

	hub     *hub
	conn    *socket
	missed  chan *outgoingFrame // what it has asked for, before all of out; nil once that is sent
	out     chan *outgoingFrame
	replies chan *outgoingFrame // of the reader, which waits until each is written
	written chan struct{}
	again   chan struct{} // Muted has changed
	drop    chan struct{} // closed: end without a close frame
	over    chan struct{} // closed when serve has ended
}

// outgoingFrame is a message, or a close frame. It may wait for several clients.
type outgoingFrame struct {
	op     byte
	data   []byte
	code   int // of a close frame
	reason string

	waits int // clients that it waits for; guarded by hub.mu
}

func goodBye() *outgoingFrame {
	return &outgoingFrame{op: opClose, code: 1001, reason: "the server ends"}
}

func newGuest(h *hub, user string, conn *socket) *guest {
	g := &guest{hub: h, User: user, Since: time.Now(), conn: conn, out: make(chan *outgoingFrame, maxQueue),
		replies: make(chan *outgoingFrame), written: make(chan struct{}), again: make(chan struct{}, 1),
		drop: make(chan struct{}), over: make(chan struct{})}
	conn.limit, conn.large, conn.muted = h.readLimit, h.large, g.muted
	return g
}

func (g *guest) muted() bool {
	g.hub.mu.Lock()
	defer g.hub.mu.Unlock()
	return g.Muted
}

// mute is called with hub.mu, as close and send are.
func (g *guest) mute(on bool) {
	g.Muted = on
	select {
	case g.again <- struct{}{}:
	default:
	}
}

// queue reports whether there was room: a client that does not read has a few messages wait, and all
// of them together no more than some bytes. It is called with hub.mu, as dequeued and unqueue are.
func (g *guest) queue(f *outgoingFrame) bool {
	return g.queueTo(g.out, f)
}

func (g *guest) queueTo(out chan<- *outgoingFrame, f *outgoingFrame) bool {
	if f.waits == 0 && g.hub.pending+len(f.data) > maxPending {
		return false
	}
	select {
	case out <- f:
	default:
		return false
	}
	if f.waits++; f.waits == 1 {
		g.hub.pending += len(f.data)
	}
	return true
}

// queueMissed has these sent before anything else. It is called with hub.mu.
func (g *guest) queueMissed(frames []*outgoingFrame) {
	if len(frames) == 0 {
		return
	}
	g.missed = make(chan *outgoingFrame, len(frames))
	for _, f := range frames {
		if !g.queueTo(g.missed, f) {
			closeOnce(g.drop) // it asks again
			break
		}
	}
	close(g.missed)
}

func (g *guest) dequeued(f *outgoingFrame) {
	if f.waits--; f.waits == 0 {
		g.hub.pending -= len(f.data)
	}
}

// unqueue discards what waits.
func (g *guest) unqueue() {
	if g.missed != nil {
		for f := range g.missed {
			g.dequeued(f)
		}
	}
	for {
		select {
		case f := <-g.out:
			g.dequeued(f)
		default:
			return
		}
	}
}

// closeOnce is called with hub.mu.
func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// serve returns why it ended.
func (g *guest) serve() (why string) {
	ended := make(chan error, 1)
	read := make(chan struct{}) // a token for each message that may be read
	go g.read(read, ended)
	defer func() { // the reader is the last who uses the message under way
		close(g.over)
		close(read)
		g.conn.end()
		<-ended
	}()
	var closing <-chan time.Time // we have sent a close frame
	for {
		out, replies, next := g.out, g.replies, read
		if g.missed != nil {
			out = g.missed
		}
		if g.muted() {
			out, replies, next = nil, nil, nil
		}
		var f *outgoingFrame
		reply := false
		select {
		case next <- struct{}{}:
			continue
		case err := <-ended:
			ended <- err
			if why != "" {
				return why
			}
			return g.reason(err)
		case <-closing:
			return why + ", and did not answer"
		case <-g.drop:
			return "dropped"
		case <-g.again:
			continue
		case f = <-out:
			if f == nil {
				g.missed = nil
				continue
			}
			if f.op == opClose && why == "" {
				why = f.reason
				if f.code != 1001 || why != goodBye().reason {
					why = fmt.Sprintf("closed with %d from the page", f.code)
				}
				closing = time.After(closeWait)
			}
		case f = <-replies:
			reply = true
		}
		var err error
		if f.op == opClose {
			err = g.conn.close(f.code, f.reason)
		} else {
			err = g.conn.write(f.op, f.data)
		}
		if reply {
			g.written <- struct{}{}
		} else {
			g.hub.mu.Lock()
			g.dequeued(f)
			g.hub.mu.Unlock()
		}
		if err != nil && !errors.Is(err, errSealed) {
			return g.reason(err)
		}
	}
}

// read reads a message for each token, and sends it back if that is what the
// server is for.
func (g *guest) read(tokens <-chan struct{}, ended chan<- error) {
	for range tokens {
		op, data, err := g.conn.read()
		if err == nil {
			g.received(op, data)
		}
		g.conn.release()
		if err != nil {
			ended <- err
			return
		}
	}
	ended <- errors.New("nothing more is to be read")
}

func (g *guest) received(op byte, data []byte) {
	if string(data) != "ping" || op != opText || g.hub.pings {
		text := ""
		if op == opBinary {
			text = hexText(data)
		} else if text = string(data[:min(len(data), maxLine+1)]); len(data) > maxLine {
			text = shorten(text, maxLine) + fmt.Sprintf(" (%d bytes)", len(data))
		}
		g.hub.say("%s: %s", oneLine(g.User), oneLine(text))
		g.hub.change(func() { g.hub.note(g.User, "in", text) })
	}
	if g.hub.echo {
		g.reply(&outgoingFrame{op: op, data: data})
	}
	if op == opText && g.hub.confirm != nil {
		if answer := g.hub.confirm.answer(data); answer != nil {
			g.reply(&outgoingFrame{op: opText, data: answer})
		}
	}
}

// reply waits until f is written, so that a client that sends and does not read
// has no more than one message kept.
func (g *guest) reply(f *outgoingFrame) {
	select {
	case g.replies <- f:
		<-g.written
	case <-g.over:
	}
}

func (g *guest) reason(err error) string {
	var wrong *refusedError
	var closed *closedError
	switch {
	case errors.As(err, &wrong) && wrong.code == 1009:
		return fmt.Sprintf("sent a message of more than %s, and was closed with 1009; --read-limit raises that", bytesText(g.hub.readLimit))
	case errors.As(err, &wrong):
		return fmt.Sprintf("closed with %d: %s", wrong.code, wrong.text)
	case errors.As(err, &closed):
		return "closed with " + closeText(wsnotify.StatusCode(closed.code), closed.reason)
	}
	return "the connection was lost"
}
