//go:build !js

package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// sink takes so many bytes, and then nothing.
type sink struct {
	io.Reader
	took []byte
	room int
}

var errSink = errors.New("the sink is full")

func (s *sink) Write(p []byte) (int, error) {
	n := min(len(p), s.room)
	s.took, s.room = append(s.took, p[:n]...), s.room-n
	if n < len(p) {
		return n, errSink
	}
	return n, nil
}

func (s *sink) Close() error { return nil }

// messages takes the client's frames apart, up to the first that is not whole.
func messages(t *testing.T, b []byte, maxFrame int) (got []string, rest int) {
	var open []byte
	for {
		if len(b) < 2 {
			return got, len(b) + len(open)
		}
		size, header := int(b[1]&127), 2
		switch size {
		case 126:
			header = 4
		case 127:
			header = 10
		}
		if len(b) < header+4 {
			return got, len(b) + len(open)
		}
		switch size {
		case 126:
			size = int(binary.BigEndian.Uint16(b[2:]))
		case 127:
			size = int(binary.BigEndian.Uint64(b[2:]))
		}
		if b[1]&128 == 0 || maxFrame > 0 && size > maxFrame {
			t.Fatalf("a frame of %d bytes, masked: %v", size, b[1]&128 != 0)
		}
		key := b[header : header+4]
		if len(b) < header+4+size {
			return got, len(b) + len(open)
		}
		payload := b[header+4 : header+4+size]
		for i := range payload {
			payload[i] ^= key[i%4]
		}
		if op := b[0] & 15; op != 0 {
			open = fmt.Appendf(open[:0], "%d ", op)
		}
		open = append(open, payload...)
		if b[0]&128 != 0 {
			got = append(got, string(open))
			open = open[:0]
		}
		b = b[header+4+size:]
	}
}

// Whatever the socket takes of a batch, Write says exactly which frames that
// were, and whether the next is torn; also with messages of any size, in
// fragments, and taken back on their way.
func TestWriteSaysWhatTheSocketTook(t *testing.T) {
	sizes := []int{0, 1, 64, 125, 126, 5000, 65535, 65536, 90_000, 170_000}
	for seed := range uint64(80) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := &sink{room: 1 << 30}
		if rnd.IntN(3) > 0 {
			s.room = rnd.IntN(400_000)
		}
		u := newUpgraded(s, &Socket{counts: true})
		u.opts.MaxFrame = []int{0, 0, 10, 1000, 70_000}[rnd.IntN(5)]
		var b Batch
		var want []string
		for i := range 1 + rnd.IntN(8) {
			if rnd.IntN(10) == 0 {
				b.Add(wire.Text, []byte("withdrawn"))
				b.Withdraw(i)
				want = append(want, "")
				continue
			}
			op := []wire.Op{wire.Text, wire.Binary, wire.Ping}[rnd.IntN(3)]
			size := sizes[rnd.IntN(len(sizes))]
			if op == wire.Ping {
				size = min(size, 125)
				if u.opts.MaxFrame > 0 {
					size = min(size, u.opts.MaxFrame)
				}
			}
			data := bytes.Repeat([]byte{byte('a' + i%26)}, size)
			b.Add(op, data)
			want = append(want, fmt.Sprintf("%d %s", op, data))
		}
		ended, torn := 0, false
		for !b.Done() {
			n, tear, err := u.Write(&b)
			ended += n
			if torn = tear; err != nil {
				if !errors.Is(err, errSink) {
					t.Fatal(err)
				}
				break
			}
			if i := rnd.IntN(b.Len()); rnd.IntN(4) == 0 && i >= ended && !b.frames()[i].void {
				b.Lock()
				data := b.frames()[i].data
				if begun := b.Withdraw(i); !begun {
					want[i] = ""
				}
				clear(data) // the owner has it back
				b.Unlock()
			}
		}
		var sent []string
		for _, w := range want[:ended] {
			if w != "" {
				sent = append(sent, w)
			}
		}
		got, rest := messages(t, s.took, u.opts.MaxFrame)
		if !slices.Equal(got, sent) {
			t.Fatalf("seed %d: %d messages were taken whole, and Write said %d", seed, len(got), len(sent))
		}
		if torn != (rest > 0) {
			t.Fatalf("seed %d: torn %v, and %d bytes more were taken", seed, torn, rest)
		}
	}
}

func TestNothingFollowsACloseFrame(t *testing.T) {
	s := &sink{room: 1 << 20}
	u := newUpgraded(s, &Socket{counts: true})
	if err := u.Close(4000, "bye"); err != nil {
		t.Fatal(err)
	}
	size := len(s.took)
	var b Batch
	b.Add(wire.Text, []byte("late"))
	if n, torn, err := u.Write(&b); n != 0 || torn || err == nil {
		t.Errorf("%d, %v, %v", n, torn, err)
	}
	if err := u.Close(1000, ""); err == nil || len(s.took) != size {
		t.Errorf("a second close frame: %v", err)
	}
	if got, _ := messages(t, s.took, 0); len(got) != 1 || got[0] != "8 \x0f\xa0bye" {
		t.Errorf("%q", got)
	}
}

// slowConn takes some bytes now and then.
type slowConn struct {
	net.Conn
	every    time.Duration
	bytes    int
	deadline time.Time
}

func (c *slowConn) SetWriteDeadline(t time.Time) error { c.deadline = t; return nil }

func (c *slowConn) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if !c.deadline.IsZero() && time.Now().Add(c.every).After(c.deadline) {
			time.Sleep(time.Until(c.deadline))
			return n, os.ErrDeadlineExceeded
		}
		time.Sleep(c.every)
		n += min(c.bytes, len(p)-n)
	}
	return n, nil
}

// WriteTimeout is how long the socket takes nothing, however long it takes all
// of it.
func TestWriteTimeoutIsOfSilence(t *testing.T) {
	for _, test := range []struct {
		every time.Duration
		want  error
	}{{900 * time.Millisecond, nil}, {time.Hour, ErrWriteTimeout}} {
		synctest.Test(t, func(t *testing.T) {
			s := &Socket{timeout: 10 * time.Second}
			c := s.Counted(&slowConn{every: test.every, bytes: 100})
			start := time.Now()
			n, err := c.Write(make([]byte, 10_000))
			if !errors.Is(err, test.want) {
				t.Errorf("%d bytes in %v: %v", n, time.Since(start), err)
			}
			if err != nil && time.Since(start) != 10*time.Second {
				t.Errorf("after %v", time.Since(start))
			}
		})
	}
}

// A body of somebody else's knows no deadlines. A write that hangs is ended all
// the same, and one that goes on slowly is not.
func TestWriteTimeoutWithoutDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, pause := range []time.Duration{9 * time.Second, time.Hour} {
			body := &slowBody{pause: pause, closed: make(chan struct{})}
			u := newUpgraded(body, NewSocket(Options{WriteTimeout: 10 * time.Second}))
			u.opts.WriteTimeout = 10 * time.Second
			var b Batch
			b.Add(wire.Binary, make([]byte, 100_000))
			start := time.Now()
			var err error
			for !b.Done() && err == nil {
				_, _, err = u.Write(&b)
			}
			switch {
			case pause < 10*time.Second && err != nil:
				t.Errorf("a body that takes 16 KiB in %v: %v", pause, err)
			case pause > 10*time.Second && (!errors.Is(err, ErrWriteTimeout) || time.Since(start) != 10*time.Second):
				t.Errorf("a body that takes nothing, after %v: %v", time.Since(start), err)
			}
		}
	})
}

// slowBody takes each write after a pause.
type slowBody struct {
	io.Reader
	pause  time.Duration
	closed chan struct{}
}

func (b *slowBody) Write(p []byte) (int, error) {
	select {
	case <-time.After(b.pause):
		return len(p), nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func (b *slowBody) Close() error { close(b.closed); return nil }
