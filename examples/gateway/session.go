package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
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

// session is what a resume needs besides the number of the last event, which
// the client keeps. The hook and the callbacks share it.
type session struct {
	client *wsnotify.Client
	mu     sync.Mutex
	id     string // empty: there is none
}

func (s *session) get() (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// begin is for a new session, whose events are numbered anew; "" for none.
func (s *session) begin(id string) {
	s.mu.Lock()
	s.id = id
	s.mu.Unlock()
}

func (s *session) beat() string {
	return fmt.Sprintf(`{"op":1,"d":%s}`, cmp.Or(s.client.Position(""), "null"))
}

// position is the number of an event.
func position(m wsnotify.Message) (stream, number string) {
	var p packet
	if json.Unmarshal(m.Data, &p) != nil || p.Op != 0 {
		return "", ""
	}
	return "", strconv.Itoa(p.Seq)
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
	id := s.get()
	if id == "" {
		s.client.SetPosition("", "") // another session numbers anew
		return h.SendMessage(ctx, `{"op":2,"d":{"token":"secret"}}`)
	}
	return h.SendMessage(ctx, fmt.Sprintf(`{"op":6,"d":{"token":"secret","session_id":%q,"seq":%s}}`, id, h.Position("")))
}

// handle deals with an event.
func (s *session) handle(p packet, out io.Writer) error {
	switch p.Type {
	case "READY":
		var ready struct {
			ID string `json:"session_id"`
		}
		if err := json.Unmarshal(p.Data, &ready); err != nil || ready.ID == "" {
			return errors.Join(errors.New("READY without a session"), err)
		}
		s.begin(ready.ID)
		fmt.Fprintln(out, "a new session,", ready.ID)
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
