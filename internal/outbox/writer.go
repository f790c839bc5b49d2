package outbox

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/transport"
)

// Writer sends what the outbox holds over one connection, and the control
// frames of this side. Whoever brings something starts a run of rounds, or
// finds one under way that will see it: there is no goroutine while there is
// nothing to write, and what came meanwhile leaves in one write.
type Writer struct {
	tr  transport.Conn
	out *Outbox
	Hooks

	session *Session // since Attach; guarded by the lock of out

	start   func()        // run; a go statement with a method would allocate
	running atomic.Int32  // idle, rounds or again
	stopped atomic.Bool   // set by stop
	ending  sync.Once     // of stop
	joined  chan struct{} // closed by the run that saw stopped
	dead    atomic.Bool   // a write failed, or the close frame was written

	held  atomic.Bool // messages wait until Release
	mu    sync.Mutex
	front controls

	refuses bool // nothing is written any more; guarded by mu

	// What the run of rounds writes, and stop after it. The batch's lock guards
	// all of it; who holds it may take data back.
	batch   transport.Batch
	ended   int      // frames of the batch that the socket took
	ping    int      // the frame of the heartbeat that is watched: its ping, or its text in a browser; none or interjected
	opening []*first // in frames of their own, up to the first message
	base    int      // the frame of the first message
	shared  bool     // the latest batch was of several messages
}

const (
	idle   = iota // nobody writes
	rounds        // somebody does
	again         // somebody does, and has to look again before ending

	batchBytes  = 64 << 10 // a batch gets no further message past this
	batchFrames = 2048
	batchItems  = 64 // taken from the outbox at once
	frameBytes  = 8  // that a message takes besides its own, or so
)

// Hooks are what a writer tells its connection.
type Hooks struct {
	Pinged func(received int64) // the socket took the ping of a beat; so much had come before that
	Broke  func(error)          // the write that failed
	Drop   func(error)          // ends the connection for another reason

	// PeerTime is a clock that stands still while the peer can't be expected to
	// answer. ConfirmTimeout is measured with it. It is called without a lock.
	PeerTime func() time.Duration

	Spawn func(func()) // starts a goroutine that may be in user code

	TextPings bool // there are no pings: the text of a beat stands for one
}

// NewWriter returns the writer of a connection. It writes nothing of the box
// before Attach.
func NewWriter(tr transport.Conn, out *Outbox, hooks Hooks) *Writer {
	w := &Writer{tr: tr, out: out, Hooks: hooks, joined: make(chan struct{})}
	w.start = w.run
	if w.PeerTime == nil {
		w.PeerTime = out.clock
	}
	return w
}

// Hold has messages wait until Release, so that others come before them.
func (w *Writer) Hold() { w.held.Store(true) }

// Release ends a Hold.
func (w *Writer) Release() {
	if w.held.CompareAndSwap(true, false) {
		w.kick()
	}
}

// kick makes sure that a round begins after this call.
func (w *Writer) kick() {
	if w.claim() {
		go w.start()
	}
}

// claim is kick for a caller who does the rounds himself if it returns true.
func (w *Writer) claim() bool {
	return w.running.Load() != again && w.running.Swap(again) == idle
}

// run does rounds until there is nothing to write. Before each it lets those
// go first who have just been told that their message is written: what they
// Send next leaves in the same write. For 16 senders that gains 15 to 60 %.
func (w *Writer) run() {
	runtime.Gosched()
	w.runNow()
}

// runNow is run for a beat, which nobody waits for.
func (w *Writer) runNow() {
	for w.begin() {
		for w.round() {
			runtime.Gosched()
		}
		if w.running.CompareAndSwap(rounds, idle) {
			return
		}
		runtime.Gosched()
	}
	close(w.joined)
}

// lead is run for a Send: it ends when that has its result, and lets another
// goroutine go on. Of several senders, who are all told at once, the first lets the
// others go before it, which doubles what leaves in a write. For a single one that
// would take longer than all but its system call.
func (w *Writer) lead(sd *send) {
	if w.shared {
		runtime.Gosched()
	}
	for w.begin() {
		more := w.round()
		answered := len(sd.result) > 0
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
// came between the two, which would then wait forever.
func (w *Writer) begin() bool {
	w.running.Store(rounds)
	return !w.stopped.Load()
}

// Stop joins the run under way, which the caller has made sure can't take
// long; there will be no other.
func (w *Writer) Stop() {
	w.ending.Do(func() {
		w.stopped.Store(true)
		w.out.pacer.leave(w)
		if !w.claim() {
			<-w.joined
		}
	})
}

// Finish writes the control frames that are due, and returns everything else
// to the outbox. It is called after stop.
func (w *Writer) Finish() {
	if !w.dead.Load() {
		w.batch.Lock()
		last := w.addControls()
		w.batch.Unlock()
		if err := w.write(); err == nil && last != nil {
			w.writeClose(last)
		}
	}
	w.refuseFirst()
	w.out.detach(w, false)
}

// round writes one batch and reports whether there may be more.
func (w *Writer) round() (more bool) {
	if w.stopped.Load() {
		return false
	}
	if w.dead.Load() {
		w.refuseFirst()
		return false
	}
	w.batch.Lock()
	last := w.addControls()
	if last == nil || last.drain {
		more = w.addMessages()
	}
	w.shared = w.batch.Len() > w.base+1
	w.batch.Unlock()
	err := w.write()
	if err == nil && last != nil && !more {
		err = w.writeClose(last)
	}
	return more && err == nil
}

// addMessages moves messages of the outbox to the batch until that is full,
// and reports whether that is why it ended. The batch is locked.
func (w *Writer) addMessages() (more bool) {
	if w.held.Load() {
		return false
	}
	for size := 0; size < batchBytes && w.batch.Len() < batchFrames; {
		n, taken := w.out.dequeue(w, batchItems, batchBytes-size)
		if size += taken; n < batchItems && size < batchBytes {
			return false
		}
	}
	return true
}

// write sends the batch. Who waits for a part of it learns at once what became
// of that.
func (w *Writer) write() error {
	if w.batch.Len() == 0 {
		return nil
	}
	for {
		var received int64
		if w.ping != none {
			received = w.tr.Received() // before the write: the answer may be faster than we
		}
		n, torn, err := w.tr.Write(&w.batch)
		w.batch.Lock()
		pinged := w.tookPing(n, err)
		w.settle(n)
		done := w.batch.Done()
		if err != nil {
			w.dead.Store(true)
			w.fail(torn)
		}
		if !done && err == nil {
			done = w.interject()
		}
		if done || err != nil {
			w.batch.Reset()
			w.ended = 0
		}
		w.batch.Unlock()
		if pinged {
			w.Pinged(received)
		}
		if err != nil {
			w.Broke(err)
			return err
		}
		if done {
			return nil
		}
	}
}

// settle tells those who wait that the socket took n frames more. The batch is
// locked.
func (w *Writer) settle(n int) {
	from, to := w.ended, w.ended+n
	w.ended = to
	for len(w.opening) > 0 && w.base-len(w.opening) < to {
		w.opening[0].result <- nil
		w.opening = w.opening[1:]
	}
	if done := to - max(from, w.base); done > 0 {
		w.out.written(w, done)
	}
}

// fail tells the others that the connection can't write any more. The frame at
// ended is in the middle of it if torn. The batch is locked.
func (w *Writer) fail(torn bool) {
	for i, f := range w.opening {
		err := w.out.ErrNotConnected
		if torn && w.base-len(w.opening)+i == w.ended {
			err = w.out.ErrInterrupted
		}
		f.result <- err
	}
	w.opening = nil
	w.out.detach(w, torn && w.ended >= w.base)
}

// writeClose writes the close frame, which is the last.
func (w *Writer) writeClose(b *closeFrame) error {
	w.dead.Store(true)
	err := w.tr.Close(b.code, b.reason)
	if err != nil {
		w.Broke(err)
	}
	return err
}

// withdraw takes the data of a message back that is in the batch: the one at i
// of those that wait to be settled. It reports whether any of it may have left.
// The batch is locked.
func (w *Writer) withdraw(i int) (begun bool) {
	return w.batch.Withdraw(max(w.ended, w.base) + i)
}
