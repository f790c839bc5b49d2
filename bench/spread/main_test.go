package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
)

// Whatever the outage, the busiest moment of a herd sees less than three times
// the mean, and all are back within the longest wait.
func TestExponentialSpreads(t *testing.T) {
	p := policy{"exponential", wsnotify.Exponential(500*time.Millisecond, 10*time.Second, -1)}
	for _, away := range []time.Duration{5 * time.Second, time.Minute} {
		s := p.spread(20_000, away)
		if s.peak() > 3 || len(s.buckets) > 100 || s.back != 20_000 || s.gaveUp != 0 {
			t.Errorf("away for %v: the busiest 100 ms %.2f times the mean, %d buckets, %d back", away, s.peak(), len(s.buckets), s.back)
		}
	}
}

func TestAConstantWaitSpreadsNothing(t *testing.T) {
	p := policy{"constant", func() wsnotify.BackOff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 3) }}
	if s := p.spread(10, 2500*time.Millisecond); s.back != 10 || s.buckets[5] != 10 {
		t.Errorf("%+v", s)
	}
	s := p.spread(10, time.Minute)
	if s.gaveUp != 10 || !strings.Contains(s.row(10), "all") {
		t.Errorf("%+v", s)
	}
	if svg := string(draw([]spread{s})); !strings.Contains(svg, "10 gave up") {
		t.Error(svg)
	}
}
