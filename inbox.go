package wsnotify

import "sync"

// inbox stands between those who have something to tell the user and the one
// goroutine that runs his callbacks. Messages are bounded: the reader waits
// for room. Events are few, and are never waited for.
//
// The goroutine exists while there is something to dispatch.
type inbox struct {
	limit    Inbox
	dispatch func(Message) // runs the callbacks of a message

	mu       sync.Mutex
	queue    []delivery
	messages int // not yet returned from their callbacks, and their bytes
	bytes    int
	room     chan struct{} // closed when there may be room; nil if nobody waits
	running  bool

	// Of the goroutine that dispatches.
	batch []delivery
	next  int
}

// delivery is a message, or an event that is told by calling it.
type delivery struct {
	msg   Message
	event func()
}

// tell queues an event. It never blocks.
func (b *inbox) tell(event func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(delivery{event: event})
}

// add is called with mu.
func (b *inbox) add(d delivery) {
	b.queue = append(b.queue, d)
	if !b.running {
		b.running = true
		go b.run()
	}
}

// put queues a message, waiting for room until quit is closed; then the
// message is queued past the bound. It reports whether it had to wait.
func (b *inbox) put(msg Message, quit <-chan struct{}, stalled func(bool)) {
	b.mu.Lock()
	for !b.fits(len(msg.Data)) {
		if b.room == nil {
			b.room = make(chan struct{})
		}
		room := b.room
		b.mu.Unlock()
		stalled(true)
		select {
		case <-room:
			stalled(false)
			b.mu.Lock()
			continue
		case <-quit:
			stalled(false)
			b.mu.Lock()
		}
		break
	}
	b.messages++
	b.bytes += len(msg.Data)
	b.add(delivery{msg: msg})
	b.mu.Unlock()
}

// fits lets a message through that is larger than the bound when it is alone.
func (b *inbox) fits(size int) bool {
	return b.messages == 0 ||
		(b.limit.Messages < 0 || b.messages < b.limit.Messages) &&
			(b.limit.Bytes < 0 || b.bytes+size <= b.limit.Bytes)
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
			size := len(d.msg.Data)
			b.dispatchOne(d.msg, size)
		}
	}
	ended = true
}

func (b *inbox) dispatchOne(msg Message, size int) {
	defer b.done(size)
	b.dispatch(msg)
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

func (b *inbox) done(size int) {
	b.mu.Lock()
	b.messages--
	b.bytes -= size
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
	b.mu.Unlock()
}
