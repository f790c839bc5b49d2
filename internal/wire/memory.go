package wire

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Memory is what one or more messages were read into. It is used again once
// everyone who holds it has released it.
type Memory struct {
	b     []byte
	class int // -1: not to be used again
	refs  atomic.Int32
}

const (
	minClass = 9  // 512 B
	maxClass = 20 // 1 MiB; larger memory is left to the collector
)

var memory [maxClass + 1]sync.Pool

// getMemory returns at least size bytes, held once.
func getMemory(size int) *Memory {
	class := max(bits.Len(uint(max(size, 1)-1)), minClass)
	if class > maxClass {
		m := &Memory{b: make([]byte, size), class: -1}
		m.refs.Store(1)
		return m
	}
	m, _ := memory[class].Get().(*Memory)
	if m == nil {
		m = &Memory{b: make([]byte, 1<<class), class: class}
	}
	m.refs.Store(1)
	return m
}

// Decompressed makes data the message instead of what came, which is released. It
// costs the larger of both. data is copied unless it may be taken; with reuse, to
// memory that is released and used again.
func (ev *Event) Decompressed(data []byte, take, reuse bool) {
	retained := max(len(ev.Data), len(data))
	ev.Release()
	switch {
	case take && cap(data)-len(data) <= len(data)/8:
		retained = max(retained, cap(data))
	case reuse:
		ev.Memory = getMemory(len(data))
		data = ev.Memory.b[:copy(ev.Memory.b, data)]
		retained = max(retained, len(ev.Memory.b))
	default:
		data = append([]byte{}, data...) // make would clear it first
	}
	ev.Data, ev.Compressed, ev.Cost = data[:len(data):len(data)], false, cost(retained)
}

// Poison makes Release overwrite memory that nobody holds any more. Tests set
// it before anything is read, to find those who use what they have released.
var Poison bool

// Release gives up one hold.
func (m *Memory) Release() { m.ReleaseN(1) }

// ReleaseN gives up so many.
func (m *Memory) ReleaseN(holds int32) {
	if m.refs.Add(-holds) != 0 {
		return
	}
	if Poison {
		for i := range m.b {
			m.b[i] = 0xdb
		}
	}
	if m.class >= 0 {
		memory[m.class].Put(m)
	}
}

// holds are those of one owner, who gives them out one by one. It has many in
// advance: where others release what they were given, each message would
// otherwise have the count's cache line sent to and fro.
type holds struct {
	*Memory
	spare int32 // besides the owner's own
}

const holdsInAdvance = 1 << 10

func (h *holds) give() *Memory {
	if h.spare == 0 {
		h.spare = holdsInAdvance
		h.refs.Add(h.spare)
	}
	h.spare--
	return h.Memory
}

// shared reports whether anybody but the owner holds the memory. Nobody can
// begin to.
func (h *holds) shared() bool { return h.refs.Load() > 1+h.spare }

// end gives up all that the owner has, and leaves h without memory.
func (h *holds) end() {
	h.ReleaseN(1 + h.spare)
	*h = holds{}
}
