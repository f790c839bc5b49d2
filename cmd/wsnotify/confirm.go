package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/envelope"
)

// fieldPath is where an id stands in JSON: the names of nested fields, with
// dots between them.
type fieldPath []string

// parsePath takes "id", ".id" and "meta.id"; "" is none.
func parsePath(flag, text string) (fieldPath, error) {
	if text == "" {
		return nil, nil
	}
	path := strings.Split(strings.TrimPrefix(text, "."), ".")
	for _, name := range path {
		if name == "" {
			return nil, usage("%s %s: expected the name of a field, such as id or meta.id", flag, text)
		}
	}
	return path, nil
}

// raw returns the JSON that stands there; nil if nothing does. It allocates nothing of the size of a
// message, which may be large and somebody else's.
func (p fieldPath) raw(data []byte) []byte {
	if !utf8.Valid(data) {
		return nil
	}
	for _, name := range p {
		var err error
		if data, _, err = envelope.NewFields(name, envelope.Whole).Find(data); err != nil || data == nil {
			return nil
		}
	}
	return data
}

// in returns the text or the number that stands there in a message; "" if
// there is none.
func (p fieldPath) in(data []byte) string {
	raw := p.raw(data)
	var text string
	switch {
	case len(raw) == 0:
	case raw[0] == '"':
		json.Unmarshal(raw, &text)
	case raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9':
		text = string(raw) // as it stands there
	}
	return text
}

// answer is a message with nothing but the id of another one, as it stands
// there; nil if that has none.
func (p fieldPath) answer(data []byte) []byte {
	if p.in(data) == "" {
		return nil
	}
	var b bytes.Buffer
	for _, name := range p {
		key, _ := json.Marshal(name)
		b.WriteByte('{')
		b.Write(key)
		b.WriteByte(':')
	}
	b.Write(p.raw(data))
	b.WriteString(strings.Repeat("}", len(p)))
	return b.Bytes()
}

// confirmed has g keep each message until the server confirms it with a
// message in which the same id stands at the same place.
func (g *outgoing) confirmed(cfg *wsnotify.Config, path fieldPath) {
	g.ids = path
	cfg.Outbox.ConfirmID = func(m wsnotify.Message) string { return path.in(m.Data) }
	cfg.OnMessage = func(m wsnotify.Message) {
		if id := path.in(m.Data); id != "" {
			g.client.Confirm(id)
		}
	}
}
