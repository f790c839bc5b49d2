package handshake

import (
	"net/http"
	"net/textproto"
	"slices"
)

// What of a handshake may stand in a recording, which is given to others.

// harmless are the headers whose values no application puts a secret into. Any other may be a token of
// somebody.
var harmless = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Type",
	"Date", "Host", "Origin", "Pragma", "Retry-After", "Sec-Websocket-Accept", "Sec-Websocket-Extensions", "Sec-Websocket-Key",
	"Sec-Websocket-Version", "Server", "Upgrade", "User-Agent", "Vary", "Via",
}

// RedactedHeader returns h without the values that may be secrets, and with redact applied to the others;
// nil if there are none.
func RedactedHeader(h http.Header, redact func(string) string) http.Header {
	if len(h) == 0 {
		return nil
	}
	shown := make(http.Header, len(h))
	for name, values := range h {
		fine := slices.Contains(harmless, textproto.CanonicalMIMEHeaderKey(name))
		for _, v := range values {
			if fine {
				v = redact(v)
			} else {
				v = "xxxxx"
			}
			shown[name] = append(shown[name], v)
		}
	}
	return shown
}

// RedactedSubprotocol returns the subprotocol that was chosen, unless it looks like a token: some servers
// take one there, and repeat it.
func RedactedSubprotocol(name string) string {
	digits, upper := 0, 0
	for _, c := range name {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'A' && c <= 'Z':
			upper++
		}
	}
	if len(name) > 64 || len(name) >= 16 && (digits >= 8 || digits > 0 && upper > 2) {
		return "xxxxx"
	}
	return name
}
