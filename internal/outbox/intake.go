package outbox

import (
	"runtime"
	"sync"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// intake is where Enqueue leaves messages, as long as there is certainly room
// for them and no other rule to look at. It has a lock of its own, so that those
// who enqueue, the writer and those who confirm need not wait for each other at
// each message. The Box collects what is here whenever it looks at the end of
// its queue, and says how much more may come.
type intake struct {
	mu      sync.Mutex
	entries entries
	list    list // all newer than what is in the queue
	count   int  // of its messages, and their bytes
	bytes   int
	room    struct{ messages, bytes int } // for more of them
	seq     uint64                        // of the latest message
	w       *Writer                       // of the open connection, nil if there is none
}

// add queues a message, and returns the writer that is to be told of it; or
// false if it is for the Box to decide.
func (in *intake) add(op wire.Op, data []byte, id string) (w *Writer, ok bool) {
	if !in.mu.TryLock() {
		// Many may be here at once, and for a few dozen ns each. Lock would have
		// them spin, and once one has waited for a millisecond it would hand over
		// from goroutine to goroutine with each message.
		runtime.Gosched()
		in.mu.Lock()
	}
	if in.room.messages < 1 || in.room.bytes < len(data) || in.entries.spent() {
		in.mu.Unlock()
		return nil, false
	}
	in.room.messages--
	in.room.bytes -= len(data)
	in.seq++
	e := in.entries.message(op, data, id, false)
	e.seq, e.place = in.seq, waiting
	in.list.push(e)
	in.count++
	in.bytes += len(data)
	w = in.w
	in.mu.Unlock()
	return w, true
}

// lock is for whoever adds to the queue, or looks at all of it. Until unlock,
// every message is in the queue, and nobody else adds any.
func (b *Box) lock() {
	b.mu.Lock()
	b.collect()
}

func (b *Box) unlock() {
	b.open()
	b.mu.Unlock()
}

// collect closes the intake and moves what is there to the queue. It is called
// with mu.
func (b *Box) collect() {
	in := &b.intake
	in.mu.Lock()
	defer in.mu.Unlock()
	in.room.messages = 0
	first := in.list.first
	if first == nil {
		return
	}
	b.queued += in.count
	b.bytes += in.bytes
	b.seq = in.seq
	b.queue.join(in.list)
	in.list, in.count, in.bytes = list{}, 0, 0
	if b.mark == nil {
		b.mark = first
	}
	if b.loose == nil && b.post.ConfirmID != nil {
		b.loose = awaited(first)
	}
}

// open says how much may come to the intake: nothing where each message has to
// be looked at. It is called with mu, after collect.
func (b *Box) open() {
	if b.refused || b.post.Keeper != nil || b.post.MaxAge > 0 {
		return
	}
	in := &b.intake
	in.mu.Lock()
	defer in.mu.Unlock()
	in.room.messages, in.room.bytes = b.most-b.queued, b.mostBytes-b.bytes
	in.seq, in.w = b.seq, b.w
	in.entries.takeOver(&b.entries)
}
