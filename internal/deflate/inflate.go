package deflate

import (
	"encoding/binary"
	"errors"
	"math"
	"sync"
)

// ErrTooBig is a message that is longer than its limit.
var ErrTooBig = errors.New("it is longer than its limit")

// What a message can have that is not DEFLATE.
var (
	errTruncated = errors.New("it ends inside a block")
	errType      = errors.New("a block has the reserved type 3")
	errStored    = errors.New("the length of a stored block and its complement don't match")
	errCounts    = errors.New("a block has more lengths or distances than there are")
	errLengths   = errors.New("the code lengths of a block make no code")
	errCode      = errors.New("a code stands for nothing")
	errDistance  = errors.New("a distance reaches back past the window")
)

// An Inflater decompresses messages, in the order in which they were
// compressed. It is one goroutine's.
type Inflater struct {
	window   int
	takeover bool

	past []byte // the end of what came, a ring once it is as long as the window
	at   int    // where its oldest byte is, and the next one goes
}

// NewInflater returns an Inflater for a compressor that refers to at most window
// bytes before, and to earlier messages only with takeover. Without, it keeps
// nothing.
func NewInflater(window int, takeover bool) *Inflater {
	return &Inflater{window: window, takeover: takeover}
}

// Inflate appends to dst the message that src was made of, which Deflater or
// another compressor has flushed and shortened by the tail 00 00 FF FF. dst is
// longer by at most limit bytes then; a message that would be longer is ErrTooBig.
// A message that was too big may be tried again, with a higher limit. After any
// other error the Inflater is of no use.
//
// A final block does not end the message: what is behind it, from the next byte
// on, goes on with the same window. If nothing is, the message has ended.
func (f *Inflater) Inflate(dst, src []byte, limit int) ([]byte, error) {
	d := decoders.Get().(*decoder)
	d.Inflater, d.src, d.out, d.from = f, src, dst, len(dst)
	d.most = len(dst) + min(limit, math.MaxInt-len(dst))
	err := d.message()
	dst = d.out
	if err == nil && f.takeover {
		f.keep(dst[d.from:])
	}
	d.reader, d.Inflater, d.out = reader{}, nil, nil
	decoders.Put(d)
	return dst, err
}

// A decoder is what it takes to decompress one message, and is not needed
// between two.
type decoder struct {
	reader
	*Inflater

	out  []byte
	from int // where the message begins in out
	most int // how long out may become

	literals, distances, codes table // of the block under way
	lengths                    [numLiterals + numDistances]uint8
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// A reader reads bits.
type reader struct {
	src []byte
	pos int
	acc uint64 // bits from src that are next, the first lowest
	n   uint   // how many of them count: pos is behind these
}

// fill reads until there are 56 bits or more, or all that there are.
func (r *reader) fill() {
	for r.n < 56 && r.pos < len(r.src) {
		r.acc |= uint64(r.src[r.pos]) << r.n
		r.pos++
		r.n += 8
	}
}

// take returns n bits, at most 16, and false if there are not as many.
func (r *reader) take(n uint) (int, bool) {
	if r.n < n {
		if r.fill(); r.n < n {
			return 0, false
		}
	}
	v := int(r.acc & (1<<n - 1))
	r.acc >>= n
	r.n -= n
	return v, true
}

// align skips to the next byte.
func (r *reader) align() {
	r.pos -= int(r.n / 8)
	r.acc, r.n = 0, 0
}

// message decompresses all of src.
func (d *decoder) message() error {
	for {
		head, ok := d.take(3)
		if !ok {
			return errTruncated
		}
		var err error
		switch head >> 1 {
		case 0:
			if d.align(); d.pos == len(d.src) {
				return nil // the tail is its length
			}
			err = d.stored()
		case 1:
			err = d.symbols(fixedLiterals, fixedDistances)
		case 2:
			if err = d.tables(); err == nil {
				err = d.symbols(&d.literals, &d.distances)
			}
		default:
			err = errType
		}
		if err != nil {
			return err
		}
		if final := head&1 == 1; final {
			if d.align(); d.pos == len(d.src) {
				return nil
			}
		}
	}
}

// stored copies a block that is not compressed. It is aligned.
func (d *decoder) stored() error {
	src := d.src[d.pos:]
	if len(src) < 4 {
		return errTruncated
	}
	size := int(binary.LittleEndian.Uint16(src))
	if size != int(^binary.LittleEndian.Uint16(src[2:])) {
		return errStored
	}
	if src = src[4:]; len(src) < size {
		return errTruncated
	}
	switch {
	case size > d.most-len(d.out):
		return ErrTooBig
	case size > cap(d.out)-len(d.out):
		d.grow(size)
	}
	d.out = append(d.out, src[:size]...)
	d.pos += 4 + size
	return nil
}

// codeOrder is the order in which a block has the lengths of its code for code
// lengths, RFC 1951, 3.2.7.
var codeOrder = [numLengths]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// tables reads the codes of a block.
func (d *decoder) tables() error {
	head, ok := d.take(14)
	if !ok {
		return errTruncated
	}
	literals, distances, codes := head&31+257, head>>5&31+1, head>>10+4
	if literals > numLiterals || distances > numDistances {
		return errCounts
	}
	var lengths [numLengths]uint8
	for _, symbol := range codeOrder[:codes] {
		n, ok := d.take(3)
		if !ok {
			return errTruncated
		}
		lengths[symbol] = uint8(n)
	}
	if !d.codes.build(lengths[:], lengthEntries[:], lengthRoot) {
		return errLengths
	}
	all := d.lengths[:literals+distances]
	for i := 0; i < len(all); {
		if d.n < lengthRoot+7 {
			d.fill()
		}
		e := d.codes.entries[d.acc&(1<<d.codes.root-1)]
		if e == 0 {
			return errCode
		}
		if d.n < e.bits() {
			return errTruncated
		}
		d.acc >>= e.bits()
		d.n -= e.bits()
		symbol := e.value()
		if symbol < 16 {
			all[i] = uint8(symbol)
			i++
			continue
		}
		repeat := codeRepeats[symbol-16]
		more, ok := d.take(repeat.extra)
		if !ok {
			return errTruncated
		}
		times := repeat.base + more
		if i+times > len(all) || symbol == 16 && i == 0 {
			return errLengths
		}
		value := uint8(0)
		if symbol == 16 {
			value = all[i-1]
		}
		for range times {
			all[i] = value
			i++
		}
	}
	if all[endOfBlock] == 0 ||
		!d.literals.build(all[:literals], literalEntries[:], literalRoot) ||
		!d.distances.build(all[literals:], distanceEntries[:], distanceRoot) {
		return errLengths
	}
	return nil
}

// codeRepeats are the symbols 16 to 18 of the code for code lengths: the length
// before, or none, so many times.
var codeRepeats = [3]struct {
	base  int
	extra uint
}{{3, 2}, {3, 3}, {11, 7}}

// slack is the room that there is behind what symbols has written before it
// decodes some more: three literals and a match, in whole words.
const slack = maxMatch + 16

// symbols decodes a block up to its end.
func (d *decoder) symbols(literals, distances *table) error {
	var (
		src      = d.src
		pos      = d.pos
		acc, n   = d.acc, d.n
		out      = d.out[:cap(d.out)]
		w        = len(d.out)
		from     = d.from
		past     = d.past
		window   = d.window
		enough   = -1 // w while there is room for more
		lits     = literals.entries
		litMask  = uint64(1)<<literals.root - 1
		dists    = distances.entries
		distMask = uint64(1)<<distances.root - 1
	)
	for {
		if w > enough {
			if w > d.most {
				return ErrTooBig
			}
			if d.out = out[:w]; len(out)-w < slack {
				d.grow(slack)
				out = d.out[:cap(d.out)]
			}
			enough = min(len(out)-slack, d.most)
		}

		// 56 bits or more, or all that there are. A length and its distance take
		// at most 48. What is above n is read again.
		if len(src)-pos >= 8 {
			acc |= binary.LittleEndian.Uint64(src[pos:]) << (n & 63)
			pos += int(63-n) >> 3
			n |= 56
		} else {
			for ; n < 56 && pos < len(src); n += 8 {
				acc |= uint64(src[pos]) << (n & 63)
				pos++
			}
		}

		e := lits[acc&litMask]
		if e&literal != 0 {
			// Most literals are followed by another. 56 bits are enough for three
			// from the root.
			if e.bits() > n {
				return errTruncated
			}
			acc, n = acc>>e.bits(), n-e.bits()
			out[w] = byte(e >> 16)
			w++
			if e = lits[acc&litMask]; e&literal == 0 {
				continue
			}
			if e.bits() > n {
				return errTruncated
			}
			acc, n = acc>>e.bits(), n-e.bits()
			out[w] = byte(e >> 16)
			w++
			if e = lits[acc&litMask]; e&literal == 0 {
				continue
			}
			if e.bits() > n {
				return errTruncated
			}
			acc, n = acc>>e.bits(), n-e.bits()
			out[w] = byte(e >> 16)
			w++
			continue
		}
		if e&link != 0 {
			root := e.bits()
			e = lits[e.value()+int(acc>>root&(1<<e.extra()-1))] + entry(root)
		}
		if e.bits() > n {
			return errTruncated
		}
		acc, n = acc>>e.bits(), n-e.bits()
		if e&match == 0 {
			switch {
			case e&literal != 0:
				out[w] = byte(e >> 16)
				w++
				continue
			case e&end != 0:
				d.pos, d.acc, d.n, d.out = pos, acc, n, out[:w]
				return nil
			}
			return errCode
		}
		if e.extra() > n {
			return errTruncated
		}
		size := e.value() + int(acc&(1<<e.extra()-1))
		acc, n = acc>>e.extra(), n-e.extra()

		e = dists[acc&distMask]
		if e&link != 0 {
			root := e.bits()
			e = dists[e.value()+int(acc>>root&(1<<e.extra()-1))] + entry(root)
		}
		if e&match == 0 {
			return errCode
		}
		if e.bits()+e.extra() > n {
			return errTruncated
		}
		acc, n = acc>>e.bits(), n-e.bits()
		back := e.value() + int(acc&(1<<e.extra()-1))
		acc, n = acc>>e.extra(), n-e.extra()
		if back > window {
			return errDistance
		}

		if before := back - (w - from); before > 0 {
			// It begins in what came before this message.
			if before > len(past) {
				return errDistance
			}
			i := d.at - before
			if i < 0 {
				i += len(past)
			}
			part := min(size, before)
			copied := copy(out[w:w+part], past[i:])
			copy(out[w+copied:w+part], past)
			w += part
			if size -= part; size == 0 {
				continue
			}
		}
		if at := w - back; back >= 8 {
			// In words, none of which reads what it writes.
			to, of := out[w:w+size+8], out[at:]
			for i := 0; i < size; i += 8 {
				binary.LittleEndian.PutUint64(to[i:], binary.LittleEndian.Uint64(of[i:]))
			}
		} else {
			for i := range size {
				out[w+i] = out[at+i]
			}
		}
		w += size
	}
}

// grow makes room for n bytes more, and no more room than the limit allows and slack.
func (d *decoder) grow(n int) {
	size := max(2*cap(d.out), len(d.out)+n)
	if size-slack > d.most {
		size = max(d.most+slack, len(d.out)+n)
	}
	d.out = append(make([]byte, 0, size), d.out...)
}

// keep notes what the next message may refer to.
func (f *Inflater) keep(p []byte) {
	p = p[max(0, len(p)-f.window):]
	if fresh := min(f.window-len(f.past), len(p)); fresh > 0 {
		if need := len(f.past) + fresh; need > cap(f.past) { // which append would round up
			f.past = append(make([]byte, 0, min(f.window, max(2*cap(f.past), need))), f.past...)
		}
		f.past = append(f.past, p[:fresh]...)
		f.at, p = len(f.past)%f.window, p[fresh:]
	}
	n := copy(f.past[f.at:], p)
	copy(f.past, p[n:])
	if len(f.past) == f.window {
		f.at = (f.at + len(p)) % f.window
	}
}
