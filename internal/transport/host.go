//go:build !js

package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// asBrowser returns u with its host as a browser has it: in small letters, in
// ASCII, and without the scheme's own port. Servers that sign or compare the
// Host field answer 400 or 403 to any other.
func asBrowser(u *url.URL) (*url.URL, error) {
	u, err := url.Parse(u.String()) // as the transport does; a hook may have set Opaque
	if err != nil {
		return nil, err
	}
	host, err := browserHost(u.Hostname())
	if err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(u.Port()); err == nil && strconv.Itoa(n) != defaultPort(u.Scheme) {
		host += ":" + strconv.Itoa(n)
	}
	u.Host = host
	return u, nil
}

func defaultPort(scheme string) string {
	switch scheme {
	case "ws", "http":
		return "80"
	case "socks5", "socks5h":
		return "1080"
	}
	return "443"
}

func browserHost(host string) (string, error) {
	if strings.Contains(host, ":") {
		if ip, err := netip.ParseAddr(host); err == nil {
			host = ip.String() // its zone, if any, as it is
		}
		return "[" + host + "]", nil
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
		return asciiHost(host)
	}
	return strings.ToLower(host), nil
}

// errAsked ends the dial that asciiHost begins.
var errAsked = errors.New("it was only asked where it would dial")

// asciiHost returns the name in the DNS of a host that is not ASCII. net/http
// maps and encodes it as UTS 46 says, but only for the dial; into the Host
// field it writes an encoding of the capitals. So it is asked where it would
// dial.
func asciiHost(host string) (string, error) {
	var addr string
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, _, a string) (net.Conn, error) {
		addr = a
		return nil, errAsked
	}}
	_, err := t.RoundTrip(&http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: host}, Header: http.Header{}})
	name := strings.TrimSuffix(addr, ":80")
	if !errors.Is(err, errAsked) || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		return "", fmt.Errorf("the host %q is no name that the DNS could have (IDNA, UTS 46)", host)
	}
	return name, nil
}
