package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/wsnotify/wsnotify/internal/wire"
)

var errNotConnected = errors.New("not connected")

func newTestBox(id func(wire.Op, []byte) string) *Box {
	return New(&Post{
		Config: Config{Messages: -1, Bytes: -1, ConfirmID: id},
		Errors: &Errors{ErrNotConnected: errNotConnected, ErrClosed: errors.New("closed"), ErrOutboxFull: errors.New("full")},
		Tell:   func(f func()) { f() }, Lost: func(error) {}, Written: func(int, int, int) {},
	})
}

// take does what a writer does when it takes messages, and has written them.
func take(b *Box, w *Writer, most, limit int) int {
	w.batch.Lock()
	defer w.batch.Unlock()
	n, _ := b.take(w, most, limit)
	w.batch.Reset()
	return n
}

func itself(_ wire.Op, data []byte) string { return string(data) }

// What is queued after a connection was given up is for the next one.
func TestPartedOutboxGivesNothingMore(t *testing.T) {
	b := newTestBox(nil)
	w := &Writer{box: b}
	w.running.Store(again) // somebody is at it, so that a kick starts nothing
	b.Attach(w)
	b.Part()
	if err := b.Enqueue(wire.Text, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if n := take(b, w, 8, 1000); n != 0 {
		t.Errorf("%d were taken", n)
	}
	if err := b.Send(context.Background(), wire.Text, nil); err != errNotConnected {
		t.Errorf("send: %v", err)
	}
	next := &Writer{box: b}
	next.running.Store(again)
	b.detach(w, false)
	b.Attach(next)
	if n := take(b, w, 8, 1000); n != 0 {
		t.Errorf("the old writer took %d", n)
	}
	if n := take(b, next, 8, 1000); n != 1 {
		t.Errorf("%d were taken", n)
	}
}

func TestNoMemoryIsKeptFromABurst(t *testing.T) {
	b := newTestBox(nil)
	w := &Writer{box: b}
	w.running.Store(again)
	b.Attach(w)
	for range 10_000 {
		b.Enqueue(wire.Binary, make([]byte, 100))
	}
	for n := 0; n < 10_000; {
		taken := take(b, w, 64, 1<<20)
		n += taken
		b.settle(taken)
	}
	for _, m := range []*entries{&b.entries, &b.intake.entries} {
		if m.free != nil || m.slab != nil || m.chunk != nil || b.queued != 0 || b.bytes != 0 {
			t.Errorf("%d entries are kept, chunk %v, %d messages of %d bytes", m.made, m.chunk != nil, b.queued, b.bytes)
		}
	}
}

func TestIdleOutboxHasNothingToWriteOrConfirm(t *testing.T) {
	b := newTestBox(itself)
	w := &Writer{box: b}
	w.running.Store(again)
	b.Attach(w)
	want := func(idle bool) {
		t.Helper()
		if b.Unsent() == nil != idle {
			t.Errorf("idle: %v", !idle)
		}
	}
	want(true)
	b.Enqueue(wire.Text, []byte("a"))
	want(false)
	b.settle(take(b, w, 8, 1000))
	want(false)
	b.Confirm([]string{"a"})
	want(true)
	go b.Send(t.Context(), wire.Text, nil)
	for b.Unsent() == nil {
		runtime.Gosched()
	}
	b.settle(take(b, w, 8, 1000))
	want(true)
}

// Flushes that were given up leave nothing behind, whatever has left in
// between, and those that go on still see what they wait for.
func TestFlushesThatAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(1, 1))
		b := newTestBox(itself)
		type flush struct {
			upTo   int
			cancel context.CancelFunc
			result chan error
		}
		flushes := map[*flush]bool{}
		live := map[int]bool{}
		sent := 0
		for range 5000 {
			switch rnd.IntN(6) {
			case 0, 1:
				live[sent] = true
				b.Enqueue(wire.Text, []byte(fmt.Sprint(sent)))
				sent++
			case 2, 3:
				for i := range live {
					delete(live, i)
					b.Confirm([]string{fmt.Sprint(i)})
					break
				}
			case 4:
				ctx, cancel := context.WithCancel(t.Context())
				f := &flush{sent, cancel, make(chan error, 1)}
				flushes[f] = true
				go func() { f.result <- b.Flush(ctx) }()
			case 5:
				for f := range flushes {
					f.cancel()
					break
				}
			}
			synctest.Wait()
			for f := range flushes {
				waits := false
				for i := range live {
					waits = waits || i < f.upTo
				}
				select {
				case err := <-f.result:
					if (err == nil) == waits {
						t.Fatalf("%v, and there are messages left: %v", err, waits)
					}
					f.cancel()
					delete(flushes, f)
				default:
					if !waits {
						t.Fatal("a Flush waits for nothing")
					}
				}
			}
			if len(b.barriers) > len(flushes) {
				t.Fatalf("%d barriers for %d Flushes", len(b.barriers), len(flushes))
			}
		}
		b.Finish()
		synctest.Wait()
	})
}

// What one message of 64 bytes costs the outbox: accepted, taken and settled,
// in batches of 64.
func BenchmarkOutbox(b *testing.B) {
	box := newTestBox(nil)
	w := &Writer{box: box}
	w.running.Store(again)
	box.Attach(w)
	data := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		for range 64 {
			box.Enqueue(wire.Binary, data)
		}
		box.settle(take(box, w, 64, 1<<20))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/message")
}

// The same while a thousand others wait.
func BenchmarkOutboxWithABacklog(b *testing.B) {
	box := newTestBox(nil)
	w := &Writer{box: box}
	w.running.Store(again)
	data := make([]byte, 64)
	for range 1000 {
		box.Enqueue(wire.Binary, data)
	}
	box.Attach(w)
	b.ReportAllocs()
	for b.Loop() {
		for range 64 {
			box.Enqueue(wire.Binary, data)
		}
		box.settle(take(box, w, 64, 1<<20))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/message")
}
