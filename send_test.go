package wsnotify_test

import (
	"bytes"
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
func TestSendIsBoundedByItsContextAndBreaksNothing(t *testing.T) {
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

func TestOutboxIsBounded(t *testing.T) {
	inBubble(t, wsnotify.Config{Outbox: wsnotify.Outbox{Messages: 3, Bytes: 100}}, func(w *world) {
		w.wantErr(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 101)), wsnotify.ErrOutboxFull)
		w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 90)))
		w.wantErr(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 11)), wsnotify.ErrOutboxFull)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("a")))
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("b")))
		w.wantErr(w.c.Enqueue(wsnotify.MessageText, []byte("c")), wsnotify.ErrOutboxFull)
		w.connect()
		w.must(w.c.Flush(bg))
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("d")))
		w.must(w.c.Flush(bg))
		synctest.Wait()
		if n := len(w.srv.Messages("ada")); n != 4 {
			t.Errorf("the server got %d messages", n)
		}
		w.expect("0s CONNECTING", "0s OPEN", "0s open 1") // what Enqueue refused is not reported
	})
}

func TestDropOldest(t *testing.T) {
	inBubble(t, wsnotify.Config{Outbox: wsnotify.Outbox{Messages: 2, Bytes: 100, Overflow: wsnotify.DropOldest}}, func(w *world) {
		for _, text := range []string{"a", "b", "c"} {
			w.must(w.c.Enqueue(wsnotify.MessageText, []byte(text)))
		}
		w.must(w.c.Enqueue(wsnotify.MessageText, bytes.Repeat([]byte("d"), 100)))
		w.wantErr(w.c.Enqueue(wsnotify.MessageText, bytes.Repeat([]byte("e"), 101)), wsnotify.ErrOutboxFull)
		w.expect(`0s undelivered "a": full`, `0s undelivered "b": full`, `0s undelivered "c": full`)
		w.connect()
		w.must(w.c.Flush(bg))
		if got := w.srv.Messages("ada"); len(got) != 1 || got[0][0] != 'd' {
			t.Errorf("the server got %q", got)
		}
		if s := w.c.Status(); s.Undelivered != 3 {
			t.Errorf("%+v", s)
		}
	})
}

func TestMessagesExpire(t *testing.T) {
	inBubble(t, wsnotify.Config{Outbox: wsnotify.Outbox{MaxAge: 4 * time.Second}}, func(w *world) {
		w.connect().Drop()
		w.journal()
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("a")))
		w.pass(3 * time.Second)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("b")))
		w.pass(4 * time.Second)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("c")))
		w.pass(10 * time.Second)
		w.expect(`4s undelivered "a": expired`, `7s undelivered "b": expired`, "10s CONNECTING", "10s OPEN", "10s open 2")
		if got := fmt.Sprint(w.srv.Messages("ada")); got != "[c]" {
			t.Errorf("the server got %s", got)
		}
	})
}

func TestWhatIsLeftAtTheEndIsReported(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.Stop()
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("early")))
		go w.c.Connect(bg, w.srv.URL(), "ada")
		w.pass(time.Second)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("a")))
		flushed := make(chan error)
		go func() { flushed <- w.c.Flush(bg) }()
		w.journal()
		w.must(w.c.Disconnect())
		w.wantErr(<-flushed, wsnotify.ErrClosed)
		w.expect(`1s undelivered "early": closed`, `1s undelivered "a": closed`)
		w.wantErr(w.c.Enqueue(wsnotify.MessageText, []byte("b")), wsnotify.ErrClosed)
		w.must(w.c.Flush(bg))
		w.expect()
		w.srv.Start()
		w.connect() // afresh
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("c")))
		w.must(w.c.Flush(bg))
		synctest.Wait()
		if got := fmt.Sprint(w.srv.Messages("ada")); got != "[c]" {
			t.Errorf("the server got %s", got)
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

// Each message is delivered once and in order over its connection, or reported
// once, across faults that let what the kernel has arrive, and across the end
// by Disconnect or by giving up. With small buffers a write ends in the middle:
// then a message that is unconfirmed may have arrived, and one that is sent
// again may arrive twice.
func TestEveryQueuedMessageIsDeliveredOrReported(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		cfg := wsnotify.Config{Outbox: wsnotify.Outbox{Resend: seed%4 == 1}, StableAfter: time.Hour}
		if seed%2 == 0 {
			cfg.BackOff, cfg.StableAfter = every(time.Second), 0 // never gives up
		}
		reported := map[int]error{}
		cfg.OnUndelivered = func(m wsnotify.Message, err error) {
			var i int
			fmt.Sscan(string(m.Data), &i)
			if reported[i] != nil {
				t.Errorf("seed %d: %d was reported twice", seed, i)
			}
			reported[i] = err
		}
		inBubble(t, cfg, func(w *world) {
			small := seed%3 == 0
			if small {
				w.net.Buffer(64)
			}
			w.connect()
			accepted := 0
			for range 200 {
				switch rnd.IntN(12) {
				case 0:
					for _, c := range w.srv.LiveConns() {
						go c.Close(1001+rnd.IntN(2)*3000, "")
					}
				case 1:
					w.srv.Refuse(1, 503, nil, "")
				case 2:
					w.c.Reconnect()
				case 3:
					w.pass(time.Duration(rnd.IntN(2000)) * time.Millisecond)
				case 4:
					synctest.Wait() // else what is on its way is lost, as it is in TCP
					w.srv.DropAll()
					synctest.Wait()
				default:
					text := fmt.Sprint(accepted, " ", strings.Repeat("x", rnd.IntN(100)))
					if w.c.Enqueue(wsnotify.MessageText, []byte(text)) == nil {
						accepted++
					}
				}
			}
			if seed%5 == 0 {
				w.c.Flush(bg)
			}
			w.c.Disconnect()
			<-w.c.Done()
			synctest.Wait()

			delivered := map[int]int{}
			for n := range w.srv.Total() {
				conn, err := w.srv.NthConn(bg, n+1)
				w.must(err)
				last := -1
				for _, text := range conn.Messages() {
					var i int
					fmt.Sscan(text, &i)
					if i <= last {
						t.Errorf("seed %d: %d after %d", seed, i, last)
					}
					last = i
					delivered[i]++
				}
			}
			for i := range accepted {
				n, err := delivered[i], reported[i]
				switch {
				case n == 0 && err == nil:
					t.Errorf("seed %d: %d is lost", seed, i)
				case n > 1 && !cfg.Outbox.Resend:
					t.Errorf("seed %d: %d arrived %d times", seed, i, n)
				case n > 0 && err != nil && !errors.Is(err, wsnotify.ErrUnconfirmed) && !cfg.Outbox.Resend:
					t.Errorf("seed %d: %d arrived, and was reported: %v", seed, i, err)
				}
			}
		})
	}
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
			w.must(w.c.Close(bg, 4002, "enough"))
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

// Outboxes share memory through a pool, and never at once.
func TestOutboxesDoNotMixTheirMessages(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				user := fmt.Sprint("user", g)
				c := wsnotify.New(wsnotify.Config{HTTPClient: w.net.HTTPClient()})
				if err := c.Connect(bg, w.srv.URL(), user); err != nil {
					t.Error(err)
					return
				}
				for i := range 2000 {
					text := strings.Repeat(fmt.Sprint(user, " ", i, " "), 1+i%50)
					for c.Enqueue(wsnotify.MessageText, []byte(text)) != nil {
						c.Flush(bg)
					}
					if i%7 == 0 {
						c.Flush(bg)
					}
				}
				c.Disconnect()
				<-c.Done()
				got, err := w.srv.WaitMessages(bg, user, 2000)
				if err != nil {
					t.Error(err)
					return
				}
				for i, text := range got {
					if text != strings.Repeat(fmt.Sprint(user, " ", i, " "), 1+i%50) {
						t.Errorf("%s got %q as message %d", user, text, i)
						return
					}
				}
			})
		}
		wg.Wait()
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
		conn.StopReading(true)
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
