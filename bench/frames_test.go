package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// Whatever pieces the bytes come in, frames are what they were.
func TestFramesInPieces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var stream []byte
	var want [][]byte
	for range 200 {
		data := make([]byte, []int{0, 1, 64, 125, 126, 5000, 70_000}[rnd.IntN(7)])
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		want = append(want, data)
		start := len(stream)
		stream = appendFrame(stream, opBinary, data)
		if rnd.IntN(3) == 0 { // else as a client sends it
			continue
		}
		header := len(stream) - start - len(data)
		stream = append(stream[:start+header], 0, 0, 0, 0)
		mask := stream[start+header:]
		for i := range mask {
			mask[i] = byte(rnd.Uint32())
		}
		stream[start+1] |= 0x80
		for i, b := range data {
			stream = append(stream, b^mask[i&3])
		}
	}
	for name, from := range map[string]io.Reader{
		"all":   bytes.NewReader(stream),
		"bytes": iotest.OneByteReader(bytes.NewReader(stream)),
		"half":  iotest.HalfReader(bytes.NewReader(stream)),
	} {
		in := frames{from: from, buf: make([]byte, 100)}
		for n, data := range want {
			f, err := in.header()
			if err != nil || f.length != len(data) || f.opcode != opBinary || !f.fin {
				t.Fatalf("%s: frame %d of %d bytes is %+v, %v", name, n, len(data), f, err)
			}
			look := len(data)
			if n%3 == 0 {
				look = rnd.IntN(len(data) + 1)
			}
			got, err := in.payload(f, look)
			if err != nil || !bytes.Equal(got, data[:look]) {
				t.Fatalf("%s: frame %d is not what was sent, %v", name, n, err)
			}
			if err := in.discard(len(data) - look); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := in.header(); err != io.EOF {
			t.Errorf("%s: %v at the end", name, err)
		}
	}
}
