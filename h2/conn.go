package h2

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// conn is one shared connection. Two goroutines serve it, whatever the number of
// its streams: read takes frames apart, and write sends what is queued. No lock
// is held over either's I/O, so a stream is opened, closed and given up at once,
// whatever the socket does.
type conn struct {
	t    *Transport
	pool *pool
	raw  net.Conn // below TLS; closing it ends every read and write
	nc   net.Conn
	tls  *tls.ConnectionState // nil without TLS

	settled  chan struct{} // closed once the server's first SETTINGS are here, or the connection has ended
	gone     chan struct{} // closed when the connection has ended
	lastRead atomic.Int64  // when something came, in ns since 1970

	in inbound // the reader's own

	mu       sync.Mutex
	streams  map[uint32]*stream // those that count against the server's limit
	nextID   uint32
	peer     peerSettings
	away     *awayError  // the server takes no more streams
	retired  bool        // this side opens no more
	err      error       // why it ended
	idle     *time.Timer // nil before adopt
	guard    *time.Timer // of the last write
	alive    liveness
	outbound outbound
}

// peerSettings are what the server has announced: RFC 9113, section 6.5.2.
type peerSettings struct {
	connect       bool   // RFC 8441, section 3
	maxStreams    uint32 // at once
	maxHeaderList uint32 // 0: not said
	window        int64  // of a new stream
}

const (
	// streamWindow is how much a stream may be ahead of its reader, and the most
	// that is kept for it. A stream's rate is at most this for each round trip.
	streamWindow = 256 << 10

	// connWindow is how much may be under way on a connection. What comes is
	// credited at once, read or not, or else one slow reader would stop the
	// other streams; streamWindow alone bounds what is kept.
	connWindow = 16 << 20

	maxFrame      = 16 << 10 // of both sides: the size that every peer has to take
	maxHeaderList = 64 << 10 // of a response, as section 6.5.2 counts
	maxStreamID   = 1<<31 - 1
	maxWindow     = 1<<31 - 1

	defaultWindow = 65535 // section 6.9.2

	// idleTimeout is how long a connection without streams is kept for the next.
	idleTimeout = 90 * time.Second

	// goodbye is how long the last frames of a connection or a stream may take.
	goodbye = time.Second
)

// newConn begins to speak HTTP/2 on nc.
func newConn(t *Transport, p *pool, raw, nc net.Conn, state *tls.ConnectionState) *conn {
	c := &conn{
		t: t, pool: p, raw: raw, nc: nc, tls: state,
		settled: make(chan struct{}),
		gone:    make(chan struct{}),
		streams: map[uint32]*stream{},
		nextID:  1,
		peer:    peerSettings{maxStreams: maxStreamID, window: defaultWindow},
	}
	c.lastRead.Store(time.Now().UnixNano())
	c.in.init(c)
	o := &c.outbound
	o.init()
	o.queue.Write([]byte(http2.ClientPreface))
	o.framer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeaderList},
	)
	o.framer.WriteWindowUpdate(0, connWindow-defaultWindow)
	t.serving.Add(2)
	go c.write()
	go c.read()
	return c
}

// inbound is what the reader alone touches.
type inbound struct {
	framer  *http2.Framer
	decoder *hpack.Decoder
	owed    int64 // has come on all streams and is not yet credited
	idle    allowance
	block   headerBlock
}

func (in *inbound) init(c *conn) {
	in.framer = http2.NewFramer(nil, bufio.NewReaderSize(source{c}, 4<<10))
	in.framer.SetMaxReadFrameSize(maxFrame)
	in.framer.SetReuseFrames()
	in.decoder = hpack.NewDecoder(4096, nil)
	in.decoder.SetMaxStringLength(maxHeaderList)
	in.idle.init(time.Now())
}

// source is what the reader reads from.
type source struct{ c *conn }

func (s source) Read(p []byte) (int, error) {
	n, err := s.c.nc.Read(p)
	if n > 0 {
		s.c.lastRead.Store(time.Now().UnixNano())
	}
	return n, err
}

// read serves what comes until the connection ends.
func (c *conn) read() {
	defer c.t.serving.Done()
	for first := true; ; first = false {
		f, err := c.in.framer.ReadFrame()
		if err != nil {
			err = c.readError(err)
		} else if _, ok := f.(*http2.SettingsFrame); first && !ok {
			err = connectionError(http2.ErrCodeProtocol, "expected SETTINGS as its first frame, got %v", f.Header().Type)
		} else {
			err = c.frame(f)
		}
		var wrong *violation
		switch {
		case err == nil:
		case errors.As(err, &wrong) && wrong.stream != 0:
			c.refuse(wrong)
		default:
			c.fail(err)
			return
		}
	}
}

// readError makes an error of ours of one of the framer's.
func (c *conn) readError(err error) error {
	var stream http2.StreamError
	var connection http2.ConnectionError
	detail := "a malformed frame"
	if d := c.in.framer.ErrorDetail(); d != nil {
		detail = d.Error()
	}
	switch {
	case errors.As(err, &stream):
		return c.aboutStream(stream.StreamID, streamError(stream.StreamID, stream.Code, "%s", detail))
	case errors.As(err, &connection):
		return connectionError(http2.ErrCode(connection), "%s", detail)
	case errors.Is(err, http2.ErrFrameTooLarge):
		if strings.Contains(err.Error(), "HTTP/1.1") { // so far the framer looks by itself
			return &unsupportedError{"the server answered HTTP/2 with HTTP/1.1"}
		}
		return connectionError(http2.ErrCodeFrameSize, "a frame is longer than %d bytes", maxFrame)
	}
	return lost(err)
}

// fail ends the connection, and every stream of it.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	if c.away != nil && errors.Is(err, errRetired) {
		err = c.away // also for a dial that has yet to look
	}
	c.err = err
	var wrong *violation
	orderly := errors.As(err, &wrong)
	switch {
	case orderly:
		c.outbound.framer.WriteGoAway(0, wrong.code, nil)
	case errors.Is(err, errRetired), errors.Is(err, errClosed), err == c.away:
		orderly = true
		c.outbound.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
	}
	streams, sent := c.streams, c.outbound.taken
	c.streams = nil
	if c.away != nil && err != c.away {
		err = &awayError{c.away.code, err}
	}
	for _, s := range streams {
		c.outbound.drop(s, err)
		s.stopLinger()
	}
	c.alive.stop()
	if c.idle != nil {
		c.idle.Stop()
	}
	if orderly {
		c.guard = time.AfterFunc(goodbye, func() { c.raw.Close() }) // for a peer that takes nothing
	}
	c.mu.Unlock()

	c.pool.remove(c)
	for _, s := range streams {
		if s.queuedAt > sent {
			s.fail(&unsentError{err})
		} else {
			s.fail(err)
		}
	}
	close(c.gone) // the writer sends what is left, and closes the connection
	c.settingsCame()
	if !orderly {
		c.raw.Close() // at last, since that of a user's net.Conn may block
	}
}

// settingsCame lets go those who wait for the server's settings. The reader calls it,
// and fail.
func (c *conn) settingsCame() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.settled:
	default:
		close(c.settled)
	}
}

// refuse resets a stream whose frames break a rule.
func (c *conn) refuse(v *violation) {
	c.mu.Lock()
	s := c.streams[v.stream]
	if s != nil {
		c.outbound.drop(s, v)
		c.reset(s, v.code)
	}
	c.mu.Unlock()
	if s != nil {
		s.fail(v)
	}
}

// reset sends RST_STREAM, after which the stream counts no more. c is locked.
func (c *conn) reset(s *stream, code http2.ErrCode) {
	c.outbound.framer.WriteRSTStream(s.id, code)
	c.outbound.wake()
	c.forget(s)
}

// forget takes a stream that has ended off the connection. c is locked.
func (c *conn) forget(s *stream) {
	if c.streams[s.id] != s {
		return
	}
	delete(c.streams, s.id)
	s.stopLinger()
	c.pool.changed.notify() // there is capacity
	switch {
	case len(c.streams) > 0:
	case c.away != nil:
		c.outbound.wake() // the writer ends the connection
	default:
		c.idle.Reset(idleTimeout)
	}
}

// errRetired is a connection that is not needed any more.
var errRetired = errors.New("h2: the connection was not needed any more")

// endIdle ends a connection on which no stream was opened for long.
func (c *conn) endIdle() {
	c.mu.Lock()
	unused := c.err == nil && len(c.streams) == 0
	if unused {
		c.retired = true // so that none is opened meanwhile
	}
	c.mu.Unlock()
	if unused {
		c.fail(errRetired)
	}
}
