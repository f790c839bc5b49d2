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
// returns, that is an error at once, as it is wherever Send returns one.
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
	_, cn, err := c.connection()
	if err != nil {
		return Message{}, err
	}
	waiting, err := cn.requests.begin(id)
	if err != nil {
		return Message{}, err
	}
	stalls := cn.beats.stallsNext()
	switch {
	case c.inSubscribe():
		err = errQueueWaits("Request")
	case isClosed(stalls) && c.inCallback():
		err = errRequestInCallback
	default:
		err = c.outbox.SendOver(ctx, cn.w, wire.Op(typ), data)
	}
	switch {
	case err == nil:
		answer, cause := awaitAnswer(ctx, cn, waiting, stalls)
		if cause == nil {
			return answer, nil
		}
		err = &noAnswerError{id, cause}
	case !errors.Is(err, ErrUnconfirmed):
		cn.requests.forget(id, waiting)
		return Message{}, err
	}
	if answer, ok := cn.requests.giveUp(id, waiting); ok {
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

var errRequestInCallback = waitsForItself("Request", "a callback", "that callback: the inbox is full, so no answer is read before it returns")

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

// requests are those of one connection. The zero value has none.
type requests struct {
	live atomic.Int32 // ids for which an answer may come

	mu        sync.Mutex
	waiting   map[string]chan Message // each of capacity 1
	abandoned map[string]bool         // given up; true while the answer may come
	order     []string                // keys of abandoned, a ring once it is full
	oldest    int                     // in order
}

// maxAbandoned is how many ids are remembered of requests that gave up.
const maxAbandoned = 4096

// begin waits for the answer to id from now on.
func (rs *requests) begin(id string) (answer chan Message, err error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if _, given := rs.abandoned[id]; given || rs.waiting[id] != nil {
		return nil, fmt.Errorf("wsnotify: the request id %q is in use on this connection; give each request an id of its own", id)
	}
	if rs.waiting == nil {
		rs.waiting = map[string]chan Message{}
	}
	answer = make(chan Message, 1)
	rs.waiting[id] = answer
	rs.live.Add(1)
	return answer, nil
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
	answer := rs.waiting[string(id)]
	switch {
	case answer != nil:
		delete(rs.waiting, string(id))
		if shared {
			msg = msg.clone()
		}
		answer <- msg
	case rs.abandoned[string(id)]:
		rs.abandoned[string(id)] = false
	default:
		return false
	}
	rs.live.Add(-1)
	return true
}

// forget takes back a begin whose request was certainly not sent.
func (rs *requests) forget(id string, answer chan Message) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.waiting[id] == answer {
		delete(rs.waiting, id)
		rs.live.Add(-1)
	}
}

// giveUp ends a wait for answer. It is ok when that has come at that moment.
func (rs *requests) giveUp(id string, answer chan Message) (msg Message, ok bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.waiting[id] != answer {
		return <-answer, true
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
