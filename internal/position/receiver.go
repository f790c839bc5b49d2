package position

// Receiver notes what is received over one connection. One goroutine at a time uses it.
//
// Most positions only follow on the one before. Those are noted here alone, and in
// the Tracker once for a batch of messages: with a lock for each, Resume costs 21 % of
// a message of 120 bytes, and 9 % without. That is allowed as long as version is that
// of the stream, which means that nobody else has changed what was received.
type Receiver struct {
	t           *Tracker
	stream      *stream // of the message before; nil if that has no plain number
	version     uint64  // of stream
	next        int64   // as in place: the position of that message
	unpublished bool    // the Tracker does not know it
}

// Connection returns the Receiver of another connection.
func (t *Tracker) Connection() *Receiver {
	t.in.Lock()
	defer t.in.Unlock()
	t.in.conn++
	return &Receiver{t: t}
}

// Admit notes a message as received, and returns the Mark to handle it with. A
// duplicate has none. An answer is never one: somebody waits for it.
func (r *Receiver) Admit(name, position string, answer bool) (Mark, Verdict) {
	if r.stream != nil && r.stream.name == name {
		if p, _ := plain(position); r.isNext(p) {
			return r.admitNext(p), Verdict{}
		}
	}
	return r.admit(name, position, answer)
}

// AdmitBytes is Admit for the stream "" and a position that is not kept.
func (r *Receiver) AdmitBytes(position []byte, answer bool) (Mark, Verdict) {
	if r.stream != nil && r.stream.name == "" {
		if p, _ := plain(position); r.isNext(p) {
			return r.admitNext(p), Verdict{}
		}
	}
	return r.admit("", string(position), answer)
}

// isNext reports whether p, which is the zero value if it is no plain number, only
// follows on the position before.
func (r *Receiver) isNext(p place) bool {
	return (p.next == r.next+1 || p.next > r.next && r.t.order == Increasing) && r.version == r.stream.version.Load()
}

func (r *Receiver) admitNext(p place) Mark {
	r.next, r.unpublished = p.next, true
	return Mark{&r.stream.here, p.next}
}

// Publish has the Tracker know all that was admitted. It is called before anybody
// else can know of the messages.
func (r *Receiver) Publish() {
	if r.unpublished {
		r.t.in.Lock()
		r.publish()
		r.t.in.Unlock()
	}
}

// publish is called with in.
func (r *Receiver) publish() {
	if r.unpublished && r.version == r.stream.version.Load() {
		r.stream.received = number{place: place{next: r.next}}
	}
	r.unpublished = false
}

func (r *Receiver) admit(name, position string, answer bool) (m Mark, v Verdict) {
	t := r.t
	t.in.Lock()
	defer t.in.Unlock()
	r.publish()
	s := t.stream(name)
	if t.order == Opaque {
		return t.admitOpaque(s, position, answer)
	}
	n, ok := parse(position)
	if !ok {
		return Mark{}, Verdict{NoNumber: &NoNumber{name, position}}
	}
	m, v = t.admitNumber(s, n, answer)
	r.stream, r.next, r.version = nil, 0, s.version.Add(1)
	if s.received.large == nil && s.received.text == "" {
		r.stream, r.next = s, s.received.next
	}
	return m, v
}

// admitOpaque is called with in.
func (t *Tracker) admitOpaque(s *stream, position string, answer bool) (Mark, Verdict) {
	if !t.in.recent.add(opaque{s.name, position}) {
		return Mark{}, Verdict{Duplicate: !answer}
	}
	s.received.place = place{text: position}
	return Mark{point: t.point(s, position, nil)}, Verdict{}
}

// admitNumber is called with in.
func (t *Tracker) admitNumber(s *stream, n number, answer bool) (m Mark, v Verdict) {
	first := s.conn != t.in.conn
	s.conn = t.in.conn
	var gap *Gap
	if s.valid {
		switch c := n.compare(s.received); {
		case c < 0 && first && t.in.told != t.in.conn:
			t.in.told = t.in.conn
			v.Behind = &Behind{s.name, s.received.String(), n.String()}
			fallthrough
		case c <= 0:
			v.Duplicate = !answer
			return Mark{}, v
		case t.order == Consecutive && !n.follows(s.received):
			gap = &Gap{s.name, s.received.String(), n.String()}
		}
	}
	s.received, s.valid = n, true
	m = Mark{&s.here, n.next}
	if n.text != "" || gap != nil {
		m.point = t.point(s, n.text, gap)
	}
	return m, v
}
