package inbox

import (
	"sync"
	"sync/atomic"

	"github.com/wsnotify/wsnotify/internal/position"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// Queue stands between the client, which has something to tell, and the one
// goroutine that runs his callbacks. Messages are bounded: the reader, who is
// the only one to bring any, takes room for each before it hands over
// several at once. Events are few, and are never waited for.
//
// The bound holds over any number of connections. When one has ended, or is to
// end, while its reader waits for room, the owner can't wait too: a callback may
// be waiting for the next connection. What the reader has in its hands then is
// put past the bound, and the reader of the next connection reads nothing until
// the inbox is within its bound again. So what is past the bound is what one
// reader had read, and not that of one reader after another. What the socket
// still held goes with it: it was never received, a server can conclude nothing
// from having written it, and to keep it would need two connections at once.
//
// The goroutine exists while there is something to dispatch.
type Queue struct {
	Limit    Limit
	Dispatch func(*Item)               // runs the callbacks of a message
	Handled  func(*Item)               // called when they have returned, or one has ended its goroutine; nil: nobody asks
	Count    func(messages, bytes int) // told of a message that was put past the bound
	Idle     func()                    // told that nothing is left to dispatch, before anything else can be; may be nil. It must not block.

	// The reader's own: what may certainly be added to its Batch. It looks how
	// much room there is only when that has been used up, so that it and the
	// dispatcher don't take a cache line from each other for each message.
	room Limit

	held    count        // messages that were put and have not yet returned from their callbacks
	waiting atomic.Bool  // freed is not nil
	loops   atomic.Int64 // bodies of loops over iterators that have a value

	mu      sync.Mutex
	first   *Batch // of what is queued
	last    *Batch
	freed   chan struct{} // closed when there may be room; nil if nobody waits
	calm    chan struct{} // closed when all may be handled; nil if nobody waits
	begun   uint64        // how often something came to an inbox that was at rest
	running bool
	series  series // the latest one, while nothing else was queued behind its beginning
	passing int    // events of series that are queued

	// Of the goroutine that dispatches.
	current *Batch
	next    int   // in current
	holds   int32 // not yet released, of those before next that share its memory
}

// Item is a message.
type Item struct {
	Data   []byte
	Memory *wire.Memory // of Data; nil if that is the receiver's
	Mark   *position.Mark
	Epoch  uint64
	Cost   int // what the bound counts
	Op     wire.Op
	Late   bool // the message was put past the bound
}

// Batch is what was handed over together, or came one after another.
type Batch struct {
	list [BatchSize]delivery
	n    int
	cost int // of its messages
	next *Batch
}

// BatchSize is how many messages a reader hands over at once.
const BatchSize = 32

var batches = sync.Pool{New: func() any { return new(Batch) }}

// delivery is a message, or an event that is told by calling it.
type delivery struct {
	Item
	event func()
}

// NewBatch returns an empty one.
func NewBatch() *Batch { return batches.Get().(*Batch) }

// Add adds a message, and reports whether that was the last that there is room for.
func (batch *Batch) Add(m Item) (full bool) {
	batch.list[batch.n].Item = m
	batch.n++
	batch.cost += m.Cost
	return batch.n == BatchSize
}

// series is where the events of one attempt and what came of it begin: behind the
// first n deliveries of a Batch that is still queued.
type series struct {
	batch *Batch // nil if there is none
	n     int
}

// maxPassing is how many events of series are queued before one is dropped for
// the next.
const maxPassing = 256

// Begin begins a series of events that Pass queues. There is no bound to how many
// follow each other while a callback blocks. So when enough of them are queued, the
// series before is dropped, unless its first event has been told, or a message or an
// event of another kind came since it began: the first ones and the latest are told.
func (b *Queue) Begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.series.batch != nil && b.passing >= maxPassing {
		b.dropSeries()
	}
	if b.last == nil || b.last.n == len(b.last.list) {
		b.link(batches.Get().(*Batch))
	}
	b.series = series{b.last, b.last.n}
}

// dropSeries is called with mu.
func (b *Queue) dropSeries() {
	kept := b.series.batch
	for dropped := kept.next; dropped != nil; {
		next := dropped.next
		b.passing -= dropped.n
		clear(dropped.list[:dropped.n])
		dropped.release()
		dropped = next
	}
	b.passing -= kept.n - b.series.n
	clear(kept.list[b.series.n:kept.n])
	kept.n, kept.next, b.last = b.series.n, nil, kept
}

// Pass queues an event of the series that was begun. It never blocks.
func (b *Queue) Pass(event func()) { b.tell(event, true) }

// Tell queues an event that is told whatever comes behind it. It never blocks.
func (b *Queue) Tell(event func()) { b.tell(event, false) }

func (b *Queue) tell(event func(), passes bool) {
	b.mu.Lock()
	if passes {
		b.passing++
	} else {
		b.series = series{}
	}
	if b.last == nil || b.last.n == len(b.last.list) {
		b.link(batches.Get().(*Batch))
	}
	b.last.list[b.last.n] = delivery{event: event}
	b.last.n++
	mine := b.claim()
	b.mu.Unlock()
	if mine {
		go b.Run()
	}
}

// Put queues messages for which there is room, and returns true when the
// caller is to call Run, since nobody else does.
func (b *Queue) Put(more *Batch) (mine bool) {
	b.held.add(more.n, more.cost)
	b.mu.Lock()
	b.series = series{}
	if last := b.last; last != nil && last.n+more.n <= len(last.list) {
		last.n += copy(last.list[last.n:], more.list[:more.n])
		clear(more.list[:more.n])
		more.release()
	} else {
		b.link(more)
	}
	mine = b.claim()
	b.mu.Unlock()
	return mine
}

// link is called with mu.
func (b *Queue) link(more *Batch) {
	if b.last == nil {
		b.first = more
	} else {
		b.last.next = more
	}
	b.last = more
}

// release gives a Batch back whose deliveries are over.
func (batch *Batch) release() {
	batch.n, batch.cost, batch.next = 0, 0, nil
	batches.Put(batch)
}

// claim is called with mu.
func (b *Queue) claim() bool {
	if b.running {
		return false
	}
	b.running = true
	b.begun++
	return true
}

// Run dispatches until the queue is empty.
func (b *Queue) Run() {
	returned := false
	defer func() {
		// A callback has ended the goroutine, as testing.T.FailNow does. What
		// is behind it, in the batch too, must still be told, and Done be closed.
		if !returned {
			b.done()
			go b.Run()
		}
	}()
	for more := true; more; more = b.fetch() {
		for b.current != nil {
			for b.next < b.current.n {
				d := &b.current.list[b.next]
				switch {
				case d.event != nil:
					d.event()
				case d.Late:
					b.Count(1, len(d.Data))
					fallthrough
				default:
					b.Dispatch(&d.Item)
				}
				b.done()
			}
			done := b.current
			b.current, b.next = done.next, 0
			done.release()
		}
	}
	returned = true
}

// done ends the delivery that was told, and gives the room of a message back,
// and its memory: at once for all messages in a row that share it.
func (b *Queue) done() {
	d := &b.current.list[b.next]
	b.next++
	if d.event != nil {
		d.event = nil
		return
	}
	if b.Handled != nil {
		b.Handled(&d.Item)
	}
	if d.Memory != nil {
		b.holds++
		if b.next == b.current.n || b.current.list[b.next].Memory != d.Memory {
			d.Memory.ReleaseN(b.holds)
			b.holds = 0
		}
	}
	b.held.add(-1, -d.Cost)
	*d = delivery{}
	if b.waiting.Load() {
		b.free()
	}
}

// fetch takes what was queued, and reports false when that is nothing.
func (b *Queue) fetch() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == nil {
		if b.Idle != nil {
			b.Idle()
		}
		b.running = false
		b.calmed()
		return false
	}
	b.current, b.first, b.last = b.first, nil, nil
	b.series, b.passing = series{}, 0
	return true
}

// Loop counts the bodies of loops over iterators that were given a value (+1)
// and have come back for the next (-1).
func (b *Queue) Loop(delta int64) {
	if b.loops.Add(delta) == 0 && delta < 0 {
		b.mu.Lock()
		b.calmed()
		b.mu.Unlock()
	}
}

// calmed is called with mu.
func (b *Queue) calmed() {
	if b.calm != nil {
		close(b.calm)
		b.calm = nil
	}
}

// AtRest returns nil when every message received has been handled and no
// callback runs, and otherwise a channel that is closed when that may have
// changed. begun is the same as before if it has been at rest all the time.
func (b *Queue) AtRest() (changed <-chan struct{}, begun uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// What the reader has in its hands might as well have come a moment later.
	if !b.running && b.held.messages() == 0 && b.loops.Load() == 0 {
		return nil, b.begun
	}
	if b.calm == nil {
		b.calm = make(chan struct{})
	}
	return b.calm, b.begun
}

// Held counts the messages whose callbacks have not all returned, and their
// bytes, as Limit does.
func (b *Queue) Held() (messages, bytes int) { return b.held.both() }

// Unhandled counts what was received and not handled yet; busy says that a
// callback runs.
func (b *Queue) Unhandled() (messages int, busy bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.held.messages(), int(b.loops.Load())), b.running
}
