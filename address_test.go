package wsnotify

import (
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
	} {
		u, err := address(test.base, test.user)
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
		"ws://h:0/?token=secret":             "1 to 65535",
		"ws://h:99999/?token=secret":         "1 to 65535",
		"ws://h:port/?token=secret":          "1 to 65535",
		"ws://h/%zz?token=secret":            "%zz",
		"ws://user:secret@h:x/":              "1 to 65535",
		"ws://h/\x7f?token=secret":           "control character",
		"://h/?token=secret":                 "scheme",
		"ws://[::1/?token=secret":            "",
		"javascript:alert('secret')":         "must be ws, wss, http or https",
		"wss://us er:secret@h/":              "",
		"ws://h?token=secret&user=%zz&x=%zz": "", // url.Parse leaves the query alone
	} {
		u, err := address(base, "ada")
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
		if got := redacted(u); got != want {
			t.Errorf("%s: %s", raw, got)
		}
	}
}
