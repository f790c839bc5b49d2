package handshake

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What of an address, a request and a peer's words may stand in an error or a log.

// Redacted returns u for logs and errors: without the password, or a user
// that has none and may be a token, and without the values of the query.
func Redacted(u *url.URL) string {
	v := *u
	if _, ok := v.User.Password(); ok {
		v.User = url.UserPassword(v.User.Username(), "xxxxx")
	} else if v.User != nil {
		v.User = url.User("xxxxx")
	}
	if v.RawQuery != "" {
		pairs := strings.Split(v.RawQuery, "&")
		for i, p := range pairs {
			if key, _, ok := strings.Cut(p, "="); ok {
				pairs[i] = key + "=xxxxx"
			} else {
				pairs[i] = "xxxxx" // a bare token
			}
		}
		v.RawQuery = strings.Join(pairs, "&")
	}
	return v.String()
}

// RedactedText is redacted of a text; "" if that is no URL.
func RedactedText(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return Redacted(u)
}

// withoutURL strips what url.Parse and net/http put around a cause: the whole
// address, with its secrets. Of a parse error only the kinds that quote a few
// characters are kept.
func withoutURL(err error) error {
	var outer *url.Error
	if !errors.As(err, &outer) {
		return err
	}
	if outer.Op != "parse" {
		return outer.Err
	}
	var escape url.EscapeError
	var host url.InvalidHostError
	switch {
	case errors.As(outer.Err, &escape), errors.As(outer.Err, &host):
		return outer.Err
	case strings.Contains(outer.Err.Error(), "missing protocol scheme"),
		strings.Contains(outer.Err.Error(), "first path segment"): // an IP address and a port
		return errors.New("it has no scheme: put ws:// or wss:// before it")
	case strings.Contains(outer.Err.Error(), "invalid port"):
		return errors.New("its port must be a number from 1 to 65535")
	case strings.Contains(outer.Err.Error(), "invalid userinfo"):
		return errors.New("its user or password holds a character that must be percent-encoded")
	}
	return errors.New("it is not a URL of RFC 3986")
}

// Quoting is err with a text that a peer had a hand in, which is made Printable.
func Quoting(err error) error { return &quotingError{err} }

type quotingError struct{ err error }

func (e *quotingError) Error() string { return Printable(e.err.Error()) }
func (e *quotingError) Unwrap() error { return e.err }

// maxShown is how much of a text that a peer had a hand in is shown, in bytes.
const maxShown = 512

// Printable makes such a text fit for a terminal and a log: what can't be
// seen is escaped, and the length is bounded.
func Printable(s string) string { return shown(s, maxShown) }

// Line is Printable for an error, whose advice at the end is not to be cut off.
func Line(s string) string { return shown(s, 2*maxShown) }

// shown is printable with a limit of its own.
func shown(s string, limit int) string {
	var b strings.Builder
	for i, r := range s {
		if b.Len() >= limit {
			return b.String() + "…"
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
