package outbox

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Whatever order confirmations come in, each is for the oldest message with its
// id, or for none.
func TestConfirmationIsForTheOldest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	b := newTestBox(func(_ wire.Op, data []byte) string { return string(data[:1]) })
	w := &Writer{box: b}
	w.running.Store(again)
	b.Attach(w)
	var model []string
	taken := 0
	for n := range 20_000 {
		switch rnd.IntN(5) {
		case 0, 1:
			m := fmt.Sprintf("%c%d", 'a'+rnd.IntN(20), n)
			model = append(model, m)
			b.Enqueue(wire.Text, []byte(m))
		case 2:
			if taken > 0 && rnd.IntN(2) == 0 {
				b.settle(taken)
				taken = 0
			} else {
				taken += take(b, w, rnd.IntN(8), 1000)
			}
		default:
			id, want := string(rune('a'+rnd.IntN(20))), 0
			if len(model) > 0 && rnd.IntN(2) == 0 {
				id = model[0][:1]
			}
			for i, m := range model {
				if m[:1] == id {
					model, want = slices.Delete(model, i, i+1), 1
					break
				}
			}
			if got := b.Confirm([]string{id}); got != want {
				t.Fatalf("step %d: %d messages were confirmed by %s, expected %d", n, got, id, want)
			}
		}
		if n%50 == 0 { // a connection ends, and all that is left waits again
			b.detach(w, false)
			b.Attach(w)
			taken = 0
			var left []string
			for e := b.queue.first; e != nil; e = e.next {
				left = append(left, string(e.data))
			}
			if !slices.Equal(left, model) {
				t.Fatalf("step %d: %q is left, expected %q", n, left, model)
			}
		}
		if n%20 > 0 {
			continue // what is in the intake stays there
		}
		if queued, _ := b.Counts(); queued != len(model) {
			t.Fatalf("step %d: %d are left, expected %d", n, queued, len(model))
		}
	}
}

// A message that its Store has late comes before a younger one that waits, and
// behind one that was written. Each is confirmed all the same.
func TestLateStoreAndConfirmations(t *testing.T) {
	for _, written := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { confirmLate(t, written) })
	}
}

func confirmLate(t *testing.T, written bool) {
	gate := make(chan struct{})
	b := newTestBox(itself)
	b.post.Keeper = NewKeeper(lateStore{gate}, func(error) {})
	go b.Enqueue(wire.Text, []byte("late"))
	synctest.Wait()
	b.Refuse()
	b.Finish()
	next := New(b.post)
	b.Bequeath(next)
	w := &Writer{box: next}
	w.running.Store(again)
	next.Attach(w)
	if err := next.Enqueue(wire.Text, []byte("b")); err != nil {
		t.Fatal(err)
	}
	if written {
		next.settle(take(next, w, 8, 1000))
	}
	close(gate)
	synctest.Wait()
	next.settle(take(next, w, 8, 1000))
	for _, id := range []string{"b", "late"} {
		if n := next.Confirm([]string{id}); n != 1 {
			t.Errorf("%d messages were confirmed by %s", n, id)
		}
	}
	if queued, unproven := next.Counts(); queued != 0 || unproven != 0 {
		t.Errorf("%d messages are left, %d of them unconfirmed", queued, unproven)
	}
}

// lateStore has the message "late" once its gate is closed.
type lateStore struct{ gate chan struct{} }

func (s lateStore) Load(func(uint64, wire.Op, []byte) error) error { return nil }
func (s lateStore) Remove(...uint64) error                         { return nil }

func (s lateStore) Append(_ uint64, _ wire.Op, data []byte) error {
	if string(data) == "late" {
		<-s.gate
	}
	return nil
}

// A server that confirms in order, which is what most do.
func TestConfirmationsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBox(itself)
		b.mostBytes = 5
		w := &Writer{box: b}
		w.running.Store(again)
		b.Attach(w)
		enqueue := func(s string) error { return b.Enqueue(wire.Text, []byte(s)) }
		for _, s := range []string{"a", "b", "c", "d", "e"} {
			if err := enqueue(s); err != nil {
				t.Fatal(err)
			}
		}
		b.settle(take(b, w, 8, 1000))
		confirm := func(id string) {
			t.Helper()
			if n := b.Confirm([]string{id}); n != 1 {
				t.Fatalf("%s: %d were known", id, n)
			}
		}

		confirm("a")
		if queued, sent := b.Counts(); queued != 4 || sent != 4 {
			t.Errorf("%d are queued, %d were sent", queued, sent)
		}
		if err := enqueue("f"); err != nil {
			t.Errorf("there is no room for another byte: %v", err)
		}
		if enqueue("g") == nil {
			t.Error("there is room for more than 5 bytes")
		}

		flushed := make(chan error, 1)
		go func() { flushed <- b.Flush(t.Context()) }()
		synctest.Wait()
		confirm("b")
		confirm("c")
		b.detach(w, false)
		b.Attach(w)
		b.settle(take(b, w, 8, 1000)) // d, e and f
		for _, id := range []string{"d", "e", "f"} {
			synctest.Wait()
			if len(flushed) != 0 {
				t.Errorf("Flush did not wait for %s", id)
			}
			confirm(id)
		}
		synctest.Wait()
		if len(flushed) != 1 {
			t.Fatal("Flush still waits")
		}
		if err := <-flushed; err != nil || b.Unsent() != nil {
			t.Errorf("flush: %v; something is left: %v", err, b.Unsent() != nil)
		}
	})
}

// What the server's confirmations add: accepted, taken, settled and confirmed in
// order, in batches of 64 while a thousand others wait to be confirmed.
func BenchmarkConfirmedOutbox(b *testing.B) {
	box := newTestBox(func(_ wire.Op, data []byte) string { return string(data[:8]) })
	w := &Writer{box: box}
	w.running.Store(again)
	box.Attach(w)
	data := make([]byte, 64)
	id := func(n int) { binary.BigEndian.PutUint64(data, uint64(n)) }
	given, confirmed := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		for range 64 {
			id(given)
			given++
			box.Enqueue(wire.Binary, data)
		}
		box.settle(take(box, w, 64, 1<<20))
		for ; confirmed < given-1000; confirmed++ {
			id(confirmed)
			box.Confirm([]string{string(data[:8])})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/message")
}
