//go:build linux

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// Socket.io 4 (Engine.IO 4) over its WebSocket transport: its own pings, a
// namespace, and acknowledgements, which are no JSON objects, so that they are
// matched here and not by Request.
func TestSocketIO(t *testing.T) {
	t.Parallel()
	s := serve(t, "socket.io", options{})
	numbers := newSequence()
	acks := &acknowledgements{waiting: map[int]chan int{}}
	ctx, cancel := context.WithTimeout(t.Context(), 3*waitLimit)
	defer cancel()

	c := newClient(t, wsnotify.Config{
		Envelope:  wsnotify.Envelope{Parse: parseSocketIO},
		Heartbeat: answering("2", "3"),
		BackOff:   quick,
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			open, err := h.Receive(ctx) // 0{"sid":…,"pingInterval":…}
			if err != nil {
				return err
			}
			if !bytes.HasPrefix(open.Data, []byte("0{")) {
				return fmt.Errorf("expected an Engine.IO open packet, got %s", open.Data)
			}
			if err := h.SendMessage(ctx, fmt.Sprintf(`40/news,{"from":%d}`, numbers.next())); err != nil {
				return err
			}
			answer, err := h.Receive(ctx)
			if err == nil && !bytes.HasPrefix(answer.Data, []byte("40/news,")) {
				err = fmt.Errorf("the namespace was refused: %s", answer.Data)
			}
			return err
		},
	})
	block := 3 * time.Second // the server waits 2 s for an answer
	wsnotify.On(c.Client, "count", func(args []int) {
		time.Sleep(block)
		block = 0
		numbers.add(args[0])
	})
	wsnotify.On(c.Client, "ack", acks.come)
	ask := func(n int, hold bool) (int, error) {
		answer := acks.expect(n)
		if err := c.SendMessage(ctx, fmt.Sprintf(`42/news,%d["do",{"n":%d,"hold":%v}]`, n, n, hold)); err != nil {
			return 0, err
		}
		lost, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			c.WaitFor(lost, wsnotify.Closed)
			stop()
		}()
		select {
		case got := <-answer:
			return got, nil
		case <-lost.Done():
			return 0, wsnotify.ErrUnconfirmed
		}
	}

	if err := c.Connect(ctx, "ws://"+s.addr()+"/socket.io/?EIO=4&transport=websocket", ""); err != nil {
		t.Fatal(err)
	}
	numbers.reach(t, 20)
	s.await(t, 0, waitLimit, "a pong", event("pong"))
	asksOverADrop(t, s, c, numbers, ask, func() {})
}

// parseSocketIO reads the packets of one namespace: 42/news,["event",…] is a
// notification with the arguments behind its name, and 43/news,7[…] an "ack".
func parseSocketIO(m wsnotify.Message) (msgType string, content []byte, err error) {
	kind, rest, ok := strings.Cut(string(m.Data), "/news,")
	switch {
	case ok && kind == "42":
		var args []json.RawMessage
		if err := json.Unmarshal([]byte(rest), &args); err != nil {
			return "", nil, err
		}
		if err := json.Unmarshal(args[0], &msgType); err != nil {
			return "", nil, err
		}
		content, err = json.Marshal(args[1:])
		return msgType, content, err
	case ok && kind == "43":
		id, args, _ := strings.Cut(rest, "[")
		return "ack", fmt.Appendf(nil, `{"id":%s,"args":[%s}`, id, args), nil
	}
	return "", nil, fmt.Errorf("the packet %q is not expected", m.Data)
}

type acknowledgements struct {
	mu      sync.Mutex
	waiting map[int]chan int
}

func (a *acknowledgements) expect(id int) <-chan int {
	a.mu.Lock()
	defer a.mu.Unlock()
	ch := make(chan int, 1)
	a.waiting[id] = ch
	return ch
}

func (a *acknowledgements) come(ack struct {
	ID   int
	Args []int
}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ch := a.waiting[ack.ID]; ch != nil && len(ack.Args) == 1 {
		delete(a.waiting, ack.ID)
		ch <- ack.Args[0]
	}
}
