package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// server counts measurements. It writes each id to a file before it confirms
// it, and drops those that are there: so each counts once, although it may come
// twice, and although the server may be killed as well.
type server struct {
	mu      sync.Mutex
	seen    map[string]bool
	journal *os.File
	conn    *websocket.Conn // the latest
}

// serve serves on addr until the process is killed, and says on which address.
// A line on its standard input has it lose the connection.
func serve(addr, path string) error {
	ids, err := readJournal(path)
	if err != nil {
		return err
	}
	s := &server{seen: map[string]bool{}}
	for _, id := range ids {
		s.seen[id] = true
	}
	if s.journal, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			s.mu.Lock()
			if s.conn != nil {
				s.conn.CloseNow()
			}
			s.mu.Unlock()
		}
	}()
	return http.Serve(listener, s)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has told the client
	}
	defer conn.CloseNow()
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	ctx := context.Background()
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		answer := "pong"
		if string(data) != "ping" { // the heartbeat
			var reading measurement
			if json.Unmarshal(data, &reading) != nil {
				return
			}
			if err := s.count(reading.ID); err != nil {
				fmt.Fprintln(os.Stderr, "server:", err)
				return
			}
			answer = fmt.Sprintf(`{"msgType":"confirmed","content":%q}`, reading.ID)
		}
		if conn.Write(ctx, websocket.MessageText, []byte(answer)) != nil {
			return
		}
	}
}

// count returns when the id is on the disk. Only then may it be confirmed.
func (s *server) count(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[id] {
		return nil
	}
	if _, err := s.journal.WriteString(id + "\n"); err != nil {
		return err
	}
	if err := s.journal.Sync(); err != nil {
		return err
	}
	s.seen[id] = true
	return nil
}

func readJournal(path string) (ids []string, err error) {
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return strings.Fields(string(data)), nil
}
