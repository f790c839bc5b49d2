package wsnotifytest

import (
	"bytes"
	"sync"
	"time"
)

// A link is what lies between the two ends of an in-memory connection. Its one lock guards both
// ends and both directions, and is never held over a wait: all waiting is on cond, which
// testing/synctest takes for durably blocked.
type link struct {
	mu   sync.Mutex
	cond sync.Cond
	hole bool // nothing arrives, in either direction
	dead bool // both ends are closed, or the network is gone
	ends [2]*pipeConn
	base linkConfig // as it was made

	bytes uint64 // that have arrived and that were read, with one for each end
}

// linkConfig is how a link behaves; the zero value is a fast one.
type linkConfig struct {
	latency     time.Duration // per direction
	bytesPerSec int           // per direction; 0: no limit
	buffer      int           // bytes that may be unread per direction; 0: 64 KiB
}

const (
	defaultBuffer = 64 << 10
	packetSize    = 1460 // what a slow link delivers at a time
)

type segmentKind byte

const (
	segData segmentKind = iota
	segFIN              // the sender will write no more
	segGone             // TCP's RST in answer to data that nobody will read: after the FIN
	segRST              // the sender has thrown everything away
)

type segment struct {
	kind segmentKind
	data []byte
	due  time.Time
}

// A stream is one direction of a link. Its fields are guarded by link.mu.
type stream struct {
	l   *link
	cfg linkConfig
	dst *pipeConn

	sent   uint64 // bytes that were ever written
	taken  uint64 // bytes that were ever read at the far end
	mark   uint64 // what of sent must be read before onMark is called
	onMark func() // nil unless there is a mark

	arrived  bytes.Buffer // readable
	flight   []segment    // sent and not yet arrived, in order
	flying   int          // bytes in flight
	acked    int64        // bytes that have arrived, in all
	eof      bool         // a FIN has arrived
	lineFree time.Time    // when the last byte sent has left the sender
	timer    *time.Timer  // runs deliver when flight[0] is due
}

func newLink(cfg linkConfig) *link {
	if cfg.buffer <= 0 {
		cfg.buffer = defaultBuffer
	}
	l := &link{base: cfg}
	l.cond.L = &l.mu
	a, b := &pipeConn{l: l}, &pipeConn{l: l}
	ab := &stream{l: l, cfg: cfg, dst: b}
	ba := &stream{l: l, cfg: cfg, dst: a}
	a.in, a.out, a.peer = ba, ab, b
	b.in, b.out, b.peer = ab, ba, a
	l.ends = [2]*pipeConn{a, b}
	return l
}

func (s *stream) capacity() int { return s.cfg.buffer - s.arrived.Len() - s.flying }

// sendData takes at most len(p) bytes, as many as there is capacity for. Called with l.mu held.
func (s *stream) sendData(p []byte) int {
	n := min(len(p), s.capacity())
	if n <= 0 {
		return 0
	}
	p = p[:n]
	s.sent += uint64(n)
	if s.direct() {
		s.arrive(segment{kind: segData, data: p})
		return n
	}
	size := n
	if s.cfg.bytesPerSec > 0 {
		size = packetSize
	}
	for len(p) > 0 {
		k := min(size, len(p))
		s.send(segment{kind: segData, data: bytes.Clone(p[:k])})
		p = p[k:]
	}
	return n
}

// direct reports whether what is sent now arrives now.
func (s *stream) direct() bool {
	return !s.l.hole && len(s.flight) == 0 && s.cfg.latency == 0 && s.cfg.bytesPerSec == 0
}

// send puts seg on its way. Called with l.mu held.
func (s *stream) send(seg segment) {
	if s.l.dead {
		return
	}
	if s.direct() {
		s.arrive(seg)
		return
	}
	now := time.Now()
	if s.lineFree.Before(now) {
		s.lineFree = now
	}
	if s.cfg.bytesPerSec > 0 {
		s.lineFree = s.lineFree.Add(time.Duration(len(seg.data)) * time.Second / time.Duration(s.cfg.bytesPerSec))
	}
	seg.due = s.lineFree.Add(s.cfg.latency)
	s.flying += len(seg.data)
	s.flight = append(s.flight, seg)
	if len(s.flight) == 1 {
		s.pump()
	}
}

// pump delivers what is due and sees to it that the rest will be. Called with l.mu held.
func (s *stream) pump() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if s.l.hole || s.l.dead {
		return
	}
	for len(s.flight) > 0 {
		seg := s.flight[0]
		if d := time.Until(seg.due); d > 0 {
			s.timer = time.AfterFunc(d, s.deliver)
			return
		}
		s.flight = s.flight[1:]
		s.flying -= len(seg.data)
		s.arrive(seg)
	}
	s.flight = nil
}

func (s *stream) deliver() {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.pump()
}

// arrive is what happens at the far end. Called with l.mu held.
func (s *stream) arrive(seg segment) {
	dst := s.dst
	s.l.bytes += uint64(max(len(seg.data), 1))
	switch seg.kind {
	case segData:
		s.acked += int64(len(seg.data))
		if dst.closed {
			dst.out.send(segment{kind: segGone})
		} else if !dst.reset {
			s.arrived.Write(seg.data)
		}
	case segFIN:
		s.eof = true
	case segGone:
		dst.peerGone = true
	case segRST:
		dst.reset = true
		s.drop()
		dst.out.drop()
	}
	s.l.cond.Broadcast()
}

// drop loses everything that is on its way or unread. Called with l.mu held.
func (s *stream) drop() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.flight, s.flying = nil, 0
	s.arrived = bytes.Buffer{}
}

// setHole cuts the link without anybody noticing, or mends it: then what was held arrives after
// the link's latency, as TCP's retransmissions would.
func (l *link) setHole(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hole == on {
		return
	}
	l.hole = on
	for _, e := range l.ends {
		if !on {
			again := time.Now().Add(e.out.cfg.latency)
			for i := range e.out.flight {
				if e.out.flight[i].due.Before(again) {
					e.out.flight[i].due = again
				}
			}
		}
		e.out.pump()
	}
}

// activity returns how much has moved, and when the next of what is on its way arrives; zero if
// nothing is.
func (l *link) activity() (bytes uint64, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hole || l.dead {
		return l.bytes, due
	}
	for _, e := range l.ends {
		if len(e.out.flight) > 0 && (due.IsZero() || e.out.flight[0].due.Before(due)) {
			due = e.out.flight[0].due
		}
	}
	return l.bytes, due
}

func (l *link) holed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hole
}

// shape changes both directions for what is sent from now on.
func (l *link) shape(latency time.Duration, bytesPerSec int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.ends {
		e.out.cfg.latency, e.out.cfg.bytesPerSec = latency, bytesPerSec
	}
}

// flush makes everything arrive now that is on its way, over any hole.
func (l *link) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hole = false
	for _, e := range l.ends {
		e.out.cfg.latency, e.out.cfg.bytesPerSec = 0, 0
		for i := range e.out.flight {
			e.out.flight[i].due = time.Time{}
		}
		e.out.pump()
	}
}

// kill ends the link for both sides at once; nothing of it is left.
func (l *link) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.ends {
		e.reset = true
	}
	l.bury()
}

// bury drops what no one will read any more. Called with l.mu held.
func (l *link) bury() {
	l.dead = true
	for _, e := range l.ends {
		e.out.drop()
		e.readBy.stop()
		e.writeBy.stop()
	}
	l.cond.Broadcast()
}
