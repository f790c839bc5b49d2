// Server is the notification server of docs/getting-started.md:
//
//	POST /token                a token that is good for a minute
//	GET  /ws/{user}            the WebSocket; it wants a token, and subscriptions
//	POST /publish?topic=mail   sends the body to those who have subscribed to the topic
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "`address` to listen on")
	flag.Parse()
	log.Println("listening on", *addr)
	srv := &http.Server{Addr: *addr, Handler: newServer().handler(), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(srv.ListenAndServe())
}

type server struct {
	mu     sync.Mutex
	tokens map[string]time.Time // with the time when they expire
	topics map[*websocket.Conn][]string
}

func newServer() *server {
	return &server{tokens: map[string]time.Time{}, topics: map[*websocket.Conn][]string{}}
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("GET /ws/{user}", s.connect)
	mux.HandleFunc("POST /publish", s.publish)
	return mux
}

func (s *server) token(w http.ResponseWriter, _ *http.Request) {
	token := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = time.Now().Add(time.Minute)
	io.WriteString(w, token)
}

func (s *server) valid(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.tokens[token])
}

func (s *server) connect(w http.ResponseWriter, r *http.Request) {
	if token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !s.valid(token) {
		http.Error(w, "the token is missing or has expired", http.StatusUnauthorized)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	user := r.PathValue("user")
	log.Println(user, "is connected")
	err = s.read(r.Context(), conn, user)
	s.set(conn, nil)
	log.Println(user, "is gone:", err)
}

func (s *server) read(ctx context.Context, conn *websocket.Conn, user string) error {
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var m struct {
			Op     string
			Topics []string
		}
		switch {
		case string(data) == "ping": // the heartbeat
		case json.Unmarshal(data, &m) == nil && m.Op == "subscribe":
			s.set(conn, m.Topics)
			log.Println(user, "subscribes to", m.Topics)
		default:
			log.Println(user, "sends", string(data))
		}
	}
}

// set says which topics a connection has; nil forgets it.
func (s *server) set(conn *websocket.Conn, topics []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if topics == nil {
		delete(s.topics, conn)
		return
	}
	s.topics[conn] = topics
}

func (s *server) publish(w http.ResponseWriter, r *http.Request) {
	topic := r.URL.Query().Get("topic")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	content := json.RawMessage(body)
	if !json.Valid(body) {
		content, _ = json.Marshal(string(body)) // plain text
	}
	text, _ := json.Marshal(map[string]any{"msgType": topic, "content": content})
	for _, conn := range s.subscribers(topic) {
		conn.Write(r.Context(), websocket.MessageText, text) // a connection that fails ends in read
	}
}

func (s *server) subscribers(topic string) (conns []*websocket.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn, topics := range s.topics {
		if slices.Contains(topics, topic) {
			conns = append(conns, conn)
		}
	}
	return conns
}
