package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
)

// inPage is inBubble for a client that takes its sockets for a browser's.
func inPage(t *testing.T, cfg wsnotify.Config, f func(w *world, wake func())) {
	t.Helper()
	var pages *int
	inBubble(t, cfg, func(w *world) {
		var wake func()
		wake, pages = wsnotify.PutInBrowser(w.c)
		w.srv.AnswerPings(false)
		f(w, wake)
	})
	if *pages != 0 {
		t.Errorf("%d runs are still notified by the page", *pages)
	}
}

// Once a peer has answered the text, a reply that stays away ends the
// connection.
func TestPageNoticesTheReplyThatStaysAway(t *testing.T) {
	for _, reply := range []string{"pong", "ping"} {
		inPage(t, wsnotify.Config{}, func(w *world, _ func()) {
			w.srv.AnswerText(reply)
			conn := w.connect()
			w.pass(time.Hour)
			w.expect("0s CONNECTING", "0s OPEN", "0s open 1")
			conn.BlackHole(true)
			died := time.Now()
			w.must(w.c.WaitFor(w.Context(), wsnotify.Closed))
			if d := time.Since(died); d > 12*time.Second {
				t.Errorf("noticed after %v", d)
			}
			w.wantErr(w.c.Status().LastFailure.Err, wsnotify.ErrHeartbeatTimeout)
			if texts, pings := w.srv.Heartbeats("ada"); texts != 600 || pings != 0 {
				t.Errorf("%d texts and %d pings in an hour", texts, pings)
			}
			conn.Reset()
		})
	}
}

func TestPageDoesNotWatchAPeerThatNeverAnswers(t *testing.T) {
	inPage(t, wsnotify.Config{}, func(w *world, _ func()) {
		conn := w.connect()
		for range 10 {
			w.pass(time.Minute)
			w.must(conn.Notify("a", "b")) // no reply
		}
		w.pass(time.Hour)
		if !w.c.IsConnected() || w.srv.Total() != 1 {
			t.Errorf("%+v", w.c.Status())
		}
	})
}

// A peer that had answered and is busy telling something else is alive.
func TestPageTakesAnyMessageForLife(t *testing.T) {
	inPage(t, wsnotify.Config{}, func(w *world, _ func()) {
		w.srv.AnswerText("pong")
		conn := w.connect()
		w.pass(time.Minute)
		conn.AnswerText("")
		w.staysOpenWhileItSends(conn)
	})
}

// Nobody knows the answer to a text of one's own making.
func TestPageTakesAnyMessageForTheAnswerToTextFunc(t *testing.T) {
	for _, swallowed := range []bool{false, true} {
		beats := 0
		cfg := wsnotify.Config{Heartbeat: wsnotify.Heartbeat{TextFunc: func() string { beats++; return fmt.Sprint("beat ", beats) }}}
		if swallowed {
			cfg.Heartbeat.Answer = func(wsnotify.Message) (string, bool) { return "", true }
		}
		pageTakesAnyMessage(t, cfg)
	}
}

func pageTakesAnyMessage(t *testing.T, cfg wsnotify.Config) {
	inPage(t, cfg, func(w *world, _ func()) {
		conn := w.connect()
		w.pass(time.Hour)
		if !w.c.IsConnected() {
			t.Fatalf("%+v", w.c.Status())
		}
		w.must(conn.Notify("ack", "1"))
		synctest.Wait()
		said := time.Now()
		ctx, cancel := context.WithTimeout(w.Context(), time.Hour)
		defer cancel()
		w.must(w.c.WaitFor(ctx, wsnotify.Closed))
		if d := time.Since(said); d != 12*time.Second {
			t.Errorf("dropped after %v", d)
		}
		if rtt := w.c.Status().RTT; rtt != 0 {
			t.Errorf("a round trip of %v was made up", rtt)
		}
	})
}

func TestPageHasItsRTTFromReplies(t *testing.T) {
	inPage(t, wsnotify.Config{}, func(w *world, _ func()) {
		w.srv.AnswerText("pong")
		conn := w.connect()
		w.pass(time.Minute)
		conn.Latency(40 * time.Millisecond)
		w.pass(10 * time.Second)
		if rtt := w.c.Status().RTT; rtt != 80*time.Millisecond {
			t.Errorf("a round trip of %v", rtt)
		}
	})
}

// A reader that waited for a callback sees the reply late, which says nothing
// of the way.
func TestPageHasNoRTTOfASlowCallback(t *testing.T) {
	var free chan struct{} // of the bubble
	cfg := wsnotify.Config{
		Inbox:     wsnotify.Inbox{Messages: 1},
		OnMessage: func(wsnotify.Message) { <-free },
	}
	inPage(t, cfg, func(w *world, _ func()) {
		free = make(chan struct{})
		w.srv.AnswerText("pong")
		conn := w.connect()
		w.pass(5 * time.Second)
		w.must(conn.Notify("a", "b"))
		w.must(conn.Notify("a", "b"))
		w.pass(time.Hour)
		if !w.c.IsConnected() || w.srv.Total() != 1 {
			t.Errorf("%+v", w.c.Status())
		}
		close(free)
		synctest.Wait()
		if rtt := w.c.Status().RTT; rtt != 0 {
			t.Errorf("a round trip of %v", rtt)
		}
	})
}

// With Timeout off, replies are for RTT alone.
func TestPageWatchesNothingWithoutTimeout(t *testing.T) {
	inPage(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Timeout: -1}}, func(w *world, _ func()) {
		w.srv.AnswerText("pong")
		conn := w.connect()
		w.pass(time.Minute)
		conn.Mute(true)
		w.pass(time.Hour)
		if !w.c.IsConnected() || w.srv.Total() != 1 {
			t.Errorf("%+v", w.c.Status())
		}
		conn.Reset()
	})
}

func TestWakingPageCutsAWaitShort(t *testing.T) {
	inPage(t, wsnotify.Config{}, func(w *world, wake func()) {
		w.connect()
		w.srv.Stop()
		w.pass(3 * time.Second)
		w.srv.Start()
		w.journal()
		wake()
		wake()
		w.expect("3s CONNECTING", "3s OPEN", "3s open 2")
	})
}

// What becomes of a dial that began without a network need not be waited out.
func TestPageThatWakesWhileConnectingDoesNotWaitAfterIt(t *testing.T) {
	inPage(t, wsnotify.Config{}, func(w *world, wake func()) {
		w.net.Hang(true)
		go w.c.Connect(bg, w.srv.URL(), "ada")
		w.pass(5 * time.Second)
		w.net.Hang(false)
		wake()
		w.pass(5 * time.Second)
		if !w.c.IsConnected() || time.Since(w.start) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(w.start), w.journal())
		}
	})
}

func TestWakingPageAsksForASignOfLife(t *testing.T) {
	inPage(t, wsnotify.Config{}, func(w *world, wake func()) {
		w.srv.AnswerText("pong")
		conn := w.connect()
		w.pass(7 * time.Second)
		conn.BlackHole(true)
		w.journal()
		wake()
		w.pass(6 * time.Second)
		if log := w.journal(); !slices.Contains(log, "13s error heartbeat") {
			t.Errorf("the journal says %q", log)
		}
		conn.Reset()
	})
}

func TestPageSendsNoPings(t *testing.T) {
	inPage(t, wsnotify.Config{}, func(w *world, _ func()) {
		w.connect()
		if rtt, err := w.c.Ping(context.Background()); rtt != 0 || !errors.Is(err, errors.ErrUnsupported) || !strings.HasPrefix(err.Error(), "wsnotify: ") {
			t.Errorf("Ping: %v, %v", rtt, err)
		}
	})
}

func TestUselessFieldsInABrowserAreErrors(t *testing.T) {
	if err := wsnotify.UselessInBrowser(wsnotify.Config{Subprotocols: []string{"a"}}); err != nil {
		t.Error(err)
	}
	err := wsnotify.UselessInBrowser(wsnotify.Config{
		Header: http.Header{"A": {"b"}}, HTTPClient: http.DefaultClient, Compression: wsnotify.CompressionContextTakeover,
	})
	for _, field := range []string{"Config.Header ", "Config.HTTPClient ", "Config.Compression "} {
		if err == nil || !strings.Contains(err.Error(), "wsnotify: "+field) {
			t.Errorf("%v does not speak of %s", err, field)
		}
	}
}

func TestPageSetsNoHeadersInBeforeDial(t *testing.T) {
	cfg := wsnotify.Config{
		ShouldReconnect: wsnotify.FailFast,
		BeforeDial: func(_ context.Context, req *wsnotify.DialRequest) error {
			req.URL.RawQuery = "token=1"
			if req.Attempt == 0 {
				req.Header.Set("Authorization", "Bearer 1")
			}
			return nil
		},
	}
	inPage(t, cfg, func(w *world, _ func()) {
		w.connect()
		log := w.journal()
		if len(log) < 3 || !strings.Contains(log[2], "error hook") {
			t.Errorf("the journal says %q", log)
		}
	})
}

// With a Timeout longer than the Interval, or none, each reply is for its own beat; of several that wait for theirs, for
// the first.
func TestPageRTTOfEachReply(t *testing.T) {
	inPage(t, wsnotify.Config{}, func(w *world, _ func()) {
		w.srv.AnswerText("pong")
		w.connect().Latency(3500 * time.Millisecond)
		w.pass(13 * time.Second) // asked at 6 s and, since the reply may still come, at 12 s
		if rtt := w.c.Status().RTT; rtt != 7*time.Second {
			t.Errorf("a round trip of %v, and not 7s", rtt)
		}
	})
	for _, timeout := range []time.Duration{time.Minute, -1} {
		for _, latency := range []time.Duration{40 * time.Millisecond, 800 * time.Millisecond} {
			inPage(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: time.Second, Timeout: timeout}}, func(w *world, _ func()) {
				w.srv.AnswerText("pong")
				conn := w.connect()
				conn.Latency(latency)
				w.pass(2700 * time.Millisecond)
				if rtt := w.c.Status().RTT; rtt != 2*latency {
					t.Errorf("Timeout %v: a round trip of %v, and not %v", timeout, rtt, 2*latency)
				}
			})
		}
	}
}

// A reply that nobody has asked for is none: it gives no RTT, and the peer need not answer later.
func TestPageDoesNotTakeARepeatedReply(t *testing.T) {
	inPage(t, wsnotify.Config{}, func(w *world, _ func()) {
		conn := w.connect()
		w.pass(time.Second)
		w.must(conn.SendText("pong"))
		w.pass(time.Hour)
		if s := w.c.Status(); s.RTT != 0 || s.Connections != 1 || !w.c.IsConnected() {
			t.Errorf("%+v", s)
		}
	})
}
