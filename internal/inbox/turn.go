package inbox

import (
	"sync/atomic"
	"time"
)

// Turn lets the goroutine that reads run callbacks itself while they are brief,
// and read on then: no other goroutine has to wake up, and a large message is
// still in the cache of the core that has read it. But a callback may block,
// and a connection must be read all the same. So there is a watch, which has
// another goroutine read on when a turn takes longer than patience; then the
// first one only ends what it is at.
//
// A Turn that is not used costs no timer.
type Turn struct {
	ReadOn func() // reads on, on the goroutine that it is called on

	state atomic.Uint64 // counts up; odd while the reader is in a turn, and may lose the reading

	watched atomic.Bool
	watch   atomic.Pointer[time.Timer] // set by the first turn
	seen    uint64                     // state, when the watch last looked; its own
}

// patience is how often the watch looks: a turn may last for twice as long.
const patience = 10 * time.Millisecond

// Run has q dispatch what it holds, and reports whether it is still the caller
// who reads. If a callback ends the goroutine, another one reads on.
func (t *Turn) Run(q *Queue) (mine bool) {
	turn := t.state.Add(1)
	if !t.watched.Load() && t.watched.CompareAndSwap(false, true) {
		t.look()
	}
	returned := false
	defer func() {
		if !returned {
			t.relieve(turn)
		}
	}()
	q.Run()
	returned = true
	return t.state.CompareAndSwap(turn, turn+1)
}

// Relieve has another goroutine read on if the reader is in a turn. Whoever is
// about to wait for something that has to be read calls it.
func (t *Turn) Relieve() {
	if turn := t.state.Load(); turn%2 == 1 {
		t.relieve(turn)
	}
}

func (t *Turn) relieve(turn uint64) {
	if t.state.CompareAndSwap(turn, turn+1) {
		go t.ReadOn()
	}
}

// look is called by the watch for as long as there are turns.
func (t *Turn) look() {
	now, watch := t.state.Load(), t.watch.Load()
	switch {
	case watch == nil:
		watch = time.AfterFunc(time.Hour, t.look)
		t.watch.Store(watch)
	case now != t.seen:
	case now%2 == 1:
		t.relieve(now)
	default:
		t.watched.Store(false)
		// A turn that began meanwhile may have seen that it is watched.
		if t.state.Load() == now || !t.watched.CompareAndSwap(false, true) {
			return
		}
	}
	t.seen = now
	watch.Reset(patience)
}

// Stop ends the watch, which would end by itself a little later. There are no
// more turns.
func (t *Turn) Stop() {
	if watch := t.watch.Load(); watch != nil {
		watch.Stop()
	}
}
