package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// percentiles fills in P50 and P99.
func percentiles(r *Result, samples []time.Duration) error {
	if len(samples) == 0 {
		return errors.New("nothing was measured")
	}
	slices.Sort(samples)
	r.P50 = float64(samples[len(samples)/2])
	r.P99 = float64(samples[len(samples)*99/100])
	return nil
}

// echo sends a message and waits for it to come back. The handler of what
// comes sends the next: in a peer that is the read loop.
func echo(overTLS bool) func(*measurement) (Result, error) {
	return func(m *measurement) (Result, error) {
		t, err := m.target("/echo", overTLS)
		if err != nil {
			return Result{}, err
		}
		var (
			c       client
			began   time.Time
			until   time.Time
			p       = make([]byte, 64)
			samples = make([]time.Duration, 0, 1<<20)
			done    = make(chan error, 1)
		)
		c, err = m.lib.open(t, &handlers{raw: func([]byte) {
			now := time.Now()
			samples = append(samples, now.Sub(began))
			if now.After(until) {
				done <- nil
				return
			}
			began = now
			if err := c.send(p); err != nil {
				done <- err
			}
		}})
		if err != nil {
			return Result{}, err
		}
		defer c.close()
		volley := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(context.Background(), d+drainTime)
			defer cancel()
			samples = samples[:0]
			began = time.Now()
			until = began.Add(d)
			if err := c.send(p); err != nil {
				return err
			}
			select {
			case err := <-done:
				return err
			case <-ctx.Done():
				return fmt.Errorf("%s with %s: no echo", m.Work, m.Lib)
			}
		}
		if err := volley(m.Time / 5); err != nil {
			return Result{}, err
		}
		mt, err := m.meter()
		if err != nil {
			return Result{}, err
		}
		err = volley(m.Time)
		result := m.finish(mt, func() int64 { return int64(len(samples)) })
		if err != nil {
			return Result{}, err
		}
		return result, percentiles(&result, samples)
	}
}

// maxDials bounds the ports that are left in TIME_WAIT.
const maxDials = 300

// dial opens connections one after another.
func dial(overTLS bool) func(*measurement) (Result, error) {
	return func(m *measurement) (Result, error) {
		var samples []time.Duration
		var result Result
		t, err := m.target("/quiet", overTLS)
		if err != nil {
			return result, err
		}
		t.calls = nil // each library dials by itself
		for until := time.Now().Add(m.Time); time.Now().Before(until) && len(samples) < maxDials; {
			began := time.Now()
			c, err := m.lib.open(t, &handlers{raw: func([]byte) {}})
			if err != nil {
				return result, err
			}
			samples = append(samples, time.Since(began))
			c.close()
		}
		result.Messages = int64(len(samples))
		return result, percentiles(&result, samples)
	}
}

// reconnect has the server drop the connection, again and again. Time starts
// at the server, by the clock that both processes share. Ours comes back by
// itself; a peer's user dials when the read loop has ended.
func reconnect(m *measurement) (Result, error) {
	var (
		c      client
		result Result
		open   = make(chan time.Time, 1)
		failed = make(chan error, 1)
	)
	h := &handlers{raw: func([]byte) {}, opened: func() { open <- time.Now() }}
	t := m.plain("/quiet?id=" + sessionID)
	var connect func()
	if m.Lib != ours {
		h.ended = func() {
			old := c
			connect()
			old.close()
		}
	}
	connect = func() {
		next, err := m.lib.open(t, h)
		if err != nil {
			failed <- err
			return
		}
		now := time.Now()
		c = next
		if m.Lib != ours {
			open <- now
		}
	}
	wait := func() (time.Time, error) {
		select {
		case at := <-open:
			return at, nil
		case err := <-failed:
			return time.Time{}, err
		case <-time.After(drainTime):
			return time.Time{}, fmt.Errorf("%s with %s: it did not come back", m.Work, m.Lib)
		}
	}
	connect()
	if _, err := wait(); err != nil {
		return result, err
	}
	var samples []time.Duration
	for until := time.Now().Add(m.Time); time.Now().Before(until) && len(samples) < maxDials; {
		dropped, err := m.ask("/drop", nil)
		if err != nil {
			return result, err
		}
		at, err := wait()
		if err != nil {
			return result, err
		}
		samples = append(samples, at.Sub(time.Unix(0, dropped)))
	}
	h.ended = nil
	c.close()
	result.Messages = int64(len(samples))
	return result, percentiles(&result, samples)
}
