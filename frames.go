package wsnotify

import (
	"crypto/rand"
	"encoding/binary"
	"math"
)

// Opcodes of RFC 6455, section 5.2. The transport frames and reads messages;
// this package writes control frames by itself and looks at what passes.
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// encodeFrame appends a final, masked frame of RFC 6455, section 5.2.
func encodeFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, 0x80|opcode)
	switch n := len(payload); {
	case n <= 125:
		dst = append(dst, 0x80|byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	var mask [4]byte
	rand.Read(mask[:]) // never fails
	dst = append(dst, mask[:]...)
	for i, c := range payload {
		dst = append(dst, c^mask[i&3])
	}
	return dst
}

// closePayload is the body of a close frame, RFC 6455, section 5.5.1.
func closePayload(code StatusCode, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

// frameScanner follows masked frames through a stream that comes in pieces,
// up to the first close frame.
type frameScanner struct {
	header  [14]byte
	have    int   // bytes of header
	left    int64 // of the payload
	payload [2]byte
	seen    int // bytes of a close frame's payload
}

// scan returns how much of p belongs to the stream: all of it, or what ends
// with a close frame.
func (s *frameScanner) scan(p []byte) (n int, closed bool) {
	for n < len(p) {
		if s.left == 0 {
			s.header[s.have] = p[n]
			s.have++
			n++
			if !s.headerDone() {
				continue
			}
		} else {
			m := int(min(s.left, int64(len(p)-n)))
			if s.isClose() {
				s.seen += copy(s.payload[min(s.seen, 2):], p[n:n+m])
			}
			s.left -= int64(m)
			n += m
		}
		if s.left == 0 {
			if s.isClose() {
				return n, true
			}
			s.have = 0
		}
	}
	return n, false
}

func (s *frameScanner) isClose() bool { return s.header[0]&0xf == opClose }

// headerDone reads the length once the header is whole.
func (s *frameScanner) headerDone() bool {
	if s.have < 2 {
		return false
	}
	size := 6
	switch s.left = int64(s.header[1] & 0x7f); s.left {
	case 126:
		size, s.left = 8, int64(binary.BigEndian.Uint16(s.header[2:]))
	case 127:
		size, s.left = 14, int64(binary.BigEndian.Uint64(s.header[2:])&math.MaxInt64)
	}
	if s.have < size {
		s.left = 0
		return false
	}
	return true
}

// closeCode is the code of the close frame that scan has found.
func (s *frameScanner) closeCode() StatusCode {
	if s.seen < 2 {
		return StatusNoStatusRcvd
	}
	mask := s.header[2:] // a close frame is short
	return StatusCode(binary.BigEndian.Uint16([]byte{s.payload[0] ^ mask[0], s.payload[1] ^ mask[1]}))
}
