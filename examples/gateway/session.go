package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/wsnotify/wsnotify"
)

// packet is what goes both ways. Op says what it is: 0 an event, 1 a beat, 2
// identify, 6 resume, 9 the session is gone, 10 hello, 11 a beat has come.
type packet struct {
	Op   int             `json:"op"`
	Type string          `json:"t,omitempty"`
	Seq  int             `json:"s,omitempty"`
	Data json.RawMessage `json:"d"`
}

// session is what a resume needs. The hook and the callbacks share it.
type session struct {
	mu  sync.Mutex
	id  string // empty: there is none
	seq int    // of the last event that was handled
}

func (s *session) position() (id string, seq int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id, s.seq
}

func (s *session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.seq = "", 0
}

func (s *session) beat() string {
	_, seq := s.position()
	return fmt.Sprintf(`{"op":1,"d":%d}`, seq)
}

// handshake reads the hello, and begins a session or resumes the one there is.

func (s *session) handshake(ctx context.Context, h *wsnotify.Handshake) error {
	msg, err := h.Receive(ctx)
	if err != nil {
		return err
	}
	var hello struct {
		Op   int `json:"op"`
		Data struct {
			Interval int64 `json:"heartbeat_interval"` // in ms
		} `json:"d"`
	}
	if err := json.Unmarshal(msg.Data, &hello); err != nil || hello.Op != 10 || hello.Data.Interval <= 0 {
		return fmt.Errorf("expected a hello, got %s", msg.Data)
	}
	h.SetHeartbeat(time.Duration(hello.Data.Interval) * time.Millisecond)
	id, seq := s.position()
	if id == "" {
		return h.SendMessage(ctx, `{"op":2,"d":{"token":"secret"}}`)
	}
	return h.SendMessage(ctx, fmt.Sprintf(`{"op":6,"d":{"token":"secret","session_id":%q,"seq":%d}}`, id, seq))
}

// handle deals with an event, unless it has come before: while a callback is
// busy with event 7, the next connection resumes after 6.
func (s *session) handle(p packet, out io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Op != 0 || p.Seq <= s.seq && p.Type != "READY" {
		return nil
	}
	s.seq = p.Seq
	switch p.Type {
	case "READY":
		var ready struct {
			ID string `json:"session_id"`
		}
		if err := json.Unmarshal(p.Data, &ready); err != nil || ready.ID == "" {
			return errors.Join(errors.New("READY without a session"), err)
		}
		s.id = ready.ID
		fmt.Fprintln(out, "a new session,", s.id)
	case "RESUMED":
	case "MESSAGE":
		var m struct{ From, Text string }
		if err := json.Unmarshal(p.Data, &m); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s\n", m.From, m.Text)
	}
	return nil
}
