package h2

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"golang.org/x/net/http2"
)

// hostile is a server that breaks HTTP/2, and how its client ends.
type hostile struct {
	does    string
	script  func(*peer)   // after its SETTINGS
	early   bool          // before them
	failure string        // phase and initiator
	err     string        // a part of the error
	within  time.Duration // from the dial until the end is known
	goaway  http2.ErrCode // what the connection ends with; 0: it does not end
	reset   http2.ErrCode // what the stream ends with; 0: it does not
}

// idleStream is the next, which was never opened.
const idleStream = 3

func hostileRows() []hostile {
	open := func(then func(p *peer, id uint32)) func(*peer) {
		return func(p *peer) { then(p, p.accept()) }
	}
	raw := func(kind http2.FrameType, flags http2.Flags, id func(uint32) uint32, payload string) func(*peer) {
		return open(func(p *peer, open uint32) { p.fr.WriteRawFrame(kind, flags, id(open), []byte(payload)); p.silence() })
	}
	own := func(id uint32) uint32 { return id }
	zero := func(uint32) uint32 { return 0 }
	unopened := func(uint32) uint32 { return idleStream }
	flood := func(write func(p *peer, i int) error) func(*peer) {
		return open(func(p *peer, _ uint32) {
			for i := 0; write(p, i) == nil; i++ {
			}
		})
	}
	const lost = "open, network"
	var rows []hostile
	for _, name := range []string{"connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection"} { // RFC 9113, section 8.2.2
		rows = append(rows, hostile{does: "answers with " + name, script: respond(false, ":status", "200", name, "x"),
			failure: "dial, remote", err: "a header field of HTTP/1.1 alone, " + name, reset: http2.ErrCodeProtocol})
	}
	return append(rows, []hostile{
		// Floods.
		{does: "floods with PING", script: flood(func(p *peer, _ int) error { return p.fr.WritePing(false, [8]byte{}) }),
			failure: lost, err: "ENHANCE_YOUR_CALM", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with PING and reads nothing", script: open(func(p *peer, _ uint32) {
			p.stopReading()
			for p.fr.WritePing(false, [8]byte{}) == nil {
			}
		}), failure: lost, err: "does not read the answers", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with answers to no PING", script: flood(func(p *peer, _ int) error { return p.fr.WritePing(true, [8]byte{}) }),
			failure: lost, err: "flood of PING", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with SETTINGS", script: flood(func(p *peer, _ int) error { return p.fr.WriteSettings() }),
			failure: lost, err: "ENHANCE_YOUR_CALM", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with answers to no SETTINGS", script: flood(func(p *peer, _ int) error { return p.fr.WriteSettingsAck() }),
			failure: lost, err: "flood of SETTINGS", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with WINDOW_UPDATE of 0 on a stream that has ended", script: open(func(p *peer, id uint32) {
			p.fr.WriteRSTStream(id, http2.ErrCodeCancel)
			for p.fr.WriteRawFrame(http2.FrameWindowUpdate, 0, id, make([]byte, 4)) == nil {
			}
		}), failure: lost, err: "reset the stream (CANCEL)", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with RST_STREAM", script: open(func(p *peer, id uint32) {
			for p.fr.WriteRSTStream(id, http2.ErrCodeCancel) == nil {
			}
		}), failure: lost, err: "reset the stream (CANCEL)", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with WINDOW_UPDATE of a stream that has ended", script: open(func(p *peer, id uint32) {
			p.fr.WriteRSTStream(id, http2.ErrCodeCancel)
			for p.fr.WriteWindowUpdate(id, 1) == nil {
			}
		}), failure: lost, err: "reset the stream (CANCEL)", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with responses of a stream that has ended", script: open(func(p *peer, id uint32) {
			p.fr.WriteRSTStream(id, http2.ErrCodeCancel)
			for p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(":status", "200"), EndHeaders: true}) == nil {
			}
		}), failure: lost, err: "reset the stream (CANCEL)", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with GOAWAY", script: flood(func(p *peer, _ int) error { return p.fr.WriteGoAway(1, http2.ErrCodeNo, nil) }),
			failure: lost, err: "flood of GOAWAY", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with PRIORITY", script: flood(func(p *peer, _ int) error { return p.fr.WritePriority(1, http2.PriorityParam{StreamDep: 3}) }),
			failure: lost, err: "flood of PRIORITY", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with frames of a type that nobody knows", script: flood(func(p *peer, _ int) error { return p.fr.WriteRawFrame(0xee, 0, 0, nil) }),
			failure: lost, err: "flood of UNKNOWN_FRAME_TYPE_238", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with empty DATA", script: flood(func(p *peer, _ int) error { return p.fr.WriteData(1, false, nil) }),
			failure: lost, err: "flood of DATA", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with responses to come", script: func(p *peer) {
			f, _ := p.next(http2.FrameHeaders)
			for p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: p.encode(":status", "103"), EndHeaders: true}) == nil {
			}
		}, failure: "dial, remote", err: "flood of HEADERS", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "floods with CONTINUATION", script: func(p *peer) {
			f, _ := p.next(http2.FrameHeaders)
			p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: p.encode(":status", "200")})
			for p.fr.WriteContinuation(f.StreamID, false, nil) == nil {
			}
		}, failure: "dial, remote", err: "in more than 32 frames", goaway: http2.ErrCodeEnhanceYourCalm},

		// Header bombs.
		{does: "sends headers of 1 MiB", script: func(p *peer) {
			f, _ := p.next(http2.FrameHeaders)
			p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: p.encode(":status", "200")})
			for p.fr.WriteContinuation(f.StreamID, false, bytes.Repeat([]byte{0x20}, maxFrame)) == nil {
			}
		}, failure: "dial, remote", err: "longer than 65536 bytes", goaway: http2.ErrCodeEnhanceYourCalm},
		{does: "sends 60 KB that are 200 MB of headers", script: func(p *peer) {
			f, _ := p.next(http2.FrameHeaders)
			block := bytes.Clone(p.encode(":status", "200", "x", strings.Repeat("a", 3500)))
			first := len(block)
			block = append(block, bytes.Repeat([]byte{0x80 | 62}, 50_000)...) // the newest field of the table, over and over
			p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: block[:first]})
			for block = block[first:]; len(block) > 0; {
				n := min(len(block), maxFrame)
				p.fr.WriteContinuation(f.StreamID, n == len(block), block[:n])
				block = block[n:]
			}
			p.silence()
		}, failure: "dial, remote", err: "longer than 65536 bytes", reset: http2.ErrCodeProtocol},
		{does: "sends what is no HPACK", script: func(p *peer) {
			f, _ := p.next(http2.FrameHeaders)
			p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0x7f}, EndHeaders: true})
			p.silence()
		}, failure: "dial, remote", err: "can't be decompressed", goaway: http2.ErrCodeCompression},

		// Responses.
		{does: "answers with 101", script: respond(false, ":status", "101"), failure: "dial, remote", err: "the status 101", reset: http2.ErrCodeProtocol},
		{does: "answers with 103 and ends", script: respond(true, ":status", "103"), failure: "dial, remote", err: "the status 103", reset: http2.ErrCodeProtocol},
		{does: "answers without a status", script: respond(false, "x", "y"), failure: "dial, remote", err: "without a status", reset: http2.ErrCodeProtocol},
		{does: "answers with the status abc", script: respond(false, ":status", "abc"), failure: "dial, remote", err: "without a status", reset: http2.ErrCodeProtocol},
		{does: "answers with two statuses", script: respond(false, ":status", "200", ":status", "200"), failure: "dial, remote", err: ":status at the wrong place", reset: http2.ErrCodeProtocol},
		{does: "answers with a status behind a field", script: respond(false, "x", "y", ":status", "200"), failure: "dial, remote", err: ":status at the wrong place", reset: http2.ErrCodeProtocol},
		{does: "answers with a name of two words", script: respond(false, ":status", "200", "x y", "z"), failure: "dial, remote", err: "the name of a header", reset: http2.ErrCodeProtocol},
		{does: "answers with a path", script: respond(false, ":status", "200", ":path", "/"), failure: "dial, remote", err: "pseudo-header", reset: http2.ErrCodeProtocol},
		{does: "answers with a capital", script: respond(false, ":status", "200", "X-Y", "z"), failure: "dial, remote", err: "the name of a header", reset: http2.ErrCodeProtocol},
		{does: "answers with a line break", script: respond(false, ":status", "200", "x", "a\r\nb: c"), failure: "dial, remote", err: "the value of a header", reset: http2.ErrCodeProtocol},
		{does: "answers twice", script: open(func(p *peer, id uint32) { p.headers(id, false, ":status", "200"); p.silence() }),
			failure: lost, err: "a second response", reset: http2.ErrCodeProtocol},
		{does: "ends with trailers", script: open(func(p *peer, id uint32) { p.headers(id, true, "x", "y"); p.silence() }), failure: lost, err: "EOF"},
		{does: "sends HEADERS after the end", script: open(func(p *peer, id uint32) {
			p.fr.WriteRawFrame(http2.FrameData, http2.FlagDataEndStream, id, nil)
			p.headers(id, true, "x", "y")
			p.silence()
		}), failure: lost, err: "EOF"},
		{does: "sends DATA before the response", script: func(p *peer) {
			f, _ := p.next(http2.FrameHeaders)
			p.fr.WriteData(f.StreamID, false, []byte("x"))
			p.silence()
		}, failure: "dial, remote", err: "DATA before the response", reset: http2.ErrCodeProtocol},
		{does: "accepts and ends", script: respond(true, ":status", "200"), failure: lost, err: "EOF"},
		{does: "never answers", script: func(p *peer) { p.silence() }, failure: "dial, network", err: "deadline", within: 10 * time.Second, reset: http2.ErrCodeCancel},

		// Windows.
		{does: "takes the stream's window above 2^31-1", script: open(func(p *peer, id uint32) { p.fr.WriteWindowUpdate(id, 1<<31-1); p.silence() }),
			failure: lost, err: "above 2^31-1", reset: http2.ErrCodeFlowControl},
		{does: "takes the connection's window above 2^31-1", script: open(func(p *peer, id uint32) { p.fr.WriteWindowUpdate(0, 1<<31-1); p.silence() }),
			failure: lost, err: "above 2^31-1", goaway: http2.ErrCodeFlowControl},
		{does: "sends a setting that is neither 0 nor 1", script: open(func(p *peer, _ uint32) {
			p.fr.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 2})
			p.silence()
		}), failure: lost, err: "the setting [ENABLE_PUSH = 2]", goaway: http2.ErrCodeProtocol},
		{does: "sets a frame size below 16384", script: open(func(p *peer, _ uint32) {
			p.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1<<14 - 1})
			p.silence()
		}), failure: lost, err: "the setting [MAX_FRAME_SIZE = 16383]", goaway: http2.ErrCodeProtocol},
		{does: "sets a window above 2^31-1", script: open(func(p *peer, _ uint32) {
			p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
			p.silence()
		}), failure: lost, err: "FLOW_CONTROL_ERROR", goaway: http2.ErrCodeFlowControl},
		{does: "sets a window twice, and then above 2^31-1", script: open(func(p *peer, _ uint32) {
			p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
			p.silence()
		}), failure: lost, err: "the setting [INITIAL_WINDOW_SIZE = 2147483648]", goaway: http2.ErrCodeFlowControl},
		{does: "takes a window above 2^31-1 by SETTINGS", script: open(func(p *peer, id uint32) {
			p.fr.WriteWindowUpdate(id, 1<<31-1-defaultWindow)
			p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: defaultWindow + 1})
			p.silence()
		}), failure: lost, err: "above 2^31-1", goaway: http2.ErrCodeFlowControl},
		{does: "sends SETTINGS with a window of 2^31", script: open(func(p *peer, _ uint32) {
			p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
			p.silence()
		}), failure: lost, err: "FLOW_CONTROL_ERROR", goaway: http2.ErrCodeFlowControl},
		{does: "sends WINDOW_UPDATE of 0 on the stream", script: raw(http2.FrameWindowUpdate, 0, own, "\x00\x00\x00\x00"), failure: lost, err: "PROTOCOL_ERROR", reset: http2.ErrCodeProtocol},
		{does: "sends WINDOW_UPDATE of 0 on the connection", script: raw(http2.FrameWindowUpdate, 0, zero, "\x00\x00\x00\x00"), failure: lost, err: "PROTOCOL_ERROR", goaway: http2.ErrCodeProtocol},
		{does: "never takes a byte", script: func(p *peer) {
			p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			p.accept()
			p.silence()
		}, failure: lost, within: 16 * time.Second, reset: http2.ErrCodeCancel}, // the heartbeat after 6 s, and then WriteTimeout

		// Frames where they must not be.
		{does: "sends DATA on a stream that was never opened", script: raw(http2.FrameData, 0, unopened, "x"), failure: lost, err: "DATA on stream 3, which was never opened", goaway: http2.ErrCodeProtocol},
		{does: "sends HEADERS on a stream of its own", script: open(func(p *peer, _ uint32) { p.headers(2, false, ":status", "200"); p.silence() }), failure: lost, err: "HEADERS on stream 2", goaway: http2.ErrCodeProtocol},
		{does: "sends RST_STREAM on a stream that was never opened", script: raw(http2.FrameRSTStream, 0, unopened, "\x00\x00\x00\x00"), failure: lost, err: "never opened", goaway: http2.ErrCodeProtocol},
		{does: "sends WINDOW_UPDATE on a stream that was never opened", script: raw(http2.FrameWindowUpdate, 0, unopened, "\x00\x00\x00\x01"), failure: lost, err: "never opened", goaway: http2.ErrCodeProtocol},
		{does: "sends WINDOW_UPDATE of 0 on a stream that was never opened", script: raw(http2.FrameWindowUpdate, 0, unopened, "\x00\x00\x00\x00"), failure: lost, err: "WINDOW_UPDATE on stream 3, which was never opened", goaway: http2.ErrCodeProtocol},
		{does: "sends DATA after the end", script: open(func(p *peer, id uint32) {
			p.fr.WriteRawFrame(http2.FrameData, http2.FlagDataEndStream, id, nil)
			p.fr.WriteData(id, false, []byte("x"))
			p.silence()
		}), failure: lost, err: "EOF"},
		{does: "sends DATA on stream 0", script: raw(http2.FrameData, 0, zero, "x"), failure: lost, err: "PROTOCOL_ERROR", goaway: http2.ErrCodeProtocol},
		{does: "sends SETTINGS on a stream", script: raw(http2.FrameSettings, 0, own, ""), failure: lost, err: "PROTOCOL_ERROR", goaway: http2.ErrCodeProtocol},
		{does: "sends PING on a stream", script: raw(http2.FramePing, 0, own, "12345678"), failure: lost, err: "PROTOCOL_ERROR", goaway: http2.ErrCodeProtocol},
		{does: "sends a PING of 4 bytes", script: raw(http2.FramePing, 0, zero, "1234"), failure: lost, err: "FRAME_SIZE_ERROR", goaway: http2.ErrCodeFrameSize},
		{does: "sends SETTINGS of 5 bytes", script: raw(http2.FrameSettings, 0, zero, "12345"), failure: lost, err: "FRAME_SIZE_ERROR", goaway: http2.ErrCodeFrameSize},
		{does: "sends more padding than frame", script: raw(http2.FrameData, http2.FlagDataPadded, own, "\xff"), failure: lost, err: "(PROTOCOL_ERROR): pad size larger than data payload", goaway: http2.ErrCodeProtocol},
		{does: "sends a frame of 16 KiB and a byte", script: raw(http2.FrameData, 0, own, strings.Repeat("x", maxFrame+1)), failure: lost, err: "longer than 16384 bytes", goaway: http2.ErrCodeFrameSize},
		{does: "sends CONTINUATION alone", script: raw(http2.FrameContinuation, 0, own, ""), failure: lost, err: "PROTOCOL_ERROR", goaway: http2.ErrCodeProtocol},
		{does: "sends PING between HEADERS and CONTINUATION", script: func(p *peer) {
			f, _ := p.next(http2.FrameHeaders)
			p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: p.encode(":status", "200")})
			p.fr.WritePing(false, [8]byte{})
			p.silence()
		}, failure: "dial, remote", err: "PROTOCOL_ERROR", goaway: http2.ErrCodeProtocol},
		{does: "pushes", script: raw(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, own, "\x00\x00\x00\x02\x88"), failure: lost, err: "PUSH_PROMISE", goaway: http2.ErrCodeProtocol},
		{does: "withdraws extended CONNECT", script: open(func(p *peer, _ uint32) {
			p.fr.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 0})
			p.silence()
		}), failure: lost, err: "after it was 1", goaway: http2.ErrCodeProtocol},
		{does: "sends GOAWAY and goes", script: open(func(p *peer, id uint32) { p.fr.WriteGoAway(id, http2.ErrCodeEnhanceYourCalm, []byte("hunter2")) }),
			failure: lost, err: "GOAWAY, ENHANCE_YOUR_CALM"},
		{does: "ends in the middle of a frame", script: open(func(p *peer, id uint32) { io.WriteString(p, "\x00\x01\x00\x00\x00\x00\x00\x00\x01half") }), failure: lost, err: "EOF"},
		{does: "goes", script: open(func(*peer, uint32) {}), failure: lost, err: "EOF"},
		{does: "goes before the response", script: func(p *peer) { p.next(http2.FrameHeaders) }, failure: "dial, network", err: "EOF"},

		// Beginnings.
		{does: "goes at once", early: true, script: func(*peer) {}, failure: "dial, network", err: "EOF"},
		{does: "begins with PING", early: true, script: func(p *peer) { p.fr.WritePing(false, [8]byte{}); p.silence() }, failure: "dial, remote", err: "expected SETTINGS", goaway: http2.ErrCodeProtocol},
		{does: "says nothing", early: true, script: func(p *peer) { p.silence() }, failure: "dial, network", err: "deadline", within: 10 * time.Second},
		{does: "speaks another protocol", early: true, script: func(p *peer) { io.WriteString(p, "220 mail.example ESMTP ready\r\n"); p.silence() }, failure: "dial, remote", err: "FRAME_SIZE_ERROR", goaway: http2.ErrCodeFrameSize},
	}...)
}

func respond(end bool, fields ...string) func(*peer) {
	return func(p *peer) {
		f, _ := p.next(http2.FrameHeaders)
		p.headers(f.StreamID, end, fields...)
		p.silence()
	}
}

// TestHostileServers checks each row with a client: bounded time and memory,
// the Failure of a client over HTTP/1.1, and what the server is told.
func TestHostileServers(t *testing.T) {
	for _, row := range hostileRows() {
		t.Run(row.does, func(t *testing.T) { row.run(t) })
	}
}

func (row *hostile) run(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	inBubble(t, &Transport{}, func(p *peer) {
		if !row.early {
			p.settings()
		}
		row.script(p)
	}, func(w *world) {
		var closed []wsnotify.CloseEvent
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: &http.Client{Transport: w.tr},
			BackOff:    wsnotify.Exponential(time.Second, time.Second, 0),
			OnClose:    func(ev wsnotify.CloseEvent) { closed = append(closed, ev) },
		})
		began := time.Now()
		client.Connect(w.Context(), "ws://server/", "ada")
		<-client.Done()
		if took := time.Since(began); took != row.within {
			t.Errorf("it was known after %v and not %v", took, row.within)
		}
		f := *client.Status().LastFailure
		if got := fmt.Sprintf("%v, %v", f.Phase, f.Initiator); got != row.failure {
			t.Errorf("the failure is %q and not %q: %v", got, row.failure, f.Err)
		}
		if !strings.Contains(f.Err.Error(), row.err) || strings.Contains(f.Err.Error(), "hunter2") {
			t.Errorf("the error is %q", f.Err)
		}
		if f.Phase == wsnotify.PhaseOpen && (len(closed) != 1 || closed[0].Code != wsnotify.StatusAbnormalClosure || closed[0].WasClean) {
			t.Errorf("OnClose: %v", closed)
		}
		w.wantDials(1)
		p := w.peers[0]
		p.mu.Lock()
		if p.stop != nil {
			close(p.stop)
			p.stop = nil
		}
		p.mu.Unlock()
		if row.reset != 0 {
			if f, _ := p.next(http2.FrameRSTStream); f.code != row.reset {
				t.Errorf("RST_STREAM has %v and not %v", f.code, row.reset)
			}
		}
		if row.goaway != 0 {
			if f, _ := p.next(http2.FrameGoAway); f.code != row.goaway {
				t.Errorf("GOAWAY has %v and not %v", f.code, row.goaway)
			}
		}
	})
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}
