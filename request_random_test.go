package wsnotify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// numbered is a question, and its answer. N tells apart what has the same id.
type numbered struct {
	ID any `json:"id"`
	N  int `json:"n"`
}

// answered is what became of each question, by its N.
type answered struct {
	mu       sync.Mutex
	asked    map[int]int // how often the server saw it
	answers  map[int]int // how often the server answered it
	seen     map[int]int // answers that reached a callback
	outcomes map[int]int
	good     int
	t        *testing.T
}

func (l *answered) add(counts map[int]int, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts[n]++
}

// outcome is told what Request returned.
func (l *answered) outcome(n int, answer wsnotify.Message, err error) {
	l.add(l.outcomes, n)
	var got numbered
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.good++
		if err := json.Unmarshal(answer.Data, &got); err != nil || got.N != n {
			l.t.Errorf("question %d has the answer %s, %v", n, answer.Data, err)
		}
	case errors.Is(err, wsnotify.ErrUnconfirmed):
		if errors.Is(err, wsnotify.ErrNotConnected) {
			l.t.Errorf("question %d: %v", n, err)
		}
	case l.asked[n] > 0:
		l.t.Errorf("question %d arrived, and the error is %v", n, err)
	}
}

// A server that answers at once, late, twice, never and out of order, with
// ids as numbers and as strings, while connections come and go.
func TestRequestsAtRandom(t *testing.T) {
	runs := 60
	if testing.Short() {
		runs = 10
	}
	for range runs {
		seed := rand.Uint64()
		randomRequests(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func randomRequests(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 17))
	again := rnd.IntN(2) == 0 // ids are used again, and then nothing is answered twice
	l := &answered{t: t, asked: map[int]int{}, answers: map[int]int{}, seen: map[int]int{}, outcomes: map[int]int{}}
	fates := make([]func(answer func()), 400)
	for i := range fates {
		late := time.Duration(rnd.Int64N(int64(4 * time.Second)))
		switch fate := rnd.IntN(8); {
		case fate < 3:
			fates[i] = func(answer func()) { answer() }
		case fate == 3:
			fates[i] = func(answer func()) {}
		case fate < 6 || again:
			fates[i] = func(answer func()) { time.AfterFunc(late, answer) }
		default:
			fates[i] = func(answer func()) { answer(); time.AfterFunc(late, answer) }
		}
	}
	var c *wsnotify.Client
	inside := 0
	var ask func(ctx context.Context, n int)
	inBubble(t, wsnotify.Config{
		StableAfter: time.Hour,
		Inbox:       wsnotify.Inbox{Messages: 3},
		BackOff:     wsnotify.Exponential(100*time.Millisecond, 200*time.Millisecond, -1),
		OnMessage: func(m wsnotify.Message) {
			var got numbered
			if json.Unmarshal(m.Data, &got) == nil && got.N > 0 {
				l.add(l.seen, got.N)
			}
			if rnd := int(m.Data[len(m.Data)-2]); rnd%3 == 0 && inside < 100 { // in the callback
				inside++
				ask(bg, 1000+inside)
			}
		},
	}, func(w *world) {
		c = w.c
		ask = func(ctx context.Context, n int) {
			id := n
			if again {
				id = n % 20
			}
			data, _ := json.Marshal(numbered{id, n})
			answer, err := c.Request(ctx, fmt.Sprint(id), wsnotify.MessageText, data)
			l.outcome(n, answer, err)
		}
		w.srv.RecordMessages(false)
		w.srv.OnMessage(func(conn *wsnotifytest.Conn, _ byte, data []byte) {
			var q numbered
			if json.Unmarshal(data, &q) != nil {
				return
			}
			l.add(l.asked, q.N)
			if q.N%2 == 0 {
				q.ID = fmt.Sprint(q.ID)
			}
			fates[q.N%len(fates)](func() {
				text, _ := json.Marshal(q)
				l.add(l.answers, q.N)
				go conn.SendText(string(text))
			})
		})
		w.connect()
		var wait sync.WaitGroup
		for n := 1; n <= 300; n++ {
			ctx, cancel := context.WithTimeout(bg, time.Duration(1+rnd.Int64N(int64(3*time.Second))))
			if rnd.IntN(3) == 0 {
				cancel()
				ctx, cancel = context.WithTimeout(bg, time.Hour)
			}
			wait.Go(func() { defer cancel(); ask(ctx, n) })
			switch conns := w.srv.LiveConns(); {
			case len(conns) == 0:
			case rnd.IntN(40) == 0:
				conns[0].Drop()
			case rnd.IntN(40) == 0:
				conns[0].Close(1012, "")
			case rnd.IntN(40) == 0:
				go w.c.Reconnect()
			case rnd.IntN(8) == 0:
				conns[0].Notify("news", n)
			}
			if rnd.IntN(2) == 0 {
				w.pass(time.Duration(rnd.Int64N(int64(200 * time.Millisecond))))
			}
		}
		w.pass(10 * time.Second)
		w.must(w.c.Disconnect())
		<-w.c.Done()
		synctest.Wait()
		wait.Wait()
		for n := 1; n <= 300; n++ {
			if l.outcomes[n] != 1 {
				t.Errorf("question %d has %d outcomes", n, l.outcomes[n])
			}
		}
		for n := 1001; n <= 1000+inside; n++ {
			if l.outcomes[n] != 1 {
				t.Errorf("question %d of a callback has %d outcomes", n, l.outcomes[n])
			}
		}
		for n, seen := range l.seen {
			if seen > max(0, l.answers[n]-1) {
				t.Errorf("of %d answers to question %d, %d reached a callback", l.answers[n], n, seen)
			}
		}
		if l.good < 50 {
			t.Errorf("only %d were answered", l.good)
		}
	})
}
