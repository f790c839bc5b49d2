package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

var bg = context.Background()

func TestSendAnswersExactly(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		plain := func(when string, err error) {
			t.Helper()
			if !errors.Is(err, wsnotify.ErrNotConnected) || errors.Is(err, wsnotify.ErrClosed) || !strings.Contains(err.Error(), "WebSocket is not connected") {
				t.Errorf("%s: %v", when, err)
			}
		}
		plain("before Connect", w.c.SendMessage(bg, "x"))
		w.net.Hang(true)
		go w.c.Connect(bg, w.srv.URL(), "ada")
		synctest.Wait()
		plain("while connecting", w.c.SendMessage(bg, "x"))
		w.net.Hang(false)
		w.must(w.c.WaitFor(bg, wsnotify.Open))
		w.must(w.c.SendMessage(bg, "one"))
		w.must(w.c.Send(bg, wsnotify.MessageBinary, []byte("\xfftwo")))
		w.must(w.c.SendJSON(bg, map[string]int{"three": 3}))
		w.must(w.c.SendMessage(bg, ""))
		w.conn().Drop()
		synctest.Wait()
		plain("while waiting", w.c.SendMessage(bg, "x"))
		w.must(w.c.Disconnect())
		err := w.c.SendMessage(bg, "x")
		w.wantErr(err, wsnotify.ErrClosed)
		w.wantErr(err, wsnotify.ErrNotConnected)
		if got := fmt.Sprintf("%q", w.srv.Messages("ada")); got != `["one" "\xfftwo" "{\"three\":3}" ""]` {
			t.Errorf("the server got %s", got)
		}
		if s := w.c.Status(); s.MessagesOut != 4 || s.BytesOut != 18 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSendRefusesWhatIsNoMessage(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		for _, err := range []error{
			w.c.SendMessage(bg, "\xff"),
			w.c.Send(bg, 0, nil),
			w.c.Send(bg, 9, nil),
			w.c.Enqueue(wsnotify.MessageText, []byte("\xc0")),
			w.c.Enqueue(5, nil),
			w.c.SendJSON(bg, func() {}),
		} {
			if err == nil || errors.Is(err, wsnotify.ErrNotConnected) {
				t.Errorf("%v", err)
			}
		}
		ctx, cancel := context.WithCancel(bg)
		cancel()
		w.wantErr(w.c.SendMessage(ctx, "x"), context.Canceled)
		synctest.Wait()
		if len(w.srv.Messages("ada")) != 0 || !w.c.IsConnected() {
			t.Errorf("the server got %q", w.srv.Messages("ada"))
		}
	})
}

func TestConcurrentSendersKeepTheirOrderAndShareWrites(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.net.Latency(time.Millisecond)
		w.connect()
		calls := w.net.WriteCalls()
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				ctx := bg
				if g%2 == 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(bg, time.Minute)
					defer cancel()
				}
				for i := range 50 {
					text := fmt.Sprintf("%d %d", g, i)
					var err error
					if i%3 == 0 {
						err = w.c.Enqueue(wsnotify.MessageText, []byte(text))
					} else {
						err = w.c.SendMessage(ctx, text)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		w.must(w.c.Flush(bg))
		got, err := w.srv.WaitMessages(bg, "ada", 800)
		w.must(err)
		next := map[int]int{}
		for _, text := range got {
			var g, i int
			fmt.Sscan(text, &g, &i)
			if next[g] != i {
				t.Fatalf("%q and not %d", text, next[g])
			}
			next[g]++
		}
		if n := w.net.WriteCalls() - calls; n > 700 {
			t.Errorf("%d write calls for 800 messages", n)
		}
	})
}

func TestEnqueuedMessagesShareWrites(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.Stop()
		go w.c.Connect(bg, w.srv.URL(), "ada")
		synctest.Wait()
		for range 1000 {
			w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 64)))
		}
		if s := w.c.Status(); s.Queued != 1000 {
			t.Errorf("%d queued", s.Queued)
		}
		w.srv.Start()
		calls := w.net.WriteCalls()
		w.must(w.c.Flush(bg))
		if n := w.net.WriteCalls() - calls; n > 5 { // one of them is the handshake
			t.Errorf("%d write calls for 1000 messages of 64 bytes", n)
		}
		if s := w.c.Status(); s.Queued != 0 || s.MessagesOut != 1000 || s.BytesOut != 64000 {
			t.Errorf("%+v", s)
		}
	})
}

// A context that ends bounds its own call and nothing else.
func TestContextLimitsASendAndBreaksNothing(t *testing.T) {
	for try := range 200 {
		inBubble(t, wsnotify.Config{WriteTimeout: time.Hour, Heartbeat: wsnotify.Heartbeat{Interval: -1}}, func(w *world) {
			rnd := rand.New(rand.NewPCG(uint64(try), 1))
			w.net.Buffer(4096)
			conn := w.connect()
			conn.StopReading(true)
			var wg sync.WaitGroup
			var mu sync.Mutex
			results := map[string]error{}
			for g := range 8 {
				size, limit := rnd.IntN(3000)+20, time.Duration(rnd.IntN(1000))*time.Millisecond
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(bg, limit)
					defer cancel()
					text := fmt.Sprintf("%d %s", g, strings.Repeat("x", size))
					began, data := time.Now(), []byte(text)
					err := w.c.Send(ctx, wsnotify.MessageText, data)
					clear(data) // it is ours again
					if d := time.Since(began); d > limit {
						t.Errorf("it took %v with a ctx of %v", d, limit)
					}
					mu.Lock()
					results[text] = err
					mu.Unlock()
				})
			}
			wg.Wait()
			conn.StopReading(false)
			w.must(w.c.SendMessage(bg, "last"))
			synctest.Wait()
			arrived := map[string]int{}
			for _, text := range w.srv.Messages("ada") {
				arrived[text]++
			}
			if arrived["last"] != 1 || w.srv.Total() != 1 {
				t.Errorf("%d connections, the last message arrived %d times", w.srv.Total(), arrived["last"])
			}
			for text, err := range results {
				switch n := arrived[text]; {
				case err == nil && n != 1, n > 1:
					t.Errorf("nil, and it arrived %d times", n)
				case err != nil && !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("the error is %v", err)
				case err != nil && !errors.Is(err, wsnotify.ErrUnconfirmed) && n != 0:
					t.Errorf("certainly not sent, and it arrived: %v", err)
				}
			}
		})
	}
}

func TestPeerThatStopsReadingIsDropped(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: -1}, Outbox: wsnotify.Outbox{Messages: 100}}, func(w *world) {
		conn := w.connect()
		conn.StopReading(true)
		full := 0
		for range 200 {
			if errors.Is(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 4096)), wsnotify.ErrOutboxFull) {
				full++
			}
			synctest.Wait()
		}
		if full == 0 {
			t.Error("the outbox was never full")
		}
		result := make(chan error)
		go func() { result <- w.c.SendMessage(bg, "x") }()
		err := <-result
		if !errors.Is(err, wsnotify.ErrNotConnected) {
			t.Errorf("Send: %v", err)
		}
		if d := time.Since(w.start); d != 10*time.Second {
			t.Errorf("dropped after %v", d)
		}
		synctest.Wait()
		if f := w.c.Status().LastFailure; f == nil || f.Initiator != wsnotify.Network || !strings.Contains(f.Err.Error(), "WriteTimeout") {
			t.Errorf("%+v", f)
		}
		w.must(w.c.Flush(bg))
		if d := time.Since(w.start); d != 20*time.Second {
			t.Errorf("the rest was sent after %v", d)
		}
	})
}

func TestWhatWasInTheMiddleOfAWrite(t *testing.T) {
	for _, resend := range []bool{false, true} {
		t.Run(fmt.Sprint("Resend=", resend), func(t *testing.T) {
			inBubble(t, wsnotify.Config{Outbox: wsnotify.Outbox{Resend: resend}}, func(w *world) {
				w.net.Buffer(10)
				conn := w.connect()
				conn.StopReading(true)
				for i := range 3 {
					w.must(w.c.Enqueue(wsnotify.MessageText, []byte(fmt.Sprintf("%d %s", i, strings.Repeat("x", 30)))))
				}
				synctest.Wait()
				w.journal()
				conn.Reset()
				w.pass(10 * time.Second)
				log := strings.Join(w.journal(), "\n")
				if strings.Contains(log, "unconfirmed") == resend {
					t.Errorf("the journal says %s", log)
				}
				got := w.srv.Messages("ada")
				want := 2
				if resend {
					want = 3
				}
				if len(got) != want || !strings.HasPrefix(got[want-1], "2 ") {
					t.Errorf("the server got %q", got)
				}
			})
		})
	}
}

func TestSendInTheMiddleOfAWriteIsUnconfirmed(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.net.Buffer(10)
		conn := w.connect()
		conn.StopReading(true)
		first, second := make(chan error), make(chan error)
		go func() { first <- w.c.SendMessage(bg, strings.Repeat("x", 100)) }()
		synctest.Wait()
		go func() { second <- w.c.SendMessage(bg, "behind it") }()
		synctest.Wait()
		conn.Reset()
		w.wantErr(<-first, wsnotify.ErrUnconfirmed)
		err := <-second
		w.wantErr(err, wsnotify.ErrNotConnected)
		if errors.Is(err, wsnotify.ErrUnconfirmed) {
			t.Error("what was behind it is unconfirmed, too")
		}
		w.wantErr(w.c.SendMessage(bg, "next"), wsnotify.ErrNotConnected)
	})
}

func TestCloseFrameIsTheLastOfABurst(t *testing.T) {
	for range 20 {
		inBubble(t, wsnotify.Config{}, func(w *world) {
			w.connect()
			var wg sync.WaitGroup
			sent := make([]int, 8)
			flowing := make(chan struct{})
			for g := range 8 {
				wg.Go(func() {
					for i := 0; ; i++ {
						if g == 0 && i == 50 {
							close(flowing)
						}
						if w.c.SendMessage(bg, fmt.Sprint(g, i)) != nil {
							return
						}
						sent[g]++
					}
				})
			}
			<-flowing
			w.must(w.c.CloseWith(bg, 4002, "enough"))
			wg.Wait()
			synctest.Wait()
			total := 0
			for _, n := range sent {
				total += n
			}
			if n := len(w.srv.Messages("ada")); n != total {
				t.Errorf("%d were confirmed and %d arrived", total, n)
			}
			if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != 4002 {
				t.Errorf("the server got the close codes %v", codes)
			}
		})
	}
}

// What was accepted by Send and not begun is certainly not sent.
func TestSendThatWaitsWhenTheClientIsClosed(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.net.Buffer(10)
		w.connect().StopReading(true)
		first, second := make(chan error), make(chan error)
		go func() { first <- w.c.SendMessage(bg, strings.Repeat("x", 100)) }()
		synctest.Wait()
		go func() { second <- w.c.SendMessage(bg, "behind it") }()
		synctest.Wait()
		if w.c.Disconnect() == nil {
			t.Error("Disconnect returned nil")
		}
		w.wantErr(<-first, wsnotify.ErrUnconfirmed)
		w.wantErr(<-second, wsnotify.ErrClosed)
	})
}

// A callback that takes its time does not keep a dead connection open.
func TestBrokenConnectionIsReplacedDuringASlowCallback(t *testing.T) {
	got := 0
	inBubble(t, wsnotify.Config{
		Inbox:     wsnotify.Inbox{Messages: 1},
		BackOff:   every(time.Second),
		OnMessage: func(wsnotify.Message) { time.Sleep(30 * time.Second); got++ },
	}, func(w *world) {
		got = 0
		conn := w.connect()
		for range 5 {
			w.must(conn.SendText("{}"))
		}
		synctest.Wait()
		conn.Reset()
		for range 20 {
			w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 8192)))
		}
		w.must(w.c.Flush(bg))
		if d := time.Since(w.start); d > 15*time.Second {
			t.Errorf("the messages left after %v", d)
		}
		w.pass(5 * time.Minute)
		if n := w.c.Status().MessagesIn; got == 0 || uint64(got) != n {
			t.Errorf("%d messages were delivered of %d", got, n)
		}
	})
}

// While the client waits for its next attempt it is not connected, and neither closed nor superseded.
func TestMethodsWhileThereIsNoConnection(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.srv.Stop()
		w.pass(time.Second)
		ctx := w.Context()
		for name, do := range map[string]func() error{
			"Send":        func() error { return w.c.Send(ctx, wsnotify.MessageText, nil) },
			"SendText":    func() error { return w.c.SendText(ctx, "x") },
			"SendMessage": func() error { return w.c.SendMessage(ctx, "x") },
			"SendJSON":    func() error { return w.c.SendJSON(ctx, 1) },
			"Ping":        func() error { _, err := w.c.Ping(ctx); return err },
			"Request":     func() error { _, err := w.c.Request(ctx, "1", wsnotify.MessageText, nil); return err },
		} {
			if err := do(); !errors.Is(err, wsnotify.ErrNotConnected) || errors.Is(err, wsnotify.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A Ping whose connection is lost says so, and not that the client was closed.
func TestPingWhoseConnectionIsLost(t *testing.T) {
	for name, end := range map[string]func(w *world, conn *wsnotifytest.Conn){
		"lost":   func(_ *world, conn *wsnotifytest.Conn) { conn.Drop() },
		"closed": func(w *world, _ *wsnotifytest.Conn) { w.c.Disconnect() },
	} {
		inBubble(t, wsnotify.Config{}, func(w *world) {
			w.srv.AnswerPings(false)
			conn := w.connect()
			answer := make(chan error, 1)
			go func() {
				rtt, err := w.c.Ping(w.Context())
				if rtt != 0 {
					err = fmt.Errorf("a pong after %v, and %v", rtt, err)
				}
				answer <- err
			}()
			synctest.Wait()
			end(w, conn)
			if err := <-answer; !errors.Is(err, wsnotify.ErrNotConnected) || errors.Is(err, wsnotify.ErrClosed) != (name == "closed") {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}
