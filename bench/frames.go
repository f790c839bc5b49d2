package main

import (
	"encoding/binary"
	"errors"
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
	rsv1   bool // the message is compressed
	opcode byte
	masked bool
	mask   [4]byte
	length int
}

// frames takes frames from a buffer that it fills from a connection, so that a
// small one costs the server little.
type frames struct {
	from io.Reader
	buf  []byte
	r, w int          // what is in buf and not yet taken
	idle func() error // called before each read; nil if there is nothing to do then
}

// header takes the next header. The payload is still to be taken.
func (fr *frames) header() (f frame, err error) {
	if err := fr.want(2); err != nil {
		return f, err
	}
	size := 2
	switch fr.buf[fr.r+1] & 0x7f {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	whole := size
	if fr.buf[fr.r+1]&0x80 != 0 {
		whole += 4
	}
	if err := fr.want(whole); err != nil {
		return f, err
	}
	h := fr.buf[fr.r:]
	f = frame{fin: h[0]&0x80 != 0, rsv1: h[0]&0x40 != 0, opcode: h[0] & 0xf, masked: h[1]&0x80 != 0, length: int(h[1] & 0x7f)}
	switch size {
	case 4:
		f.length = int(binary.BigEndian.Uint16(h[2:]))
	case 10:
		f.length = int(binary.BigEndian.Uint64(h[2:]))
	}
	if f.length < 0 {
		return f, errors.New("a frame is longer than RFC 6455 allows")
	}
	if f.masked {
		f.mask = [4]byte(h[size:])
	}
	fr.r += whole
	return f, nil
}

// payload takes the first n bytes of the payload of f, unmasked. They are valid
// until the next call.
func (fr *frames) payload(f frame, n int) ([]byte, error) {
	if err := fr.want(n); err != nil {
		return nil, err
	}
	p := fr.buf[fr.r : fr.r+n]
	fr.r += n
	if f.masked {
		unmask(p, f.mask)
	}
	return p, nil
}

// discard passes over n bytes, of which not all need fit in the buffer.
func (fr *frames) discard(n int) error {
	for {
		have := min(n, fr.w-fr.r)
		fr.r += have
		if n -= have; n == 0 {
			return nil
		}
		if err := fr.fill(); err != nil {
			return err
		}
	}
}

// want reads until n bytes are there.
func (fr *frames) want(n int) error {
	for fr.w-fr.r < n {
		if n > len(fr.buf) {
			larger := make([]byte, n)
			fr.r, fr.w, fr.buf = 0, copy(larger, fr.buf[fr.r:fr.w]), larger
		}
		if err := fr.fill(); err != nil {
			return err
		}
	}
	return nil
}

// fill reads once.
func (fr *frames) fill() error {
	if fr.idle != nil {
		if err := fr.idle(); err != nil {
			return err
		}
	}
	if fr.r > 0 {
		fr.r, fr.w = 0, copy(fr.buf, fr.buf[fr.r:fr.w])
	}
	n, err := fr.from.Read(fr.buf[fr.w:])
	fr.w += n
	if n > 0 {
		return nil
	}
	return err
}

func unmask(p []byte, mask [4]byte) {
	four := binary.LittleEndian.Uint32(mask[:])
	eight := uint64(four)<<32 | uint64(four)
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^eight)
	}
	for i := range p {
		p[i] ^= mask[i&3]
	}
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
