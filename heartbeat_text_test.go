package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
)

// inTextBubble is inBubble with a TextFunc, and a server that writes down what
// comes. f gets how often TextFunc has been called, 1 the first time.
func inTextBubble(t *testing.T, hb wsnotify.Heartbeat, text func(call int) string, f func(w *world)) {
	t.Helper()
	calls, running := 0, atomic.Int32{}
	hb.TextFunc = func() string {
		if running.Add(1) > 1 {
			t.Error("two calls of TextFunc at once")
		}
		defer running.Add(-1)
		calls++
		return text(calls)
	}
	inBubble(t, wsnotify.Config{Heartbeat: hb}, func(w *world) {
		w.srv.OnMessage(nil)
		f(w)
	})
}

func (w *world) wantMessages(want ...string) {
	w.Helper()
	synctest.Wait()
	if got := w.srv.Messages("ada"); !slices.Equal(got, want) {
		w.Errorf("the server got %q and not %q", got, want)
	}
}

// pings is how many protocol pings the server has got.
func (w *world) pings() int {
	synctest.Wait()
	_, pings := w.srv.Heartbeats("ada")
	return pings
}

func TestTextFuncMakesEachBeat(t *testing.T) {
	inTextBubble(t, wsnotify.Heartbeat{Text: "not this"}, func(call int) string {
		if call == 2 {
			return ""
		}
		return fmt.Sprint("beat ", call)
	}, func(w *world) {
		conn := w.connect()
		w.pass(5 * time.Second)
		w.wantMessages()
		w.pass(14 * time.Second)
		w.wantMessages("beat 1", "beat 3")
		if n := w.pings(); n != 3 {
			t.Errorf("%d pings with 3 beats", n)
		}
		w.journal()
		w.must(conn.SendText("pong"))
		w.expect()
		w.must(conn.SendText("not this"))
		w.expect("19s error parse")
	})
}

func TestNoTextAsksNoTextFunc(t *testing.T) {
	for _, hb := range []wsnotify.Heartbeat{{NoText: true}, {Interval: -1}} {
		inTextBubble(t, hb, func(int) string {
			t.Errorf("%+v: TextFunc was called", hb)
			return "beat"
		}, func(w *world) {
			w.connect()
			w.pass(time.Minute)
			w.wantMessages()
		})
	}
}

// slowText is a TextFunc that takes its time.
func slowText(d time.Duration) func(call int) string {
	return func(call int) string {
		time.Sleep(d)
		return fmt.Sprint("beat ", call)
	}
}

// A beat that comes while TextFunc runs has no text, and its ping is on time.
func TestSlowTextFuncDelaysNoPing(t *testing.T) {
	inTextBubble(t, wsnotify.Heartbeat{}, slowText(20*time.Second), func(w *world) {
		w.connect()
		for beat := range 10 {
			if n := w.pings(); n != beat {
				t.Errorf("%d pings after %d beats", n, beat)
			}
			w.pass(6 * time.Second)
		}
		w.wantMessages("beat 1", "beat 2") // asked for at 6 s and 30 s
		w.pass(time.Minute)
		w.expect("0s CONNECTING", "0s OPEN", "0s open 1")
	})
}

// A dead peer is noticed as soon, whatever TextFunc does.
func TestSlowTextFuncHidesNoDeadPeer(t *testing.T) {
	inTextBubble(t, wsnotify.Heartbeat{}, func(int) string {
		time.Sleep(time.Minute)
		return "beat"
	}, func(w *world) {
		w.srv.AnswerPings(false)
		w.connect()
		w.wantDropped(12 * time.Second)
	})
}

// TextFunc was asked by a connection that is over when it returns. The next
// connection has not asked meanwhile, and sends nothing that is not its own.
func TestSlowTextFuncOverAReconnect(t *testing.T) {
	inTextBubble(t, wsnotify.Heartbeat{}, slowText(30*time.Second), func(w *world) {
		conn := w.connect()
		w.pass(7 * time.Second)
		conn.Drop()
		w.pass(25 * time.Second) // the second connection is open since 17 s
		w.wantMessages()
		w.pass(5 * time.Second) // since 36 s TextFunc has returned
		w.wantMessages()
		w.pass(35 * time.Second) // asked at 41 s
		w.wantMessages("beat 2")
	})
}

// Nor does a second Connect ask while the first one's TextFunc runs.
func TestSlowTextFuncOverAConnect(t *testing.T) {
	inTextBubble(t, wsnotify.Heartbeat{}, slowText(30*time.Second), func(w *world) {
		w.connect()
		w.pass(7 * time.Second)
		w.must(w.c.Connect(w.Context(), w.srv.URL(), "ada"))
		w.pass(25 * time.Second)
		w.wantMessages()
		w.pass(41 * time.Second) // asked at 37 s
		w.wantMessages("beat 2")
	})
}

func TestTextFuncThatEndsItsGoroutine(t *testing.T) {
	inTextBubble(t, wsnotify.Heartbeat{}, func(call int) string {
		if call == 1 {
			runtime.Goexit()
		}
		return fmt.Sprint("beat ", call)
	}, func(w *world) {
		w.connect()
		w.pass(13 * time.Second)
		w.wantMessages("beat 2")
	})
}

func TestDoneWaitsForTextFunc(t *testing.T) {
	inTextBubble(t, wsnotify.Heartbeat{}, func(int) string {
		time.Sleep(20 * time.Second)
		return "beat"
	}, func(w *world) {
		w.connect()
		w.pass(7 * time.Second)
		w.must(w.c.Disconnect())
		if d := time.Since(w.start); d != 7*time.Second {
			t.Errorf("Disconnect waited for TextFunc until %v", d)
		}
		<-w.c.Done()
		if d := time.Since(w.start); d != 26*time.Second {
			t.Errorf("Done was closed at %v, and TextFunc returned at 26s", d)
		}
		w.wantMessages()
	})
}

func TestDisconnectInTextFunc(t *testing.T) {
	var c *wsnotify.Client
	inTextBubble(t, wsnotify.Heartbeat{}, func(int) string {
		if err := c.Disconnect(); err != nil {
			t.Error(err)
		}
		return "beat"
	}, func(w *world) {
		c = w.c
		w.connect()
		<-w.c.Done()
		w.wantMessages()
		if d := time.Since(w.start); d != 6*time.Second {
			t.Errorf("it was over at %v", d)
		}
	})
}

// A server would close the connection with 1007.
func TestTextFuncThatIsNotUTF8(t *testing.T) {
	inTextBubble(t, wsnotify.Heartbeat{}, func(call int) string {
		if call < 4 {
			return "\xff"
		}
		return "beat"
	}, func(w *world) {
		w.connect()
		w.journal()
		w.pass(25 * time.Second)
		w.wantMessages("beat")
		got := w.journal()
		if len(got) != 1 || !strings.Contains(got[0], `6s error wsnotify: Heartbeat.TextFunc returned "\xff", which is not UTF-8`) {
			t.Errorf("the journal says %q", got)
		}
	})
}

// Each connection has the interval that its own OnHandshake has set, or that
// of Config.
func TestSetHeartbeat(t *testing.T) {
	for _, test := range []struct {
		config, set time.Duration
		beats       int // in a minute
	}{
		{0, 0, 10},
		{0, 20 * time.Second, 3},
		{0, -1, 0},
		{5 * time.Second, 0, 12},
		{5 * time.Second, 30 * time.Second, 2},
		{-1, 0, 0},
		{-1, 10 * time.Second, 6},
	} {
		inBubble(t, wsnotify.Config{
			Heartbeat: wsnotify.Heartbeat{Interval: test.config},
			OnHandshake: func(_ context.Context, h *wsnotify.Handshake) error {
				if h.Epoch == 1 {
					h.SetHeartbeat(time.Second) // the later one counts
					h.SetHeartbeat(test.set)
				}
				return nil
			},
		}, func(w *world) {
			conn := w.connect()
			w.pass(time.Minute)
			if texts, pings := w.srv.Heartbeats("ada"); texts != test.beats || pings != test.beats {
				t.Errorf("%+v: %d texts and %d pings in a minute", test, texts, pings)
			}
			conn.Drop()
			w.pass(10 * time.Second)
			before, _ := w.srv.Heartbeats("ada")
			w.pass(time.Minute)
			beats := 0
			if test.config >= 0 {
				interval := test.config
				if interval == 0 {
					interval = 6 * time.Second
				}
				beats = int(time.Minute / interval)
			}
			if texts, _ := w.srv.Heartbeats("ada"); texts-before != beats {
				t.Errorf("%+v: %d texts in a minute of the next connection", test, texts-before)
			}
		})
	}
}

// The answers to a heartbeat are swallowed where there is one, and are messages
// where there is none.
func TestSetHeartbeatDecidesOnReplies(t *testing.T) {
	for _, test := range []struct {
		config, set time.Duration
		replies     []string
		seen        bool
	}{
		{-1, 0, nil, true},
		{-1, time.Second, nil, false},
		{0, -1, nil, true},
		{0, -1, []string{"pong"}, false},
		{-1, 0, []string{"pong"}, false},
		{-1, time.Second, []string{}, true},
	} {
		inBubble(t, wsnotify.Config{
			Heartbeat: wsnotify.Heartbeat{Interval: test.config, Replies: test.replies},
			OnHandshake: func(_ context.Context, h *wsnotify.Handshake) error {
				h.SetHeartbeat(test.set)
				return nil
			},
		}, func(w *world) {
			conn := w.connect()
			w.journal()
			w.must(conn.SendText("pong"))
			if got := len(w.journal()) > 0; got != test.seen {
				t.Errorf("%+v: pong was seen: %v", test, got)
			}
		})
	}
}

func TestSetHeartbeatAfterOnHandshake(t *testing.T) {
	var kept *wsnotify.Handshake
	inBubble(t, wsnotify.Config{OnHandshake: func(_ context.Context, h *wsnotify.Handshake) error {
		kept = h
		return nil
	}}, func(w *world) {
		w.connect()
		kept.SetHeartbeat(time.Second)
		w.pass(time.Minute)
		if texts, _ := w.srv.Heartbeats("ada"); texts != 10 {
			t.Errorf("%d texts in a minute", texts)
		}
	})
}

// An attempt that failed leaves no heartbeat behind.
func TestSetHeartbeatOfAnAttemptThatFails(t *testing.T) {
	fail := true
	inBubble(t, wsnotify.Config{OnHandshake: func(_ context.Context, h *wsnotify.Handshake) error {
		if fail {
			fail = false
			h.SetHeartbeat(time.Second)
			return errors.New("no")
		}
		return nil
	}}, func(w *world) {
		w.connect()
		w.pass(time.Minute)
		if texts, _ := w.srv.Heartbeats("ada"); texts != 10 {
			t.Errorf("%d texts in a minute", texts)
		}
	})
}

// A beat whose text waits for the socket does not keep the next from being asked
// for: what leaves then is the latest.
func TestTextFuncWhileItsBeatWaits(t *testing.T) {
	calls := 0
	beat := wsnotify.Heartbeat{Timeout: -1, TextFunc: func() string { calls++; return fmt.Sprint("beat ", calls) }}
	inBubble(t, wsnotify.Config{WriteTimeout: -1, Heartbeat: beat}, func(w *world) {
		conn := w.connect()
		conn.StopReading(true)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte(strings.Repeat("x", 64<<10-18)))) // which leaves no capacity for a text
		w.pass(35 * time.Second)
		if calls != 5 {
			t.Errorf("TextFunc was called %d times in 35 s", calls)
		}
		conn.ComeBack()
		w.pass(0)
		got := w.srv.Messages("ada")
		if last := got[len(got)-1]; last != "beat 5" {
			t.Errorf("the last text is %.20q", last)
		}
	})
}
