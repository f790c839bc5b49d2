package position

import (
	"slices"
	"sync"
)

// Order says what may be concluded from two positions of a stream.
type Order int

const (
	Opaque      Order = iota // they are equal, or not
	Increasing               // numbers, of which later messages have higher ones
	Consecutive              // numbers without gaps
)

// Tracker holds the positions of one client.
type Tracker struct {
	order     Order
	Saves     bool // Unsaved is asked for
	Redeliver bool // Rewind may be called; both are set before anything else

	// The side that receives.
	in struct {
		sync.Mutex
		streams map[string]*stream
		last    *stream // that of the message before, which is mostly that of the next
		recent  recent
		conn    uint64 // counts connections
		told    uint64 // the connection of the last Behind
		slab    []Mark // not yet used
		before  string // what was received before the latest message
	}

	_ cacheLine

	// The side that handles.
	out struct {
		sync.Mutex
		queue   []*Mark // that callbacks are through with, behind one that a loop holds
		unsaved []*stream
		failed  *stream // of a message that is to be redelivered
	}
}

// cacheLine keeps what the reader writes out of the cache line of what the
// goroutine of the callbacks writes. Two of them, as processors fetch pairs.
type cacheLine [128]byte

// stream is the positions of one stream.
type stream struct {
	name string

	// With Tracker.in.
	received string
	number   number // received, where positions are numbers
	valid    bool   // number is set
	conn     uint64 // the connection of the last message
	pinned   bool   // set by Set for the next connection

	_ cacheLine

	// With Tracker.out.
	handled  string
	returned string // handled but for the loops that still hold messages
	unsaved  bool
	replaced bool // by Set or Reset: what is on its way changes nothing any more
	reset    bool // by Reset
}

// Mark is the position of one message on its way to the end of its callbacks.
type Mark struct {
	stream   *stream
	position string
	Gap      *Gap // what is missing before it; nil if nothing is

	// With Tracker.out.
	holds int // loops that have the message
}

// Gap is what is missing between two messages of a stream.
type Gap struct{ Stream, After, Next string }

// Behind is a stream that began on a connection before the position that was
// asked for.
type Behind struct{ Stream, Asked, Got string }

// Verdict is what Admit says of a message besides its Mark.
type Verdict struct {
	Duplicate bool
	NoNumber  bool    // the position should be a number and is none; there is no Mark
	Behind    *Behind // once a connection
}

// New returns a Tracker without positions.
func New(order Order) *Tracker {
	t := &Tracker{order: order}
	t.in.streams = map[string]*stream{}
	return t
}

// stream is called with in.
func (t *Tracker) stream(name string) *stream {
	if s := t.in.last; s != nil && s.name == name {
		return s
	}
	s := t.in.streams[name]
	if s == nil {
		s = &stream{name: name}
		t.in.streams[name] = s
	}
	t.in.last = s
	return s
}

// Connection says that what is admitted from here on came over another
// connection.
func (t *Tracker) Connection() {
	t.in.Lock()
	t.in.conn++
	t.in.Unlock()
}

// Admit notes a message as received, and returns the Mark to handle it with. A
// duplicate has none. An answer is never one: somebody waits for it.
func (t *Tracker) Admit(name, position string, answer bool) (*Mark, Verdict) {
	t.in.Lock()
	defer t.in.Unlock()
	s := t.stream(name)
	var v Verdict
	var gap *Gap
	if t.order == Opaque {
		if !t.in.recent.add(opaque{name, position}) {
			return nil, Verdict{Duplicate: !answer}
		}
	} else {
		n, ok := parse(position)
		if !ok {
			return nil, Verdict{NoNumber: true}
		}
		first := s.conn != t.in.conn
		s.conn = t.in.conn
		if s.valid {
			switch c := n.compare(s.number); {
			case c < 0 && first && t.in.told != t.in.conn:
				t.in.told = t.in.conn
				v.Behind = &Behind{name, s.received, position}
				fallthrough
			case c <= 0:
				v.Duplicate = !answer
				return nil, v
			case t.order == Consecutive && !n.follows(s.number):
				gap = &Gap{name, s.received, position}
			}
		}
		s.number, s.valid = n, true
	}
	if len(t.in.slab) == 0 {
		t.in.slab = make([]Mark, slabMarks)
	}
	m := &t.in.slab[0]
	t.in.slab = t.in.slab[1:]
	m.stream, m.position, m.Gap = s, position, gap
	t.in.before, s.received = s.received, position
	return m, v
}

// slabMarks is how many Marks share an allocation: what is handed over
// together is mostly done together.
const slabMarks = 32

// Withdraw takes back the message that was admitted last: it was not received
// after all.
func (t *Tracker) Withdraw(m *Mark) {
	t.in.Lock()
	defer t.in.Unlock()
	if s := m.stream; s.received == m.position {
		s.set(t.in.before)
	}
	t.in.recent.forget(opaque{m.stream.name, m.position})
}

// set is called with Tracker.in.
func (s *stream) set(position string) {
	s.received = position
	s.number, s.valid = parse(position)
}

// Hold says that a loop has the message too. It is called before Done.
func (t *Tracker) Hold(m *Mark) {
	t.out.Lock()
	m.holds++
	t.out.Unlock()
}

// Release says that a loop is done with the message, and reports whether a
// message that came again was handled by that.
func (t *Tracker) Release(m *Mark) (recovered bool) {
	t.out.Lock()
	defer t.out.Unlock()
	m.holds--
	return t.advance()
}

// Done says that the callbacks of a message have returned. It is handled when
// it and all before it are, so that nothing is skipped by a process that
// resumes from there. Messages are done in the order in which they were
// admitted.
func (t *Tracker) Done(m *Mark) (recovered bool) {
	if t.Redeliver && t.order == Opaque {
		t.in.Lock()
		t.in.recent.markReturned(opaque{m.stream.name, m.position})
		t.in.Unlock()
	}
	t.out.Lock()
	defer t.out.Unlock()
	m.stream.returned = m.position
	if m.holds == 0 && len(t.out.queue) == 0 {
		return t.handled(m)
	}
	t.out.queue = append(t.out.queue, m)
	return t.advance()
}

// advance is called with out.
func (t *Tracker) advance() (recovered bool) {
	q := t.out.queue
	for len(q) > 0 && q[0].holds == 0 {
		recovered = t.handled(q[0]) || recovered
		q[0] = nil
		q = q[1:]
	}
	if len(q) == 0 {
		q = nil
	}
	t.out.queue = q
	return recovered
}

// handled is called with out.
func (t *Tracker) handled(m *Mark) (recovered bool) {
	s := m.stream
	s.handled = m.position
	t.changed(s)
	if t.out.failed == s {
		t.out.failed = nil
		return true
	}
	return false
}

// changed is called with out.
func (t *Tracker) changed(s *stream) {
	if t.Saves && !s.unsaved && !s.replaced {
		s.unsaved = true
		t.out.unsaved = append(t.out.unsaved, s)
	}
}

// Failed says that a message was not handled, and is to be redelivered. It
// reports false if it can't be: its stream is that of another user.
func (t *Tracker) Failed(m *Mark) bool {
	t.out.Lock()
	defer t.out.Unlock()
	if !m.stream.replaced { // else nobody asks for the message any more
		t.out.failed = m.stream
	}
	return !m.stream.reset
}

// Recovering reports whether a message that failed has not been handled since.
func (t *Tracker) Recovering() bool {
	t.out.Lock()
	defer t.out.Unlock()
	return t.out.failed != nil
}

// Rewind takes what was received back to the last message whose callbacks have
// returned, in all streams.
func (t *Tracker) Rewind() {
	t.in.Lock()
	defer t.in.Unlock()
	t.in.recent.forgetUnreturned()
	t.out.Lock()
	defer t.out.Unlock()
	for _, s := range t.in.streams {
		s.set(s.returned)
	}
}

// Received returns the position of the last message of a stream that was
// received; "" if there was none.
func (t *Tracker) Received(name string) string {
	t.in.Lock()
	defer t.in.Unlock()
	if s := t.in.streams[name]; s != nil {
		return s.received
	}
	return ""
}

// Handled returns the position of the last message of a stream that was
// handled, and of all before it.
func (t *Tracker) Handled(name string) string {
	t.in.Lock()
	s := t.in.streams[name]
	t.in.Unlock()
	if s == nil {
		return ""
	}
	t.out.Lock()
	defer t.out.Unlock()
	return s.handled
}

// Set makes a position the last that was received and handled. What is on its
// way moves neither.
func (t *Tracker) Set(name, position string) {
	t.in.Lock()
	defer t.in.Unlock()
	t.out.Lock()
	defer t.out.Unlock()
	if old := t.in.streams[name]; old != nil {
		t.retire(old)
	}
	s := t.replace(name, position)
	s.pinned = true
	t.changed(s)
	t.out.failed = nil
}

// retire is for a stream that is replaced. It is called with in and out.
func (t *Tracker) retire(s *stream) {
	s.replaced = true
	if s.unsaved {
		t.out.unsaved = slices.DeleteFunc(t.out.unsaved, func(other *stream) bool { return other == s })
	}
}

// replace is called with in. A new stream takes the place of the old one, so
// that the Marks of that have no effect.
func (t *Tracker) replace(name, position string) *stream {
	s := &stream{name: name, handled: position, returned: position, conn: t.in.conn}
	s.set(position)
	t.in.streams[name] = s
	t.in.last = nil
	t.in.recent.forgetStream(name)
	if position != "" && t.order == Opaque {
		t.in.recent.add(opaque{name, position})
		t.in.recent.markReturned(opaque{name, position})
	}
	return s
}

// Reset forgets every position, but those that Set has set since the last
// call of Loaded.
func (t *Tracker) Reset() {
	t.in.Lock()
	defer t.in.Unlock()
	t.out.Lock()
	defer t.out.Unlock()
	for name, s := range t.in.streams {
		if !s.pinned {
			s.replaced, s.reset = true, true
			delete(t.in.streams, name)
			t.in.recent.forgetStream(name)
		}
	}
	t.in.last = nil
	t.out.unsaved = slices.DeleteFunc(t.out.unsaved, func(s *stream) bool { return s.replaced })
	t.out.failed = nil
}

// Loaded sets the positions of streams that have none, and ends the time in
// which Set is for the next connection.
func (t *Tracker) Loaded(positions map[string]string) {
	t.in.Lock()
	defer t.in.Unlock()
	for name, position := range positions {
		if t.in.streams[name] == nil {
			t.replace(name, position)
		}
	}
	for _, s := range t.in.streams {
		s.pinned = false
	}
}

// Unsaved returns the positions that were handled and not saved; nil if there
// are none. They count as saved unless they are handed to Again.
func (t *Tracker) Unsaved() map[string]string {
	t.out.Lock()
	defer t.out.Unlock()
	if len(t.out.unsaved) == 0 {
		return nil
	}
	positions := make(map[string]string, len(t.out.unsaved))
	for _, s := range t.out.unsaved {
		positions[s.name], s.unsaved = s.handled, false
	}
	clear(t.out.unsaved)
	t.out.unsaved = t.out.unsaved[:0]
	return positions
}

// HasUnsaved reports whether Unsaved would return any.
func (t *Tracker) HasUnsaved() bool {
	t.out.Lock()
	defer t.out.Unlock()
	return len(t.out.unsaved) > 0
}

// Again says that these positions could not be saved.
func (t *Tracker) Again(positions map[string]string) {
	t.in.Lock()
	defer t.in.Unlock()
	t.out.Lock()
	defer t.out.Unlock()
	for name := range positions {
		if s := t.in.streams[name]; s != nil {
			t.changed(s)
		}
	}
}
