package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/coder/websocket"
)

// server is a notification server on loopback that can go away and come back
// at the same address. Only one goroutine may use it.
type server struct {
	log   func(what, format string, args ...any)
	addr  string     // once it has been up
	peers chan *peer // those who came and were not accepted yet

	http   *http.Server       // nil while it is not up
	kill   context.CancelFunc // ends the connections, as a crash would
	listen sync.WaitGroup
}

// peer is a client as the server sees it.
type peer struct {
	user     string
	conn     *websocket.Conn
	received chan string
}

func newServer(log func(what, format string, args ...any)) *server {
	return &server{log: log, addr: "127.0.0.1:0", peers: make(chan *peer, 16)}
}

// url is the address to which the name of the user is added.
func (s *server) url() string { return fmt.Sprintf("ws://%s/ws/", s.addr) }

func (s *server) start() error {
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.addr = listener.Addr().String()
	ctx, kill := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws/{user}", func(w http.ResponseWriter, r *http.Request) { s.serve(ctx, w, r) })
	s.http, s.kill = &http.Server{Handler: mux}, kill
	s.log("server", "up at %s", s.url())
	s.listen.Go(func() { s.http.Serve(listener) })
	return nil
}

// stop drops the listener and the connections without a word, as when the
// process is killed. It may be called on a server that is not up.
func (s *server) stop() {
	if s.http == nil {
		return
	}
	s.http.Close()
	s.kill()
	s.listen.Wait()
	s.http = nil
	s.log("server", "gone")
}

// accept returns the next client that has connected.
func (s *server) accept(ctx context.Context) (*peer, error) {
	select {
	case p := <-s.peers:
		return p, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve reads from one connection until it ends, or ctx does.
func (s *server) serve(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has told the client
	}
	defer conn.CloseNow()
	p := &peer{user: r.PathValue("user"), conn: conn, received: make(chan string, 16)}
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

// send sends a text message.
func (p *peer) send(ctx context.Context, text string) error {
	return p.conn.Write(ctx, websocket.MessageText, []byte(text))
}

// receive returns the next message that is not a heartbeat.
func (p *peer) receive(ctx context.Context) (string, error) {
	select {
	case text := <-p.received:
		return text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
