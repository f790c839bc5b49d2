package h2

import (
	"errors"
	"io"
	"net/http"
	"time"

	"golang.org/x/net/http2"
)

// What a server's frames do, by the rules of RFC 9113, section 6. All of it runs
// on the connection's reader, which waits for nothing but the socket. An error
// is a *violation of a stream, which resets that, or ends the connection.

func (c *conn) frame(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.DataFrame:
		return c.gotData(f)
	case *http2.HeadersFrame:
		return c.gotHeaders(f)
	case *http2.ContinuationFrame:
		return c.gotContinuation(f)
	case *http2.WindowUpdateFrame:
		return c.gotWindowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.gotReset(f)
	case *http2.SettingsFrame:
		return c.gotSettings(f)
	case *http2.PingFrame:
		return c.gotPing(f)
	case *http2.GoAwayFrame:
		return c.gotGoAway(f)
	case *http2.PushPromiseFrame:
		return connectionError(http2.ErrCodeProtocol, "PUSH_PROMISE, which was switched off")
	}
	return c.in.idle.spend(f.Header().Type) // PRIORITY, and what is not known: section 5.5
}

// allowance bounds the frames that lead to nothing: a server may send many of
// them, but not as fast as it can, for ever.
type allowance struct {
	left float64
	last time.Time
}

const (
	idleFrames     = 10_000 // at once
	idleFramesRate = 1_000  // and so many more in a second
)

func (a *allowance) init(now time.Time) { a.left, a.last = idleFrames, now }

// earn lets the others accompany data.
func (a *allowance) earn() { a.left = min(idleFrames, a.left+1) }

func (a *allowance) spend(kind http2.FrameType) error {
	if a.left--; a.left >= 0 {
		return nil
	}
	now := time.Now()
	a.left = min(idleFrames, a.left+idleFramesRate*now.Sub(a.last).Seconds())
	a.last = now
	if a.left < 0 {
		return connectionError(http2.ErrCodeEnhanceYourCalm, "a flood of %v frames that lead to nothing", kind)
	}
	return nil
}

// find returns a stream, nil for one that has ended. An id that was never used
// breaks the protocol: section 5.1.1.
func (c *conn) find(id uint32, kind http2.FrameType) (*stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		return s, nil
	}
	return nil, c.checkID(id, kind)
}

// checkID is called with c locked.
func (c *conn) checkID(id uint32, kind http2.FrameType) error {
	if id%2 == 0 || id >= c.nextID {
		return connectionError(http2.ErrCodeProtocol, "%v on stream %d, which was never opened", kind, id)
	}
	return nil
}

// aboutStream is err, an error of the framer about a stream, unless that was
// never opened.
func (c *conn) aboutStream(id uint32, err error) error {
	if _, idle := c.find(id, http2.FrameWindowUpdate); idle != nil {
		return idle
	}
	if idle := c.in.idle.spend(http2.FrameRSTStream); idle != nil {
		return idle
	}
	return err
}

func (c *conn) gotData(f *http2.DataFrame) error {
	length := int64(f.Header().Length) // with padding: section 6.1
	in := &c.in
	// What has come is credited whether it is read or not, so no server can
	// exceed this window.
	if in.owed += length; in.owed >= connWindow/4 {
		c.credit(nil, in.owed)
		in.owed = 0
	}
	s, err := c.find(f.StreamID, http2.FrameData)
	if err != nil {
		return err
	}
	if s == nil || len(f.Data()) == 0 && !f.StreamEnded() {
		if err := in.idle.spend(http2.FrameData); err != nil {
			return err
		}
	} else {
		in.idle.earn()
	}
	if s == nil {
		return nil // was under way when the stream ended
	}
	credit, err := s.receive(f.Data(), length, f.StreamEnded())
	if err != nil {
		return err
	}
	c.credit(s, credit)
	if f.StreamEnded() {
		c.peerEnded(s)
	}
	return nil
}

// credit lets the server send n more bytes on a stream, or on the connection.
func (c *conn) credit(s *stream, n int64) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s == nil:
		c.outbound.framer.WriteWindowUpdate(0, uint32(n))
	case c.streams[s.id] == s && !s.peerEnded:
		c.outbound.framer.WriteWindowUpdate(s.id, uint32(n))
	}
	c.outbound.wake()
}

// peerEnded notes that the server sends nothing more on a stream. One that is
// closed on this side is over then.
func (c *conn) peerEnded(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.peerEnded = true
	if s.ended {
		c.forget(s)
	}
}

func (c *conn) gotWindowUpdate(f *http2.WindowUpdateFrame) error {
	o := &c.outbound
	n := int64(f.Increment)
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID == 0 {
		if o.window += n; o.window > maxWindow {
			return connectionError(http2.ErrCodeFlowControl, "WINDOW_UPDATE takes the connection's window above 2^31-1")
		}
		o.wake()
		return nil
	}
	s := c.streams[f.StreamID]
	if s == nil {
		if err := c.checkID(f.StreamID, http2.FrameWindowUpdate); err != nil {
			return err
		}
		return c.in.idle.spend(http2.FrameWindowUpdate)
	}
	if s.window += n; s.window > maxWindow {
		return streamError(s.id, http2.ErrCodeFlowControl, "WINDOW_UPDATE takes the stream's window above 2^31-1")
	}
	s.credited = min(s.credited+n, s.sent) // a first one may only enlarge the window
	o.schedule(s)
	return nil
}

func (c *conn) gotReset(f *http2.RSTStreamFrame) error {
	s, err := c.find(f.StreamID, http2.FrameRSTStream)
	if err != nil {
		return err
	}
	if s == nil {
		return c.in.idle.spend(http2.FrameRSTStream)
	}
	var why error = &resetError{f.ErrCode}
	if f.ErrCode == http2.ErrCodeHTTP11Required {
		why = &unsupportedError{"the server wants HTTP/1.1 (HTTP_1_1_REQUIRED)"}
	}
	c.end(s, why)
	return nil
}

// end ends a stream that the server has ended: nothing is sent for it.
func (c *conn) end(s *stream, why error) {
	c.mu.Lock()
	c.outbound.drop(s, why)
	c.forget(s)
	c.mu.Unlock()
	s.fail(why)
}

func (c *conn) gotSettings(f *http2.SettingsFrame) error {
	if err := c.in.idle.spend(http2.FrameSettings); err != nil {
		return err
	}
	if f.IsAck() {
		return nil
	}
	if err := c.apply(f); err != nil {
		return err
	}
	c.settingsCame()
	c.pool.changed.notify() // there may be capacity
	return c.answer(func(fr *http2.Framer) { fr.WriteSettingsAck() })
}

// apply makes the server's settings hold: section 6.5.3.
func (c *conn) apply(f *http2.SettingsFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.peer
	return f.ForeachSetting(func(set http2.Setting) error {
		if err := set.Valid(); err != nil {
			code := http2.ErrCodeProtocol
			var ce http2.ConnectionError
			if errors.As(err, &ce) {
				code = http2.ErrCode(ce)
			}
			return connectionError(code, "the setting %v", set)
		}
		switch set.ID {
		case http2.SettingEnableConnectProtocol:
			if p.connect && set.Val == 0 {
				return connectionError(http2.ErrCodeProtocol, "the setting %v after it was 1 (RFC 8441, section 3)", set)
			}
			p.connect = set.Val == 1
		case http2.SettingMaxConcurrentStreams:
			p.maxStreams = set.Val
		case http2.SettingMaxHeaderListSize:
			p.maxHeaderList = set.Val
		case http2.SettingHeaderTableSize:
			c.outbound.encoder.SetMaxDynamicTableSize(set.Val) // which has a limit of its own: 4 KiB
		case http2.SettingInitialWindowSize:
			return c.rewindow(int64(set.Val))
		}
		return nil
	})
}

// rewindow changes what the streams may send: section 6.9.2. A window may
// become negative.
func (c *conn) rewindow(window int64) error {
	change := window - c.peer.window
	c.peer.window = window
	for _, s := range c.streams {
		if s.window += change; s.window > maxWindow {
			return connectionError(http2.ErrCodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE takes the window of stream %d above 2^31-1", s.id)
		}
		c.outbound.schedule(s)
	}
	return nil
}

func (c *conn) gotPing(f *http2.PingFrame) error {
	if err := c.in.idle.spend(http2.FramePing); err != nil {
		return err
	}
	if f.IsAck() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.alive.answer(f.Data) {
			c.pool.changed.notify()
		}
		return nil
	}
	return c.answer(func(fr *http2.Framer) { fr.WritePing(true, f.Data) })
}

// gotGoAway leaves the streams up to the last id that the server processes; the
// others it has not touched: section 6.8.
func (c *conn) gotGoAway(f *http2.GoAwayFrame) error {
	if err := c.in.idle.spend(http2.FrameGoAway); err != nil {
		return err
	}
	away := &awayError{code: f.ErrCode}
	var unprocessed []*stream
	c.mu.Lock()
	c.away = away
	for id, s := range c.streams {
		if id > f.LastStreamID {
			unprocessed = append(unprocessed, s)
		}
	}
	for _, s := range unprocessed {
		c.outbound.drop(s, away)
		c.forget(s)
	}
	c.outbound.wake() // the writer ends the connection if no stream is left
	c.pool.changed.notify()
	c.mu.Unlock()
	for _, s := range unprocessed {
		s.fail(away)
	}
	return nil
}

// gotResponse has the first block of headers of a stream, or a later one.
func (c *conn) gotResponse(id uint32, end bool, h *header) error {
	s, _ := c.find(id, http2.FrameHeaders) // gotHeaders has checked the id
	if s == nil {
		return c.in.idle.spend(http2.FrameHeaders)
	}
	if h.err != nil {
		return streamError(id, http2.ErrCodeProtocol, "%v", h.err)
	}
	s.mu.Lock()
	answered, ended := s.answered, s.readErr == io.EOF
	s.mu.Unlock()
	switch {
	case ended:
		return streamError(id, http2.ErrCodeStreamClosed, "HEADERS after the end of a stream")
	case answered && !end:
		return streamError(id, http2.ErrCodeProtocol, "a second response")
	case answered: // trailers
		s.receive(nil, 0, true)
		c.peerEnded(s)
		return nil
	}
	resp, err := h.response()
	if err != nil {
		return streamError(id, http2.ErrCodeProtocol, "%v", err)
	}
	if resp.StatusCode < 200 { // it is to come: RFC 9110, section 15.2
		if end || resp.StatusCode == http.StatusSwitchingProtocols {
			return streamError(id, http2.ErrCodeProtocol, "the status %d", resp.StatusCode)
		}
		return c.in.idle.spend(http2.FrameHeaders)
	}
	resp.Body, resp.TLS = s, c.tls
	c.mu.Lock()
	s.opened = resp.StatusCode < 300
	s.refused = !s.opened
	c.mu.Unlock()
	if end {
		c.peerEnded(s)
	}
	s.mu.Lock()
	s.response, s.answered = resp, true
	if end {
		s.readErr = io.EOF
	}
	s.wake()
	s.mu.Unlock()
	return nil
}
