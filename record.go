package wsnotify

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/handshake"
	"github.com/wsnotify/wsnotify/internal/record"
	"github.com/wsnotify/wsnotify/internal/transport"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// recorder writes Config.Record. It stands between the client and its transport, so that a client
// without one does nothing for it. All methods may be called on nil, and do nothing then.
type recorder struct {
	cfg   *Config
	log   *record.Log
	conns atomic.Int64 // connections so far
}

func newRecorder(c *Client) *recorder {
	if c.cfg.Record == nil {
		return nil
	}
	return &recorder{cfg: &c.cfg, log: record.NewLog(c.cfg.Record, func(err error) {
		c.report(fmt.Errorf("wsnotify: writing to Config.Record: %w; nothing more is recorded", err))
	})}
}

// opened records a connection that the attempt has made, and returns what records the rest of it.
func (r *recorder) opened(a *attempt, tr transport.Conn, resp *http.Response) transport.Conn {
	if r == nil || handshake.CheckResponse(a.req.Subprotocols, resp, subprotocol(tr, resp)) != nil {
		return tr // an attempt that has failed
	}
	c := &recorded{Conn: tr, r: r, number: int(r.conns.Add(1)), epoch: a.epoch, redact: a.secrets.Hide, opened: time.Now()}
	e := record.Event{Conn: c.number, Dir: record.DirOut, Type: record.Open, Subprotocol: subprotocol(tr, resp)}
	if r.cfg.RecordSecrets {
		c.redact = func(text string) string { return text }
		e.URL, e.Headers, e.ResponseHeaders = a.req.URL.String(), a.req.Header, responseHeader(resp)
	} else {
		e.URL, e.Subprotocol = handshake.Redacted(a.req.URL), handshake.RedactedSubprotocol(e.Subprotocol)
		e.Headers = handshake.RedactedHeader(a.req.Header, c.redact)
		e.ResponseHeaders = handshake.RedactedHeader(responseHeader(resp), c.redact)
	}
	r.log.Add(e)
	return c
}

// failed records an attempt that failed after it had reached for the network.
func (r *recorder) failed(u *url.URL, f Failure) {
	if r == nil || f.Phase != PhaseDial && f.Phase != PhaseHandshake {
		return
	}
	e := record.Event{Conn: int(r.conns.Load()) + 1, Dir: record.DirIn, Type: record.Failure, URL: handshake.Redacted(u), Status: f.HTTPStatus}
	if r.cfg.RecordSecrets {
		e.URL = u.String()
	}
	if f.Err != nil {
		e.Error = handshake.Line(f.Err.Error())
	}
	r.log.Add(e)
}

// finish waits until everything is written, or for CloseTimeout.
func (r *recorder) finish() {
	if r == nil {
		return
	}
	timeout := r.cfg.CloseTimeout
	if timeout < 0 {
		timeout = closeGrace
	}
	r.log.Finish(timeout)
}

// recorded is a connection that is recorded.
type recorded struct {
	transport.Conn
	r      *recorder
	number int
	epoch  uint64
	redact func(string) string

	opened    time.Time
	came      atomic.Int64 // when something came, in ns since opened
	cause     atomic.Pointer[error]
	killed    atomic.Bool
	violation atomic.Pointer[wire.Violation]

	// The writer's: the lines of the frames of its batch that it has begun to write, nil for those that are
	// not recorded.
	lines []*record.Line
	ended int // how many of the frames the socket has taken
}

// event makes an event of a frame that is no close frame, whose data may change afterwards; false if there is nothing to record.
func (c *recorded) event(dir string, op wire.Op, data []byte) (e record.Event, ok bool) {
	e = record.Event{Conn: c.number, Dir: dir, Type: record.Ping}
	if op == wire.Ping || op == wire.Pong {
		if op == wire.Pong {
			e.Type = record.Pong
		}
		e.Data = data
		return e, c.r.cfg.RecordPings
	}
	if len(data) > record.Pending {
		c.r.log.Skip()
		return e, false
	}
	m := Message{Type: MessageType(op), Data: data, Epoch: c.epoch}
	if f := c.r.cfg.RecordMessage; f != nil {
		m = changed(m, f)
	}
	switch m.Type {
	case MessageText:
		e.Type, e.Text = record.Text, string(m.Data)
	case MessageBinary:
		e.Type, e.Data = record.Binary, m.Data
	default:
		return e, false
	}
	return e, true
}

// changed is what RecordMessage makes of a message: nothing if it ends its goroutine, which is its own.
func changed(m Message, f func(Message) Message) (changed Message) {
	m.Data = bytes.Clone(m.Data)
	call(func() error { changed = f(m); return nil })
	return changed
}

// Read records what came, and the end.
func (c *recorded) Read(events []transport.Event) (n int, pingPong bool, err error) {
	n, pingPong, err = c.Conn.Read(events)
	if n > 0 {
		c.came.Store(int64(time.Since(c.opened)))
	}
	for i := range events[:n] {
		ev := &events[i]
		if ev.Op == wire.Close {
			c.r.log.Add(record.Event{Conn: c.number, Dir: record.DirIn, Type: record.Close, Code: int(ev.Code), Reason: c.redact(string(ev.Data))})
			continue
		}
		if e, ok := c.event(record.DirIn, ev.Op, ev.Data); ok {
			c.r.log.Add(e)
		}
	}
	if err != nil {
		c.end(err)
	}
	return n, pingPong, err
}

// end records the end of a connection whose peer has sent no close frame.
func (c *recorded) end(err error) {
	if v := (*wire.Violation)(nil); errors.As(err, &v) {
		c.violation.Store(v) // a close frame follows
		return
	}
	e := record.Event{Conn: c.number, Dir: record.DirIn, Type: record.Close, Code: record.Abnormal}
	if c.killed.Load() {
		e.Dir = record.DirOut
		e.Silent = max(time.Since(c.opened)-time.Duration(c.came.Load()), 1)
		err = errKilled
		if cause := c.cause.Load(); cause != nil {
			err = *cause
		}
	}
	e.Error = handshake.Line(c.redact(err.Error()))
	c.r.log.Add(e)
}

// errKilled is why a connection ended that the client had closed already.
var errKilled = errors.New("the client did not wait for the closing handshake any longer")

// Write records the frames that leave. They are proposed before, since the answer may come before Write
// has returned.
func (c *recorded) Write(b *transport.Batch) (ended int, torn bool, err error) {
	for _, f := range c.begins(b) {
		var line *record.Line
		if f.leaves {
			if e, ok := c.event(record.DirOut, f.op, f.data); ok {
				line = c.r.log.Propose(e)
			}
		}
		c.lines = append(c.lines, line)
	}
	ended, torn, err = c.Conn.Write(b)
	b.Lock()
	defer b.Unlock()
	for range ended {
		_, _, left := b.Frame(c.ended)
		c.r.log.Decide(c.lines[c.ended], left)
		c.ended++
	}
	if err != nil || b.Done() {
		for _, line := range c.lines[c.ended:] {
			c.r.log.Decide(line, false)
		}
		clear(c.lines)
		c.lines, c.ended = c.lines[:0], 0
	}
	return ended, torn, err
}

// beginning is a frame that the writer begins with.
type beginning struct {
	op     wire.Op
	data   []byte // a copy, unless it is too large to be recorded
	leaves bool
}

// begins returns the frames of b that no Write has seen. Whoever sends them may take their data back
// once b is unlocked.
func (c *recorded) begins(b *transport.Batch) (frames []beginning) {
	b.Lock()
	defer b.Unlock()
	for i := len(c.lines); i < b.Len(); i++ {
		op, data, leaves := b.Frame(i)
		if leaves && len(data) <= record.Pending {
			data = bytes.Clone(data)
		}
		frames = append(frames, beginning{op, data, leaves})
	}
	return frames
}

// Close records the client's close frame.
func (c *recorded) Close(code int, reason string) error {
	e := record.Event{Conn: c.number, Dir: record.DirOut, Type: record.Close, Code: code, Reason: c.redact(reason)}
	if v := c.violation.Load(); v != nil {
		e.Error = handshake.Line(c.redact(v.Error()))
	}
	line := c.r.log.Propose(e)
	err := c.Conn.Close(code, reason)
	c.r.log.Decide(line, err == nil)
	return err
}

// Kill notes that it is this side that ends the connection.
func (c *recorded) Kill() {
	c.killed.Store(true)
	c.Conn.Kill()
}

// Subprotocol is what a browser says of it.
func (c *recorded) Subprotocol() string { return subprotocol(c.Conn, nil) }

// killing notes why a connection is about to be killed.
func (r *recorder) killing(tr transport.Conn, cause error) {
	if c, ok := tr.(*recorded); ok && cause != nil {
		c.cause.CompareAndSwap(nil, &cause)
	}
}
