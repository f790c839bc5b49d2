package wsnotify

import "context"

// runContext is the context of the handlers for what one Connect or Run receives.
// The owner adds it with the first connection; the rest happens on the goroutine
// of the callbacks, where a message may still be at hand whose run is over.
type runContext struct {
	context.Context
	run    uint64
	first  uint64      // epoch of the run
	before *runContext // nil once nothing of an earlier run can come
}

// addContext begins the context of a run that has the values of ctx.
func (c *Client) addContext(ctx context.Context, run, epoch uint64) (cancel func()) {
	ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.contexts.Store(&runContext{Context: ctx, run: run, first: epoch, before: c.contexts.Load()})
	return cancel
}

// contextOf returns the context for a message of a connection.
func (c *Client) contextOf(epoch uint64) context.Context {
	rc := c.contexts.Load()
	for rc.before != nil && epoch < rc.first {
		rc = rc.before
	}
	return rc
}

// forgetContexts is called behind the last callback of a run.
func (c *Client) forgetContexts(r *run) {
	for rc := c.contexts.Load(); rc != nil; rc = rc.before {
		if rc.run <= r.number {
			rc.before = nil
			return
		}
	}
}
