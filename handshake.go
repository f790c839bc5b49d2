package wsnotify

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Handshake is a connection that is not yet Open, as OnHandshake sees it. Its
// methods may be called until OnHandshake returns, by one goroutine at a time.
type Handshake struct {
	Epoch       uint64      // that the connection will have
	Subprotocol string      // that the server chose
	Header      http.Header // of the server's response

	conn *conn
	over atomic.Bool
}

var errHandshakeOver = errors.New("wsnotify: OnHandshake has returned")

// Send writes a message, with the answers of Client.Send.
func (h *Handshake) Send(ctx context.Context, typ MessageType, data []byte) error {
	if h.over.Load() {
		return errHandshakeOver
	}
	if err := checkMessage(typ, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return h.conn.w.sendFirst(ctx, typ, data)
}

// SendMessage is Send of a text message.
func (h *Handshake) SendMessage(ctx context.Context, text string) error {
	return h.Send(ctx, MessageText, []byte(text))
}

// Receive returns the next message. One that comes later than ctx ends is not
// lost: it is for the next Receive, or the first of the open connection.
// Answers to heartbeats are returned like any other message.
func (h *Handshake) Receive(ctx context.Context) (Message, error) {
	if h.over.Load() {
		return Message{}, errHandshakeOver
	}
	if err := ctx.Err(); err != nil {
		return Message{}, err
	}
	cn := h.conn
	if cn.pending == nil {
		result := make(chan received, 1)
		cn.pending = result
		go func() { result <- cn.receiveOne() }()
	}
	select {
	case r := <-cn.pending:
		cn.pending = nil
		return r.msg, r.err
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

// receiveOne waits for the next message, and answers what comes before it.
func (cn *conn) receiveOne() received {
	for {
		for len(cn.have) > 0 {
			ev := cn.have[0]
			cn.have = cn.have[1:]
			if ev.Op == wire.Text || ev.Op == wire.Binary {
				msg := Message{Type: MessageType(ev.Op), Data: ev.Data, Epoch: cn.epoch}
				if ev.Memory != nil {
					msg.Data = bytes.Clone(ev.Data)
					ev.Memory.Release()
				}
				return received{msg: msg}
			}
			if err := cn.accept(ev); err != nil {
				return received{err: err}
			}
		}
		if err := cn.receive(); err != nil {
			return received{err: err}
		}
	}
}

// discard ends a connection that never was open.
func (cn *conn) discard() {
	cn.tr.Kill()
	cn.release()
}

// apologize ends one that OnHandshake refused, with a close frame.
func (cn *conn) apologize() {
	guard := time.AfterFunc(closeGrace, cn.tr.Kill)
	cn.w.bye(StatusNormalClosure, "", false)
	cn.w.stop()
	cn.w.finish()
	guard.Stop()
	cn.release()
}

func (cn *conn) release() {
	cn.beats.stop()
	cn.w.stop()
	cn.tr.End()
	if cn.pending != nil {
		<-cn.pending
	}
}

// SetHeartbeat sets the interval of this connection's heartbeat, for servers
// that say it in their first message. Zero means that of Config.Heartbeat,
// negative no heartbeat.
func (h *Handshake) SetHeartbeat(interval time.Duration) {
	if h.over.Load() {
		return
	}
	if interval == 0 {
		interval = h.conn.c.cfg.Heartbeat.Interval
	}
	h.conn.beats.setInterval(interval)
}
