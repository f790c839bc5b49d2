package handshake

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// escapers are the usual ways in which a text is escaped, each a level.
var escapers = []func(string) string{
	func(s string) string { return s },
	url.QueryEscape,
	url.PathEscape,
	html.EscapeString,
	func(s string) string { b, _ := json.Marshal(s); return string(b) },
	strconv.Quote,
	strconv.QuoteToASCII,
	func(s string) string { return each(s, `\u%04x`) },
	func(s string) string { return eachByte(s, `%%%02x`) },
	func(s string) string { return eachByte(s, `\x%02x`) },
	func(s string) string { return eachByte(s, `\%03o`) },
	func(s string) string { return each(s, "&#%d;") },
	func(s string) string { return each(s, "&#x%X;") },
	func(s string) string { b, _ := json.Marshal(s); return strings.ReplaceAll(string(b), "/", `\/`) }, // as PHP
}

func each(s, format string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.HasPrefix(format, `\u`) && r >= 0x10000 {
			r -= 0x10000
			fmt.Fprintf(&b, format+format, 0xd800+r>>10, 0xdc00+r&0x3ff)
			continue
		}
		fmt.Fprintf(&b, format, r)
	}
	return b.String()
}

func eachByte(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

// A URL in a text shows its user only beside a password.
func TestUsersOfURLsAreHidden(t *testing.T) {
	for text, want := range map[string]string{
		"dial http://u@h: no":                 "dial http://xxxxx@h: no",
		"http://ada:s@h/x@y and ws://bob@i?@": "http://ada:xxxxx@h/x@y and ws://xxxxx@i?@",
		"http://ada:s@x@h":                    "http://ada:xxxxx@h",
		"http://@h, http://h, http://":        "http://@h, http://h, http://",
		"mail ada@h":                          "mail ada@h",
	} {
		if got := new(Secrets).Hide(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// However often a secret is escaped, up to three times, nothing of it is shown,
// and nothing else is lost.
func FuzzHide(f *testing.F) {
	for i := range escapers {
		f.Add("s3cret/&\"<+ %41\\大😀=", uint8(i), uint8(0), uint8(0))
		f.Add("eyJhbGciOi.J9_-x", uint8(i), uint8(4), uint8(3))
		f.Add("a%2Fb%252Fc+d", uint8(1), uint8(i), uint8(5))
	}
	f.Fuzz(func(t *testing.T, secret string, a, b, c uint8) {
		// A secret of a request has no control characters, which HTML has no escapes for.
		if strings.ContainsFunc(secret, unicode.IsControl) || strings.TrimSpace(secret) != secret {
			t.Skip()
		}
		if len(secret) < minSecret || strings.ToValidUTF8(secret, "") != secret || strings.Contains("before and behind, xxxxx\"", secret) {
			t.Skip()
		}
		s := new(Secrets)
		s.add(secret)
		text := secret
		for _, n := range []uint8{a, b, c} {
			text = escapers[int(n)%len(escapers)](text)
		}
		if got := s.Hide("before " + text + " and behind"); !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " and behind") ||
			!strings.Contains(got, mask) || len(plain(got).find([]string{secret}, maxEscape)) > 0 {
			t.Errorf("%q in %q is shown as %q", secret, text, got)
		}
	})
}

func TestHide(t *testing.T) {
	u, _ := url.Parse("wss://ada:hunter2@server.test/ws/?token=s%33same%2Fx&v=1&bare-token")
	proxy, _ := url.Parse("http://bob:proxypass@proxy.test")
	s := NewSecrets(u, http.Header{
		"Authorization": {"Bearer abc.def.ghi"}, "Cookie": {`sid="cookie-value"; theme=dark`}, "Origin": {"https://page.test"}, "Host": {"server.test"},
	}, []string{"graphql-ws", "bearer.subprotocol"})
	s.AddURL(proxy)
	s.AddHeader(http.Header{"Proxy-Authorization": {"Basic cHJveHk6c2VjcmV0"}})
	for text, want := range map[string]string{
		"nothing": "nothing",
		"hunter2, s%33same%2Fx, s3same/x, s3same%2fx, s3same&#x2f;x, s3same\\/x, s3same\\u002fx": "xxxxx, xxxxx, xxxxx, xxxxx, xxxxx, xxxxx, xxxxx",
		"bare-token YWRhOmh1bnRlcjI= abc.def.ghi":                                                "xxxxx xxxxx xxxxx",
		"no sid of cookie-value is dark":                                                         "no sid of xxxxx is xxxxx",
		`malformed HTTP status code "/ws/?token=s%33same%2Fx&v=1&bare-token"`:                    `malformed HTTP status code "/ws/?token=xxxxx&v=1&xxxxx"`,
		`unexpected Sec-WebSocket-Protocol from server: "graphql-ws, bearer.subprotocol"`:        `unexpected Sec-WebSocket-Protocol from server: "xxxxx, xxxxx"`,
		"Proxy-Authorization: Basic cHJveHk6c2VjcmV0 proxypass":                                  "Proxy-Authorization: xxxxx xxxxx",
		"the Origin https://page.test at server.test is fine":                                    "the Origin https://page.test at server.test is fine",
		"cut in abc.def.g": "cut in xxxxx",
		"cut in abc.def":   "cut in abc.def", // too little to tell
		`invalid proxy address "http://eve:other@proxy:x"`:          `invalid proxy address "http://eve:xxxxx@proxy:x"`,
		"wss://token@h/ wss://a:b@c@h/ http://h/a@b http://h?x=a@b": "wss://xxxxx@h/ wss://a:xxxxx@h/ http://h/a@b http://h?x=a@b",
		"hunter2hunter2": "xxxxx",
		"hunt\\x65r2 and \\\"hunter2\\\" and %68unter2 100% \\ & &; &nix;": "xxxxx and \\\"xxxxx\\\" and xxxxx 100% \\ & &; &nix;",
		"\\ud83dhunter2\\": "\\ud83dxxxxx\\",
	} {
		if got := s.Hide(text); got != want {
			t.Errorf("%s\nis shown as\n%s\nand not\n%s", text, got, want)
		}
	}
	if got := (*Secrets)(nil).Hide("a:b@c"); got != "a:b@c" {
		t.Errorf("without secrets: %q", got)
	}
}

// An error that needs no change stays what it is; another is found by errors.Is.
func TestErrorOfAPeer(t *testing.T) {
	s := NewSecrets(&url.URL{RawQuery: "token=hunter2"}, nil, nil)
	plain := errors.New("connection refused")
	if s.Error(plain) != plain {
		t.Errorf("it became %v", s.Error(plain))
	}
	said := fmt.Errorf("it said %q\u202e: hunter2: %w", "\x1b", plain)
	if err := s.Error(said); !errors.Is(err, plain) || err.Error() != `it said "\x1b"\u202e: xxxxx: connection refused` {
		t.Errorf("it became %v", err)
	}
}
