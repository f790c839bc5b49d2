package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/handshake"
)

// What --verbose shows of a handshake: what is asked and answered, as on the line, without what may be a
// secret. A subprotocol may be a token, too.

// plainHeaders are those of a request whose values are shown.
var plainHeaders = []string{"Accept", "Accept-Language", "Cache-Control", "Origin", "Pragma", "User-Agent"}

const hidden = "xxxxx"

// showHandshakes adds to cfg what reports each handshake by say. Over HTTP/2 it is another one: RFC 8441,
// section 5.
func showHandshakes(say func(string, ...any), cfg *wsnotify.Config, http2 bool) {
	method, proto := http.MethodGet, "HTTP/1.1"
	if http2 {
		method, proto = http.MethodConnect, "HTTP/2"
	}
	before, opened, failed := cfg.BeforeDial, cfg.OnOpen, cfg.OnError
	var secrets atomic.Value // []string, of the latest request: a server may repeat them
	secrets.Store([]string(nil))
	answered := func(status int, header http.Header) {
		if http2 && status == http.StatusSwitchingProtocols { // as h2.Transport has it for those who know HTTP/1.1
			status, header = http.StatusOK, header.Clone()
			for _, name := range []string{"Connection", "Upgrade", "Sec-WebSocket-Accept"} {
				header.Del(name)
			}
		}
		say("< %s %d %s", proto, status, http.StatusText(status))
		showHeader(header, func(name, value string) {
			if name == "Set-Cookie" || name == "Location" {
				value = hidden
			}
			for _, secret := range secrets.Load().([]string) {
				value = strings.ReplaceAll(value, secret, hidden)
			}
			say("< %s: %s", name, shorten(value, 1000))
		})
	}
	cfg.BeforeDial = func(ctx context.Context, req *wsnotify.DialRequest) error {
		if before != nil {
			if err := before(ctx, req); err != nil {
				return err
			}
		}
		u := *req.URL
		u.Scheme, u.Host, u.User = "", "", nil
		if u.Path == "" {
			u.Path = "/"
		}
		say("> %s %s %s", method, handshake.Redacted(&u), proto)
		if http2 {
			say("> :protocol: websocket")
		}
		host := req.Header.Get("Host")
		if host == "" {
			host = req.URL.Host
		}
		say("> Host: %s", host)
		found := slices.Concat(slices.Collect(maps.Values(req.URL.Query()))...)
		showHeader(req.Header, func(name, value string) {
			if !slices.Contains(plainHeaders, name) {
				found = append(append(found, value), strings.Fields(value)...)
				value = hidden
			}
			say("> %s: %s", name, value)
		})
		for _, name := range req.Subprotocols {
			found = append(found, name)
			say("> Sec-WebSocket-Protocol: %s", hidden)
		}
		found = slices.DeleteFunc(found, func(s string) bool { return len(s) < 4 }) // else hardly a line would be legible
		slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
		secrets.Store(found)
		return nil
	}
	cfg.OnOpen = func(ev wsnotify.OpenEvent) {
		answered(http.StatusSwitchingProtocols, ev.Header)
		if opened != nil {
			opened(ev)
		}
	}
	cfg.OnError = func(err error) {
		if h := (*wsnotify.HandshakeError)(nil); errors.As(err, &h) && h.StatusCode != 0 {
			answered(h.StatusCode, h.Header)
		}
		if failed != nil {
			failed(err)
		}
	}
}

// showHeader calls show for each value but that of Host, which is told before.
func showHeader(header http.Header, show func(name, value string)) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			if name != "Host" {
				show(name, value)
			}
		}
	}
}
