package inbox

import (
	"sync/atomic"
	"time"
)

// InlineDispatch lets the goroutine that reads run callbacks itself while they are
// brief, and read on afterwards: no other goroutine has to wake up, and a large
// message is still in the cache of the core that read it. But a callback may block,
// and a connection must be read all the same. So a timer hands reading off to another
// goroutine when the callbacks take longer than inlineLimit; the first goroutine then
// only finishes its callbacks.
//
// An InlineDispatch that is not used costs no timer.
type InlineDispatch struct {
	ReadOn func() // reads on, on the goroutine that it is called on

	state atomic.Uint64 // counts up; odd while the reader runs callbacks and reading may be handed off

	watched atomic.Bool
	timer   atomic.Pointer[time.Timer] // set by the first Run
	seen    uint64                     // state at the timer's last check; the timer's own
}

// inlineLimit is how often the timer checks: callbacks may hold up reading for twice
// as long.
const inlineLimit = 10 * time.Millisecond

// Run has q dispatch what it holds, and reports whether the caller still reads. If a
// callback ends the goroutine, another one reads on.
func (d *InlineDispatch) Run(q *Queue) (reads bool) {
	began := d.state.Add(1)
	if !d.watched.Load() && d.watched.CompareAndSwap(false, true) {
		d.check()
	}
	returned := false
	defer func() {
		if !returned {
			d.handOff(began)
		}
	}()
	q.Run()
	returned = true
	return d.state.CompareAndSwap(began, began+1)
}

// HandOff has another goroutine read on if the reader runs callbacks. Whoever is about
// to wait for something that has to be read calls it.
func (d *InlineDispatch) HandOff() {
	if began := d.state.Load(); began%2 == 1 {
		d.handOff(began)
	}
}

func (d *InlineDispatch) handOff(began uint64) {
	if d.state.CompareAndSwap(began, began+1) {
		go d.ReadOn()
	}
}

// check is called by the timer for as long as callbacks are dispatched inline.
func (d *InlineDispatch) check() {
	now, timer := d.state.Load(), d.timer.Load()
	switch {
	case timer == nil:
		timer = time.AfterFunc(time.Hour, d.check)
		d.timer.Store(timer)
	case now != d.seen:
	case now%2 == 1:
		d.handOff(now)
	default:
		d.watched.Store(false)
		// A Run that began meanwhile may have seen that it is watched.
		if d.state.Load() == now || !d.watched.CompareAndSwap(false, true) {
			return
		}
	}
	d.seen = now
	timer.Reset(inlineLimit)
}

// Stop ends the timer, which would end by itself a little later. Run is not called
// again.
func (d *InlineDispatch) Stop() {
	if timer := d.timer.Load(); timer != nil {
		timer.Stop()
	}
}
