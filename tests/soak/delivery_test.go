package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// Messages that are confirmed, and kept by a Store, arrive at least once and
// first in the order of Enqueue, whatever happens to writes, connections,
// confirmations and processes; so exactly once for a server that drops what it
// has seen. The buffers are small, so that writes end in the middle.
func TestConfirmedMessagesArriveOnceAndInOrder(t *testing.T) {
	n := uint64(150)
	if testing.Short() {
		n = 30
	}
	for seed := range n {
		rnd := rand.New(rand.NewPCG(seed, 14))
		stores := seed%2 == 0
		cfg := wsnotify.Config{
			BackOff: harness.Every(time.Second),
			Outbox: wsnotify.Outbox{
				Messages:       1 + rnd.IntN(30),
				ConfirmID:      func(m wsnotify.Message) string { id, _, _ := strings.Cut(string(m.Data), " "); return id },
				ConfirmTimeout: time.Duration(1+rnd.IntN(20)) * time.Second,
			},
		}
		harness.InBubble(t, cfg, func(w *harness.World) {
			d := &delivery{World: w, cfg: cfg, rnd: rnd, read: map[*wsnotifytest.Conn]int{}, seen: map[string]bool{}}
			if rnd.IntN(3) > 0 {
				w.Net.Buffer(20 + rnd.IntN(200))
			}
			if stores {
				d.shelf = harness.NewShelf(t)
			}
			d.process()
			for range 120 {
				d.step()
			}
			d.end()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

// delivery is a client with a server that confirms some of what it gets.
type delivery struct {
	*harness.World
	cfg   wsnotify.Config
	rnd   *rand.Rand
	shelf *harness.Shelf

	accepted []string
	read     map[*wsnotifytest.Conn]int // messages that the server has looked at
	first    []string                   // in the order in which they came first
	seen     map[string]bool
}

// process begins with nothing but what the store holds.
func (d *delivery) process() {
	cfg := d.cfg
	if d.shelf != nil {
		cfg.Outbox.Store = d.shelf
	}
	var c *wsnotify.Client
	cfg.OnMessage = func(m wsnotify.Message) { c.Confirm(strings.Split(string(m.Data), ",")...) }
	c = wsnotify.New(d.Config(cfg))
	d.Client = c
	go c.Connect(context.Background(), d.Server.URL(), "ada")
	synctest.Wait()
}

// crash is a kill -9: what the store held at that moment is all that is left.
func (d *delivery) crash() {
	after := d.shelf.Copy()
	d.Server.DropAll()
	dead := d.Client
	dead.Disconnect()
	<-dead.Done()
	d.serve(0)
	d.shelf = after
	d.process()
}

// serve lets the server read, and confirm with a probability of percent.
func (d *delivery) serve(percent int) {
	synctest.Wait()
	for n := range d.Server.Total() {
		conn, err := d.Server.NthConn(context.Background(), n+1)
		d.Must(err)
		var ids []string
		for _, text := range conn.Messages()[d.read[conn]:] {
			d.read[conn]++
			id, _, _ := strings.Cut(text, " ")
			if !d.seen[id] {
				d.seen[id] = true
				d.first = append(d.first, id)
			}
			if d.rnd.IntN(100) < percent {
				ids = append(ids, id)
			}
			if d.rnd.IntN(100) < percent/10 {
				ids = append(ids, id, "unknown")
			}
		}
		d.rnd.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		if len(ids) > 0 {
			go conn.SendText(strings.Join(ids, ",")) // or it is lost with the connection
		}
	}
	synctest.Wait()
}

func (d *delivery) step() {
	switch d.rnd.IntN(20) {
	case 0:
		d.Server.DropAll()
	case 1:
		for _, conn := range d.Server.LiveConns() {
			conn.Reset()
		}
	case 2:
		for _, conn := range d.Server.LiveConns() {
			go conn.Close(1012, "")
		}
	case 3:
		d.Server.Refuse(1, 503, nil, "")
	case 4:
		d.Client.Reconnect()
	case 5, 6, 7:
		time.Sleep(time.Duration(d.rnd.IntN(4000)) * time.Millisecond)
	case 8, 9:
		for _, conn := range d.Server.LiveConns() {
			conn.StopReading(d.rnd.IntN(2) == 0)
		}
	case 10, 11, 12:
		d.serve(d.rnd.IntN(101))
	case 13:
		if d.shelf != nil {
			d.crash()
		}
	case 14:
		if d.shelf != nil {
			d.Client.Disconnect()
			go d.Client.Connect(context.Background(), d.Server.URL(), "ada")
			synctest.Wait()
		}
	default:
		for range 1 + d.rnd.IntN(5) {
			id := fmt.Sprint("id", len(d.accepted))
			err := d.Client.Enqueue(wsnotify.MessageText, []byte(id+" "+strings.Repeat("x", d.rnd.IntN(150))))
			switch {
			case err == nil:
				d.accepted = append(d.accepted, id)
			case !errors.Is(err, wsnotify.ErrOutboxFull):
				d.Error(err)
			}
		}
	}
}

// end confirms all, and compares.
func (d *delivery) end() {
	flushed := make(chan error, 1)
	go func() { flushed <- d.Client.Flush(context.Background()) }()
	for range 200 {
		for _, conn := range d.Server.LiveConns() {
			conn.StopReading(false)
		}
		d.serve(100)
		time.Sleep(time.Second)
	}
	select {
	case err := <-flushed:
		d.Must(err)
	default:
		d.Error("Flush does not return")
	}
	if got, want := fmt.Sprint(d.first), fmt.Sprint(d.accepted); got != want {
		d.Errorf("what arrived, each once, is\n\t%s\nand not\n\t%s", got, want)
	}
	if s := d.Client.Status(); s.Queued != 0 || s.Unconfirmed != 0 || s.Undelivered != 0 {
		d.Errorf("%d are queued, %d unconfirmed, %d undelivered", s.Queued, s.Unconfirmed, s.Undelivered)
	}
	if d.shelf != nil {
		synctest.Wait()
		if left := d.shelf.Texts(); len(left) > 0 {
			d.Errorf("the store holds %q", left)
		}
	}
}
