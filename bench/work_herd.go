package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

const (
	herdSize   = 2000
	herdDown   = 5 * time.Second
	herdBucket = 100 * time.Millisecond
)

// herdWork has many clients lose one server at once and come back to it, and
// looks at how that is spread.
func herdWork(m *measurement) (Result, error) {
	size, down := herdSize, herdDown
	if m.smokes() {
		size, down = 50, 10*m.Time
	}
	if limit := raiseFileLimit(); limit < uint64(size)+100 {
		return Result{Skipped: fmt.Sprintf("only %d files may be open", limit)}, nil
	}
	err := openMany(size, func() (client, error) { return openHerd("ws://" + m.Endpoints.Herd) })
	if err != nil {
		return Result{}, err
	}
	handshakes, err := comeBack(m, size, down)
	if err != nil {
		return Result{}, err
	}
	buckets := histogram(handshakes)
	mean := float64(size) / float64(len(buckets))
	return Result{
		Messages:   int64(size),
		Peak:       float64(slices.Max(buckets)) / mean,
		Handshakes: handshakes,
	}, nil
}

// comeBack takes the server away for so long and returns when each client had
// its handshake, from the server's return on.
func comeBack(m *measurement, size int, down time.Duration) ([]time.Duration, error) {
	body, err := m.command("/herd/restart", url.Values{"down": {down.String()}})
	if err != nil {
		return nil, err
	}
	body.Close()
	for deadline := time.Now().Add(down + 30*time.Second); time.Now().Before(deadline); time.Sleep(herdBucket) {
		body, err := m.command("/herd/handshakes", nil)
		if err != nil {
			return nil, err
		}
		var report herdReport
		err = json.NewDecoder(body).Decode(&report)
		body.Close()
		if err != nil {
			return nil, err
		}
		if report.Back && len(report.Handshakes) >= size && report.Open == size {
			return report.Handshakes, nil
		}
	}
	return nil, errors.New("the herd did not come back in time")
}

// histogram counts handshakes in buckets, from the server's return to the
// last.
func histogram(handshakes []time.Duration) []int {
	buckets := make([]int, slices.Max(handshakes)/herdBucket+1)
	for _, at := range handshakes {
		buckets[at/herdBucket]++
	}
	return buckets
}
