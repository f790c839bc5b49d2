package wsnotify_test

import (
	"bytes"
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
