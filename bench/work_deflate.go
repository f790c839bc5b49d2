package main

import (
	"fmt"
	"sync/atomic"
	"time"
)

func receiveDeflated(size int, how compression) func(*measurement) (Result, error) {
	return func(m *measurement) (Result, error) {
		if why := m.lib.cant(how); why != "" {
			return Result{Skipped: why}, nil
		}
		var n atomic.Int64
		return receiveFrom(m, fmt.Sprintf("/blast-deflate?id=%s&deflate=1&size=%d", sessionID, size), &n,
			&handlers{deflate: how, raw: func(p []byte) {
				if len(p) == size {
					n.Add(1)
				}
			}})
	}
}

// sendDeflated sends as the works enqueue-… do, or as send-… do.
func sendDeflated(size int, how compression, mode mode) func(*measurement) (Result, error) {
	return func(m *measurement) (Result, error) {
		if why := m.lib.cant(how); why != "" {
			return Result{Skipped: why}, nil
		}
		t, err := m.target(fmt.Sprintf("/inflate?id=%s&deflate=1&size=%d", sessionID, size), false)
		if err != nil {
			return Result{}, err
		}
		c, err := m.lib.open(t, &handlers{deflate: how})
		if err != nil {
			return Result{}, err
		}
		defer c.close()
		messages, next := varied(size), 0
		l := &load{size: size, goroutines: 1, flush: func() error { return nil }}
		call := c.send
		if mode == queued {
			call, l.flush = c.enqueue, c.flush
		}
		l.call = func([]byte) error {
			next++
			return call(messages[next%len(messages)])
		}
		return m.count(l)
	}
}

// cant says why a library has no figures.
func (l library) cant(how compression) string {
	switch {
	case l.name == "gobwas":
		return "it compresses by hand alone"
	case l.name == "gorilla" && how == takeover:
		return "it has no takeover"
	}
	return ""
}

// idleDeflated opens many connections, and has so much sent and received on each
// that all windows are full.
func idleDeflated(connections, window int) func(*measurement) (Result, error) {
	return func(m *measurement) (Result, error) {
		if why := m.lib.cant(takeover); why != "" {
			return Result{Skipped: why}, nil
		}
		if window != 15 && m.lib.name == "coder" {
			return Result{Skipped: "it has one window only"}, nil
		}
		const size = 1000
		count := 80 // messages: more than two windows of them
		if m.smokes() {
			connections, count = connections/50, 3
		}
		if limit := raiseFileLimit(); limit < uint64(connections)+100 {
			return Result{Skipped: fmt.Sprintf("only %d files may be open", limit)}, nil
		}
		messages := varied(size)
		open := func() (client, error) {
			var got atomic.Int64
			c, err := m.lib.open(m.plain(fmt.Sprintf("/inflate?deflate=1&echo=1&size=%d", size)), &handlers{deflate: takeover, window: window, raw: func([]byte) { got.Add(1) }})
			if err != nil {
				return nil, err
			}
			for i := range count {
				if err := c.send(messages[i]); err != nil {
					return nil, err
				}
			}
			for end := time.Now().Add(drainTime); got.Load() < int64(count); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					return nil, fmt.Errorf("%s with %s: %d of %d messages came back", m.Work, m.Lib, got.Load(), count)
				}
			}
			return c, nil
		}
		first, err := open()
		if err != nil {
			return Result{}, err
		}
		defer first.close()
		before := footprint()
		if err := openMany(connections, open); err != nil {
			return Result{}, err
		}
		time.Sleep(m.Time)
		after := footprint()
		if err := m.heapProfile(); err != nil {
			return Result{}, err
		}
		return perConnection(before, after, connections), nil
	}
}
