//go:build !js

package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// scriptConn is a net.Conn whose reads return pieces, and then err, or wait until it is closed if that is nil.
type scriptConn struct {
	net.Conn
	pieces []string
	err    error
	reads  atomic.Int32
	calls  func(string)
	once   sync.Once
	closed chan struct{}
}

func newScriptConn(err error, pieces ...string) *scriptConn {
	return &scriptConn{pieces: pieces, err: err, calls: func(string) {}, closed: make(chan struct{})}
}

func (c *scriptConn) Read(p []byte) (int, error) {
	c.reads.Add(1)
	if len(c.pieces) > 0 {
		n := copy(p, c.pieces[0])
		c.pieces = c.pieces[1:]
		return n, nil
	}
	if c.err == nil {
		<-c.closed
		return 0, net.ErrClosed
	}
	return 0, c.err
}

func (c *scriptConn) Write(p []byte) (int, error) { return len(p), nil }
func (c *scriptConn) Close() error                { c.once.Do(func() { close(c.closed) }); return nil }

// halfConn can be half-closed.
type halfConn struct {
	*scriptConn
	name string
	fail error
}

func (c halfConn) CloseWrite() error { c.calls(c.name); return c.fail }

// over returns a connection over conn, of a kind.
func over(conn net.Conn, opts Options) *Upgraded {
	s := NewSocket(opts)
	s.Adopt(conn)
	u := newUpgraded(s.Counted(conn), s)
	u.start(nil, opts)
	return u
}

// An event alone that comes within a millisecond of what came before is ping-pong traffic, on a socket of the system.
func TestPingPong(t *testing.T) {
	for _, kind := range []Kind{System, Foreign} {
		synctest.Test(t, func(t *testing.T) {
			var last atomic.Int64
			near, far := net.Pipe()
			u := over(near, Options{Kind: kind, ReadLimit: -1, LastReceived: &last})
			events := make([]Event, 4)
			var came []string
			for _, test := range []struct {
				after  time.Duration
				stream string
			}{{time.Hour, "\x82\x00"}, {soon - 1, "\x82\x00"}, {soon, "\x82\x00"}, {1, "\x82\x00\x82\x00"}, {1, "\x89\x00"}} {
				go func() {
					time.Sleep(test.after)
					io.WriteString(far, test.stream)
				}()
				n, pingPong, err := u.Read(events)
				came = append(came, fmt.Sprint(n, pingPong, err))
				if last.Load() != time.Now().UnixNano() {
					t.Errorf("the last that came is noted %v too early", time.Now().UnixNano()-last.Load())
				}
			}
			want := []string{"1 false <nil>", "1 true <nil>", "1 false <nil>", "2 false <nil>", "1 true <nil>"}
			if kind == Foreign {
				want[1], want[4] = want[0], want[0]
			}
			if !slices.Equal(came, want) || u.Received() != 12 {
				t.Errorf("kind %d: %q, %d bytes", kind, came, u.Received())
			}
			u.Kill()
			far.Close()
		})
	}
}

// After a violation what comes is read until the end, so that the peer can read why; if this side can say that nothing
// more comes, and not otherwise.
func TestWhatFollowsAViolation(t *testing.T) {
	const bad = "\x81\x81"
	nothing := slices.Repeat([]string{""}, wire.MaxEmpty-1)
	for _, test := range []struct {
		name   string
		half   bool
		pieces []string
		err    error
		want   int64
	}{
		{"a body alone", true, []string{bad, "more"}, io.EOF, 6},
		{"it can't be half-closed", false, []string{bad, "more"}, io.EOF, 2},
		{"it can", true, []string{bad, "more", "and more"}, io.EOF, 14},
		{"pauses", true, slices.Concat([]string{bad}, nothing, []string{"x"}, nothing[1:], []string{"y"}), io.EOF, 4},
		{"a conn that returns nothing", true, slices.Concat([]string{bad}, nothing, []string{"", "never"}), io.EOF, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			script := newScriptConn(test.err, test.pieces...)
			var conn net.Conn = script
			if test.half {
				conn = halfConn{scriptConn: script}
			}
			u := over(conn, Options{ReadLimit: -1})
			if test.name == "a body alone" {
				u = newUpgraded(halfConn{scriptConn: script}, NewSocket(Options{}))
				u.start(nil, Options{ReadLimit: -1})
			}
			n, _, err := u.Read(make([]Event, 1))
			if n != 0 || !isViolation(err) {
				t.Errorf("%s: %d, %v", test.name, n, err)
			}
			synctest.Wait()
			if u.Received() != test.want {
				t.Errorf("%s: %d bytes came", test.name, u.Received())
			}
			<-u.End()
		})
	}
}

// A Read that the guard of a Write has ended says so, unless the peer broke a rule before.
func TestReadThatWriteTimeoutEnds(t *testing.T) {
	for stream, want := range map[string]string{"": ErrWriteTimeout.Error(), "\x81\x81": "a frame of the server is masked"} {
		synctest.Test(t, func(t *testing.T) {
			u := over(newScriptConn(net.ErrClosed, stream), Options{ReadLimit: -1})
			u.sock.late.Store(true)
			if n, _, err := u.Read(make([]Event, 1)); n != 0 || err == nil || err.Error() != want {
				t.Errorf("%d, %v, want %s", n, err, want)
			}
			<-u.End()
		})
	}
}

// Each layer says that nothing more comes, from the topmost to the net.Conn, whose error counts alone.
func TestHalfClose(t *testing.T) {
	for _, test := range []struct {
		name          string
		conn, body    bool // what there is, and can be half-closed
		other         bool // a net.Conn that can't be
		closed, fails bool
		can, reached  bool
		want          string
	}{
		{name: "a net.Conn and two layers", conn: true, can: true, reached: true, want: "[top middle conn]"},
		{name: "one that fails", conn: true, fails: true, can: true, want: "[top middle conn]"},
		{name: "one that can't", other: true, want: "[]"},
		{name: "one that can't, and a body that can", other: true, body: true, want: "[]"},
		{name: "a body alone", body: true, can: true, reached: true, want: "[top middle body]"},
		{name: "nothing", want: "[]"},
		{name: "a closed one", conn: true, closed: true, want: "[]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls := []string{}
			named := func(name string, fails bool) halfConn {
				c := halfConn{scriptConn: newScriptConn(io.EOF), name: name}
				c.calls = func(name string) { calls = append(calls, name) }
				if fails || name == "top" { // of a layer it does not matter
					c.fail = errors.New("it fails")
				}
				return c
			}
			s := NewSocket(Options{})
			switch {
			case test.conn:
				s.Adopt(named("conn", test.fails))
			case test.other:
				s.Adopt(newScriptConn(io.EOF))
			}
			if test.body {
				s.own(named("body", false))
			}
			s.over(named("middle", false))
			s.over(struct{}{}) // which can't
			s.over(named("top", false))
			if test.closed {
				s.Close()
			}
			if s.canHalfClose() != test.can || s.halfClose() != test.reached || fmt.Sprint(calls) != test.want {
				t.Errorf("%s: it can: %v, %v were called", test.name, s.canHalfClose(), calls)
			}
			s.Close()
			synctest.Wait()
		})
	}
}

// End waits for the peer to end its side after a close frame, for a second; and not at all without one.
func TestEndWaitsForThePeer(t *testing.T) {
	for _, test := range []struct {
		name   string
		sealed bool
		err    error // of the Read behind what comes; nil: it waits
		want   time.Duration
		came   int64
	}{
		{"the peer ends", true, io.EOF, 0, 4},
		{"it does not", true, nil, moment, 4},
		{"no close frame was sent", false, nil, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			conn := halfConn{scriptConn: newScriptConn(test.err, "rest")}
			u := over(conn, Options{ReadLimit: -1})
			if test.sealed {
				u.Close(1000, "")
			}
			began := time.Now()
			<-u.End()
			if time.Since(began) != test.want || u.Received() != test.came {
				t.Errorf("%s: End took %v, and %d bytes came", test.name, time.Since(began), u.Received())
			}
			if n, err := u.send([]byte("x")); n != 0 || err != net.ErrClosed {
				t.Errorf("%s: a Write after it: %d, %v", test.name, n, err)
			}
			if n, _, err := u.Read(make([]Event, 1)); n != 0 || err != net.ErrClosed {
				t.Errorf("%s: a Read after it: %d, %v", test.name, n, err)
			}
		})
	}
}

// Wherever a write ends, the frames that it ended and whether the next is torn are exact. A pong between is of none.
func TestEachPlaceWhereAWriteEnds(t *testing.T) {
	const pong, first, second = 2 + 4 + 1, 2 + 4 + 5, 2 + 4 + 1
	for _, between := range []int{0, pong} {
		for room := range between + first + second + 1 {
			s := &sink{room: room}
			u := newUpgraded(s, countedSocket())
			var b Batch
			b.Add(wire.Text, []byte("hello"))
			b.Add(wire.Binary, []byte("x"))
			if between > 0 {
				b.Interject(wire.Pong, []byte("p"))
			}
			ended, torn, err := u.Write(&b)
			wantEnded, wantTorn := 0, room > between && room < between+first || room > between+first && room < between+first+second
			if room >= between+first {
				wantEnded++
			}
			if room >= between+first+second {
				wantEnded++
			}
			if ended != wantEnded || torn != wantTorn || (err == nil) != (wantEnded == 2) {
				t.Errorf("a pong of %d bytes, room for %d: %d ended, torn %v, %v", between, room, ended, torn, err)
			}
		}
	}
	// The same behind the rest of a long message, which is under way when a pong has to leave.
	const rest = keepBytes - (pieceBytes - wire.MaxHeader)
	for room := range rest + pong + second + 1 {
		if room > 1 && room < rest-1 {
			continue
		}
		s := &sink{room: 1 << 20}
		u := newUpgraded(s, countedSocket())
		var b Batch
		b.Add(wire.Text, bytes.Repeat([]byte("x"), keepBytes))
		b.Add(wire.Binary, []byte("x"))
		if ended, torn, err := u.Write(&b); ended != 0 || !torn || err != nil {
			t.Fatal(ended, torn, err)
		}
		b.Interject(wire.Pong, []byte("p"))
		s.room = room
		ended, torn, _ := u.Write(&b)
		wantEnded, wantTorn := 0, room < rest || room > rest+pong && room < rest+pong+second
		if room >= rest {
			wantEnded++
		}
		if room >= rest+pong+second {
			wantEnded++
		}
		if ended != wantEnded || torn != wantTorn {
			t.Errorf("behind a long message, room for %d: %d ended, torn %v", room-rest, ended, torn)
		}
	}
	// One that has begun before is torn, though nothing more was taken.
	s := &sink{room: pieceBytes}
	u := newUpgraded(s, countedSocket())
	var b Batch
	b.Add(wire.Text, bytes.Repeat([]byte("x"), 2*pieceBytes))
	ended, torn, err := u.Write(&b)
	if ended != 0 || !torn || err != nil {
		t.Errorf("%d, %v, %v", ended, torn, err)
	}
	if ended, torn, err = u.Write(&b); ended != 0 || !torn || !errors.Is(err, errSink) {
		t.Errorf("%d, %v, %v", ended, torn, err)
	}
	if len(s.took) != pieceBytes {
		t.Errorf("%d bytes were taken", len(s.took))
	}
}
