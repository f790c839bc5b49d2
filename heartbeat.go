package wsnotify

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/wsnotify/wsnotify/internal/peertime"
)

// heartbeat keeps one connection alive and finds out when it is dead. It is
// two timers and no goroutine: they start with the connection and end with
// it.
//
// A beat at every Interval sends a ping. When the socket has taken the ping, a watch begins,
// unless one has begun and seen no sign of life yet, or there has been one since. A watch that
// sees none for Timeout of peer time ends the connection. So an idle link is found dead at
// most Interval + Timeout after its last sign of life.
// A ping that waits behind data of ours is not watched: WriteTimeout is. Until the
// peer's host has acknowledged the ping, what it acknowledges is a sign of life like
// what the peer sends.
//
// A browser sends no pings. There the text takes their place, see replies.
type heartbeat struct {
	cfg      Heartbeat
	interval time.Duration // of this connection
	empty    bool          // a beat would have neither text nor ping
	w        beater
	received func() int64 // bytes, from the peer
	clock    *peertime.Clock
	dead     func() // the peer is
	rtt      func(time.Duration)
	asking   *atomic.Bool // TextFunc runs, for this connection or one before it
	spawn    func(func()) // starts a goroutine that may be in user code
	wrong    func(error)  // called with a text that can't be sent

	mu      sync.Mutex
	stopped bool
	ticker  *time.Timer
	started time.Time
	beats   int64

	watch   peertime.Watch
	before  int64         // received before the ping that is watched
	stalled bool          // the reader waits for callbacks
	stall   time.Time     // when it last began or ended to
	stalls  chan struct{} // closed when it begins to; nil if nobody has asked

	seq  uint64     // of the latest ping
	sent []pingSent // in order; few: at most one of a heartbeat, and those of Ping

	liveness liveness
}

// liveness is how a heartbeat learns that its peer is alive. It is chosen once, when
// the heartbeat is made: unwatched, pongs, or replies. All but reply are called with
// the heartbeat's lock.
type liveness interface {
	ping(now time.Time) []byte // the ping of a beat; nil for none
	awaitReply(now time.Time)  // the text of a beat is about to be sent
	answers() bool             // the peer is known to answer, so silence counts
	reply(exact bool)          // the reader calls it for a reply to the text, exact, and for a message that may be one
}

// unwatched learns nothing: Heartbeat.Timeout is negative.
type unwatched struct{}

func (unwatched) ping(time.Time) []byte { return nil }
func (unwatched) awaitReply(time.Time)  {}
func (unwatched) answers() bool         { return false }
func (unwatched) reply(bool)            {}

// pongs sends a protocol ping with each beat: every peer has to answer it.
type pongs struct {
	unwatched
	h *heartbeat
}

func (pongs) answers() bool { return true }

// ping replaces the ping of the last beat, and is none while the reader waits for
// callbacks and could not see the pong.
func (p pongs) ping(now time.Time) []byte {
	h := p.h
	if h.stalled {
		return nil
	}
	h.sent = slices.DeleteFunc(h.sent, func(p pingSent) bool { return p.answer == nil })
	return h.payload(now, nil)
}

// beater writes what a heartbeat sends. Beat may wait for the socket.
type beater interface {
	Beat(text string, ping []byte)
	SendPing(payload []byte)
}

// pingSent is a ping whose pong has not come.
type pingSent struct {
	seq    uint64 // is its payload
	at     time.Time
	answer chan<- time.Duration // of capacity 1; nil for a heartbeat
}

func newHeartbeat(cfg Heartbeat, pings bool, clock *peertime.Clock, received func() int64, dead func(), rtt func(time.Duration), spawn func(func())) *heartbeat {
	h := &heartbeat{cfg: cfg, interval: cfg.Interval, clock: clock, received: received, dead: dead, rtt: rtt, spawn: spawn}
	h.watch = clock.Watch(cfg.Timeout, h.overdue)
	h.empty = cfg.NoText && (!pings || cfg.Timeout <= 0)
	switch {
	case !pings:
		h.liveness = newReplies(h)
	case cfg.Timeout > 0:
		h.liveness = pongs{h: h}
	default:
		h.liveness = unwatched{}
	}
	return h
}

// start begins to beat: first one Interval from now, as the store's ticker.
func (h *heartbeat) start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.interval < 0 || h.empty {
		return
	}
	h.started = time.Now()
	h.ticker = time.AfterFunc(h.interval, h.tick)
}

// replyTexts are the messages that answer the text. A connection without a
// heartbeat has none, unless Config names them.
func (h *heartbeat) replyTexts(named bool) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.interval < 0 && !named {
		return nil
	}
	return h.cfg.Replies
}

// setInterval is for a connection that has not started.
func (h *heartbeat) setInterval(d time.Duration) {
	h.mu.Lock()
	h.interval = d
	h.mu.Unlock()
}

// stop ends the timers. One that has just fired finds stopped.
func (h *heartbeat) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	if h.ticker != nil {
		h.ticker.Stop()
	}
	h.watch.Stop()
}

// tick is on a goroutine of its own, which writes the beat.
func (h *heartbeat) tick() {
	h.mu.Lock()
	if h.stopped {
		h.mu.Unlock()
		return
	}
	now := time.Now()
	h.beats++
	next := h.started.Add(time.Duration(h.beats+1) * h.interval)
	if next.Before(now) { // the machine slept: beat from here on
		h.started, h.beats = now, 0
		next = now.Add(h.interval)
	}
	h.ticker.Reset(next.Sub(now))
	text, ping := h.beat(now)
	h.mu.Unlock()
	if text != "" || ping != nil {
		h.w.Beat(text, ping)
	}
}

// now beats at once, between two Intervals.
func (h *heartbeat) now() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped || h.ticker == nil {
		return
	}
	if text, ping := h.beat(time.Now()); text != "" || ping != nil {
		go h.w.Beat(text, ping)
	}
}

// beat returns what to send. mu is held.
func (h *heartbeat) beat(now time.Time) (text string, ping []byte) {
	ping = h.liveness.ping(now)
	switch {
	case h.cfg.NoText:
	case h.cfg.TextFunc == nil:
		text = h.cfg.Text
		h.liveness.awaitReply(now)
	case h.asking.CompareAndSwap(false, true):
		h.spawn(h.makeText)
	}
	return text, ping
}

// makeText has the user make the text of a beat. One that is slow is not asked
// again meanwhile, by no connection, and holds up no protocol ping. What it
// returns once its connection is over goes nowhere.
func (h *heartbeat) makeText() {
	defer h.asking.Store(false) // also when TextFunc ends the goroutine
	switch text := h.cfg.TextFunc(); {
	case text == "":
	case !utf8.ValidString(text):
		h.wrong(fmt.Errorf("wsnotify: Heartbeat.TextFunc returned %q, which is not UTF-8, as a text message must be; this beat has no text", text))
	default:
		h.mu.Lock()
		h.liveness.awaitReply(time.Now())
		h.mu.Unlock()
		go h.w.Beat(text, nil) // which may wait, and the next text must not
	}
}

// written is called when the socket has taken the ping of a beat, or the text
// in its place. before is how far the connection was before that.
func (h *heartbeat) written(before int64) {
	received := h.received()
	mark := h.clock.Mark()
	h.mu.Lock()
	defer h.mu.Unlock()
	// A watch that expires together with this beat must not begin anew: overdue,
	// which is about to check, would count that as a sign of life.
	if h.stopped || !h.liveness.answers() || h.watch.Pending() && received == h.before {
		return
	}
	if received != before { // the pong was faster than this goroutine, most likely
		h.watch.Stop()
		h.clock.Alive()
		return
	}
	h.before = before
	h.watch.Start(mark)
}

// overdue is called when the watch has seen no sign of life among those that it checks by
// itself.
func (h *heartbeat) overdue() {
	if h.isDead(h.received()) {
		h.dead()
	}
}

func (h *heartbeat) isDead(received int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopped || h.watch.On() || !h.watch.Pending(): // it has begun anew since received was asked for
		return false
	case received != h.before:
		h.clock.Alive()
		return false
	}
	h.stopped = true
	h.ticker.Stop()
	return true
}

// stalling is called by the reader when it begins, and ends, waiting for capacity.
func (h *heartbeat) stalling(stalled bool) {
	h.clock.Pause(stalled)
	h.mu.Lock()
	h.stalled = stalled
	h.stall = time.Now()
	if stalled && h.stalls != nil {
		close(h.stalls)
		h.stalls = nil
	}
	h.mu.Unlock()
}

// stallsNext returns a channel that is closed when the reader waits for capacity: at
// once if it does.
func (h *heartbeat) stallsNext() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stalled:
		return closedForEver
	case h.stalls == nil:
		h.stalls = make(chan struct{})
	}
	return h.stalls
}

// payload notes a ping and returns what it carries. mu is held.
func (h *heartbeat) payload(now time.Time, answer chan<- time.Duration) []byte {
	h.seq++
	h.sent = append(h.sent, pingSent{seq: h.seq, at: now, answer: answer})
	return binary.BigEndian.AppendUint64(nil, h.seq)
}

// pong is called by the reader. A pong that answers none of our pings is
// life, and nothing else: RFC 6455, section 5.5.3, allows it. It also allows the
// peer to answer only the latest ping, so a pong answers those before it, too.
func (h *heartbeat) pong(payload []byte) {
	if len(payload) != 8 {
		return
	}
	n := binary.BigEndian.Uint64(payload)
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if n > h.seq {
		return
	}
	answered := 0
	for answered < len(h.sent) && h.sent[answered].seq <= n {
		p := h.sent[answered]
		answered++
		rtt := now.Sub(p.at)
		if p.seq == n {
			h.rtt(rtt)
		}
		if p.answer != nil {
			p.answer <- rtt
		}
	}
	if answered > 0 {
		h.sent = slices.Delete(h.sent, 0, answered)
		h.watch.Stop()
		h.clock.Alive()
	}
}

// ping sends a protocol ping. answer, of capacity 1, gets how long its pong took.
func (h *heartbeat) ping(answer chan<- time.Duration) (seq uint64) {
	h.mu.Lock()
	payload := h.payload(time.Now(), answer)
	seq = h.seq
	h.mu.Unlock()
	h.w.SendPing(payload)
	return seq
}

// forget is called for a ping that is not waited for any more. It reports false if
// that has been answered.
func (h *heartbeat) forget(seq uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.sent, func(p pingSent) bool { return p.seq == seq })
	if i < 0 {
		return false
	}
	h.sent = slices.Delete(h.sent, i, i+1)
	return true
}
