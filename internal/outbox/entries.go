package outbox

import (
	"sync"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// entry is one message in an outbox.
type entry struct {
	next, prev *entry

	seq     uint64 // the order in which Enqueue took them; 0 for a Send
	data    []byte
	chunk   *chunk   // holds data; nil if data has memory of its own
	wait    *waiter  // of a Send; nil for Enqueue
	receipt *receipt // nil if nobody will confirm it
	at      int64    // when Enqueue took it, if there is a MaxAge
	op      wire.Op
	place   place
	gone    bool // taken, and nobody cares any more: a Send that was given up, or confirmed before it was settled
	sent    bool // the peer may have it, from an earlier write
	fresh   bool // the Store does not have it yet
}

// place is where an entry stands.
type place uint8

const (
	nowhere place = iota
	waiting
	taken
	unconfirmed
)

// list holds entries in order.
type list struct{ first, last *entry }

func (l *list) push(e *entry) {
	e.prev, e.next = l.last, nil
	if l.last != nil {
		l.last.next = e
	} else {
		l.first = e
	}
	l.last = e
}

// insert puts e before another entry of the list, or at its end if that is nil.
func (l *list) insert(e, before *entry) {
	if before == nil {
		l.push(e)
		return
	}
	e.prev, e.next = before.prev, before
	if e.prev != nil {
		e.prev.next = e
	} else {
		l.first = e
	}
	before.prev = e
}

func (l *list) remove(e *entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.last = e.prev
	}
	e.prev, e.next = nil, nil
}

// chunk is memory that several messages share, so that none needs its own.
// They leave in the order in which they came, so that at most a few chunks at
// a time are held by less than they are made for. Messages that may leave in
// any other order have memory of their own.
type chunk struct {
	buf  []byte
	live int // entries that still point into buf
}

const (
	chunkSize = 16 << 10
	ownMemory = 4 << 10 // larger messages than this are copied to memory of their own
	slabSize  = 64      // entries that are allocated at once, at most
)

var chunks = sync.Pool{New: func() any { return &chunk{buf: make([]byte, 0, chunkSize)} }}

// entries is where an outbox has its entries and their bytes from.
type entries struct {
	free *entry
	slab []entry // not yet used
	made int     // since there were none

	chunk *chunk // where the next message is copied to
}

// get returns an entry. All of it is zero but the links and at.
func (s *entries) get() *entry {
	if e := s.free; e != nil {
		s.free = e.next
		return e
	}
	return s.make()
}

func (s *entries) make() *entry {
	if len(s.slab) == 0 {
		s.slab = make([]entry, min(max(4, s.made), slabSize))
		s.made += len(s.slab)
	}
	e := &s.slab[0]
	s.slab = s.slab[1:]
	return e
}

// put takes back an entry that is in no list.
func (s *entries) put(e *entry) {
	s.clear(e)
	s.putAll(e, e)
}

// putAll takes back a row of entries that are clear and in no list.
func (s *entries) putAll(first, last *entry) {
	last.next = s.free
	s.free = first
}

// clear forgets what an entry holds.
func (s *entries) clear(e *entry) {
	if c := e.chunk; c != nil {
		e.chunk = nil
		if c.live--; c.live == 0 {
			c.buf = c.buf[:0]
			if c != s.chunk {
				chunks.Put(c)
			}
		}
	}
	e.data = nil
	if e.wait != nil {
		e.wait = nil
	}
	if e.receipt != nil {
		e.receipt = nil
	}
	e.seq, e.place, e.gone, e.sent, e.fresh = 0, nowhere, false, false, false
}

// trim is called when no entry is in use. It keeps no memory from a burst.
func (s *entries) trim() {
	s.retire()
	if s.made > slabSize {
		s.free, s.slab, s.made = nil, nil, 0
	}
}

// copy stores data in an entry.
func (s *entries) copy(e *entry, data []byte, own bool) {
	if own || len(data) > ownMemory {
		e.data = append([]byte(nil), data...)
		return
	}
	c := s.chunk
	if c == nil || len(c.buf)+len(data) > cap(c.buf) {
		s.retire()
		c = chunks.Get().(*chunk)
		s.chunk = c
	}
	start := len(c.buf)
	c.buf = append(c.buf, data...)
	c.live++
	e.data, e.chunk = c.buf[start:len(c.buf):len(c.buf)], c
}

// retire gives up the current chunk; its entries keep it until they are done.
func (s *entries) retire() {
	if c := s.chunk; c != nil {
		s.chunk = nil
		if c.live == 0 {
			c.buf = c.buf[:0]
			chunks.Put(c)
		}
	}
}
