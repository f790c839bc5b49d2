package wsnotify

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
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
// Answers to heartbeats are returned like any other message. When the server
// has closed the connection the error is a CloseError; after that, as after any
// other end of the connection, each call returns the same.
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
		if r.err != nil {
			cn.pending <- r // for the next Receive, or the reader of the open connection
			f, _ := cn.seen(r.err)
			return Message{}, f.Err
		}
		cn.pending = nil
		return r.msg, nil
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

// seen says what the peer did that ended reading with err, as it is told of an
// open connection, and whether that was a violation.
func (cn *conn) seen(err error) (f Failure, violation bool) {
	cn.readErr = err
	f, _, violation = cn.verdict()
	return f, violation
}

// receiveOne reads one message and checks it.
func (cn *conn) receiveOne() received {
	typ, data, err := cn.receive()
	if err == nil {
		err = cn.check(typ, data)
	}
	if err != nil {
		return received{err: err}
	}
	return received{msg: Message{Type: typ, Data: data, Epoch: cn.epoch}}
}

// discard ends a connection that never was open.
func (cn *conn) discard() {
	cn.link.kill()
	cn.link.end() // the layers above the socket too, which may be a user's
	cn.release()
}

// refuse ends a connection that OnHandshake refused, with a close frame: of
// code 1000, or the one that answers a violation. It returns what the peer did
// meanwhile; nil if that is nothing.
func (cn *conn) refuse() *Failure {
	guard := time.AfterFunc(closeGrace, cn.link.kill)
	defer guard.Stop()
	cn.w.stop() // and whether a write failed is known
	code := StatusNormalClosure
	peer, violation := cn.lastWord()
	if violation {
		code = peer.Code
	}
	cn.w.bye(code, "", false)
	cn.w.finish()
	cn.link.end()
	cn.release()
	return peer
}

// lastWord looks whether reading has ended, and how. After a write that failed
// it reads on, until refuse kills the link: what the peer said before it went
// is why the hook failed.
func (cn *conn) lastWord() (peer *Failure, violation bool) {
	broken := false
	select {
	case <-cn.broken:
		broken = true
	default:
	}
	for {
		var r received
		switch {
		case broken && cn.pending == nil:
			r = cn.receiveOne()
		case broken:
			r = <-cn.pending
		default:
			select {
			case r = <-cn.pending:
			default: // nothing, or nobody reads
				return nil, false
			}
		}
		cn.pending = nil
		if r.err != nil {
			f, violation := cn.seen(r.err)
			return &f, violation
		}
	}
}

func (cn *conn) release() {
	cn.beats.stop()
	cn.w.stop()
	if cn.pending != nil {
		<-cn.pending
	}
	cn.ws.CloseNow()
	cn.link.release()
}
