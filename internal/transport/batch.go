package transport

import (
	"bytes"
	"runtime"
	"slices"
	"sync"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Batch is what leaves together: frames in their order. One goroutine fills
// it, writes it until it is Done, and Resets it.
//
// The data of its frames is read only while the batch is locked, which is
// never held over a write. So whoever holds the lock may take data back.
type Batch struct {
	sync.Mutex

	list *list // from a pool, while there are any frames
	next int   // the first that has not been encoded to its end

	// Of frames[next], if it leaves in several writes.
	begun bool
	left  int // of the frame of the wire under way
	key   uint32
	rest  [][]byte // behind its data, if it was withdrawn on its way

	urgent  []frame // to leave before the next frame, which may be a fragment's
	between int     // where they end in the piece under way
	cut     bool    // nothing more of the list is to leave
}

// list is what a batch needs while it has any frames: one object, since each Get
// of a pool costs as much as to mask a short message.
type list struct {
	frames []frame
	piece  []byte  // what one write sends
	ends   []int32 // of the frames that it ends: where in it
	keys   wire.Keys
}

type frame struct {
	op        wire.Op
	bits      byte   // besides op
	packed    bool   // data is as it leaves, which may be compressed
	withdrawn bool   // leaves nothing on the wire
	data      []byte // what is still to be encoded
}

// remains is how many bytes of frames[next] are still to be encoded.
func (b *Batch) remains() int {
	n := len(b.list.frames[b.next].data)
	for _, p := range b.rest {
		n += len(p)
	}
	return n
}

// skip passes over n bytes of the data of frames[next].
func (b *Batch) skip(n int) {
	f := &b.list.frames[b.next]
	if f.data = f.data[n:]; len(f.data) == 0 && len(b.rest) > 0 {
		f.data, b.rest = b.rest[0], b.rest[1:]
	}
}

var lists = sync.Pool{New: func() any { return new(list) }}

// Add adds a message, a ping or a pong. The batch must be locked.
func (b *Batch) Add(op wire.Op, data []byte) {
	if b.list == nil {
		b.list = lists.Get().(*list)
	}
	b.list.frames = append(b.list.frames, frame{op: op, data: data})
}

// Interject adds a control frame to a batch that is under way: it leaves before
// the next frame, in the middle of a message if that has fragments (RFC 6455,
// section 5.4). The batch must be locked.
func (b *Batch) Interject(op wire.Op, data []byte) {
	b.urgent = append(b.urgent, frame{op: op, data: data})
}

// Interjected reports whether all of these have been encoded.
func (b *Batch) Interjected() bool { return len(b.urgent) == 0 }

func (b *Batch) appendUrgent(out []byte, keys *wire.Keys) []byte {
	if len(b.urgent) == 0 {
		return out
	}
	for _, f := range b.urgent {
		out = wire.AppendFrame(out, wire.Fin|byte(f.op), f.data, keys)
	}
	b.urgent, b.between = nil, len(out)
	return out
}

// Cut ends the batch with the frame that is under way. The batch must be locked.
func (b *Batch) Cut() { b.cut = true }

// IsCut reports whether a batch that was cut has ended, and whether that was in
// the middle of a message.
func (b *Batch) IsCut() (is, torn bool) { return b.cut && b.left == 0, b.begun }

// Frame returns frame i, and whether it leaves: it does not if it was withdrawn. Its data is that of
// Add until the first Write that sees it. The batch must be locked.
func (b *Batch) Frame(i int) (op wire.Op, data []byte, leaves bool) {
	f := &b.list.frames[i]
	return f.op, f.data, !f.withdrawn
}

func (b *Batch) frames() []frame {
	if b.list == nil {
		return nil
	}
	return b.list.frames
}

// Len is how many frames were added since the last Reset.
func (b *Batch) Len() int { return len(b.frames()) }

// Done reports whether nothing is left to be written.
func (b *Batch) Done() bool { return b.next == b.Len() }

// Reset empties a batch that is done or given up. The batch must be locked.
func (b *Batch) Reset() {
	if b.list != nil {
		clear(b.list.frames)
		b.list.frames = b.list.frames[:0]
		lists.Put(b.list)
	}
	b.list, b.next, b.begun, b.left, b.rest = nil, 0, false, 0, nil
	b.urgent, b.cut = nil, false
}

// Withdraw gives the data of frame i back, which is not used any more. It
// reports whether any of it may have left; a frame that has begun to leave is
// finished with a copy of its rest, since it can't be cut short. The batch must
// be locked.
func (b *Batch) Withdraw(i int) (begun bool) {
	f := &b.frames()[i]
	switch {
	case i < b.next:
		return true
	case i == b.next && b.begun:
		b.rest = clonePieces(f.data)
		f.data, b.rest = b.rest[0], b.rest[1:]
		return true
	}
	f.withdrawn, f.data = true, nil
	return false
}

// clonePieces copies data, which is not empty. Somebody whose time is up waits
// for it: of 100 MiB most of it goes into pages that are new, which is faster
// in small pieces, and on all cores.
func clonePieces(data []byte) [][]byte {
	const size = 1 << 20
	pieces := slices.Collect(slices.Chunk(data, size))
	var all sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), len(pieces))
	for w := range workers {
		all.Go(func() {
			for i := w; i < len(pieces); i += workers {
				pieces[i] = bytes.Clone(pieces[i])
			}
		})
	}
	all.Wait()
	return pieces
}
