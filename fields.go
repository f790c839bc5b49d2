package wsnotify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"
	"unicode"

	"github.com/wsnotify/wsnotify/internal/handshake"
)

// Events, failures and Status in structured logs and in JSON: the same fields
// in both, whatever the slog.Handler. States are names, durations and errors are
// texts, addresses are redacted, and what a peer had a hand in is escaped as
// where it is printed. Headers, which may hold cookies, and the subprotocol, which may
// be a token, are left out.

// LogValue returns from, to, epoch and cause.
func (s StateChange) LogValue() slog.Value { return fieldsOf(s).group() }

// MarshalJSON returns an object with the fields of LogValue.
func (s StateChange) MarshalJSON() ([]byte, error) { return fieldsOf(s).object() }

// LogValue returns epoch, attempt, url, which is redacted, and compression, if
// there is any.
func (e OpenEvent) LogValue() slog.Value { return e.fields().group() }

// MarshalJSON returns an object with the fields of LogValue.
func (e OpenEvent) MarshalJSON() ([]byte, error) {
	return e.fields().object()
}

func (e OpenEvent) fields() fields {
	none := []string{"Header", "Subprotocol"}
	if e.Compression == (CompressionAgreement{}) {
		none = append(none, "Compression")
	}
	return fieldsOf(e, none...)
}

// LogValue returns epoch, code, reason, wasClean, willReconnect and the fields
// of failure.
func (e CloseEvent) LogValue() slog.Value { return fieldsOf(e.shown()).group() }

// MarshalJSON returns an object with the fields of LogValue.
func (e CloseEvent) MarshalJSON() ([]byte, error) { return fieldsOf(e.shown()).object() }

// LogValue returns attempt, delay and the fields of failure.
func (e ReconnectEvent) LogValue() slog.Value { return fieldsOf(e).group() }

// MarshalJSON returns an object with the fields of LogValue.
func (e ReconnectEvent) MarshalJSON() ([]byte, error) { return fieldsOf(e).object() }

// LogValue returns attempts and the fields of failure.
func (e *GiveUpError) LogValue() slog.Value {
	if e == nil {
		return slog.AnyValue(nil)
	}
	return fieldsOf(*e).group()
}

// MarshalJSON returns an object with the fields of LogValue.
func (e *GiveUpError) MarshalJSON() ([]byte, error) { return fieldsOf(*e).object() }

// LogValue returns stream, if that has a name, after, next and epoch.
func (g Gap) LogValue() slog.Value { return fieldsOf(g).group() }

// MarshalJSON returns an object with the fields of LogValue.
func (g Gap) MarshalJSON() ([]byte, error) { return fieldsOf(g).object() }

// LogValue returns key, state, since and error, if there is one.
func (s SubscriptionStatus) LogValue() slog.Value { return fieldsOf(s).group() }

// MarshalJSON returns an object with the fields of LogValue.
func (s SubscriptionStatus) MarshalJSON() ([]byte, error) { return fieldsOf(s).object() }

// LogValue returns phase, initiator, error and, where there are any, code,
// reason, httpStatus, retryAfter and uptime.
func (f Failure) LogValue() slog.Value { return f.fields().group() }

// MarshalJSON returns an object with the fields of LogValue.
func (f Failure) MarshalJSON() ([]byte, error) { return f.fields().object() }

func (f Failure) fields() fields {
	if f.shown != "" {
		f.Reason = f.shown
	}
	var none []string
	if f.Code <= 0 {
		none = append(none, "Code")
	}
	if f.HTTPStatus == 0 {
		none = append(none, "HTTPStatus")
	}
	return fieldsOf(f, none...)
}

// LogValue returns every field of the Status that is not empty, as readyState,
// epoch, lastFailure and so on. Counts are there when they are 0, too.
func (s Status) LogValue() slog.Value { return fieldsOf(s).group() }

// MarshalJSON returns an object with the fields of LogValue.
func (s Status) MarshalJSON() ([]byte, error) { return fieldsOf(s).object() }

// MarshalText returns the name, as String does.
func (s ReadyState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText returns the name, as String does.
func (s SubscriptionState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText returns the name, as String does.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// MarshalText returns the name, as String does.
func (i Initiator) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// shown is e with the reason as it may be shown.
func (e CloseEvent) shown() CloseEvent {
	if e.Failure.shown != "" && e.Reason == e.Failure.Reason {
		e.Reason = e.Failure.shown
	}
	return e
}

// fields are what a struct says of itself, in the order of its declaration.
type fields []field

type field struct {
	key   string
	value any // a string, bool, int64, uint64, float64, time.Time or fields
}

// fieldsOf reads the exported fields of a struct, but those left out and those
// that say nothing: empty texts, zero times and durations, nil.
func fieldsOf(v any, leftOut ...string) (all fields) {
	s := reflect.ValueOf(v)
	for i := range s.NumField() {
		name := s.Type().Field(i)
		if !name.IsExported() || slices.Contains(leftOut, name.Name) {
			continue
		}
		value := s.Field(i)
		if name.Name == "URL" {
			value = reflect.ValueOf(handshake.RedactedText(value.String()))
		}
		if shown := fieldValue(value); shown != nil {
			all = append(all, field{keyOf(name.Name), shown})
		}
	}
	return all
}

// fieldValue is the value of a field; nil if that says nothing.
func fieldValue(v reflect.Value) any {
	switch value := v.Interface().(type) {
	case time.Time:
		if value.IsZero() {
			return nil
		}
		return value
	case time.Duration:
		if value == 0 {
			return nil
		}
		return value.String()
	case StatusCode: // by its number, which programs compare
		return int64(value)
	case Failure:
		return value.fields()
	case *Failure:
		if value == nil {
			return nil
		}
		return value.fields()
	case error:
		return line(value.Error())
	case fmt.Stringer:
		return value.String()
	}
	switch v.Kind() {
	case reflect.String:
		if v.Len() == 0 {
			return nil
		}
		return line(v.String())
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return v.Uint()
	case reflect.Struct:
		return fieldsOf(v.Interface())
	}
	return nil
}

// keyOf is the name of a field in small letters at its beginning: httpStatus of
// HTTPStatus. Err is the error.
func keyOf(name string) string {
	if name == "Err" {
		return "error"
	}
	letters := []rune(name)
	for i, r := range letters {
		if !unicode.IsUpper(r) || i > 0 && i+1 < len(letters) && unicode.IsLower(letters[i+1]) {
			break
		}
		letters[i] = unicode.ToLower(r)
	}
	return string(letters)
}

func (all fields) group() slog.Value {
	attrs := make([]slog.Attr, len(all))
	for i, f := range all {
		if inner, ok := f.value.(fields); ok {
			attrs[i] = slog.Attr{Key: f.key, Value: inner.group()}
		} else {
			attrs[i] = slog.Any(f.key, f.value)
		}
	}
	return slog.GroupValue(attrs...)
}

func (all fields) object() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:", f.key) // letters alone
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// MarshalJSON is for fields within fields.
func (all fields) MarshalJSON() ([]byte, error) { return all.object() }

// shownError is an error for the log: on one line, with nothing in it that a
// terminal would obey. Handlers that look into errors find what it wraps.
type shownError struct{ err error }

func (e shownError) Error() string { return line(e.err.Error()) }
func (e shownError) Unwrap() error { return e.err }
