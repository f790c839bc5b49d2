// This file decodes content for the handlers of On. The result is always that of
// encoding/json. For plain types it comes from a decoder that is several times as
// fast, as content has been checked before. It leaves whatever is unusual to
// encoding/json: other types, errors, and keys that match in another case.

package wsnotify

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decodeContent stores content in what v points to. A string that does not fit
// but holds JSON is decoded too.
func decodeContent(raw json.RawMessage, v any) error {
	err := json.Unmarshal(raw, v)
	if err == nil || len(raw) == 0 || raw[0] != '"' {
		return err
	}
	var text string
	if json.Unmarshal(raw, &text) != nil || !json.Valid([]byte(text)) {
		return err
	}
	return json.Unmarshal([]byte(text), v)
}

// decodeAs is decodeContent for a type whose decoder has been made. raw must be
// JSON, and valid UTF-8.
func decodeAs[T any](d *decoder, raw json.RawMessage) (v T, err error) {
	if d.decode(raw, reflect.ValueOf(&v).Elem()) {
		return v, nil
	}
	var again T // without what the decoder has left in v
	err = decodeContent(raw, &again)
	return again, err
}

// decoder decodes values of one type.
type decoder struct {
	kind   reflect.Kind // Invalid: encoding/json does it
	bits   int          // of a number
	fields []fieldDecoder
}

type fieldDecoder struct {
	name  string
	index int
	*decoder
}

func newDecoder(t reflect.Type) *decoder {
	p := reflect.PointerTo(t)
	if t == reflect.TypeFor[json.Number]() ||
		p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return &decoder{}
	}
	switch kind := t.Kind(); kind {
	case reflect.String, reflect.Bool:
		return &decoder{kind: kind}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return &decoder{kind: kind, bits: t.Bits()}
	case reflect.Struct:
		return newStructDecoder(t)
	}
	return &decoder{}
}

func newStructDecoder(t reflect.Type) *decoder {
	d := &decoder{kind: reflect.Struct}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if f.Anonymous {
			return &decoder{} // its fields may be ours
		}
		if !f.IsExported() || tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		if strings.Contains(options, "string") || strings.Trim(name, plainNameBytes) != "" || d.field([]byte(name), 0) >= 0 {
			return &decoder{}
		}
		d.fields = append(d.fields, fieldDecoder{name, i, newDecoder(f.Type)})
	}
	return d
}

// plainNameBytes are all that a name may have for encoding/json to take it as it is,
// whatever its version.
const plainNameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

// field finds a field by its name, which is most often the one at next; -1 if there is none.
func (d *decoder) field(name []byte, next int) int {
	if next < len(d.fields) && d.fields[next].name == string(name) {
		return next
	}
	for i := range d.fields {
		if d.fields[i].name == string(name) {
			return i
		}
	}
	return -1
}

// foldsTo reports whether encoding/json could take name for a field's, which
// it does in either case.
func (d *decoder) foldsTo(name []byte) bool {
	text := string(name)
	return slices.ContainsFunc(d.fields, func(f fieldDecoder) bool { return strings.EqualFold(f.name, text) })
}

// decode stores raw in v. It returns false, with anything in v, when
// encoding/json has to do it.
func (d *decoder) decode(raw []byte, v reflect.Value) bool {
	if d.kind == reflect.Struct && raw[0] == '"' {
		raw = []byte(jsonText(raw)) // which no struct fits, so it may hold JSON
		if s := (envelopeScanner{data: raw}); !s.document() {
			return false
		}
	}
	return d.value(&envelopeScanner{data: raw}, v)
}

// value stores the next value of s in v.
func (d *decoder) value(s *envelopeScanner, v reflect.Value) bool {
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
		v.SetString(jsonText(raw))
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
func (d *decoder) object(s *envelopeScanner, v reflect.Value) bool {
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
		case d.foldsTo(name) || bytes.IndexByte(name, '\\') >= 0 || s.value() == nil:
			return false
		}
		if !s.token(',') {
			return s.token('}')
		}
	}
}
