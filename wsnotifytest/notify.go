package wsnotifytest

import (
	"encoding/json"
	"fmt"
)

// Envelope names the fields in which Notify and SayNotification put what they send, for a client
// with the same wsnotify.Envelope: Envelope("type", "payload") makes it {"type":…,"payload":…}. An
// empty name means the usual one. With "." for content, the type becomes a field of the content,
// which has to be an object.
func (s *Server) Envelope(typ, content string) {
	s.behave(func(b *behaviour) { b.envelope = [2]string{typ, content} })
}

// notification is the message for Notify.
func (s *Server) notification(msgType string, content any) ([]byte, error) {
	s.mu.Lock()
	names := s.envelope
	s.mu.Unlock()
	for i, usual := range []string{"msgType", "content"} {
		if names[i] == "" {
			names[i] = usual
		}
	}
	b, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	head := fmt.Appendf(nil, "{%s:%s", quoted(names[0]), quoted(msgType))
	switch {
	case names[1] != ".":
		return fmt.Appendf(head, ",%s:%s}", quoted(names[1]), b), nil
	case string(b) == "{}":
		return append(head, '}'), nil
	case b[0] != '{':
		return nil, fmt.Errorf("wsnotifytest: a content that is the whole message must be an object, not %s", b)
	}
	return append(append(head, ','), b[1:]...), nil
}

// quoted is the JSON of a text, which every string has.
func quoted(text string) []byte {
	b, _ := json.Marshal(text)
	return b
}

// Notify sends {"msgType":…,"content":…} to the live connections of user, or what Envelope made of
// that. It returns ErrNoConn if
// there is none, and waits for capacity if a client does not read.
func (s *Server) Notify(user, msgType string, content any) error {
	return s.User(user).Notify(msgType, content)
}

// SendText sends a text message to the live connections of user; see Notify.
func (s *Server) SendText(user, text string) error { return s.User(user).SendText(text) }

// SendBinary sends a binary message to the live connections of user; see Notify.
func (s *Server) SendBinary(user string, b []byte) error { return s.User(user).SendBinary(b) }

// Broadcast sends a text message to all live connections. Those that end meanwhile miss it.
// Everybody has the other kinds of messages.
func (s *Server) Broadcast(text string) { _ = s.Everybody().SendText(text) }
