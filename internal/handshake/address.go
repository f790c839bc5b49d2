package handshake

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Address joins base and userID as the store does, but with the user escaped,
// so that it can change neither the path nor the query. An error never holds
// base itself, since a token may stand in it.
func Address(base, userID string) (*url.URL, error) {
	u, err := parseURL(base)
	if err != nil {
		return nil, err
	}
	if userID == "" {
		return u, nil
	}
	if strings.Contains(base, "?") {
		return parseURL(base + url.QueryEscape(userID))
	}
	if u.Path == "" {
		base += "/" // else the user would be part of the host
	}
	return parseURL(base + escapeSegment(userID))
}

// escapeSegment escapes s as one segment of a path. Segments of dots alone
// would be taken as steps in the hierarchy, RFC 3986, section 5.2.4.
func escapeSegment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}

func parseURL(raw string) (*url.URL, error) {
	if strings.Contains(raw, "#") {
		// WHATWG would drop it; RFC 6455, section 3, forbids it.
		return nil, errors.New("wsnotify: the url has a fragment (#), which a WebSocket address must not have")
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("wsnotify: the url can't be parsed: it holds a control character")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("wsnotify: the url can't be parsed: %w", withoutURL(err))
	}
	return Normalize(u)
}

// What a browser percent-encodes in a path and in a query, besides spaces,
// controls and all that is not ASCII: WHATWG URL, section 1.3, the path and the
// special-query percent-encode sets. Three more of a path are what net/url
// takes for no path, and would encode together with every %2F in it.
const (
	escapedInPath  = "\"#<>?^`{}" + `\|`
	escapedInQuery = `"#<>'`
)

// percentEncode encodes what can't be sent, and nothing that is encoded.
func percentEncode(s, set string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f || strings.IndexByte(set, c) >= 0:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Normalize returns u as it is dialled: checked and percent-encoded. Address passes what a
// user configured through it, and BeforeDial's URL comes here as it is. Tabs and line
// breaks are dropped from a query as a browser drops them: mostly they are the end of a
// file that held a token.
func Normalize(u *url.URL) (*url.URL, error) {
	if err := check(u); err != nil {
		return nil, err
	}
	v := *u
	v.RawQuery = percentEncode(withoutBreaks.Replace(u.RawQuery), escapedInQuery)
	v.RawPath = percentEncode(u.RawPath, escapedInPath) // net/url ignores one that is no encoding of Path
	return &v, nil
}

var withoutBreaks = strings.NewReplacer("\t", "", "\n", "", "\r", "") // to make one takes 6 KB

// check accepts what can be dialled.
func check(u *url.URL) error {
	switch strings.ToLower(u.Scheme) {
	case "ws", "wss", "http", "https":
	case "":
		return errors.New("wsnotify: the url has no scheme; it must begin with ws://, wss://, http:// or https://")
	default:
		return fmt.Errorf("wsnotify: the url has the scheme %q; it must be ws, wss, http or https: before a host and port put ws:// or wss://", u.Scheme)
	}
	if u.Hostname() == "" {
		return errors.New("wsnotify: the url has no host, as in wss://example.com/ws/")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("wsnotify: the url has the port %q; it must be 1 to 65535", port)
		}
	}
	if u.Fragment != "" {
		return errors.New("wsnotify: the url has a fragment (#), which a WebSocket address must not have")
	}
	return nil
}
