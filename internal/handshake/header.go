package handshake

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// CheckSubprotocols shows none of them, since one may be a token that lets
// in. Its text follows the name of the field.
func CheckSubprotocols(protocols []string) error {
	for i, p := range protocols {
		if !isToken(p) {
			return fmt.Errorf("[%d] is not a token of RFC 9110: it is empty, or has a space, a comma or the like in it", i)
		}
		if j := slices.Index(protocols, p); j < i {
			return fmt.Errorf("[%d] is there twice, as [%d] too", i, j)
		}
	}
	return nil
}

// CanonicalHeader returns a copy of h with its names as net/http spells them;
// under others it would send Host and User-Agent twice. Two spellings of one
// name with different values are left for CheckHeader to refuse.
func CanonicalHeader(h http.Header) http.Header {
	if h == nil {
		return nil
	}
	out := make(http.Header, len(h))
	var others []string
	for key, values := range h {
		if http.CanonicalHeaderKey(key) == key {
			out[key] = slices.Clone(values)
		} else {
			others = append(others, key)
		}
	}
	slices.Sort(others)
	for _, key := range others {
		canonical := http.CanonicalHeaderKey(key)
		if taken, ok := out[canonical]; ok {
			if !slices.Equal(taken, h[key]) {
				out[key] = slices.Clone(h[key])
			}
			continue
		}
		out[canonical] = slices.Clone(h[key])
	}
	return out
}

// CheckHeader checks what net/http would refuse only after the dial, and
// what the transport would overwrite or send twice.
func CheckHeader(h http.Header) error {
	for key, values := range h {
		if !isToken(key) {
			return fmt.Errorf("%q is not the name of a header field", key)
		}
		switch canonical := http.CanonicalHeaderKey(key); {
		case canonical != key:
			return fmt.Errorf("%q and %q are one field, and have different values", canonical, key)
		case strings.HasPrefix(canonical, "Sec-Websocket-"):
			return fmt.Errorf("%s is set by the transport; use Config.Subprotocols and Config.Compression", canonical)
		case canonical == "Connection" || canonical == "Upgrade":
			return fmt.Errorf("%s is set by the transport", canonical)
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("the value of %s holds a control character", key) // which may stand in a secret
			}
		}
	}
	return nil
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// CheckResponse looks for what the transport lets pass in a 101, and WHATWG
// and RFC 6455, sections 4.1 and 11.3, don't. A browser has looked by itself,
// and shows no response.
func CheckResponse(offered []string, resp *http.Response, subprotocol string) error {
	if resp == nil {
		return nil
	}
	for _, name := range []string{"Sec-WebSocket-Accept", "Sec-WebSocket-Protocol"} {
		if len(resp.Header.Values(name)) > 1 {
			return fmt.Errorf("it has more than one %s", name)
		}
	}
	switch {
	case len(offered) == 0 || slices.Contains(offered, subprotocol):
		return nil
	case subprotocol == "":
		return errors.New("it chose none of the offered subprotocols")
	}
	return fmt.Errorf("it chose the subprotocol %q, which was not offered", subprotocol)
}
