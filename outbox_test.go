package wsnotify

import (
	"context"
	"testing"
)

func newTestOutbox(cfg Outbox) *outbox {
	cfg.Messages, cfg.Bytes = -1, -1
	return newOutbox(cfg, func(Message, error) {}, func(int, int) {})
}

// What is queued after a connection was given up is for the next one.
func TestPartedOutboxGivesNothingMore(t *testing.T) {
	b := newTestOutbox(Outbox{})
	w := &writer{box: b}
	w.running.Store(again) // somebody is at it, so that a kick starts nothing
	b.attach(w)
	b.part()
	if err := b.enqueue(MessageText, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if items := b.take(w, make([]item, 0, 8), 1000); len(items) != 0 {
		t.Errorf("%v was taken", items)
	}
	if err := b.send(context.Background(), MessageText, nil); err != ErrNotConnected {
		t.Errorf("send: %v", err)
	}
	next := &writer{box: b}
	next.running.Store(again)
	b.detach(w, 0, false)
	b.attach(next)
	if items := b.take(w, make([]item, 0, 8), 1000); len(items) != 0 {
		t.Errorf("the old writer took %v", items)
	}
	if items := b.take(next, make([]item, 0, 8), 1000); len(items) != 1 {
		t.Errorf("%v was taken", items)
	}
}

func TestNoMemoryIsKeptFromABurst(t *testing.T) {
	b := newTestOutbox(Outbox{})
	w := &writer{box: b}
	w.running.Store(again)
	b.attach(w)
	for range 10_000 {
		b.enqueue(MessageBinary, make([]byte, 100))
	}
	for n := 0; n < 10_000; {
		items := b.take(w, make([]item, 0, 64), 1<<20)
		n += len(items)
		b.settle(len(items))
	}
	if b.ring != nil || b.chunk != nil || b.queued != 0 || b.bytes != 0 || b.n != 0 || b.taken != 0 {
		t.Errorf("%d entries of the ring, chunk %v, %d messages of %d bytes", len(b.ring), b.chunk != nil, b.queued, b.bytes)
	}
}

// A Reconnect that was asked when the connection had just been lost is for
// the wait that follows.
func TestAskedReconnectIsKept(t *testing.T) {
	r := &run{}
	first, second := newRequest(), newRequest()
	r.listen(first, nil)
	first.isAsked = true
	close(first.asked)
	r.listen(second, nil)
	if r.request != first {
		t.Error("it was forgotten")
	}
	r.listen(nil, nil)
	<-first.done
	if r.request != nil {
		t.Error("it is still there")
	}
}
