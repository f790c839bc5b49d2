//go:build !js

package transport

import (
	"fmt"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/wsnotify/wsnotify/internal/deflate"
	"github.com/wsnotify/wsnotify/internal/extension"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// compression is permessage-deflate on one connection. Both sides keep a window at
// most: all other memory is from pools, and goes back there with each message.
type compression struct {
	params *extension.Params // nil: it was not agreed on

	in      *deflate.Inflater // the reader's
	pending []Event           // of the last batch, and not decompressed yet

	out  *deflate.Deflater // the writer's, under the lock of its batch
	pack *pack             // of the message under way, if its compression has begun
}

// Compression is what the handshake has agreed on; nil is none.
func (c *compression) Compression() *extension.Params { return c.params }

// use begins with what the handshake has agreed on.
func (c *compression) use(p *extension.Params) {
	if c.params = p; p != nil {
		c.in, c.out = p.Client()
	}
}

// inflateBytes is how much is decompressed in advance. What was is kept already
// when the inbox reserves capacity: more than this and one message never is.
const inflateBytes = 64 << 10

// buffers are what messages are decompressed into. Larger ones are not used again.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, inflateBytes); return &b }}

// next returns what is pending, decompressed.
func (u *Upgraded) next(events []Event) (n int, err error) {
	n = copy(events, u.pending)
	if u.pending = u.pending[n:]; len(u.pending) == 0 {
		u.pending = nil
	}
	return u.inflateAll(events[:n])
}

// inflateAll decompresses messages until they have inflateBytes together; the
// rest becomes pending. What follows one that can't be decompressed is lost, as the
// connection is.
func (u *Upgraded) inflateAll(events []Event) (n int, err error) {
	total := 0
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for i := range events {
		ev := &events[i]
		if !ev.Compressed {
			continue
		}
		if total >= inflateBytes {
			u.pending = append(append([]Event(nil), events[i:]...), u.pending...)
			return i, nil
		}
		if err := u.inflate(ev, *buf); err != nil {
			for j := range events[i:] {
				events[i+j].Release()
			}
			u.dropPending()
			if i == 0 {
				u.reader.Close()
				return 0, err
			}
			u.reader.Fail(err)
			return i, nil
		}
		total += len(ev.Data)
	}
	return len(events), nil
}

func (u *Upgraded) dropPending() {
	for i := range u.pending {
		u.pending[i].Release()
	}
	u.pending = nil
}

// inflate decompresses one message, into buf if it is large enough.
func (u *Upgraded) inflate(ev *Event, buf []byte) error {
	limit := math.MaxInt
	if u.opts.ReadLimit >= 0 {
		limit = int(min(u.opts.ReadLimit, math.MaxInt))
	}
	data, err := u.in.Inflate(buf[:0], ev.Data, limit)
	switch {
	case err == deflate.ErrTooBig:
		return &wire.Violation{Code: wire.TooBig, Text: fmt.Sprintf("a compressed message is too big: it has more than %d bytes, which is ReadLimit", limit)}
	case err != nil:
		return &wire.Violation{Code: wire.ProtocolError, Text: "a compressed message is corrupt: " + err.Error()}
	case ev.Op == wire.Text && !utf8.Valid(data):
		return wire.ErrNotUTF8
	}
	ev.Decompressed(data, cap(data) > cap(buf), u.opts.Reuse)
	return nil
}

// A pack is what a message becomes.
type pack struct {
	data []byte
	done int // bytes of the message that were compressed
}

var packs = sync.Pool{New: func() any { return new(pack) }}

const (
	// packBytes is how much of a message is compressed at once. Whoever takes a
	// message back waits for no more, and control frames pass between two parts.
	packBytes = 64 << 10

	// worthPacking is the size of messages that are compressed where they can't
	// refer to earlier ones; smaller ones don't become shorter, or by little.
	worthPacking = 64
)

// compress makes f, which is next, what it becomes when it is compressed. It
// reports false if there is more to do, which another call goes on with.
func (u *Upgraded) compress(f *frame) (done bool) {
	takeover := u.out != nil && u.params.ClientTakeover
	switch {
	case f.withdrawn:
		u.abandon()
		return true
	case u.out == nil || f.packed || f.op >= wire.Close:
		return true
	case len(f.data) == 0 || !takeover && len(f.data) < worthPacking:
		f.packed = true
		return true
	}
	if u.pack == nil {
		u.pack = packs.Get().(*pack)
	}
	p := u.pack
	part := f.data[p.done:]
	last := len(part) <= packBytes
	part = part[:min(len(part), packBytes)]
	p.data = u.out.Deflate(p.data, part, last)
	if p.done += len(part); !last {
		return false
	}
	f.packed = true
	if takeover || len(p.data) < len(f.data) {
		f.data, f.bits = p.data, wire.RSV1
	}
	return true
}

// abandon ends the compression of a message that was withdrawn. The peer does not
// get what was made of it, so nothing may refer to that.
func (u *Upgraded) abandon() {
	if u.pack != nil {
		u.out.Forget()
		u.unpack()
	}
}

// unpack releases what it took to compress a message.
func (u *Upgraded) unpack() {
	p := u.pack
	if p == nil {
		return
	}
	if p.data = p.data[:0]; cap(p.data) > keepBytes {
		p.data = nil
	}
	p.done, u.pack = 0, nil
	packs.Put(p)
}
