package envelope

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Whole is the name of a content that is the whole message.
const Whole = "."

// Fields are the two members of a message's outermost object that make it a
// notification. They never change, so that any goroutine may use them.
type Fields struct {
	typ, content name
	whole        bool // content is the whole message
}

// NewFields makes the Fields of two names, which must be UTF-8. Both may be the
// same, content may be Whole, and "" is a name like any other.
func NewFields(typ, content string) *Fields {
	if content == Whole {
		return &Fields{typ: newName(typ), content: none, whole: true}
	}
	return &Fields{typ: newName(typ), content: newName(content)}
}

// Find returns the JSON of both values as it stands in a text message, without
// copying it: nil for one that is missing, the last one of several.
//
// The error is a *json.SyntaxError, for what is not JSON, and for more than 10000
// levels of nesting, where JSON.parse has no limit. data must be valid UTF-8.
func (f *Fields) Find(data []byte) (typ, content []byte, err error) {
	s := scanner{data: data, fields: f}
	if !s.document() {
		if err := s.again(); err != nil {
			return nil, nil, err
		}
	}
	if f.whole {
		return s.typ, data, nil
	}
	return s.typ, s.content, nil
}

// again is for what document has refused. encoding/json says what is wrong and where;
// what it takes was nested too deep for document, and only its outermost object is
// walked over now.
func (s *scanner) again() error {
	if err := json.Unmarshal(s.data, new(json.RawMessage)); err != nil {
		return err
	}
	*s = scanner{data: s.data, fields: s.fields, valid: true}
	s.document()
	return nil
}

// IDField is the member of a message's outermost object that says which request
// the message answers.
type IDField struct{ fields Fields }

// NewIDField makes the IDField of a name, which must be UTF-8.
func NewIDField(name string) *IDField {
	return &IDField{Fields{typ: newName(name), content: none}}
}

// Find returns the id of a message: what a string says, or a number as it stands.
// It is not ok for any other value, without the field, and for what is no JSON
// object. Of several the last one counts. data must be valid UTF-8.
func (f *IDField) Find(data []byte) (id []byte, ok bool) {
	s := scanner{data: data, fields: &f.fields}
	if s.space() != '{' || !s.document() && s.again() != nil || s.typ == nil {
		return nil, false
	}
	switch c := s.typ[0]; {
	case c == '"' && bytes.IndexByte(s.typ, '\\') < 0:
		return s.typ[1 : len(s.typ)-1], true
	case c == '"':
		return []byte(textOf(s.typ)), true
	case c == '-' || '0' <= c && c <= '9':
		return s.typ, true
	}
	return nil, false
}

// Scan is Find where it does not matter that a message is JSON throughout: what is
// not may have an id here, too. It looks at little more than what is before the
// field, and takes a third of the time of Find.
func (f *IDField) Scan(data []byte) (id []byte, ok bool) {
	key := f.fields.typ.key
	if key == nil || bytes.IndexByte(data, '\\') >= 0 { // which could spell the key, and a quote in a string
		return f.Find(data)
	}
	i, ok := onlyKey(data, key)
	if i < 0 && ok {
		return nil, false
	}
	if !ok || !isOutermost(data[:i]) {
		return f.Find(data)
	}
	s := scanner{data: data, pos: i + len(key) + 1}
	switch c := s.space(); {
	case c == '"':
		if end := bytes.IndexByte(data[s.pos+1:], '"'); end >= 0 {
			return data[s.pos+1:][:end], true
		}
	case c == '-' || '0' <= c && c <= '9':
		if start := s.pos; s.number() {
			return data[start:s.pos], true
		}
	}
	return nil, false
}

// onlyKey returns where key stands with a colon behind it; -1 if it does not. It is
// not ok if that is not certain, or key stands there more than once. There are
// fewer colons than quotes, so that it is faster than to look for the key.
func onlyKey(data, key []byte) (at int, ok bool) {
	at = -1
	for i := 0; ; i++ {
		next := bytes.IndexByte(data[i:], ':')
		if next < 0 {
			return at, true
		}
		i += next
		start := i - len(key)
		switch {
		case i > 0 && data[i-1] <= ' ': // the key may be before the space
			return 0, false
		case start < 0 || data[i-1] != '"' || string(data[start:i]) != string(key):
		case at >= 0:
			return 0, false
		default:
			at = start
		}
	}
}

// isOutermost reports whether what follows on text is in an object that is in
// nothing else, and in no string. There is no backslash in text.
func isOutermost(text []byte) bool {
	// Mostly nothing is nested before the field. To count a byte is faster than to
	// go from string to string.
	if len(text) > 0 && text[0] == '{' && bytes.IndexByte(text[1:], '{') < 0 && bytes.IndexByte(text, '}') < 0 &&
		bytes.IndexByte(text, '[') < 0 && bytes.IndexByte(text, ']') < 0 {
		return bytes.Count(text, quote)%2 == 0
	}
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			end := bytes.IndexByte(text[i+1:], '"')
			if end < 0 {
				return false
			}
			i += end + 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
	}
	return depth == 1 && bytes.TrimLeft(text, " \t\r\n")[0] == '{'
}

var quote = []byte{'"'}

// name is the name of a member, prepared to be compared with keys as they stand.
type name struct {
	text    string
	quoted  string // text as a key, if that needs no escape sequence
	key     []byte // quoted, for bytes.Index; nil if there is none
	longest int    // length of a key that has none
}

// none is the name that no member has.
var none = name{longest: math.MaxInt}

func newName(text string) name {
	n := name{text: text, longest: len(text) + 2}
	if strings.IndexByte(text, '\\') < 0 {
		n.quoted = `"` + text + `"`
		n.key = []byte(n.quoted)
	}
	return n
}

// is reports whether key, quotes and all, spells the name. Any character of it may be
// written as an escape sequence, and is longer then.
func (n *name) is(key []byte) bool {
	if len(key) <= n.longest {
		return string(key) == n.quoted
	}
	return n.isEscaped(key[1 : len(key)-1])
}

func (n *name) isEscaped(key []byte) bool {
	text := n.text
	for len(key) > 0 {
		if key[0] != '\\' {
			if text == "" || key[0] != text[0] {
				return false
			}
			key, text = key[1:], text[1:]
			continue
		}
		r, size := unescape(key)
		var char [utf8.UTFMax]byte
		n := utf8.EncodeRune(char[:], r)
		// No name in UTF-8 has half a surrogate pair, U+FFFD is not one.
		if utf16.IsSurrogate(r) || !strings.HasPrefix(text, string(char[:n])) {
			return false
		}
		key, text = key[size:], text[n:]
	}
	return text == ""
}
