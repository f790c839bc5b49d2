package wsnotify

import (
	"sync"
	"sync/atomic"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// inbox stands between those who have something to tell the user and the one
// goroutine that runs his callbacks. Messages are bounded: the reader, who is
// the only one to bring any, reserves room for each before it hands over
// several at once. Events are few, and are never waited for.
//
// The goroutine exists while there is something to dispatch.
type inbox struct {
	limit    Inbox
	dispatch func(Message) // runs the callbacks of a message

	// Reserved and not yet returned from their callbacks.
	messages, bytes atomic.Int64
	waiting         atomic.Bool // room is not nil

	mu      sync.Mutex
	queue   []delivery
	room    chan struct{} // closed when there may be room; nil if nobody waits
	running bool

	// Of the goroutine that dispatches.
	batch []delivery
	next  int
}

// delivery is a message, or an event that is told by calling it.
type delivery struct {
	msg    Message
	cost   int          // what the bound counts
	memory *wire.Memory // of the message; nil if that is the receiver's
	event  func()
}

// tell queues an event. It never blocks.
func (b *inbox) tell(event func()) {
	b.mu.Lock()
	b.queue = append(b.queue, delivery{event: event})
	b.wake()
	b.mu.Unlock()
}

// put queues messages for which room was reserved.
func (b *inbox) put(messages []delivery) {
	b.mu.Lock()
	b.queue = append(b.queue, messages...)
	b.wake()
	b.mu.Unlock()
}

// wake is called with mu.
func (b *inbox) wake() {
	if !b.running {
		b.running = true
		go b.run()
	}
}

// reserve takes room for a message of size, if there is any.
func (b *inbox) reserve(size int) bool {
	if !b.fits(size) {
		return false
	}
	b.take(size)
	return true
}

func (b *inbox) take(size int) {
	b.messages.Add(1)
	b.bytes.Add(int64(size))
}

// wait takes room for a message of size once there is any, or past the bound
// once quit is closed.
func (b *inbox) wait(size int, quit <-chan struct{}) {
	defer b.take(size)
	for {
		b.mu.Lock()
		if b.room == nil {
			b.room = make(chan struct{})
			b.waiting.Store(true)
		}
		room := b.room
		b.mu.Unlock()
		if b.fits(size) { // since before anybody could see that we wait
			return
		}
		select {
		case <-room:
		case <-quit:
			return
		}
	}
}

// fits lets a message through that is larger than the bound when it is alone.
func (b *inbox) fits(size int) bool {
	messages := b.messages.Load()
	return messages == 0 ||
		(b.limit.Messages < 0 || messages < int64(b.limit.Messages)) &&
			(b.limit.Bytes < 0 || b.bytes.Load()+int64(size) <= int64(b.limit.Bytes))
}

// run dispatches until the queue is empty.
func (b *inbox) run() {
	ended := false
	defer func() {
		// A callback has ended the goroutine, as testing.T.FailNow does. What
		// is behind it must still be told, and Done be closed.
		if !ended {
			go b.run()
		}
	}()
	for b.fetch() {
		for b.next < len(b.batch) {
			d := b.batch[b.next]
			b.batch[b.next] = delivery{}
			b.next++
			if d.event != nil {
				d.event()
				continue
			}
			b.deliver(d)
		}
	}
	ended = true
}

func (b *inbox) deliver(d delivery) {
	defer b.done(d)
	b.dispatch(d.msg)
}

// fetch takes what was queued, and reports false when that is nothing.
func (b *inbox) fetch() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.running = false
		b.queue, b.batch, b.next = nil, nil, 0
		return false
	}
	b.batch, b.queue, b.next = b.queue, b.batch[:0], 0
	return true
}

// done gives the room of a message back, and its memory.
func (b *inbox) done(d delivery) {
	if d.memory != nil {
		d.memory.Release()
	}
	b.messages.Add(-1)
	b.bytes.Add(int64(-d.cost))
	if b.waiting.Load() {
		b.mu.Lock()
		if b.room != nil {
			close(b.room)
			b.room = nil
			b.waiting.Store(false)
		}
		b.mu.Unlock()
	}
}
