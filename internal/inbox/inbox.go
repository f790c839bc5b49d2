package inbox

import (
	"sync"
	"sync/atomic"

	"github.com/wsnotify/wsnotify/internal/position"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// Queue stands between the client, which produces messages and events, and the one
// goroutine that runs its callbacks. Messages are bounded: the reader, the only one to
// enqueue any, reserves capacity for each before it enqueues several at once. Events
// are few, and are never waited for.
//
// The limit holds over any number of connections. When a connection has ended, or is to
// end, while its reader waits for capacity, the owner can't wait too: a callback may
// be waiting for the next connection. What the reader holds then is enqueued past
// the limit, and the reader of the next connection reads nothing until the inbox is
// within its limit again. So past the limit is what one reader had read, never what
// several had. What the socket still held is lost: it was never received, a server can
// conclude nothing from having written it, and to keep it would need two connections
// at once.
//
// The goroutine exists while there is something to dispatch.
type Queue struct {
	Limit    Limit
	Dispatch func(*Item)               // runs the callbacks of a message
	Handled  func(*Item)               // called when they have returned, or one has ended its goroutine; may be nil
	Count    func(messages, bytes int) // counts a message that was enqueued past the limit
	OnIdle   func()                    // called when nothing is left to dispatch, before anything else can be; may be nil. It must not block.

	// The reader's own: what it may certainly add to its Batch. It measures the
	// capacity only when that is used up, so that it and the dispatcher don't take a
	// cache line from each other for each message.
	capacity Limit

	held    count        // messages that are queued, or whose callbacks have not returned
	waiting atomic.Bool  // freed is not nil
	loops   atomic.Int64 // bodies of loops over iterators that have a value

	// Guarded by mu.
	mu       sync.Mutex
	first    *Batch // of what is queued
	last     *Batch
	freed    chan struct{} // closed when there may be capacity; nil if nobody waits
	idle     chan struct{} // closed when all may be handled; nil if nobody waits
	begun    uint64        // how often something was enqueued in an idle inbox
	running  bool
	series   series // the latest one, while nothing else was queued behind its beginning
	inSeries int    // queued events that belong to a series

	// Written by the goroutine that dispatches.
	current    *Batch
	next       int   // in current
	unreleased int32 // deliveries right before next that share its memory
}

// Item is a message.
type Item struct {
	Data      []byte
	Memory    *wire.Memory // of Data; nil if that is the receiver's
	Mark      position.Mark
	Epoch     uint64
	Cost      int // what counts against Limit.Bytes
	Op        wire.Op
	PastLimit bool // the message was enqueued past the limit
	Duplicate bool // of one that came before: it is for Subscriptions.Confirm alone
}

// Batch is what was enqueued together, or one after another.
type Batch struct {
	list [BatchSize]delivery
	n    int
	cost int // of its messages
	next *Batch
}

// BatchSize is how many messages a reader enqueues at once.
const BatchSize = 32

var batches = sync.Pool{New: func() any { return new(Batch) }}

// delivery is a message, or an event, which is dispatched by calling it.
type delivery struct {
	Item
	event func()
}

// NewBatch returns an empty one.
func NewBatch() *Batch { return batches.Get().(*Batch) }

// Add adds a message, and reports whether the batch is full then.
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

// maxInSeries is how many events of series are queued before one series is dropped for
// the next.
const maxInSeries = 256

// BeginAttempt begins a series of events that NotifyOfAttempt queues. Any number of
// attempts may follow each other while a callback blocks. So when enough of their events are
// queued, the series before is dropped, unless its first event has been dispatched, or a
// message or an event of another kind came since it began: the first ones and the
// latest stay.
func (b *Queue) BeginAttempt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.series.batch != nil && b.inSeries >= maxInSeries {
		b.dropSeries()
	}
	last := b.tail()
	b.series = series{last, last.n}
}

// dropSeries is called with mu.
func (b *Queue) dropSeries() {
	left := b.series.batch
	for dropped := left.next; dropped != nil; {
		next := dropped.next
		b.inSeries -= dropped.n
		clear(dropped.list[:dropped.n])
		dropped.release()
		dropped = next
	}
	b.inSeries -= left.n - b.series.n
	clear(left.list[b.series.n:left.n])
	left.n, left.next, b.last = b.series.n, nil, left
}

// NotifyOfAttempt queues an event of the series that was begun. It never blocks.
func (b *Queue) NotifyOfAttempt(event func()) { b.enqueueEvent(event, true) }

// Notify queues an event that is dispatched whatever follows it. It never blocks.
func (b *Queue) Notify(event func()) { b.enqueueEvent(event, false) }

func (b *Queue) enqueueEvent(event func(), ofSeries bool) {
	b.mu.Lock()
	if ofSeries {
		b.inSeries++
	} else {
		b.series = series{}
	}
	last := b.tail()
	last.list[last.n] = delivery{event: event}
	last.n++
	run := b.claim()
	b.mu.Unlock()
	if run {
		go b.Run()
	}
}

// Enqueue queues messages whose capacity is reserved, and returns true when the caller
// must call Run, since nobody else does.
func (b *Queue) Enqueue(more *Batch) (run bool) {
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
	run = b.claim()
	b.mu.Unlock()
	return run
}

// tail returns the last Batch, which has room for another event. It is called with mu.
func (b *Queue) tail() *Batch {
	if b.last == nil || b.last.n == len(b.last.list) {
		b.link(NewBatch())
	}
	return b.last
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

// release lets a Batch be reused whose deliveries are over.
func (batch *Batch) release() {
	batch.n, batch.cost, batch.next = 0, 0, nil
	batches.Put(batch)
}

// claim makes the caller the one who dispatches, unless there is one. It is called with
// mu.
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
		// A callback has ended the goroutine, as testing.T.FailNow does. What is
		// queued behind it must still be dispatched, and Done be closed.
		if !returned {
			b.complete()
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
				case d.PastLimit:
					b.Count(1, len(d.Data))
					fallthrough
				default:
					b.Dispatch(&d.Item)
				}
				b.complete()
			}
			done := b.current
			b.current, b.next = done.next, 0
			done.release()
		}
	}
	returned = true
}

// complete ends the delivery that was dispatched, and releases the capacity of a message
// and its memory: at once for all messages in a row that share it.
func (b *Queue) complete() {
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
		b.unreleased++
		if b.next == b.current.n || b.current.list[b.next].Memory != d.Memory {
			d.Memory.ReleaseN(b.unreleased)
			b.unreleased = 0
		}
	}
	b.held.add(-1, -d.Cost)
	*d = delivery{}
	if b.waiting.Load() {
		b.notifyReader()
	}
}

// fetch dequeues everything, and reports false when that is nothing.
func (b *Queue) fetch() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == nil {
		if b.OnIdle != nil {
			b.OnIdle()
		}
		b.running = false
		b.notifyIdle()
		return false
	}
	b.current, b.first, b.last = b.first, nil, nil
	b.series, b.inSeries = series{}, 0
	return true
}

// Loop counts the bodies of loops over iterators that were given a value (+1)
// and have come back for the next (-1).
func (b *Queue) Loop(delta int64) {
	if b.loops.Add(delta) == 0 {
		b.mu.Lock()
		b.notifyIdle()
		b.mu.Unlock()
	}
}

// notifyIdle wakes up whoever waits for Idle. It is called with mu.
func (b *Queue) notifyIdle() {
	if b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

// Idle returns nil when every message received has been handled and no callback
// runs, and otherwise a channel that is closed when that may have changed. begun is
// the same as before if it has been idle all the time.
func (b *Queue) Idle() (changed <-chan struct{}, begun uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// What is enqueued has somebody to run it. What the reader has read and not enqueued
	// might as well have come a moment later.
	if !b.running && b.loops.Load() == 0 {
		return nil, b.begun
	}
	if b.idle == nil {
		b.idle = make(chan struct{})
	}
	return b.idle, b.begun
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
