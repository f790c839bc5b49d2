package inbox

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// turning is a Turn whose reader reads on when it says so.
func turning(dispatch func()) (t *Turn, q *Queue, readOn chan time.Time) {
	readOn = make(chan time.Time, 8)
	t = &Turn{ReadOn: func() { readOn <- time.Now() }}
	q = &Queue{Limit: Limit{-1, -1}, Dispatch: func(*Item) { dispatch() }}
	return t, q, readOn
}

// take runs the callbacks of one message in a turn.
func take(test *testing.T, t *Turn, q *Queue) (mine bool) {
	batch := NewBatch()
	batch.Add(Item{Op: wire.Text})
	q.Take(0, nil)
	if !q.Put(batch) {
		test.Fatal("somebody else runs callbacks")
	}
	return t.Run(q)
}

func TestBriefTurnsKeepTheReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn, q, readOn := turning(func() { time.Sleep(patience / 4) })
		for range 100 {
			if !take(t, turn, q) {
				t.Fatal("the reading was lost")
			}
			time.Sleep(patience / 8)
		}
		time.Sleep(time.Hour)
		if len(readOn) > 0 {
			t.Error("another goroutine reads on, too")
		}
	})
}

// A callback that waits loses its goroutine the reading, and within a bound.
func TestLongTurnLosesTheReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := patience / 2
		turn, q, readOn := turning(func() { time.Sleep(wait) })
		for range 5 { // the watch is anywhere in its interval
			take(t, turn, q)
			time.Sleep(patience / 5)
		}
		wait = time.Minute
		began := time.Now()
		if take(t, turn, q) {
			t.Error("the reading was not lost")
		}
		if took := (<-readOn).Sub(began); took < patience || took > 2*patience {
			t.Errorf("another goroutine read on after %v", took)
		}
		wait = 0
		if !take(t, turn, q) {
			t.Error("the next turn lost the reading")
		}
		time.Sleep(time.Minute)
		if len(readOn) > 0 {
			t.Error("two others read on")
		}
	})
}

func TestRelieve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn *Turn
		turn, q, readOn := turning(func() {
			turn.Relieve()
			turn.Relieve()
		})
		turn.Relieve() // nobody is in a turn
		if take(t, turn, q) {
			t.Error("the reading was not lost")
		}
		time.Sleep(time.Minute)
		if len(readOn) != 1 {
			t.Errorf("%d others read on, not 1", len(readOn))
		}
	})
}

// What is behind a callback that ends the goroutine is told, and read.
func TestTurnThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn, q, readOn := turning(runtime.Goexit)
		told := false
		go func() {
			q.Dispatch = func(*Item) {
				q.Tell(func() { told = true })
				runtime.Goexit()
			}
			take(t, turn, q)
		}()
		<-readOn
		synctest.Wait()
		if !told || len(readOn) > 0 {
			t.Errorf("told %v, %d more read on", told, len(readOn))
		}
	})
}

// The end of the watch and the beginning of a turn may come together.
func TestTurnAsItsWatchEnds(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			turn, q, readOn := turning(func() {})
			for i := range 40 {
				if !take(t, turn, q) {
					t.Fatal("a turn that took no time lost the reading")
				}
				time.Sleep(time.Duration(i%7) * patience)
			}
			block := make(chan struct{})
			q.Dispatch = func(*Item) { <-block }
			ended := make(chan bool)
			go func() { ended <- take(t, turn, q) }()
			<-readOn // or the test deadlocks
			close(block)
			if <-ended {
				t.Error("two goroutines read")
			}
			turn.Stop()
		})
	}
}
