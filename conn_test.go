package wsnotify_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestViolationsOfThePeer(t *testing.T) {
	frame := func(b0 byte, payload string) []byte {
		return append([]byte{b0, byte(len(payload))}, payload...)
	}
	for name, test := range map[string]struct {
		raw  []byte
		code wsnotify.StatusCode
	}{
		"not UTF-8":            {frame(0x81, "\xff\xfe"), 1007},
		"reserved opcode":      {frame(0x83, "x"), 1002},
		"reserved bit":         {frame(0xC1, "x"), 1002},
		"fragmented ping":      {frame(0x09, "x"), 1002},
		"continuation of none": {frame(0x80, "x"), 1002},
		"new message inside":   {append(frame(0x01, "a"), frame(0x81, "b")...), 1002},
		"close code 999":       {frame(0x88, "\x03\xe7"), 1002},
		"close code 1005":      {frame(0x88, "\x03\xed"), 1002},
		"close of one byte":    {frame(0x88, "x"), 1002},
		"reason not UTF-8":     {frame(0x88, "\x03\xe8\xff"), 1007},
		"masked":               {[]byte{0x81, 0x81, 1, 2, 3, 4, 'a' ^ 1}, 1002},
		"too long":             {wsnotifytest.AppendFrame(nil, true, wsnotifytest.OpText, make([]byte, 101)), 1009},
		"length too wide":      {[]byte{0x81, 126, 0, 1, 'a'}, 1002},
		"much too wide":        {[]byte{0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 1002},
		"negative length":      {[]byte{0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 1}, 1002},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{ReadLimit: 100}, func(w *world) {
				conn := w.connect()
				w.journal()
				w.must(conn.SendText(`{"msgType":"a","content":"before"}`))
				w.must(conn.WriteRaw(test.raw))
				synctest.Wait()
				w.expect("0s notification a: before", "0s CLOSED", "0s error violation",
					`0s close 1 code=1006 reason="" clean=false again=true`, "0s reconnect 1 in 10s")
				if f := w.c.Status().LastFailure; f.Code != test.code || f.Initiator != wsnotify.Remote || f.Phase != wsnotify.PhaseOpen {
					t.Errorf("%+v", f)
				}
				if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != int(test.code) {
					t.Errorf("the server got the close codes %v", codes)
				}
				w.pass(10 * time.Second)
				if !w.c.IsConnected() {
					t.Error("it did not reconnect")
				}
			})
		})
	}
}

func TestReadLimit(t *testing.T) {
	for limit, size := range map[int64]int{0: 1 << 20, 100: 100, -1: 3 << 20} {
		got := 0
		inBubble(t, wsnotify.Config{ReadLimit: limit, OnMessage: func(m wsnotify.Message) { got = len(m.Data) }}, func(w *world) {
			conn := w.connect()
			w.must(conn.SendBinary(make([]byte, size)))
			synctest.Wait()
			if got != size || !w.c.IsConnected() {
				t.Errorf("limit %d: got %d bytes of %d", limit, got, size)
			}
		})
	}
}

// What came before the end is delivered before OnClose, and a message that is
// not whole is not delivered at all.
func TestWhatWasReceivedBeforeTheEndIsDelivered(t *testing.T) {
	for name, end := range map[string]func(*wsnotifytest.Conn){
		"FIN":            func(c *wsnotifytest.Conn) { c.Drop() },
		"half a header":  func(c *wsnotifytest.Conn) { c.WriteRaw([]byte{0x81}); c.Drop() },
		"half a frame":   func(c *wsnotifytest.Conn) { c.WriteRaw([]byte{0x81, 10, '{', '}'}); c.Drop() },
		"half a message": func(c *wsnotifytest.Conn) { c.WriteFrame(false, wsnotifytest.OpText, []byte("{}")); c.Drop() },
		"a close frame":  func(c *wsnotifytest.Conn) { c.Close(1000, "") },
		"between frames": func(c *wsnotifytest.Conn) {
			c.WriteFrame(false, wsnotifytest.OpText, []byte("{"))
			c.WriteFrame(false, 0, []byte("}"))
			c.Drop()
		},
		"an empty start":   func(c *wsnotifytest.Conn) { c.WriteFrame(false, wsnotifytest.OpText, nil); c.Drop() },
		"a ping and a FIN": func(c *wsnotifytest.Conn) { c.Ping(""); c.Drop() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{}, func(w *world) {
				conn := w.connect()
				w.journal()
				for i := range 3 {
					w.must(conn.Notify("n", i+1))
				}
				end(conn)
				log := w.journal()
				if len(log) != 6 || !strings.Contains(log[2], "notification n: 3") || !strings.HasSuffix(log[3], "CLOSED") ||
					!strings.Contains(log[4], "close 1") || !strings.Contains(log[5], "reconnect") {
					t.Errorf("%q", log)
				}
			})
		})
	}
}

// Data and Raw are the receiver's to keep and to change.
func TestReceivedMemoryIsTheReceivers(t *testing.T) {
	var kept []wsnotify.Message
	var notes []wsnotify.Notification
	inBubble(t, wsnotify.Config{
		OnMessage: func(m wsnotify.Message) {
			kept = append(kept, m)
			for i := range m.Data {
				m.Data[i] = 'x'
			}
		},
		OnNotification: func(n wsnotify.Notification) { notes = append(notes, n) },
	}, func(w *world) {
		kept, notes = nil, nil
		conn := w.connect()
		for i := range 100 {
			w.must(conn.Notify("n", fmt.Sprint("content ", i)))
		}
		synctest.Wait()
		if len(notes) != 100 {
			t.Fatalf("%d notifications", len(notes))
		}
		for i, n := range notes {
			want := fmt.Sprint("content ", i)
			if n.Content != want || !strings.Contains(string(n.Raw), want) || strings.Trim(string(kept[i].Data), "x") != "" {
				t.Fatalf("%d: %+v %s", i, n, kept[i].Data)
			}
		}
	})
}

// The transport gives a control frame 5 s from its header on, and would then
// take a slow line for a broken connection.
func TestSlowControlFramesAreRead(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: -1}, BackOff: never}
	inRawBubble(t, cfg, func(p *rawPeer) {
		p.accept()
		p.drip(string(ping("a slow ping"))+string(pong("a slow pong"))+string(closeFrame(1001, "a slow close")), time.Second)
		if f, ok := p.frame(); !ok || f.opcode != 10 || string(f.payload) != "a slow ping" {
			t.Errorf("the ping is answered with %+v", f)
		}
		if payload := p.closed(); string(payload[2:]) != "a slow close" {
			t.Errorf("the close frame is answered with %q", payload)
		}
	}, func(w *world, _ *rawNet) {
		w.must(w.c.Connect(w.Context(), "ws://server/", ""))
		w.journal()
		<-w.c.Done()
		w.expect("42s CLOSED", `42s close 1 code=1001 reason="a slow close" clean=true again=false`, "42s give up after 0")
	})
}

// What is too long is refused when a header says so, and not after as much
// has come.
func TestTooLongIsRefusedByItsHeader(t *testing.T) {
	long := func(first byte, size uint64) []byte {
		return binary.BigEndian.AppendUint64([]byte{first, 127}, size)
	}
	for name, frames := range map[string][][]byte{
		"one frame": list(long(0x82, 1<<63-1)),
		"fragments": list(frame(false, 2, "a"), long(0, 1<<20)),
		"in small pieces": list(frame(false, 1, "a"), ping(""), frame(false, 0, string(make([]byte, 1<<19))),
			long(0, 1<<19)),
	} {
		t.Run(name, func(t *testing.T) {
			cfg := wsnotify.Config{BackOff: never}
			inRawBubble(t, cfg, func(p *rawPeer) {
				p.accept()
				p.frames(frames...)
				p.silence()
			}, func(w *world, _ *rawNet) {
				w.must(w.c.Connect(w.Context(), "ws://server/", ""))
				<-w.c.Done()
				if f := w.c.Status().LastFailure; f.Code != 1009 || f.Initiator != wsnotify.Remote || f.Uptime != 0 {
					t.Errorf("%+v", f)
				}
			})
		})
	}
	// The same sizes that fit.
	inRawBubble(t, wsnotify.Config{}, func(p *rawPeer) {
		p.accept()
		p.frames(fragments(2, string(make([]byte, 1<<19)), string(make([]byte, 1<<19)))...)
		p.frames(fragments(2, string(make([]byte, 1<<19)), string(make([]byte, 1<<19)))...)
		p.frames(frame(true, 2, string(make([]byte, 1<<20))))
		p.silence()
	}, func(w *world, _ *rawNet) {
		w.must(w.c.Connect(w.Context(), "ws://server/", ""))
		w.pass(time.Second)
		if n := w.c.Status().MessagesIn; n != 3 || !w.c.IsConnected() {
			t.Errorf("%d messages came, connected: %v", n, w.c.IsConnected())
		}
	})
}

// Pongs, pings and the close frame wait for one frame of a long message, and not
// for all of it.
func TestControlFramesGoBetweenFragments(t *testing.T) {
	for _, test := range []struct {
		maxFrame int
		within   time.Duration
	}{{16 << 10, 3 * time.Second}, {0, 15 * time.Second}, {-1, time.Hour}} {
		inBubble(t, wsnotify.Config{MaxFrame: test.maxFrame, Heartbeat: quiet(), Outbox: wsnotify.Outbox{Bytes: -1}}, func(w *world) {
			w.net.BytesPerSecond(slowLine)
			conn := w.connect()
			began := time.Now()
			w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 8<<20))) // 82 s
			w.pass(2 * time.Second)
			w.must(conn.Ping("now"))
			ponged := make(chan time.Duration, 1)
			go func() {
				for len(conn.Pongs()) == 0 {
					time.Sleep(10 * time.Millisecond)
				}
				ponged <- time.Since(began) - 2*time.Second
			}()
			rtt, err := w.c.Ping(w.Context())
			w.must(err)
			pong := <-ponged
			if got := max(rtt, pong); got > test.within || test.maxFrame < 0 && got < 70*time.Second {
				t.Errorf("MaxFrame %d: the pong came after %v, the answer to our ping after %v", test.maxFrame, pong, rtt)
			}
			if sent := len(w.srv.Messages("ada")); test.maxFrame >= 0 && sent != 0 {
				t.Errorf("MaxFrame %d: %d messages came before", test.maxFrame, sent)
			}
			w.must(w.c.Flush(w.Context()))
			w.pass(time.Minute)
			if got := w.srv.Messages("ada"); len(got) != 1 || len(got[0]) != 8<<20 {
				t.Errorf("MaxFrame %d: %d messages came", test.maxFrame, len(got))
			}
		})
	}
}

func TestCloseFrameGoesBetweenFragments(t *testing.T) {
	inBubble(t, wsnotify.Config{MaxFrame: 16 << 10, Heartbeat: quiet(), Outbox: wsnotify.Outbox{Bytes: -1}, ShouldReconnect: func(wsnotify.Failure) bool { return false }}, func(w *world) {
		w.srv.AllowViolations()
		w.net.BytesPerSecond(slowLine)
		conn := w.connect()
		result := make(chan error, 1)
		go func() { result <- w.c.Send(w.Context(), wsnotify.MessageBinary, make([]byte, 8<<20)) }()
		w.pass(2 * time.Second)
		w.must(conn.WriteRaw([]byte{0xf3, 0}))
		w.wantErr(<-result, wsnotify.ErrUnconfirmed)
		<-w.c.Done()
		if d := time.Since(w.start); d > 5*time.Second {
			t.Errorf("it was over after %v", d)
		}
		w.pass(5 * time.Second)
		if got := fmt.Sprint(w.srv.CloseCodes()); got != "[1002]" {
			t.Errorf("the server got the close codes %s", got)
		}
	})
}
