package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/wsnotify/wsnotify"
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

// in returns the text or the number that stands there in a message; "" if
// there is none.
func (p fieldPath) in(data []byte) string {
	for _, name := range p {
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) != nil {
			return ""
		}
		data = object[name]
	}
	var text string
	var number json.Number
	switch {
	case json.Unmarshal(data, &text) == nil:
		return text
	case json.Unmarshal(data, &number) == nil: // as it stands there
		return number.String()
	}
	return ""
}

// answer is a message with nothing but the id of another one, as it stands
// there; nil if that has none.
func (p fieldPath) answer(data []byte) []byte {
	if p.in(data) == "" {
		return nil
	}
	var id json.RawMessage = data
	for _, name := range p {
		var object map[string]json.RawMessage
		if json.Unmarshal(id, &object) != nil {
			return nil
		}
		id = object[name]
	}
	var b bytes.Buffer
	for _, name := range p {
		key, _ := json.Marshal(name)
		b.WriteByte('{')
		b.Write(key)
		b.WriteByte(':')
	}
	b.Write(id)
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
