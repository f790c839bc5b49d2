package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
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
	mux.HandleFunc("POST /notify/{user}", h.post(h.notifyRequest))
	mux.HandleFunc("POST /notify", h.post(h.notifyRequest))
	mux.HandleFunc("POST /clients/{id}/{verb}", h.post(h.controlRequest))
	// A page from elsewhere must not notify, drop or mute anybody, nor read what is sent here by a
	// name of its own that leads to this machine.
	return h.hosts.only(http.NewCrossOriginProtection().Handler(mux))
}

// post bounds what requests with a body take: memory by how many there are at once, and time.
func (h *hub) post(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case h.posts <- struct{}{}:
			defer func() { <-h.posts }()
		case <-r.Context().Done():
			return
		}
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(writeWait))
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		handle(w, r)
	}
}

func (h *hub) notifyRequest(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("user")
	message, err := notification(r)
	if wrong := checkUser(user); wrong != "" {
		err = errors.New(wrong)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n, kept := h.notify(user, message)
	if n == 0 && kept {
		fmt.Fprintln(w, "sent to nobody, and kept")
		return
	}
	if n == 0 {
		http.Error(w, "nobody is connected under this name, or does not read", http.StatusNotFound)
		return
	}
	fmt.Fprintf(w, "sent to %d\n", n)
}

func (h *hub) controlRequest(w http.ResponseWriter, r *http.Request) {
	err := r.ParseForm()
	var do func(*guest)
	if err == nil {
		do, err = action(h, r.PathValue("verb"), r.Form)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id, _ := strconv.Atoi(r.PathValue("id"))
	if do == nil || !h.control(id, do) {
		http.Error(w, "there is no such client, or nothing of that name to be done to it", http.StatusNotFound)
	}
}

// action is what can be done to a client; nil if there is nothing of that name.
func action(h *hub, verb string, form url.Values) (func(*guest), error) {
	switch verb {
	case "drop":
		return func(g *guest) { closeOnce(g.drop) }, nil
	case "mute", "unmute":
		return func(g *guest) { g.mute(verb == "mute") }, nil
	case "send":
		text := form.Get("text")
		if err := checkText("text", text); err != nil {
			return nil, err
		}
		return func(g *guest) {
			if g.queue(&outgoingFrame{op: opText, data: []byte(text)}) {
				h.note(g.User, "out", text)
			}
		}, nil
	case "close":
		code, _ := strconv.Atoi(form.Get("code"))
		if !mayClose(code) {
			return nil, fmt.Errorf("the code is %q; expected 1000 to 1014 without 1004 to 1006, or 3000 to 4999", shorten(form.Get("code"), 40))
		}
		reason := form.Get("reason")
		if err := checkText("reason", reason); err != nil {
			return nil, err
		}
		if len(reason) > maxReason {
			return nil, fmt.Errorf("the reason has %d bytes; %d is the most", len(reason), maxReason)
		}
		return func(g *guest) {
			if !g.queue(&outgoingFrame{op: opClose, code: code, reason: reason}) {
				closeOnce(g.drop)
			}
			g.mute(false) // else it would wait
		}, nil
	}
	return nil, nil
}

// checkText says where a text is not UTF-8, which no text message or close frame may carry
// (RFC 6455, sections 5.6 and 5.5.1).
func checkText(name, text string) error {
	for i, r := range text {
		if r != utf8.RuneError {
			continue
		}
		if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 { // and not U+FFFD itself
			return fmt.Errorf("%s is not UTF-8: byte %d is 0x%02x", name, i+1, text[i])
		}
	}
	return nil
}

// mayClose reports whether a close frame may have a code, by RFC 6455, section
// 7.4.
func mayClose(code int) bool {
	return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006) || code >= 3000 && code <= 4999
}

// notification reads a request as the JSON of a notification.
func notification(r *http.Request) ([]byte, error) {
	var n struct {
		MsgType string          `json:"msgType"`
		Content json.RawMessage `json:"content"`
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/json" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if err := checkText("the body", string(body)); err != nil {
			return nil, err
		}
		err = json.Unmarshal(body, &n)
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			if wrong.Field == "" {
				return nil, fmt.Errorf("the body is a JSON %s; expected an object with msgType and content", wrong.Value)
			}
			return nil, fmt.Errorf("%s is a JSON %s; expected a string", wrong.Field, wrong.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("the body is not JSON with msgType and content: %w", err)
		}
	} else {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		n.MsgType = r.PostForm.Get("msgType")
		content := r.PostForm.Get("content")
		for name, text := range map[string]string{"msgType": n.MsgType, "content": content} {
			if err := checkText(name, text); err != nil {
				return nil, err
			}
		}
		if content != "" {
			n.Content, _ = json.Marshal(content)
		}
	}
	if n.MsgType == "" || len(n.Content) == 0 {
		return nil, errors.New("msgType or content is missing")
	}
	return json.Marshal(n)
}

// stream notifies a page of who is connected and what happens, as server-sent
// events. A page that comes back says what it has seen.
func (h *hub) stream(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	full := h.pages >= maxPages
	if !full {
		h.pages++
		defer func() {
			h.mu.Lock()
			h.pages--
			h.mu.Unlock()
		}()
	}
	h.mu.Unlock()
	if full {
		http.Error(w, fmt.Sprintf("%d pages are open; close one", maxPages), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	seen := 0
	if of, n, ok := strings.Cut(r.Header.Get("Last-Event-ID"), "-"); ok && of == h.name {
		seen, _ = strconv.Atoi(n)
	}
	controller := http.NewResponseController(w)
	shown := ""
	for {
		h.mu.Lock()
		list, _ := json.Marshal(append([]*guest{}, h.clients...))
		unseen := min(max(h.entries-seen, 0), len(h.log))
		news := append([]entry{}, h.log[len(h.log)-unseen:]...)
		seen = h.entries
		changed, closing := h.changed, h.closing
		h.mu.Unlock()
		if closing {
			return
		}
		happened, _ := json.Marshal(map[string]any{"server": h.name, "entries": news})
		controller.SetWriteDeadline(time.Now().Add(writeWait))
		if string(list) != shown {
			shown = string(list)
			fmt.Fprintf(w, "event: clients\ndata: %s\n\n", shown)
		}
		fmt.Fprintf(w, "id: %s-%d\nevent: log\ndata: %s\n\n", h.name, seen, happened)
		if controller.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
		select { // what happens meanwhile is told at once
		case <-time.After(pageWait):
		case <-r.Context().Done():
			return
		}
	}
}

// pageWait is how long a page is left alone after it was told something, so that a client that sends
// without a pause costs a page no more than one that sends now and then.
const pageWait = 50 * time.Millisecond
