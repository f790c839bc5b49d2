package handshake

import (
	"cmp"
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Secrets are what must not be shown of one attempt: what stands in its
// address, headers and subprotocols, and in the address and headers of its
// proxy. A peer may repeat any of it, so every text that a peer had a hand in
// goes through Hide or Error where it becomes an error. The nil Secrets are none.
type Secrets struct {
	mu    sync.Mutex // a dial that was left alone may still go on
	texts []string   // the longest first; never changed in place
}

const (
	mask      = "xxxxx" // stands for a secret
	minSecret = 4       // bytes; less is no secret, and would be found everywhere
	minBegin  = 8       // bytes of a secret at the end of a text that was cut there
	maxEscape = 3       // escapes within escapes, such as percent in JSON in Go
)

// NewSecrets returns those of a request. None of the arguments is kept.
func NewSecrets(u *url.URL, header http.Header, subprotocols []string) *Secrets {
	s := new(Secrets)
	s.AddURL(u)
	s.AddHeader(header)
	s.add(subprotocols...)
	return s
}

// AddURL adds those of an address, such as a proxy's; nil adds nothing.
func (s *Secrets) AddURL(u *url.URL) {
	if u == nil {
		return
	}
	if user := u.User; user != nil {
		password, has := user.Password()
		if !has {
			password = user.Username()
		}
		s.add(password, base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		_, value, ok := strings.Cut(pair, "=")
		if !ok {
			value = pair
		}
		s.add(value)
		if plain, err := url.QueryUnescape(value); err == nil {
			s.add(plain)
		}
	}
}

// AddHeader adds those of the headers that are sent.
func (s *Secrets) AddHeader(header http.Header) {
	for name, values := range header {
		name = http.CanonicalHeaderKey(name)
		switch name {
		case "Connection", "Upgrade", "Host", "Origin", "User-Agent", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions":
			continue
		}
		for _, value := range values {
			if name == "Cookie" {
				for pair := range strings.SplitSeq(value, ";") {
					_, value, _ := strings.Cut(pair, "=")
					s.add(strings.Trim(value, `" `))
				}
				continue
			}
			words := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" \t,;=\"", r) })
			if strings.HasSuffix(name, "Authorization") && len(words) > 1 {
				words = words[1:] // without the scheme
			}
			s.add(value)
			s.add(words...)
		}
	}
}

func (s *Secrets) add(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.texts)
	for _, text := range texts {
		if len(text) >= minSecret && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	s.texts = all
}

// Hide returns text without the secrets, as they are and escaped as a peer, a
// proxy or net/http may have done it: percent, HTML, JSON, Go. Of any URL it
// takes out user and password. What a text that was cut begins of a secret at
// its end is hidden too.
func (s *Secrets) Hide(text string) string {
	text = hideUsers(text)
	if s == nil {
		return text
	}
	s.mu.Lock()
	secrets := s.texts
	s.mu.Unlock()
	if len(secrets) == 0 {
		return text
	}
	layer := plain(text)
	for range maxEscape {
		text, layer = hideIn(text, layer, secrets)
		next := layer.unescaped()
		if next == nil {
			return text
		}
		layer = next
	}
	text, _ = hideIn(text, layer, secrets)
	return text
}

// Error returns err with a text that can be shown: without the secrets, and
// Printable. errors.Is and errors.As see through it.
func (s *Secrets) Error(err error) error {
	text := err.Error()
	if shown := Printable(s.Hide(text)); shown != text {
		return &shownError{shown, err}
	}
	return err
}

type shownError struct {
	text string
	err  error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.err }

// hideUsers takes user and password out of the URLs in a text, which may be of
// a proxy that nobody could parse.
func hideUsers(text string) string {
	for from := 0; ; {
		i := strings.Index(text[from:], "://")
		if i < 0 {
			return text
		}
		begin := from + i + len("://")
		end := strings.IndexAny(text[begin:], "/?#\"'<> \t\r\n")
		if end < 0 {
			end = len(text) - begin
		}
		from = begin
		at := strings.LastIndexByte(text[begin:begin+end], '@')
		if at < 0 {
			continue
		}
		user, _, hasPassword := strings.Cut(text[begin:begin+at], ":")
		if hasPassword {
			user += ":" + mask
		} else {
			user = mask
		}
		text = text[:begin] + user + text[begin+at:]
	}
}

// A layer is a text with some levels of escapes removed. Where each of its bytes
// begins and ends in the text as it is shown is known.
type layer struct {
	bytes      []byte
	begin, end []int
}

func plain(text string) *layer {
	l := &layer{bytes: []byte(text), begin: make([]int, len(text)), end: make([]int, len(text))}
	for i := range l.bytes {
		l.begin[i], l.end[i] = i, i+1
	}
	return l
}

// unescaped returns l with one level of escapes less; nil if there is none.
func (l *layer) unescaped() *layer {
	next := &layer{}
	found := false
	for i := 0; i < len(l.bytes); {
		decoded, n := unescape(l.bytes[i:])
		found = found || n > 1
		for j := range len(decoded) {
			next.bytes = append(next.bytes, decoded[j])
			next.begin = append(next.begin, l.begin[i])
			next.end = append(next.end, l.end[i+n-1])
		}
		i += n
	}
	if !found {
		return nil
	}
	return next
}

// unescape returns what b begins with, and how long that is: one byte, or an
// escape of a percent-encoding, of HTML, or of a string of JSON, Go or
// JavaScript.
func unescape(b []byte) (decoded string, n int) {
	switch {
	case b[0] == '%' && len(b) >= 3:
		if v, err := strconv.ParseUint(string(b[1:3]), 16, 8); err == nil {
			return string([]byte{byte(v)}), 3
		}
	case b[0] == '&':
		if end := slices.Index(b[:min(len(b), 12)], ';'); end > 1 {
			if text := html.UnescapeString(string(b[:end+1])); text != string(b[:end+1]) {
				return text, end + 1
			}
		}
	case b[0] == '\\' && len(b) >= 2:
		return unescapeString(b)
	}
	return string(b[:1]), 1
}

// unescapeString is unescape behind a backslash.
func unescapeString(b []byte) (string, int) {
	if r, n := utf16Escape(b); n > 0 {
		if low, m := utf16Escape(b[n:]); m > 0 && r >= 0xd800 && r < 0xdc00 && low >= 0xdc00 && low < 0xe000 {
			return string(0x10000 + (r-0xd800)<<10 + (low - 0xdc00)), n + m
		}
		return string(r), n
	}
	if r, multibyte, rest, err := strconv.UnquoteChar(string(b[:min(len(b), 10)]), 0); err == nil {
		n := min(len(b), 10) - len(rest)
		if multibyte || r < utf8.RuneSelf {
			return string(r), n
		}
		return string([]byte{byte(r)}), n
	}
	return string(b[1:2]), 2 // \/, \" and \'
}

// utf16Escape reads \uXXXX, of which strconv does not take surrogates.
func utf16Escape(b []byte) (r rune, n int) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, 0
	}
	v, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return 0, 0
	}
	return rune(v), 6
}

// hideIn hides what a layer of a text shows of secrets.
func hideIn(text string, l *layer, secrets []string) (string, *layer) {
	type span struct{ begin, end int } // in l
	var spans []span
	shown := string(l.bytes)
	for _, secret := range secrets {
		for from := 0; ; {
			i := strings.Index(shown[from:], secret)
			if i < 0 {
				break
			}
			from += i + len(secret)
			spans = append(spans, span{from - len(secret), from})
		}
		for n := min(len(secret)-1, len(shown)); n >= minBegin; n-- {
			if strings.HasSuffix(shown, secret[:n]) {
				spans = append(spans, span{len(shown) - n, len(shown)})
				break
			}
		}
	}
	if len(spans) == 0 {
		return text, l
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.begin, b.begin) })
	var b strings.Builder
	hidden := &layer{}
	at, in := 0, 0         // in text, in l
	keep := func(to int) { // what is before to in l
		for ; in < to; in++ {
			hidden.bytes = append(hidden.bytes, l.bytes[in])
			hidden.begin = append(hidden.begin, b.Len()+max(l.begin[in]-at, 0))
			hidden.end = append(hidden.end, b.Len()+max(l.end[in]-at, 0))
		}
	}
	for i := 0; i < len(spans); {
		one := spans[i]
		for i++; i < len(spans) && spans[i].begin <= one.end; i++ {
			one.end = max(one.end, spans[i].end)
		}
		keep(one.begin)
		begin, end := l.begin[one.begin], l.end[one.end-1]
		if begin < at { // an escape that stands for two bytes, of which the first was hidden
			begin = at
		}
		b.WriteString(text[at:begin])
		for j := range len(mask) {
			hidden.bytes = append(hidden.bytes, mask[j])
			hidden.begin = append(hidden.begin, b.Len()+j)
			hidden.end = append(hidden.end, b.Len()+j+1)
		}
		b.WriteString(mask)
		at, in = max(end, at), one.end
	}
	keep(len(l.bytes))
	b.WriteString(text[at:])
	return b.String(), hidden
}
