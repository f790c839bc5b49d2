package outbox

import (
	"context"
	"sync"
	"time"
)

// pacer asks a limiter before each message that leaves, and only while there
// is one: a goroutine waits for the answer, which is a grant, and the writer looks
// again. A grant that nobody uses, since its connection has ended, is for the next
// message.
type pacer struct {
	wait   func(context.Context) error
	report func(error)

	mu      sync.Mutex
	grants  int
	asking  *question // nil if none is under way
	waiting *Writer   // has messages and no grant; nil if there is none
	first   bool      // they are those of SendFirst
}

// question is a call of the limiter on behalf of a writer.
type question struct {
	ctx     context.Context
	cancel  context.CancelFunc
	w       *Writer
	overdue *time.Timer // since it was cancelled; nil if it was not
}

// pacerRetry is how long after an error the limiter is asked again.
const pacerRetry = time.Second

// grant returns how many of n messages may leave now.
func (p *pacer) grant(n int) int {
	if p == nil {
		return n
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n = min(n, p.grants)
	p.grants -= n
	return n
}

// release returns what grant has returned and nobody needs.
func (p *pacer) release(n int) {
	if p != nil && n > 0 {
		p.mu.Lock()
		p.grants += n
		p.mu.Unlock()
	}
}

// await has w check again when there is a grant. first says that it is for a
// message of SendFirst.
func (p *pacer) await(w *Writer, first bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.stopped.Load() {
		return
	}
	if p.grants > 0 { // since grant
		w.kick()
		return
	}
	p.waiting, p.first = w, first
	if p.asking == nil {
		ctx, cancel := context.WithCancel(context.Background())
		q := &question{ctx: ctx, cancel: cancel, w: w}
		p.asking = q
		w.Spawn(func() { p.ask(q, 0) })
	}
}

// ask waits for one grant, after a delay.
func (p *pacer) ask(q *question, delay time.Duration) {
	granted, returned := false, false
	defer func() {
		if !returned { // the limiter has ended the goroutine
			p.report(nil)
			q.w.Spawn(func() { p.ask(q, pacerRetry) })
			return
		}
		p.answered(q, granted)
	}()
	for ; ; delay = pacerRetry {
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-q.ctx.Done():
				returned = true
				return
			}
		}
		err := p.wait(q.ctx)
		if granted = err == nil; granted || q.ctx.Err() != nil {
			returned = true
			return
		}
		p.report(err)
	}
}

// answered ends q, and kicks whoever waits, which may be another writer.
func (p *pacer) answered(q *question, granted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if granted {
		p.grants++
	}
	q.cancel()
	if q.overdue != nil {
		q.overdue.Stop()
	}
	if p.asking == q {
		p.asking = nil
	}
	if p.waiting != nil {
		p.waiting.kick()
		p.waiting = nil
	}
}

// cancel has q end, which gives its reservation back before the next question.
// That does not wait for a limiter that goes on without its ctx. mu is held.
func (p *pacer) cancel(q *question) {
	q.cancel()
	if q.overdue == nil {
		q.overdue = time.AfterFunc(pacerRetry, func() { p.answered(q, false) })
	}
}

// rest ends the wait of w for messages that are not waiting any more.
func (p *pacer) rest(w *Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == w && !p.first {
		p.waiting = nil
		p.cancel(p.asking)
	}
}

// leave ends the wait of a writer that is over.
func (p *pacer) leave(w *Writer) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == w {
		p.waiting = nil
	}
	if q := p.asking; q != nil && q.w == w {
		p.cancel(q)
	}
}

// Limited reports whether messages wait for the Limiter.
func (o *Outbox) Limited() bool { return o.pacer.limited() }

// limited reports whether messages wait for the limiter.
func (p *pacer) limited() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting != nil
}
