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
	"unicode/utf16"
	"unicode/utf8"
)

// Secrets are what must not be shown of one attempt: what stands in its
// address, headers and subprotocols, and in the address and headers of its
// proxy. A peer may repeat any of it, so every text that a peer had a hand in
// goes through Hide or Error where it becomes an error. The nil Secrets are none.
type Secrets struct {
	mu    sync.Mutex // a dial that was left alone may still go on
	texts []string   // never changed in place
}

// maxHide is how long a text may be, in bytes. A header may have megabytes, of which each level of
// escapes would take many times as much; what is shown of a text is far less.
const maxHide = 4 << 10

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
		s.add(base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password)))
		if !has {
			password = user.Username() // which may be a token
		}
		s.add(password)
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		_, value, ok := strings.Cut(pair, "=")
		if !ok {
			value = pair
		}
		plain, _ := url.QueryUnescape(value)
		s.add(value, plain)
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
		for _, text := range []string{text, strings.ReplaceAll(text, " ", "+")} { // as forms have it
			if len(text) >= minSecret {
				all = append(all, text)
			}
		}
	}
	s.texts = all
}

// Hide returns text without the secrets, as they are and escaped as a peer, a
// proxy or net/http may have done it: percent, HTML, JSON, Go. Of any URL it
// takes out user and password. What a text that was cut begins of a secret at
// its end is hidden too. It cuts one that is longer than maxHide.
func (s *Secrets) Hide(text string) string {
	if len(text) > maxHide {
		return s.Hide(text[:maxHide]) + "…"
	}
	text = hideUsers(text)
	if s == nil {
		return text
	}
	s.mu.Lock()
	secrets := s.texts
	s.mu.Unlock()
	return replaced(text, plain(text).find(secrets, maxEscape))
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
		if at <= 0 {
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

// span is a part of a text.
type span struct{ begin, end int }

// find returns where secrets stand in the text of a layer, as they are or with
// up to depth levels of escapes more. Each level is of one kind, since what
// looks like an escape of another may be the secret's own.
func (l *layer) find(secrets []string, depth int) (found []span) {
	shown := string(l.bytes)
	for _, secret := range secrets {
		for from := 0; ; {
			i := strings.Index(shown[from:], secret)
			if i < 0 {
				break
			}
			begin := from + i
			from = begin + len(secret)
			found = append(found, span{l.begin[begin], l.end[from-1]})
		}
		for n := min(len(secret), len(shown)); n >= minBegin; n-- {
			if strings.HasSuffix(shown, secret[:n]) {
				found = append(found, span{l.begin[len(shown)-n], l.end[len(shown)-1]})
				break
			}
		}
	}
	if depth == 0 {
		return found
	}
	for _, unescape := range unescapers {
		if next := l.unescaped(unescape); next != nil {
			found = append(found, next.find(secrets, depth-1)...)
		}
	}
	return found
}

// unescaped returns l with one level of one kind of escapes less; nil if there
// is none.
func (l *layer) unescaped(unescape func([]byte) (string, int)) *layer {
	next := &layer{}
	found := false
	for i := 0; i < len(l.bytes); {
		decoded, n := unescape(l.bytes[i:])
		if n == 0 {
			decoded, n = string(l.bytes[i:i+1]), 1
		} else {
			found = true
		}
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

// unescapers return what the escape stands for that b begins with, and how long
// it is; 0 if it begins with none.
var unescapers = []func(b []byte) (decoded string, n int){unescapePercent, unescapeHTML, unescapeString}

func unescapePercent(b []byte) (string, int) {
	if b[0] != '%' || len(b) < 3 {
		return "", 0
	}
	v, err := strconv.ParseUint(string(b[1:3]), 16, 8)
	if err != nil {
		return "", 0
	}
	return string([]byte{byte(v)}), 3
}

func unescapeHTML(b []byte) (string, int) {
	if b[0] != '&' {
		return "", 0
	}
	end := slices.Index(b[:min(len(b), 12)], ';') + 1
	return html.UnescapeString(string(b[:end])), end
}

// unescapeString knows the strings of JSON, Go, JavaScript and C.
func unescapeString(b []byte) (string, int) {
	if b[0] != '\\' || len(b) < 2 {
		return "", 0
	}
	if r, n := utf16Escape(b); n > 0 {
		low, m := utf16Escape(b[n:])
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return string(pair), n + m
		}
		return string(r), n
	}
	const longest = len(`\U0001f600`)
	one := string(b[:min(len(b), longest)])
	if r, multibyte, rest, err := strconv.UnquoteChar(one, 0); err == nil {
		n := len(one) - len(rest)
		if multibyte {
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

// replaced is text with a mask for its secrets.
func replaced(text string, secrets []span) string {
	slices.SortFunc(secrets, func(a, b span) int { return cmp.Compare(a.begin, b.begin) })
	var b strings.Builder
	at := 0
	for i, s := range secrets {
		if i == 0 || s.begin > at { // else it is part of what is masked, or next to it
			b.WriteString(text[at:s.begin])
			b.WriteString(mask)
		}
		at = max(at, s.end)
	}
	b.WriteString(text[at:])
	return b.String()
}
