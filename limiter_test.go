package wsnotify_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
)

// oneEach lets one pass in each interval, as a rate.Limiter with a burst of 1.
type oneEach struct {
	interval time.Duration

	mu   sync.Mutex
	next time.Time
	fail error // of the next Wait
	asks int
}

func (e *oneEach) Wait(ctx context.Context) error {
	e.mu.Lock()
	e.asks++
	if err := e.fail; err != nil {
		e.fail = nil
		e.mu.Unlock()
		return err
	}
	now := time.Now()
	at := e.next
	if at.Before(now) {
		at = now
	}
	e.next = at.Add(e.interval)
	e.mu.Unlock()
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Clients that share a DialLimiter dial one after another, each in the state
// Closed until then.
func TestDialLimiterIsShared(t *testing.T) {
	limiter := &oneEach{interval: 5 * time.Second}
	var w *world
	cfg := wsnotify.Config{Heartbeat: quiet, DialLimiter: limiter, DialTimeout: time.Second}
	cfg.BeforeDial = func(context.Context, *wsnotify.DialRequest) error { w.note("dial"); return nil }
	inBubble(t, cfg, func(world *world) {
		w = world
		w.must(w.c.Connect(w.Context(), w.srv.URL(), "ada"))
		other := wsnotify.New(wsnotify.Config{HTTPClient: w.net.HTTPClient(), DialLimiter: limiter, Heartbeat: quiet})
		w.must(other.Connect(w.Context(), w.srv.URL(), "bob")) // at 5 s
		w.srv.DropAll()                                        // they are back at 15 s
		synctest.Wait()
		w.journal()
		go w.c.Reconnect()
		synctest.Wait()
		if s := w.c.ReadyState(); s != wsnotify.Closed {
			t.Errorf("the state is %v while the client waits for DialLimiter", s)
		}
		w.pass(time.Minute)
		w.expect("10s dial", "10s CONNECTING", "10s OPEN", "10s open 2")
		w.must(other.Disconnect())
		<-other.Done()
	})
}

func TestDialLimiterThatFails(t *testing.T) {
	limiter := &oneEach{fail: errors.New("no redis")}
	inBubble(t, wsnotify.Config{Heartbeat: quiet, DialLimiter: limiter}, func(w *world) {
		w.connect()
		w.expect("0s error wsnotify: Config.DialLimiter.Wait failed, and is called again in 1s: no redis", "1s CONNECTING", "1s OPEN", "1s open 1")
	})
}

// Disconnect does not wait for a limiter.
func TestEndWhileDialLimiterWaits(t *testing.T) {
	limiter := &oneEach{interval: time.Hour}
	inBubble(t, wsnotify.Config{Heartbeat: quiet, DialLimiter: limiter}, func(w *world) {
		w.connect()
		w.srv.DropAll()
		w.pass(time.Minute)
		began := time.Now()
		w.must(w.c.Disconnect())
		<-w.c.Done()
		if took := time.Since(began); took > 0 {
			t.Errorf("the end took %v", took)
		}
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		w.wantErr(w.c.Connect(ctx, w.srv.URL(), "ada"), context.DeadlineExceeded)
	})
}
