package testkit

import (
	"testing"
	"time"
)

// Took runs f and checks how much virtual time went by.
func Took(t testing.TB, want time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if got := time.Since(start); got != want {
		t.Errorf("it took %v and not %v", got, want)
	}
}
