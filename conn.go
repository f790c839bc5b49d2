package wsnotify

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/handshake"
	"github.com/wsnotify/wsnotify/internal/inbox"
	"github.com/wsnotify/wsnotify/internal/outbox"
	"github.com/wsnotify/wsnotify/internal/peertime"
	"github.com/wsnotify/wsnotify/internal/position"
	"github.com/wsnotify/wsnotify/internal/transport"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// conn is one connection: a reader, the rounds of its writer, and a heartbeat.
// They start together and are joined by shut, so that nothing of it outlives
// it.
type conn struct {
	// Set before it is open.
	c        *Client
	r        *run
	tr       transport.Conn
	w        *outbox.Writer
	beats    *heartbeat
	peerTime func() time.Duration // a reading for what the server has to confirm; nil if that is nothing
	secrets  *handshake.Secrets   // of its request
	epoch    uint64

	event  *OpenEvent // for OnOpen, until the owner has queued it
	opened time.Time  // written by the owner before the reader starts

	requests requests

	connEnd
	connReader
}

// connEnd says whether a connection has ended, and why.
type connEnd struct {
	ended      chan struct{} // closed by the reader when it returns
	readErr    error         // why: a CloseError, a *wire.Violation, or that of the socket; the reader's, valid after ended
	broken     chan struct{} // closed when a write failed, or the socket was killed
	isBroken   sync.Once     // of broken
	killed     atomic.Bool   // the socket was killed
	unbound    chan struct{} // closed by the owner: the reader must not wait for capacity
	discarding atomic.Bool   // what comes is not delivered any more
	gone       chan struct{} // closed by the owner when everything of it has ended

	mu       sync.Mutex
	cause    error // of our killing it, such as the heartbeat; guarded by mu
	writeErr error // guarded by mu
}

// connReader is what only the goroutine uses that reads at the moment.
type connReader struct {
	// Events of the transport.
	few      [2]transport.Event // what is read into while little comes
	many     *[]transport.Event // and while much does, from a pool
	lastRead []transport.Event  // what the last read returned: a part of either
	unread   []transport.Event  // the events of lastRead that were not accepted
	asked    bool               // Heartbeat.Answer has seen the first of unread
	pingPong bool               // see transport.Conn.Read
	pending  chan received      // a read that Receive began and did not see the end of; of capacity 1

	// On their way to the inbox.
	positions      *position.Receiver            // nil without Resume
	batch          *inbox.Batch                  // nil if empty
	counted        struct{ messages, bytes int } // of batch, and not yet of the client's state
	inline         inbox.InlineDispatch          // runs callbacks on this goroutine
	pastLimit      bool                          // what was read goes past the inbox's limit
	pastLimitBytes int                           // how much of it

	replies       []string  // to the heartbeat's text
	mistake       sync.Once // of a function of Heartbeat: one is reported
	mispositioned bool      // a position was reported that is not a number
}

// received is what one read gave.
type received struct {
	msg Message
	err error
}

// newConn takes over what a handshake made. Nothing of it runs yet, but it can
// write and read.
func newConn(r *run, tr transport.Conn, clock *peertime.Clock) *conn {
	c, spawn := r.c, r.spawn
	cn := &conn{c: c, r: r, tr: tr, connEnd: connEnd{
		ended: make(chan struct{}), broken: make(chan struct{}), unbound: make(chan struct{}), gone: make(chan struct{}),
	}}
	if c.resume != nil {
		cn.positions = c.resume.positions.Connection()
	}
	received := func() int64 {
		cn.inline.HandOff() // what has come may be a sign of life
		return tr.Received()
	}
	cn.beats = newHeartbeat(c.cfg.Heartbeat, c.pings, clock, received, func() { cn.kill(ErrHeartbeatTimeout) },
		func(rtt time.Duration) { c.state.rtt.Store(int64(rtt)) }, spawn)
	cn.beats.asking, cn.beats.wrong = &c.asking, cn.mistaken
	hooks := outbox.Hooks{Pinged: cn.beats.written, Broke: cn.writeFailed, Drop: cn.kill, Spawn: spawn, TextPings: !c.pings}
	if c.cfg.Outbox.ConfirmID != nil {
		hooks.PeerTime = clock.Meter(c.cfg.Outbox.ConfirmTimeout).Now
	}
	if c.subscriptions.awaitsAnswers() {
		cn.peerTime = clock.Meter(c.cfg.Subscriptions.ConfirmTimeout).Now
	}
	cn.w = outbox.NewWriter(tr, c.outbox, hooks)
	cn.beats.w = cn.w
	cn.inline.ReadOn = cn.readOn // made once: a go statement with a method would allocate
	return cn
}

// start begins to read and to beat. OnOpen has been queued.
func (cn *conn) start() {
	cn.replies = cn.beats.replyTexts(cn.c.named)
	if cn.pending == nil && cn.c.inbox.Reserve(0, nil) {
		go cn.inline.ReadOn() // without the frame of read
	} else {
		go cn.read()
	}
	cn.beats.start()
}

// read is readOn for a connection that can't read at once. It waits while the inbox is full
// of messages of an earlier connection, see inbox.Queue. If this connection ends before
// anything was read, nothing was received.
func (cn *conn) read() {
	if in := &cn.c.inbox; !in.Reserve(0, nil) {
		cn.beats.stalling(true)
		if !in.AwaitCapacity(0, cn.unbound) {
			cn.discarding.Store(true)
		}
		cn.beats.stalling(false)
	}
	if cn.pending != nil { // what OnHandshake did not wait for
		r := <-cn.pending
		cn.pending = nil
		if r.err == nil {
			r.err = cn.accept(&transport.Event{Op: wire.Op(r.msg.Type), Data: r.msg.Data, Cost: max(len(r.msg.Data), wire.MinCost)})
		}
		cn.readErr = r.err
	}
	cn.readOn()
}

// readOn reads until the connection ends. What has come is enqueued before it waits for
// more. If no goroutine runs callbacks then, this one does, since to wake another would
// delay them; a new goroutine goes on reading meanwhile. With ping-pong traffic the
// callbacks are dispatched inline: this goroutine runs them and then reads on itself,
// unless they take long.
//
// A reader that waits is most of an idle client. It needs 1.1 KB of stack down to the socket, for
// which it has 2 KB; with larger frames here and in internal/transport it takes 4 KB.
func (cn *conn) readOn() {
	reads := true // this goroutine does, and no other
	defer func() {
		if reads { // Heartbeat.Answer has ended the goroutine, as testing.T.FailNow does
			go cn.inline.ReadOn()
		}
	}()
	for cn.acceptUnread(); cn.readErr == nil; cn.acceptUnread() {
		if cn.batch != nil && cn.c.inbox.Enqueue(cn.takeBatch()) {
			reads = false
			if !cn.pingPong {
				go cn.inline.ReadOn()
				cn.c.inbox.Run()
				return
			}
			if reads = cn.inline.Run(&cn.c.inbox); !reads {
				return
			}
		}
		cn.readErr = cn.receive()
	}
	cn.endReading()
	reads = false
	close(cn.ended)
	cn.r.signal()
}

// acceptUnread handles what was read, until an error.
func (cn *conn) acceptUnread() {
	for len(cn.unread) > 0 && cn.readErr == nil {
		if ev, ok := cn.next(); ok {
			cn.readErr = cn.accept(ev)
		}
	}
}

// endReading enqueues what was received, and releases what the reader has.
func (cn *conn) endReading() {
	cn.enqueueBatch()
	for _, ev := range cn.unread { // behind a close frame
		ev.Release()
	}
	clear(cn.lastRead)
	cn.putMany()
}

// receive waits for what comes next. It clears what came before, which would otherwise
// stay referenced while nothing comes: 32 messages of an idle client. Memory for many
// events stays while much comes, at no cost that could be measured, and is released
// when little came.
func (cn *conn) receive() error {
	clear(cn.lastRead)
	switch {
	case cn.many == nil && len(cn.lastRead) == len(cn.few): // there is more, most likely
		cn.many = manyEvents.Get().(*[]transport.Event)
	case cn.many != nil && len(cn.lastRead) < len(*cn.many)/4:
		cn.putMany()
	}
	events := cn.few[:]
	if cn.many != nil {
		events = *cn.many
	}
	n, pingPong, err := cn.tr.Read(events)
	cn.pingPong = pingPong
	cn.lastRead = events[:n]
	cn.unread = cn.lastRead
	return err
}

var manyEvents = sync.Pool{New: func() any { e := make([]transport.Event, inbox.BatchSize); return &e }}

func (cn *conn) putMany() {
	if cn.many != nil {
		manyEvents.Put(cn.many)
		cn.many = nil
	}
}

// next dequeues the first event that was read, and reports false if Heartbeat.Answer has
// answered it. An Answer that ends its goroutine is not called again, and has not answered.
func (cn *conn) next() (ev *transport.Event, ok bool) {
	ev = &cn.unread[0]
	answer := cn.c.cfg.Heartbeat.Answer
	if answer != nil && !cn.asked && (ev.Op == wire.Text || ev.Op == wire.Binary) && !cn.discarding.Load() {
		cn.asked = true
		var reply string
		if reply, ok = answer(cn.message(ev)); ok {
			cn.beats.liveness.reply(false)
			cn.answer(reply)
			cn.c.resume.answered(cn, cn.message(ev))
			ev.Release()
		}
	}
	cn.unread, cn.asked = cn.unread[1:], false
	return ev, !ok
}

func (cn *conn) message(ev *transport.Event) Message {
	return Message{Type: MessageType(ev.Op), Data: ev.Data, Epoch: cn.epoch}
}

// accept handles one event. Its error ends the connection.
func (cn *conn) accept(ev *transport.Event) error {
	switch ev.Op {
	case wire.Ping:
		cn.w.Pong(ev.Data)
		return nil
	case wire.Pong:
		cn.beats.pong(ev.Data)
		return nil
	case wire.Close:
		return CloseError{Code: StatusCode(ev.Code), Reason: string(ev.Data)}
	}
	switch {
	case cn.discarding.Load(): // as a browser while CLOSING
	case ev.Op == wire.Text && cn.isReply(ev.Data):
		cn.beats.liveness.reply(true)
	default:
		cn.beats.liveness.reply(false)
		cn.enqueue(ev)
		return nil
	}
	ev.Release()
	return nil
}

// maxPastLimit is how many bytes a reader enqueues past the inbox's limit when it must not
// wait any more.
const maxPastLimit = 64 << 10

// enqueue gives a message to the Request that waits for it, or adds it to the batch for
// the inbox, once there is capacity.
func (cn *conn) enqueue(ev *transport.Event) {
	if rs := &cn.requests; rs.live.Load() > 0 {
		cn.count() // what came before an answer is counted when its Request returns
		if rs.match(cn.c.reading.id, cn.message(ev), ev.Memory != nil) {
			cn.c.received(1, len(ev.Data))
			cn.c.resume.answered(cn, cn.message(ev))
			ev.Release()
			return
		}
	}
	pastLimit := cn.pastLimit
	if pastLimit && cn.pastLimitBytes+len(ev.Data) > maxPastLimit {
		cn.discarding.Store(true)
		ev.Release()
		return
	}
	var mark position.Mark
	var duplicate bool
	if rs := cn.c.resume; rs != nil {
		if mark, duplicate = rs.admit(cn, cn.message(ev), false); duplicate && !cn.c.subscriptions.confirms() {
			ev.Release()
			return
		}
	}
	switch {
	case pastLimit:
		cn.pastLimitBytes += len(ev.Data)
	case !duplicate:
		cn.counted.messages++
		cn.counted.bytes += len(ev.Data)
	}
	if in := &cn.c.inbox; !pastLimit && !in.Reserve(ev.Cost, cn.batch) {
		cn.enqueueBatch()
		cn.count()
		cn.beats.stalling(true)
		cn.pastLimit = !in.AwaitCapacity(ev.Cost, cn.unbound)
		cn.beats.stalling(false)
	}
	if cn.batch == nil {
		cn.batch = inbox.NewBatch()
	}
	if cn.batch.Add(inbox.Item{Op: ev.Op, Data: ev.Data, Epoch: cn.epoch, Cost: ev.Cost, Memory: ev.Memory, Mark: mark, PastLimit: pastLimit, Duplicate: duplicate}) {
		cn.enqueueBatch()
	}
}

// enqueueBatch hands what was read to the inbox: several messages at once if they came
// at once, and always before the reader waits.
func (cn *conn) enqueueBatch() {
	if cn.batch != nil && cn.c.inbox.Enqueue(cn.takeBatch()) {
		go cn.c.inbox.Run()
	}
}

func (cn *conn) takeBatch() *inbox.Batch {
	cn.count()
	if cn.positions != nil {
		cn.positions.Publish()
	}
	b := cn.batch
	cn.batch = nil
	return b
}

// count adds to what the client has received.
func (cn *conn) count() {
	cn.c.received(cn.counted.messages, cn.counted.bytes)
	cn.counted.messages, cn.counted.bytes = 0, 0
}

// kill ends the connection for a cause that is more telling than the errors
// that follow from it.
func (cn *conn) kill(cause error) {
	cn.mu.Lock()
	if cn.cause == nil {
		cn.cause = cause
	}
	cn.mu.Unlock()
	cn.c.recorder.killing(cn.tr, cause)
	cn.end()
}

// end kills the socket. The reader is expected to return then.
func (cn *conn) end() {
	cn.killed.Store(true)
	cn.tr.Kill()
	cn.breaks()
}

// breaks signals the owner that the connection is broken.
func (cn *conn) breaks() {
	cn.isBroken.Do(func() {
		close(cn.broken)
		cn.r.signal()
	})
}

// linger is how long the reader of a broken connection may take to say more.
func (cn *conn) linger() time.Duration {
	if cn.killed.Load() {
		return joinConn
	}
	return closeGrace
}

// writeFailed is called when a write failed. A peer whose socket accepts nothing does
// not answer either, so the reader would wait on.
func (cn *conn) writeFailed(err error) {
	if errors.Is(err, transport.ErrWriteTimeout) {
		cn.kill(errWriteTimeout)
	}
	cn.mu.Lock()
	cn.writeErr = err
	cn.mu.Unlock()
	cn.breaks()
}

// unbind makes the reader stop waiting for capacity in the inbox: the connection is over, or
// what comes is discarded. Only the owner calls it.
func (cn *conn) unbind() {
	cn.inline.HandOff()
	select {
	case <-cn.unbound:
	default:
		close(cn.unbound)
	}
}

// discardIncoming makes the reader discard what comes.
func (cn *conn) discardIncoming() {
	cn.discarding.Store(true)
	cn.unbind()
}

// shut ends everything of the connection. For the time of grace what is encoded may still
// be sent, and the peer may end the connection; then the socket is killed. With a grace of 0
// it is killed at once. Only the owner calls it.
func (cn *conn) shut(grace time.Duration) {
	cn.beats.stop()
	if grace > 0 {
		guard := time.AfterFunc(grace, cn.tr.Kill)
		defer guard.Stop()
	} else {
		cn.tr.Kill()
	}
	cn.w.Stop()
	cn.w.Finish()
	gone := cn.tr.End()
	cn.discardIncoming()
	cn.join(gone)
	cn.inline.Stop()
	close(cn.gone)
}

// join waits for the reader of a connection that has ended. It can't wait for a
// net.Conn that a user supplies and that does not end: Done does.
func (cn *conn) join(gone <-chan struct{}) {
	select {
	case <-gone:
		<-cn.ended
	case <-time.After(joinConn):
		cn.r.spawn(func() { <-gone; <-cn.ended })
	}
}

// joinConn is how long a net.Conn that is closed may take to end. A socket needs no
// time.
const joinConn = 100 * time.Millisecond

// localFailure is the Failure of a connection that this side ends.
func (cn *conn) localFailure(cause error) Failure {
	return Failure{Phase: PhaseOpen, Initiator: Local, Code: -1, Uptime: time.Since(cn.opened), Err: cause}
}

// outcome says why the connection ended. readErr is why the reader has returned. The
// most telling reason wins, not the first: a close frame, then a violation, then our
// own cause for killing the socket, then the error of the socket.
func (cn *conn) outcome(readErr error) (f Failure, ev CloseEvent, violation bool) {
	f = Failure{Phase: PhaseOpen, Initiator: Network, Code: -1, Uptime: time.Since(cn.opened)}
	ev = CloseEvent{Epoch: cn.epoch, Code: StatusAbnormalClosure}
	cn.mu.Lock()
	cause, writeErr := cn.cause, cn.writeErr
	cn.mu.Unlock()

	var ce CloseError
	var wrong *wire.Violation
	switch err := readErr; {
	case errors.As(err, &ce):
		f.Initiator, f.Code = Remote, ce.Code
		f.Reason, f.shown = ce.Reason, cn.secrets.Hide(ce.Reason)
		ev.Code, ev.Reason, ev.WasClean = ce.Code, ce.Reason, true
		ce.Reason = f.shown
		f.Err = ce
	case errors.As(err, &wrong):
		violation = true
		f.Initiator, f.Code, f.Err = Remote, StatusCode(wrong.Code), fmt.Errorf("wsnotify: the server broke the protocol: %w", err)
	case cause != nil:
		f.Err = cause
	case errors.Is(err, transport.ErrWriteTimeout): // the writer is about to say so
		f.Err = errWriteTimeout
	default:
		if errors.Is(err, net.ErrClosed) && writeErr != nil {
			err = writeErr
		}
		f.Err = fmt.Errorf("wsnotify: the connection was lost: %w", cn.secrets.Error(err))
	}
	ev.Failure = f
	return f, ev, violation
}

// lossErr is the error of outcome.
func (cn *conn) lossErr() error {
	f, _, _ := cn.outcome(cn.lastErr())
	return f.Err
}

// lastErr is why the reader has returned, or should have.
func (cn *conn) lastErr() error {
	if isClosed(cn.ended) {
		return cn.readErr
	}
	return net.ErrClosed
}

// clock returns one for a connection. Without pings this is a page of a browser, whose
// timers may always be late.
func (c *Client) clock() *peertime.Clock {
	if !c.pings {
		return peertime.New(maxStops)
	}
	return peertime.New(-1)
}

// options are how a connection behaves.
func (c *Client) options(clock *peertime.Clock) transport.Options {
	return transport.Options{
		ReadLimit: c.cfg.ReadLimit, Reuse: c.cfg.Inbox.Reuse, MaxFrame: c.cfg.MaxFrame,
		WriteTimeout: c.cfg.WriteTimeout, LastReceived: &c.state.lastReceived, PeerTime: clock,
	}
}
