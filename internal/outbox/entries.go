package outbox

import (
	"sync"
	"sync/atomic"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// entry is one message in an outbox.
type entry struct {
	next, prev *entry

	seq     uint64 // the order in which Enqueue took them; 0 for a Send
	data    []byte
	chunk   *chunk   // holds data; nil if data has memory of its own
	wait    *waiter  // of a Send; nil for Enqueue
	receipt *receipt // for an id; nil where nothing has one
	at      int64    // when Enqueue took it, if there is a MaxAge
	written int64    // when it was, over the open connection, if it will be confirmed
	op      wire.Op
	place   place
	gone    bool // taken, and nobody cares any more: a Send that was given up, or confirmed before it was settled
	sent    bool // the peer may have it, from an earlier write
	whole   bool // all of it was written, and it is not acknowledged
	fresh   bool // the Store does not have it yet
	awaits  bool // it will be confirmed by the id of its receipt
	indexed bool // that is in the map
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

// join moves all of another list behind what is in this one.
func (l *list) join(more list) {
	if l.last == nil {
		*l = more
		return
	}
	l.last.next, more.first.prev = more.first, l.last
	l.last = more.last
}

// chunk is memory that several messages share, so that none needs its own.
// They leave in the order in which they came, so that at most a few chunks at
// a time are held by less than they are made for. Messages that may leave in
// any other order have memory of their own.
type chunk struct {
	buf []byte
	in  int32 // entries that were given a part of buf

	// Less by one for each of them that is done, and more by in once it is
	// retired: who makes it 0 gives it back.
	live atomic.Int32
}

const (
	chunkSize  = 16 << 10
	ownMemory  = 4 << 10 // larger messages than this are copied to memory of their own
	slabSize   = 64      // entries that are allocated at once, at most
	keptMemory = 512     // for the next message, at most
	maxKept    = 4096    // entries that have it while they are not in use
)

var chunks = sync.Pool{New: func() any { return &chunk{buf: make([]byte, 0, chunkSize)} }}

// release is called for entries that are done, and with -in when c is retired.
func (c *chunk) release(entries int32) {
	if c.live.Add(-entries) == 0 {
		c.buf, c.in = c.buf[:0], 0
		chunks.Put(c)
	}
}

// entries is where an outbox has its entries and their bytes from.
type entries struct {
	free *entry
	kept int     // of them that have memory for the next message
	slab []entry // not yet used
	made int     // since there were none

	confirms bool      // entries have receipts
	receipts []receipt // of slab

	chunk *chunk // where the next message is copied to
}

// message returns the entry of a message of Enqueue. By id it will be confirmed,
// which is not for what a Store has to take first; own asks for memory of its own.
func (s *entries) message(op wire.Op, data []byte, id string, own bool) *entry {
	e := s.get()
	e.op = op
	if id == "" {
		s.copy(e, data, own)
		return e
	}
	e.receipt.id, e.awaits = id, true
	e.data = append(e.data[:0], data...)
	return e
}

// spent reports whether the next entry would have to be made.
func (s *entries) spent() bool { return s.free == nil && len(s.slab) == 0 }

// takeOver takes from other what there is none of here.
func (s *entries) takeOver(other *entries) {
	if s.free == nil {
		s.free, s.kept, other.free, other.kept = other.free, other.kept, nil, 0
	}
	if s.spent() {
		s.slab, s.receipts, other.slab, other.receipts = other.slab, other.receipts, nil, nil
	}
}

// get returns an entry. What says how it stands is zero; its data, if any, is
// memory for the next.
func (s *entries) get() *entry {
	if e := s.free; e != nil {
		s.free = e.next
		if cap(e.data) > 0 {
			s.kept--
		}
		return e
	}
	return s.make()
}

func (s *entries) make() *entry {
	if len(s.slab) == 0 {
		s.slab = make([]entry, min(max(4, s.made), slabSize))
		s.made += len(s.slab)
		if s.confirms {
			s.receipts = make([]receipt, len(s.slab))
		}
	}
	e := &s.slab[0]
	s.slab = s.slab[1:]
	if s.confirms {
		e.receipt, s.receipts = &s.receipts[0], s.receipts[1:]
	}
	return e
}

// put takes back an entry that is in no list.
func (s *entries) put(e *entry) {
	if e.chunk != nil {
		e.chunk.release(1)
	}
	s.clear(e)
	e.next, s.free = s.free, e
}

// putAll takes back a row of entries that are in no list any more.
func (s *entries) putAll(first, last *entry) {
	var c *chunk
	n := int32(0) // entries of c in a row
	for e := first; ; e = e.next {
		if e.chunk != c {
			if c != nil {
				c.release(n)
			}
			c, n = e.chunk, 0
		}
		n++
		s.clear(e)
		if e == last {
			break
		}
	}
	if c != nil {
		c.release(n)
	}
	last.next = s.free
	s.free = first
}

// takeData returns the data of an entry, to be kept when that is used again.
func (e *entry) takeData() []byte {
	data := e.data
	if e.chunk != nil {
		data = append([]byte(nil), data...)
	}
	e.data = nil
	return data[:len(data):len(data)]
}

// clear forgets what an entry holds, which costs less than to write over it.
func (s *entries) clear(e *entry) {
	if e.awaits && cap(e.data) <= keptMemory && cap(e.data) > 0 && s.kept < maxKept {
		e.data = e.data[:0] // the memory is its own, and for its next message
		s.kept++
	} else {
		e.data = nil
	}
	if e.chunk != nil {
		e.chunk = nil
	}
	if e.wait != nil {
		e.wait = nil
	}
	if e.awaits {
		e.awaits, e.receipt.id = false, "" // which may be a part of something large
	}
	e.seq, e.place, e.gone, e.sent, e.whole, e.fresh, e.indexed = 0, nowhere, false, false, false, false, false
}

// trim is called when no entry is in use, of these and those of other. It keeps
// no memory from a burst.
func (s *entries) trim(other *entries) {
	made := s.made + other.made
	for _, s := range []*entries{s, other} {
		s.retire()
		if made > slabSize {
			s.free, s.kept, s.slab, s.receipts, s.made = nil, 0, nil, nil, 0
		}
	}
}

// copy stores data in an entry.
func (s *entries) copy(e *entry, data []byte, own bool) {
	if own || len(data) > ownMemory || len(data) == 0 { // with nothing but empty ones a chunk would never be full
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
	c.in++
	e.data, e.chunk = c.buf[start:len(c.buf):len(c.buf)], c
}

// retire gives up the current chunk; its entries keep it until they are done.
func (s *entries) retire() {
	if c := s.chunk; c != nil {
		s.chunk = nil
		c.release(-c.in)
	}
}
