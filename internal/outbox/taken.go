package outbox

// What an outbox and the writer of a connection have to do with each other.

// Attach gives the messages to the writer of a connection that is now open.
func (b *Box) Attach(w *Writer) {
	b.lock()
	b.w, b.parted = w, false
	some := b.mark != nil
	b.unlock()
	if some {
		w.kick()
	}
}

// take adds the next messages to the batch of w, which is locked: at most so
// many, and until their size reaches limit.
func (b *Box) take(w *Writer, most, limit int) (n, size int) {
	b.lock()
	defer b.unlock()
	if b.w != w || b.parted {
		return 0, 0
	}
	if b.post.MaxAge > 0 {
		b.dropOld() // if its timer has not done so yet
	}
	e := b.mark
	for ; e != nil && !e.fresh && n < most && size < limit; e = e.next {
		e.place = taken
		w.batch.Add(e.op, e.data)
		n++
		size += len(e.data) + frameBytes
	}
	b.mark, b.hint = e, nil
	return n, size
}

// settleAtOnce keeps the others from waiting for a whole batch.
const settleAtOnce = batchItems

// settle ends the first done messages that were taken: they are in the kernel.
func (b *Box) settle(done int) {
	for done > 0 {
		n := min(done, settleAtOnce)
		b.mu.Lock()
		b.settleTaken(n)
		b.mu.Unlock()
		done -= n
	}
}

func (b *Box) settleTaken(done int) {
	if b.post.ConfirmID != nil || b.post.Keeper != nil {
		b.settleEach(done)
	} else {
		b.settlePlain(done)
	}
	if b.queue.first != nil {
		b.queue.first.prev = nil
	} else {
		b.queue.last = nil
	}
	b.trim()
}

// settlePlain is for messages that are done when they are written. They leave
// together, and in order.
func (b *Box) settlePlain(done int) {
	messages, bytes, again := 0, 0, 0
	first, last := b.queue.first, (*entry)(nil)
	e := first
	for range done {
		if !e.gone { // else it is a Send that was given up
			size := len(e.data)
			messages++
			bytes += size
			if e.sent {
				again++
			}
			if e.wait != nil {
				e.wait.result <- nil
			} else {
				b.queued--
				b.bytes -= size
				if b.barriers != nil {
					b.pass(e)
				}
			}
		}
		last, e = e, e.next
	}
	b.entries.putAll(first, last)
	b.queue.first = e
	if messages > 0 {
		b.post.Written(messages, bytes, again)
	}
}

func (b *Box) settleEach(done int) {
	messages, bytes, again := 0, 0, 0
	now := b.clock()
	for range done {
		e := b.queue.first
		b.queue.first = e.next
		switch {
		case e.gone && e.seq == 0: // a Send that was given up
			b.entries.put(e)
			continue
		case e.sent:
			again++
		}
		messages++
		bytes += len(e.data)
		switch {
		case e.wait != nil:
			e.wait.result <- nil
		case e.gone: // it is confirmed
		case e.awaits:
			b.await(e, now)
			continue
		default:
			b.done(e)
		}
		b.entries.put(e)
	}
	if messages > 0 {
		b.post.Written(messages, bytes, again)
	}
}

// Part leaves what is not yet encoded to the next connection. It comes before
// the state is Closed, so that nothing that is queued after that is written to
// a socket whose other end is gone.
func (b *Box) Part() {
	b.mu.Lock()
	b.parted = true
	b.mu.Unlock()
}

// detach takes the messages back when the connection can't write any more. What
// was written has been settled. If torn, the first of the others was in the
// middle of its write; the rest was certainly not sent.
func (b *Box) detach(w *Writer, torn bool) {
	b.lock()
	defer b.unlock()
	if b.w != w {
		return
	}
	b.w = nil
	if b.watch != nil {
		b.watch.Stop()
		b.watch = nil
	}
	if torn {
		switch e := b.queue.first; {
		case e.gone:
		case e.wait != nil:
			e.wait.result <- b.post.ErrInterrupted
			e.wait, e.gone = nil, true
		case e.awaits || b.post.Resend:
			b.begun(e)
		default:
			e.sent = true
			b.discard(e, b.post.ErrInterrupted)
		}
	}
	reason := b.post.ErrNotConnected
	if b.refused {
		reason = b.post.ErrClosed
	}
	for e := b.queue.first; e != nil; {
		next := e.next
		switch {
		case e.wait != nil:
			e.wait.result <- reason
			b.remove(e)
		case e.gone:
			b.remove(e)
		default:
			e.place = waiting
		}
		e = next
	}
	for e := b.unconfirmed.last; e != nil; e = b.unconfirmed.last {
		b.unconfirmed.remove(e)
		e.place = waiting
		b.queue.insert(e, b.queue.first)
	}
	b.mark, b.hint = b.queue.first, nil
	b.rearm()
}
