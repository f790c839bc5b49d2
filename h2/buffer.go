package h2

import "sync"

// buffer is what came and is not read, in pieces that other streams use when
// it is: a stream that is idle has none.
type buffer struct {
	first, last *piece
	size        int
}

type piece struct {
	next       *piece
	begin, end int
	data       [4 << 10]byte
}

var pieces = sync.Pool{New: func() any { return new(piece) }}

func (b *buffer) write(p []byte) {
	b.size += len(p)
	for len(p) > 0 {
		if b.last == nil || b.last.end == len(b.last.data) {
			one := pieces.Get().(*piece)
			one.next, one.begin, one.end = nil, 0, 0
			if b.last == nil {
				b.first = one
			} else {
				b.last.next = one
			}
			b.last = one
		}
		n := copy(b.last.data[b.last.end:], p)
		b.last.end += n
		p = p[n:]
	}
}

func (b *buffer) read(p []byte) (n int) {
	for n < len(p) && b.first != nil {
		one := b.first
		m := copy(p[n:], one.data[one.begin:one.end])
		one.begin += m
		n += m
		if one.begin == one.end {
			b.drop()
		}
	}
	b.size -= n
	return n
}

func (b *buffer) free() {
	for b.first != nil {
		b.drop()
	}
	b.size = 0
}

// drop lets the first piece go.
func (b *buffer) drop() {
	one := b.first
	if b.first = one.next; b.first == nil {
		b.last = nil
	}
	one.next = nil
	pieces.Put(one)
}
