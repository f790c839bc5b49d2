package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// hub holds the clients of serve.
type hub struct {
	say func(format string, args ...any)

	mu      sync.Mutex
	last    int
	clients []*guest
	changed chan struct{} // closed and replaced when clients has changed
	closing bool
	gone    sync.WaitGroup
}

// guest is a connected client.
type guest struct {
	ID    int       `json:"id"`
	User  string    `json:"user"`
	Since time.Time `json:"since"`
	Muted bool      `json:"muted"`

	conn *websocket.Conn
	out  chan []byte
	mute chan struct{} // closed: neither read nor write any more
	drop chan struct{} // closed: end without a close frame
}

func newHub(say func(string, ...any)) *hub {
	return &hub{say: say, changed: make(chan struct{})}
}

// change runs f, and tells the pages.
func (h *hub) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
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
	g := &guest{
		User: r.PathValue("user"), Since: time.Now(),
		out: make(chan []byte, 64), mute: make(chan struct{}), drop: make(chan struct{}),
	}
	if !h.enter() {
		http.Error(w, "the server ends", http.StatusServiceUnavailable)
		return
	}
	defer h.gone.Done()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OnPingReceived: func(context.Context, []byte) bool {
			select {
			case <-g.mute:
				return false // no pong
			default:
				return true
			}
		},
	})
	if err != nil {
		return // Accept has answered
	}
	conn.SetReadLimit(maxBody)
	g.conn = conn
	h.change(func() {
		h.last++
		g.ID = h.last
		h.clients = append(h.clients, g)
		if h.closing { // it came while close said good-bye to the others
			g.out <- nil
		}
	})
	h.say("+ %s", oneLine(g.User))
	why := g.serve(h)
	h.change(func() {
		h.clients = slices.DeleteFunc(h.clients, func(other *guest) bool { return other == g })
	})
	h.say("- %s: %s", oneLine(g.User), oneLine(why))
}

// serve returns why it ended.
func (g *guest) serve(h *hub) string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer g.conn.CloseNow()
	ended := make(chan string, 1)
	read := make(chan struct{}) // a token for each message that may be read
	go func() {
		for range read {
			typ, data, err := g.conn.Read(ctx)
			if err != nil {
				ended <- reason(err)
				return
			}
			if typ == websocket.MessageText {
				h.say("%s: %s", oneLine(g.User), oneLine(string(data)))
			} else {
				h.say("%s: %d bytes", oneLine(g.User), len(data))
			}
		}
	}()
	defer close(read)
	mute, out, next := g.mute, g.out, read
	for {
		select {
		case next <- struct{}{}:
		case why := <-ended:
			return why
		case <-g.drop:
			return "dropped"
		case <-mute:
			mute, out, next = nil, nil, nil
		case message := <-out:
			if message == nil {
				g.conn.Close(websocket.StatusGoingAway, "the server ends")
				return "the server ends"
			}
			writing, done := context.WithTimeout(ctx, 10*time.Second)
			err := g.conn.Write(writing, websocket.MessageText, message)
			done()
			if err != nil {
				return reason(err)
			}
		}
	}
}

func reason(err error) string {
	if code := websocket.CloseStatus(err); code >= 0 {
		return fmt.Sprintf("closed with %d", int(code))
	}
	return "the connection was lost"
}

// notify sends to a user, or to everybody, and counts whom.
func (h *hub) notify(user string, message []byte) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range h.clients {
		if user != "" && g.User != user {
			continue
		}
		select {
		case g.out <- message:
			n++
		default: // he does not read
		}
	}
	return n
}

// control drops or mutes a client.
func (h *hub) control(id int, verb string) (done bool) {
	h.change(func() {
		i := slices.IndexFunc(h.clients, func(g *guest) bool { return g.ID == id })
		if i < 0 {
			return
		}
		g := h.clients[i]
		switch {
		case verb == "drop":
			closeOnce(g.drop)
		case verb == "mute":
			closeOnce(g.mute)
			g.Muted = true
		default:
			return
		}
		done = true
	})
	return done
}

// closeOnce is called with mu.
func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// stream tells a page who is connected, as server-sent events.
func (h *hub) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for {
		h.mu.Lock()
		list, err := json.Marshal(append([]*guest{}, h.clients...))
		changed, closing := h.changed, h.closing
		h.mu.Unlock()
		if err != nil || closing {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", list); err != nil {
			return
		}
		http.NewResponseController(w).Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// close says good-bye to all.
func (h *hub) close() {
	h.change(func() {
		h.closing = true
		for _, g := range h.clients {
			select {
			case <-g.mute:
				closeOnce(g.drop)
			default:
				select {
				case g.out <- nil:
				default:
					closeOnce(g.drop)
				}
			}
		}
	})
	h.gone.Wait()
}
