package outbox

import (
	"context"
	"slices"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// controls are what this side sends besides messages, and before them.
type controls struct {
	first []*first // of a Handshake
	text  string   // of a heartbeat that is due
	ping  []byte   // payload of its protocol ping
	pings [][]byte // payloads of those asked for by Ping
	pongs [][]byte // payloads of the answers to pings
	texts [][]byte // of Heartbeat.Answer
	bye   *bye
}

// bye is a close frame that is due.
type bye struct {
	code   int
	reason string
	drain  bool // after what the outbox holds
}

// first is a message that a Handshake sends.
type first struct {
	op     wire.Op
	data   []byte
	result chan error // of capacity 1
}

const maxPongs = 64 // that wait for the socket; RFC 6455, 5.5.3 allows to skip older ones

// addControls moves what is due to the batch but for the close frame, which it
// returns. The batch is locked.
func (w *Writer) addControls() *bye {
	w.mu.Lock()
	c := w.front
	w.front = controls{bye: c.bye}
	w.mu.Unlock()
	for _, p := range c.pongs {
		w.batch.Add(wire.Pong, p)
	}
	for _, p := range c.texts {
		w.batch.Add(wire.Text, p)
	}
	w.ping = -1
	if c.text != "" {
		if w.TextPings {
			w.ping = w.batch.Len()
		}
		w.batch.Add(wire.Text, []byte(c.text))
	}
	if c.ping != nil {
		w.ping = w.batch.Len()
		w.batch.Add(wire.Ping, c.ping)
	}
	for _, p := range c.pings {
		w.batch.Add(wire.Ping, p)
	}
	for _, f := range c.first {
		w.batch.Add(f.op, f.data)
	}
	w.opening, w.base = c.first, w.batch.Len()
	return c.bye
}

// SendFirst sends a message of a Handshake, and is as exact as a Send.
func (w *Writer) SendFirst(ctx context.Context, op wire.Op, data []byte) error {
	f := &first{op: op, data: data, result: make(chan error, 1)}
	w.mu.Lock()
	w.front.first = append(w.front.first, f)
	w.mu.Unlock()
	w.kick()
	select {
	case err := <-f.result:
		return err
	case <-ctx.Done():
	}
	w.batch.Lock() // so that data is not in use when this returns
	defer w.batch.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.front.first, f); i >= 0 {
		w.front.first = slices.Delete(w.front.first, i, i+1)
		return ctx.Err()
	}
	if i := slices.Index(w.opening, f); i >= 0 && !w.batch.Withdraw(w.base-len(w.opening)+i) {
		return ctx.Err()
	}
	select {
	case err := <-f.result:
		return err
	default:
		return w.box.post.interrupted(ctx.Err())
	}
}

// refuseFirst answers a Handshake whose connection can't write any more.
func (w *Writer) refuseFirst() {
	w.mu.Lock()
	late := w.front.first
	w.front.first = nil
	w.mu.Unlock()
	for _, f := range late {
		f.result <- w.box.post.ErrNotConnected
	}
}

// Beat sends a heartbeat, and whatever else waits, unless somebody is at it. One
// that still waits for its write is replaced.
func (w *Writer) Beat(text string, ping []byte) {
	w.mu.Lock()
	if text != "" {
		w.front.text = text
	}
	if ping != nil {
		w.front.ping = ping
	}
	w.mu.Unlock()
	if w.claim() {
		w.run()
	}
}

func (w *Writer) SendPing(payload []byte) {
	w.mu.Lock()
	w.front.pings = append(w.front.pings, payload)
	w.mu.Unlock()
	w.kick()
}

// Pong queues the answer to a ping. Each gets its own, in order, for as long
// as the peer takes them.
func (w *Writer) Pong(payload []byte) {
	w.mu.Lock()
	w.front.pongs = appendLatest(w.front.pongs, slices.Clone(payload))
	w.mu.Unlock()
	w.kick()
}

// Reply queues an answer to a ping that came as a message, as Pong does.
func (w *Writer) Reply(text string) {
	w.mu.Lock()
	w.front.texts = appendLatest(w.front.texts, []byte(text))
	w.mu.Unlock()
	w.kick()
}

// appendLatest appends to a list of answers, of which there are maxPongs.
func appendLatest(list [][]byte, answer []byte) [][]byte {
	if len(list) == maxPongs {
		list = append(list[:0], list[1:]...)
	}
	return append(list, answer)
}

// Bye queues the close frame: after what the outbox holds, or at once.
func (w *Writer) Bye(code int, reason string, drain bool) {
	w.mu.Lock()
	w.front.bye = &bye{code, reason, drain}
	w.mu.Unlock()
	w.kick()
}
