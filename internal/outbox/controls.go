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
	pings []ping   // in the order in which they were made: a pong answers those before its own, too
	pongs [][]byte // payloads of the answers to pings
	texts [][]byte // of Heartbeat.Answer
	close *closeFrame
}

// ping is a protocol ping: of a heartbeat, of which only the latest counts, or of
// Ping.
type ping struct {
	payload []byte
	beat    bool
}

// Values of Writer.ping that are no frame's.
const (
	none        = -1
	interjected = -2 // among the frames that the batch has interjected
)

// closeFrame is a close frame that is due.
type closeFrame struct {
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
func (w *Writer) addControls() *closeFrame {
	w.mu.Lock()
	c := w.front
	w.front = controls{close: c.close}
	if n := len(c.first); n > 0 {
		if granted := w.out.pacer.grant(n); granted < n {
			w.front.first, c.first = c.first[granted:], c.first[:granted:granted]
			w.out.pacer.await(w, true)
		}
	}
	w.mu.Unlock()
	for _, p := range c.pongs {
		w.batch.Add(wire.Pong, p)
	}
	for _, p := range c.texts {
		w.batch.Add(wire.Text, p)
	}
	w.ping = none
	if c.text != "" {
		if w.TextPings {
			w.ping = w.batch.Len()
		}
		w.batch.Add(wire.Text, []byte(c.text))
	}
	for _, p := range c.pings {
		if p.beat {
			w.ping = w.batch.Len()
		}
		w.batch.Add(wire.Ping, p.payload)
	}
	for _, f := range c.first {
		w.batch.Add(f.op, f.data)
	}
	w.opening, w.base = c.first, w.batch.Len()
	return c.close
}

// interject has the control frames that are due leave before the next frame of the
// batch, which may be a fragment in the middle of a message: RFC 6455, section
// 5.4. If the close frame is, or the writer is to stop, the batch ends with the frame
// under way; interject reports true when it has. The batch is locked.
func (w *Writer) interject() (done bool) {
	w.mu.Lock()
	c := &w.front
	var pings []ping
	var pongs [][]byte
	cut := w.stopped.Load() || c.close != nil && !c.close.drain
	if !cut { // else the next round has them, before the close frame
		pings, pongs = c.pings, c.pongs
		c.pings, c.pongs = nil, nil
	}
	w.mu.Unlock()
	for _, p := range pongs {
		w.batch.Interject(wire.Pong, p)
	}
	for _, p := range pings {
		if p.beat {
			w.ping = interjected
		}
		w.batch.Interject(wire.Ping, p.payload)
	}
	if cut {
		w.batch.Cut()
	}
	done, torn := w.batch.IsCut()
	if done {
		w.fail(torn)
	}
	return done
}

// tookPing reports whether the write that has just ended n frames took the ping
// of a beat. The batch is locked.
func (w *Writer) tookPing(n int, err error) (took bool) {
	switch {
	case w.ping == interjected:
		took = err == nil && w.batch.Interjected()
	case w.ping != none:
		took = w.ping >= w.ended && w.ping < w.ended+n
	}
	if took {
		w.ping = none
	}
	return took
}

// SendFirst sends a message of a Handshake, and is as exact as a Send.
func (w *Writer) SendFirst(ctx context.Context, op wire.Op, data []byte) error {
	f := &first{op: op, data: data, result: make(chan error, 1)}
	w.mu.Lock()
	if w.refuses {
		w.mu.Unlock()
		return w.out.ErrNotConnected
	}
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
		return w.out.interrupted(ctx.Err())
	}
}

// refuseFirst answers a Handshake whose connection can't write any more.
func (w *Writer) refuseFirst() {
	w.mu.Lock()
	late := w.front.first
	w.front.first, w.refuses = nil, true
	w.mu.Unlock()
	for _, f := range late {
		f.result <- w.out.ErrNotConnected
	}
}

// Beat sends a heartbeat, and whatever else waits, unless somebody is at it. One
// that still waits for its write is replaced.
func (w *Writer) Beat(text string, payload []byte) {
	w.mu.Lock()
	if text != "" {
		w.front.text = text
	}
	if payload != nil {
		w.front.pings = slices.DeleteFunc(w.front.pings, func(p ping) bool { return p.beat })
		w.front.pings = append(w.front.pings, ping{payload, true})
	}
	w.mu.Unlock()
	if w.claim() {
		w.runNow()
	}
}

// SendPing sends a ping of Ping.
func (w *Writer) SendPing(payload []byte) {
	w.mu.Lock()
	w.front.pings = append(w.front.pings, ping{payload, false})
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

// SendClose queues the close frame: after what the outbox holds, or at once.
func (w *Writer) SendClose(code int, reason string, drain bool) {
	w.mu.Lock()
	w.front.close = &closeFrame{code, reason, drain}
	w.mu.Unlock()
	w.kick()
}
