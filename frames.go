package wsnotify

import (
	"crypto/rand"
	"encoding/binary"
)

// Opcodes of RFC 6455, section 5.2, of the frames that this package writes by
// itself. Messages of the user are framed by the transport.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
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
