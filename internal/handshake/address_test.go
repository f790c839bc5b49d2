package handshake

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	for _, test := range []struct{ base, user, want string }{
		{"ws://h/ws/", "ada", "ws://h/ws/ada"},
		{"wss://h/ws/", "", "wss://h/ws/"},
		{"http://h/ws/", "ada", "http://h/ws/ada"},
		{"ws://h", "ada", "ws://h/ada"},
		{"ws://h", "", "ws://h"},
		{"ws://h:65535/~/", "a~a", "ws://h:65535/~/a~a"},
		{"ws://h:9090/?~", "a~", "ws://h:9090/?~a~"},
		{"ws://h:8080", "ada", "ws://h:8080/ada"},
		{"ws://[::1]:80/", "ada", "ws://[::1]:80/ada"},
		{"ws://h/ws/", "a/b?c#d", "ws://h/ws/a%2Fb%3Fc%23d"},
		{"ws://h/ws/", "..", "ws://h/ws/%2E%2E"},
		{"ws://h/ws/", ".", "ws://h/ws/%2E"},
		{"ws://h/ws/", "../x", "ws://h/ws/..%2Fx"},
		{"ws://h/ws/", "a b", "ws://h/ws/a%20b"},
		{"ws://h/ws/", "用户", "ws://h/ws/%E7%94%A8%E6%88%B7"},
		{"ws://h/ws/", "100%", "ws://h/ws/100%25"},
		{"ws://h/ws/", "%2F", "ws://h/ws/%252F"},
		{"ws://h/ws/", "\x00\xff", "ws://h/ws/%00%FF"},
		{"ws://h/ws?user=", "a&b=c d/用", "ws://h/ws?user=a%26b%3Dc+d%2F%E7%94%A8"},
		{"ws://h/ws?token=t&user=", "x#y", "ws://h/ws?token=t&user=x%23y"},
		{"WS://H/ws/", "ada", "ws://H/ws/ada"},
		{"ws://h/?name=Ada Lovelace&user=", "ada", "ws://h/?name=Ada%20Lovelace&user=ada"},
		{"ws://h/?room=大厅&user=", "ada", "ws://h/?room=%E5%A4%A7%E5%8E%85&user=ada"},
		{`ws://h/?q="<a>'\^` + "`" + `{|}&user=`, "ada", `ws://h/?q=%22%3Ca%3E%27\^` + "`" + `{|}&user=ada`},
		{"ws://h/?a=%20%zz+b?c/", "", "ws://h/?a=%20%zz+b?c/"},
		{"ws://h/?", "", "ws://h/?"},
		{"ws://h/大 厅/a%2Fb;v=1,2/", "a/b", "ws://h/%E5%A4%A7%20%E5%8E%85/a%2Fb;v=1,2/a%2Fb"},
		{`ws://h/"a"|{b}[c]/`, "../x", "ws://h/%22a%22%7C%7Bb%7D[c]/..%2Fx"},
	} {
		u, err := Address(test.base, test.user)
		if err != nil || u.String() != test.want {
			t.Errorf("%s + %q: %v, %v", test.base, test.user, u, err)
			continue
		}
		again, err := url.Parse(u.String()) // as the transport does
		if err != nil || again.Host != u.Host || again.RequestURI() != u.RequestURI() {
			t.Errorf("%s + %q is read as %v, %v", test.base, test.user, again, err)
		}
	}
}

// A bad url is refused with what is allowed, and without its secrets.
func TestAddressRefuses(t *testing.T) {
	for base, want := range map[string]string{
		"":                                   "no scheme",
		"example.com/ws?token=secret":        "no scheme",
		"ftp://h/?token=secret":              "must be ws, wss, http or https",
		"ws:///path?token=secret":            "no host",
		"ws:h?token=secret":                  "no host",
		"ws://h/?token=secret#frag":          "fragment",
		"ws://h/?token=secret#":              "fragment",
		"ws://h:0/?token=secret":             "1 to 65535",
		"ws://h:65536/?token=secret":         "1 to 65535",
		"ws://h:99999/?token=secret":         "1 to 65535",
		"ws://h:port/?token=secret":          "1 to 65535",
		"ws://h/%zz?token=secret":            "%zz",
		"ws://user:secret@h:x/":              "1 to 65535",
		"ws://h/\x7f?token=secret":           "control character",
		"ws://h/\x1f?token=secret":           "control character",
		"://h/?token=secret":                 "scheme",
		"ws://[::1/?token=secret":            "",
		"javascript:alert('secret')":         "must be ws, wss, http or https",
		"wss://us er:secret@h/":              "percent-encoded",
		"wss://大:secret@h/":                  "percent-encoded",
		"ws://h?token=secret&user=%zz&x=%zz": "", // url.Parse leaves the query alone
	} {
		u, err := Address(base, "ada")
		if err == nil {
			if want != "" {
				t.Errorf("%s was taken as %v", base, u)
			}
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || !strings.HasPrefix(err.Error(), "wsnotify: ") {
			t.Errorf("%s: %v", base, err)
		}
	}
}

func TestRedacted(t *testing.T) {
	for raw, want := range map[string]string{
		"wss://h/ws/ada":                          "wss://h/ws/ada",
		"wss://u:secret@h/ws?a=secret&b":          "wss://u:xxxxx@h/ws?a=xxxxx&xxxxx",
		"wss://secret@h/ws?token=secret;x=secret": "wss://xxxxx@h/ws?token=xxxxx",
	} {
		u, _ := url.Parse(raw)
		if got := Redacted(u); got != want {
			t.Errorf("%s: %s", raw, got)
		}
	}
}

// What BeforeDial has set is encoded as the rest, and nothing twice.
func TestNormalize(t *testing.T) {
	for _, test := range []struct {
		url  url.URL
		want string
	}{
		{url.URL{Path: "/ws/ada", RawQuery: "token=Bearer abc"}, "/ws/ada?token=Bearer%20abc"},
		{url.URL{Path: "/", RawQuery: "a=大#b&c=%20"}, "/?a=%E5%A4%A7%23b&c=%20"},
		{url.URL{Path: "/", RawQuery: "token=abc\r\n"}, "/?token=abc"},
		{url.URL{Path: "/", RawQuery: "a=\x00\x7f"}, "/?a=%00%7F"},
		{url.URL{Path: "/大 厅/a/b"}, "/%E5%A4%A7%20%E5%8E%85/a/b"},
		{url.URL{Path: "/大 厅/a/b", RawPath: "/大 厅/a%2Fb"}, "/%E5%A4%A7%20%E5%8E%85/a%2Fb"},
		{url.URL{Path: "/a", RawPath: "/b c"}, "/a"}, // as net/url has it: RawPath is no encoding of Path
		{url.URL{Path: "/a?b#c"}, "/a%3Fb%23c"},
	} {
		test.url.Scheme, test.url.Host = "ws", "h"
		u, err := Normalize(&test.url)
		if err != nil {
			t.Fatal(err)
		}
		again, err := url.Parse(u.String()) // as the transport does
		if err != nil || again.RequestURI() != test.want {
			t.Errorf("%+v: %v, %v and not %s", test.url, again, err, test.want)
		}
		if twice, err := Normalize(again); err != nil || twice.String() != again.String() {
			t.Errorf("%s became %s, %v, the second time", again, twice, err)
		}
	}
}

// The URL of a hook obeys the same rules.
func TestNormalizeRefusesAFragment(t *testing.T) {
	if _, err := Normalize(&url.URL{Scheme: "ws", Host: "h", Path: "/", Fragment: "a"}); err == nil {
		t.Error("a fragment was accepted")
	}
}

// The host stands in a header, too, and is no secret: errors name it.
func TestHostIsNoSecret(t *testing.T) {
	secrets := NewSecrets(&url.URL{Scheme: "wss", Host: "example.com"},
		map[string][]string{"Host": {"example.com"}, "Authorization": {"Bearer abcdef"}}, nil)
	if got := secrets.Hide("example.com does not know abcdef"); got != "example.com does not know xxxxx" {
		t.Errorf("%q", got)
	}
}

// What net/url and net/http say stands in an error without the address, and in words that say what to change.
func TestErrorsWithoutTheirURL(t *testing.T) {
	parse := func(raw string) error { _, err := url.Parse(raw); return err }
	escape, host := parse("ws://h/%zz?secret"), parse("ws://a b/?secret")
	other := errors.New("no route to host")
	for _, test := range []struct {
		err  error
		want string
	}{
		{other, "no route to host"},
		{&url.Error{Op: "Get", URL: "ws://secret", Err: other}, "no route to host"},
		{fmt.Errorf("dialling: %w", &url.Error{Op: "Get", URL: "ws://secret", Err: other}), "no route to host"},
		{escape, `invalid URL escape "%zz"`},
		{host, `invalid character " " in host name`},
		{&url.Error{Op: "parse", URL: "secret", Err: errors.New("missing protocol scheme")}, "it has no scheme: put ws:// or wss:// before it"},
		{&url.Error{Op: "parse", URL: "secret", Err: errors.New("first path segment in URL cannot contain colon")}, "it has no scheme: put ws:// or wss:// before it"},
		{&url.Error{Op: "parse", URL: "secret", Err: errors.New(`invalid port ":secret" after host`)}, "its port must be a number from 1 to 65535"},
		{&url.Error{Op: "parse", URL: "secret", Err: errors.New("net/url: invalid userinfo")}, "its user or password holds a character that must be percent-encoded"},
		{&url.Error{Op: "parse", URL: "secret", Err: errors.New("secret")}, "it is not a URL of RFC 3986"},
	} {
		if got := withoutURL(test.err); got == nil || got.Error() != test.want {
			t.Errorf("%v becomes %v, want %s", test.err, got, test.want)
		}
	}
}

func TestRedactedText(t *testing.T) {
	for raw, want := range map[string]string{"ws://u:secret@h/?a=secret": "ws://u:xxxxx@h/?a=xxxxx", "://secret": ""} {
		if got := RedactedText(raw); got != want {
			t.Errorf("%q: %q", raw, got)
		}
	}
}

// What can't be seen is escaped, and the length bounded: to 512 bytes, and to 1024 for a line with advice at its end.
func TestPrintable(t *testing.T) {
	long := strings.Repeat("x", 512)
	for text, want := range map[string]string{
		"": "", "κόσμε �": "κόσμε �", "\xff\x1b\u202e\n": `\xff\x1b\u202e\n`,
		long: long, long + "y": long + "…", long[1:] + "大": long[1:] + "大", long[1:] + "大y": long[1:] + "大…",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
	if got := Line(long + long); got != long+long {
		t.Errorf("a line of 1024 bytes is shown as %q", got)
	}
	if got := Line(long + long + "y"); got != long+long+"…" {
		t.Errorf("a line of 1025 bytes is shown as %q", got)
	}
	inner := errors.New("\x00")
	if err := Quoting(inner); err.Error() != `\x00` || !errors.Is(err, inner) {
		t.Errorf("%v", err)
	}
}
