// This file walks over a JSON text and says what its values are, as the store's
// JavaScript would: JSON.parse(data), then m.msgType && m.content.

package envelope

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Truthy reports whether JavaScript takes a value for true. An empty raw is undefined.
// Of numbers with more than 800 digits before an exponent, strconv may not tell it right.
func Truthy(raw []byte) bool {
	if !IsType(raw) {
		return false
	}
	if c := raw[0]; c == '-' || '0' <= c && c <= '9' {
		// 1e-400 is 0 in a double, and 1e999 is infinity, with an error of no interest.
		f, _ := strconv.ParseFloat(string(raw), 64)
		return f != 0
	}
	return true
}

// IsType reports whether a value can be the type of a notification where that need not
// be truthy: anything is but nothing, null, false and "". 0 is one, as many protocols
// number theirs.
func IsType(raw []byte) bool {
	switch string(raw) {
	case "", `""`, "null", "false":
		return false
	}
	return true
}

// StringText is what data says, if it is a JSON string and nothing else.
func StringText(data []byte) (text string, ok bool) {
	if s := (scanner{data: data}); s.string() == nil || s.pos != len(data) || !utf8.Valid(data) {
		return "", false
	}
	return textOf(data), true
}

// Text says what the values are: a string its text, any other value the JSON that
// stands in the message, and "" what is missing. The strings don't refer to the
// message. They share one allocation, so a kept type keeps its content alive.
func Text(rawType, rawContent []byte) (typ, content string) {
	var b strings.Builder
	b.Grow(len(rawType) + len(rawContent)) // the text is never longer than its JSON
	writeText(&b, rawType)
	n := b.Len()
	writeText(&b, rawContent)
	return b.String()[:n], b.String()[n:]
}

// textOf is what a JSON string says.
func textOf(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var b strings.Builder
	b.Grow(len(raw))
	writeText(&b, raw)
	return b.String()
}

// writeText writes what a string says, or any other value as it stands.
func writeText(b *strings.Builder, raw []byte) {
	if len(raw) == 0 || raw[0] != '"' {
		b.Write(raw)
		return
	}
	raw = raw[1 : len(raw)-1]
	for len(raw) > 0 {
		if raw[0] == '\\' {
			r, size := unescape(raw)
			b.WriteRune(r) // U+FFFD for half a surrogate pair, which UTF-8 can't hold
			raw = raw[size:]
			continue
		}
		plain := bytes.IndexByte(raw, '\\')
		if plain < 0 {
			plain = len(raw)
		}
		b.Write(raw[:plain])
		raw = raw[plain:]
	}
}

// scanner walks over a JSON text (RFC 8259). Each method passes over what it
// is named after. It returns false or nil if that is not what is there.
type scanner struct {
	data   []byte
	fields *Fields // that are looked for; nil: none
	valid  bool    // data is known to be JSON
	pos    int
	depth  int // of arrays and objects around pos

	typ, content []byte // JSON of the outermost object's members, of the last if there are several
}

// maxScanDepth keeps hostile nesting from growing the stack.
const maxScanDepth = 64

func (s *scanner) document() bool {
	if s.value() == nil {
		return false
	}
	s.space()
	return s.pos == len(s.data)
}

func (s *scanner) value() (raw []byte) {
	c := s.space()
	start, ok := s.pos, false
	switch c {
	case '{':
		ok = s.members('}')
	case '[':
		ok = s.members(']')
	case '"':
		return s.string()
	case 't':
		ok = s.word("true")
	case 'f':
		ok = s.word("false")
	case 'n':
		ok = s.word("null")
	default:
		ok = s.number()
	}
	if !ok {
		return nil
	}
	return s.data[start:s.pos]
}

// members passes over an array or an object, from its opening bracket to the closing one.
func (s *scanner) members(closing byte) bool {
	if s.valid && s.depth > 0 {
		return s.skip()
	}
	s.pos++
	if s.token(closing) {
		return true
	}
	if s.depth++; s.depth > maxScanDepth {
		return false
	}
	for {
		var key []byte
		if closing == '}' {
			s.space()
			if key = s.string(); key == nil || !s.token(':') {
				return false
			}
		}
		value := s.value()
		if value == nil {
			return false
		}
		if s.depth == 1 && key != nil && s.fields != nil {
			if s.fields.typ.is(key) {
				s.typ = value
			}
			if s.fields.content.is(key) {
				s.content = value
			}
		}
		if !s.token(',') {
			s.depth--
			return s.token(closing)
		}
	}
}

// skip passes over an array or an object that is known to be one, however deep it is.
func (s *scanner) skip() bool {
	for nested := 0; ; {
		switch s.data[s.pos] {
		case '"':
			s.string()
			continue
		case '{', '[':
			nested++
		case '}', ']':
			nested--
		}
		s.pos++
		if nested == 0 {
			return true
		}
	}
}

func (s *scanner) string() (raw []byte) {
	start := s.pos
	if !s.byte('"') {
		return nil
	}
	for {
		s.pos += plainLen(s.data[s.pos:])
		if s.byte('"') {
			return s.data[start:s.pos]
		}
		if s.pos == len(s.data) || s.data[s.pos] != '\\' {
			return nil
		}
		_, size := unescape(s.data[s.pos:])
		if size == 0 {
			return nil
		}
		s.pos += size
	}
}

// plainLen counts the bytes before the first quote, backslash or control character.
//
// It takes eight at a time, as most of a message is in its strings. Each subtraction
// raises the high bit of the bytes that it looks for. It leaves high bits in others too:
// by a borrow, but only after a right one, and in bytes above 0x7f, which ^w takes out.
func plainLen(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		found := (w - ' '*ones) | (w ^ '"'*ones - ones) | (w ^ '\\'*ones - ones)
		if found &= ^w & highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

func (s *scanner) number() bool {
	s.byte('-')
	ok := s.byte('0') || s.digits()
	if s.pos < len(s.data) && s.data[s.pos] != '.' && s.data[s.pos]|0x20 != 'e' { // as most are
		return ok
	}
	if ok && s.byte('.') {
		ok = s.digits()
	}
	if ok && (s.byte('e') || s.byte('E')) {
		_ = s.byte('+') || s.byte('-')
		ok = s.digits()
	}
	return ok
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos > start
}

func (s *scanner) word(w string) bool {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(w)) {
		return false
	}
	s.pos += len(w)
	return true
}

func (s *scanner) byte(c byte) bool {
	if s.pos == len(s.data) || s.data[s.pos] != c {
		return false
	}
	s.pos++
	return true
}

// token is byte after white space.
func (s *scanner) token(c byte) bool {
	s.space()
	return s.byte(c)
}

// space also returns the byte that follows; at the end 0, which no token starts with.
func (s *scanner) space() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// unescape decodes the escape sequence at the start of b, or both of a surrogate
// pair. Size 0 means that there is none.
func unescape(b []byte) (r rune, size int) {
	if r = codeUnit(b); r >= 0 {
		if utf16.IsSurrogate(r) {
			if pair := utf16.DecodeRune(r, codeUnit(b[6:])); pair != utf8.RuneError {
				return pair, 12
			}
		}
		return r, 6
	}
	if len(b) >= 2 {
		if i := strings.IndexByte(`"\/bfnrt`, b[1]); i >= 0 {
			return rune("\"\\/\b\f\n\r\t"[i]), 2
		}
	}
	return 0, 0
}

// codeUnit decodes the \uHHHH at the start of b, or returns -1.
func codeUnit(b []byte) (r rune) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	for _, c := range b[2:6] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20-'a' <= 5: // 0x20 makes a letter lower case
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
