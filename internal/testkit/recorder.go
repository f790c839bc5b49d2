package testkit

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// Recorder is a TB that records errors instead of failing its test. Fatalf does not end
// the goroutine.
type Recorder struct {
	testing.TB
	mu       sync.Mutex
	cleanups []func()
	errs     []string
}

func (r *Recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *Recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, fmt.Sprintf(format, args...))
}

func (r *Recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...) }

// Len returns how many errors there are so far.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.errs)
}

// End calls what Cleanup got, the latest first, and returns the errors. A later End
// returns those that came since, too.
func (r *Recorder) End() []string {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	r.cleanups = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.errs
}
