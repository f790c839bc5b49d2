package wsnotifytest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"
)

// heartbeat is the text message that counts as a heartbeat and not as a message.
const heartbeat = "ping"

// readLoop reads frames until the connection ends.
func (c *Conn) readLoop(br *bufio.Reader) {
	var (
		opcode byte // of the message that is being put together, with its RSV1
		parts  []byte
		begun  bool
	)
	for c.sock.waitReading() {
		f, err := readFrame(br, c.deflate != nil)
		if v := violation(""); errors.As(err, &v) {
			c.begin()
			c.violate(br, v)
			return
		}
		if err != nil {
			return
		}
		if !begun {
			begun = true
			if c.begin() {
				c.violate(br, "bytes of the client came before it had read the response to its handshake (section 4.1)")
				return
			}
		}
		if err := c.frame(f, &opcode, &parts); err != nil {
			c.violate(br, violation(err.Error()))
			return
		}
	}
}

// begin is called at the first frame, and reports whether that came too early.
func (c *Conn) begin() (early bool) {
	c.s.reveal(c, true) // unless the client has read the response, as it should
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.early
}

// frame handles one frame; the error is a violation.
func (c *Conn) frame(f frame, opcode *byte, parts *[]byte) error {
	switch f.opcode {
	case OpPing:
		c.pinged(f.payload)
		return nil
	case OpPong:
		c.ponged(string(f.payload))
		return nil
	case OpClose:
		return c.closeReceived(f.payload)
	case OpContinuation:
		if *opcode == 0 {
			return violation("continuation of nothing (section 5.4)")
		}
	default:
		if *opcode != 0 {
			return violation("a new message within a fragmented one (section 5.4)")
		}
		*opcode = f.opcode
		if f.compressed {
			*opcode |= rsv1
		}
	}
	if c.CloseCode() != 0 {
		return violation("data after a close frame (section 5.5.1)")
	}
	if len(*parts)+len(f.payload) > maxMessage {
		return violation("message is too long")
	}
	data := f.payload
	if len(*parts) > 0 || !f.fin {
		*parts = append(*parts, f.payload...)
		data = *parts
	}
	if !f.fin {
		return nil
	}
	typ := *opcode &^ rsv1
	if *opcode&rsv1 != 0 {
		var err error
		if data, err = c.deflate.inflate(data); err != nil {
			return err
		}
	}
	*opcode, *parts = 0, nil
	if typ == OpText && !utf8.Valid(data) {
		return violation("text message is not UTF-8 (section 5.6)")
	}
	c.received(typ, data)
	return nil
}

// received records a message and lets the server react to it.
func (c *Conn) received(typ byte, data []byte) {
	s := c.s
	text := string(data)
	s.mu.Lock()
	answer := ""
	if typ == OpText && text == heartbeat {
		s.texts[c.user]++
		if !c.muted {
			answer = setting("", c.allLevels(), func(m *manner) *string { return m.text })
		}
	} else {
		s.received[c.user]++
		if !s.forget {
			s.messages[c.user] = append(s.messages[c.user], text)
			c.messages = append(c.messages, message{typ, text})
		}
	}
	onMessage := s.onMessage
	c.handling = onMessage != nil
	s.changed.send()
	s.mu.Unlock()
	if answer != "" {
		c.reply(reply{frame: AppendFrame(nil, true, OpText, []byte(answer))})
	}
	if onMessage != nil {
		defer c.handled()
		s.calling(func() string { return fmt.Sprintf("OnMessage of %s, with %s,", c.name(), message{typ, text}) },
			func() { onMessage(c, typ, data) })
	}
}

func (c *Conn) handled() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.handling = false
}

func (c *Conn) pinged(payload []byte) {
	s := c.s
	s.mu.Lock()
	s.pings[c.user]++
	answer := !c.muted && c.closeCode == 0 && setting(true, c.allLevels(), func(m *manner) *bool { return m.pings })
	s.changed.send()
	s.mu.Unlock()
	if answer {
		c.reply(reply{frame: AppendFrame(nil, true, OpPong, payload)})
	}
}

// outstandingPings bounds what is remembered of pings that nobody answers.
const outstandingPings = 256

// asks notes a ping that is about to be sent.
func (c *Conn) asks(payload string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if len(c.asked) == outstandingPings {
		c.asked = slices.Delete(c.asked, 0, 1)
	}
	c.asked = append(c.asked, payload)
}

// ponged records a pong. One that answers no ping may be a client's own (RFC 6455, section 5.5.3), unless
// nothing else answers: see wrongPong.
func (c *Conn) ponged(payload string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.pongs = append(c.pongs, payload)
	if i := slices.Index(c.asked, payload); i >= 0 {
		c.asked, c.stray = slices.Delete(c.asked, 0, i+1), nil
	} else if len(c.asked) > 0 {
		c.stray, c.strayAt = &payload, time.Now()
	}
	c.s.changed.send()
}

// wrongPong says what is wrong when a connection ends on which a ping was answered with another payload
// alone. Where the test has broken the connection, the right answer may have been on its way. Called with
// s.mu held.
func (c *Conn) wrongPong() violation {
	if c.stray == nil || c.broken && time.Since(c.strayAt) < closeWait {
		return ""
	}
	return violation(fmt.Sprintf("ping %q was answered with pong %q, expected the same payload (section 5.5.3)", c.asked[0], *c.stray))
}

// closeReceived records a close frame and answers it, unless it is the answer itself.
func (c *Conn) closeReceived(payload []byte) error {
	code, reason, err := parseClose(payload)
	if err != nil {
		return err
	}
	s := c.s
	s.mu.Lock()
	again := c.closeCode != 0
	c.closeCode, c.closeReason = code, reason
	s.closeCodes = append(s.closeCodes, code)
	weBegan, staying := c.closeSent, c.staying
	answer := !c.muted && !staying && setting(true, c.allLevels(), func(m *manner) *bool { return m.closes })
	if answer {
		c.closeSent = true
	}
	s.changed.send()
	s.mu.Unlock()
	switch {
	case again:
		return violation("a second close frame (section 5.5.1)")
	case staying:
	case weBegan:
		c.finish(c.sock.close)
	case answer:
		c.reply(reply{frame: AppendFrame(nil, true, OpClose, payload), last: true})
	}
	return nil
}

// violate reports what the client did wrong, says good-bye with 1002 and waits for the end.
func (c *Conn) violate(br *bufio.Reader, v violation) {
	s := c.s
	s.mu.Lock()
	c.closeSent = true
	broken := c.broken
	s.mu.Unlock()
	s.violation(c.name(), v, !broken)
	c.reply(reply{frame: AppendFrame(nil, true, OpClose, closePayload(1002, string(v))), last: true})
	_, _ = io.Copy(io.Discard, br)
}

// violation records what a client did wrong, and fails the test unless that is allowed.
func (s *Server) violation(who string, v violation, report bool) {
	s.mu.Lock()
	s.violations = append(s.violations, string(v))
	report = report && !s.allowBad
	s.changed.send()
	s.mu.Unlock()
	if report {
		s.tb.Errorf("wsnotifytest: %s: %s", who, v)
	}
}

// A reply is something that the server sends by itself.
type reply struct {
	frame []byte
	last  bool // close the connection after it
}

// reply never waits: a client that does not read gets no pongs, and the reading goes on.
func (c *Conn) reply(r reply) {
	select {
	case c.replies <- r:
	default:
		if r.last {
			c.finish(c.sock.drop)
		}
	}
}

// replyLoop writes the replies, so that the reader does not have to.
func (c *Conn) replyLoop() {
	for {
		select {
		case r := <-c.replies:
			_ = c.WriteRaw(r.frame)
			if r.last {
				c.finish(c.sock.close)
			}
		case <-c.done:
			return
		}
	}
}
