package harness

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// FrameOf makes a frame of a server.
func FrameOf(fin bool, opcode byte, payload string) []byte {
	return wsnotifytest.AppendFrame(nil, fin, opcode, []byte(payload))
}

// Text, Binary, Ping and Pong make whole frames.
func Text(s string) []byte   { return FrameOf(true, 1, s) }
func Binary(s string) []byte { return FrameOf(true, 2, s) }
func Ping(s string) []byte   { return FrameOf(true, 9, s) }
func Pong(s string) []byte   { return FrameOf(true, 10, s) }

// CloseFrame makes a close frame, with any code.
func CloseFrame(code int, reason string) []byte {
	return FrameOf(true, 8, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

// Reserved sets the reserved bits of a frame.
func Reserved(bits byte, frame []byte) []byte {
	frame = bytes.Clone(frame)
	frame[0] |= bits << 4
	return frame
}

// Fragments makes a message in so many fragments as there are parts.
func Fragments(opcode byte, parts ...string) (frames [][]byte) {
	for i, part := range parts {
		frames = append(frames, FrameOf(i == len(parts)-1, opcode, part))
		opcode = 0
	}
	return frames
}

// Response makes one of HTTP/1.1.
func Response(status int, body string, headers ...string) string {
	lines := append([]string{fmt.Sprintf("HTTP/1.1 %d %s", status, http.StatusText(status)),
		fmt.Sprintf("Content-Length: %d", len(body))}, headers...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// Frame is what Decode reads: the simplest decoder of RFC 6455, section
// 5.2, that there can be, and nothing of the client's is used for it.
type Frame struct {
	Fin, Masked bool
	RSV, Opcode byte
	Size        uint64 // as claimed
	Minimal     bool   // the length has the shortest form
	Payload     []byte // unmasked
}

// DecodeHeader decodes a header; n is 0 if it is not whole.
func DecodeHeader(b []byte) (f Frame, key [4]byte, n int) {
	if len(b) < 2 {
		return f, key, 0
	}
	f = Frame{Fin: b[0]>>7 == 1, RSV: b[0] >> 4 & 7, Opcode: b[0] & 15, Masked: b[1]>>7 == 1}
	extra := map[byte]int{126: 2, 127: 8}[b[1]&127]
	n = 2 + extra
	if len(b) < n {
		return f, key, 0
	}
	f.Size, f.Minimal = uint64(b[1]&127), true
	if extra > 0 {
		f.Size = 0
		for _, c := range b[2:n] {
			f.Size = f.Size<<8 | uint64(c)
		}
		f.Minimal = extra == 2 && f.Size > 125 || extra == 8 && f.Size > 0xffff
	}
	if f.Masked {
		if len(b) < n+4 {
			return f, key, 0
		}
		copy(key[:], b[n:])
		n += 4
	}
	return f, key, n
}

// Decode decodes the frame at the start of b; n is 0 if it is not whole.
func Decode(b []byte) (f Frame, n int) {
	f, key, n := DecodeHeader(b)
	if n == 0 || f.Size > uint64(len(b)-n) {
		return f, 0
	}
	f.Payload = bytes.Clone(b[n : n+int(f.Size)])
	for i := range f.Payload {
		f.Payload[i] ^= key[i%4]
	}
	return f, n + int(f.Size)
}
