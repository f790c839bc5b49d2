package wire

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// Keys gives masking keys, each of them once. RFC 6455, section 5.3, wants them
// unpredictable, so they come from crypto/rand; many at once, since each call
// costs more than masking a short message.
type Keys struct {
	random [1024]byte
	left   int // bytes of random that were not given out
}

// Next returns the next key.
func (k *Keys) Next() uint32 {
	if k.left == 0 {
		rand.Read(k.random[:]) // never fails
		k.left = len(k.random)
	}
	k.left -= 4
	return binary.LittleEndian.Uint32(k.random[k.left:])
}

// AppendMasked appends src masked with key. Copying and masking are one pass,
// 32 bytes at a time for as long as there are as many.
func AppendMasked(dst, src []byte, key uint32) []byte {
	n := len(dst)
	dst = grow(dst, len(src))
	out := dst[n:]
	wide := uint64(key)<<32 | uint64(key)
	for len(src) >= 32 && len(out) >= 32 {
		s, o := src[:32], out[:32]
		binary.LittleEndian.PutUint64(o[0:], binary.LittleEndian.Uint64(s[0:])^wide)
		binary.LittleEndian.PutUint64(o[8:], binary.LittleEndian.Uint64(s[8:])^wide)
		binary.LittleEndian.PutUint64(o[16:], binary.LittleEndian.Uint64(s[16:])^wide)
		binary.LittleEndian.PutUint64(o[24:], binary.LittleEndian.Uint64(s[24:])^wide)
		src, out = src[32:], out[32:]
	}
	for len(src) >= 8 && len(out) >= 8 {
		binary.LittleEndian.PutUint64(out, binary.LittleEndian.Uint64(src)^wide)
		src, out = src[8:], out[8:]
	}
	for i, c := range src {
		out[i] = c ^ byte(key>>(8*(i&3)))
	}
	return dst
}

// KeyAfter is the key for what follows n masked bytes of the same payload.
func KeyAfter(key uint32, n int) uint32 { return bits.RotateLeft32(key, -8*(n&3)) }

// grow makes room for n more bytes and takes them, uncleared.
func grow(dst []byte, n int) []byte {
	if len(dst)+n <= cap(dst) {
		return dst[:len(dst)+n]
	}
	return append(dst, make([]byte, n)...)
}
