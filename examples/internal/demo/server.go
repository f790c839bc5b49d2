// Package demo lets an example run by itself: it is the server that the
// example talks to when it is given no address.
package demo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"
)

// Server is a notification server on loopback that can go away and come back
// at the same address. Only one goroutine may use it.
type Server struct {
	addr    string     // once it has been up
	peers   chan *Peer // those who came and were not accepted yet
	waits   func()     // called by Accept
	answer  atomic.Pointer[func(*http.Request) int]
	chooses atomic.Pointer[[]string] // subprotocols
	content http.ServeMux            // for what is no handshake

	http   *http.Server       // nil while it is not up
	kill   context.CancelFunc // ends the connections, as a crash would
	listen sync.WaitGroup
}

// NewServer returns a server that is not up yet.
func NewServer() *Server {
	return &Server{addr: "127.0.0.1:0", peers: make(chan *Peer, 16), waits: func() {}}
}

// Answer makes f say which HTTP status a handshake is answered with, on the
// goroutine of the request. Until it is called that is 101.
func (s *Server) Answer(f func(r *http.Request) int) { s.answer.Store(&f) }

// Subprotocols are those that the server knows.
func (s *Server) Subprotocols(names ...string) { s.chooses.Store(&names) }

// Handle makes f answer requests that are no handshakes.
func (s *Server) Handle(pattern string, f http.HandlerFunc) { s.content.HandleFunc(pattern, f) }

// URL is the address to which the name of the user is added, if there is one.
// It is known once the server has been up.
func (s *Server) URL() string { return fmt.Sprintf("ws://%s/ws/", s.addr) }

// Start listens.
func (s *Server) Start() error {
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.addr = listener.Addr().String()
	ctx, kill := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws/{user...}", func(w http.ResponseWriter, r *http.Request) { s.serve(ctx, w, r) })
	mux.Handle("/", &s.content)
	s.http, s.kill = &http.Server{Handler: mux}, kill
	s.listen.Go(func() { s.http.Serve(listener) })
	return nil
}

// Stop drops the listener and the connections without a word, as when the
// process is killed. It reports whether the server was up.
func (s *Server) Stop() bool {
	if s.http == nil {
		return false
	}
	s.http.Close()
	s.kill()
	s.listen.Wait()
	s.http = nil
	return true
}

// Accept returns the next client that has connected.
func (s *Server) Accept(ctx context.Context) (*Peer, error) {
	s.waits()
	select {
	case p := <-s.peers:
		return p, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve reads from one connection until it ends, or ctx does.
func (s *Server) serve(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	if answer := s.answer.Load(); answer != nil {
		if status := (*answer)(r); status != http.StatusSwitchingProtocols {
			http.Error(w, http.StatusText(status), status)
			return
		}
	}
	var options websocket.AcceptOptions
	if names := s.chooses.Load(); names != nil {
		options.Subprotocols = *names
	}
	conn, err := websocket.Accept(w, r, &options)
	if err != nil {
		return // it has told the client
	}
	defer conn.CloseNow()
	p := &Peer{User: r.PathValue("user"), Query: r.URL.Query(), conn: conn, received: make(chan string, 16)}
	select {
	case s.peers <- p:
	case <-ctx.Done():
		return
	}
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if string(data) == "ping" { // the heartbeat
			if conn.Write(ctx, websocket.MessageText, []byte("pong")) != nil {
				return
			}
			continue
		}
		select {
		case p.received <- string(data):
		case <-ctx.Done():
			return
		}
	}
}

// Peer is a client as the server sees it.
type Peer struct {
	User     string
	Query    url.Values // of the URL that it dialled
	conn     *websocket.Conn
	received chan string
}

// Send sends text messages, and waits until the client has read them.
func (p *Peer) Send(ctx context.Context, texts ...string) error {
	for _, text := range texts {
		if err := p.conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			return err
		}
	}
	return p.conn.Ping(ctx)
}

// Receive returns the next message that is not a heartbeat.
func (p *Peer) Receive(ctx context.Context) (string, error) {
	select {
	case text := <-p.received:
		return text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Drop breaks the connection without a word.
func (p *Peer) Drop() { p.conn.CloseNow() }
