package wsnotify

import (
	"context"
	"fmt"
	"time"
)

// Limiter says when the next message, or the next dial, may begin. The Limiter
// of golang.org/x/time/rate is one. Several clients may share one.
type Limiter interface {
	// Wait returns nil when one more may begin, or an error when ctx has ended.
	// It is called on a goroutine of the client, which has no deadline for it.
	Wait(ctx context.Context) error
}

// limiterRetry is how long after an error a Limiter is asked again.
const limiterRetry = time.Second

// awaitDial waits for Config.DialLimiter, in the state Closed. It returns false
// when the run is to end.
func (r *run) awaitDial() bool {
	limiter := r.c.cfg.DialLimiter
	for limiter != nil && !r.stopping() {
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
		err := errGoexit
		answered := r.ask(func() { err = limiter.Wait(ctx) })
		cancel()
		if !answered {
			return false
		}
		if err == nil {
			break
		}
		r.c.report(limiterError("DialLimiter", err))
		r.pause(limiterRetry)
	}
	return !r.stopping()
}

// limiterError is what a Limiter returned that was not the end of its ctx.
func limiterError(field string, err error) error {
	return fmt.Errorf("wsnotify: Config.%s.Wait failed, and is called again in %v: %w", field, limiterRetry, unprefixed(err))
}

// pause waits, unless the run is to end.
func (r *run) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.stop:
	case <-r.ctxDone:
	case <-r.drain:
	}
}
