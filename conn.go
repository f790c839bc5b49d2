package wsnotify

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// conn is one connection: a reader, the rounds of its writer, and a heartbeat.
// They start together and are joined by shut, so that nothing of it outlives
// it.
type conn struct {
	c     *Client
	ws    *websocket.Conn
	link  *link
	w     *writer
	beats *heartbeat

	epoch uint64
	event *OpenEvent // for OnOpen; nil once that is told

	opened   time.Time
	ended    chan struct{} // the reader has returned
	readErr  error         // why; valid after ended
	broken   chan struct{} // a write failed
	unbound  chan struct{} // closed when the reader must not wait for room
	deaf     atomic.Bool   // what comes is not delivered any more
	gone     chan struct{} // closed when it is over
	batch    []delivery    // read and not handed over; the reader's own
	pending  chan received // a read that Receive began and did not see the end of; of capacity 1
	isBroken sync.Once

	mu       sync.Mutex
	cause    error // of our killing the link: a heartbeat or a write that timed out
	writeErr error
}

// received is what one read gave.
type received struct {
	msg Message
	err error
}

// newConn takes over what a handshake made. Nothing of it runs yet, but it can
// write and read.
func newConn(c *Client, box *outbox, ws *websocket.Conn, l *link) *conn {
	cn := &conn{
		c: c, ws: ws, link: l,
		ended:   make(chan struct{}),
		broken:  make(chan struct{}),
		unbound: make(chan struct{}),
		gone:    make(chan struct{}),
	}
	cn.w = newWriter(ws, l, box, &c.cfg, func() { cn.kill(errWriteTimeout) }, cn.writeFailed)
	cn.w.drop = cn.kill
	cn.beats = newHeartbeat(c.cfg.Heartbeat, cn.w, func() { cn.kill(ErrHeartbeatTimeout) },
		func(rtt time.Duration) { c.state.rtt.Store(int64(rtt)) })
	ws.SetReadLimit(readLimit(c.cfg.ReadLimit))
	l.start(c.cfg.ReadLimit, cn.handOver, func() {
		c.state.lastReceived.Store(time.Now().UnixNano())
		cn.beats.heard()
	})
	return cn
}

// readLimit turns ours into the transport's.
func readLimit(limit int64) int64 {
	if limit < 0 {
		return -1
	}
	return limit
}

// handOverSize is how many messages the reader hands over at once.
const handOverSize = 16

// start begins to read and to beat. OnOpen has been queued.
func (cn *conn) start() {
	go cn.read()
	cn.beats.start()
}

// read receives until the connection ends.
func (cn *conn) read() {
	defer close(cn.ended)
	defer cn.handOver()
	if cn.pending != nil { // what OnHandshake did not wait for
		r := <-cn.pending
		if r.err != nil {
			cn.readErr = r.err
			return
		}
		if cn.readErr = cn.accept(r.msg.Type, r.msg.Data); cn.readErr != nil {
			return
		}
	}
	cn.link.divert(cn.accept)
	for {
		typ, data, err := cn.receive()
		if err == nil {
			err = cn.accept(typ, data)
		}
		if err != nil {
			cn.readErr = err
			return
		}
	}
}

// receive returns the next message that is for the transport, in memory of
// its own, which the user may keep.
func (cn *conn) receive() (MessageType, []byte, error) {
	typ, r, err := cn.link.next(cn.ws)
	if err != nil {
		return 0, nil, err
	}
	data := make([]byte, 0, 1024)
	for {
		if len(data) == cap(data) {
			data = append(data, make([]byte, cap(data))...)[:len(data)]
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return typ, data, nil
		}
		if err != nil {
			return 0, nil, err
		}
	}
}

// Violations that the transport lets pass.
var (
	errNotUTF8     = errors.New("a text message is not valid UTF-8")
	errCloseReason = errors.New("the reason of a close frame is not valid UTF-8") // RFC 6455, section 5.5.1
	errMasked      = errors.New("a frame of the server is masked")                // section 5.1
	errLength      = errors.New("a frame's length is not in its shortest form")   // section 5.2
)

// check looks for what the transport lets pass.
func (cn *conn) check(typ MessageType, data []byte) error {
	if limit := cn.c.cfg.ReadLimit; limit > 0 && int64(len(data)) > limit {
		return websocket.ErrMessageTooBig // a compressed one can end just past it
	}
	if typ == MessageText && !utf8.Valid(data) {
		return errNotUTF8
	}
	return nil
}

// accept checks a message and hands it on.
func (cn *conn) accept(typ MessageType, data []byte) error {
	if err := cn.check(typ, data); err != nil {
		return err
	}
	if cn.deaf.Load() {
		return nil // as a browser while CLOSING
	}
	if typ == MessageText && cn.isReply(data) {
		return nil
	}
	cn.c.state.messagesIn.Add(1)
	cn.c.state.bytesIn.Add(uint64(len(data)))
	if inbox := &cn.c.inbox; !inbox.reserve(len(data)) {
		cn.handOver()
		cn.beats.stalling(true)
		inbox.wait(len(data), cn.unbound)
		cn.beats.stalling(false)
	}
	if cn.batch == nil {
		cn.batch = make([]delivery, 0, handOverSize)
	}
	cn.batch = append(cn.batch, delivery{msg: Message{Type: typ, Data: data, Epoch: cn.epoch}})
	if len(cn.batch) == cap(cn.batch) {
		cn.handOver()
	}
	return nil
}

// handOver gives the inbox what was read: several messages at once if they
// came at once, and before the reader waits for anything.
func (cn *conn) handOver() {
	if len(cn.batch) > 0 {
		cn.c.inbox.put(cn.batch)
		clear(cn.batch)
		cn.batch = cn.batch[:0]
	}
}

// isReply reports whether a text message answers the heartbeat's.
func (cn *conn) isReply(data []byte) bool {
	for _, reply := range cn.c.cfg.Heartbeat.Replies {
		if string(data) == reply {
			return true
		}
	}
	return false
}

// kill ends the connection for a cause that is more telling than the errors
// that follow from it.
func (cn *conn) kill(cause error) {
	cn.mu.Lock()
	if cn.cause == nil {
		cn.cause = cause
	}
	cn.mu.Unlock()
	cn.link.kill()
}

func (cn *conn) writeFailed(err error) {
	cn.mu.Lock()
	cn.writeErr = err
	cn.mu.Unlock()
	cn.isBroken.Do(func() { close(cn.broken) })
}

// unbind makes the reader not wait for callbacks any more. Nothing new can
// come, or it is dropped. Only the owner calls it.
func (cn *conn) unbind() {
	select {
	case <-cn.unbound:
	default:
		close(cn.unbound)
	}
}

// deafen makes the reader drop what comes.
func (cn *conn) deafen() {
	cn.deaf.Store(true)
	cn.unbind()
}

// shut ends everything of the connection. What is encoded may still leave
// within grace; after that, or if that is 0, the link is killed. Only the
// owner calls it.
func (cn *conn) shut(grace time.Duration) {
	cn.beats.stop()
	if grace > 0 {
		guard := time.AfterFunc(grace, cn.link.kill)
		cn.w.stop()
		cn.w.finish()
		guard.Stop()
		cn.link.end()
	} else {
		cn.link.kill()
		cn.w.stop()
		cn.w.finish()
	}
	cn.deafen()
	<-cn.ended
	cn.ws.CloseNow()
	cn.link.release()
	close(cn.gone)
}

// own is the Failure of a connection that this side ends.
func (cn *conn) own(cause error) Failure {
	return Failure{Phase: PhaseOpen, Initiator: Local, Code: -1, Uptime: time.Since(cn.opened), Err: cause}
}

// verdict says why the connection ended. The reader has returned.
func (cn *conn) verdict() (f Failure, ev CloseEvent, violation bool) {
	f = Failure{Phase: PhaseOpen, Initiator: Network, Code: -1, Uptime: time.Since(cn.opened)}
	ev = CloseEvent{Epoch: cn.epoch, Code: StatusAbnormalClosure}
	cn.mu.Lock()
	cause, writeErr := cn.cause, cn.writeErr
	cn.mu.Unlock()

	var ce websocket.CloseError
	switch err := cn.readErr; {
	case errors.As(err, &ce):
		f.Initiator, f.Code, f.Reason, f.Err = Remote, ce.Code, ce.Reason, ce
		ev.Code, ev.Reason, ev.WasClean = ce.Code, ce.Reason, true
	case cn.link.socketError() == nil:
		// The socket is well, so what came over it was not.
		violation = true
		f.Initiator, f.Err = Remote, fmt.Errorf("wsnotify: the server broke the protocol: %w", err)
		f.Code = violationCode(err)
	case cause != nil:
		f.Err = cause
	default:
		f.Err = cn.link.socketError()
		if errors.Is(f.Err, net.ErrClosed) && writeErr != nil {
			f.Err = writeErr
		}
		f.Err = fmt.Errorf("wsnotify: the connection was lost: %w", f.Err)
	}
	ev.Failure = f
	return f, ev, violation
}

// violationCode is what answers a violation, RFC 6455, section 7.4.1.
func violationCode(err error) StatusCode {
	switch {
	case errors.Is(err, errNotUTF8), errors.Is(err, errCloseReason):
		return StatusInvalidFramePayloadData
	case errors.Is(err, websocket.ErrMessageTooBig):
		return StatusMessageTooBig
	}
	return StatusProtocolError
}
