package envelope

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Decode stores content in what v points to, as json.Unmarshal does. A string that
// does not fit but holds JSON is decoded too.
func Decode(raw json.RawMessage, v any) error {
	err := json.Unmarshal(raw, v)
	var text string
	if err == nil || json.Unmarshal(raw, &text) != nil || !json.Valid([]byte(text)) {
		return err
	}
	return json.Unmarshal([]byte(text), v)
}

// DecodeAs is Decode for a type whose Decoder has been made. raw must be JSON, and
// valid UTF-8.
func DecodeAs[T any](d *Decoder, raw json.RawMessage) (v T, err error) {
	if d.decode(raw, reflect.ValueOf(&v).Elem()) {
		return v, nil
	}
	var again T // without what the decoder has left in v
	err = Decode(raw, &again)
	return again, err
}

// Decoder decodes values of one type. The result is always that of encoding/json. For
// plain types it comes from a decoder that is several times as fast, as content has
// been checked before. It leaves whatever is unusual to encoding/json: other types,
// errors, and keys that match in another case.
type Decoder struct {
	kind   reflect.Kind // Invalid: encoding/json does it
	bits   int          // of a number
	fields []fieldDecoder
	folded map[string]int // the fields by their folded names
}

type fieldDecoder struct {
	name  string
	index int
	*Decoder
}

// NewDecoder makes the Decoder of a type.
func NewDecoder(t reflect.Type) *Decoder {
	p := reflect.PointerTo(t)
	if t == reflect.TypeFor[json.Number]() ||
		p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return &Decoder{}
	}
	switch kind := t.Kind(); kind {
	case reflect.String, reflect.Bool:
		return &Decoder{kind: kind}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return &Decoder{kind: kind, bits: t.Bits()}
	case reflect.Struct:
		return newStructDecoder(t)
	}
	return &Decoder{}
}

func newStructDecoder(t reflect.Type) *Decoder {
	d := &Decoder{kind: reflect.Struct, folded: map[string]int{}}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if f.Anonymous {
			return &Decoder{} // its fields may be ours
		}
		if !f.IsExported() || tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		folded := strings.ToLower(name)
		if _, twice := d.folded[folded]; twice || strings.Contains(options, "string") || strings.Trim(name, plainNameBytes) != "" {
			return &Decoder{}
		}
		d.folded[folded] = len(d.fields)
		d.fields = append(d.fields, fieldDecoder{name, i, NewDecoder(f.Type)})
	}
	return d
}

// plainNameBytes are all that a name may have for encoding/json to take it as it is,
// whatever its version.
const plainNameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

// field finds a field by its name, which is most often the one at next. It returns
// unknown if encoding/json would find none, and asked if only that can tell: it takes a
// name in either case. The time does not depend on the number of fields, since a peer
// chooses how many keys are unknown.
func (d *Decoder) field(name []byte, next int) int {
	if next < len(d.fields) && d.fields[next].name == string(name) {
		return next
	}
	var b [64]byte
	folded := b[:0]
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			folded = append(folded, c|0x20)
		case c == '\\':
			return asked
		case c < utf8.RuneSelf:
			folded = append(folded, c)
		case bytes.HasPrefix(name[i:], []byte("ſ")): // U+017F, one of the two that are not ASCII and fold to what is
			folded, i = append(folded, 's'), i+1
		case bytes.HasPrefix(name[i:], []byte("\u212a")): // the sign of kelvin
			folded, i = append(folded, 'k'), i+2
		default:
			return unknown
		}
	}
	switch i, ok := d.folded[string(folded)]; {
	case !ok:
		return unknown
	case d.fields[i].name != string(name):
		return asked
	default:
		return i
	}
}

const (
	unknown = -1
	asked   = -2
)

// decode stores raw in v. It returns false, with anything in v, when
// encoding/json has to do it.
func (d *Decoder) decode(raw []byte, v reflect.Value) bool {
	if d.kind == reflect.Struct && raw[0] == '"' {
		raw = []byte(textOf(raw)) // which no struct fits, so it may hold JSON
		if s := (scanner{data: raw}); !s.document() {
			return false
		}
	}
	return d.value(&scanner{data: raw}, v)
}

// value stores the next value of s in v.
func (d *Decoder) value(s *scanner, v reflect.Value) bool {
	if d.kind == reflect.Struct {
		return d.object(s, v)
	}
	raw := s.value()
	if raw == nil {
		return false
	}
	if d.kind == reflect.Invalid {
		return json.Unmarshal(raw, v.Addr().Interface()) == nil
	}
	if string(raw) == "null" {
		return true // leaves v alone
	}
	switch d.kind {
	case reflect.String:
		if raw[0] != '"' {
			return false
		}
		v.SetString(textOf(raw))
	case reflect.Bool:
		v.SetBool(string(raw) == "true")
		return string(raw) == "true" || string(raw) == "false"
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(string(raw), d.bits)
		v.SetFloat(f)
		return err == nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(string(raw), 10, d.bits)
		v.SetInt(i)
		return err == nil
	default:
		u, err := strconv.ParseUint(string(raw), 10, d.bits)
		v.SetUint(u)
		return err == nil
	}
	return true
}

// object stores the next value of s in v, which is a struct.
func (d *Decoder) object(s *scanner, v reflect.Value) bool {
	if s.space() != '{' {
		return s.word("null")
	}
	s.pos++
	if s.token('}') {
		return true
	}
	for next := 0; ; {
		s.space()
		key := s.string()
		if key == nil || !s.token(':') {
			return false
		}
		name := key[1 : len(key)-1]
		switch i := d.field(name, next); {
		case i >= 0:
			if f := &d.fields[i]; !f.value(s, v.Field(f.index)) {
				return false
			}
			next = i + 1
		case i == asked || s.value() == nil:
			return false
		}
		if !s.token(',') {
			return s.token('}')
		}
	}
}
