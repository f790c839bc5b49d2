//go:build linux

package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

type publication struct {
	Data   int
	Offset uint64
}

// position is how far a channel of centrifuge was seen.
type position struct {
	offset uint64
	epoch  string // of the server's history
}

// The JSON protocol of centrifuge, the library of centrifugo: its pings, a
// procedure, and a channel whose history fills the gap that a drop has left.
func TestCentrifuge(t *testing.T) {
	t.Parallel()
	s := serve(t, "centrifuge", options{})
	numbers := newSequence()
	ctx, cancel := context.WithTimeout(t.Context(), 3*waitLimit)
	defer cancel()

	at := make(chan position, 1) // one that may be looked at holds it
	at <- position{}
	recovered := make(chan bool, 1000)
	// take handles a publication, once. A callback of the old connection and the
	// handshake of the new one may do so at the same time.
	take := func(pos *position, p publication) {
		if p.Offset > pos.offset {
			pos.offset = p.Offset
			numbers.force(p.Data)
		}
	}
	c := newClient(t, wsnotify.Config{
		Envelope:  wsnotify.Envelope{Parse: parseCentrifuge},
		Heartbeat: answering("{}", "{}"),
		BackOff:   quick,
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			if _, err := ordered(ctx, h, `{"id":1,"connect":{}}`); err != nil {
				return err
			}
			pos := <-at
			defer func() { at <- pos }()
			subscribe := `{"id":2,"subscribe":{"channel":"count"}}`
			if pos.epoch != "" {
				subscribe = fmt.Sprintf(`{"id":2,"subscribe":{"channel":"count","recover":true,"offset":%d,"epoch":%q}}`, pos.offset, pos.epoch)
			}
			answer, err := ordered(ctx, h, subscribe)
			if err != nil {
				return err
			}
			if pos.epoch == "" {
				pos.offset, pos.epoch = answer.Subscribe.Offset, answer.Subscribe.Epoch
			}
			for _, p := range answer.Subscribe.Publications {
				take(&pos, p)
			}
			recovered <- answer.Subscribe.Recovered
			return nil
		},
	})
	block := time.Second // the server waits 0.2 s for an answer
	wsnotify.On(c.Client, "count", func(p publication) {
		time.Sleep(block)
		block = 0
		pos := <-at
		take(&pos, p)
		at <- pos
	})
	ask := func(n int, hold bool) (int, error) {
		id := itoa(1000 + n) // not those of the handshake
		answer, err := wsnotify.RequestJSON[struct{ RPC struct{ Data int } }](ctx, c.Client, id,
			json.RawMessage(fmt.Sprintf(`{"id":%s,"rpc":{"method":"do","data":{"n":%d,"hold":%v}}}`, id, n, hold)))
		return answer.RPC.Data, err
	}

	if err := c.Connect(ctx, "ws://"+s.addr()+"/", ""); err != nil {
		t.Fatal(err)
	}
	if <-recovered {
		t.Error("the first subscription has recovered something")
	}
	numbers.reach(t, numbers.await(t)+20)
	asksOverADrop(t, s, c, numbers, ask, func() {
		if !<-recovered {
			t.Error("the second subscription has recovered nothing")
		}
	})
}

// parseCentrifuge finds the channel and the publication of a push. It needs a
// message to be one command, as a server with MaxMessagesInFrame 1 sends them.
func parseCentrifuge(m wsnotify.Message) (msgType string, content []byte, err error) {
	var message struct {
		Push struct {
			Channel string
			Pub     json.RawMessage
		}
	}
	err = json.Unmarshal(m.Data, &message)
	return message.Push.Channel, message.Push.Pub, err
}

type reply struct {
	Error     *struct{ Message string }
	Subscribe struct {
		Offset       uint64
		Epoch        string
		Recovered    bool
		Publications []publication
	}
}

// ordered sends a command and returns its answer.
func ordered(ctx context.Context, h *wsnotify.Handshake, text string) (r reply, err error) {
	if err := h.SendMessage(ctx, text); err != nil {
		return r, err
	}
	answer, err := h.Receive(ctx)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(answer.Data, &r); err != nil {
		return r, err
	}
	if r.Error != nil {
		return r, errors.New(r.Error.Message)
	}
	return r, nil
}
