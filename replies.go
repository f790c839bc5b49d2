package wsnotify

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// replies is the part of a heartbeat that stands for protocol pings where
// there are none: life is watched through the answers to the text. A peer that
// has never answered one on this connection may be one that does not, and is
// not watched. Of a TextFunc nobody knows the answer, so that any message is
// taken for one.
//
// Where there are pings it is nil. The heartbeat's lock guards it.
type replies struct {
	timeout time.Duration // for a reply
	any     bool          // message may be one
	watch   bool          // life is to be watched
	asked   time.Time     // when the text was sent that waits for its reply; zero if none does
	trusted bool          // the peer has answered one
}

func newReplies(cfg Heartbeat) *replies {
	r := &replies{timeout: cfg.Timeout, any: cfg.TextFunc != nil, watch: cfg.Timeout > 0}
	if r.timeout < 0 {
		r.timeout = defaultPongTimeout
	}
	return r
}

// maxStops is how often a timer may be late before that is how timers are
// where there are no pings: a page that is hidden gets them once a minute, but
// what comes at once.
const maxStops = 2

// trusts reports whether the peer is known to answer.
func (r *replies) trusts() bool { return r == nil || r.trusted }

// await notes that a text is about to be sent. Of several that wait for a reply
// the first counts, for as long as it may still come.
func (r *replies) await(now time.Time) {
	if r != nil && (r.asked.IsZero() || now.Sub(r.asked) > r.timeout) {
		r.asked = now
	}
}

// reply is called by the reader for each text that is a reply, and for each
// message that may be one.
func (h *heartbeat) reply(exact bool) {
	r := h.replies
	if r == nil || !exact && !r.any {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.asked.IsZero() {
		return
	}
	r.trusted = r.watch
	if !exact {
		return
	}
	if h.stall.Before(r.asked) { // or the reader has not seen it at once
		h.rtt(time.Since(r.asked))
	}
	r.asked = time.Time{}
	h.watch.Stop()
	h.clock.Alive()
}

// reply sends what Heartbeat.Answer has answered.
func (cn *conn) reply(text string) {
	switch {
	case text == "":
	case !utf8.ValidString(text):
		cn.mistaken(fmt.Errorf("wsnotify: Heartbeat.Answer replied %q, which is not UTF-8, as a text message must be; nothing was sent", text))
	default:
		cn.w.Reply(text)
	}
}

// isReply reports whether a text message answers the heartbeat's.
func (cn *conn) isReply(data []byte) bool {
	for _, reply := range cn.replies {
		if string(data) == reply {
			return true
		}
	}
	return false
}

// mistaken reports what a function of Heartbeat has returned. Once is enough: events have
// no limit.
func (cn *conn) mistaken(err error) { cn.mistake.Do(func() { cn.c.report(err) }) }
