package wsnotify_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// Whatever an attempt or the wait for one ends with, the error of Connect names
// the address once, without its secrets, and the hook that had not returned.
func TestErrorsNameTheAddressAndTheHook(t *testing.T) {
	const address, shown = "ws://server.test/ws/?token=hunter2", "ws://server.test/ws/?token=xxxxx"
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	blocks := func(ctx context.Context) error { time.Sleep(time.Minute); return nil }
	before := func(f func(context.Context) error) wsnotify.Config {
		return wsnotify.Config{BeforeDial: func(ctx context.Context, _ *wsnotify.DialRequest) error { return f(ctx) }}
	}
	on := func(f func(context.Context) error) wsnotify.Config {
		return wsnotify.Config{OnHandshake: func(ctx context.Context, _ *wsnotify.Handshake) error { return f(ctx) }}
	}
	fails := func(context.Context) error { return errors.New("no token") }
	open := accepts((*rawPeer).silence)
	for name, test := range map[string]struct {
		cfg    wsnotify.Config
		script func(*rawPeer)
		hook   string // that is named; "-" if none is
	}{
		"no answer":                     {wsnotify.Config{}, (*rawPeer).silence, "-"},
		"a refusal":                     {wsnotify.Config{}, answers(response(503, "no")), "-"},
		"a 101 that is wrong":           {wsnotify.Config{}, answers("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "-"},
		"another subprotocol":           {wsnotify.Config{Subprotocols: []string{"v1"}}, open, "-"},
		"a FIN":                         {wsnotify.Config{}, func(p *rawPeer) { p.request() }, "-"},
		"BeforeDial fails":              {before(fails), open, "BeforeDial: no token"},
		"BeforeDial waits for its ctx":  {before(hangs), open, "BeforeDial"},
		"BeforeDial waits":              {before(blocks), open, "BeforeDial"},
		"OnHandshake fails":             {on(fails), open, "OnHandshake: no token"},
		"OnHandshake waits for its ctx": {on(hangs), open, "OnHandshake"},
		"OnHandshake waits":             {on(blocks), open, "OnHandshake"},
		"a proxy hangs up":              {throughProxy("http://proxy.test", nil), func(p *rawPeer) { p.request() }, "-"},
	} {
		for how, limit := range map[string]time.Duration{
			"DialTimeout": 0, "the ctx of Connect": 5 * time.Second, "the ctx of Connect, later": 15 * time.Second, "the ctx of Connect, in the wait": 25 * time.Second,
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				cfg := test.cfg
				cfg.BackOff = every(10 * time.Second)
				if limit == 0 {
					cfg.BackOff = never
				}
				inRawBubble(t, cfg, test.script, func(w *world, _ *rawNet) {
					ctx := w.Context()
					if limit > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, limit)
						defer cancel()
					}
					err := w.c.Connect(ctx, address, "")
					if err == nil || strings.Count(err.Error(), shown) != 1 || strings.Contains(err.Error(), "hunter2") {
						t.Fatalf("the error is %v", err)
					}
					for _, hook := range []string{"BeforeDial", "OnHandshake"} {
						if named := strings.Contains(err.Error(), hook); named != strings.HasPrefix(test.hook, hook) {
							t.Errorf("the error is %v", err)
						}
					}
					if test.hook != "-" && !strings.Contains(err.Error(), test.hook) {
						t.Errorf("the error is %v", err)
					}
					checkShown(t, err.Error())
				})
			})
		}
	}
}

// A ctx that ends before there was an attempt says so.
func TestErrorBeforeTheFirstDial(t *testing.T) {
	inBubble(t, wsnotify.Config{BackOff: func() wsnotify.BackOff { time.Sleep(time.Hour); return nil }}, func(w *world) {
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		err := w.c.Connect(ctx, "ws://server.test/?token=hunter2", "")
		if want := "wsnotify: no connection until ctx ended: context deadline exceeded; ws://server.test/?token=xxxxx was not dialled"; err == nil || err.Error() != want {
			t.Errorf("the error is %v", err)
		}
		w.wantErr(err, context.DeadlineExceeded)
	})
}

// The address that BeforeDial has set is the one that is named.
func TestErrorsNameTheAddressOfBeforeDial(t *testing.T) {
	cfg := wsnotify.Config{BackOff: never, BeforeDial: func(_ context.Context, r *wsnotify.DialRequest) error {
		r.URL.Host, r.URL.RawQuery = "other.test", "token=hunter2"
		return nil
	}}
	inRawBubble(t, cfg, func(p *rawPeer) { p.request() }, func(w *world, _ *rawNet) {
		err := w.c.Connect(w.Context(), "ws://server.test/ws/", "")
		if err == nil || !strings.Contains(err.Error(), "dialling ws://other.test/ws/?token=xxxxx: ") || strings.Contains(err.Error(), "server.test") {
			t.Errorf("the error is %v", err)
		}
	})
}
