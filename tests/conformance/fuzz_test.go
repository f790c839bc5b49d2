package conformance

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
)

// A fuzzer as the server. Each input is played to a client in virtual time,
// and the result is compared with what a decoder says that was written
// for nothing else, and shares no code with the client.

// played is what one connection did.
type played struct {
	opened    int
	closed    []wsnotify.CloseEvent
	delivered []wsnotify.Message
	failure   wsnotify.Failure
	seen      witness
	took      time.Duration
}

// play connects once to a script.
func play(t *testing.T, cfg wsnotify.Config, script func(*harness.Peer, *played)) *played {
	r := &played{}
	cfg.BackOff = harness.Never
	cfg.Heartbeat = wsnotify.Heartbeat{Interval: -1, Replies: []string{}}
	cfg.OnOpen = func(wsnotify.OpenEvent) { r.opened++ }
	cfg.OnClose = func(ev wsnotify.CloseEvent) { r.closed = append(r.closed, ev) }
	cfg.OnMessage = func(m wsnotify.Message) { r.delivered = append(r.delivered, m) }
	cfg.OnError = func(err error) { harness.CheckShown(t, err.Error()) }
	harness.InRawBubble(t, cfg, func(p *harness.Peer) { script(p, r) }, func(w *harness.World, n *harness.RawNet) {
		w.Client.Connect(w.Context(), "ws://server/", "")
		<-w.Client.Done()
		n.Ending.Wait()
		r.took = time.Since(w.Start)
		r.failure = *w.Client.Status().LastFailure
		if dials := n.Dials.Load(); dials != 1 {
			t.Errorf("it dialled %d times", dials)
		}
	})
	if r.opened != len(r.closed) || r.opened > 1 || r.opened == 1 && r.closed[0].Failure != r.failure {
		t.Errorf("%d OnOpen, OnClose %+v, %+v", r.opened, r.closed, r.failure)
	}
	for _, wrong := range r.seen.wrong {
		t.Errorf("the client %s", wrong)
	}
	return r
}

// FuzzConnection sends the bytes after the handshake, in pieces of a size.
func FuzzConnection(f *testing.F) {
	for i, c := range conformanceCases() {
		if stream := bytes.Join(c.frames, nil); len(stream) <= 1024 && c.extension == "" && i%3 == 0 {
			f.Add(stream, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		const limit = 300
		if len(stream) > 4096 {
			return
		}
		got := play(t, wsnotify.Config{ReadLimit: limit}, func(p *harness.Peer, r *played) {
			p.Accept()
			for piece := range slices.Chunk(stream, int(size)+1) {
				p.Write(piece)
			}
			if p.Rest(time.Second) { // for what the client has to say
				p.Fin()
			}
			for r.seen.see(p) {
			}
		})
		want := reference(stream, limit)
		if !equalMessages(got.delivered, want.messages) {
			t.Errorf("OnMessage saw %s and not %s", show(got.delivered), show(want.messages))
		}
		if got.opened != 1 {
			t.Fatalf("it did not open: %v", got.failure.Err)
		}
		ev, failure := got.closed[0], got.failure
		switch want.end {
		case lost:
			if ev.Code != 1006 || ev.WasClean || failure.Code != -1 || failure.Initiator != wsnotify.Network {
				t.Errorf("it was not lost: %+v", ev)
			}
		case closedByPeer:
			if ev.Code != want.codes[0] || ev.Reason != want.reason || !ev.WasClean || got.seen.code != ev.Code {
				t.Errorf("it was not closed with %d %q but is %+v; the answer was %d", want.codes[0], want.reason, ev, got.seen.code)
			}
		case violated:
			if ev.Code != 1006 || ev.WasClean || failure.Initiator != wsnotify.Remote ||
				!slices.Contains(want.codes, failure.Code) || got.seen.code != failure.Code {
				t.Errorf("it was not violated with %d but is %+v; the answer was %d", want.codes, ev, got.seen.code)
			}
		}
	})
}

const (
	lost = iota
	closedByPeer
	violated
)

type outcome struct {
	messages []wsnotify.Message
	end      int
	codes    []wsnotify.StatusCode // any of them
	reason   string
}

// reference says what a stream of a server means, by RFC 6455, section 5.
func reference(b []byte, limit uint64) (o outcome) {
	violation := func(codes ...wsnotify.StatusCode) outcome {
		o.end, o.codes = violated, codes
		return o
	}
	var typ byte // of the message under way
	var message []byte
	var total uint64
	for {
		if len(b) >= 2 && b[1]&0x80 != 0 {
			return violation(1002)
		}
		f, _, n := harness.DecodeHeader(b)
		if n == 0 {
			return o
		}
		control := f.Opcode >= 8
		wrong := f.RSV != 0 || !f.Minimal || f.Size > math.MaxInt64 || f.Opcode > 10 || f.Opcode > 2 && !control ||
			control && (!f.Fin || f.Size > 125) || f.Opcode == 0 && typ == 0 || (f.Opcode == 1 || f.Opcode == 2) && typ != 0
		if !control {
			if f.Opcode != 0 {
				total = 0
			}
			if total += min(f.Size, math.MaxInt64); total > limit {
				if wrong {
					return violation(1002, 1009)
				}
				return violation(1009)
			}
		}
		if wrong {
			return violation(1002)
		}
		rest := b[n:]
		f, n = harness.Decode(b)
		whole := n > 0
		if !whole {
			if control {
				return o
			}
			f.Payload = rest // as much of it as came
		}
		b = b[n:]
		switch {
		case f.Opcode == 8:
			return o.closing(f.Payload)
		case control:
			continue
		case f.Opcode != 0:
			typ, message = f.Opcode, nil
		}
		message = append(message, f.Payload...)
		if typ == 1 && (!beginsText(message) || whole && f.Fin && !utf8.Valid(message)) {
			return violation(1007)
		}
		if !whole {
			return o
		}
		if f.Fin {
			o.messages = append(o.messages, wsnotify.Message{Type: wsnotify.MessageType(typ), Data: message})
			typ = 0
		}
	}
}

// beginsText says whether b may be the beginning of text: if it is not, no byte
// more is needed to refuse it.
func beginsText(b []byte) bool {
	for len(b) > 0 && utf8.FullRune(b) {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			return false
		}
		b = b[size:]
	}
	return true
}

// closing says what the payload of a close frame means.
func (o outcome) closing(payload []byte) outcome {
	o.end = violated
	switch {
	case len(payload) == 0:
		o.end, o.codes = closedByPeer, []wsnotify.StatusCode{1005}
		return o
	case len(payload) == 1:
		o.codes = []wsnotify.StatusCode{1002}
		return o
	}
	code := wsnotify.StatusCode(binary.BigEndian.Uint16(payload))
	valid := code >= 3000 && code <= 4999 || code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006
	if !valid {
		o.codes = append(o.codes, 1002)
	}
	if !utf8.Valid(payload[2:]) {
		o.codes = append(o.codes, 1007)
	}
	if o.codes == nil {
		o.end, o.codes, o.reason = closedByPeer, []wsnotify.StatusCode{code}, string(payload[2:])
	}
	return o
}

// FuzzClose sends a close frame with any payload.
func FuzzClose(f *testing.F) {
	for _, code := range []int{0, 999, 1000, 1001, 1004, 1005, 1006, 1011, 1014, 1015, 1016, 2999, 3000, 4999, 5000, 65535} {
		f.Add(closeFrame(code, "")[2:])
		f.Add(closeFrame(code, "why")[2:])
	}
	for _, reason := range []string{"\x1b[31m\xff", "κόσμε\xce", "κόσμε\r\nlevel=ERROR", strings.Repeat("x", 123)} {
		f.Add(closeFrame(1000, reason)[2:])
	}
	f.Add([]byte{})
	f.Add([]byte{3})
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) > 125 {
			return
		}
		got := play(t, wsnotify.Config{}, func(p *harness.Peer, r *played) {
			p.Accept()
			p.Frames(frame(true, 8, string(payload)))
			for r.seen.see(p) {
			}
		})
		want := outcome{}.closing(payload)
		if got.opened != 1 {
			t.Fatalf("it did not open: %v", got.failure.Err)
		}
		ev := got.closed[0]
		if ev.WasClean != (want.end == closedByPeer) || !slices.Contains(want.codes, got.failure.Code) ||
			got.seen.code != got.failure.Code || ev.Reason != want.reason {
			t.Errorf("%q gave %+v, answered with %d", payload, ev, got.seen.code)
		}
		harness.CheckShown(t, got.failure.Err.Error())
		if got.took > 0 {
			t.Errorf("it took %v", got.took)
		}
	})
}

// FuzzHandshake sends any bytes as the answer to the request. {accept} in
// them stands for the right key, which no fuzzer would find.
func FuzzHandshake(f *testing.F) {
	good := strings.Replace(harness.Switching(""), "Sec-WebSocket-Accept: "+acceptOf(""), "Sec-WebSocket-Accept: {accept}", 1)
	for _, seed := range []string{
		good, good + "\x81\x02hi\x88\x02\x03\xe8", good + "\x81\x7f", "HTTP/1.1 100 Continue\r\n\r\n" + good,
		strings.Replace(good, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: v1\r\n\r\n", 1),
		strings.Replace(good, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: v2\r\n\r\n", 1),
		strings.Replace(good, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n", 1),
		strings.Replace(good, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate; x=\"\x80\r\n\r\n", 1),
		strings.Replace(good, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n", 1),
		strings.Replace(good, "\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc", 1),
		strings.Replace(good, "1.1", "1.0", 1), strings.ReplaceAll(good, "\r\n", "\n"),
		harness.Response(302, "", "Location: http://[::1"), harness.Response(302, "", "Location: //\x7f"), harness.Response(503, "busy", "Retry-After: 7"),
		harness.Response(401, "no", "Set-Cookie: a=b"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b", "HTTP/2.0 101\r\n\r\n", "HTTP/1.1 101 \x1b[31m\r\n:\r\n\r\n", "SSH-2.0\r\n", "\x00", "",
	} {
		f.Add([]byte(seed), uint8(200))
		f.Add([]byte(seed), uint8(6))
	}
	f.Fuzz(func(t *testing.T, answer []byte, size uint8) {
		if len(answer) > 4096 {
			return
		}
		cfg := wsnotify.Config{Subprotocols: []string{"v1"}, Compression: wsnotify.CompressionContextTakeover}
		if !bytes.Contains(answer, []byte("rotocol")) {
			cfg.Subprotocols = nil
		}
		var sent []byte
		var accept string
		got := play(t, cfg, func(p *harness.Peer, r *played) {
			accept = acceptOf(p.Request())
			sent = bytes.ReplaceAll(answer, []byte("{accept}"), []byte(accept))
			for piece := range slices.Chunk(sent, int(size)+1) {
				p.Write(piece)
			}
			p.Rest(4 * time.Second)
		})
		f := got.failure
		if got.took > 6*time.Second {
			t.Errorf("it took %v", got.took)
		}
		if (f.Phase == wsnotify.PhaseOpen) != (got.opened == 1) || f.Phase == wsnotify.PhaseHook ||
			f.Phase == wsnotify.PhaseHandshake != (f.HTTPStatus != 0) && harness.Typed(f.Err) != "*HandshakeError" || // net/http takes 000
			f.Initiator == wsnotify.Local {
			t.Errorf("%d OnOpen, %s: %v", got.opened, harness.Describe(f), f.Err)
		}
		if err := acceptable(sent, accept, cfg.Subprotocols); got.opened == 1 && err != nil {
			t.Errorf("%q was taken: %v", sent, err)
		}
		harness.CheckShown(t, f.Err.Error())
	})
}

func acceptOf(request string) string {
	_, rest, _ := strings.Cut(harness.Switching(request), "Sec-WebSocket-Accept: ")
	accept, _, _ := strings.Cut(rest, "\r\n")
	return accept
}

// acceptable says what is wrong with a response, by RFC 6455, section 4.1.
func acceptable(answer []byte, accept string, protocols []string) error {
	r := bufio.NewReader(bytes.NewReader(answer))
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: "GET"})
		switch {
		case err != nil:
			return err
		case resp.StatusCode >= 100 && resp.StatusCode < 200 && resp.StatusCode != 101:
			continue
		case resp.StatusCode != 101:
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		has := func(name, token string) bool {
			for _, value := range resp.Header.Values(name) {
				for _, part := range strings.Split(value, ",") {
					if strings.EqualFold(strings.TrimSpace(part), token) {
						return true
					}
				}
			}
			return false
		}
		chosen := resp.Header.Values("Sec-WebSocket-Protocol")
		switch {
		case !has("Upgrade", "websocket"), !has("Connection", "upgrade"):
			return fmt.Errorf("no upgrade")
		case !slices.Equal(resp.Header.Values("Sec-WebSocket-Accept"), []string{accept}):
			return fmt.Errorf("accept keys %q", resp.Header.Values("Sec-WebSocket-Accept"))
		case len(protocols) > 0 && !slices.Equal(chosen, protocols[:1]):
			return fmt.Errorf("subprotocols %q", chosen)
		case len(protocols) == 0 && strings.Join(chosen, "") != "":
			return fmt.Errorf("subprotocols %q", chosen)
		}
		return nil
	}
}
