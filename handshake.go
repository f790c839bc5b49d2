package wsnotify

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// DialRequest is what BeforeDial may change.
type DialRequest struct {
	URL          *url.URL    // scheme ws, wss, http or https
	Header       http.Header // a copy of Config.Header
	Subprotocols []string    // a copy of Config.Subprotocols; some servers want a token there
	Attempt      int         // 0 the first dial, then 1, 2, … as ReconnectAttempts
	Last         *Failure    // of the attempt or connection before; nil at first

	resume *resume
}

// Handshake is a connection that is not yet Open, as OnHandshake sees it. Its
// methods may be called until OnHandshake returns, by one goroutine at a time;
// a Receive that waits then returns an error, and has taken nothing.
type Handshake struct {
	Epoch       uint64      // that the connection will have
	Subprotocol string      // that the server chose
	Header      http.Header // of the server's response

	conn *conn
	over chan struct{}  // closed when OnHandshake has returned
	at   sync.WaitGroup // calls of Receive

	mu     sync.Mutex
	isOver bool
}

var errHandshakeOver = errors.New("wsnotify: OnHandshake has returned; a Handshake can't be used any more, use the methods of the Client")

// begin reports whether a Receive may begin.
func (h *Handshake) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isOver {
		h.at.Add(1)
	}
	return !h.isOver
}

// end makes every call an error, also one that waits.
func (h *Handshake) end() {
	h.mu.Lock()
	h.isOver = true
	h.mu.Unlock()
	close(h.over)
	h.at.Wait()
}

// Send writes a message, with the answers of Client.Send.
func (h *Handshake) Send(ctx context.Context, typ MessageType, data []byte) error {
	if isClosed(h.over) {
		return errHandshakeOver
	}
	if err := checkMessage(typ, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return h.conn.sendFirst(ctx, typ, data)
}

// sendFirst sends a message before everything that is queued.
func (cn *conn) sendFirst(ctx context.Context, typ MessageType, data []byte) error {
	err := cn.w.SendFirst(ctx, wire.Op(typ), data)
	if err == nil {
		cn.c.written(1, len(data), 0)
	}
	return err
}

// SendText is Send of a text message.
func (h *Handshake) SendText(ctx context.Context, text string) error {
	return h.Send(ctx, MessageText, []byte(text))
}

// SendMessage is SendText, under the name that the browser store has for it.
func (h *Handshake) SendMessage(ctx context.Context, text string) error {
	return h.SendText(ctx, text)
}

// Receive returns the next message. One that comes later than ctx ends is not
// lost: it is for the next Receive, or the first of the open connection.
// Answers to heartbeats are returned like any other message, but not what
// Heartbeat.Answer answers. When the server has closed the connection the error is a CloseError; after that, as after any
// other end of the connection, each call returns the same.
func (h *Handshake) Receive(ctx context.Context) (Message, error) {
	if !h.begin() {
		return Message{}, errHandshakeOver
	}
	defer h.at.Done()
	if err := ctx.Err(); err != nil {
		return Message{}, err
	}
	cn := h.conn
	if cn.pending == nil {
		result := make(chan received, 1)
		cn.pending = result
		go cn.receiveFor(result)
	}
	select {
	case r := <-cn.pending:
		if isClosed(h.over) { // it is for the reader of the open connection
			cn.pending <- r
			return Message{}, errHandshakeOver
		}
		if r.err != nil {
			cn.pending <- r // for the next Receive, or the reader of the open connection
			return Message{}, cn.seen(r.err).Err
		}
		cn.pending = nil
		cn.c.received(1, len(r.msg.Data))
		cn.c.resume.answered(cn, r.msg)
		return r.msg, nil
	case <-h.over:
		return Message{}, errHandshakeOver
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

// seen says what the peer did that ended reading with err, as for an open connection.
func (cn *conn) seen(err error) *Failure {
	f, _, _ := cn.outcome(err)
	return &f
}

// receiveFor is receiveOne on a goroutine of its own, which Heartbeat.Answer
// may end.
func (cn *conn) receiveFor(result chan<- received) {
	ended := false
	defer func() {
		if !ended {
			go cn.receiveFor(result)
		}
	}()
	r := cn.receiveOne()
	ended = true
	result <- r
}

// receiveOne waits for the next message, and answers what comes before it.
func (cn *conn) receiveOne() received {
	for {
		for len(cn.unread) > 0 {
			ev, ok := cn.next()
			if !ok {
				continue
			}
			if ev.Op == wire.Text || ev.Op == wire.Binary {
				msg := cn.message(ev)
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

// refuse ends a connection that OnHandshake refused, with a close frame: of
// code 1000, or the one that answers what the peer did. It returns what that
// was; nil if it did nothing.
func (cn *conn) refuse() *Failure {
	guard := time.AfterFunc(closeGrace, cn.tr.Kill)
	defer guard.Stop()
	cn.discarding.Store(true)
	cn.w.Stop() // and whether a write failed is known
	code, reason := StatusNormalClosure, ""
	peer := cn.lastWord()
	if peer != nil && peer.Code >= 0 { // a close frame, or a violation
		code, reason = peer.Code, peer.Reason
	}
	cn.w.SendClose(int(code), reason, false)
	cn.w.Finish()
	cn.release()
	return peer
}

// lastWord checks whether reading has ended, and how. After a write that failed
// it reads on, until refuse kills the socket: what the peer said before it went
// is why the hook failed.
func (cn *conn) lastWord() *Failure {
	broken := false
	select {
	case <-cn.broken:
		broken = true
	default:
	}
	var limit <-chan time.Time
	if broken { // refuse kills the socket before
		limit = time.After(closeGrace + joinConn)
	}
	for {
		if broken && cn.pending == nil {
			cn.pending = make(chan received, 1)
			go cn.receiveFor(cn.pending)
		}
		var r received
		switch {
		case broken:
			select {
			case r = <-cn.pending:
			case <-limit:
				return nil
			}
		default:
			select {
			case r = <-cn.pending:
			default: // nothing, or nobody reads
				return nil
			}
		}
		cn.pending = nil
		if r.err != nil {
			return cn.seen(r.err)
		}
	}
}

func (cn *conn) release() {
	cn.beats.stop()
	cn.w.Stop()
	gone := cn.tr.End()
	pending := cn.pending
	if pending == nil {
		close(cn.ended)
	} else {
		go func() {
			<-pending
			close(cn.ended)
		}()
	}
	cn.join(gone)
}

// SetHeartbeat sets the interval of this connection's heartbeat, for servers
// that say it in their first message. Zero means the interval of Config.Heartbeat,
// negative no heartbeat.
func (h *Handshake) SetHeartbeat(interval time.Duration) {
	if isClosed(h.over) {
		return
	}
	if interval == 0 {
		interval = h.conn.c.cfg.Heartbeat.Interval
	}
	h.conn.beats.setInterval(interval)
}
