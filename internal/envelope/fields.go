package envelope

import (
	"bytes"
	"encoding/binary"
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
	if s.space() != '{' || !s.document() && s.again() != nil {
		return nil, false
	}
	return idOf(s.typ)
}

// idOf is the id that a value says, which is nil for one that is missing.
func idOf(raw []byte) (id []byte, ok bool) {
	if raw == nil {
		return nil, false
	}
	switch c := raw[0]; {
	case c == '"' && bytes.IndexByte(raw, '\\') < 0:
		return raw[1 : len(raw)-1], true
	case c == '"':
		return []byte(textOf(raw)), true
	case c == '-' || '0' <= c && c <= '9':
		return raw, true
	}
	return nil, false
}

// Scan is Find where it does not matter whether an id is "" or missing, nor that a
// message is JSON throughout: what is not may have an id here, too. It looks for the
// key, and then for brackets around it, and takes a third of the time of Find.
func (f *IDField) Scan(data []byte) (id []byte) {
	name := &f.fields.typ
	if id := name.last(data); id != nil {
		return id
	}
	if name.apart && bytes.IndexByte(data, '\\') < 0 { // which could spell the key, and a quote in a string
		key, value, keys := name.find(data)
		if keys == 0 {
			return nil
		}
		s := scanner{data: data, pos: value}
		if id, ok := idOf(s.value()); ok && keys == 1 && isOutermost(data[:key], data[s.pos:]) {
			return id
		}
	}
	id, _ = f.Find(data)
	return id
}

// last returns the number of the last member, if that is of this name and is a plain
// one. What is before it does not matter: of several the last one counts.
func (n *name) last(data []byte) []byte {
	end := len(data) - 1
	if end < 0 || data[end] != '}' || n.key == nil {
		return nil
	}
	start := end
	for start > 0 && data[start-1]-'0' <= 9 {
		start--
	}
	colon := start - 1
	key := colon - len(n.key)
	if start == end || key < 1 || data[colon] != ':' || data[key-1] == '\\' || string(data[key:colon]) != n.quoted {
		return nil
	}
	return data[start:end]
}

// find returns where the last key of this name stands in data that has no backslash,
// where its value begins, and how many there are.
func (n *name) find(data []byte) (key, value, keys int) {
	for i := n.rare; i < len(data); i++ {
		next := bytes.IndexByte(data[i:], n.key[n.rare])
		if next < 0 {
			break
		}
		i += next
		start := i - n.rare
		if !bytes.HasPrefix(data[start:], n.key) {
			continue
		}
		s := scanner{data: data, pos: start + len(n.key)}
		if s.token(':') { // else it is a value
			key, value = start, s.pos
			keys++
		}
	}
	return key, value, keys
}

// isOutermost reports whether a member without a backslash before it, and with this
// before and behind it, is one of an object which is in nothing else. Mostly nothing
// is nested on one side.
func isOutermost(before, behind []byte) bool {
	first := scanner{data: before}
	last := len(behind) - 1
	for last >= 0 && behind[last] <= ' ' {
		last--
	}
	if first.space() != '{' || last < 0 || behind[last] != '}' {
		return false
	}
	before, behind = before[first.pos+1:], behind[:last]
	near, far := before, behind
	if len(behind) < len(before) {
		near, far = behind, before
	}
	return !hasBracket(near) || !hasBracket(far) || depth(before) == 0
}

// hasBracket looks at eight bytes at a time, as plainLen does. To set the bit 0x20
// makes braces of all brackets.
func hasBracket(text []byte) bool {
	const ones, highs, bit = 0x0101010101010101, 0x8080808080808080, ' ' * 0x0101010101010101
	for ; len(text) >= 8; text = text[8:] {
		w := binary.LittleEndian.Uint64(text) | bit
		left, right := w^'{'*ones, w^'}'*ones
		if ((left-ones)&^left|(right-ones)&^right)&highs != 0 {
			return true
		}
	}
	for _, c := range text {
		if c |= ' '; c == '{' || c == '}' {
			return true
		}
	}
	return false
}

// depth is that of what follows on text, which has no backslash.
func depth(text []byte) (depth int) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			end := bytes.IndexByte(text[i+1:], '"')
			if end < 0 {
				return -1
			}
			i += end + 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
	}
	return depth
}

// name is the name of a member, prepared to be compared with keys as they stand.
type name struct {
	text    string
	quoted  string // text as a key, if that needs no escape sequence
	key     []byte // quoted
	rare    int    // index in key of what is rare in messages
	apart   bool   // there is a key, and it can't be what stands between two strings: the end of one and the beginning of the next
	longest int    // length of a key that has none
}

// none is the name that no member has.
var none = name{longest: math.MaxInt}

func newName(text string) name {
	n := name{text: text, longest: len(text) + 2}
	if strings.IndexByte(text, '\\') < 0 {
		n.quoted = `"` + text + `"`
		n.key = []byte(n.quoted)
		n.rare = rarest(n.quoted)
		n.apart = !strings.ContainsAny(text, ",:")
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

// rarest returns the index of the byte of a key that is probably the rarest in
// messages: the fewer there are, the faster find is.
func rarest(key string) int {
	const common = "qzjxkvbywgpfmucdlhrsnioate_-0123456789\""
	best, least := 0, len(common)
	for i := range len(key) {
		if at := strings.IndexByte(common, key[i]); at < least {
			best, least = i, at
		}
	}
	return best
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
