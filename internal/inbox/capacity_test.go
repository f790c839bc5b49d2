package inbox

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// The reader takes as much as the limit, and goes on as soon as one message has
// returned from its callbacks.
func TestReaderReservesAfterEachCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 3*BatchSize + 1
		q := &Queue{Limit: Limit{limit, -1}, Dispatch: func(*Item) { time.Sleep(time.Second) }}
		put := func() {
			batch := NewBatch()
			for full := false; !full && q.Reserve(0, batch); {
				full = batch.Add(Item{})
			}
			if q.Enqueue(batch) {
				go q.Run()
			}
		}
		for range 5 {
			put()
		}
		for range 3 {
			if n, _ := q.Unhandled(); n != limit || q.Reserve(0, nil) {
				t.Fatalf("an inbox of %d took %d", limit, n)
			}
			began := time.Now()
			if !q.AwaitCapacity(0, nil) || time.Since(began) != time.Second {
				t.Fatalf("the wait took %v", time.Since(began))
			}
			batch := NewBatch()
			batch.Add(Item{})
			q.Enqueue(batch)
		}
		time.Sleep(time.Hour)
		if left, busy := q.Unhandled(); left != 0 || busy {
			t.Errorf("%d messages are left", left)
		}
	})
}

// A reader that no longer waits leaves nothing that a callback's end would notify.
func TestWaitForCapacityThatIsGivenUp(t *testing.T) {
	q := &Queue{Limit: Limit{1, -1}, Dispatch: func(*Item) {}}
	batch := NewBatch()
	if !q.Reserve(0, batch) {
		t.Fatal("no capacity in an empty inbox")
	}
	batch.Add(Item{})
	q.Enqueue(batch)
	quit := make(chan struct{})
	close(quit)
	if q.AwaitCapacity(0, quit) {
		t.Fatal("capacity in a full inbox")
	}
	if q.freed != nil || q.waiting.Load() {
		t.Error("the reader still waits")
	}
	q.Run()
}

func TestNoCapacityBehindAMessageThatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		q := &Queue{Limit: Limit{1024, 10}, Dispatch: func(*Item) { <-over }}
		batch := NewBatch()
		if !q.Reserve(100, batch) { // alone it fits
			t.Fatal("no capacity in an empty inbox")
		}
		batch.Add(Item{Cost: 100})
		if q.Reserve(1, batch) {
			t.Error("capacity behind a message that is too large")
		}
		q.Enqueue(batch)
		go q.Run()
		quit := make(chan struct{})
		time.AfterFunc(time.Minute, func() { close(quit) })
		if q.AwaitCapacity(1, quit) {
			t.Error("capacity while the callback of a message that is too large runs")
		}
		close(over)
		if !q.AwaitCapacity(1, nil) {
			t.Error("no capacity after that")
		}
	})
}

// A limit larger than what can be counted is what can be counted, and so is none.
func TestLimitIsAtMostWhatCanBeCounted(t *testing.T) {
	for _, limit := range []Limit{{-1, -1}, {math.MaxInt, math.MaxInt}} {
		q := &Queue{Limit: limit, Dispatch: func(*Item) {}}
		batch := NewBatch()
		if !q.Reserve(maxBytes, batch) {
			t.Fatalf("%+v: an empty inbox has no capacity", limit)
		}
		batch.Add(Item{Cost: maxBytes})
		run := q.Enqueue(batch)
		if q.Reserve(1, nil) {
			t.Errorf("%+v: there is capacity for more", limit)
		}
		if n, _ := q.Unhandled(); n != 1 {
			t.Errorf("%+v: %d messages, not 1", limit, n)
		}
		if run {
			q.Run()
		}
		if n, _ := q.Unhandled(); n != 0 || !q.Reserve(1, nil) {
			t.Errorf("%+v: %d messages are left", limit, n)
		}
	}
}
