package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// server counts measurements. It writes each id to a file before it confirms
// it, and drops those that are there: so each counts once, although it may come
// twice, and although the server may be killed as well. Its commands are in a
// file, too, before they are sent. Each line is one, and has the number of the
// line: so whoever connects again gets what is behind the last one that it had.
type server struct {
	mu       sync.Mutex
	seen     map[string]bool
	journal  *os.File
	commands []string
	book     *os.File        // of the commands
	more     chan struct{}   // closed when there is another command
	conn     *websocket.Conn // the latest
}

// serve serves on addr until the process is killed, and says on which address.
// The line "drop" on its standard input has it lose the connection, and any other one
// is the id of a measurement that it commands; it repeats that once it is kept.
func serve(addr, path string) error {
	ids, err := readJournal(path)
	if err != nil {
		return err
	}
	s := &server{seen: map[string]bool{}, more: make(chan struct{})}
	for _, id := range ids {
		s.seen[id] = true
	}
	if s.journal, err = openJournal(path); err != nil {
		return err
	}
	if s.commands, err = readJournal(path + ".commands"); err != nil {
		return err
	}
	if s.book, err = openJournal(path + ".commands"); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if lines.Text() == "drop" {
				s.drop()
			} else if err := s.command(lines.Text()); err != nil {
				fmt.Fprintln(os.Stderr, "server:", err)
			} else {
				fmt.Println(lines.Text())
			}
		}
	}()
	return http.Serve(listener, s)
}

func (s *server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.CloseNow()
	}
}

// command returns when a command is on the disk. Only then may it be sent.
func (s *server) command(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := write(s.book, id); err != nil {
		return err
	}
	s.commands = append(s.commands, id)
	close(s.more)
	s.more = make(chan struct{})
	return nil
}

// sendCommands sends those behind number after, and further ones, until ctx ends.
func (s *server) sendCommands(ctx context.Context, conn *websocket.Conn, after int) {
	for {
		s.mu.Lock()
		commands, more := s.commands[min(after, len(s.commands)):], s.more
		s.mu.Unlock()
		for _, id := range commands {
			after++
			message := fmt.Sprintf(`{"seq":%d,"msgType":"measure","content":%q}`, after, id)
			if conn.Write(ctx, websocket.MessageText, []byte(message)) != nil {
				return // the connection is over
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	after := 0
	if at := r.URL.Query().Get("after"); at != "" {
		var err error
		if after, err = strconv.Atoi(at); err != nil || after < 0 {
			http.Error(w, "after is not the number of a command", http.StatusBadRequest)
			return
		}
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has told the client
	}
	defer conn.CloseNow()
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go s.sendCommands(ctx, conn, after)
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
	if err := write(s.journal, id); err != nil {
		return err
	}
	s.seen[id] = true
	return nil
}

func openJournal(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
}

// write returns when the line is on the disk.
func write(journal *os.File, line string) error {
	if _, err := journal.WriteString(line + "\n"); err != nil {
		return err
	}
	return journal.Sync()
}

func readJournal(path string) (ids []string, err error) {
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return strings.Fields(string(data)), nil
}
