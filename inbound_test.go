package wsnotify_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

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
