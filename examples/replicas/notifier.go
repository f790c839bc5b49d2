package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// notifier is the server that the demo and the tests talk to. It keeps its events,
// sends each connection those after the position that it asks for, and confirms
// what it is sent.
type notifier struct {
	listener net.Listener
	http     http.Server

	mu        sync.Mutex
	events    []event
	more      chan struct{} // closed and replaced when there are more
	got       map[string]string
	order     []string // the texts, as they first came
	again     int      // messages that came more than once
	conns     map[*websocket.Conn]struct{}
	connected chan time.Time // of each connection
}

func newNotifier() (*notifier, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &notifier{
		listener: listener, more: make(chan struct{}), got: map[string]string{},
		conns: map[*websocket.Conn]struct{}{}, connected: make(chan time.Time, 1024),
	}
	n.http.Handler = http.HandlerFunc(n.serve)
	go n.http.Serve(listener)
	return n, nil
}

func (n *notifier) url() string { return "ws://" + n.listener.Addr().String() + "/ws" }

func (n *notifier) close() {
	n.http.Close()
	n.drop()
}

// emit makes events, for each user in turn.
func (n *notifier) emit(count int, users ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range count {
		id := int64(len(n.events) + 1)
		n.events = append(n.events, event{ID: id, User: users[int(id)%len(users)], Text: fmt.Sprintf("event %d", id)})
	}
	close(n.more)
	n.more = make(chan struct{})
}

// drop breaks all connections without a word.
func (n *notifier) drop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for conn := range n.conns {
		go conn.CloseNow()
	}
}

// from returns the events after a position, and what is closed when there are more.
func (n *notifier) from(since int64) ([]event, chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.events[min(since, int64(len(n.events))):], n.more
}

func (n *notifier) serve(w http.ResponseWriter, r *http.Request) {
	since, err := strconv.ParseInt(r.FormValue("since"), 10, 64)
	if err != nil {
		http.Error(w, "since must be a number", http.StatusBadRequest)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	n.mu.Lock()
	n.conns[conn] = struct{}{}
	n.mu.Unlock()
	n.connected <- time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		cancel()
		n.mu.Lock()
		delete(n.conns, conn)
		n.mu.Unlock()
		conn.CloseNow()
	}()
	go func() {
		defer cancel()
		n.read(ctx, conn)
	}()
	since = max(0, since-3) // as servers do that are not sure
	for {
		events, more := n.from(since)
		for _, ev := range events {
			content, _ := json.Marshal(ev)
			if conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"msgType":"event","content":%s}`, content)) != nil {
				return
			}
			since = ev.ID
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// read takes messages and confirms them.
func (n *notifier) read(ctx context.Context, conn *websocket.Conn) {
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var m outgoing
		if json.Unmarshal(data, &m) != nil { // the heartbeat's ping
			continue
		}
		n.mu.Lock()
		if _, ok := n.got[m.ID]; ok {
			n.again++
		} else {
			n.got[m.ID] = m.Text
			n.order = append(n.order, m.Text)
		}
		n.mu.Unlock()
		if conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"msgType":"confirm","content":%q}`, m.ID)) != nil {
			return
		}
	}
}

// sent is what was sent to the server, in order, and how much of it more than once.
func (n *notifier) sent() (texts []string, again int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.order...), n.again
}
