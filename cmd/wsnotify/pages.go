package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/coder/websocket"
)

//go:embed page.html
var page []byte

const maxBody = 1 << 20 // of a request

// handler is what serve does over HTTP.
func handler(h *hub) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			h.join(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self' 'unsafe-inline'; img-src data:; frame-ancestors 'none'")
		w.Write(page)
	})
	mux.HandleFunc("GET /ws/{user}", h.join)
	mux.HandleFunc("GET /ws/{$}", h.join)
	mux.HandleFunc("GET /ws", h.join)
	mux.HandleFunc("GET /events", h.stream)
	notify := func(w http.ResponseWriter, r *http.Request) {
		message, err := notification(w, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		n := h.notify(r.PathValue("user"), message)
		if n == 0 {
			http.Error(w, "nobody is connected under this name", http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, "sent to %d\n", n)
	}
	mux.HandleFunc("POST /notify/{user}", notify)
	mux.HandleFunc("POST /notify", notify)
	mux.HandleFunc("POST /clients/{id}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		do, err := action(h, r.PathValue("verb"), r.FormValue)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		id, _ := strconv.Atoi(r.PathValue("id"))
		if do == nil || !h.control(id, do) {
			http.Error(w, "there is no such client, or nothing of that name to be done to it", http.StatusNotFound)
		}
	})
	// A page from elsewhere must not notify, drop or mute anybody.
	return http.NewCrossOriginProtection().Handler(mux)
}

// action is what can be done to a client; nil if there is nothing of that name.
func action(h *hub, verb string, value func(string) string) (func(*guest), error) {
	switch verb {
	case "drop":
		return func(g *guest) { closeOnce(g.drop) }, nil
	case "mute", "unmute":
		return func(g *guest) { g.mute(verb == "mute") }, nil
	case "send":
		text := value("text")
		return func(g *guest) {
			if g.queue(outgoingFrame{typ: websocket.MessageText, data: []byte(text)}) {
				h.note(g.User, "out", text)
			}
		}, nil
	case "close":
		code, err := strconv.Atoi(value("code"))
		if err != nil || !mayClose(code) {
			return nil, fmt.Errorf("the code is %q; expected 1000 to 1014 without 1004 to 1006, or 3000 to 4999", value("code"))
		}
		reason := value("reason")
		if len(reason) > 123 {
			return nil, fmt.Errorf("the reason has %d bytes; 123 is the most", len(reason))
		}
		return func(g *guest) {
			if !g.queue(outgoingFrame{code: websocket.StatusCode(code), reason: reason}) {
				closeOnce(g.drop)
			}
			g.mute(false) // else it would wait
		}, nil
	}
	return nil, nil
}

// mayClose reports whether a close frame may have a code, by RFC 6455, section
// 7.4.
func mayClose(code int) bool {
	return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006) || code >= 3000 && code <= 4999
}

// notification reads a request as the JSON of a notification.
func notification(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	var n struct {
		MsgType string          `json:"msgType"`
		Content json.RawMessage `json:"content"`
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			return nil, fmt.Errorf("the body is not JSON with msgType and content: %w", err)
		}
	} else {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		n.MsgType = r.PostFormValue("msgType")
		if text := r.PostFormValue("content"); text != "" {
			n.Content, _ = json.Marshal(text)
		}
	}
	if n.MsgType == "" || len(n.Content) == 0 {
		return nil, errors.New("msgType or content is missing")
	}
	return json.Marshal(n)
}

// stream tells a page who is connected and what happens, as server-sent
// events. A page that comes back says what it has seen.
func (h *hub) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	seen := 0
	if of, n, ok := strings.Cut(r.Header.Get("Last-Event-ID"), "-"); ok && of == h.name {
		seen, _ = strconv.Atoi(n)
	}
	for {
		h.mu.Lock()
		list, err := json.Marshal(append([]*guest{}, h.clients...))
		unseen := min(max(h.entries-seen, 0), len(h.log))
		news := append([]entry{}, h.log[len(h.log)-unseen:]...)
		seen = h.entries
		changed, closing := h.changed, h.closing
		h.mu.Unlock()
		if err != nil || closing {
			return
		}
		happened, err := json.Marshal(map[string]any{"server": h.name, "entries": news})
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "event: clients\ndata: %s\n\nid: %s-%d\nevent: log\ndata: %s\n\n", list, h.name, seen, happened); err != nil {
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
