package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/wsnotify/wsnotify"
)

// What is shown of a handshake: not what may be a secret, also where the server repeats it; over HTTP/2, what is asked there.
func TestHandshakesThatAreShown(t *testing.T) {
	request := func(address string) *wsnotify.DialRequest {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return &wsnotify.DialRequest{URL: u, Header: http.Header{
			"Accept": {"text/plain"}, "Host": {"virtual"}, "Authorization": {"Bearer t0ken-of-ada"}, "X-Short": {"abc"},
		}, Subprotocols: []string{"v2.chat", "v2.chat.more"}}
	}
	answer := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Accept": {"key"}, "Host": {"a"}, "Location": {"/login"}, "Set-Cookie": {"a=b", "c=d"},
		"X-Said": {"abc, t0ken-of-ada, p4ge, v2.chat.more"},
	}
	asked := []string{"> Accept: text/plain", "> Authorization: xxxxx", "> X-Short: xxxxx", "> Sec-WebSocket-Protocol: xxxxx", "> Sec-WebSocket-Protocol: xxxxx"}
	said := []string{"< Location: xxxxx", "< Set-Cookie: xxxxx", "< Set-Cookie: xxxxx", "< X-Said: abc, xxxxx, xxxxx, xxxxx"}
	upgrade := []string{"< Connection: Upgrade", "< Location: xxxxx", "< Sec-Websocket-Accept: key", "< Set-Cookie: xxxxx", "< Set-Cookie: xxxxx", "< Upgrade: websocket"}
	for _, test := range []struct {
		http2   bool
		address string
		want    []string
	}{
		{false, "ws://ada:secret@host:8080/ws?page=p4ge&n=1", slices.Concat([]string{"> GET /ws?page=xxxxx&n=xxxxx HTTP/1.1", "> Host: virtual"}, asked,
			[]string{"< HTTP/1.1 101 Switching Protocols"}, upgrade, said[3:], []string{"opened"},
			[]string{"< HTTP/1.1 503 Service Unavailable"}, upgrade, said[3:], []string{"failed wsnotify: expected 101 Switching Protocols, got 503 Service Unavailable", "failed x", "failed wsnotify: expected 101 Switching Protocols, got status 0"})},
		{true, "ws://host?page=p4ge", slices.Concat([]string{"> CONNECT /?page=xxxxx HTTP/2", "> :protocol: websocket", "> Host: virtual"}, asked,
			[]string{"< HTTP/2 200 OK"}, said, []string{"opened"},
			[]string{"< HTTP/2 503 Service Unavailable"}, upgrade, said[3:], []string{"failed wsnotify: expected 101 Switching Protocols, got 503 Service Unavailable", "failed x", "failed wsnotify: expected 101 Switching Protocols, got status 0"})},
	} {
		var got []string
		say := func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }
		var refused error
		cfg := wsnotify.Config{
			BeforeDial: func(context.Context, *wsnotify.DialRequest) error { return refused },
			OnOpen:     func(wsnotify.OpenEvent) { say("opened") },
			OnError:    func(err error) { say("failed %v", err) },
		}
		showHandshakes(say, &cfg, test.http2)
		if err := cfg.BeforeDial(t.Context(), request(test.address)); err != nil {
			t.Error(err)
		}
		cfg.OnOpen(wsnotify.OpenEvent{Header: answer})
		cfg.OnError(&wsnotify.HandshakeError{StatusCode: 503, Header: answer})
		cfg.OnError(errors.New("x"))
		cfg.OnError(&wsnotify.HandshakeError{})
		if !slices.Equal(got, test.want) {
			t.Errorf("it shows\n%q, want\n%q", got, test.want)
		}
		refused, got = errors.New("no token"), nil
		if err := cfg.BeforeDial(t.Context(), request(test.address)); err != refused || got != nil {
			t.Errorf("a hook's error is %v, and it shows %q", err, got)
		}
	}
	var got []string
	var cfg wsnotify.Config // without callbacks
	showHandshakes(func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }, &cfg, false)
	r := request("ws://host/")
	r.Header, r.Subprotocols = nil, nil
	cfg.BeforeDial(t.Context(), r)
	cfg.OnOpen(wsnotify.OpenEvent{})
	cfg.OnError(errors.New("x"))
	if want := []string{"> GET / HTTP/1.1", "> Host: host", "< HTTP/1.1 101 Switching Protocols"}; !slices.Equal(got, want) {
		t.Errorf("it shows %q, want %q", got, want)
	}
}
