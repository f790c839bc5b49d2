package main

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"
)

// herd is a listener that goes away with all its connections and comes back
// on the same port, as a server does that is restarted.
type herd struct {
	server *http.Server
	addr   string

	mu         sync.Mutex
	listener   net.Listener
	conns      map[net.Conn]struct{}
	back       time.Time
	handshakes []time.Duration // after back
}

// herdReport is what a client process is told.
type herdReport struct {
	Open       int // connections
	Back       bool
	Handshakes []time.Duration // after the server was back
}

func (h *herd) listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.listener, h.addr = l, l.Addr().String()
	h.conns = map[net.Conn]struct{}{}
	h.mu.Unlock()
	go h.server.Serve(l)
	return nil
}

// join holds a connection and notes when its handshake came.
func (h *herd) join(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	h.mu.Lock()
	conns := h.conns
	conns[conn] = struct{}{}
	if !h.back.IsZero() {
		h.handshakes = append(h.handshakes, time.Since(h.back))
	}
	h.mu.Unlock()
	if accept(conn, r, "") == nil {
		newSession(conn, rw.Reader).quiet(r)
	}
	h.mu.Lock()
	delete(conns, conn)
	h.mu.Unlock()
}

// restart takes the server away for a while. It answers at once.
func (h *herd) restart(w http.ResponseWriter, r *http.Request) {
	down, err := time.ParseDuration(r.FormValue("down"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listener.Close()
	for conn := range h.conns {
		conn.Close()
	}
	h.back, h.handshakes = time.Time{}, nil
	time.AfterFunc(down, func() {
		h.mu.Lock()
		h.back = time.Now()
		h.mu.Unlock()
		h.listen(h.addr)
	})
}

func (h *herd) report(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	json.NewEncoder(w).Encode(herdReport{Open: len(h.conns), Back: !h.back.IsZero(), Handshakes: h.handshakes})
}
