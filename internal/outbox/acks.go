package outbox

import (
	"errors"
	"hash/maphash"
	"math"
	"slices"
	"time"
)

// ErrConfirmTimeout is the cause of a connection whose server went on without
// acknowledging.
var ErrConfirmTimeout = errors.New("wsnotify: the server did not confirm a message within Outbox.ConfirmTimeout")

// Most servers acknowledge in order, so an ack is compared with head first, and
// most ids are never looked up. Others are found in an index, which is made when
// it is needed: with every id in it, a message takes 218 ns instead of 88.

// ref is a slot that is live.
type ref struct {
	b *block
	i int
}

// index finds the oldest message with an id. It is in parts, so that none of
// them takes long to grow or to shrink: a Go map never gives memory back.
type index [256]indexPart

type indexPart struct {
	oldest map[string]ref
	peak   int              // size of oldest since it was made
	others map[string][]ref // the younger ones with the same id, in order
}

const (
	minPeak = 8 // of an index part that is made anew when most of it is gone

	// maxUnindexed is how many positions may be behind the index: what the ack
	// of one message may have to put into it, in some 3 ms. While more are in
	// flight, each Enqueue does its part.
	maxUnindexed = 9 << 10
	acksAtOnce   = 256 // before others get the lock
)

var seed = maphash.MakeSeed()

func (x *index) part(id string) *indexPart { return &x[maphash.String(seed, id)%uint64(len(x))] }

func (x *index) add(id string, r ref) {
	p := x.part(id)
	if _, used := p.oldest[id]; used {
		if p.others == nil {
			p.others = map[string][]ref{}
		}
		p.others[id] = append(p.others[id], r)
		return
	}
	if p.oldest == nil {
		p.oldest = map[string]ref{}
	}
	p.oldest[id] = r
	p.peak = max(p.peak, len(p.oldest))
}

func (x *index) find(id string) (r ref, ok bool) {
	r, ok = x.part(id).oldest[id]
	return r, ok
}

func (x *index) remove(id string, r ref) {
	p := x.part(id)
	others := p.others[id]
	if p.oldest[id] != r {
		others = slices.DeleteFunc(others, func(other ref) bool { return other == r })
	} else if len(others) > 0 {
		p.oldest[id], others = others[0], others[1:]
	} else {
		delete(p.oldest, id)
		if p.peak > minPeak && len(p.oldest) <= p.peak/packAt {
			left := make(map[string]ref, len(p.oldest))
			for id, r := range p.oldest {
				left[id] = r
			}
			p.oldest, p.peak = left, len(left)
		}
		return
	}
	if len(others) > 0 {
		p.others[id] = others
	} else {
		delete(p.others, id)
	}
}

// indexAhead keeps an index, or what one would have to take, from falling
// behind.
func (o *Outbox) indexAhead() {
	if o.ring.unindexed != nil && o.ring.tail-o.ring.indexed > maxUnindexed {
		o.indexSome(2)
	}
}

// indexSome puts the next acks into the index.
func (o *Outbox) indexSome(most int) {
	r := &o.ring
	for b := r.unindexed; b != nil; b = r.unindexed {
		for i := range indexes(b.from(b.live, r.indexed)) {
			if most == 0 {
				return
			}
			r.indexed = b.position(i) + 1
			if id := b.at(i).id; id != "" {
				if o.acks == nil {
					o.acks = &index{}
				}
				o.acks.add(id, ref{b, i})
				most--
			}
		}
		if b.next == nil {
			r.indexed = r.tail
			return
		}
		r.unindexed, r.indexed = b.next, b.next.base
	}
}

// Ack completes the messages that the server has, and returns how many there
// were.
func (o *Outbox) Ack(ids []string) (known int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n, id := range ids {
		if n%acksAtOnce == acksAtOnce-1 {
			o.mu.Unlock()
			o.mu.Lock()
		}
		if b, i := o.find(id); b != nil {
			o.complete(b, i)
			known++
		}
	}
	o.advance()
	return known
}

// find returns the oldest message with an id, whatever has become of it; b is
// nil if there is none. One that was given up and never sent is lost for good.
func (o *Outbox) find(id string) (b *block, i int) {
	if id == "" {
		return nil, 0
	}
	b, i = o.ring.head()
	if b == nil {
		return nil, 0
	}
	if b.at(i).id != id {
		o.indexSome(math.MaxInt)
		if o.acks == nil {
			return nil, 0
		}
		r, ok := o.acks.find(id)
		if !ok {
			return nil, 0
		}
		b, i = r.b, r.i
	}
	if p := b.position(i); p < o.ring.floor {
		if begun, _ := o.reached(p); p >= begun {
			return nil, 0
		}
	}
	return b, i
}

// stamp is the moment of a write, in peer time: see Hooks.
type stamp struct {
	w  *Writer
	at time.Duration
}

// ackWatch waits until the oldest ack is overdue.
type ackWatch struct {
	alarm
	stamp               // when it began to wait
	wait  time.Duration // for so long
}

// awaitAck is called for a message that was written.
func (o *Outbox) awaitAck(t stamp) {
	if o.watch == nil && o.ConfirmTimeout > 0 && o.w != nil {
		o.watchAcks(t, o.ConfirmTimeout)
	}
}

// watchAcks checks later, and behind the callbacks of what has been received
// until then: an ack may be among it.
func (o *Outbox) watchAcks(t stamp, wait time.Duration) {
	a := &ackWatch{stamp: t, wait: wait}
	a.timer = time.AfterFunc(wait, func() { o.Notify(func() { o.checkAcks(a) }) })
	o.watch = a
}

func (o *Outbox) stopWatch() {
	if o.watch != nil {
		o.watch.stop()
		o.watch = nil
	}
}

func (o *Outbox) checkAcks(a *ackWatch) {
	t := stamp{a.w, a.w.PeerTime()}
	o.mu.Lock()
	if o.watch != a {
		o.mu.Unlock()
		return
	}
	o.watch = nil
	overdue := false
	if b, i := o.ring.head(); b != nil && b.position(i) < o.ring.written() && !o.parted && !t.w.session.closed {
		left := o.ConfirmTimeout - (t.at - b.at(i).wrote)
		if t.at-a.at < a.wait { // peer time stood still, and may go on to
			left = max(left, o.ConfirmTimeout/64)
		}
		if overdue = left <= 0; !overdue {
			o.watchAcks(t, left)
		}
	}
	o.mu.Unlock()
	if overdue {
		t.w.Drop(ErrConfirmTimeout)
	}
}
