package outbox

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// A server that acknowledges in order, which is what most do, needs no index.
func TestAcksInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Bytes, cfg.ConfirmID = 5, itself
		o := New(cfg)
		w := attached(o)
		enqueue := func(s string) error { return o.Enqueue(wire.Text, []byte(s)) }
		for _, s := range []string{"a", "b", "c", "d", "e"} {
			if err := enqueue(s); err != nil {
				t.Fatal(err)
			}
		}
		o.written(w, dequeued(w, 8, 1000))
		ack := func(id string) {
			t.Helper()
			if n := o.Ack([]string{id}); n != 1 {
				t.Fatalf("%s: %d were known", id, n)
			}
		}

		ack("a")
		if queued, unacked := o.Counts(); queued != 4 || unacked != 4 {
			t.Errorf("%d are queued, %d were sent", queued, unacked)
		}
		if err := enqueue("f"); err != nil {
			t.Errorf("there is no capacity for another byte: %v", err)
		}
		if enqueue("g") == nil {
			t.Error("there is capacity for more than 5 bytes")
		}

		flushed := make(chan error, 1)
		go func() { flushed <- o.Flush(t.Context()) }()
		synctest.Wait()
		ack("b")
		ack("c")
		o.detach(w, false)
		w = attached(o)
		o.written(w, dequeued(w, 8, 1000)) // d, e and f
		for _, id := range []string{"d", "e", "f"} {
			synctest.Wait()
			if len(flushed) != 0 {
				t.Errorf("Flush did not wait for %s", id)
			}
			ack(id)
		}
		synctest.Wait()
		if len(flushed) != 1 {
			t.Fatal("Flush still waits")
		}
		if err := <-flushed; err != nil || o.Latest().Unsent() != nil {
			t.Errorf("flush: %v; something is left: %v", err, o.Latest().Unsent() != nil)
		}
		if o.acks != nil {
			t.Error("there is an index")
		}
	})
}

// Of many messages with one id the oldest is acknowledged first, and each takes
// constant time, also where they expire or are dropped.
func TestManyMessagesWithTheSameID(t *testing.T) {
	o := newTestOutbox(func(wire.Op, []byte) string { return "id" })
	w := attached(o)
	const messages = 50_000
	for range messages {
		o.Enqueue(wire.Text, nil)
	}
	for n := 0; n < messages; {
		some := dequeued(w, 64, 1<<20)
		o.written(w, some)
		n += some
	}
	o.Ack([]string{"unknown"}) // makes the index
	for i := range messages {
		if b, _ := o.ring.head(); b == nil {
			t.Fatal("it is not the head")
		}
		if n := o.Ack([]string{"id"}); n != 1 {
			t.Fatalf("ack %d was for %d messages", i, n)
		}
	}
	if queued, unacked := o.Counts(); queued != 0 || unacked != 0 || o.ring.live != 0 {
		t.Errorf("%d messages are left, %d of them unacked", queued, unacked)
	}
}

// The index takes the memory of what is in it, and not of what was.
func TestIndexShrinks(t *testing.T) {
	x := &index{}
	const ids = 50_000
	refs := make([]ref, ids)
	for i := range refs {
		refs[i] = ref{&block{}, i}
		x.add(fmt.Sprint(i), refs[i])
	}
	for _, i := range rand.Perm(ids)[:ids*99/100] {
		x.remove(fmt.Sprint(i), refs[i])
	}
	peaks, left := 0, 0
	for _, p := range x {
		peaks += p.peak
		left += len(p.oldest)
	}
	if left != ids/100 || peaks > len(x)*(minPeak+8) {
		t.Errorf("%d ids are in maps that were made for %d", left, peaks)
	}
}

// ConfirmTimeout is measured in peer time: what that stands still does not
// count.
func TestAckIsOverdueInPeerTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.ConfirmID, cfg.ConfirmTimeout = itself, 10*time.Second
		o := New(cfg)
		began := time.Now()
		var stood atomic.Int64 // ns
		dropped := make(chan time.Duration, 1)
		w := NewWriter(nil, o, Hooks{
			PeerTime: func() time.Duration { return time.Since(began) - time.Duration(stood.Load()) },
			Drop: func(err error) {
				if err != ErrConfirmTimeout {
					t.Error(err)
				}
				dropped <- time.Since(began)
			},
		})
		w.running.Store(again)
		o.Latest().Attach(w)
		o.Enqueue(wire.Text, []byte("a"))
		o.written(w, dequeued(w, 1, 1000))
		time.Sleep(9 * time.Second)
		stood.Store(int64(5 * time.Second))
		if d := <-dropped; d < 15*time.Second || d > 15*time.Second+o.ConfirmTimeout/32 {
			t.Errorf("the connection was dropped after %v", d)
		}
		o.detach(w, false)
	})
}

// A watch ends with its connection, and one that has found nothing overdue leaves the next message one of its own.
func TestWatchOfAcksEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.ConfirmID, cfg.ConfirmTimeout = itself, 10*time.Second
		o := New(cfg)
		began := time.Now()
		var dropped []time.Duration
		connected := func() *Writer {
			w := NewWriter(nil, o, Hooks{Drop: func(error) { dropped = append(dropped, time.Since(began)) }})
			w.running.Store(again)
			o.Latest().Attach(w)
			return w
		}
		write := func(w *Writer, text string) {
			o.Enqueue(wire.Text, []byte(text))
			o.written(w, dequeued(w, 8, 1000))
		}
		w := connected()
		write(w, "a")
		time.Sleep(9 * time.Second)
		o.detach(w, false)
		time.Sleep(time.Minute)
		if o.watch != nil {
			t.Error("acks are awaited without a connection")
		}
		o.Ack([]string{"a"})
		w = connected()
		write(w, "b")
		o.Ack([]string{"b"})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if len(dropped) > 0 {
			t.Errorf("dropped after %v", dropped)
		}
		began = time.Now()
		write(w, "c")
		time.Sleep(5 * time.Second)
		write(w, "d")
		time.Sleep(4 * time.Second)
		o.Ack([]string{"c"})
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(dropped) != 1 || dropped[0] != 15*time.Second {
			t.Errorf("dropped after %v", dropped)
		}
		o.detach(w, false)
	})
}

// However many ids come at once, each is counted once, and an unknown one is not.
func TestManyAcksAtOnce(t *testing.T) {
	o := newTestOutbox(itself)
	var ids []string
	for i := range 3*acksAtOnce + 1 {
		ids = append(ids, fmt.Sprint(i))
		if err := o.Enqueue(wire.Text, []byte(ids[i])); err != nil {
			t.Fatal(err)
		}
	}
	w := attached(o)
	for dequeued(w, 64, 1<<20) > 0 {
	}
	if known := o.Ack(append(ids, ids[0], "unknown")); known != len(ids) {
		t.Errorf("%d of %d were known", known, len(ids))
	}
	if queued, unacked := o.Counts(); queued != 0 || unacked != 0 {
		t.Errorf("%d are queued, and %d unacked", queued, unacked)
	}
}
