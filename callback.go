package wsnotify

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/inbox"
)

// callbackName is what the log calls a callback: a handler by its msgType, any
// other by its name.
type callbackName struct{ callback, msgType string }

var (
	nameOnMessage      = &callbackName{callback: "OnMessage"}
	nameOnNotification = &callbackName{callback: "OnNotification"}
	nameOnStateChange  = &callbackName{callback: "OnStateChange"}
	nameOnOpen         = &callbackName{callback: "OnOpen"}
	nameOnClose        = &callbackName{callback: "OnClose"}
	nameOnReconnecting = &callbackName{callback: "OnReconnecting"}
	nameOnGiveUp       = &callbackName{callback: "OnGiveUp"}
	nameOnError        = &callbackName{callback: "OnError"}
	nameOnUndelivered  = &callbackName{callback: "OnUndelivered"}
	nameOnGap          = &callbackName{callback: "OnGap"}
	nameConfirm        = &callbackName{callback: "Subscriptions.Confirm"}
	nameParse          = &callbackName{callback: "Envelope.Parse"}
	nameLoop           = &callbackName{callback: "the loop over Notifications or Messages"}
)

// callbacks knows which callback runs and since when, and has one that runs for
// long reported from another goroutine.
//
// To read the clock for each message would cost a tenth of its way. So the
// dispatcher reads it for the first callback after it was idle, and for the first
// one after each tick; a tick comes while callbacks run, and only then. What is known of
// a callback between those is when one shortly before it began, less than a tick
// earlier.
type callbacks struct {
	slow   time.Duration                                // that is reported; negative: never
	report func(name *callbackName, took time.Duration) // on a goroutine of a timer

	name  atomic.Pointer[callbackName] // of the one that runs; nil if none does
	since atomic.Int64                 // when it began, as sinceStart
	clock atomic.Bool                  // the next one reads the clock

	mu       sync.Mutex
	timer    *time.Timer // nil while there are no ticks
	reported int64       // since of the last one that was reported: a late one has read the clock
}

// start is when this package's clock began, which has no leaps.
var start = time.Now()

func sinceStart() int64 { return int64(time.Since(start)) }

const longestTick = 500 * time.Millisecond

// tick is how often the running callback is checked: a sixteenth of slow, so that what is
// not known of its beginning does not matter.
func (c *callbacks) tick() time.Duration {
	if c.slow < 0 {
		return longestTick
	}
	return min(max(c.slow/16, time.Millisecond), longestTick)
}

func (c *callbacks) init(slow time.Duration, report func(*callbackName, time.Duration)) {
	c.slow, c.report = slow, report
	c.clock.Store(true)
}

// enter says that a callback begins. The dispatcher calls it, for each. since comes
// before name, so that whoever sees the name sees no older since.
func (c *callbacks) enter(name *callbackName) {
	if c.clock.Load() {
		c.clock.Store(false)
		c.since.Store(sinceStart())
		c.watch()
	}
	if c.name.Load() != name { // a store costs more
		c.name.Store(name)
	}
}

// idle says that none runs, and that the next one may be long after.
func (c *callbacks) idle() {
	c.name.Store(nil)
	c.clock.Store(true)
}

// watch sets the timer of the ticks, unless there is one.
func (c *callbacks) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		c.timer = time.AfterFunc(c.tick(), c.check)
	}
}

// check is a tick.
func (c *callbacks) check() {
	if name, took := c.due(); name != nil {
		c.report(name, took)
	}
}

// due returns the callback that is to be reported, and goes on ticking while one
// runs.
func (c *callbacks) due() (slow *callbackName, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		return nil, 0
	}
	c.timer = nil
	name, since := c.name.Load(), c.since.Load()
	if name == nil {
		// One that begins now finds no timer, and it reads the clock, so it sets one.
		return nil, 0
	}
	c.clock.Store(true)
	took, next := time.Duration(sinceStart()-since), c.tick()
	switch {
	case c.slow < 0:
	case took < c.slow:
		next = min(next, c.slow-took)
	case c.reported != since:
		c.reported, slow = since, name
	}
	c.timer = time.AfterFunc(next, c.check)
	return slow, took
}

// runningSince is when the callback began that runs; zero if none does.
func (c *callbacks) runningSince() time.Time {
	if c.name.Load() == nil {
		return time.Time{}
	}
	since := c.since.Load()
	return time.Now().Add(time.Duration(since - sinceStart()))
}

// stop ends the ticks. A callback that begins later begins them again.
func (c *callbacks) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	c.clock.Store(true)
}

// slowCallback logs a callback that takes long. It runs on a goroutine of a timer,
// since that of the callbacks is the one that is held up.
func (c *Client) slowCallback(name *callbackName, took time.Duration) {
	args := []any{"took", time.Duration(took.Milliseconds()) * time.Millisecond}
	if name.callback != "" {
		args = append(args, "callback", name.callback)
	} else {
		args = append(args, "msgType", line(name.msgType))
	}
	queued, bytes := c.inbox.Held()
	c.log(slog.LevelWarn, "a callback runs for long, and holds up all others", append(args, "inboxQueued", queued, "inboxBytes", bytes)...)
}

// dispatcher is the function at the bottom of each callback's stack.
var dispatcher = runtime.FuncForPC(reflect.ValueOf((*inbox.Queue).Run).Pointer()).Name()

const (
	// loopBody begins the name of the function that runs the bodies of loops.
	loopBody = "github.com/wsnotify/wsnotify.subscribe["
	// subscribeFunc begins the name of the function that runs Subscriptions.Subscribe.
	subscribeFunc = "github.com/wsnotify/wsnotify.(*subscriptions).message."
)

// inCallback reports whether the caller is called by a callback of the client, or by the
// body of a loop over its messages, so that it must not wait for what happens only
// once that has returned. Methods ask right before such a wait, since it walks the stack,
// which takes microseconds. It takes a callback of another client for one of this
// client if both run callbacks.
func (c *Client) inCallback() bool {
	messages, busy := c.inbox.Unhandled()
	return (messages > 0 || busy) && calledBy(dispatcher, loopBody)
}

// inSubscribe reports whether the caller is called by the Subscribe function that
// everything queued waits for.
func (c *Client) inSubscribe() bool {
	return c.subscriptions != nil && c.subscriptions.held.Load() && calledBy(subscribeFunc)
}

// calledBy reports whether a function whose name begins with one of names is on the
// caller's stack.
func calledBy(names ...string) bool {
	var pcs [64]uintptr
	for skip := 3; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		if n == 0 {
			return false
		}
		for frames, more := runtime.CallersFrames(pcs[:n]), true; more; {
			var f runtime.Frame
			f, more = frames.Next()
			for _, name := range names {
				if strings.HasPrefix(f.Function, name) {
					return true
				}
			}
		}
	}
}

// waitsForItself is the error of a method where it would wait for its own caller.
func waitsForItself(method, caller, what string) error {
	return errors.New(prefix + method + " in " + caller + " would wait for " + what + "; call " + method + " on a goroutine of its own")
}

// errQueueWaits is the error of a method that sends, in the Subscribe function of a
// connection that has sent nothing yet.
func errQueueWaits(method string) error {
	return waitsForItself(method, "Subscriptions.Subscribe", "that function: nothing that is queued is sent before it returns")
}

// awaitAnswer waits for what the reader of a connection is to bring. It brings nothing
// while it waits for capacity in the inbox, after stalls was closed; then the error
// is errStalled in a callback, which it waits for.
func awaitAnswer[T any](ctx context.Context, cn *conn, answer <-chan T, stalls <-chan struct{}) (v T, err error) {
	cn.inline.HandOff()
	for {
		select {
		case v = <-answer:
			return v, nil
		case <-cn.ended: // by the reader, so no answer comes after it
			return v, errEndedUnanswered
		case <-cn.gone: // and the reader may never end
			return v, errEndedUnanswered
		case <-ctx.Done():
			return v, ctx.Err()
		case <-stalls:
			if cn.c.inCallback() {
				return v, errStalled
			}
			stalls = nil // the callbacks go on without this goroutine
		}
	}
}

var (
	errEndedUnanswered = errors.New("the connection ended")
	errStalled         = errors.New("the inbox is full, so the answer is not read before this callback returns")
)
