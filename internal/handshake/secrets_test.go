package handshake

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"runtime"
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
		"://ada:s@h and file:///a@b, ://":     "://ada:xxxxx@h and file:///a@b, ://",
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
	u, _ := url.Parse("wss://ada:hunter2@server.test/ws/?token=s%33same%2Fx&v=1&bare-token&w=abc&x=wxyz&y=not%zzescaped&z=two+words")
	proxy, _ := url.Parse("http://bob:proxypass@proxy.test")
	s := NewSecrets(u, http.Header{
		"Authorization": {"Bearer abc.def.ghi"}, "cookie": {`session="cookie-value"; theme=dark`, "other=cookie-2"}, "origin": {"https://page.test"}, "Host": {"server.test"},
		"X-Token": {"first-word second-word"}, "X-Authorization": {`"in-quotes"`}, "X-Odd": {"a%zzb/c", "-udc00-", "-udc00-a", "slash-/", "last-\U00010000", "\U00010000\U0010ffff-end"},
	}, []string{"graphql-ws", "bearer.subprotocol"})
	s.AddURL(proxy)
	s.AddHeader(http.Header{"Proxy-Authorization": {"Basic cHJveHk6c2VjcmV0"}})
	for text, want := range map[string]string{
		"nothing": "nothing",
		"hunter2, s%33same%2Fx, s3same/x, s3same%2fx, s3same&#x2f;x, s3same\\/x, s3same\\u002fx": "xxxxx, xxxxx, xxxxx, xxxxx, xxxxx, xxxxx, xxxxx",
		"bare-token YWRhOmh1bnRlcjI= abc.def.ghi":                                                "xxxxx xxxxx xxxxx",
		"no session of cookie-value or cookie-2 is dark":                                         "no session of xxxxx or xxxxx is xxxxx",
		"Bearer and Basic, but not first-word or second-word or in-quotes":                       "Bearer and Basic, but not xxxxx or xxxxx or xxxxx",
		"abc is no secret, wxyz and not%zzescaped and two words and two+words are":               "abc is no secret, xxxxx and xxxxx and xxxxx and xxxxx are",
		`malformed HTTP status code "/ws/?token=s%33same%2Fx&v=1&bare-token"`:                    `malformed HTTP status code "/ws/?token=xxxxx&v=1&xxxxx"`,
		`unexpected Sec-WebSocket-Protocol from server: "graphql-ws, bearer.subprotocol"`:        `unexpected Sec-WebSocket-Protocol from server: "xxxxx, xxxxx"`,
		"Proxy-Authorization: Basic cHJveHk6c2VjcmV0 proxypass":                                  "Proxy-Authorization: xxxxx xxxxx",
		"the Origin https://page.test at server.test is fine":                                    "the Origin https://page.test at server.test is fine",
		"cut in abc.def.g": "cut in xxxxx",
		"cut in abc.def.":  "cut in xxxxx",
		"cut in abc.def":   "cut in abc.def", // too little to tell
		`invalid proxy address "http://eve:other@proxy:x"`:          `invalid proxy address "http://eve:xxxxx@proxy:x"`,
		"wss://token@h/ wss://a:b@c@h/ http://h/a@b http://h?x=a@b": "wss://xxxxx@h/ wss://a:xxxxx@h/ http://h/a@b http://h?x=a@b",
		"hunter2hunter2":                                    "xxxxx",
		"hunter2 hunter":                                    "xxxxx hunter",
		"hunter&#000000050;, hunter%32":                     "xxxxx, xxxxx",
		"a%zzb%2Fc, hunt%65r2 and hunt%zzer2":               "xxxxx, xxxxx and hunt%zzer2",
		`\ud83d\u0068unter2 and \u0068unter\u0032`:          `\ud83dxxxxx and xxxxx`,
		`hunter\u0032\udc00 and \uzzhunter2 and hunter\062`: `xxxxx\udc00 and \uzzxxxxx and xxxxx`,
		`\ud83d-udc00- and \ud800\udc00\udbff\udfff-end`:    `\ud83dxxxxx and xxxxx`,
		`\ud83d-udc00-\u0061, \uzzhunt\u0065r2`:             `\ud83dxxxxx, \uzzxxxxx`,
		`slash-\/`:                                          "xxxxx",
		`last-\ud800\udc00`:                                 "xxxxx",
		// At the very end of the memory of a text, the beginnings of escapes.
		"100 % of all are no secrets, but hunter2 is one%":                 "100 % of all are no secrets, but xxxxx is one%",
		"100 % of all are no secrets, but hunter2 is on%3":                 "100 % of all are no secrets, but xxxxx is on%3",
		"100 % of all are no secrets, but hunter2 is one\\":                "100 % of all are no secrets, but xxxxx is one\\",
		`100 % of all are no secrets, but hunter2 i \u003`:                 `100 % of all are no secrets, but xxxxx i \u003`,
		"hunt\\x65r2 and \\\"hunter2\\\" and %68unter2 100% \\ & &; &nix;": "xxxxx and \\\"xxxxx\\\" and xxxxx 100% \\ & &; &nix;",
		"\\ud83dhunter2\\": "\\ud83dxxxxx\\",
	} {
		if got := s.Hide(text); got != want {
			t.Errorf("%s\nis shown as\n%s\nand not\n%s", text, got, want)
		}
	}
	nobody, _ := url.Parse("wss://server.test/")
	if got := NewSecrets(nobody, nil, nil).Hide("Og==, which is nobody"); got != "Og==, which is nobody" {
		t.Errorf("without a user: %q", got)
	}
	token, _ := url.Parse("wss://user-token@server.test/")
	NewSecrets(nil, nil, nil)
	if got := NewSecrets(token, nil, nil).Hide("Basic dXNlci10b2tlbjo= is that of user-token"); got != "Basic xxxxx is that of xxxxx" {
		t.Errorf("without a password: %q", got)
	}
	if got := (*Secrets)(nil).Hide("a:b@c"); got != "a:b@c" {
		t.Errorf("without secrets: %q", got)
	}
}

// What a peer sends may be long and full of escapes, and costs no more memory for that.
func TestLongTextsCostLittle(t *testing.T) {
	u := &url.URL{Scheme: "ws", Host: "h", RawQuery: "token=hunter2"}
	for _, secrets := range []*Secrets{NewSecrets(u, nil, nil), NewSecrets(nil, nil, nil), nil} {
		long := strings.Repeat(`\x80%25&amp;`, 100_000)
		err := errors.New("hunter2 " + long)
		moved := &http.Response{StatusCode: 302, Header: http.Header{"Location": {"/" + long}}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		shown := secrets.Error(err).Error()
		(&Request{URL: u, Secrets: secrets}).Refusal(moved, nil)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 || len(shown) > maxShown+16 {
			t.Errorf("%d bytes are shown, and %d were allocated", len(shown), n)
		}
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

// Escapes within escapes within escapes are not followed for ever: three kinds of them, 40 levels deep.
func TestHideIsBounded(t *testing.T) {
	s := NewSecrets(&url.URL{RawQuery: "token=hunter2"}, nil, nil)
	text := "%" + strings.Repeat("25", 40) + " &" + strings.Repeat("amp;", 40) + ` \` + strings.Repeat("x5c", 40)
	if got := s.Hide(text + " hunter2"); got != text+" xxxxx" {
		t.Errorf("%q", got)
	}
}

// What is longer is cut, and hidden up to there.
func TestHideCutsWhatIsLong(t *testing.T) {
	s := NewSecrets(&url.URL{Scheme: "ws", Host: "h", RawQuery: "token=abcdefgh-ijklmnop"}, nil, nil)
	spaces := strings.Repeat(" ", maxHide-12)
	if got := s.Hide(spaces + "abcdefgh-ijklmnop, and more"); got != spaces+"xxxxx…" {
		t.Errorf("%d bytes that end with %q", len(got), got[max(0, len(got)-40):])
	}
	if got := s.Hide(spaces + "abcdefghijkl"); got != spaces+"abcdefghijkl" {
		t.Errorf("%d bytes that end with %q", len(got), got[max(0, len(got)-40):])
	}
	if got := s.Hide(strings.Repeat("a://b@", 1<<18)); len(got) > 2*maxHide { // a copy for each, of all of it, took minutes
		t.Errorf("%d bytes", len(got))
	}
}
