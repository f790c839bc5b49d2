package wire

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Op is an opcode of RFC 6455, section 5.2.
type Op byte

// The opcodes.
const (
	Continuation Op = 0
	Text         Op = 1
	Binary       Op = 2
	Close        Op = 8
	Ping         Op = 9
	Pong         Op = 10
)

// The bits of a frame's first byte above its opcode.
const (
	Fin  = 0x80
	RSV1 = 0x40 // the message is compressed, RFC 7692
)

// MaxControl is how long the payload of a control frame may be, in bytes.
const MaxControl = 125

// MaxHeader is how long the header of a masked frame may be.
const MaxHeader = 14

// AppendHeader appends the header of a masked frame: first is the byte with
// its opcode and bits, size that of its payload.
func AppendHeader(dst []byte, first byte, size int, key uint32) []byte {
	switch {
	case size <= 125:
		dst = append(dst, first, 0x80|byte(size))
	case size <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, first, 0x80|126), uint16(size))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, 0x80|127), uint64(size))
	}
	return binary.LittleEndian.AppendUint32(dst, key)
}

// AppendFrame appends a whole masked frame.
func AppendFrame(dst []byte, first byte, payload []byte, keys *Keys) []byte {
	key := keys.Next()
	dst = AppendHeader(dst, first, len(payload), key)
	return AppendMasked(dst, payload, key)
}

// ClosePayload is the body of a close frame, RFC 6455, section 5.5.1. It is
// empty for 1005, which stands for none.
func ClosePayload(code int, reason string) []byte {
	if code == NoStatus {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

// Close codes of RFC 6455, section 7.4.1, that this package speaks of.
const (
	ProtocolError  = 1002
	NoStatus       = 1005
	InvalidPayload = 1007
	TooBig         = 1009
)

// Violation is what a server must not send.
type Violation struct {
	Code int // the close code that answers it
	Text string
}

func (v *Violation) Error() string { return v.Text }

func violation(code int, format string, args ...any) *Violation {
	return &Violation{Code: code, Text: fmt.Sprintf(format, args...)}
}

// parseClose reads the body of a close frame.
func parseClose(payload []byte) (code uint16, reason []byte, err error) {
	switch {
	case len(payload) == 0:
		return NoStatus, nil, nil
	case len(payload) == 1:
		return 0, nil, violation(ProtocolError, "the payload of a close frame is too small: it has 1 byte, and a close code takes 2")
	}
	code, reason = binary.BigEndian.Uint16(payload), payload[2:]
	if !validCode(code) {
		return 0, nil, violation(ProtocolError, "a close frame has the invalid status code %d", code)
	}
	if !utf8.Valid(reason) {
		return 0, nil, violation(InvalidPayload, "the reason of a close frame is not valid UTF-8")
	}
	return code, reason, nil
}

// validCode reports whether a close frame may carry code: RFC 6455, section
// 7.4, and what IANA has registered since.
func validCode(code uint16) bool {
	switch code {
	case 1004, 1005, 1006:
		return false
	}
	return 1000 <= code && code <= 1014 || 3000 <= code && code <= 4999
}
