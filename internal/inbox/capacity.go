package inbox

import (
	"math"
	"sync/atomic"
)

// Limit bounds what waits for its callbacks; a negative number is no limit.
type Limit struct{ Messages, Bytes int }

// count is a number of messages and of their bytes. They are one word, since every
// message is counted in and out, and changing one that other cores read costs as much
// as the rest of its way through the inbox.
type count struct{ word atomic.Int64 }

// What fits into the word is also the limit where there is no other.
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

// Reserve reserves capacity for a message of size, which the caller then adds to
// more, and reports false if there is none. A message that is larger than the limit
// fits when it is alone.
func (b *Queue) Reserve(size int, more *Batch) bool {
	if b.capacity.Messages < 1 || b.capacity.Bytes < size {
		b.measure(more)
		if b.capacity.Messages < 1 || b.capacity.Bytes < size {
			b.capacity = Limit{}
			return (more == nil || more.n == 0) && b.held.messages() == 0
		}
	}
	b.capacity.Messages--
	b.capacity.Bytes -= size
	return true
}

// measure sets capacity to what is left beside what is queued and in more.
func (b *Queue) measure(more *Batch) {
	b.capacity = Limit{limit(b.Limit.Messages, maxMessages), limit(b.Limit.Bytes, maxBytes)}
	messages, bytes := b.held.both()
	b.capacity.Messages -= messages
	b.capacity.Bytes -= bytes
	if more != nil {
		b.capacity.Messages -= more.n
		b.capacity.Bytes -= more.cost
	}
}

// limit is a limit of Config, or most if that is none or more.
func limit(configured, most int) int {
	if configured < 0 {
		return most
	}
	return min(configured, most)
}

// AwaitCapacity waits until there is capacity for a message of size, reserves it and
// returns true; or false when quit is closed before. The reader holds no other
// message meanwhile.
func (b *Queue) AwaitCapacity(size int, quit <-chan struct{}) bool {
	for {
		freed := make(chan struct{})
		b.mu.Lock()
		b.freed = freed
		b.waiting.Store(true)
		b.mu.Unlock()
		if b.Reserve(size, nil) { // it became free before anybody could see that we wait
			return true
		}
		select {
		case <-freed:
		case <-quit:
			b.notifyReader() // so that no channel is left for a later run, which may be in another bubble of synctest
			return false
		}
	}
}

// notifyReader wakes the reader up: there may be capacity.
func (b *Queue) notifyReader() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
		b.waiting.Store(false)
	}
}
