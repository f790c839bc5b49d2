package inbox

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// The reader takes as much as the bound, and goes on as soon as one message has
// returned from its callbacks.
func TestRoomForOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 3*BatchSize + 1
		q := &Queue{Limit: Limit{limit, -1}, Dispatch: func(*Item) { time.Sleep(time.Second) }}
		put := func() {
			batch := NewBatch()
			for full := false; !full && q.Take(0, batch); {
				full = batch.Add(Item{})
			}
			if q.Put(batch) {
				go q.Run()
			}
		}
		for range 5 {
			put()
		}
		for range 3 {
			if n, _ := q.Unhandled(); n != limit || q.Take(0, nil) {
				t.Fatalf("an inbox of %d took %d", limit, n)
			}
			began := time.Now()
			if !q.Wait(0, nil) || time.Since(began) != time.Second {
				t.Fatalf("the wait took %v", time.Since(began))
			}
			batch := NewBatch()
			batch.Add(Item{})
			q.Put(batch)
		}
		time.Sleep(time.Hour)
		if left, busy := q.Unhandled(); left != 0 || busy {
			t.Errorf("%d messages are left", left)
		}
	})
}

func TestNoRoomBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		q := &Queue{Limit: Limit{1024, 10}, Dispatch: func(*Item) { <-over }}
		batch := NewBatch()
		if !q.Take(100, batch) { // alone it fits
			t.Fatal("no room in an empty inbox")
		}
		batch.Add(Item{Cost: 100})
		if q.Take(1, batch) {
			t.Error("room behind a message that is too large")
		}
		q.Put(batch)
		go q.Run()
		quit := make(chan struct{})
		time.AfterFunc(time.Minute, func() { close(quit) })
		if q.Wait(1, quit) {
			t.Error("room while the callback of a message that is too large runs")
		}
		close(over)
		if !q.Wait(1, nil) {
			t.Error("no room after that")
		}
	})
}

// A bound larger than what can be counted is what can be counted, and so is none.
func TestBoundOfWhatIsCounted(t *testing.T) {
	for _, limit := range []Limit{{-1, -1}, {math.MaxInt, math.MaxInt}} {
		q := &Queue{Limit: limit, Dispatch: func(*Item) {}}
		batch := NewBatch()
		if !q.Take(maxBytes, batch) {
			t.Fatalf("%+v: an empty inbox has no room", limit)
		}
		batch.Add(Item{Cost: maxBytes})
		mine := q.Put(batch)
		if q.Take(1, nil) {
			t.Errorf("%+v: there is room for more", limit)
		}
		if n, _ := q.Unhandled(); n != 1 {
			t.Errorf("%+v: %d messages, not 1", limit, n)
		}
		if mine {
			q.Run()
		}
		if n, _ := q.Unhandled(); n != 0 || !q.Take(1, nil) {
			t.Errorf("%+v: %d messages are left", limit, n)
		}
	}
}
