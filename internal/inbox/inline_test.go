package inbox

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// newInline returns an InlineDispatch that reports in readOn when another goroutine reads on.
func newInline(dispatch func()) (d *InlineDispatch, q *Queue, readOn chan time.Time) {
	readOn = make(chan time.Time, 8)
	d = &InlineDispatch{ReadOn: func() { readOn <- time.Now() }}
	q = &Queue{Limit: Limit{-1, -1}, Dispatch: func(*Item) { dispatch() }}
	return d, q, readOn
}

// dispatchOne runs the callbacks of one message inline.
func dispatchOne(test *testing.T, d *InlineDispatch, q *Queue) (reads bool) {
	batch := NewBatch()
	batch.Add(Item{Op: wire.Text})
	q.Reserve(0, nil)
	if !q.Enqueue(batch) {
		test.Fatal("somebody else runs callbacks")
	}
	return d.Run(q)
}

func TestBriefCallbacksKeepReadingInline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inline, q, readOn := newInline(func() { time.Sleep(inlineLimit / 4) })
		for range 100 {
			if !dispatchOne(t, inline, q) {
				t.Fatal("reading was handed off")
			}
			time.Sleep(inlineLimit / 8)
		}
		time.Sleep(time.Hour)
		if len(readOn) > 0 {
			t.Error("another goroutine reads on, too")
		}
	})
}

// A callback that waits makes its goroutine hand reading off, within a limit.
func TestInlineDispatchHandsOffReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := inlineLimit / 2
		inline, q, readOn := newInline(func() { time.Sleep(wait) })
		for range 5 { // the timer is anywhere in its interval
			dispatchOne(t, inline, q)
			time.Sleep(inlineLimit / 5)
		}
		wait = time.Minute
		began := time.Now()
		if dispatchOne(t, inline, q) {
			t.Error("reading was not handed off")
		}
		if took := (<-readOn).Sub(began); took < inlineLimit || took > 2*inlineLimit {
			t.Errorf("another goroutine read on after %v", took)
		}
		wait = 0
		if !dispatchOne(t, inline, q) {
			t.Error("the next dispatch handed reading off")
		}
		time.Sleep(time.Minute)
		if len(readOn) > 0 {
			t.Error("two others read on")
		}
	})
}

// A connection that ends while a callback blocks has nothing that another goroutine could read.
func TestStoppedInlineDispatchHandsNothingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		inline, q, readOn := newInline(func() { <-release })
		batch := NewBatch()
		batch.Add(Item{Op: wire.Text})
		q.Reserve(0, nil)
		if !q.Enqueue(batch) {
			t.Fatal("somebody else runs callbacks")
		}
		go inline.Run(q)
		synctest.Wait()
		inline.Stop()
		time.Sleep(time.Minute)
		if len(readOn) > 0 {
			t.Error("another goroutine reads on")
		}
		close(release)
		synctest.Wait()
		new(InlineDispatch).Stop() // which has no timer
	})
}

func TestHandOffHappensOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inline *InlineDispatch
		inline, q, readOn := newInline(func() {
			inline.HandOff()
			inline.HandOff()
		})
		inline.HandOff() // nobody runs callbacks
		if dispatchOne(t, inline, q) {
			t.Error("reading was not handed off")
		}
		time.Sleep(time.Minute)
		if len(readOn) != 1 {
			t.Errorf("%d others read on, not 1", len(readOn))
		}
	})
}

// What is behind a callback that ends the goroutine is dispatched, and reading goes on.
func TestInlineCallbackThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inline, q, readOn := newInline(runtime.Goexit)
		notified := false
		go func() {
			q.Dispatch = func(*Item) {
				q.Notify(func() { notified = true })
				runtime.Goexit()
			}
			dispatchOne(t, inline, q)
		}()
		began := time.Now()
		if took := (<-readOn).Sub(began); took != 0 {
			t.Errorf("another goroutine read on after %v", took)
		}
		synctest.Wait()
		if !notified || len(readOn) > 0 {
			t.Errorf("notified %v, %d more read on", notified, len(readOn))
		}
	})
}

// The timer may end just as a dispatch begins.
func TestInlineDispatchAsItsTimerEnds(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			inline, q, readOn := newInline(func() {})
			for i := range 40 {
				if !dispatchOne(t, inline, q) {
					t.Fatal("a dispatch that took no time handed reading off")
				}
				time.Sleep(time.Duration(i%7) * inlineLimit)
			}
			block := make(chan struct{})
			q.Dispatch = func(*Item) { <-block }
			ended := make(chan bool)
			go func() { ended <- dispatchOne(t, inline, q) }()
			<-readOn // or the test deadlocks
			close(block)
			if <-ended {
				t.Error("two goroutines read")
			}
			inline.Stop()
		})
	}
}
