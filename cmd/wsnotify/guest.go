package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coder/websocket"
	"github.com/wsnotify/wsnotify"
)

// guest is a connected client of serve.
type guest struct {
	ID    int       `json:"id"`
	User  string    `json:"user"`
	Since time.Time `json:"since"`
	Muted bool      `json:"muted"` // guarded by hub.mu

	hub   *hub
	conn  *websocket.Conn
	out   chan outgoingFrame
	again chan struct{} // Muted has changed
	drop  chan struct{} // closed: end without a close frame
}

// outgoingFrame is a message, or a close frame.
type outgoingFrame struct {
	typ    websocket.MessageType
	data   []byte
	code   websocket.StatusCode // 0 for a message
	reason string
}

var goodBye = outgoingFrame{code: websocket.StatusGoingAway, reason: "the server ends"}

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

// queue reports whether there was room.
func (g *guest) queue(f outgoingFrame) bool {
	select {
	case g.out <- f:
		return true
	default:
		return false
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
func (g *guest) serve() string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer g.conn.CloseNow()
	ended := make(chan string, 1)
	read := make(chan struct{}) // a token for each message that may be read
	go g.read(ctx, read, ended)
	defer close(read)
	for {
		out, next := g.out, read
		if g.muted() {
			out, next = nil, nil
		}
		select {
		case next <- struct{}{}:
		case why := <-ended:
			return why
		case <-g.drop:
			return "dropped"
		case <-g.again:
		case f := <-out:
			if f.code != 0 {
				g.conn.Close(f.code, f.reason)
				if f.code == goodBye.code && f.reason == goodBye.reason {
					return goodBye.reason
				}
				return fmt.Sprintf("closed with %d from the page", int(f.code))
			}
			writing, done := context.WithTimeout(ctx, 10*time.Second)
			err := g.conn.Write(writing, f.typ, f.data)
			done()
			if err != nil {
				return g.reason(err)
			}
		}
	}
}

// read reads a message for each token, and sends it back if that is what the
// server is for.
func (g *guest) read(ctx context.Context, tokens <-chan struct{}, ended chan<- string) {
	for range tokens {
		typ, data, err := g.conn.Read(ctx)
		if err != nil {
			ended <- g.reason(err)
			return
		}
		text := string(data)
		if typ == websocket.MessageBinary {
			text = hexText(data)
		}
		if text != "ping" || g.hub.pings {
			g.hub.say("%s: %s", oneLine(g.User), oneLine(text))
			g.hub.change(func() { g.hub.note(g.User, "in", text) })
		}
		var replies []outgoingFrame
		if g.hub.echo {
			replies = append(replies, outgoingFrame{typ: typ, data: data})
		}
		if answer := g.hub.confirm.answer(data); g.hub.confirm != nil && answer != nil {
			replies = append(replies, outgoingFrame{typ: websocket.MessageText, data: answer})
		}
		for _, reply := range replies {
			select {
			case g.out <- reply:
			case <-ctx.Done():
			}
		}
	}
}

func (g *guest) reason(err error) string {
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return fmt.Sprintf("sent a message of more than %s, and was closed with 1009; --read-limit raises that", bytesText(g.hub.readLimit))
	}
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return "closed with " + closeText(wsnotify.StatusCode(closed.Code), closed.Reason)
	}
	return "the connection was lost"
}
