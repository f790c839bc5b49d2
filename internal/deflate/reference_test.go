package deflate

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
)

// tail is what a message is without, RFC 7692, 7.2.1.
const tail = "\x00\x00\xff\xff"

// What is put behind a message to find out whether it ended there. Behind the
// tail, a final block lets a decompressor end. And instead of the tail, the length
// of a block with an X in it: if that X is not all the difference, a block of the
// message took bytes that are not its own.
const (
	ending  = tail + "\x01\x00\x00\xff\xff"
	marking = "\x01\x00\xfe\xffX" + "\x01\x00\x00\xff\xff"
)

// reference decompresses a message behind past with compress/flate. One that is
// longer than limit is refused.
func reference(past, message []byte, limit int) (data []byte, ok bool) {
	data, ok = referenceBlocks(past, message, ending, limit)
	if !ok {
		return nil, false
	}
	marked, ok := referenceBlocks(past, message, marking, limit+1)
	if ok && len(marked) == len(data)+1 && bytes.HasPrefix(marked, data) && marked[len(data)] == 'X' {
		return data, true
	}
	return data, ok && bytes.Equal(marked, data) // ends in a final block
}

func referenceBlocks(past, message []byte, behind string, limit int) (data []byte, ok bool) {
	src := bytes.NewReader(append(bytes.Clone(message), behind...))
	for {
		all := append(bytes.Clone(past), data...)
		r := flate.NewReaderDict(src, all[max(0, len(all)-32<<10):])
		more, err := io.ReadAll(io.LimitReader(r, int64(limit-len(data)+1)))
		data = append(data, more...)
		switch {
		case err != nil || len(data) > limit:
			return nil, false
		case src.Len() == 0 || src.Len() == len(behind):
			return data, true
		}
	}
}

// A maker makes messages and what a compressor could make of them, right and wrong.
type maker struct{ *rand.Rand }

func newMaker(seed uint64) maker { return maker{rand.New(rand.NewPCG(seed, 7))} }

var words = []string{
	`{"msgType":"`, `","content":{"id":`, `,"user":"`, `"},"time":17644`, "ada", "grace", "margaret",
	"order.updated", "presence", `"amount":`, "null", "true", "\n", "您有新的通知", "aaaaaaaaaaaaaaaa",
}

// text is data of up to about size bytes with some repetition.
func (m maker) text(size int) []byte {
	var b []byte
	for n := m.IntN(size + 1); len(b) < n; {
		switch m.IntN(8) {
		case 0:
			for range m.IntN(12) {
				b = append(b, byte(m.Uint32()))
			}
		case 1:
			b = append(b, bytes.Repeat([]byte{byte(m.Uint32())}, m.IntN(1+m.IntN(600)))...)
		case 2:
			if len(b) > 0 {
				at := m.IntN(len(b))
				b = append(b, b[at:min(len(b), at+m.IntN(400))]...)
			}
		default:
			b = append(b, words[m.IntN(len(words))]...)
		}
	}
	return b
}

// size is a size for text: small ones mostly.
func (m maker) size() int { return []int{8, 60, 200, 200, 1000, 5000, 40_000}[m.IntN(1+m.IntN(7))] }

// blocks are blocks of any kind, of symbols by chance: many refer to what is not
// there, or have codes that don't work.
func (m maker) blocks() []byte {
	w := new(bitWriter)
	s := new(scratch)
	for range 1 + m.IntN(4) {
		s.tokens, s.fixed, s.extra = s.tokens[:0], 0, 0
		written := 0
		for range m.IntN(1 + m.IntN(300)) {
			if m.IntN(3) > 0 || m.IntN(20) > 0 && written == 0 {
				s.literals([]byte{byte('a' + m.IntN(1+m.IntN(26)))})
				written++
				continue
			}
			size, back := 3+m.IntN(1+m.IntN(256)), 1+m.IntN(max(1, min(written, 32<<10)))
			if m.IntN(200) == 0 {
				back = 1 + m.IntN(32<<10)
			}
			s.match(size, back)
			written += size
		}
		final := uint32(0)
		if m.IntN(5) == 0 {
			final = 1
		}
		var own ownCodes
		switch m.IntN(5) {
		case 0:
			w.put(final, 3)
			w.align()
			n := m.IntN(1 + m.IntN(300))
			w.out = append(w.out, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
			w.out = append(w.out, m.text(n)...)
			w.out = append(w.out, make([]byte, n)...) // where text was shorter
		case 1:
			w.put(final|1<<1, 3)
			s.writeTokens(w, fixedLiteralCodes[:], fixedDistanceCodes[:])
		default:
			s.measure(&own, 1<<30)
			switch m.IntN(8) {
			case 0: // some lengths that no code has, perhaps
				if r := &own.runs[m.IntN(own.nRuns)]; *r < 16 {
					*r ^= 1 << m.IntN(4)
				}
			case 1:
				own.nRuns = m.IntN(own.nRuns + 1)
			case 2:
				own.nLiterals = 257 + m.IntN(32)
			case 3:
				own.nDistances = 1 + m.IntN(32)
			}
			at := len(w.out)
			s.writeOwn(w, &own)
			if final == 1 && at < len(w.out) {
				w.out[at] |= 1 // a final one, where it began with a byte
			}
		}
		if final == 1 {
			w.align()
		}
	}
	if m.IntN(8) > 0 {
		w.put(0, 3)
		w.align()
	} else if m.IntN(2) == 0 {
		w.align()
	}
	return w.out
}

// damage changes some bits, or cuts or adds some bytes.
func (m maker) damage(b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + m.IntN(3) {
		if len(b) == 0 {
			return b
		}
		at := m.IntN(len(b))
		switch m.IntN(6) {
		case 0:
			b = b[:at]
		case 1:
			b = append(b[:at:at], b[m.IntN(len(b)):]...)
		case 2:
			b = append(b, tail[:m.IntN(5)]...)
		case 3:
			b[0] ^= 1 << m.IntN(8)
		default:
			b[at] ^= 1 << m.IntN(8)
		}
	}
	return b
}

// flated is what compress/flate makes of data behind past.
func (m maker) flated(past, data []byte) []byte {
	var b bytes.Buffer
	levels := []int{flate.HuffmanOnly, flate.NoCompression, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	w, _ := flate.NewWriterDict(&b, levels[m.IntN(len(levels))], past)
	for len(data) > 0 { // in parts, flushed
		n := 1 + m.IntN(len(data))
		w.Write(data[:n])
		if data = data[n:]; m.IntN(3) == 0 {
			w.Flush()
		}
	}
	if m.IntN(4) == 0 { // with a final block; a zero byte is the header of what takes the tail
		w.Close()
		if m.IntN(2) == 0 {
			b.WriteByte(0)
		}
		return b.Bytes()
	}
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte(tail))
}
