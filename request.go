// This file sends requests and finds their answers. The registry belongs to
// one connection; the reader asks it about each message, before the inbox and
// only while there is a request under way.

package wsnotify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/wsnotify/wsnotify/internal/envelope"
	"github.com/wsnotify/wsnotify/internal/handshake"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// Request sends a message as Send does, and waits for its answer: the first
// message of the same connection whose field Envelope.ID is id, a string or a
// number as it stands in JSON. The answer goes to no callback and no iterator.
// id is to be in data, too; Request does not put it there.
//
// The errors are those of Send, and ErrNotAcknowledged: the request was written,
// and the connection or ctx ended before the answer came. An answer that comes later is dropped. An id that is waited for
// on this connection, or was by one of the last 4096 Requests that gave up on
// it, is refused, so that a late answer can't be taken for another's.
//
// Request may be called in a callback, which holds up the others meanwhile. If
// the inbox becomes full, so that the answer can't be read before the callback
// returns, that is an error at once.
func (c *Client) Request(ctx context.Context, id string, typ MessageType, data []byte) (answer Message, err error) {
	if err := checkMessage(typ, data); err != nil {
		return Message{}, err
	}
	if id == "" || !utf8.ValidString(id) {
		return Message{}, fmt.Errorf("wsnotify: the id of a request must be UTF-8 and not empty, to be found in its answer; got %q", id)
	}
	if err := ctx.Err(); err != nil {
		return Message{}, err
	}
	r, cn, err := c.connection()
	if err != nil {
		return Message{}, err
	}
	w, err := cn.requests.begin(id)
	if err != nil {
		return Message{}, err
	}
	if cn.readerWaits() && inCallback() {
		cn.requests.forget(id, w)
		return Message{}, errFullInbox
	}
	err = r.c.outbox.SendOver(ctx, cn.w, wire.Op(typ), data)
	switch {
	case err == nil:
		answer, cause := cn.awaitAnswer(ctx, w)
		if cause == nil {
			return answer, nil
		}
		err = &noAnswerError{id, cause}
	case !errors.Is(err, ErrUnconfirmed):
		cn.requests.forget(id, w)
		return Message{}, err
	}
	if answer, ok := cn.requests.giveUp(id, w); ok {
		return answer, nil
	}
	return Message{}, err
}

// RequestJSON is Request with the JSON of v as a text message, which has to
// hold id where the server looks for it. It returns the whole answer, decoded
// as T. An answer that does not fit T is an error of encoding/json.
func RequestJSON[T any](ctx context.Context, c *Client, id string, v any) (T, error) {
	var answer, none T
	data, err := marshal(v)
	if err != nil {
		return none, err
	}
	msg, err := c.Request(ctx, id, MessageText, data)
	if err != nil {
		return none, err
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return none, fmt.Errorf("wsnotify: the answer to request %q does not fit %T: %w", id, answer, handshake.Quoting(err))
	}
	return answer, nil
}

// errFullInbox is Request's before anything was sent, and the cause of a
// noAnswerError after that.
var errFullInbox = errors.New("wsnotify: the inbox is full, so no answer can be read before this callback returns; " +
	"call Request on a goroutine of its own")

var errEndedUnanswered = errors.New("the connection ended")

// noAnswerError is ErrNotAcknowledged for a request that was written.
type noAnswerError struct {
	id    string
	cause error
}

func (e *noAnswerError) Error() string {
	return fmt.Sprintf("wsnotify: no answer to request %q, which was written, so that the server may or may not have got it: %v", e.id, e.cause)
}

func (e *noAnswerError) Unwrap() []error { return []error{ErrNotAcknowledged, e.cause} }

// connection returns the open connection, or why there is none.
func (c *Client) connection() (*run, *conn, error) {
	r := c.current()
	switch {
	case !c.made:
		return nil, nil, errNotMade
	case r == nil:
		return nil, nil, errNeverConnected
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.isEnding || r.isOver():
		return nil, nil, r.whyClosed()
	case r.conn == nil:
		return nil, nil, ErrNotConnected
	}
	return r, r.conn, nil
}

// awaitAnswer returns the answer, or why it is not waited for any longer.
func (cn *conn) awaitAnswer(ctx context.Context, w *pendingRequest) (answer Message, cause error) {
	cn.inline.HandOff()
	stalls := w.stalls
	for {
		select {
		case answer = <-w.answer:
			return answer, nil
		case <-cn.ended: // by the reader, so no answer comes after it
			return answer, errEndedUnanswered
		case <-ctx.Done():
			return answer, ctx.Err()
		case <-stalls:
			if inCallback() {
				return answer, errFullInbox
			}
			stalls = nil // the callbacks go on without this goroutine
		}
	}
}

// readerWaits reports whether the reader waits for capacity in the inbox.
func (cn *conn) readerWaits() bool {
	cn.beats.mu.Lock()
	defer cn.beats.mu.Unlock()
	return cn.beats.stalled
}

// requests are those of one connection. The zero value has none.
type requests struct {
	live atomic.Int32 // ids for which an answer may come

	mu        sync.Mutex
	waiting   map[string]*pendingRequest
	abandoned map[string]bool // given up; true while the answer may come
	order     []string        // keys of abandoned, a ring once it is full
	oldest    int             // in order
	stalls    chan struct{}   // closed when the reader begins to wait for capacity; nil if nobody would see it
}

// maxAbandoned is how many ids are remembered of requests that gave up.
const maxAbandoned = 4096

// pendingRequest is a Request that waits for its answer.
type pendingRequest struct {
	answer chan Message    // of capacity 1
	stalls <-chan struct{} // closed when the reader begins to wait for capacity
}

// begin waits for the answer to id from now on.
func (rs *requests) begin(id string) (*pendingRequest, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if _, given := rs.abandoned[id]; given || rs.waiting[id] != nil {
		return nil, fmt.Errorf("wsnotify: the request id %q is in use on this connection; give each request an id of its own", id)
	}
	if rs.waiting == nil {
		rs.waiting = map[string]*pendingRequest{}
	}
	if rs.stalls == nil {
		rs.stalls = make(chan struct{})
	}
	w := &pendingRequest{answer: make(chan Message, 1), stalls: rs.stalls}
	rs.waiting[id] = w
	rs.live.Add(1)
	return w, nil
}

// match is called by the reader. It reports whether msg was an answer, which
// is for nobody else. shared says that its memory will be used again.
func (rs *requests) match(field *envelope.IDField, msg Message, shared bool) bool {
	if msg.Type != MessageText && !utf8.Valid(msg.Data) {
		return false
	}
	id, ok := field.Find(msg.Data)
	if !ok {
		return false
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	w := rs.waiting[string(id)]
	switch {
	case w != nil:
		delete(rs.waiting, string(id))
		if shared {
			msg = msg.clone()
		}
		w.answer <- msg
	case rs.abandoned[string(id)]:
		rs.abandoned[string(id)] = false
	default:
		return false
	}
	rs.live.Add(-1)
	return true
}

// stall is called by the reader when it begins to wait for capacity. Whoever has
// called begin before has its w.stalls closed; whoever calls it after that sees
// readerWaits.
func (rs *requests) stall() {
	if rs.live.Load() == 0 {
		return
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.stalls != nil {
		close(rs.stalls)
		rs.stalls = nil
	}
}

// forget takes back a begin whose request was certainly not sent.
func (rs *requests) forget(id string, w *pendingRequest) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.waiting[id] == w {
		delete(rs.waiting, id)
		rs.live.Add(-1)
	}
}

// giveUp ends a wait. It is ok when the answer has come at that moment.
func (rs *requests) giveUp(id string, w *pendingRequest) (answer Message, ok bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.waiting[id] != w {
		return <-w.answer, true
	}
	delete(rs.waiting, id)
	if rs.abandoned == nil {
		rs.abandoned = map[string]bool{}
	}
	rs.abandoned[id] = true // and live still counts it
	if len(rs.order) < maxAbandoned {
		rs.order = append(rs.order, id)
		return Message{}, false
	}
	oldest := rs.order[rs.oldest]
	if rs.abandoned[oldest] {
		rs.live.Add(-1)
	}
	delete(rs.abandoned, oldest)
	rs.order[rs.oldest] = id
	rs.oldest = (rs.oldest + 1) % maxAbandoned
	return Message{}, false
}
