package position

// remembered is how many opaque positions are compared with a new one.
const remembered = 4096

type opaque struct{ stream, position string }

// recent holds the opaque positions that came last, each once.
type recent struct {
	known map[opaque]int // index in ring
	ring  []remembering  // a ring once it is full
	next  int            // the oldest, in a ring that is full
}

// remembering is a position that was seen; the zero value was forgotten.
type remembering struct {
	opaque
	returned bool // its callbacks have returned
}

// add reports false when the position is among those that are held.
func (r *recent) add(p opaque) bool {
	if _, ok := r.known[p]; ok {
		return false
	}
	if r.known == nil {
		r.known = map[opaque]int{}
	}
	if len(r.ring) < remembered {
		r.known[p] = len(r.ring)
		r.ring = append(r.ring, remembering{opaque: p})
		return true
	}
	delete(r.known, r.ring[r.next].opaque)
	r.known[p] = r.next
	r.ring[r.next] = remembering{opaque: p}
	r.next = (r.next + 1) % remembered
	return true
}

func (r *recent) markReturned(p opaque) {
	if i, ok := r.known[p]; ok {
		r.ring[i].returned = true
	}
}

func (r *recent) forget(p opaque) {
	if i, ok := r.known[p]; ok {
		delete(r.known, p)
		r.ring[i] = remembering{}
	}
}

func (r *recent) forgetStream(stream string) {
	for p := range r.known {
		if p.stream == stream {
			r.forget(p)
		}
	}
}

func (r *recent) forgetUnreturned() {
	for _, p := range r.ring {
		if !p.returned {
			r.forget(p.opaque)
		}
	}
}
