package inbox

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
)

// Whatever is queued while a callback blocks, and in whatever order, the queue dispatches what a plain
// list would, and counts what waits.
func TestQueueDoesWhatAListDoes(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 53))
		var got, want []string
		handled, past, pastBytes := 0, 0, 0
		q := &Queue{
			Limit:    Limit{-1, -1},
			Dispatch: func(m *Item) { got = append(got, string(m.Data)) },
			Handled:  func(m *Item) { handled += m.Cost },
			Count:    func(messages, bytes int) { past, pastBytes = past+messages, pastBytes+bytes },
		}
		wantHandled, wantPast, wantPastBytes, number := 0, 0, 0, 0
		event := func() func() {
			text := fmt.Sprint("event ", number)
			number++
			want = append(want, text)
			return func() { got = append(got, text) }
		}
		for range 12 {
			got, want = nil, nil
			began, release, over := make(chan bool), make(chan bool), make(chan bool)
			q.BeginAttempt()
			q.NotifyOfAttempt(func() { close(began); <-release })
			<-began                   // so nothing of that series is dropped
			series, inSeries := -1, 0 // where the latest series begins in want
			messages, bytes := 0, 0
			for range 2 * maxInSeries * r.IntN(2) {
				q.NotifyOfAttempt(event())
				inSeries++
			}
			for range r.IntN(150) {
				switch n := r.IntN(20); {
				case n < 14:
					if series >= 0 && inSeries >= maxInSeries {
						inSeries -= len(want) - series
						want = want[:series]
					}
					q.BeginAttempt()
					series = len(want)
					fallthrough
				case n < 15: // events of the series, also behind what has ended it
					most := []int{4, 4, 4, 100}[r.IntN(4)]
					for range r.IntN(most) {
						q.NotifyOfAttempt(event())
						inSeries++
					}
				case n < 16:
					q.Notify(event())
					series = -1
				default:
					batch := NewBatch()
					for full, left := false, 1+r.IntN(BatchSize); !full && left > 0; left-- {
						text := fmt.Sprint("message ", number)
						number++
						want = append(want, text)
						m := Item{Data: []byte(text), Cost: r.IntN(100), PastLimit: r.IntN(5) == 0}
						if m.PastLimit {
							wantPast, wantPastBytes = wantPast+1, wantPastBytes+len(text)
						}
						messages, bytes = messages+1, bytes+m.Cost
						if full = batch.Add(m); full != (batch.n == BatchSize) {
							t.Fatalf("a batch of %d messages is full: %v", batch.n, full)
						}
					}
					if q.Enqueue(batch) {
						t.Fatal("nobody runs callbacks")
					}
					series = -1
				}
				if m, b := q.Held(); m != messages || b != bytes || q.inSeries != inSeries {
					t.Fatalf("seed %d: %d messages of %d bytes and %d events of attempts wait, expected %d, %d and %d",
						seed, m, b, q.inSeries, messages, bytes, inSeries)
				}
			}
			q.Notify(func() { close(over) })
			wantHandled += bytes
			close(release)
			<-over
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: dispatched were %q, expected %q", seed, got, want)
			}
			if m, b := q.Held(); m != 0 || b != 0 || handled != wantHandled || past != wantPast || pastBytes != wantPastBytes {
				t.Fatalf("seed %d: held are %d messages, %d bytes; handled %d bytes, expected %d; %d of %d bytes past the limit, expected %d of %d",
					seed, m, b, handled, wantHandled, past, pastBytes, wantPast, wantPastBytes)
			}
		}
	}
}

// A queue is idle when no callback runs and no loop has a value. Whoever waits for that is notified once.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		idles := 0
		release := make(chan bool)
		q := &Queue{Limit: Limit{-1, -1}, Dispatch: func(*Item) { <-release }}
		q.OnIdle = func() {
			if idles++; !q.running {
				t.Error("it may dispatch again while OnIdle runs")
			}
		}
		want := func(idle bool, begun uint64, messages int, busy bool) {
			t.Helper()
			synctest.Wait()
			changed, n := q.Idle()
			if (changed == nil) != idle || n != begun {
				t.Errorf("idle: %v, begun %d times, expected %d", changed == nil, n, begun)
			}
			if m, b := q.Unhandled(); m != messages || b != busy {
				t.Errorf("%d unhandled, busy: %v; expected %d, %v", m, b, messages, busy)
			}
		}
		wait := func() <-chan struct{} {
			changed, _ := q.Idle()
			if again, _ := q.Idle(); changed != again {
				t.Error("each who waits has a channel of its own")
			}
			return changed
		}
		wantOpen := func(changed <-chan struct{}) {
			t.Helper()
			select {
			case <-changed:
				t.Error("somebody was notified who must wait")
			default:
			}
		}
		want(true, 0, 0, false)
		batch := NewBatch()
		batch.Add(Item{})
		batch.Add(Item{})
		if !q.Enqueue(batch) {
			t.Fatal("somebody else runs callbacks")
		}
		go q.Run()
		want(false, 1, 2, true)
		changed := wait()
		q.Notify(func() {})
		release <- true
		want(false, 1, 1, true)
		q.Loop(+1)
		q.Loop(+1)
		want(false, 1, 2, true) // a message may be in two loops
		wantOpen(changed)
		if idles > 0 {
			t.Error("OnIdle was called while a callback runs")
		}
		release <- true
		want(false, 1, 2, false)
		if <-changed; idles != 1 {
			t.Errorf("%d calls of OnIdle", idles)
		}
		changed = wait()
		q.Loop(-1)
		want(false, 1, 1, false)
		wantOpen(changed)
		q.Loop(-1)
		<-changed
		want(true, 1, 0, false)
		q.Notify(func() {})
		want(true, 2, 0, false)
	})
}

// A callback that ends its goroutine has ended: what it held is released, and what is behind it is dispatched.
func TestCallbackThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		q := &Queue{Limit: Limit{-1, -1}, Handled: func(m *Item) { got = append(got, "handled "+string(m.Data)) }}
		q.Dispatch = func(m *Item) {
			got = append(got, string(m.Data))
			runtime.Goexit()
		}
		batch := NewBatch()
		batch.Add(Item{Data: []byte("a"), Cost: 1})
		batch.Add(Item{Data: []byte("b"), Cost: 1})
		q.Enqueue(batch)
		q.Notify(func() { got = append(got, "event"); runtime.Goexit() })
		go q.Run()
		synctest.Wait()
		if want := []string{"a", "handled a", "b", "handled b", "event"}; !slices.Equal(got, want) {
			t.Errorf("got %q, expected %q", got, want)
		}
		if n, busy := q.Unhandled(); n != 0 || busy {
			t.Errorf("%d are left, busy: %v", n, busy)
		}
	})
}
