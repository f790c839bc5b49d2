package wsnotifytest

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// A Conn is one connection that the server has accepted. Its methods may be called from any
// goroutine. Those that send wait for capacity if the client does not read, and fail when the
// connection ends.
type Conn struct {
	habits
	s    *Server
	sock *socket
	user string
	req  *http.Request

	writing  chan struct{} // full while somebody writes: a lock that may be held over I/O
	midFrame bool          // guarded by writing: nothing more is sent
	deflate  *deflate      // nil unless compression was agreed on
	replies  chan reply    // what the server sends by itself
	done     chan struct{}

	// guarded by s.mu
	id           int  // 0 until the client has its 101
	early        bool // the client sent bytes before that
	gone         bool // it has ended, and was open
	manner       manner
	ended        bool
	broken       bool // by the test: what the client does now is no fault of it
	muted        bool
	closeSent    bool // the server answers no close frame any more
	closeWritten bool // by Close
	staying      bool // CloseFrame: nor does it end the connection after one
	closeCode    int  // received
	closeReason  string
	faulted      bool // by the test: a replay does not expect the rest
	replayEnded  bool // by a replay, or by the client as in it
	closeTimer   *time.Timer
	messages     []message
	pongs        []string
	asked        []string  // pings that the test has sent and no pong has answered
	strayAt      time.Time // when it came
	handling     bool      // OnMessage runs
	stray        *string   // a pong since then that answers none; nil if there was none
}

// ID numbers the server's connections from 1.
func (c *Conn) ID() int {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.id
}

// name is called with or without s.mu held, once the id is set.
func (c *Conn) name() string { return fmt.Sprintf("connection %d of user %q", c.id, c.user) }

// User is the user of the address.
func (c *Conn) User() string { return c.user }

// Request is the handshake's request. Its context ends with the connection.
func (c *Conn) Request() *http.Request { return c.req }

// Done is closed when the server's end is closed.
func (c *Conn) Done() <-chan struct{} { return c.done }

// CloseCode is the code of the close frame that was received, 1005 if it had none, 1006 if the
// connection ended without a close frame. It is 0 while neither has happened; WaitCloseCode waits.
func (c *Conn) CloseCode() int {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.closeCode
}

// WaitCloseCode waits until CloseCode is not 0, and returns it: Close, for one, returns before the
// client's answer has come.
func (c *Conn) WaitCloseCode(ctx context.Context) (int, error) {
	code := 0
	err := c.s.wait(ctx, "a close frame on "+c.name()+", or its end", func() bool {
		code = c.closeCode
		return code != 0
	}, func() string { return "neither; " + c.soFar() })
	return code, err
}

// Messages is what was received on this connection, without the heartbeats.
func (c *Conn) Messages() []string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	texts := make([]string, len(c.messages))
	for i, m := range c.messages {
		texts[i] = m.text
	}
	return texts
}

// Pongs is what the pong frames carried that were received.
func (c *Conn) Pongs() []string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return append([]string(nil), c.pongs...)
}

// SendText sends a text message.
func (c *Conn) SendText(text string) error { return c.send(OpText, []byte(text)) }

// SendBinary sends a binary message.
func (c *Conn) SendBinary(b []byte) error { return c.send(OpBinary, b) }

// Notify sends {"msgType":…,"content":…} as a text message, or what Server.Envelope made of that.
func (c *Conn) Notify(msgType string, content any) error {
	b, err := c.s.notification(msgType, content)
	if err != nil {
		return err
	}
	return c.send(OpText, b)
}

// send sends a message, compressed if that was agreed on.
func (c *Conn) send(opcode byte, payload []byte) error {
	return c.write(func() []byte {
		if c.deflate == nil {
			return AppendFrame(nil, true, opcode, payload)
		}
		return AppendFrame(nil, true, opcode|rsv1, c.deflate.compress(payload))
	})
}

// Ping sends a ping frame and does not wait for the pong. A client that answers it with another payload alone
// violates section 5.5.3.
func (c *Conn) Ping(payload string) error { return c.WriteFrame(true, OpPing, []byte(payload)) }

// WriteFrame sends any frame, a wrong one too, in one write and as it is.
func (c *Conn) WriteFrame(fin bool, opcode byte, payload []byte) error {
	if fin && opcode == OpPing && len(payload) <= 125 {
		c.asks(string(payload))
	}
	return c.WriteRaw(AppendFrame(nil, fin, opcode, payload))
}

// WriteRaw sends bytes in one write: several frames, half of one, or garbage.
func (c *Conn) WriteRaw(b []byte) error {
	return c.write(func() []byte { return b })
}

// StopMidFrame sends the first half of a text message's frame and after that nothing more, no pong
// and no close frame either: everything that would be sent fails. Drop or Reset end it.
func (c *Conn) StopMidFrame(text string) error {
	c.fault()
	return c.write(func() []byte {
		c.midFrame = true
		b := AppendFrame(nil, true, OpText, []byte(text))
		return b[:(len(b)+1)/2]
	})
}

// write sends what f returns; f is called while nobody else writes.
func (c *Conn) write(f func() []byte) error {
	select {
	case c.writing <- struct{}{}:
	case <-c.done:
		return ErrConnClosed
	}
	defer func() { <-c.writing }()
	if c.midFrame {
		return errMidFrame
	}
	if _, err := c.sock.top.Write(f()); err != nil {
		return fmt.Errorf("%w: %w", ErrConnClosed, err)
	}
	return nil
}

// closeWait is how long a client may take to answer Conn.Close.
const closeWait = 5 * time.Second

// Close sends a close frame, an empty one if code is 0, and returns. In the background the
// connection ends with the client's answer, or without it after 5 s, which is a violation of section 5.5.1 if
// the client had the frame, and the server reads. A code or a reason that RFC 6455
// does not allow fails the test; CloseFrame sends anything. WaitCloseCode waits for the answer.
func (c *Conn) Close(code int, reason string) error {
	c.s.tb.Helper()
	c.fault()
	return c.close(code, reason)
}

// fault notes that the test does something to the connection.
func (c *Conn) fault() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.faulted = true
}

func (c *Conn) close(code int, reason string) error {
	c.s.tb.Helper()
	payload := closePayload(code, reason)
	if _, _, err := parseClose(payload); err != nil || len(payload) > 125 {
		if err == nil {
			err = fmt.Errorf("a reason of %d bytes, and at most 123 are allowed (section 5.5)", len(reason))
		}
		c.s.misuse("Close: %v; CloseFrame sends anything", err)
		return err
	}
	c.s.mu.Lock()
	if c.ended {
		c.s.mu.Unlock()
		return ErrConnClosed
	}
	answered := c.closeCode != 0
	if c.closeTimer == nil {
		c.closeSent, c.staying = true, false
		c.closeTimer = time.AfterFunc(closeWait, c.unanswered)
	}
	c.s.mu.Unlock()
	err := c.WriteFrame(true, OpClose, payload)
	c.s.mu.Lock()
	c.closeWritten = err == nil
	c.s.mu.Unlock()
	if answered {
		c.finish(c.sock.close)
	}
	return err
}

// unanswered ends a connection whose client has not answered Close in time, which is its fault if it
// could.
func (c *Conn) unanswered() {
	c.s.mu.Lock()
	pipe := c.sock.pipe
	guilty := c.closeWritten && c.closeCode == 0 && !c.broken && !c.ended &&
		pipe.hasAll() && !c.sock.peerClosed() && !c.sock.readingStopped()
	if taken, sent := pipe.received(); taken != sent || c.handling {
		guilty = false // the answer may be among what the server has not looked at
	}
	c.s.mu.Unlock()
	if guilty {
		c.s.violation(c.name(), violation(fmt.Sprintf("the close frame was not answered within %v (section 5.5.1)", closeWait)), true)
	}
	c.finish(c.sock.drop)
}

// CloseFrame sends a close frame, an empty one if code is 0, and does nothing else, not even when
// the client answers: a server that says good-bye and stays.
func (c *Conn) CloseFrame(code int, reason string) error {
	c.s.mu.Lock()
	if !c.closeSent {
		c.closeSent, c.staying = true, true
	}
	c.faulted = true
	c.s.mu.Unlock()
	return c.WriteFrame(true, OpClose, closePayload(code, reason))
}

// Drop ends the connection with a FIN and no close frame, as when the server's process dies.
func (c *Conn) Drop() {
	c.fault()
	c.end(c.sock.drop)
}

// Reset ends the connection with an RST: the client gets ECONNRESET, and what it has not read is
// lost. Over loopback on Windows it gets WSAECONNRESET (10054), which is no syscall.ECONNRESET.
func (c *Conn) Reset() {
	c.fault()
	c.end(c.sock.reset)
}

// end is what the client is not to blame for.
func (c *Conn) end(how func()) {
	c.s.mu.Lock()
	c.broken = true
	c.s.mu.Unlock()
	c.finish(how)
}

// Mute makes the server send nothing by itself on this connection, neither pongs nor replies nor
// close frames; it goes on reading and recording. What the test sends is sent.
func (c *Conn) Mute(on bool) {
	if on {
		c.fault()
	}
	c.mute(on)
}

func (c *Conn) mute(on bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.muted = on
}

// StopReading makes the server read nothing more from this connection, so that the client's writes
// fill the buffers and then block. In memory these take 64 KiB, or what Network.Buffer says. On
// loopback they take about 300 KiB, and what the client's kernel keeps for its socket: Linux lets
// that grow to some MiB, unless the client calls SetWriteBuffer.
func (c *Conn) StopReading(on bool) {
	if on {
		c.fault()
	}
	c.sock.stopReading(on)
	c.s.poke()
}

// BlackHole makes the link half-open: nothing arrives in either direction and nobody gets an
// error, while writes succeed as long as the buffer has capacity. With false the link is back, and
// what was held arrives.
func (c *Conn) BlackHole(on bool) {
	if on {
		c.fault()
	}
	c.sock.pipe.l.setHole(on)
	c.s.poke()
}

// ComeBack ends BlackHole, Mute and StopReading.
func (c *Conn) ComeBack() {
	c.Mute(false)
	c.StopReading(false)
	c.BlackHole(false)
}

// finish ends the connection once; end closes the socket.
func (c *Conn) finish(end func()) {
	c.s.mu.Lock()
	first := !c.ended
	c.ended = true
	if c.closeTimer != nil {
		c.closeTimer.Stop()
	}
	c.s.mu.Unlock()
	if !first {
		return
	}
	end()
	c.s.mu.Lock()
	if c.closeCode == 0 {
		c.closeCode = codeAbnormal
	}
	wrong := c.wrongPong()
	c.s.unregister(c)
	close(c.done)
	c.s.mu.Unlock()
	if wrong != "" {
		c.s.violation(c.name(), wrong, true)
	}
}
