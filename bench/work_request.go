package main

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/wsnotify/wsnotify"
)

// request asks a server that echoes, from 16 goroutines: by Request, or by Send
// and a map of those who wait, as it is written by hand.
func request(byHand bool) func(*measurement) (Result, error) {
	return func(m *measurement) (result Result, err error) {
		t, err := m.target("/echo", false)
		if err != nil {
			return Result{}, err
		}
		var waiting waiters
		cfg := wsnotify.Config{HTTPClient: httpClient(t)}
		if byHand {
			cfg.OnMessage = waiting.answer
		}
		c := wsnotifyClient{wsnotify.New(cfg)}
		ctx, cancel := context.WithTimeout(context.Background(), m.Time+drainTime)
		defer cancel()
		if err := c.c.Connect(ctx, t.url, ""); err != nil {
			return Result{}, err
		}
		defer c.close()
		var ids atomic.Uint64
		l := &load{goroutines: 16, flush: func() error { return nil }, call: func([]byte) error {
			id := strconv.FormatUint(ids.Add(1), 10)
			data := []byte(`{"id":"` + id + `","method":"sum","params":[1,2,3]}`)
			if !byHand {
				_, err := c.c.Request(ctx, id, wsnotify.MessageText, data)
				return err
			}
			answer := waiting.begin(id)
			if err := c.c.Send(ctx, wsnotify.MessageText, data); err != nil {
				return err
			}
			<-answer
			return nil
		}}
		if _, err := l.run(m.Time / 5); err != nil {
			return Result{}, err
		}
		mt, err := m.meter()
		if err != nil {
			return Result{}, err
		}
		n, err := l.run(m.Time)
		return m.finish(mt, func() int64 { return n }), err
	}
}

// waiters are requests under way, by id.
type waiters struct {
	mu   sync.Mutex
	list map[string]chan wsnotify.Message
}

func (w *waiters) begin(id string) <-chan wsnotify.Message {
	answer := make(chan wsnotify.Message, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		w.list = map[string]chan wsnotify.Message{}
	}
	w.list[id] = answer
	return answer
}

func (w *waiters) answer(m wsnotify.Message) {
	var head struct{ ID string }
	must(json.Unmarshal(m.Data, &head))
	w.mu.Lock()
	answer := w.list[head.ID]
	delete(w.list, head.ID)
	w.mu.Unlock()
	answer <- m
}
