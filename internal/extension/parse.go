package extension

import (
	"errors"
	"fmt"
	"strings"
)

// A param is a parameter of an extension. Its value is without quotes.
type param struct {
	name, value string
	valued      bool // there was a value
}

// An element is one extension of a header.
type element struct {
	name   string
	params []param
}

// errSyntax is for a header that RFC 6455, section 9.1, does not allow.
var errSyntax = errors.New("it is not a list of extensions and their parameters")

// parse reads the values of all Sec-WebSocket-Extensions headers. As in every
// list of HTTP an element may be empty; white space may stand between any two words.
func parse(values []string) ([]element, error) {
	var list []element
	for _, value := range values {
		s := scanner{value}
		for {
			s.space()
			if s.rest == "" {
				break
			}
			if s.skip(',') {
				continue
			}
			e, err := s.element()
			if err != nil {
				return nil, err
			}
			list = append(list, e)
			if s.rest != "" && !s.skip(',') {
				return nil, errSyntax
			}
		}
	}
	return list, nil
}

// A scanner reads words.
type scanner struct{ rest string }

func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t") }

// skip skips c and the white space behind it, if c is next.
func (s *scanner) skip(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	s.space()
	return true
}

// token reads a token and the white space behind it; "" if none is next.
func (s *scanner) token() string {
	n := 0
	for n < len(s.rest) && isTokenByte(s.rest[n]) {
		n++
	}
	token := s.rest[:n]
	s.rest = s.rest[n:]
	s.space()
	return token
}

// isTokenByte reports whether c may be in a token, RFC 9110, section 5.6.2.
func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func (s *scanner) element() (e element, err error) {
	if e.name = s.token(); e.name == "" {
		return e, errSyntax
	}
	for s.skip(';') {
		var p param
		if p.name = s.token(); p.name == "" {
			return e, errSyntax
		}
		if p.valued = s.skip('='); p.valued {
			if p.value, err = s.value(); err != nil {
				return e, err
			}
		}
		for _, other := range e.params {
			if other.name == p.name {
				return e, fmt.Errorf("it has the parameter %s twice", p.name)
			}
		}
		e.params = append(e.params, p)
	}
	return e, nil
}

// value reads a token, or a quoted string that is one without its quotes.
func (s *scanner) value() (string, error) {
	if !strings.HasPrefix(s.rest, `"`) {
		if t := s.token(); t != "" {
			return t, nil
		}
		return "", errSyntax
	}
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		c := s.rest[i]
		if c == '"' {
			if b.Len() == 0 {
				return "", errSyntax
			}
			s.rest = s.rest[i+1:]
			s.space()
			return b.String(), nil
		}
		if c == '\\' && i+1 < len(s.rest) {
			i++
			c = s.rest[i]
		}
		if !isTokenByte(c) {
			return "", errSyntax
		}
		b.WriteByte(c)
	}
	return "", errSyntax
}
