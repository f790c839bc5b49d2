package wsnotify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestOutboxIsLimited(t *testing.T) {
	inBubble(t, wsnotify.Config{Outbox: wsnotify.Outbox{Messages: 3, Bytes: 100}}, func(w *world) {
		w.wantTooLarge(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 101)), 101, 100)
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

// Waiting does not help a message that is larger than the outbox, so
// that it is not ErrOutboxFull.
func (w *world) wantTooLarge(err error, size, limit int) {
	w.Helper()
	var large *wsnotify.MessageTooLargeError
	if !errors.As(err, &large) || large.Size != size || large.Limit != limit || errors.Is(err, wsnotify.ErrOutboxFull) ||
		!strings.Contains(err.Error(), "Outbox.Bytes") {
		w.Errorf("a message of %d bytes for %d: %v", size, limit, err)
	}
}

func TestDropOldest(t *testing.T) {
	inBubble(t, wsnotify.Config{Outbox: wsnotify.Outbox{Messages: 2, Bytes: 100, Overflow: wsnotify.DropOldest}}, func(w *world) {
		for _, text := range []string{"a", "b", "c"} {
			w.must(w.c.Enqueue(wsnotify.MessageText, []byte(text)))
		}
		w.must(w.c.Enqueue(wsnotify.MessageText, bytes.Repeat([]byte("d"), 100)))
		w.wantTooLarge(w.c.Enqueue(wsnotify.MessageText, bytes.Repeat([]byte("e"), 101)), 101, 100)
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

// The outbox is a bound of memory with DropOldest too: while nobody is
// connected, behind a writer that is stuck with a Send waiting for it, and
// with an OnUndelivered that does not return.
func TestDropOldestLimitsMemory(t *testing.T) {
	box := wsnotify.Outbox{Messages: 10, Bytes: 10 << 10, Overflow: wsnotify.DropOldest}
	const messages, most = 40_000, 3 << 20
	fill := func(w *world) {
		data := make([]byte, 1000)
		for range messages {
			w.must(w.c.Enqueue(wsnotify.MessageBinary, data))
		}
	}
	inBubble(t, wsnotify.Config{}, func(w *world) {
		c := wsnotify.New(wsnotify.Config{Outbox: box})
		w.c = c // which reports to nobody
		if n := testkit.Grown(func() { fill(w) }); n > most {
			t.Errorf("without a connection: %d KiB", n>>10)
		}
		if s := c.Status(); s.Queued != 10 || s.Undelivered != messages-10 {
			t.Errorf("%d queued, %d undelivered", s.Queued, s.Undelivered)
		}
	})
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.net.Buffer(10)
		w.c = wsnotify.New(wsnotify.Config{HTTPClient: w.net.HTTPClient(), Outbox: box, WriteTimeout: -1, Heartbeat: wsnotify.Heartbeat{Interval: -1}})
		defer func() { w.c.Disconnect(); <-w.c.Done() }()
		w.connect().StopReading(true)
		w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 1000)))
		synctest.Wait()
		for range 3 {
			go w.c.SendMessage(bg, "x")
		}
		synctest.Wait()
		if n := testkit.Grown(func() { fill(w) }); n > most {
			t.Errorf("behind a writer that is stuck: %d KiB", n>>10)
		}
	})
}

// A Send that is given up leaves nothing in the outbox.
func TestSendsThatAreGivenUpTakeNoMemory(t *testing.T) {
	inBubble(t, wsnotify.Config{WriteTimeout: -1, Heartbeat: wsnotify.Heartbeat{Interval: -1}}, func(w *world) {
		w.net.Buffer(10)
		w.connect().StopReading(true)
		w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 1000)))
		synctest.Wait()
		n := testkit.Grown(func() {
			for range 20_000 {
				ctx, cancel := context.WithTimeout(bg, time.Millisecond)
				w.wantErr(w.c.SendMessage(ctx, "x"), context.DeadlineExceeded)
				cancel()
			}
		})
		if n > 1<<20 {
			t.Errorf("%d KiB", n>>10)
		}
	})
}

// While OnUndelivered is slow, what waits for it is bounded: then Enqueue
// refuses. Each message that it took is reported once, or sent.
func TestSlowOnUndelivered(t *testing.T) {
	for name, overflow := range map[string]wsnotify.Outbox{
		"DropOldest": {Overflow: wsnotify.DropOldest},
		"MaxAge":     {MaxAge: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			var blocked chan struct{}
			reported := map[string]int{}
			cfg := wsnotify.Config{Outbox: overflow, OnUndelivered: func(m wsnotify.Message, err error) {
				<-blocked
				reported[string(m.Data)]++
			}}
			cfg.Outbox.Messages, cfg.Outbox.Bytes = 10, 10<<10
			inBubble(t, wsnotify.Config{}, func(w *world) {
				blocked = make(chan struct{})
				c := wsnotify.New(cfg) // without a journal
				data := make([]byte, 1000)
				accepted, refused := 0, 0
				n := testkit.Grown(func() {
					for i := range 40_000 {
						copy(data, fmt.Sprintf("%05d", i))
						switch err := c.Enqueue(wsnotify.MessageBinary, data); {
						case err == nil:
							accepted++
						case errors.Is(err, wsnotify.ErrOutboxFull):
							refused++
							if overflow.MaxAge > 0 && refused%100 == 0 {
								time.Sleep(time.Millisecond)
							}
						default:
							t.Fatal(err)
						}
					}
				})
				if n > 3<<20 || refused == 0 {
					t.Errorf("%d KiB, %d refused", n>>10, refused)
				}
				close(blocked)
				synctest.Wait()
				w.must(c.Enqueue(wsnotify.MessageBinary, data)) // it has caught up
				w.must(c.Disconnect())
				w.pass(time.Second)
				queued := c.Status().Queued
				for text, times := range reported {
					if times != 1 {
						t.Errorf("%.5s was reported %d times", text, times)
					}
				}
				if len(reported)+queued < accepted || len(reported) > accepted+1 {
					t.Errorf("%d were accepted, %d reported, %d are queued", accepted, len(reported), queued)
				}
			})
		})
	}
}

// DropOldest does not refuse anything while OnUndelivered keeps up with it.
func TestQuickOnUndeliveredKeepsUp(t *testing.T) {
	reported := 0
	cfg := wsnotify.Config{
		Outbox:        wsnotify.Outbox{Messages: 2, Overflow: wsnotify.DropOldest},
		OnUndelivered: func(wsnotify.Message, error) { reported++ },
	}
	inBubble(t, wsnotify.Config{}, func(w *world) {
		c := wsnotify.New(cfg)
		for i := range 20_000 {
			w.must(c.Enqueue(wsnotify.MessageText, []byte("x")))
			if i%1000 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if reported != 20_000-2 {
			t.Errorf("%d were reported", reported)
		}
	})
}

// What comes back from a dead connection is as old as it was.
func TestMessagesExpireAfterALostConnection(t *testing.T) {
	inBubble(t, wsnotify.Config{
		Outbox: wsnotify.Outbox{MaxAge: 4 * time.Second}, BackOff: every(time.Hour), Heartbeat: wsnotify.Heartbeat{Interval: -1},
	}, func(w *world) {
		w.net.Buffer(64)
		conn := w.connect()
		conn.StopReading(true)
		for _, s := range []string{"a", "b", "c"} {
			w.must(w.c.Enqueue(wsnotify.MessageText, []byte(strings.Repeat(s, 100))))
		}
		w.pass(2 * time.Second)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("d")))
		w.pass(3 * time.Second) // the time of a, b and c has passed, while they were being written
		conn.Reset()
		synctest.Wait()
		w.journal()
		if s := w.c.Status(); s.Queued != 1 || s.Undelivered != 3 {
			t.Errorf("%d queued, %d undelivered", s.Queued, s.Undelivered)
		}
		w.pass(time.Minute)
		w.expect(`6s undelivered "d": expired`)
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

// What is enqueued for a connection that is over, but whose close frame has not left, is
// for the next one: nobody reads it on this one.
func TestMessageForAConnectionThatIsOver(t *testing.T) {
	for name, end := range map[string]func(w *world, conn *wsnotifytest.Conn){
		"closed by the server": func(_ *world, conn *wsnotifytest.Conn) { conn.Close(1001, "") },
		"Reconnect":            func(w *world, _ *wsnotifytest.Conn) { w.must(w.c.Reconnect()) },
	} {
		t.Run(name, func(t *testing.T) {
			var enqueue func()
			inBubble(t, wsnotify.Config{
				Heartbeat: noText,
				BackOff: func() wsnotify.BackOff {
					return &policy{next: func() time.Duration { return time.Second }, reset: func() {
						if enqueue != nil { // its clock starts when the connection is lost
							enqueue()
							enqueue = nil
							time.Sleep(time.Millisecond)
						}
					}}
				},
			}, func(w *world) {
				conn := w.connect()
				enqueue = func() { w.must(w.c.EnqueueJSON("late")) }
				end(w, conn)
				w.pass(time.Minute)
				if first, second := conn.Messages(), w.conn().Messages(); len(first) != 0 || len(second) != 1 {
					t.Errorf("the connection that is over got %q, the next one %q", first, second)
				}
			})
		})
	}
}

// Flush waits for what came before it and not for what comes behind: the line
// takes 100 kB/s, and others bring 120 kB/s.
func TestFlushIsABarrier(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: -1}}, func(w *world) {
		w.net.Buffer(100)
		w.connect()
		w.srv.BytesPerSecond(100_000)
		ctx, cancel := context.WithCancel(bg)
		var others sync.WaitGroup
		for range 2 {
			others.Go(func() {
				for ctx.Err() == nil {
					w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 234))
					time.Sleep(4 * time.Millisecond)
				}
			})
		}
		time.Sleep(time.Second)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("mine")))
		began := time.Now()
		var flushes sync.WaitGroup
		for range 100 {
			flushes.Go(func() { w.must(w.c.Flush(bg)) })
		}
		flushes.Wait()
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("it took %v", d)
		}
		time.Sleep(time.Second) // to arrive
		if !slices.Contains(w.srv.Messages("ada"), "mine") {
			t.Error("the message was not written")
		}
		cancel()
		others.Wait()
	})
}

// flush begins a Flush, which then waits, and returns where its error comes.
func (w *world) flush() <-chan error {
	result := make(chan error, 1)
	go func() { result <- w.c.Flush(bg) }()
	synctest.Wait()
	return result
}

// Flush is ErrClosed only if something that it waits for was given up.
func TestFlushAtTheEnd(t *testing.T) {
	inBubble(t, wsnotify.Config{CloseTimeout: -1}, func(w *world) {
		w.net.Buffer(64)
		conn := w.connect()
		conn.StopReading(true)
		w.must(w.c.Enqueue(wsnotify.MessageText, bytes.Repeat([]byte("x"), 200)))
		synctest.Wait()
		all := w.flush()
		conn.StopReading(false)
		w.c.Disconnect()
		if err := <-all; (err != nil) != (w.c.Status().Undelivered > 0) {
			t.Errorf("%v, and %d were not delivered", err, w.c.Status().Undelivered)
		}
	})
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.net.Buffer(64)
		conn := w.connect()
		conn.StopReading(true)
		w.must(w.c.Enqueue(wsnotify.MessageText, bytes.Repeat([]byte("x"), 60)))
		w.must(w.c.Enqueue(wsnotify.MessageText, bytes.Repeat([]byte("y"), 60)))
		synctest.Wait()
		first := w.flush()
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("z")))
		second := w.flush()
		conn.StopReading(false)
		w.must(<-first)
		w.must(<-second)
		w.srv.Stop()
		synctest.Wait()
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("late")))
		third := w.flush()
		w.must(w.c.Disconnect())
		w.wantErr(<-third, wsnotify.ErrClosed)
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
