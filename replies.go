package wsnotify

import "time"

// replies is the part of a heartbeat that stands for protocol pings where
// there are none: life is watched through the answers to the text. A peer that
// has never answered one on this connection may be one that does not, and is
// not watched. Of a TextFunc nobody knows the answer, so that any message is
// taken for one.
type replies struct {
	asked   time.Time // when the text was sent that waits for its reply; zero if none does
	trusted bool      // the peer has answered one
	excuses int       // watches in a row that began again since the timer was late
}

// maxExcuses is how often a timer may be late before that is how timers are
// here: a page that is hidden gets them once a minute, but what comes at once.
const maxExcuses = 2

// ask notes that a text is about to be sent. Of several that wait for a reply
// the first counts, for as long as it may still come. mu is held.
func (h *heartbeat) ask(now time.Time) {
	patience := h.cfg.Timeout
	if patience < 0 {
		patience = defaultPongTimeout
	}
	if !h.pings && (h.asked.IsZero() || now.Sub(h.asked) > patience) {
		h.asked = now
	}
}

// reply is called by the reader for each text that is a reply, and for each
// message that may be one.
func (h *heartbeat) reply(exact bool) {
	if h.pings || !exact && h.cfg.TextFunc == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked.IsZero() {
		return
	}
	h.trusted = h.cfg.Timeout > 0
	if !exact {
		return
	}
	if h.stall.Before(h.asked) { // or the reader has not seen it at once
		h.rtt(time.Since(h.asked))
	}
	h.asked = time.Time{}
}

// excused reports whether a watch that was looked at late begins again: the
// process did not run meanwhile. mu is held.
func (h *heartbeat) excused() bool {
	h.excuses++
	return h.pings || h.excuses <= maxExcuses
}
