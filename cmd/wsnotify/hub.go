package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// hub holds the clients of serve, and what happened of late. What clients, pages and those who notify
// can make it keep is bounded, by the constants below.
type hub struct {
	name       string // of this run, so that a page knows another one
	say        func(format string, args ...any)
	hosts      hosts // that it answers to
	echo       bool
	confirm    fieldPath // of the id with which messages are confirmed; nil for none
	refuse     int       // the status of every handshake; 0 to accept
	readLimit  int64
	maxClients int
	pings      bool          // text pings are shown, too
	large      chan struct{} // see socket
	posts      chan struct{} // holds a token for each POST under way

	mu      sync.Mutex
	last    int
	clients []*guest
	coming  int // clients that are let in, those who are not yet in clients too
	pages   int // that are open
	pending int // bytes of messages that wait to be sent
	numbers numbers
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
	maxLog     = 200      // entries that a page finds when it is opened
	maxText    = 4 << 10  // bytes of an entry's text
	maxLine    = 64 << 10 // bytes of a message that are printed
	maxUser    = 256      // bytes of a user's name
	maxPages   = 16       // that are open at once
	maxQueue   = 64       // messages that wait for one client
	maxPending = 64 << 20 // bytes of those that wait for all clients
	maxPosts   = 8        // POSTs that are handled at once
)

func newHub(say func(string, ...any)) *hub {
	return &hub{name: strconv.FormatInt(time.Now().UnixNano(), 36), say: say, readLimit: 16 << 20, maxClients: 1000,
		large: make(chan struct{}, largeAtOnce), posts: make(chan struct{}, maxPosts), changed: make(chan struct{})}
}

// change runs f, and notifies the pages.
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

// enter counts a client whom close waits for, unless it can't come. leave ends that.
func (h *hub) enter() (refused string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closing:
		return "the server ends"
	case h.coming >= h.maxClients:
		return fmt.Sprintf("%d clients are connected; serve --max-clients allows more", h.coming)
	}
	h.coming++
	h.gone.Add(1)
	return ""
}

func (h *hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.coming--
	h.gone.Done()
}

// checkUser says what is wrong with a name; "" if nothing is.
func checkUser(user string) string {
	switch {
	case len(user) > maxUser:
		return fmt.Sprintf("the user's name has %d bytes; %d are allowed", len(user), maxUser)
	case !utf8.ValidString(user):
		return "the user's name is not UTF-8"
	}
	return ""
}

// join is a client's connection, from the handshake to its end.
func (h *hub) join(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("user")
	if user == "" {
		user = "guest"
	}
	if wrong := checkUser(user); wrong != "" {
		http.Error(w, wrong, http.StatusBadRequest)
		return
	}
	if h.refuse != 0 {
		h.change(func() { h.note(user, "refused", http.StatusText(h.refuse)) })
		h.say("! %s: refused with %d", oneLine(user), h.refuse)
		http.Error(w, "refused, as serve --refuse says", h.refuse)
		return
	}
	if refused := h.enter(); refused != "" {
		http.Error(w, refused, http.StatusServiceUnavailable)
		return
	}
	defer h.leave()
	conn, err := accept(w, r)
	if err != nil {
		h.say("! %s: %s", oneLine(user), oneLine(err.Error()))
		return // accept has answered
	}
	g := newGuest(h, user, conn)
	h.change(func() {
		h.last++
		g.ID = h.last
		if h.numbers.field != "" {
			g.queueMissed(h.numbers.join(user, r.URL.Query().Get("after"), h.online))
		}
		h.clients = append(h.clients, g)
		h.note(user, "joined", "")
		if h.closing { // it came while close said good-bye to the others
			g.queue(goodBye())
		}
	})
	h.say("+ %s", oneLine(user))
	why := g.serve()
	h.change(func() {
		h.clients = slices.DeleteFunc(h.clients, func(other *guest) bool { return other == g })
		g.unqueue()
		h.note(user, "left", why)
	})
	h.say("- %s: %s", oneLine(user), oneLine(why))
}

// online reports whether a user has a client. It is called with mu.
func (h *hub) online(user string) bool {
	return slices.ContainsFunc(h.clients, func(g *guest) bool { return g.User == user })
}

// notify sends to a user, or to everybody, and counts whom. kept reports that it waits for users who are
// not connected, too.
func (h *hub) notify(user string, message []byte) (n int, kept bool) {
	f := &outgoingFrame{op: opText, data: message}
	h.change(func() {
		frames := h.number(user, message)
		kept = len(frames) > 0
		for _, g := range h.clients {
			if user != "" && g.User != user {
				continue
			}
			own := f
			if kept {
				own = frames[g.User]
			}
			if g.queue(own) {
				n++
			} else if kept {
				closeOnce(g.drop) // it comes back, and asks for what it has missed
			}
		}
		if n > 0 || kept {
			h.note(user, "out", string(message[:min(len(message), maxText+1)]))
		}
	})
	return n, kept
}

// number makes the message of each user that it is for; none without numbers. It is called with mu.
func (h *hub) number(user string, message []byte) (frames map[string]*outgoingFrame) {
	if h.numbers.field == "" || user != "" && !h.numbers.knows(user) {
		return nil
	}
	if user != "" {
		return map[string]*outgoingFrame{user: h.numbers.next(user, message)}
	}
	frames = map[string]*outgoingFrame{}
	for known := range h.numbers.last {
		frames[known] = h.numbers.next(known, message)
	}
	return frames
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
			if !g.queue(goodBye()) || g.Muted {
				closeOnce(g.drop)
			}
		}
	})
	h.gone.Wait()
}
