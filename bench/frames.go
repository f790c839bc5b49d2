package main

import (
	"bufio"
	"encoding/binary"
	"io"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// frame is the header of a frame of RFC 6455, section 5.2.
type frame struct {
	fin    bool
	opcode byte
	masked bool
	mask   [4]byte
	length int
}

// readFrame reads a header. The payload is still in r. Peek and Discard do not
// copy, so that counting a small frame costs the server some 20 ns.
func readFrame(r *bufio.Reader) (f frame, err error) {
	h, err := r.Peek(2)
	if err != nil {
		return f, err
	}
	f.fin, f.opcode = h[0]&0x80 != 0, h[0]&0xf
	f.masked, f.length = h[1]&0x80 != 0, int(h[1]&0x7f)
	size := 2
	switch f.length {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	whole := size
	if f.masked {
		whole += 4
	}
	if h, err = r.Peek(whole); err != nil {
		return f, err
	}
	switch size {
	case 4:
		f.length = int(binary.BigEndian.Uint16(h[2:]))
	case 10:
		f.length = int(binary.BigEndian.Uint64(h[2:]))
	}
	if f.masked {
		f.mask = [4]byte(h[size:])
	}
	_, err = r.Discard(whole)
	return f, err
}

// readPayload reads and unmasks the payload of f into buf, or a larger one.
func readPayload(r *bufio.Reader, f frame, buf []byte) ([]byte, error) {
	if cap(buf) < f.length {
		buf = make([]byte, f.length)
	}
	buf = buf[:f.length]
	if _, err := io.ReadFull(r, buf); err != nil {
		return buf, err
	}
	if f.masked {
		for i := range buf {
			buf[i] ^= f.mask[i&3]
		}
	}
	return buf, nil
}

// appendFrame appends an unmasked, final frame.
func appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, 0x80|opcode)
	switch n := len(payload); {
	case n <= 125:
		dst = append(dst, byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}
