package wsnotify

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// heartbeat keeps one connection alive and finds out when it is dead. It is
// two timers and no goroutine: they start with the connection and end with
// it.
//
// A beat at every Interval begins a watch, unless one is under way that has
// heard nothing yet; a watch that has heard nothing for Timeout ends the
// connection. So a link is found dead at most Interval + Timeout after its
// last sign of life.
type heartbeat struct {
	cfg   Heartbeat
	w     *writer
	dead  func() // the peer is
	rtt   func(time.Duration)
	pings bool // the transport can send protocol pings

	mu      sync.Mutex
	stopped bool
	ticker  *time.Timer
	started time.Time
	beats   int64
	watch   *time.Timer
	watched time.Time     // when the watch began; zero if none is under way
	stalled bool          // the reader waits for callbacks
	stall   time.Time     // when it last began or ended to
	unheard chan struct{} // closed when it begins to; nil if no Ping waits

	seq  uint64
	sent []pingSent // few: at most one of a heartbeat, and those of Ping
}

// pingSent is a ping whose pong has not come.
type pingSent struct {
	seq    uint64 // is its payload
	at     time.Time
	answer chan<- time.Duration // of capacity 1; nil for a heartbeat
}

func newHeartbeat(cfg Heartbeat, w *writer, dead func(), rtt func(time.Duration)) *heartbeat {
	return &heartbeat{cfg: cfg, w: w, dead: dead, rtt: rtt, pings: canPing}
}

// start begins to beat: first one Interval from now, as the store's ticker.
func (h *heartbeat) start() {
	watch := h.pings && h.cfg.Timeout > 0
	if h.cfg.Interval < 0 || h.cfg.NoText && !watch {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = time.Now()
	h.ticker = time.AfterFunc(h.cfg.Interval, h.tick)
}

// stop ends the timers. One that has just fired finds stopped.
func (h *heartbeat) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	for _, t := range []*time.Timer{h.ticker, h.watch} {
		if t != nil {
			t.Stop()
		}
	}
}

func (h *heartbeat) tick() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return
	}
	now := time.Now()
	h.beats++
	next := h.started.Add(time.Duration(h.beats+1) * h.cfg.Interval)
	if next.Before(now) { // the machine slept: beat from here on
		h.started, h.beats = now, 0
		next = now.Add(h.cfg.Interval)
	}
	h.ticker.Reset(next.Sub(now))

	var text string
	var ping []byte
	if !h.cfg.NoText {
		text = h.cfg.Text
	}
	if h.pings && h.cfg.Timeout > 0 && !h.stalled {
		h.sent = slices.DeleteFunc(h.sent, func(p pingSent) bool { return p.answer == nil })
		ping = h.payload(now, nil)
		if h.watched.IsZero() {
			h.begin(now)
		}
	}
	h.w.beat(text, ping)
}

// begin starts a watch. mu is held.
func (h *heartbeat) begin(now time.Time) {
	h.watched = now
	if h.watch == nil {
		h.watch = time.AfterFunc(h.cfg.Timeout, h.judge)
	} else {
		h.watch.Reset(h.cfg.Timeout)
	}
}

// judge ends a watch.
func (h *heartbeat) judge() {
	if h.verdict(time.Now()) {
		h.dead()
	}
}

func (h *heartbeat) verdict(now time.Time) (dead bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped || h.watched.IsZero() {
		return false
	}
	late := now.Sub(h.watched) - h.cfg.Timeout
	switch {
	case late < 0:
		// Life came when the timer had fired already, and the tick of the same
		// moment began the next watch.
		return false
	case h.stalled || !h.stall.Before(h.watched) || late > h.cfg.Timeout/2+time.Second:
		// The reader, or the whole process, did not listen for all of the
		// time. What came meanwhile may be about to be read.
		h.begin(now)
		return false
	}
	h.stopped = true
	h.ticker.Stop()
	return true
}

// heard is called by the reader for every read from the socket. A byte is
// life as much as a frame: a large one may take longer than Timeout.
func (h *heartbeat) heard() {
	h.mu.Lock()
	h.watched = time.Time{}
	h.mu.Unlock()
}

// stalling is called by the reader when it begins and ends to wait for room.
func (h *heartbeat) stalling(stalled bool) {
	h.mu.Lock()
	h.stalled = stalled
	h.stall = time.Now()
	if stalled && h.unheard != nil {
		close(h.unheard)
		h.unheard = nil
	}
	h.mu.Unlock()
}

// payload notes a ping and returns what it carries. mu is held.
func (h *heartbeat) payload(now time.Time, answer chan<- time.Duration) []byte {
	h.seq++
	h.sent = append(h.sent, pingSent{seq: h.seq, at: now, answer: answer})
	return binary.BigEndian.AppendUint64(nil, h.seq)
}

// pong is called by the reader. A pong that answers none of our pings is
// life, and nothing else: RFC 6455, section 5.5.3, allows it.
func (h *heartbeat) pong(payload []byte) {
	if len(payload) != 8 {
		return
	}
	p, ok := h.forget(binary.BigEndian.Uint64(payload))
	if !ok {
		return
	}
	rtt := time.Since(p.at)
	h.rtt(rtt)
	if p.answer != nil {
		p.answer <- rtt
	}
}

// forget returns a ping that is not waited for any more, if it was.
func (h *heartbeat) forget(seq uint64) (p pingSent, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.sent, func(p pingSent) bool { return p.seq == seq })
	if i < 0 {
		return pingSent{}, false
	}
	p = h.sent[i]
	h.sent = slices.Delete(h.sent, i, i+1)
	return p, true
}

// ping sends a protocol ping and waits for its pong, until gone is closed.
func (h *heartbeat) ping(ctx context.Context, gone <-chan struct{}) (time.Duration, error) {
	answer := make(chan time.Duration, 1)
	h.mu.Lock()
	if h.stalled {
		h.mu.Unlock()
		return 0, errInboxFull
	}
	if h.unheard == nil {
		h.unheard = make(chan struct{})
	}
	unheard := h.unheard
	payload := h.payload(time.Now(), answer)
	n := h.seq
	h.mu.Unlock()
	h.w.ping(payload)
	select {
	case rtt := <-answer:
		return rtt, nil
	case <-unheard:
		if _, ok := h.forget(n); !ok {
			return <-answer, nil // it came just before
		}
		return 0, errInboxFull
	case <-gone:
		return 0, ErrNotConnected
	case <-ctx.Done():
		h.forget(n)
		return 0, ctx.Err()
	}
}
