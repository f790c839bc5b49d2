package inbox

import (
	"math"
	"sync/atomic"
)

// Limit bounds what waits for its callbacks; a negative is none.
type Limit struct{ Messages, Bytes int }

// count is a number of messages and of their bytes. They are one word, since
// every message is counted in and out, and changing one that others look at
// costs as much as the rest of its way through the inbox.
type count struct{ word atomic.Int64 }

// What fits into the word is also the bound where there is no other.
const (
	byteBits    = 36
	maxBytes    = min(1<<byteBits-1, math.MaxInt) // 64 GiB
	maxMessages = 1<<(63-byteBits) - 1            // 128 million
)

func (c *count) add(messages, bytes int) { c.word.Add(int64(messages)<<byteBits + int64(bytes)) }
func (c *count) both() (messages, bytes int) {
	word := c.word.Load()
	return int(word >> byteBits), int(word & (1<<byteBits - 1))
}
func (c *count) messages() int { return int(c.word.Load() >> byteBits) }
func (c *count) bytes() int    { return int(c.word.Load() & (1<<byteBits - 1)) }

// Take takes room for a message of size, which is then added to more, and
// reports false if there is none. A message that is larger than the bound fits
// when it is alone.
func (b *Queue) Take(size int, more *Batch) bool {
	if b.room.Messages < 1 || b.room.Bytes < size {
		b.look(more)
		if b.room.Messages < 1 || b.room.Bytes < size {
			b.room = Limit{}
			return (more == nil || more.n == 0) && b.held.messages() == 0
		}
	}
	b.room.Messages--
	b.room.Bytes -= size
	return true
}

// look sets room to what is left beside what is queued and in more.
func (b *Queue) look(more *Batch) {
	b.room = Limit{bound(b.Limit.Messages, maxMessages), bound(b.Limit.Bytes, maxBytes)}
	b.room.Messages -= b.held.messages()
	b.room.Bytes -= b.held.bytes()
	if more != nil {
		b.room.Messages -= more.n
		b.room.Bytes -= more.cost
	}
}

// bound is a bound that was asked for, if it is one, and at most most.
func bound(asked, most int) int {
	if asked < 0 {
		return most
	}
	return min(asked, most)
}

// Wait waits for room for a message of size, when the reader holds no other,
// takes it and returns true; or false when quit is closed before.
func (b *Queue) Wait(size int, quit <-chan struct{}) bool {
	for {
		b.mu.Lock()
		if b.freed == nil {
			b.freed = make(chan struct{})
			b.waiting.Store(true)
		}
		freed := b.freed
		b.mu.Unlock()
		if b.Take(size, nil) { // since before anybody could see that we wait
			return true
		}
		select {
		case <-freed:
		case <-quit:
			b.forget(freed)
			return false
		}
	}
}

// forget is for a reader that waits no more. A channel of it must not be left
// for a later run, which may be in another bubble of synctest.
func (b *Queue) forget(freed chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.freed == freed {
		b.freed = nil
		b.waiting.Store(false)
	}
}

// free tells the reader that there may be room.
func (b *Queue) free() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
		b.waiting.Store(false)
	}
}
