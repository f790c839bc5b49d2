package wsnotifytest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"
)

// AppendFrame appends a WebSocket frame as a server sends it, without a mask, to dst: the building
// block of Conn.WriteRaw, for several frames in one write, or for half of one.
func AppendFrame(dst []byte, fin bool, opcode byte, payload []byte) []byte {
	b0 := opcode
	if fin {
		b0 |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, b0, byte(n))
	case n <= 0xFFFF:
		dst = append(dst, b0, 126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, b0, 127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	return append(dst, payload...)
}

// closePayload is the body of a close frame; code 0 makes it empty.
func closePayload(code int, reason string) []byte {
	if code == 0 {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

// maxMessage bounds what one frame of a client can make the server allocate.
const maxMessage = 256 << 20

// A violation is something in the client's bytes that RFC 6455 forbids.
type violation string

func (v violation) Error() string { return string(v) }

type frame struct {
	fin        bool
	compressed bool // RSV1 of permessage-deflate
	opcode     byte
	payload    []byte
}

// rsv1 is the bit of a frame's first byte that says that the message is compressed (RFC 7692,
// section 6).
const rsv1 = 0x40

func isControl(opcode byte) bool { return opcode&0x8 != 0 }

// readFrame reads one frame of a client. The error is a violation if the frame is wrong in itself.
func readFrame(r *bufio.Reader, deflate bool) (frame, error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:2]); err != nil {
		return frame{}, err
	}
	f := frame{fin: h[0]&0x80 != 0, opcode: h[0] & 0x0F}
	reserved, masked, size := h[0]>>4&0x7, h[1]&0x80 != 0, uint64(h[1]&0x7F)
	if deflate && h[0]&rsv1 != 0 && (f.opcode == OpText || f.opcode == OpBinary) {
		f.compressed = true
		reserved &^= rsv1 >> 4
	}
	switch {
	case reserved != 0:
		return f, violation(fmt.Sprintf("reserved bits %03b are set and no extension was agreed (section 5.2)", reserved))
	case f.opcode > OpBinary && f.opcode < OpClose, f.opcode > OpPong:
		return f, violation(fmt.Sprintf("unknown opcode %#x (section 5.2)", f.opcode))
	case isControl(f.opcode) && !f.fin:
		return f, violation("fragmented control frame (section 5.5)")
	case isControl(f.opcode) && size > 125:
		return f, violation("control frame of more than 125 bytes (section 5.5)")
	case !masked:
		return f, violation("frame without a mask (section 5.1)")
	}
	switch size {
	case 126:
		if _, err := io.ReadFull(r, h[:2]); err != nil {
			return f, err
		}
		size = uint64(binary.BigEndian.Uint16(h[:]))
		if size < 126 {
			return f, violation("length is not minimally encoded (section 5.2)")
		}
	case 127:
		if _, err := io.ReadFull(r, h[:8]); err != nil {
			return f, err
		}
		size = binary.BigEndian.Uint64(h[:])
		if size <= 0xFFFF {
			return f, violation("length is not minimally encoded (section 5.2)")
		}
		if size > maxMessage {
			return f, violation(fmt.Sprintf("frame of %d bytes", size))
		}
	}
	var mask [4]byte
	if _, err := io.ReadFull(r, mask[:]); err != nil {
		return f, err
	}
	f.payload = make([]byte, size)
	if _, err := io.ReadFull(r, f.payload); err != nil {
		return f, err
	}
	for i := range f.payload {
		f.payload[i] ^= mask[i&3]
	}
	return f, nil
}

// parseClose takes a close frame's body apart; an empty one has code 1005.
func parseClose(p []byte) (code int, reason string, err error) {
	if len(p) == 0 {
		return codeNoStatus, "", nil
	}
	if len(p) == 1 {
		return 0, "", violation("close frame with a body of one byte (section 5.5.1)")
	}
	code, reason = int(binary.BigEndian.Uint16(p)), string(p[2:])
	if !utf8.ValidString(reason) {
		return code, reason, violation("close reason is not UTF-8 (section 5.5.1)")
	}
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
		return code, reason, nil
	}
	return code, reason, violation(fmt.Sprintf("close code %d must not be sent (section 7.4)", code))
}
