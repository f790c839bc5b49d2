package wsnotify

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// replies watches a peer by its answers to the heartbeat's text, where there are no
// protocol pings. A peer that has never answered one on this connection may be one
// that does not, and is not watched. What answers the text of a TextFunc is not known,
// so any message is taken for that.
type replies struct {
	unwatched
	h       *heartbeat
	timeout time.Duration // for a reply
	any     bool          // a message may be one

	// Guarded by the heartbeat's lock.
	askedAt  time.Time // when the text was sent that waits for its reply; zero if none does
	answered bool      // the peer has answered one, and Heartbeat.Timeout is positive
}

func newReplies(h *heartbeat) *replies {
	r := &replies{h: h, timeout: h.cfg.Timeout, any: h.cfg.TextFunc != nil}
	if r.timeout < 0 {
		r.timeout = defaultPongTimeout
	}
	return r
}

// maxStops is how often a timer may be late before that is how timers are
// where there are no pings: a page that is hidden gets them once a minute, but
// what comes at once.
const maxStops = 2

func (r *replies) answers() bool { return r.answered }

// awaitReply notes that a text is about to be sent. Of several that wait for a reply
// the first counts, for as long as it may still come.
func (r *replies) awaitReply(now time.Time) {
	if r.askedAt.IsZero() || now.Sub(r.askedAt) > r.timeout {
		r.askedAt = now
	}
}

func (r *replies) reply(exact bool) {
	if !exact && !r.any {
		return
	}
	h := r.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.askedAt.IsZero() {
		return
	}
	r.answered = h.cfg.Timeout > 0
	if !exact {
		return
	}
	if h.stall.Before(r.askedAt) { // or the reader has not seen it at once
		h.rtt(time.Since(r.askedAt))
	}
	r.askedAt = time.Time{}
	h.watch.Stop()
	h.clock.Alive()
}

// answer sends what Heartbeat.Answer has answered.
func (cn *conn) answer(text string) {
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
