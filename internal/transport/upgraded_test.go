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
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/peertime"
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

// messages takes the client's frames apart, up to the first that is not whole, of
// which rest counts the bytes unless it is a pong. Pongs may be anywhere.
func messages(t *testing.T, b []byte, maxFrame int) (got []string, rest int, pongs []string) {
	var open []byte
	begun := false
	for {
		if len(b) < 2 {
			break
		}
		size, header := int(b[1]&127), 2
		switch size {
		case 126:
			header = 4
		case 127:
			header = 10
		}
		if len(b) < header+4 {
			break
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
			break
		}
		payload := b[header+4 : header+4+size]
		for i := range payload {
			payload[i] ^= key[i%4]
		}
		op, fin := wire.Op(b[0]&15), b[0]&128 != 0
		b = b[header+4+size:]
		switch {
		case op == wire.Pong:
			pongs = append(pongs, string(payload))
			continue
		case op == wire.Continuation != begun:
			t.Fatalf("opcode %d, and a message is under way: %v", op, begun)
		case op != wire.Continuation:
			open = fmt.Appendf(open[:0], "%d ", op)
		}
		open = append(open, payload...)
		if begun = !fin; fin {
			got = append(got, string(open))
			open = open[:0]
		}
	}
	if len(b) > 0 && wire.Op(b[0]&15) == wire.Pong {
		b = nil
	}
	rest = len(b)
	if begun {
		rest += len(open)
	}
	return got, rest, pongs
}

// Whatever the socket takes of a batch, Write says exactly which frames that
// were, and whether the next is torn; also with messages of any size, in
// fragments, taken back on their way, with control frames between them, and cut
// short.
func TestWriteSaysWhatTheSocketTook(t *testing.T) {
	sizes := []int{0, 1, 64, 125, 126, 5000, 65535, 65536, 90_000, 170_000}
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := &sink{room: 1 << 30}
		if rnd.IntN(3) > 0 {
			s.room = rnd.IntN(400_000)
		}
		u := newUpgraded(s, countedSocket())
		u.opts.MaxFrame = []int{0, -1, 10, 1000, 70_000}[rnd.IntN(5)]
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
		ended, torn, pongs, cut := 0, false, 0, false
		for !b.Done() {
			n, tear, err := u.Write(&b)
			ended += n
			if torn = tear; err != nil {
				if !errors.Is(err, errSink) {
					t.Fatal(err)
				}
				break
			}
			if is, tear := b.IsCut(); is {
				torn = tear
				break
			}
			if b.Done() {
				break
			}
			if i := rnd.IntN(b.Len()); rnd.IntN(4) == 0 && i >= ended && !b.frames()[i].withdrawn {
				b.Lock()
				data := b.frames()[i].data
				if begun := b.Withdraw(i); !begun {
					want[i] = ""
				}
				clear(data) // the owner has it back
				b.Unlock()
			}
			if rnd.IntN(2) == 0 {
				pongs++
				b.Interject(wire.Pong, fmt.Append(nil, pongs))
			}
			if rnd.IntN(20) == 0 {
				cut = true
				b.Cut()
			}
		}
		var sent []string
		for _, w := range want[:ended] {
			if w != "" {
				sent = append(sent, w)
			}
		}
		got, rest, ponged := messages(t, s.took, u.opts.MaxFrame)
		if !slices.Equal(got, sent) {
			t.Fatalf("seed %d: %d messages were taken whole, and Write said %d", seed, len(got), len(sent))
		}
		if torn != (rest > 0) {
			t.Fatalf("seed %d: torn %v, and %d bytes of a message more were taken", seed, torn, rest)
		}
		for i, p := range ponged {
			if p != fmt.Sprint(i+1) {
				t.Fatalf("seed %d: pong %d is %q", seed, i, p)
			}
		}
		if s.room > 0 && !cut && (len(ponged) != pongs || !b.Interjected()) {
			t.Fatalf("seed %d: %d of %d pongs were sent", seed, len(ponged), pongs)
		}
	}
}

// A message of megabytes that is taken back on its way arrives as it was, in whatever frames.
func TestLargeMessageThatIsTakenBack(t *testing.T) {
	data := make([]byte, 5<<19+7)
	for i := range data {
		data[i] = byte(i >> 8)
	}
	want := fmt.Sprintf("%d %s", wire.Binary, data)
	for _, maxFrame := range []int{0, 1<<20 + 7, 100_000} {
		s := &sink{room: 1 << 30}
		u := newUpgraded(s, countedSocket())
		u.opts.MaxFrame = maxFrame
		var b Batch
		b.Add(wire.Binary, bytes.Clone(data))
		b.Add(wire.Text, []byte("next"))
		if op, got, leaves := b.Frame(0); op != wire.Binary || !bytes.Equal(got, data) || !leaves {
			t.Errorf("frame 0 is %d with %d bytes, leaves: %v", op, len(got), leaves)
		}
		if n, torn, err := u.Write(&b); n != 0 || !torn || err != nil {
			t.Errorf("%d, %v, %v", n, torn, err)
		}
		_, owned, _ := b.Frame(0)
		left := len(owned)
		if !b.Withdraw(0) || len(b.rest) != (left-1)>>20 || b.remains() != left {
			t.Errorf("%d bytes are left, in %d pieces, of %d", b.remains(), 1+len(b.rest), left)
		}
		clear(owned)
		for !b.Done() {
			if _, _, err := u.Write(&b); err != nil {
				t.Fatal(err)
			}
		}
		got, rest, _ := messages(t, s.took, maxFrame)
		if len(got) != 2 || got[0] != want || got[1] != "1 next" || rest != 0 {
			t.Errorf("MaxFrame %d: %d messages, and %d bytes", maxFrame, len(got), rest)
		}
		if b.Withdraw(1) != true || b.Len() != 2 {
			t.Error("what has left was taken back")
		}
		b.Reset()
		if b.Len() != 0 || !b.Done() || b.next != 0 || b.list != nil {
			t.Errorf("%+v after Reset", &b)
		}
	}
}

func TestNothingFollowsACloseFrame(t *testing.T) {
	s := &sink{room: 1 << 20}
	u := newUpgraded(s, countedSocket())
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
	if got, _, _ := messages(t, s.took, 0); len(got) != 1 || got[0] != "8 \x0f\xa0bye" {
		t.Errorf("%q", got)
	}
}

// countedSocket is one whose bytes a net.Conn of ours counts.
func countedSocket() *Socket {
	s := NewSocket(Options{})
	s.counts = true
	return s
}

// slowConn takes some bytes now and then. It knows no deadlines.
type slowConn struct {
	net.Conn
	every  time.Duration
	bytes  int
	acked  atomic.Int64
	once   sync.Once
	closed chan struct{}
}

func newSlowConn(every time.Duration, bytes int) *slowConn {
	return &slowConn{every: every, bytes: bytes, closed: make(chan struct{})}
}

func (c *slowConn) Write(p []byte) (n int, err error) {
	for n < len(p) {
		select {
		case <-time.After(c.every):
		case <-c.closed:
			return n, net.ErrClosed
		}
		took := min(c.bytes, len(p)-n)
		n += took
		c.acked.Add(int64(took))
	}
	return n, nil
}

func (c *slowConn) Read([]byte) (int, error) { <-c.closed; return 0, net.ErrClosed }
func (c *slowConn) Close() error             { c.once.Do(func() { close(c.closed) }); return nil }

// tellingConn is one of which the system tells what the peer's host has
// acknowledged.
type tellingConn struct{ *slowConn }

func (c tellingConn) Acknowledged() int64 { return c.acked.Load() }

// WriteTimeout is how long the socket takes nothing, however long it takes all
// of it. No deadline is needed for that.
func TestWriteTimeoutIsOfSilence(t *testing.T) {
	const timeout = 10 * time.Second
	for _, test := range []struct {
		name  string
		every time.Duration
		bytes int
		tells bool
		want  error
	}{
		{"a slow conn that tells", 900 * time.Millisecond, 100, true, nil},
		{"a conn that takes 16 KiB in time", 9 * time.Second, smallPiece, false, nil},
		{"a conn that takes nothing", time.Hour, 100, false, ErrWriteTimeout},
		{"a conn that tells and takes nothing", time.Hour, 100, true, ErrWriteTimeout},
	} {
		for _, above := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				conn := newSlowConn(test.every, test.bytes)
				var under net.Conn = conn
				if test.tells {
					under = tellingConn{conn}
				}
				s := NewSocket(Options{WriteTimeout: timeout})
				s.Adopt(under)
				body := io.ReadWriteCloser(under)
				if !above {
					body = s.Counted(under)
				}
				u := newUpgraded(body, s)
				start := time.Now()
				n, err := u.send(make([]byte, 50_000))
				if !errors.Is(err, test.want) || err == nil && n != 50_000 {
					t.Errorf("%s: %d bytes in %v: %v", test.name, n, time.Since(start), err)
				}
				if err != nil && time.Since(start) != timeout {
					t.Errorf("%s: after %v", test.name, time.Since(start))
				}
				if err == nil { // the guard is not on any more
					time.Sleep(time.Hour)
					if s.isClosed() {
						t.Errorf("%s: an idle connection was closed", test.name)
					}
				}
				u.Kill()
				<-s.ended()
			})
		}
	}
}

// WriteTimeout is measured in peer time.
func TestWriteTimeoutStandsStillWhileTheReaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := peertime.New(-1)
		conn := newSlowConn(time.Hour, 1)
		s := NewSocket(Options{WriteTimeout: 10 * time.Second, PeerTime: clock})
		s.Adopt(conn)
		start := time.Now()
		time.AfterFunc(time.Second, func() { clock.Pause(true) })
		time.AfterFunc(time.Minute, func() { clock.Pause(false) })
		_, err := s.Counted(conn).Write([]byte("x"))
		if d := time.Since(start); !errors.Is(err, ErrWriteTimeout) || d < 69*time.Second || d > 70*time.Second {
			t.Errorf("after %v: %v", d, err)
		}
		<-s.ended()
	})
}

// stubbornConn is a net.Conn whose calls don't return when it is closed, and whose
// Close waits, until release is closed.
type stubbornConn struct {
	net.Conn
	release chan struct{}
	wrote   string // what Write was given, once it returns
}

func (c *stubbornConn) Read(p []byte) (int, error) { <-c.release; return copy(p, "late"), nil }
func (c *stubbornConn) Write(p []byte) (int, error) {
	<-c.release
	c.wrote = string(p)
	return len(p), nil
}
func (c *stubbornConn) Close() error { <-c.release; return nil }

// Whatever a net.Conn of the user's does, Kill ends a Write, and what its Read
// returns later is nobody's.
func TestKillDoesNotWaitForTheConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &stubbornConn{release: make(chan struct{})}
		s := NewSocket(Options{WriteTimeout: -1})
		s.Adopt(conn)
		counted := s.Counted(conn)
		wrote, read := make(chan error, 1), make(chan error, 1)
		go func() {
			n, err := counted.Write([]byte("x"))
			if n != 0 {
				t.Errorf("%d bytes were written", n)
			}
			wrote <- err
		}()
		go func() { _, err := counted.Read(make([]byte, 10)); read <- err }()
		synctest.Wait()
		s.Close()
		time.Sleep(returning - 1)
		synctest.Wait()
		select {
		case err := <-wrote:
			t.Errorf("Write does not wait for how much was written: %v", err)
		default:
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		select {
		case err := <-wrote:
			if !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		default:
			t.Error("Write does not return")
		}
		if _, err := counted.Write([]byte("y")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a later Write: %v", err)
		}
		select {
		case <-s.ended():
			t.Error("the conn is said to be gone")
		default:
		}
		for range 10 { // others must not use the memory that it still has
			other := NewSocket(Options{Kind: Foreign})
			other.Adopt(newSlowConn(0, 100))
			other.write(other.conn, []byte("other"))
			other.Close()
		}
		close(conn.release)
		if err := <-read; !errors.Is(err, net.ErrClosed) || s.received.Load() != 0 {
			t.Errorf("%v, %d bytes", err, s.received.Load())
		}
		<-s.ended()
		if conn.wrote != "x" || s.sent.Load() != 0 {
			t.Errorf("%q was written, and %d bytes are counted", conn.wrote, s.sent.Load())
		}
	})
}

// A Write that returns soon after its connection was closed says how much it wrote.
func TestWriteThatReturnsSoonAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &stubbornConn{release: make(chan struct{})}
		s := NewSocket(Options{WriteTimeout: -1})
		s.Adopt(conn)
		time.AfterFunc(time.Second, func() { s.Close() })
		time.AfterFunc(time.Second+returning-1, func() { close(conn.release) })
		if n, err := s.Counted(conn).Write([]byte("xyz")); n != 3 || err != nil || s.sent.Load() != 3 {
			t.Errorf("%d, %v, %d are counted", n, err, s.sent.Load())
		}
		<-s.ended()
	})
}

// halfStubbornConn can be half-closed, and calls what a test has for that and for Read.
type halfStubbornConn struct {
	stubbornConn
	closeWrite func() error
	read       func(p []byte) (int, error)
}

func (c *halfStubbornConn) CloseWrite() error           { return c.closeWrite() }
func (c *halfStubbornConn) Read(p []byte) (int, error)  { return c.read(p) }
func (c *halfStubbornConn) Write(p []byte) (int, error) { return len(p), nil }

// Whatever the net.Conn does, End returns: a tunnel of SSH whose CloseWrite waits for the link, one
// whose Read does not return when it is closed, and one whose Read returns nothing again and again.
func TestEndDoesNotWaitForTheConn(t *testing.T) {
	for name, longest := range map[string]time.Duration{
		"CloseWrite hangs": moment + returning, "Read hangs": moment + returning, "Read returns nothing": 0,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				conn := &halfStubbornConn{stubbornConn{release: release}, func() error { return nil }, func([]byte) (int, error) { return 0, nil }}
				switch name {
				case "CloseWrite hangs":
					conn.closeWrite = func() error { <-release; return nil }
				case "Read hangs":
					conn.read = func([]byte) (int, error) { <-release; return 0, io.EOF }
				}
				s := NewSocket(Options{WriteTimeout: -1})
				s.Adopt(conn)
				u := newUpgraded(s.Counted(conn), s)
				if err := u.Close(1000, ""); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				gone := u.End()
				if took := time.Since(start); took > longest {
					t.Errorf("End took %v", took)
				}
				close(release)
				<-gone
			})
		})
	}
	t.Run("Kill ends the wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			conn := &halfStubbornConn{stubbornConn{release: release}, func() error { <-release; return nil }, nil}
			s := NewSocket(Options{WriteTimeout: -1})
			s.Adopt(conn)
			u := newUpgraded(s.Counted(conn), s)
			if err := u.Close(1000, ""); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(10*time.Millisecond, u.Kill)
			start := time.Now()
			gone := u.End()
			if took := time.Since(start); took > 10*time.Millisecond+returning {
				t.Errorf("End took %v", took)
			}
			close(release)
			<-gone
		})
	})
}
