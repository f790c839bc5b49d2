package position

import (
	"slices"
	"sync"
	"sync/atomic"
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

	_ cacheLine

	// The side that receives.
	in struct {
		sync.Mutex
		streams map[string]*stream
		last    *stream // that of the message before, which is mostly that of the next
		recent  recent
		conn    uint64  // counts connections
		told    uint64  // the connection of the last Behind
		slab    []point // not yet used
	}

	_ cacheLine

	// The side that handles.
	out struct {
		sync.Mutex
		queue   []*Hold // that callbacks are through with: one that a loop has, and what is behind it
		unsaved []*stream
		failed  *stream // of a message that is to be redelivered
	}
}

// cacheLine keeps what the reader writes out of the cache line of what the
// goroutine of the callbacks reads or writes. Two of them, as processors fetch pairs.
type cacheLine [128]byte

// stream is the positions of one stream.
type stream struct {
	name string
	here point // of the messages whose positions are plain numbers, with nothing missing before them

	version atomic.Uint64 // counts the changes of received that no Receiver has made by itself; written with Tracker.in

	_ cacheLine

	// With Tracker.in.
	received number
	valid    bool   // received is a number, where positions are
	conn     uint64 // the connection of the last message
	pinned   bool   // set by Set for the next connection

	_ cacheLine

	// With Tracker.out.
	handled  place
	returned place // handled but for the loops that still hold messages; kept if Tracker.Redeliver
	unsaved  bool
	replaced bool // by Set or Reset: what is on its way changes nothing any more
	reset    bool // by Reset
}

func newStream(name string) *stream {
	s := &stream{name: name}
	s.here.stream = s
	return s
}

// Mark is the position of one message on its way to the end of its callbacks; the
// zero value is none. It is as small as can be, since it goes from one core to
// another with each message: what most messages of a stream have in common is in
// one point that is never written.
type Mark struct {
	*point
	next int64 // as in place
}

type point struct {
	stream *stream
	text   string // as in place
	gap    *Gap   // what is missing before it; nil if nothing is
}

// IsSet reports whether a message has a position.
func (m Mark) IsSet() bool { return m.point != nil }

// Gap is what is missing before the message; nil if nothing is.
func (m Mark) Gap() *Gap {
	if m.point == nil {
		return nil
	}
	return m.gap
}

func (m Mark) place() place { return place{m.next, m.text} }

// Hold is a message that loops have.
type Hold struct {
	mark  Mark
	loops int
}

// Gap is what is missing between two messages of a stream.
type Gap struct{ Stream, After, Next string }

// Behind is a stream that began on a connection before the position that was
// asked for.
type Behind struct{ Stream, Asked, Got string }

// NoNumber is a position that should be a number.
type NoNumber struct{ Stream, Position string }

// Verdict is what Admit says of a message besides its Mark.
type Verdict struct {
	Duplicate bool
	NoNumber  *NoNumber // the position should be a number and is none; there is no Mark
	Behind    *Behind   // once a connection
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
		s = newStream(name)
		t.in.streams[name] = s
	}
	t.in.last = s
	return s
}

// point is called with in. What is handed over together is mostly done together, so
// that points share their allocations.
func (t *Tracker) point(s *stream, text string, gap *Gap) *point {
	if len(t.in.slab) == 0 {
		t.in.slab = make([]point, 32)
	}
	p := &t.in.slab[0]
	t.in.slab = t.in.slab[1:]
	*p = point{s, text, gap}
	return p
}

// set is called with Tracker.in.
func (s *stream) set(position string) {
	if s.received, s.valid = parse(position); !s.valid {
		s.received = number{place: place{text: position}}
	}
}

// Hold says that a loop has the message too. It is called before Done.
func (t *Tracker) Hold(m Mark) *Hold { return &Hold{m, 1} }

// More says that one more loop has it.
func (t *Tracker) More(h *Hold) {
	t.out.Lock()
	h.loops++
	t.out.Unlock()
}

// Release says that a loop is done with the message, and reports whether a
// message that came again was handled by that.
func (t *Tracker) Release(h *Hold) (recovered bool) {
	t.out.Lock()
	defer t.out.Unlock()
	h.loops--
	return t.advance()
}

// Done says that the callbacks of a message have returned; h is nil unless a loop
// has it. It is handled when it and all before it are, so that nothing is skipped
// by a process that resumes from there. Messages are done in the order in which
// they were admitted.
func (t *Tracker) Done(m Mark, h *Hold) (recovered bool) {
	if t.Redeliver && t.order == Opaque {
		t.in.Lock()
		t.in.recent.markReturned(opaque{m.stream.name, m.text})
		t.in.Unlock()
	}
	t.out.Lock()
	defer t.out.Unlock()
	if t.Redeliver {
		m.stream.returned = m.place()
	}
	if h == nil {
		if len(t.out.queue) == 0 {
			return t.handled(m)
		}
		h = &Hold{mark: m}
	}
	t.out.queue = append(t.out.queue, h)
	return t.advance()
}

// advance is called with out.
func (t *Tracker) advance() (recovered bool) {
	q := t.out.queue
	for len(q) > 0 && q[0].loops == 0 {
		recovered = t.handled(q[0].mark) || recovered
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
func (t *Tracker) handled(m Mark) (recovered bool) {
	s := m.stream
	if s.handled.next = m.next; s.handled.text != m.text {
		s.handled.text = m.text
	}
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
func (t *Tracker) Failed(m Mark) bool {
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
		s.set(s.returned.String())
		s.version.Add(1)
	}
}

// Received returns the position of the last message of a stream that was
// received; "" if there was none.
func (t *Tracker) Received(name string) string {
	t.in.Lock()
	defer t.in.Unlock()
	if s := t.in.streams[name]; s != nil {
		return s.received.String()
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
	return s.handled.String()
}

// Set makes a position the last that was received and handled. What is on its
// way moves neither.
func (t *Tracker) Set(name, position string) {
	t.in.Lock()
	defer t.in.Unlock()
	t.out.Lock()
	defer t.out.Unlock()
	if old := t.in.streams[name]; old != nil {
		old.version.Add(1)
		old.replaced = true
		t.out.unsaved = slices.DeleteFunc(t.out.unsaved, func(s *stream) bool { return s == old })
	}
	s := t.replace(name, position)
	s.pinned = true
	t.changed(s)
	t.out.failed = nil
}

// replace is called with in. A new stream takes the place of the old one, so
// that the Marks of that have no effect.
func (t *Tracker) replace(name, position string) *stream {
	s := newStream(name)
	s.conn = t.in.conn
	s.set(position)
	s.handled, s.returned = s.received.place, s.received.place
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
			s.version.Add(1)
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
		positions[s.name], s.unsaved = s.handled.String(), false
	}
	t.out.unsaved = nil
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
