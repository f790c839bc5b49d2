package wsnotify_test

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// The other side of compression in these tests is compress/flate, with windows of
// 32 KiB.

const (
	takeover   = wsnotify.CompressionContextTakeover
	noTakeover = wsnotify.CompressionNoContextTakeover

	flateTail = "\x00\x00\xff\xff" // RFC 7692, 7.2.1
)

// flater compresses the messages of one connection.
type flater struct {
	buf bytes.Buffer
	w   *flate.Writer
}

// message is a compressed text message; alone, it refers to none before it.
func (f *flater) message(s string, alone bool) []byte {
	f.buf.Reset()
	if f.w == nil || alone {
		f.w, _ = flate.NewWriter(&f.buf, 9)
	}
	io.WriteString(f.w, s)
	f.w.Flush()
	return reserved(4, text(strings.TrimSuffix(f.buf.String(), flateTail)))
}

// inflater decompresses the messages of one connection.
type inflater struct{ window []byte }

func (f *inflater) message(p []byte, keep bool) (string, error) {
	r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(p), strings.NewReader(flateTail+"\x01\x00\x00\xff\xff")), f.window)
	data, err := io.ReadAll(r)
	if keep {
		f.window = append(f.window, data...)
		f.window = f.window[max(0, len(f.window)-32<<10):]
	}
	return string(data), err
}

// What is offered is what a browser offers, or what the Config asks for.
func TestCompressionIsOffered(t *testing.T) {
	for want, cfg := range map[string]wsnotify.Config{
		"": {},
		"permessage-deflate; client_max_window_bits":                                                         {Compression: takeover},
		"permessage-deflate; client_no_context_takeover; server_no_context_takeover; client_max_window_bits": {Compression: noTakeover},
		"permessage-deflate; client_max_window_bits=12; server_max_window_bits=12":                           {Compression: takeover, CompressionWindow: 12},
	} {
		request := requestOf(t, cfg, "ws://server.test/")
		if got := strings.Join(headerFields(request, "Sec-WebSocket-Extensions"), " and "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, window := range []int{-1, 1, 8, 16} {
		err := wsnotify.New(wsnotify.Config{Compression: takeover, CompressionWindow: window}).Connect(t.Context(), "ws://server.test/", "")
		if err == nil || !strings.Contains(err.Error(), "CompressionWindow") {
			t.Errorf("a window of %d: %v", window, err)
		}
	}
}

// What the server answers is in the OpenEvent, or fails the handshake if it answers
// what was not offered.
func TestCompressionIsAgreedOn(t *testing.T) {
	type agreement = wsnotify.CompressionAgreement
	for _, test := range []struct {
		cfg    wsnotify.Config
		answer string
		want   agreement
	}{
		{wsnotify.Config{Compression: takeover}, "", agreement{}},
		{wsnotify.Config{Compression: takeover}, "permessage-deflate", agreement{15, 15, true, true}},
		{wsnotify.Config{Compression: takeover}, `permessage-deflate; server_max_window_bits="10" ;client_max_window_bits=8`, agreement{10, 8, true, true}},
		{wsnotify.Config{Compression: noTakeover}, "permessage-deflate", agreement{15, 15, true, false}},
		{wsnotify.Config{Compression: takeover, CompressionWindow: 11}, "permessage-deflate; server_max_window_bits=9; server_no_context_takeover", agreement{9, 11, false, true}},

		{wsnotify.Config{}, "permessage-deflate", agreement{-1, 0, false, false}},
		{wsnotify.Config{Compression: takeover, CompressionWindow: 11}, "permessage-deflate", agreement{-1, 0, false, false}},
		{wsnotify.Config{Compression: takeover}, "permessage-deflate; client_max_window_bits", agreement{-1, 0, false, false}},
		{wsnotify.Config{Compression: takeover}, "permessage-deflate; server_max_window_bits=16", agreement{-1, 0, false, false}},
	} {
		var opened []wsnotify.OpenEvent
		cfg := test.cfg
		cfg.BackOff = never
		cfg.OnOpen = func(ev wsnotify.OpenEvent) { opened = append(opened, ev) }
		inRawBubble(t, cfg, func(p *rawPeer) {
			if test.answer == "" {
				p.accept()
			} else {
				p.accept("Sec-WebSocket-Extensions: " + test.answer)
			}
			p.rest(time.Second)
		}, func(w *world, _ *rawNet) {
			err := w.c.Connect(w.Context(), "ws://server/", "")
			var refused *wsnotify.HandshakeError
			if test.want.ServerWindow < 0 {
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), "Sec-WebSocket-Extensions") {
					t.Errorf("the answer %q: %v", test.answer, err)
				}
				return
			}
			w.must(err)
			<-w.c.Done()
			if len(opened) != 1 || opened[0].Compression != test.want || strings.Join(opened[0].Header.Values("Sec-WebSocket-Extensions"), "") != test.answer {
				t.Errorf("the answer %q: %+v", test.answer, opened)
			}
			if (opened[0].Compression.String() == "") != (test.answer == "") {
				t.Errorf("%q is shown as %q", test.answer, opened[0].Compression)
			}
		})
	}
}

// RFC 7692, 7.1.1: what a client offers of itself holds whether the answer repeats
// it or not. The server's window is bound by its answer alone, so a server that
// does not grant server_no_context_takeover is understood all the same.
func TestWhoKeepsTheWindow(t *testing.T) {
	const again = "the same words again and again, "
	for _, mode := range []wsnotify.CompressionMode{takeover, noTakeover} {
		for _, answer := range []string{"", "; client_no_context_takeover", "; server_no_context_takeover", "; client_no_context_takeover; server_no_context_takeover"} {
			serverAlone := strings.Contains(answer, "server_no")
			clientKeeps := mode == takeover && !strings.Contains(answer, "client_no")
			t.Run(fmt.Sprint(mode, answer), func(t *testing.T) {
				var got, sent []string
				cfg := wsnotify.Config{
					Compression: mode, BackOff: never, Heartbeat: wsnotify.Heartbeat{Interval: -1},
					OnMessage: func(m wsnotify.Message) { got = append(got, string(m.Data)) },
				}
				inRawBubble(t, cfg, func(p *rawPeer) {
					p.accept("Sec-WebSocket-Extensions: permessage-deflate" + answer)
					var out flater
					for i := range 5 {
						p.frames(out.message(fmt.Sprint(again, i), serverAlone))
					}
					var in inflater
					for range 5 {
						f, _ := p.Frame()
						if f.RSV != 4 || !f.Fin {
							t.Errorf("%+v is not compressed", f)
							return
						}
						message, err := in.message(f.Payload, clientKeeps)
						if err != nil {
							t.Errorf("after %d messages: %v", len(sent), err)
							return
						}
						sent = append(sent, message)
					}
				}, func(w *world, _ *rawNet) {
					w.must(w.c.Connect(w.Context(), "ws://server/", ""))
					var want, wantSent []string
					for i := range 5 {
						want = append(want, fmt.Sprint(again, i))
						wantSent = append(wantSent, fmt.Sprint(strings.Repeat("much of the same, ", 60), i))
						w.must(w.c.SendMessage(w.Context(), wantSent[i]))
					}
					<-w.c.Done()
					if fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("received %q", got)
					}
					if fmt.Sprint(sent) != fmt.Sprint(wantSent) {
						t.Errorf("the server received %.200q", sent)
					}
				})
			})
		}
	}
}

// A final block ends neither the message nor the stream (RFC 7692, 7.2.3.4), and
// what ends inside a block is no message.
func TestEndsOfCompressedMessages(t *testing.T) {
	hello := func(payload string) []byte { return reserved(4, text(payload)) }
	const (
		first = "\xf2\x48\xcd\xc9\xc9\x07\x00" // Hello
		again = "\xf2\x00\x11\x00\x00"         // the same, by the window
		final = "\xf3\x48\xcd\xc9\xc9\x07\x00" // in a final block
	)
	for name, test := range map[string]struct {
		frames []string
		want   string
		code   wsnotify.StatusCode
	}{
		"a final block":             {[]string{final + "\x00", again, first}, "Hello Hello Hello", 1000},
		"two final blocks":          {[]string{final + final + "\x00", again}, "HelloHello Hello", 1000},
		"nothing behind the block":  {[]string{final, again}, "Hello Hello", 1000},
		"cut inside a block":        {[]string{first, "\xf2\x48\xcd"}, "Hello", 1002},
		"cut behind a final block":  {[]string{first, final + "\xf2\x48"}, "Hello", 1002},
		"a block that has the tail": {[]string{"\x00\x04\x00\xfb\xff"}, "", 1002},
		"nothing at all":            {[]string{""}, "", 1002},
	} {
		var got []string
		inRawBubble(t, wsnotify.Config{
			Compression: takeover, BackOff: never, Heartbeat: wsnotify.Heartbeat{Interval: -1},
			OnMessage: func(m wsnotify.Message) { got = append(got, string(m.Data)) },
		}, func(p *rawPeer) {
			p.accept("Sec-WebSocket-Extensions: permessage-deflate")
			for _, payload := range test.frames {
				p.frames(hello(payload))
			}
			p.frames(closeFrame(1000, ""))
			p.closed()
		}, func(w *world, _ *rawNet) {
			w.must(w.c.Connect(w.Context(), "ws://server/", ""))
			<-w.c.Done()
			if f := w.c.Status().LastFailure; strings.Join(got, " ") != test.want || f.Code != test.code {
				t.Errorf("%s: %q, %+v", name, got, f)
			}
		})
	}
}

// notification is one of many that share the names of their fields, and vary in
// ids, users and numbers.
func notification(r *rand.Rand) string {
	users := []string{"ada", "grace", "margaret", "barbara", "dennis", "edsger"}
	kinds := []string{"order.updated", "message.new", "presence", "price"}
	return fmt.Sprintf(`{"msgType":"%s","content":{"id":%d,"user":"%s","ts":%d,"amount":%d.%02d,"unread":%d}}`, kinds[r.IntN(len(kinds))],
		100_000_000+r.IntN(900_000_000), users[r.IntN(len(users))], 1_764_400_000_000+r.Int64N(100_000), r.IntN(1000), r.IntN(100), r.IntN(20))
}

// A short message becomes shorter by those before it.
func TestShortMessagesAreCompressed(t *testing.T) {
	const count = 500
	wire := 0
	var got []string
	inRawBubble(t, wsnotify.Config{Compression: takeover, BackOff: never, Heartbeat: wsnotify.Heartbeat{Interval: -1}}, func(p *rawPeer) {
		p.accept("Sec-WebSocket-Extensions: permessage-deflate")
		var in inflater
		for range count {
			f, _ := p.Frame()
			message, err := in.message(f.Payload, true)
			if err != nil {
				t.Error(err)
				return
			}
			got = append(got, message)
			wire += len(f.Payload) + 6
		}
	}, func(w *world, _ *rawNet) {
		w.must(w.c.Connect(w.Context(), "ws://server/", ""))
		r := rand.New(rand.NewPCG(1, 1))
		raw := 0
		var want []string
		for range count {
			want = append(want, notification(r))
			raw += len(want[len(want)-1])
			w.must(w.c.SendMessage(w.Context(), want[len(want)-1]))
		}
		<-w.c.Done()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d messages arrived, or others", len(got))
		}
		t.Logf("%d bytes of a message, %d with its frame on the wire", raw/count, wire/count)
		if wire > 45*count {
			t.Errorf("a message of %d bytes takes %d on the wire", raw/count, wire/count)
		}
	})
}

// In fragments the first says that a message is compressed. Control frames are not.
func TestFragmentsOfCompressedMessages(t *testing.T) {
	const maxFrame = 1000
	var kinds []string
	var message []byte
	inRawBubble(t, wsnotify.Config{Compression: takeover, MaxFrame: maxFrame, BackOff: never, Heartbeat: wsnotify.Heartbeat{Interval: -1}}, func(p *rawPeer) {
		p.accept("Sec-WebSocket-Extensions: permessage-deflate")
		p.frames(ping("are you there?"))
		for {
			f, ok := p.Frame()
			if !ok || f.Opcode == 8 {
				p.frames(closeFrame(1000, ""))
				return
			}
			kinds = append(kinds, fmt.Sprint(f.Opcode, f.RSV, f.Fin))
			if f.Opcode < 8 {
				message = append(message, f.Payload...)
				if f.Size > maxFrame {
					t.Errorf("a frame of %d bytes", f.Size)
				}
			}
		}
	}, func(w *world, _ *rawNet) {
		w.must(w.c.Connect(w.Context(), "ws://server/", ""))
		w.pass(time.Second)
		data := make([]byte, 2500)
		for i := range data {
			data[i] = byte(i * i >> 3 * i)
		}
		w.must(w.c.Send(w.Context(), wsnotify.MessageBinary, data))
		w.c.Disconnect()
		var in inflater
		if got, err := in.message(message, false); err != nil || got != string(data) {
			t.Errorf("%d bytes: %v", len(got), err)
		}
		n := len(kinds)
		if n < 3 || kinds[0] != "10 0 true" || kinds[1] != "2 4 false" || kinds[n-1] != "0 0 true" {
			t.Errorf("%q", kinds)
		}
	})
}

// The inbox is full of what its messages keep, and not of what they show.
func TestInboxCountsWhatCompressedMessagesKeep(t *testing.T) {
	const limit = 1 << 20
	nothing := strings.Repeat("\x00\x00\x00\xff\xff", 20_000) + "\x00" // 100 KB
	zeros := func() string {
		var f flater
		return string(f.message(strings.Repeat("\x00", 900_000), true)[4:])
	}()
	for name, test := range map[string]struct {
		payload string
		most    int
	}{
		"they become nothing":   {nothing, 12},
		"they become much":      {zeros, 3},
		"they are empty at all": {"\x00", limit/256 + 1},
	} {
		for _, reuse := range []bool{false, true} {
			var release chan struct{}
			var client *wsnotify.Client
			var received, heap uint64
			before := heapInUse()
			inRawBubble(t, wsnotify.Config{
				Compression: takeover, BackOff: never, Heartbeat: wsnotify.Heartbeat{Interval: -1},
				Inbox:     wsnotify.Inbox{Messages: -1, Bytes: limit, Reuse: reuse},
				OnMessage: func(wsnotify.Message) { <-release },
			}, func(p *rawPeer) {
				p.accept("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover")
				frame := reserved(4, binaryOf(test.payload))
				many := bytes.Repeat(frame, max(1, 60_000/len(frame)))
				for range 300 {
					if p.Conn.SetWriteDeadline(time.Now().Add(time.Second)); p.write(string(many)) != nil {
						break
					}
				}
				received, heap = client.Status().MessagesIn, heapInUse()
				close(release)
			}, func(w *world, _ *rawNet) {
				release, client = make(chan struct{}), w.c
				w.must(w.c.Connect(w.Context(), "ws://server/", ""))
				<-w.c.Done()
			})
			if received < 2 || received > uint64(test.most) {
				t.Errorf("%s, reuse %v: %d messages of %d bytes were taken", name, reuse, received, len(test.payload))
			}
			if heap > before+4<<20 {
				t.Errorf("%s, reuse %v: %d bytes are kept", name, reuse, heap-before)
			}
		}
	}
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A Send whose ctx ends does not wait until a large message has been compressed,
// and what comes after it is understood.
func TestSendIsCancelledInTheMiddleOfItsCompression(t *testing.T) {
	inBubble(t, wsnotify.Config{Compression: takeover, Heartbeat: wsnotify.Heartbeat{Interval: -1}}, func(w *world) {
		w.srv.Compress(true)
		conn := w.connect()
		large := strings.Repeat("a large text, ", 1<<16)
		for i := range 20 {
			ctx, cancel := context.WithCancel(w.Context())
			go func() {
				for range i * 10 {
					runtime.Gosched()
				}
				cancel()
			}()
			if err := w.c.SendMessage(ctx, large); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, wsnotify.ErrUnconfirmed) {
				t.Fatal(err)
			}
			cancel()
			w.must(w.c.SendMessage(w.Context(), fmt.Sprint("a large text, and more of it ", i)))
		}
		w.pass(time.Second)
		small := 0
		for _, m := range conn.Messages() {
			switch {
			case m == fmt.Sprint("a large text, and more of it ", small):
				small++
			case m != large:
				t.Errorf("%.100q of %d bytes arrived", m, len(m))
			}
		}
		if small != 20 {
			t.Errorf("%d of 20 messages arrived", small)
		}
	})
}

// What counts against ReadLimit is what a compressed message becomes.
func TestReadLimitOfCompressedMessages(t *testing.T) {
	const limit = 1000
	for _, size := range []int{limit, limit + 1, limit + 2} {
		got, f := receiveDeflated(t, size, limit)
		if (f.Code == 1009) != (size > limit) || (len(got) == 0) != (size > limit) {
			t.Errorf("a message of %d: %v were delivered, %+v", size, got, f)
		}
	}
}

// Without a ReadLimit there is none for what a compressed message becomes, either.
func TestNoReadLimitForCompressedMessages(t *testing.T) {
	const size = 3 << 20
	if got, f := receiveDeflated(t, size, -1); len(got) != 1 || got[0] != size {
		t.Errorf("%v were delivered, %+v", got, f)
	}
}
