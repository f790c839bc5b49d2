package main

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// hub holds the clients of serve, and what happened of late.
type hub struct {
	name      string // of this run, so that a page knows another one
	say       func(format string, args ...any)
	echo      bool
	confirm   fieldPath // of the id with which messages are confirmed; nil for none
	refuse    int       // the status of every handshake; 0 to accept
	readLimit int64
	pings     bool // text pings are shown, too

	mu      sync.Mutex
	last    int
	clients []*guest
	log     []entry
	entries int           // that there ever were
	changed chan struct{} // closed and replaced when any of this has changed
	closing bool
	gone    sync.WaitGroup
}

// entry is something that happened, for the page.
type entry struct {
	Time time.Time `json:"time"`
	User string    `json:"user"`
	Kind string    `json:"kind"` // "in", "out", "joined", "left" or "refused"
	Text string    `json:"text"`
}

const (
	maxLog  = 200     // entries that a page finds when it is opened
	maxText = 4 << 10 // bytes of an entry's text
)

func newHub(say func(string, ...any)) *hub {
	return &hub{name: strconv.FormatInt(time.Now().UnixNano(), 36), say: say, readLimit: 16 << 20, changed: make(chan struct{})}
}

// change runs f, and tells the pages.
func (h *hub) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
}

// note enters something in the log. It is called with mu.
func (h *hub) note(user, kind, text string) {
	h.entries++
	h.log = append(h.log, entry{time.Now(), user, kind, shorten(text, maxText)})
	if len(h.log) > maxLog {
		h.log = slices.Delete(h.log, 0, len(h.log)-maxLog)
	}
}

// enter counts a client whom close waits for, unless it is too late to come.
func (h *hub) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closing {
		h.gone.Add(1)
	}
	return !h.closing
}

// join is a client's connection, from the handshake to its end.
func (h *hub) join(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("user")
	if user == "" {
		user = "guest"
	}
	if h.refuse != 0 {
		h.change(func() { h.note(user, "refused", http.StatusText(h.refuse)) })
		h.say("! %s: refused with %d", oneLine(user), h.refuse)
		http.Error(w, "refused, as serve --refuse says", h.refuse)
		return
	}
	g := &guest{hub: h, User: user, Since: time.Now(), out: make(chan outgoingFrame, 64), again: make(chan struct{}, 1), drop: make(chan struct{})}
	if !h.enter() {
		http.Error(w, "the server ends", http.StatusServiceUnavailable)
		return
	}
	defer h.gone.Done()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OriginPatterns:  []string{"localhost:*", "127.0.0.1:*"}, // the pages that somebody tries things with
		CompressionMode: websocket.CompressionContextTakeover,
		OnPingReceived:  func(context.Context, []byte) bool { return !g.muted() },
	})
	if err != nil {
		h.say("! %s: %s", oneLine(user), oneLine(err.Error()))
		return // Accept has answered
	}
	conn.SetReadLimit(h.readLimit)
	g.conn = conn
	h.change(func() {
		h.last++
		g.ID = h.last
		h.clients = append(h.clients, g)
		h.note(user, "joined", "")
		if h.closing { // it came while close said good-bye to the others
			g.out <- goodBye
		}
	})
	h.say("+ %s", oneLine(user))
	why := g.serve()
	h.change(func() {
		h.clients = slices.DeleteFunc(h.clients, func(other *guest) bool { return other == g })
		h.note(user, "left", why)
	})
	h.say("- %s: %s", oneLine(user), oneLine(why))
}

// notify sends to a user, or to everybody, and counts whom.
func (h *hub) notify(user string, message []byte) (n int) {
	h.change(func() {
		for _, g := range h.clients {
			if user != "" && g.User != user {
				continue
			}
			select {
			case g.out <- outgoingFrame{typ: websocket.MessageText, data: message}:
				n++
			default: // he does not read
			}
		}
		if n > 0 {
			h.note(user, "out", string(message))
		}
	})
	return n
}

// control does something to a client, and reports whether there is one.
func (h *hub) control(id int, do func(*guest)) (done bool) {
	h.change(func() {
		i := slices.IndexFunc(h.clients, func(g *guest) bool { return g.ID == id })
		if i >= 0 {
			do(h.clients[i])
			done = true
		}
	})
	return done
}

// close says good-bye to all.
func (h *hub) close() {
	h.change(func() {
		h.closing = true
		for _, g := range h.clients {
			select {
			case g.out <- goodBye:
				if g.Muted {
					closeOnce(g.drop)
				}
			default:
				closeOnce(g.drop)
			}
		}
	})
	h.gone.Wait()
}
