package main

import (
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// mode is how a message is sent.
type mode int

const (
	waiting   mode = 0
	queued    mode = 1
	encrypted mode = 2
)

// send has goroutines send messages of a size for the time of a measurement.
// The server has to count as many as were sent.
func send(size, goroutines int, how mode) func(*measurement) (Result, error) {
	return func(m *measurement) (Result, error) {
		t, err := m.target(fmt.Sprintf("/sink?id=%s&size=%d", sessionID, size), how&encrypted != 0)
		if err != nil {
			return Result{}, err
		}
		c, err := m.lib.open(t, &handlers{})
		if err != nil {
			return Result{}, err
		}
		defer c.close()
		l := &load{size: size, goroutines: goroutines, call: c.send, flush: func() error { return nil }}
		if how&queued != 0 {
			l.call, l.flush = c.enqueue, c.flush
		}
		return m.count(l)
	}
}

// count measures a load, and compares what was sent with what has arrived.
func (m *measurement) count(l *load) (Result, error) {
	warm, err := l.run(m.Time / 5)
	if err != nil {
		return Result{}, err
	}
	mt, err := m.meter()
	if err != nil {
		return Result{}, err
	}
	sent, err := l.run(m.Time)
	result := m.finish(mt, func() int64 { return sent })
	if err != nil {
		return Result{}, err
	}
	want := warm + sent
	got, err := m.ask("/counted", url.Values{"want": {strconv.FormatInt(want, 10)}})
	if err == nil && got != want {
		err = fmt.Errorf("%s with %s: the server counted %d of %d messages", m.Work, m.Lib, got, want)
	}
	return result, err
}

// load is goroutines that make the same call over and over.
type load struct {
	size       int
	goroutines int
	call       func([]byte) error
	flush      func() error
}

// run returns how many calls were made in the time, the flush included.
func (l *load) run(d time.Duration) (calls int64, err error) {
	var (
		wg    sync.WaitGroup
		stop  atomic.Bool
		total atomic.Int64
		fail  atomic.Pointer[error]
	)
	for range l.goroutines {
		wg.Go(func() {
			p := make([]byte, l.size)
			n := int64(0)
			for !stop.Load() {
				if err := l.call(p); err != nil {
					failed := err // err itself would be allocated for every message
					fail.Store(&failed)
					break
				}
				n++
			}
			total.Add(n)
		})
	}
	time.AfterFunc(d, func() { stop.Store(true) })
	wg.Wait()
	if err := fail.Load(); err != nil {
		return total.Load(), *err
	}
	return total.Load(), l.flush()
}
