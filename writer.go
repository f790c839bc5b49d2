package wsnotify

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// writer sends what the outbox holds over one connection, and the control
// frames of this side. Whoever brings something starts a run of rounds, or
// finds one under way that will see it: there is no goroutine while there is
// nothing to write, and what came meanwhile leaves in one write.
type writer struct {
	ws      *websocket.Conn
	link    *link
	box     *outbox
	timeout time.Duration // of one write; negative: none
	overdue func()        // kills the link, for a write that took longer
	broke   func(error)   // told of the write that failed
	drop    func(error)   // kills the link for another reason

	start   func()        // run; a go statement with a method would allocate
	running atomic.Int32  // idle, rounds or again
	stopped atomic.Bool   // set by stop
	ending  sync.Once     // of stop
	joined  chan struct{} // closed by the run that saw stopped
	dead    atomic.Bool   // a write failed

	mu    sync.Mutex
	front controls

	enc sync.Mutex // held while frames are encoded, never over a write

	// Of the run of rounds, and of stop after it.
	opening []*first // encoded and not yet settled
	spans   []span   // of the messages that are encoded and not yet settled
	flushed int64    // bytes of the stream that the socket took
	guard   *time.Timer
	late    atomic.Bool // the guard has killed the link
}

// controls are what this side sends besides messages, and before them.
type controls struct {
	first []*first // of a Handshake
	text  string   // of a heartbeat that is due
	ping  []byte   // payload of its protocol ping
	pings [][]byte // payloads of those asked for by Ping
	pong  []byte   // payload of the answer to the latest ping; RFC 6455, 5.5.3 allows to skip older ones
	bye   []byte   // payload of the close frame
	drain bool     // bye comes after what the outbox holds
}

// first is a message that a Handshake sends.
type first struct {
	item
	span
	result chan error // of capacity 1
}

// span is where a message stands in the stream.
type span struct{ start, end int64 }

const (
	idle   = iota // nobody writes
	rounds        // somebody does
	again         // somebody does, and has to look again before ending

	batchBytes = 64 << 10            // a round encodes no further message past this
	batchItems = 64                  // taken from the outbox at once
	keepBytes  = batchBytes + 16<<10 // larger buffers are not kept
	writeBytes = 256 << 10           // what one write, and so WriteTimeout, is for
)

var (
	buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}
	batches = sync.Pool{New: func() any { b := make([]item, 0, batchItems); return &b }}
)

func newWriter(ws *websocket.Conn, l *link, box *outbox, cfg *Config, overdue func(), broke func(error)) *writer {
	w := &writer{
		ws: ws, link: l, box: box, timeout: cfg.WriteTimeout,
		overdue: overdue, broke: broke, joined: make(chan struct{}),
	}
	w.start = w.run
	return w
}

// kick makes sure that a round begins after this call.
func (w *writer) kick() {
	if w.claim() {
		go w.start()
	}
}

// claim is kick for a caller who does the rounds himself if it returns true.
func (w *writer) claim() bool {
	return w.running.Load() != again && w.running.Swap(again) == idle
}

// run does rounds until there is nothing to write. Before each it lets those
// go first who have just been told that their message is written: what they
// send next leaves in the same write.
func (w *writer) run() {
	for w.begin() {
		runtime.Gosched()
		for w.round() {
			runtime.Gosched()
		}
		if w.running.CompareAndSwap(rounds, idle) {
			return
		}
	}
	close(w.joined)
}

// lead is run for a Send: it ends when that has its result, and lets another
// goroutine go on.
func (w *writer) lead(wt *waiter) {
	for w.begin() {
		more := w.round()
		answered := len(wt.result) > 0
		if answered && more {
			go w.start()
			return
		}
		if !more && w.running.CompareAndSwap(rounds, idle) {
			return
		}
		if answered {
			go w.start()
			return
		}
	}
	close(w.joined)
}

// begin reports whether there is to be another round. The order matters: were
// stopped looked at first, the store could wipe out the claim of a stop that
// came between the two, which would then wait for ever.
func (w *writer) begin() bool {
	w.running.Store(rounds)
	return !w.stopped.Load()
}

// stop joins the run under way, which the caller has made sure can't take
// long; there will be no other.
func (w *writer) stop() {
	w.ending.Do(func() {
		w.stopped.Store(true)
		if !w.claim() {
			<-w.joined
		}
	})
}

// finish writes what is still encoded, and a close frame that is due, and
// returns the rest to the outbox. It is called after stop.
func (w *writer) finish() {
	if !w.dead.Load() {
		w.enc.Lock()
		if bye, _ := w.encodeControls(); bye != nil {
			w.link.appendFrame(opClose, bye)
		}
		out := w.link.take()
		w.enc.Unlock()
		w.settle(w.write(out))
	}
	w.handBack()
}

// round writes one batch and reports whether there may be more.
func (w *writer) round() (more bool) {
	if w.stopped.Load() {
		return false
	}
	if w.dead.Load() {
		w.refuseFirst()
		return false
	}
	buf := buffers.Get().(*[]byte)
	w.enc.Lock()
	lent := w.link.lend(*buf)
	bye, drain := w.encodeControls()
	if bye == nil || drain {
		more = w.encodeMessages()
	}
	if bye != nil && !more {
		w.link.appendFrame(opClose, bye)
	}
	out := w.link.take()
	w.enc.Unlock()

	err := w.write(out)
	if !lent || cap(out) <= keepBytes {
		if lent {
			*buf = out[:0]
		}
		buffers.Put(buf)
	}
	w.settle(err)
	return more && err == nil
}

// refuseFirst answers a Handshake whose connection can't write any more.
func (w *writer) refuseFirst() {
	w.mu.Lock()
	late := w.front.first
	w.front.first = nil
	w.mu.Unlock()
	for _, f := range late {
		f.result <- ErrNotConnected
	}
}

// encodeControls encodes what is due but for the close frame, which it
// returns.
func (w *writer) encodeControls() (bye []byte, drain bool) {
	w.mu.Lock()
	c := w.front
	w.front = controls{bye: c.bye, drain: c.drain}
	w.mu.Unlock()
	if c.pong != nil {
		w.link.appendFrame(opPong, c.pong)
	}
	if c.text != "" {
		w.link.appendFrame(opText, []byte(c.text))
	}
	if c.ping != nil {
		w.link.appendFrame(opPing, c.ping)
	}
	for _, p := range c.pings {
		w.link.appendFrame(opPing, p)
	}
	for _, f := range c.first {
		f.span = w.encode(f.item)
		f.item = item{}
	}
	w.opening = append(w.opening, c.first...)
	return c.bye, c.drain
}

// encodeMessages encodes messages of the outbox until a batch is full, and
// reports whether that is why it ended.
func (w *writer) encodeMessages() (more bool) {
	if _, sent := w.link.closeFrameSent(); sent {
		return false
	}
	items := batches.Get().(*[]item)
	defer batches.Put(items)
	limit := w.link.offset() + batchBytes
	for {
		at := w.link.offset()
		if at >= limit {
			return true
		}
		batch := w.box.take(w, (*items)[:0], int(limit-at))
		if len(batch) == 0 {
			return false
		}
		for _, it := range batch {
			w.spans = append(w.spans, w.encode(it))
		}
		clear(batch)
	}
}

// encode has the transport frame one message; its bytes stay in the link.
func (w *writer) encode(it item) span {
	start := w.link.offset()
	if it.typ != 0 {
		if err := w.ws.Write(context.Background(), it.typ, it.data); err != nil {
			return span{math.MaxInt64, math.MaxInt64} // a close frame went before it
		}
	}
	return span{start, w.link.offset()}
}

// write gives p to the socket.
func (w *writer) write(p []byte) error {
	for len(p) > 0 {
		w.arm()
		n, err := w.link.write(p[:min(len(p), writeBytes)])
		w.flushed += int64(n)
		if w.guard != nil {
			w.guard.Stop()
		}
		if w.late.Load() {
			return errWriteTimeout
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// arm starts the time that one write may take.
func (w *writer) arm() {
	switch {
	case w.timeout < 0:
	case w.guard != nil:
		w.guard.Reset(w.timeout)
	default:
		w.guard = time.AfterFunc(w.timeout, func() {
			w.late.Store(true)
			w.overdue()
		})
	}
}

// settle tells the outbox what the last write did.
func (w *writer) settle(err error) {
	for _, f := range w.opening {
		f.result <- f.outcome(w.flushed)
	}
	w.opening = nil
	if err != nil {
		w.dead.Store(true)
		w.handBack()
		w.broke(err)
		return
	}
	if done := w.written(); done > 0 {
		w.box.settle(done)
		w.spans = append(w.spans[:0], w.spans[done:]...)
		if len(w.spans) == 0 && cap(w.spans) > batchItems {
			w.spans = nil
		}
	}
}

// written counts the messages that the socket took whole.
func (w *writer) written() (done int) {
	for _, s := range w.spans {
		if s.end > w.flushed {
			break
		}
		done++
	}
	return done
}

func (w *writer) handBack() {
	done := w.written()
	torn := done < len(w.spans) && w.spans[done].start < w.flushed
	w.box.detach(w, done, torn)
}

// outcome says what became of a message when the socket took so many bytes.
func (s span) outcome(flushed int64) error {
	switch {
	case s.end <= flushed:
		return nil
	case s.start < flushed:
		return ErrUnconfirmed
	}
	return ErrNotConnected
}

// sendFirst sends a message of a Handshake, and is as exact as a Send.
func (w *writer) sendFirst(ctx context.Context, typ MessageType, data []byte) error {
	f := &first{item: item{typ, data}, result: make(chan error, 1)}
	w.mu.Lock()
	w.front.first = append(w.front.first, f)
	w.mu.Unlock()
	w.kick()
	select {
	case err := <-f.result:
		return err
	case <-ctx.Done():
	}
	w.enc.Lock() // so that data is not in use when this returns
	defer w.enc.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.front.first, f); i >= 0 {
		w.front.first = slices.Delete(w.front.first, i, i+1)
		return ctx.Err()
	}
	return &unconfirmedError{ctx.Err()}
}

// beat queues a heartbeat. One that still waits for its write is replaced.
func (w *writer) beat(text string, ping []byte) {
	w.mu.Lock()
	w.front.text, w.front.ping = text, ping
	w.mu.Unlock()
	w.kick()
}

func (w *writer) ping(payload []byte) {
	w.mu.Lock()
	w.front.pings = append(w.front.pings, payload)
	w.mu.Unlock()
	w.kick()
}

func (w *writer) pong(payload []byte) {
	w.mu.Lock()
	w.front.pong = append([]byte{}, payload...)
	w.mu.Unlock()
	w.kick()
}

// bye queues the close frame: after what the outbox holds, or at once.
func (w *writer) bye(code StatusCode, reason string, drain bool) {
	w.mu.Lock()
	w.front.bye, w.front.drain = closePayload(code, reason), drain
	w.mu.Unlock()
	w.kick()
}
