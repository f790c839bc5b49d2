package h2

import (
	"bytes"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// outbound is what a connection sends: a queue of whole frames that the writer
// sends with one call, and the streams whose data does not fit into it yet. The
// connection's lock guards all of it.
type outbound struct {
	queue   *queue
	framer  *http2.Framer  // writes into queue, and never fails
	encoder *hpack.Encoder // its table follows the order of the queue
	block   bytes.Buffer   // what the encoder writes into
	woken   chan struct{}  // of capacity 1
	answers int            // PING and SETTINGS that are acknowledged in queue
	taken   int64          // bytes that the writer has taken from queue so far

	window int64     // what the server takes on the connection
	ready  []*stream // with data that waits for nothing but its turn
}

const (
	// queueBytes is how much data waits for the socket. A stream's Write returns
	// when its data is queued, as that of a socket does when the kernel has it.
	queueBytes = 64 << 10

	// maxAnswers bounds what a server can make this side queue while it reads
	// nothing.
	maxAnswers = 1000
)

// queue collects frames.
type queue struct{ b []byte }

func (q *queue) Write(p []byte) (int, error) {
	if q.b == nil {
		q.b = (*queueMemory.Get().(*[]byte))[:0]
	}
	q.b = append(q.b, p...)
	return len(p), nil
}

// queueMemory is for connections that have something to send.
var queueMemory = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

func putQueueMemory(b []byte) {
	if cap(b) <= 2*queueBytes {
		queueMemory.Put(&b)
	}
}

func (o *outbound) init() {
	o.queue = &queue{}
	o.framer = http2.NewFramer(o.queue, nil)
	o.encoder = hpack.NewEncoder(&o.block)
	o.woken = make(chan struct{}, 1)
	o.window = defaultWindow
}

// wake has the writer look at the queue.
func (o *outbound) wake() {
	select {
	case o.woken <- struct{}{}:
	default:
	}
}

// write sends what is queued until the connection ends, and closes it then.
func (c *conn) write() {
	defer c.t.serving.Done()
	o := &c.outbound
	for {
		c.mu.Lock()
		o.fill()
		out := o.queue.b
		o.queue.b, o.answers = nil, 0
		o.taken += int64(len(out))
		unused := c.away != nil && len(c.streams) == 0
		ended := c.err != nil
		c.mu.Unlock()

		var err error
		if len(out) > 0 {
			_, err = c.nc.Write(out)
			putQueueMemory(out)
		}
		switch {
		case ended:
			c.nc.Close() // TLS says goodbye, and closes raw
			c.mu.Lock()
			if c.guard != nil {
				c.guard.Stop()
			}
			c.mu.Unlock()
			return
		case err != nil:
			c.fail(lost(err))
		case unused:
			c.fail(errRetired)
		case len(out) == 0:
			select {
			case <-o.woken:
			case <-c.gone:
			}
		}
	}
}

// pendingWrite is a call of Write that waits for windows or the socket.
type pendingWrite struct {
	p    []byte // what is not queued yet
	n    int    // what is
	done chan error
}

// Write implements net.Conn. It returns when all of p is queued for the shared
// connection. p is not used after it has returned.
func (s *stream) Write(p []byte) (n int, err error) {
	c := s.c
	o := &c.outbound
	c.mu.Lock()
	if err := s.unwritable(); err != nil {
		c.mu.Unlock()
		return 0, err
	}
	if len(s.writes) == 0 && len(o.ready) == 0 { // else it has to wait for its turn
		n = o.data(s, p)
	}
	if n == len(p) {
		c.mu.Unlock()
		return n, nil
	}
	w := &pendingWrite{p: p[n:], n: n, done: make(chan error, 1)}
	s.writes = append(s.writes, w)
	o.schedule(s)
	c.mu.Unlock()
	err = <-w.done
	return w.n, err // w.n is not written to any more
}

// unwritable says why nothing can be written. The connection is locked.
func (s *stream) unwritable() error {
	switch {
	case s.writeErr != nil:
		return s.writeErr
	case !s.writeBy.IsZero() && !time.Now().Before(s.writeBy):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// data queues what of p the windows and the queue have capacity for.
func (o *outbound) data(s *stream, p []byte) (n int) {
	for n < len(p) {
		room := min(len(p)-n, maxFrame, int(min(s.window, o.window)), queueBytes-len(o.queue.b))
		if room <= 0 {
			break
		}
		o.framer.WriteData(s.id, false, p[n:n+room])
		s.window -= int64(room)
		s.sent += int64(room)
		o.window -= int64(room)
		n += room
	}
	if n > 0 {
		o.wake()
	}
	return n
}

// schedule gives a stream its turn, if it can make use of it.
func (o *outbound) schedule(s *stream) {
	if !s.scheduled && s.window > 0 && len(s.writes) > 0 {
		s.scheduled = true
		o.ready = append(o.ready, s)
		o.wake()
	}
}

// fill queues data of the streams that wait, a frame of each at a time.
func (o *outbound) fill() {
	for o.window > 0 && len(o.queue.b) < queueBytes && len(o.ready) > 0 {
		s := o.ready[0]
		o.ready[0] = nil
		o.ready = o.ready[1:]
		s.scheduled = false
		if len(s.writes) == 0 || s.window <= 0 {
			continue
		}
		w := s.writes[0]
		n := o.data(s, w.p[:min(len(w.p), maxFrame)])
		w.p, w.n = w.p[n:], w.n+n
		if len(w.p) == 0 {
			s.writes[0] = nil
			s.writes = s.writes[1:]
			w.done <- nil
		}
		o.schedule(s)
	}
	if len(o.ready) == 0 {
		o.ready = nil
	}
}

// drop ends the writes of a stream, now and later.
func (o *outbound) drop(s *stream, err error) {
	if s.writeErr == nil {
		s.writeErr = err
	}
	o.interrupt(s, err)
}

// interrupt ends the writes that wait.
func (o *outbound) interrupt(s *stream, err error) {
	for _, w := range s.writes {
		w.done <- err
	}
	s.writes = nil
	if s.writeTimer != nil && s.writeErr != nil {
		s.writeTimer.Stop()
	}
}

// SetWriteDeadline implements net.Conn.
func (s *stream) SetWriteDeadline(t time.Time) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.writeErr != nil {
		return net.ErrClosed
	}
	s.writeBy = t
	if s.writeTimer != nil {
		s.writeTimer.Stop()
	}
	switch {
	case t.IsZero():
	case s.writeTimer == nil:
		s.writeTimer = time.AfterFunc(time.Until(t), s.writeIsLate)
	default:
		s.writeTimer.Reset(time.Until(t))
	}
	return nil
}

// writeIsLate is called at the deadline, or at one that was replaced meanwhile.
func (s *stream) writeIsLate() {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.unwritable() != nil {
		c.outbound.interrupt(s, os.ErrDeadlineExceeded)
	}
}

// answer queues the answer to a frame that demands one.
func (c *conn) answer(write func(*http2.Framer)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.outbound
	if o.answers++; o.answers > maxAnswers {
		return connectionError(http2.ErrCodeEnhanceYourCalm, "it sends PING or SETTINGS and does not read the answers")
	}
	write(o.framer)
	o.wake()
	return nil
}
