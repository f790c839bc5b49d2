package wsnotifytest

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// Run is for programs and examples, which have no *testing.T: it calls f with a TB on a goroutine of
// its own, then what f has registered with Cleanup, and returns what was reported, joined; nil means
// that f has passed. There is no virtual time in it: that takes a test and testing/synctest.
func Run(f func(t TB)) error {
	r := new(run)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.cleanUp()
		f(r)
	}()
	<-done
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.errs...)
}

type run struct {
	mu       sync.Mutex
	cleanups []func()
	errs     []error
}

func (r *run) Helper() {}

func (r *run) Logf(string, ...any) {}

func (r *run) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *run) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// Fatalf ends the calling goroutine, as that of a test does, and has to be called from that of f.
func (r *run) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// cleanUp calls the cleanups, the last first, those that they register too, and whatever one does.
func (r *run) cleanUp() {
	r.mu.Lock()
	last := len(r.cleanups) - 1
	if last < 0 {
		r.mu.Unlock()
		return
	}
	f := r.cleanups[last]
	r.cleanups = slices.Delete(r.cleanups, last, last+1)
	r.mu.Unlock()
	defer r.cleanUp()
	f()
}
