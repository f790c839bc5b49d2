package wsnotify_test

import (
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
)

// When 2,000 clients come back to a server, the busiest 100 ms see at most
// three times the mean, however long it was away. That is said of the average
// herd, since each is random.
func TestExponentialSpreadsAHerd(t *testing.T) {
	const herds, clients, bucket = 10, 2000, 100 * time.Millisecond
	for _, away := range []time.Duration{time.Second, 3 * time.Second, 5 * time.Second, 10 * time.Second, time.Minute} {
		sum := 0.0
		for range herds {
			buckets := map[time.Duration]int{}
			for range clients {
				b := wsnotify.Exponential(0, 0, -1)()
				b.Reset()
				at := time.Duration(0)
				for at < away {
					at += b.NextBackOff()
				}
				buckets[(at-away)/bucket]++
			}
			var last time.Duration
			busiest := 0
			for at, n := range buckets {
				last, busiest = max(last, at), max(busiest, n)
			}
			sum += float64(busiest) * float64(last+1) / clients
		}
		if ratio := sum / herds; ratio > 3 {
			t.Errorf("away for %v: the busiest %v see %.2f times the mean", away, bucket, ratio)
		}
	}
}

func TestExponentialStaysBelowItsCap(t *testing.T) {
	const max = 10 * time.Second
	firsts := map[time.Duration]bool{}
	for range 200 {
		b := wsnotify.Exponential(500*time.Millisecond, max, -1)()
		b.Reset()
		firsts[b.NextBackOff().Truncate(10*time.Millisecond)] = true
		late := map[time.Duration]bool{}
		for i := range 50 {
			d := b.NextBackOff()
			if d <= 0 || d > max {
				t.Fatalf("the wait %d is %v", i, d)
			}
			if i > 10 {
				late[d] = true
				if d < max/4 {
					t.Fatalf("the late wait %d is %v", i, d)
				}
			}
		}
		if len(late) < 30 {
			t.Fatalf("the jitter does not survive the cap: %v", late)
		}
	}
	if len(firsts) < 20 {
		t.Errorf("the first retry is not spread: %v", firsts)
	}
	for _, retries := range []int{0, 1, 3} {
		b := wsnotify.Exponential(0, 0, retries)()
		b.Reset()
		n := 0
		for b.NextBackOff() != backoff.Stop {
			n++
		}
		if n != retries {
			t.Errorf("%d retries and not %d", n, retries)
		}
	}
}
