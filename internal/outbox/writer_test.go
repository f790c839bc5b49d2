//go:build !js

package outbox

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/transport"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// peer is what a connection writes to: each write waits until the test takes it.
type peer struct {
	t     *testing.T
	takes chan error // one for each write; an error is that of the write
	bytes []byte     // taken
}

func (p *peer) Write(b []byte) (int, error) {
	if err := <-p.takes; err != nil {
		return 0, err
	}
	p.bytes = append(p.bytes, b...)
	return len(b), nil
}

func (p *peer) Read([]byte) (int, error) { select {} }
func (p *peer) Close() error             { return nil }

// RoundTrip answers the handshake.
func (p *peer) RoundTrip(r *http.Request) (*http.Response, error) {
	//lint:ignore SA1008 it is spelled as RFC 6455 does
	key := sha1.Sum([]byte(r.Header["Sec-WebSocket-Key"][0] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	h := http.Header{}
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	h.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(key[:]))
	return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: h, Body: p}, nil
}

// connect returns the writer of a connection whose messages leave in frames of at most maxFrame bytes.
func connect(t *testing.T, o *Outbox, maxFrame int, hooks Hooks) (*Writer, *peer) {
	p := &peer{t: t, takes: make(chan error)}
	tr, _, err := transport.Open(t.Context(), &transport.Request{
		URL: &url.URL{Scheme: "ws", Host: "peer"}, HTTPClient: &http.Client{Transport: p},
		Options: transport.Options{Kind: transport.System, MaxFrame: maxFrame, WriteTimeout: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if hooks.Spawn == nil {
		hooks.Spawn = func(f func()) { go f() }
	}
	w := NewWriter(tr, o, hooks)
	o.Latest().Attach(w)
	return w, p
}

// take has the peer take the next write, or fail it.
func (p *peer) take(err error) {
	p.t.Helper()
	synctest.Wait()
	select {
	case p.takes <- err:
	default:
		p.t.Fatal("nothing is written")
	}
	synctest.Wait()
}

// takeAll has it take all there is.
func (p *peer) takeAll() {
	for {
		synctest.Wait()
		select {
		case p.takes <- nil:
		default:
			return
		}
	}
}

// want checks the frames that were taken: the opcode, "+" if more fragments follow, and the data or its size.
func (p *peer) want(want ...string) {
	p.t.Helper()
	var got []string
	for b := p.bytes; len(b) > 0; {
		size, header := int(b[1]&127), 2
		switch size {
		case 126:
			size, header = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			size, header = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		key, data := b[header:header+4], slices.Clone(b[header+4:header+4+size])
		for i := range data {
			data[i] ^= key[i%4]
		}
		frame := map[wire.Op]string{wire.Continuation: "continuation", wire.Text: "text", wire.Ping: "ping", wire.Pong: "pong", wire.Close: "close"}[wire.Op(b[0]&15)]
		if b[0]&wire.Fin == 0 {
			frame += "+"
		}
		switch {
		case size > 100:
			frame += fmt.Sprint(" ", size)
			if len(bytes.Trim(data, "x")) > 0 {
				frame += " of something else"
			}
		case wire.Op(b[0]&15) == wire.Close:
			frame += fmt.Sprint(" ", binary.BigEndian.Uint16(data), " ", string(data[2:]))
		default:
			frame += " " + string(data)
		}
		got = append(got, frame)
		b = b[header+4+size:]
	}
	if !slices.Equal(got, want) {
		p.t.Errorf("the peer got %q, expected %q", got, want)
	}
	p.bytes = nil
}

func long(size int) []byte { return []byte(strings.Repeat("x", size)) }

// Control frames leave between the fragments of a message that is under way, pongs first, and the beat's ping is
// known to have been taken.
func TestControlFramesBetweenFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newTestOutbox(nil)
		var pinged []int64
		w, p := connect(t, o, 50_000, Hooks{Pinged: func(received int64) { pinged = append(pinged, received) }})
		o.Enqueue(wire.Text, long(200_000))
		synctest.Wait()
		w.Beat("", []byte("old beat"))
		w.SendPing([]byte("mine"))
		w.Beat("", []byte("beat"))
		w.Pong([]byte("1"))
		w.Pong([]byte("2"))
		for range 4 { // the first piece
			if p.take(nil); len(pinged) > 0 {
				t.Error("a ping was taken before the piece with it")
			}
		}
		p.takeAll()
		p.want("text+ 50000", "continuation+ 50000", "pong 1", "pong 2", "ping mine", "ping beat", "continuation+ 50000", "continuation 50000")
		o.Enqueue(wire.Text, long(200_000))
		synctest.Wait()
		w.SendPing([]byte("no beat"))
		p.takeAll()
		p.want("text+ 50000", "continuation+ 50000", "ping no beat", "continuation+ 50000", "continuation 50000")
		if !slices.Equal(pinged, []int64{0}) {
			t.Errorf("%d pings of beats were taken", len(pinged))
		}
		w.Stop()
		w.Finish()
	})
}

// A write that fails has not taken the ping between fragments, and the message is torn.
func TestWriteBetweenFragmentsThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		var reported, broke []error
		cfg.Undelivered = func(_ wire.Op, _ []byte, _ int, err error) { reported = append(reported, err) }
		o := New(cfg)
		w, p := connect(t, o, 50_000, Hooks{
			Pinged: func(int64) { t.Error("the ping was taken") },
			Broke:  func(err error) { broke = append(broke, err) },
		})
		o.Enqueue(wire.Text, long(200_000))
		o.Enqueue(wire.Text, []byte("next"))
		synctest.Wait()
		w.Beat("", []byte("beat"))
		for range 4 {
			p.take(nil)
		}
		p.take(errDisk)
		if len(broke) != 1 || !errors.Is(broke[0], errDisk) || !slices.Equal(reported, []error{testErrors.ErrInterrupted}) {
			t.Errorf("broke %v, reported %v", broke, reported)
		}
		if err := w.SendFirst(t.Context(), wire.Text, []byte("late")); err != testErrors.ErrNotConnected {
			t.Errorf("a Handshake's message behind that: %v", err)
		}
		w.Pong([]byte("late"))
		w.Stop()
		w.Finish() // which would hang if it wrote anything
		if got := waiting(o); !slices.Equal(got, []string{"next"}) {
			t.Errorf("%.20q wait", got)
		}
	})
}

// Whatever is to be sent starts a writer that was idle, and what comes behind Stop is written by Finish.
func TestIdleWriterStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broke []error
		w, p := connect(t, newTestOutbox(nil), 0, Hooks{Pinged: func(int64) {}, Broke: func(err error) { broke = append(broke, err) }})
		for want, send := range map[string]func(){
			"pong a": func() { w.Pong([]byte("a")) }, "text b": func() { w.Reply("b") }, "ping c": func() { w.SendPing([]byte("c")) },
			"ping d": func() { go w.Beat("", []byte("d")) }, "text e": func() { go w.SendFirst(t.Context(), wire.Text, []byte("e")) },
			"text f": func() { go w.out.Send(t.Context(), wire.Text, []byte("f")) }, "text g": func() { go w.out.Send(context.Background(), wire.Text, []byte("g")) },
			"text h": func() { w.out.Enqueue(wire.Text, []byte("h")) },
			"text i": func() { w.Hold(); w.out.Enqueue(wire.Text, []byte("i")); synctest.Wait(); w.Release() },
		} {
			send()
			p.takeAll()
			p.want(want)
		}
		w.Stop()
		w.Pong([]byte("last"))
		w.SendClose(1000, "", false)
		go w.Finish()
		p.take(nil)
		p.take(errDisk)
		if p.want("pong last"); len(broke) != 1 || !errors.Is(broke[0], errDisk) {
			t.Errorf("broke: %v", broke)
		}
	})
}

// A close frame that is not to wait ends a message between its fragments, which is torn then. One that is to drain
// comes behind all there is.
func TestCloseFrameBetweenFragments(t *testing.T) {
	for _, drain := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := testConfig()
			var reported []error
			cfg.Undelivered = func(_ wire.Op, _ []byte, _ int, err error) { reported = append(reported, err) }
			o := New(cfg)
			w, p := connect(t, o, 50_000, Hooks{})
			o.Enqueue(wire.Text, long(200_000))
			o.Enqueue(wire.Text, []byte("next"))
			synctest.Wait()
			w.SendClose(1001, "bye", drain)
			w.Pong([]byte("pong"))
			p.takeAll()
			if drain {
				p.want("text+ 50000", "continuation+ 50000", "pong pong", "continuation+ 50000", "continuation 50000", "text next", "close 1001 bye")
			} else {
				p.want("text+ 50000", "continuation+ 50000", "pong pong", "close 1001 bye")
			}
			if want := map[bool]int{false: 1}[drain]; len(reported) != want || want > 0 && reported[0] != testErrors.ErrInterrupted {
				t.Errorf("drain %v: reported are %v", drain, reported)
			}
			w.Pong([]byte("late")) // nothing follows a close frame
			w.Stop()
			w.Finish()
			synctest.Wait()
			p.want()
		})
	}
}

// Before each message go the control frames: pongs, replies, the heartbeat's text and pings, the Handshake's.
func TestOrderWithinABatch(t *testing.T) {
	for _, textPings := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := newTestOutbox(nil)
			pinged := 0
			w, p := connect(t, o, 0, Hooks{TextPings: textPings, Pinged: func(int64) { pinged++ }})
			w.Pong([]byte("first"))
			synctest.Wait() // which the writer waits with
			o.Enqueue(wire.Text, []byte("message"))
			first := make(chan error, 1)
			go func() { first <- w.SendFirst(t.Context(), wire.Text, []byte("login")) }()
			synctest.Wait()
			if textPings {
				w.Beat("beat", nil)
			} else {
				w.Beat("beat", []byte("b"))
			}
			w.SendPing([]byte("p"))
			w.Reply("reply")
			for i := range maxPongs + 1 {
				w.Pong(fmt.Append(nil, i))
			}
			p.takeAll()
			want := []string{"pong first"}
			for i := range maxPongs {
				want = append(want, fmt.Sprint("pong ", i+1))
			}
			want = append(want, "text reply", "text beat")
			if !textPings {
				want = append(want, "ping b")
			}
			p.want(append(want, "ping p", "text login", "text message")...)
			if err := <-first; err != nil || pinged != 1 {
				t.Errorf("the Handshake's message: %v, %d pings", err, pinged)
			}
			w.Stop()
			w.Finish()
		})
	}
}

// A message of a Handshake whose ctx ends was not sent if none of it has left, whether it waits or is in the batch.
// The others around it are sent.
func TestHandshakeMessageIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := connect(t, newTestOutbox(nil), 0, Hooks{})
		type result struct {
			cancel context.CancelFunc
			c      chan error
		}
		send := func(data []byte) result {
			ctx, cancel := context.WithCancel(t.Context())
			r := result{cancel, make(chan error, 1)}
			go func() { r.c <- w.SendFirst(ctx, wire.Text, data) }()
			synctest.Wait()
			return r
		}
		want := func(r result, want error) {
			t.Helper()
			synctest.Wait()
			select {
			case err := <-r.c:
				if err != want && !(want == testErrors.ErrInterrupted && errors.Is(err, want) && errors.Is(err, context.Canceled) && err.Error() == "interrupted: context canceled") {
					t.Errorf("%v, expected %v", err, want)
				}
			default:
				t.Errorf("it waits, expected %v", want)
			}
		}
		w.Pong([]byte("1"))
		synctest.Wait() // the writer waits with it
		w.Pong([]byte("2"))
		w.Pong([]byte("3"))
		a, b, c, d, e, f := send([]byte("a")), send([]byte("b")), send(long(200_000)), send([]byte("d")), send([]byte("e")), send([]byte("f"))
		b.cancel() // it waits
		want(b, context.Canceled)
		p.take(nil)
		for range 4 { // the first piece of the batch: two pongs, a, and a part of c
			p.take(nil)
		}
		want(a, nil)
		e.cancel() // it is in the batch
		want(e, context.Canceled)
		c.cancel() // some of it has left
		want(c, testErrors.ErrInterrupted)
		p.takeAll()
		want(d, nil)
		want(f, nil)
		p.want("pong 1", "pong 2", "pong 3", "text a", "text 200000", "text d", "text f")
		w.Stop()
		w.Finish()
		want(send([]byte("late")), testErrors.ErrNotConnected)
	})
}

// Where the write of a Handshake's message fails, what is behind it in the batch was certainly not sent.
func TestMessagesBehindAHandshakeThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Undelivered = func(_ wire.Op, data []byte, _ int, err error) { t.Errorf("%v is reported", err) }
		o := New(cfg)
		w, p := connect(t, o, 0, Hooks{Broke: func(error) {}})
		w.Pong([]byte("1"))
		synctest.Wait() // the writer waits with it
		first := make(chan error, 1)
		go func() { first <- w.SendFirst(t.Context(), wire.Text, long(200_000)) }()
		synctest.Wait()
		o.Enqueue(wire.Text, []byte("next"))
		for range 5 { // the pong, and the first piece
			p.take(nil)
		}
		p.take(errDisk)
		if err := <-first; err != testErrors.ErrInterrupted {
			t.Errorf("the Handshake's message: %v", err)
		}
		w.Stop()
		w.Finish()
		synctest.Wait()
		if got := waiting(o); !slices.Equal(got, []string{"next"}) {
			t.Errorf("%q wait", got)
		}
	})
}

// Stop joins a Send that does the writer's work, also if its message waits.
func TestStopJoinsASendThatWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newTestOutbox(nil)
		w, p := connect(t, o, 0, Hooks{})
		w.Hold()
		w.mu.Lock()
		w.front.pongs = [][]byte{[]byte("pong")} // without a goroutine that writes it
		w.mu.Unlock()
		sent := make(chan error, 1)
		go func() { sent <- o.Send(context.Background(), wire.Text, []byte("a")) }()
		synctest.Wait()
		stopped := make(chan bool)
		go func() { w.Stop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("Stop did not wait")
		default:
		}
		p.take(nil)
		<-stopped
		w.Finish()
		if err := <-sent; err != testErrors.ErrNotConnected {
			t.Errorf("Send: %v", err)
		}
		p.want("pong pong")
	})
}

// A Send that is cancelled takes the very message back that it has sent, from wherever that is in the batch.
func TestCancelledSendIsTakenOutOfTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newTestOutbox(nil)
		w, p := connect(t, o, 0, Hooks{})
		w.Pong([]byte("1"))
		synctest.Wait() // the writer waits with it
		w.Pong([]byte("2"))
		o.Enqueue(wire.Text, []byte("a"))
		o.Enqueue(wire.Text, long(100_000)) // of which the first piece takes a part
		o.Enqueue(wire.Text, []byte("b"))
		ctx, cancel := context.WithCancel(t.Context())
		sent := make(chan error, 2)
		go func() { sent <- o.Send(ctx, wire.Text, []byte("cancelled")) }()
		synctest.Wait()
		go func() { sent <- o.Send(t.Context(), wire.Text, []byte("c")) }()
		for range 5 { // the pongs, and the piece
			p.take(nil)
		}
		cancel()
		synctest.Wait()
		if err := <-sent; err != context.Canceled {
			t.Errorf("the Send that was cancelled: %v", err)
		}
		p.takeAll()
		if err := <-sent; err != nil {
			t.Errorf("the other one: %v", err)
		}
		p.want("pong 1", "pong 2", "text a", "text 100000", "text b", "text c")
		w.Stop()
		w.Finish()
	})
}

// The message of a Send in whose middle its ctx ends is written to its end, and may have been sent.
func TestSendIsCancelledInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newTestOutbox(nil)
		w, p := connect(t, o, 0, Hooks{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		sent := make(chan error, 1)
		data := long(200_000)
		go func() { sent <- o.Send(ctx, wire.Text, data) }()
		for range 4 {
			p.take(nil)
		}
		err := <-sent
		if !errors.Is(err, testErrors.ErrInterrupted) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
		clear(data) // it is the caller's again
		p.takeAll()
		p.want("text 200000")
		if o.ring.live != 0 || o.sending != 0 {
			t.Errorf("%d are left, %d Sends wait", o.ring.live, o.sending)
		}
		w.Stop()
		w.Finish()
	})
}
