package outbox

import (
	"errors"

	"github.com/wsnotify/wsnotify/internal/wire"
)

var testErrors = Errors{
	ErrNotConnected: errors.New("not connected"), ErrClosed: errors.New("closed"), ErrSuperseded: errors.New("superseded"),
	ErrInterrupted: errors.New("interrupted"), ErrNotAcknowledged: errors.New("not acknowledged"),
	ErrOutboxFull: errors.New("full"), ErrExpired: errors.New("expired"),
	TooLarge: func(int, int) error { return errors.New("too large") },
}

// testConfig is that of an outbox without limits whose events are dispatched at
// once.
func testConfig() Config {
	return Config{
		Messages: -1, Bytes: -1, Errors: &testErrors,
		Notify: func(f func()) { go f() }, Report: func(error) {}, Lost: func(int, error) {}, Written: func(int, int, int) {},
	}
}

func newTestOutbox(id func(wire.Op, []byte) string) *Outbox {
	cfg := testConfig()
	cfg.ConfirmID = id
	return New(cfg)
}

// attached returns a writer that writes nothing by itself: the test does what
// its rounds do.
func attached(o *Outbox) *Writer { return attachedTo(o.Latest()) }

func attachedTo(s *Session) *Writer {
	w := NewWriter(nil, s.o, Hooks{})
	w.running.Store(again) // somebody is at it, so that a kick starts nothing
	s.Attach(w)
	return w
}

// dequeued does what a writer does to get messages, whose frames it forgets.
func dequeued(w *Writer, most, limit int) int {
	w.batch.Lock()
	defer w.batch.Unlock()
	n, _ := w.out.dequeue(w, most, limit)
	w.batch.Reset()
	return n
}

// itself takes a message for its own id.
func itself(_ wire.Op, data []byte) string { return string(data) }
