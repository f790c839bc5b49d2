package h2

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
)

// pool is the connections to one server, by one way. Transport.mu guards it.
type pool struct {
	t       *Transport
	target  target
	conns   []*conn
	dial    *dialing // under way; nil if none
	users   int      // calls of open
	changed broadcast
}

// target is what connections are shared by.
type target struct {
	secure bool
	addr   string // host and port
	proxy  string // its URL, with its secrets; "" without one
	via    *url.URL
}

// key is what the pools are kept by.
func (t target) key() target { t.via = nil; return t }

// dialing is one dial, and all who wait for it. The context of each of them
// bounds its own wait alone; the dial ends early when nobody waits any more.
type dialing struct {
	cancel  context.CancelFunc
	waiting int
	done    bool
	conn    *conn // what it brought, once it is done
	err     error // or why it brought none
}

// broadcast wakes up everybody who waits for a change.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{} // nil while nobody waits
}

// next returns a channel that the next notify closes.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// offer is what a connection says to a new stream.
type offer int

const (
	unusable offer = iota // takes none any more
	full                  // takes none until another one ends
	doubtful              // is asked whether it is alive
	taken                 // has taken it
)

// open opens a stream, unless the offer says why not. The error is of the
// request.
func (c *conn) open(fields []hpack.HeaderField, maxStreams int) (*stream, offer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.away != nil || c.retired || c.nextID > maxStreamID || c.alive.suspect {
		return nil, unusable, nil
	}
	if c.alive.asked.IsZero() && c.quiet() {
		c.ask()
	}
	if !c.alive.asked.IsZero() {
		return nil, doubtful, nil
	}
	limit := int64(c.peer.maxStreams)
	if maxStreams > 0 {
		limit = min(limit, int64(maxStreams))
	}
	if int64(len(c.streams)) >= limit {
		return nil, full, nil
	}
	if most := c.peer.maxHeaderList; most > 0 {
		var size uint32
		for _, f := range fields {
			size += f.Size()
		}
		if size > most {
			return nil, unusable, fmt.Errorf("h2: the headers of the request have %d bytes, and the server takes at most %d", size, most)
		}
	}
	s := newStream(c, c.nextID)
	s.window = c.peer.window
	c.nextID += 2
	c.streams[s.id] = s
	c.idle.Stop()
	c.outbound.headers(s.id, fields)
	s.queuedAt = c.outbound.taken + int64(len(c.outbound.queue.b))
	return s, taken, nil
}

// open opens a stream on a connection that there is, or on a new one. All who
// need a new one wait for one dial; when that has failed, they all have failed.
// The caller is one of users, and is not afterwards.
func (p *pool) open(ctx context.Context, fields []hpack.HeaderField) (*stream, error) {
	t := p.t
	var joined *dialing
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		p.leave(joined)
		p.users--
		t.tidy(p)
	}()
	for {
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return nil, errClosed
		}
		var changed <-chan struct{}
		s, wait, err := p.find(fields)
		if s == nil && err == nil { // what changes from here on is noticed
			changed = p.changed.next()
			s, wait, err = p.find(fields)
		}
		if s == nil && err == nil && joined != nil && joined.done {
			if err = joined.err; err == nil {
				err = joined.conn.useless()
			}
			if err == nil && joined.conn.served() {
				joined = nil
			}
		}
		if s != nil || err != nil {
			t.mu.Unlock()
			return s, err
		}
		if joined == nil && wait == "" {
			joined = p.join()
		}
		t.mu.Unlock()

		select {
		case <-changed:
		case <-ctx.Done():
			if wait != "" {
				return nil, fmt.Errorf("h2: %s: %w", wait, context.Cause(ctx))
			}
			return nil, context.Cause(ctx)
		}
	}
}

// find asks the connections for a stream, the oldest first, so that those that
// are not needed become idle. wait says why there had better be no other one yet.
// Transport.mu is locked.
func (p *pool) find(fields []hpack.HeaderField) (s *stream, wait string, err error) {
	for _, c := range p.conns {
		s, offer, err := c.open(fields, p.t.MaxStreams)
		switch {
		case offer == taken, err != nil:
			return s, "", err
		case offer == doubtful:
			wait = "the server has not answered a PING yet"
		case offer == full && c.allowsNone():
			wait = "the server allows no streams at the moment (SETTINGS_MAX_CONCURRENT_STREAMS is 0)"
		}
	}
	return nil, wait, nil
}

// allowsNone reports whether the server allows no stream at all, as it may for
// a while: RFC 9113, section 5.1.2.
func (c *conn) allowsNone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer.maxStreams == 0
}

// join waits for the dial that is under way, or begins one. Transport.mu is
// locked.
func (p *pool) join() *dialing {
	d := p.dial
	if d == nil {
		ctx, cancel := context.WithCancel(context.Background())
		d = &dialing{cancel: cancel}
		p.dial = d
		t := p.t
		t.serving.Go(func() { p.connect(ctx, d) })
	}
	d.waiting++
	return d
}

// leave waits no more. Transport.mu is locked.
func (p *pool) leave(d *dialing) {
	if d == nil {
		return
	}
	if d.waiting--; d.waiting > 0 || d.done {
		return
	}
	d.cancel()
	if p.dial == d { // a dial that minds no context holds up nobody
		p.dial = nil
	}
}

// connect makes a connection for all who wait for d.
func (p *pool) connect(ctx context.Context, d *dialing) {
	c, err := p.t.dial(ctx, p)
	t := p.t
	t.mu.Lock()
	abandoned := p.dial != d || t.closed
	if c != nil && !abandoned {
		if err = c.adopt(); err == nil {
			p.conns = append(p.conns, c)
		}
	}
	d.done, d.conn, d.err = true, c, err
	if p.dial == d {
		p.dial = nil
	}
	t.tidy(p)
	t.mu.Unlock()
	d.cancel()
	p.changed.notify()
	if c != nil && abandoned {
		c.fail(errRetired)
	}
}

// useless is why a connection was over before any stream was opened. Who has
// waited for it is not to dial over and over.
func (c *conn) useless() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over()
}

// served reports whether streams were opened on a connection, or it is old or in doubt: who has
// waited for it may dial another. One that allows no streams at the moment is waited for.
func (c *conn) served() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nextID > 1 || c.retired || c.alive.suspect
}

// over is useless with c locked.
func (c *conn) over() error {
	switch {
	case c.nextID > 1 || c.retired:
		return nil
	case c.away != nil:
		return c.away
	}
	return c.err
}

// adopt has a new connection wait for its first stream, unless it is over. When
// it ends later, it is removed.
func (c *conn) adopt() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.over()
	if err == nil {
		c.idle = time.AfterFunc(idleTimeout, c.endIdle)
	}
	return err
}

// remove takes off a connection that has ended.
func (p *pool) remove(c *conn) {
	t := p.t
	t.mu.Lock()
	if i := slices.Index(p.conns, c); i >= 0 {
		p.conns = slices.Delete(p.conns, i, i+1)
	}
	t.tidy(p)
	t.mu.Unlock()
	p.changed.notify()
}
