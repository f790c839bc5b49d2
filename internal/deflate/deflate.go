package deflate

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

// A Deflater compresses messages. It is one goroutine's.
type Deflater struct {
	window   int
	takeover bool

	*history // between messages only with takeover
	bitWriter
}

// A history is what was compressed, and where in it bytes like the next may be
// found.
type history struct {
	buf  []byte   // what came, the latest last
	seen []uint16 // for each hash the last positions in buf of bytes with it, counted from 1; 0: none
	bits int      // of a hash
}

// NewDeflater returns a Deflater that refers to at most window bytes before, a
// power of two from 256 to 32,768, and to earlier messages only with takeover.
// Without, it keeps nothing between messages.
func NewDeflater(window int, takeover bool) *Deflater {
	return &Deflater{window: window, takeover: takeover}
}

const (
	// minBuffer is the size of the buffer of the smaller windows, so that a large
	// message is not cut into blocks that are too small. All others have one of
	// their size, in which between a half and all of a window is at hand: that
	// takes half of the memory, and notifications repeat what is near.
	minBuffer = 4 << 10

	ways = 2 // positions for each hash
)

// histories are used again where they are not kept: one pool for each size that
// a buffer can have.
var histories [4]sync.Pool

// acquire gives f a history.
func (f *Deflater) acquire() {
	size := max(f.window, minBuffer)
	if !f.takeover {
		if h, _ := poolOf(size).Get().(*history); h != nil {
			f.history = h
			return
		}
	}
	h := &history{buf: make([]byte, 0, size), bits: bits.Len(uint(size)) - 4}
	h.seen = make([]uint16, ways<<h.bits)
	f.history = h
}

func poolOf(size int) *sync.Pool { return &histories[bits.Len(uint(size/minBuffer))-1] }

// release gives the history back.
func (f *Deflater) release() {
	h := f.history
	f.history = nil
	h.buf = h.buf[:0]
	clear(h.seen)
	poolOf(cap(h.buf)).Put(h)
}

// Deflate appends what data becomes, a message or the next part of one. With the
// last, the message is flushed, without the tail 00 00 FF FF that its receiver
// puts behind it.
func (f *Deflater) Deflate(dst, data []byte, last bool) []byte {
	if f.history == nil {
		f.acquire()
	}
	s := scratches.Get().(*scratch)
	f.out = dst
	for len(data) > 0 {
		n := min(len(data), cap(f.buf)/2)
		f.block(s, data[:n])
		data = data[n:]
	}
	scratches.Put(s)
	if last {
		f.put(0, 3) // a stored block, whose length is the tail
		f.align()
		if !f.takeover {
			f.release()
		}
	}
	dst = f.out
	f.out = nil
	return dst
}

// Forget drops what was made of a message that its receiver will not get, and
// everything that a later message might refer to.
func (f *Deflater) Forget() {
	f.bitWriter = bitWriter{}
	if f.history != nil {
		f.release()
	}
}

// block compresses data as one block.
func (f *Deflater) block(s *scratch, data []byte) {
	if len(f.buf)+len(data) > cap(f.buf) {
		f.slide()
	}
	begin := len(f.buf)
	f.buf = append(f.buf, data...)
	s.tokens, s.fixed, s.extra = s.tokens[:0], 0, 0
	f.find(s, begin)
	s.write(&f.bitWriter, data)
}

// slide makes room for half a buffer.
func (f *Deflater) slide() {
	by := len(f.buf) - cap(f.buf)/2
	f.buf = f.buf[:copy(f.buf, f.buf[by:])]
	for i, p := range f.seen {
		f.seen[i] = uint16(max(int(p)-by, 0))
	}
}

// A match that is this long is good enough: nothing better is looked for.
const longEnough = 24

// find makes tokens of buf from begin on.
func (f *Deflater) find(s *scratch, begin int) {
	buf := f.buf
	last := len(buf) - 8
	i, lits := begin, begin // literals from lits to i have no token yet
	for i <= last {
		at, size := f.longest(i)
		if size == 0 {
			i += 1 + (i-lits)>>6 // what has nothing in common is passed over faster and faster
			continue
		}
		if size < longEnough && i < last { // perhaps it is better to begin one later
			if at1, size1 := f.longest(i + 1); gain(size1, i+1-at1) > gain(size, i-at) {
				i, at, size = i+1, at1, size1
			}
		}
		for i > lits && at > 0 && buf[i-1] == buf[at-1] && size < maxMatch {
			i, at, size = i-1, at-1, size+1
		}
		s.literals(buf[lits:i])
		s.match(size, i-at)
		stop := i + size
		for j := i + 2; j < stop && j <= last; j += 3 {
			f.note(j)
		}
		i, lits = stop, stop
	}
	s.literals(buf[lits:])
}

// gain is how many bits a match saves, about.
func gain(size, distance int) int { return 8*size - bits.Len(uint(distance)) }

func (h *history) bucket(word uint32) []uint16 {
	at := int(word*2654435761>>(32-h.bits&31)) * ways
	return h.seen[at : at+ways : at+ways]
}

// note notes position i as the last with what is there.
func (h *history) note(i int) {
	b := h.bucket(binary.LittleEndian.Uint32(h.buf[i:]))
	b[0], b[1] = uint16(i+1), b[0]
}

// longest notes position i, and returns where before it the best match for what
// is there begins; size 0 is none.
func (f *Deflater) longest(i int) (at, size int) {
	buf := f.buf
	word := binary.LittleEndian.Uint32(buf[i:])
	b := f.bucket(word)
	first, second := int(b[0])-1, int(b[1])-1
	b[0], b[1] = uint16(i+1), b[0]
	least := max(i-f.window, 0)
	if first >= least && binary.LittleEndian.Uint32(buf[first:]) == word {
		at, size = first, matchLen(buf, first, i)
		if size >= longEnough {
			return at, size
		}
	}
	// The byte behind the first match shows most that are no longer.
	if second >= least && i+size < len(buf) && buf[second+size] == buf[i+size] && binary.LittleEndian.Uint32(buf[second:]) == word {
		if n := matchLen(buf, second, i); gain(n, i-second) > gain(size, i-at) {
			at, size = second, n
		}
	}
	return at, size
}

// matchLen is how many bytes at i are the same as at p.
func matchLen(b []byte, p, i int) int {
	most := min(maxMatch, len(b)-i)
	n := 4
	for ; n+8 <= most; n += 8 {
		if x := binary.LittleEndian.Uint64(b[p+n:]) ^ binary.LittleEndian.Uint64(b[i+n:]); x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
	}
	for n < most && b[p+n] == b[i+n] {
		n++
	}
	return n
}
