package outbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// The intake holds nothing back from whoever looks, and lets nothing past the
// bounds.
func TestIntakeIsPartOfTheOutbox(t *testing.T) {
	b := newTestBox(nil)
	b.most, b.mostBytes = 3, 100
	enqueue := func(size int, want error) {
		t.Helper()
		if err := b.Enqueue(wire.Binary, make([]byte, size)); err != want {
			t.Errorf("Enqueue of %d bytes: %v, expected %v", size, err, want)
		}
	}
	enqueue(10, nil) // opens it
	enqueue(80, nil)
	enqueue(11, b.post.ErrOutboxFull)
	enqueue(10, nil)
	enqueue(0, b.post.ErrOutboxFull)
	if queued, _ := b.Counts(); queued != 3 || b.bytes != 100 {
		t.Errorf("%d messages of %d bytes", queued, b.bytes)
	}
	if b.Unsent() == nil {
		t.Error("nothing is to be sent")
	}
	w := &Writer{box: b}
	w.running.Store(again)
	b.Attach(w)
	b.settle(take(b, w, 2, 1000))
	enqueue(91, b.post.ErrOutboxFull)
	enqueue(90, nil)
	b.Refuse()
	enqueue(0, b.post.ErrClosed)
	b.settle(take(b, w, 8, 1000))
	if queued, _ := b.Counts(); queued != 0 || b.Unsent() != nil {
		t.Errorf("%d messages are left", queued)
	}
}

// An outbox that is never empty makes no more entries than it needs, and keeps
// nothing of what has left it.
func TestEntriesAreUsedAgain(t *testing.T) {
	for name, id := range map[string]func(wire.Op, []byte) string{"plain": nil, "confirmed": itself} {
		t.Run(name, func(t *testing.T) {
			const most = 1000
			b := newTestBox(id)
			w := &Writer{box: b}
			w.running.Store(again)
			b.Attach(w)
			rnd := rand.New(rand.NewPCG(5, 6))
			given, left := 0, 0
			for range 300 {
				for n := rnd.IntN(most - left); n > 0; n-- {
					b.Enqueue(wire.Binary, fmt.Append(nil, given))
					given++
					left++
				}
				if id != nil && rnd.IntN(10) == 0 {
					b.Confirm([]string{"unknown"})
				}
				n := take(b, w, left-1, 1<<30)
				b.settle(n)
				if left -= n; id != nil {
					for first := given - left - n; n > 0; n-- {
						b.Confirm([]string{fmt.Sprint(first)})
						first++
					}
				}
			}
			if made := b.entries.made + b.intake.entries.made; made > 2*most {
				t.Errorf("%d entries for at most %d messages", made, most)
			}
			free := 0
			for _, s := range []*entries{&b.entries, &b.intake.entries} {
				kept := 0
				for e := s.free; e != nil; e = e.next {
					if free++; cap(e.data) > 0 {
						kept++
					}
					if e.receipt != nil && e.receipt.id != "" || e.awaits || e.chunk != nil {
						t.Fatalf("an entry that is not in use still holds %q", e.receipt.id)
					}
				}
				if kept != s.kept || kept > maxKept {
					t.Errorf("%d entries keep their memory; %d are counted", kept, s.kept)
				}
			}
			if free == 0 {
				t.Error("no entry is free")
			}
		})
	}
}

// Empty messages take no memory that others share: that would never be full.
func TestEmptyMessagesShareNoMemory(t *testing.T) {
	b := newTestBox(nil)
	for range 100 {
		b.Enqueue(wire.Text, nil)
	}
	if b.Counts(); b.entries.chunk != nil || b.intake.entries.chunk != nil {
		t.Error("an empty message has a part of a chunk")
	}
}

// Whatever goes on at the same time, each producer's messages leave once and in
// their order, and there are never more than the bound.
func TestIntakeWhileOthersAreAtTheOutbox(t *testing.T) {
	for name, id := range map[string]func(wire.Op, []byte) string{"plain": nil, "confirmed": itself} {
		t.Run(name, func(t *testing.T) {
			const producers, each, most = 4, 2000, 50
			b := newTestBox(id)
			b.most = most
			written := make(chan string, most)
			left := make([]int, producers) // the next message of each that is to be written
			write := func(e *entry) {
				var producer, n int
				if fmt.Sscan(string(e.data), &producer, &n); n == left[producer] {
					left[producer]++
				} else if n > left[producer] || id == nil {
					t.Errorf("message %s came when %d was next", e.data, left[producer])
				}
				if id != nil && !e.gone {
					select {
					case written <- string(e.data):
					default: // it is sent again
					}
				}
			}
			var all, others sync.WaitGroup
			over := make(chan struct{})
			for producer := range producers {
				all.Go(func() {
					for n := 0; n < each; {
						switch b.Enqueue(wire.Text, fmt.Append(nil, producer, n)) {
						case nil:
							n++
						case b.post.ErrOutboxFull:
							runtime.Gosched()
						}
						if n%500 == 0 {
							ctx, cancel := context.WithTimeout(context.Background(), time.Microsecond)
							b.Flush(ctx)
							cancel()
						}
					}
				})
			}
			others.Go(func() { // the writers of one connection after another
				var w *Writer
				for n := 0; ; n++ {
					if n%100 == 0 {
						if w != nil {
							b.detach(w, false)
						}
						w = &Writer{box: b}
						w.running.Store(again)
						b.Attach(w)
					}
					taken := take(b, w, 1+n%20, 1000)
					b.mu.Lock()
					e := b.queue.first
					for range taken {
						write(e)
						e = e.next
					}
					b.mu.Unlock()
					b.settle(taken)
					if queued, _ := b.Counts(); queued > most {
						t.Errorf("%d messages in an outbox of %d", queued, most)
					}
					select {
					case <-over:
						return
					default:
						runtime.Gosched()
					}
				}
			})
			others.Go(func() {
				for {
					select {
					case m := <-written:
						if n := b.Confirm([]string{m, "unknown"}); n > 1 {
							t.Errorf("%d messages were confirmed at once by %s", n, m)
						}
					case <-over:
						return
					}
				}
			})
			all.Wait()
			if err := b.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			close(over)
			others.Wait()
			if got := strings.Trim(fmt.Sprint(left), "[]"); got != strings.TrimSpace(strings.Repeat(fmt.Sprint(each)+" ", producers)) {
				t.Errorf("of each producer were written %s, expected %d", got, each)
			}
		})
	}
}
