package outbox

import "math/bits"

// What the writer of a connection does with the ring.

// attach gives the messages to the writer of a connection that is now open.
func (o *Outbox) attach(s *Session, w *Writer) {
	o.mu.Lock()
	o.w, o.parted, w.session = w, false, s
	b, _ := o.ring.peek()
	o.mu.Unlock()
	if b != nil {
		w.kick()
	}
}

// part leaves what is not in a batch to the next connection. It comes before
// the state is Closed, so that nothing that is enqueued after that is written to
// a socket whose other end is gone.
func (o *Outbox) part() {
	o.mu.Lock()
	o.parted = true
	o.mu.Unlock()
}

// dequeue adds the next messages to the batch of w, which is locked: at most so
// many, and until their size reaches limit. It is the only way for messages of
// Enqueue, Send and Request to a connection; control frames do not come here.
func (o *Outbox) dequeue(w *Writer, most, limit int) (n, size int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.MaxAge > 0 { // its timer may come too late
		for left, some := o.expireOld(); some && left == 0; left, some = o.expireOld() {
			o.mu.Unlock()
			o.mu.Lock()
		}
		o.advance()
	}
	if o.w != w || o.parted {
		return 0, 0
	}
	r := &o.ring
	granted := o.pacer.grant(most)
	defer func() { o.pacer.release(granted - n) }()
	for n < most && size < limit {
		b, _ := r.peek()
		if b == nil {
			break
		}
		word := b.before(b.from(b.live, r.next), w.session.end)
		if word == 0 {
			break
		}
		if n == granted {
			o.pacer.await(w, false)
			break
		}
		if r.batch == nil {
			r.batch = b
		}
		for i := range indexes(word) {
			if n == granted || size >= limit {
				break
			}
			s := b.at(i)
			w.batch.Add(s.op, s.data)
			size += len(s.data) + frameBytes
			b.taken |= 1 << i
			r.next = b.position(i) + 1
			n++
		}
	}
	return n, size
}

// completeAtOnce keeps the others from waiting for a whole batch.
const completeAtOnce = batchItems

// written completes the first n messages of the batch, which are in the kernel,
// or begins to wait for their acks.
func (o *Outbox) written(w *Writer, n int) {
	var t stamp
	if o.ConfirmID != nil {
		t = stamp{w: w, at: w.PeerTime()}
	}
	for n > 0 {
		some := min(n, completeAtOnce)
		o.mu.Lock()
		o.completeWritten(some, t)
		o.mu.Unlock()
		n -= some
	}
}

func (o *Outbox) completeWritten(n int, t stamp) {
	r := &o.ring
	messages, bytes, again := 0, 0, 0
	plain, size := 0, 0 // messages of Enqueue that need nothing more
	simple := o.ConfirmID == nil && o.Store == nil
	for n > 0 {
		b := r.batch
		var done uint64
		last, word := 0, b.taken
		for i := range indexes(b.taken) {
			if n == 0 {
				break
			}
			n--
			last = i
			bit := uint64(1) << i
			word &^= bit
			s := b.at(i)
			if s.op == 0 { // a Send that was cancelled
				r.vacate(b, i)
				continue
			}
			messages++
			bytes += len(s.data)
			resent := b.position(i) < o.begun
			if resent {
				again++
			}
			switch {
			case simple && b.sends&bit == 0:
				if plain++; resent {
					o.torn--
				}
				size += len(s.data)
				done |= bit
				r.vacate(b, i)
			case b.live&bit == 0: // acknowledged since
				r.vacate(b, i)
			case b.sends&bit != 0:
				b.taken &^= bit
				o.answer(b, i, nil)
			case s.id != "":
				s.wrote = t.at
				if !resent {
					o.unacked++
				}
				o.awaitAck(t)
			default:
				b.taken &^= bit
				o.forget(s, b, i)
				r.done(b, i)
			}
		}
		o.sent = max(o.sent, b.position(last)+1)
		o.begun = max(o.begun, o.sent)
		b.taken = word
		b.live &^= done
		if word == 0 {
			r.nextOfBatch()
			r.tidy(b)
		}
	}
	r.live -= plain
	o.count -= plain
	o.bytes -= size
	o.overhead -= plain * slotBytes
	o.advance()
	if messages > 0 {
		o.Written(messages, bytes, again)
	}
}

// detach takes the messages back when the connection can't write any more. If
// torn, the first of the batch was in the middle of its write; the rest was
// certainly not sent.
func (o *Outbox) detach(w *Writer, torn bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.w != w {
		return
	}
	o.w = nil
	o.stopWatch()
	r := &o.ring
	if b := r.batch; torn && b != nil {
		o.interrupt(b, bits.TrailingZeros64(b.taken))
	}
	for r.batch != nil {
		b := r.batch
		for i := range indexes(b.taken &^ b.live) {
			r.vacate(b, i)
		}
		b.taken = 0
		r.nextOfBatch()
		r.tidy(b)
	}
	reason := o.ErrNotConnected
	if w.session.closed {
		reason = w.session.closedError()
	}
	for b := r.first; b != nil && o.sending > 0; {
		next := b.next
		for i := range indexes(b.live & b.sends) {
			o.answer(b, i, reason)
		}
		r.tidy(b)
		b = next
	}
	r.waiting, r.next = r.first, r.floor
	r.peek()
	o.rearm()
	o.advance()
}

// interrupt is for the message that is in the middle of its write.
func (o *Outbox) interrupt(b *block, i int) {
	s, position := b.at(i), b.position(i)
	if b.live>>i&1 == 0 {
		return
	}
	if b.sends>>i&1 != 0 {
		o.answer(b, i, o.ErrInterrupted)
		return
	}
	if position >= o.begun {
		o.begun = position + 1
		if s.id != "" {
			o.unacked++
		} else {
			o.torn++
		}
	}
	if s.id == "" && !o.Resend {
		o.discard(b, i, o.ErrInterrupted)
	}
}

// nextOfBatch moves the start of the batch from a block of which nothing is in
// it any more. What was between two blocks of a batch is released.
func (r *ring) nextOfBatch() {
	if r.batch = r.batch.next; r.batch != nil && r.batch.taken == 0 {
		r.batch = nil
	}
}
