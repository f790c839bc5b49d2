package wsnotify_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/handshake"
)

// An error says what was expected, what came and what to do, without the
// secrets of the request.
func TestErrorsOfAHandshake(t *testing.T) {
	page := "<!DOCTYPE html>\r\n<html><head><TITLE>503 Service Temporarily\tUnavailable</TITLE></head>"
	for name, test := range map[string]struct {
		url      string
		response string
		want     string // behind "wsnotify: giving up after 1 attempt: dialling " and the address
	}{
		"401": {"ws://server.test/", response(401, "token expired\nmore"),
			`expected 101 Switching Protocols, got 401 Unauthorized: its body says "token expired"; credentials are missing or have expired; BeforeDial can set new ones for each attempt`},
		"no body": {"ws://server.test/", response(404, ""),
			"expected 101 Switching Protocols, got 404 Not Found: check the path of the url"},
		"no more than the status": {"ws://server.test/", response(500, "Internal Server Error\n"),
			"expected 101 Switching Protocols, got 500 Internal Server Error: the server refused the handshake"},
		"a page": {"ws://server.test/", response(503, page),
			`expected 101 Switching Protocols, got 503 Service Unavailable: its body says "503 Service Temporarily\tUnavailable"`},
		"a page without a title": {"ws://server.test/", response(502, "<html><h1>no</h1>"),
			"expected 101 Switching Protocols, got 502 Bad Gateway: a proxy does not reach the server"},
		"what is not for a terminal": {"ws://server.test/", response(500, "\x1b[31mred\xff"+strings.Repeat("x", 500)),
			`expected 101 Switching Protocols, got 500 Internal Server Error: its body says "\x1b[31mred\xff` + strings.Repeat("x", 185) + `…"`},
		"compressed": {"ws://server.test/", response(500, "\x1f\x8b", "Content-Encoding: gzip"),
			"expected 101 Switching Protocols, got 500 Internal Server Error: the server refused the handshake"},
		"secrets": {"ws://ada:hunter2@server.test/?token=s%33same&v=1", response(403, "no hunter2, s%33same, s3same or YWRhOmh1bnRlcjI= and not token-of-a-header for 1"),
			`expected 101 Switching Protocols, got 403 Forbidden: its body says "no xxxxx, xxxxx, xxxxx or xxxxx and not xxxxx for 1"; check the credentials, and whether the server wants an Origin`},
		"a redirect": {"ws://server.test/ws/?token=sesame", response(302, "", "Location: https://u:p@elsewhere.test/login?next=%2Fws&sesame#x"),
			"expected 101 Switching Protocols, got 302 Found: redirects are not followed; if https://u:xxxxx@elsewhere.test/login?next=xxxxx&xxxxx is the WebSocket's address, use that"},
		"a redirect on the same host": {"ws://server.test/ws/", response(301, "", "Location: ../socket/"),
			"expected 101 Switching Protocols, got 301 Moved Permanently: redirects are not followed; if ws://server.test/socket/ is the WebSocket's address, use that"},
		"a redirect to nowhere": {"ws://server.test/", response(301, ""),
			"expected 101 Switching Protocols, got 301 Moved Permanently: redirects are not followed, and this one has no Location"},
		"a redirect to what is no url": {"ws://server.test/", response(301, "", "Location: http://[::1/%zz"),
			"expected 101 Switching Protocols, got 301 Moved Permanently: redirects are not followed, and the Location of this one is not a URL"},
		"a 101 that is wrong": {"ws://server.test/", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
			`the server's 101 Switching Protocols opens no WebSocket: WebSocket protocol violation: Upgrade header "h2c" does not contain websocket`},
		"TLS": {"ws://server.test/ws/?token=sesame", "\x15\x03\x01\x00\x02\x02\x46\r\n",
			`net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01\x00\x02\x02F"; ws:// to a port that speaks TLS: try wss://`},
		"TLS, to http": {"http://server.test/", "\x15\x03\x01\x00\x02\x02\x46\r\n",
			`net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01\x00\x02\x02F"; http:// to a port that speaks TLS: try https://`},
		"nothing": {"ws://server.test/", "", "EOF; the server hung up without an answer: if that port speaks TLS, try wss://; else check port and path of the url"},
		// What servers answer to a path that they don't know, or to the wrong scheme.
		"400 of ws in Node": {"ws://server.test/wrong", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\r\nBad Request",
			"expected 101 Switching Protocols, got 400 Bad Request: check the path of the url, and whether a proxy removed the Upgrade header"},
		"200 of Node": {"ws://server.test/wrong", response(200, "<html><body>hello</body></html>"),
			"expected 101 Switching Protocols, got 200 OK: the url is a web page and not a WebSocket: check its path, and whether a proxy removed the Upgrade header"},
		"404 of http.server in Python": {"ws://server.test/wrong", response(404, "<!DOCTYPE HTML>\n<html lang=\"en\">\n<head><title>Error response</title></head>"),
			`expected 101 Switching Protocols, got 404 Not Found: its body says "Error response"; check the path of the url`},
		"405 of aiohttp": {"ws://server.test/wrong", response(405, "405: Method Not Allowed", "Allow: POST"),
			`expected 101 Switching Protocols, got 405 Method Not Allowed: its body says "405: Method Not Allowed"; check the path of the url`},
		"426 of ws in Node": {"ws://server.test/", response(426, "Upgrade Required"),
			"expected 101 Switching Protocols, got 426 Upgrade Required: the server speaks another protocol or version there: check the path of the url"},
		"400 of TLS in nginx": {"ws://server.test/", response(400, "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>"),
			`expected 101 Switching Protocols, got 400 Bad Request: its body says "400 The plain HTTP request was sent to HTTPS port"; ws:// to a port that speaks TLS: try wss://`},
		"400 of TLS in Go": {"ws://server.test/", "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
			`expected 101 Switching Protocols, got 400 Bad Request: its body says "Client sent an HTTP request to an HTTPS server."; ws:// to a port that speaks TLS: try wss://`},
		"no HTTP": {"ws://server.test/", "SSH-2.0-OpenSSH_9.2\r\n",
			`net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0-OpenSSH_9.2"; what listens there does not speak HTTP: check the port of the url`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := wsnotify.Config{BackOff: never, Header: http.Header{"Authorization": {"Bearer token-of-a-header"}}}
			inRawBubble(t, cfg, func(p *rawPeer) {
				p.answer(test.response)
				if test.response != "" {
					p.rest(time.Minute)
				}
			}, func(w *world, _ *rawNet) {
				err := w.c.Connect(w.Context(), test.url, "")
				u, _ := url.Parse(test.url)
				want := "wsnotify: giving up after 1 attempt: dialling " + handshake.Redacted(u) + ": " + test.want
				if err == nil || err.Error() != want {
					t.Errorf("the error is\n%v\nand not\n%s", err, want)
				}
				checkShown(t, err.Error())
			})
		})
	}
}

// TLS to a port that does not speak it: a server answers the ClientHello in
// HTTP, or, as Python's http.server does, with a page alone.
func TestErrorsOfTLSToAPlainPort(t *testing.T) {
	for name, test := range map[string]struct{ response, want string }{
		"Go, Node, nginx": {"HTTP/1.1 400 Bad Request\r\n\r\n", "wss:// to a port that speaks plain HTTP: try ws://"},
		"Python":          {"<!DOCTYPE HTML>\n<html lang=\"en\">", "wss:// to a port that does not speak TLS: try ws://"},
		"nothing":         {"", "the server hung up in the TLS handshake: if that port does not speak TLS, try ws://; else check the port of the url"},
	} {
		t.Run(name, func(t *testing.T) {
			inRawBubble(t, wsnotify.Config{BackOff: never}, func(p *rawPeer) {
				p.take(func(b []byte) int { return len(b) })
				p.write(test.response)
				p.rest(time.Second)
			}, func(w *world, _ *rawNet) {
				err := w.c.Connect(w.Context(), "wss://server.test/?token=hunter2", "")
				if err == nil || !strings.HasSuffix(err.Error(), test.want) || strings.Count(err.Error(), "wss://server.test/?token=xxxxx") != 1 {
					t.Errorf("the error is %v", err)
				}
			})
		})
	}
}

// A server of HTTP that waits for the end of a line, as those on Python's asyncio do, does not answer a
// ClientHello: whatever ends the attempt, the error says what to try.
func TestErrorsOfTLSThatIsNotAnswered(t *testing.T) {
	silent := func(f func(w *world)) {
		t.Helper()
		inRawBubble(t, wsnotify.Config{BackOff: never, DialTimeout: 4 * time.Second}, func(p *rawPeer) { p.silence() }, func(w *world, _ *rawNet) { f(w) })
	}
	silent(func(w *world) {
		err := w.c.Connect(w.Context(), "wss://server.test/?token=hunter2", "")
		want := "wsnotify: giving up after 1 attempt: dialling wss://server.test/?token=xxxxx: no connection within 4s: context deadline exceeded; " +
			"the server did not answer the TLS handshake: if that port does not speak TLS, try ws://; else check the port of the url"
		if err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is\n%v\nand not\n%s", err, want)
		}
	})
	silent(func(w *world) {
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		err := w.c.Connect(ctx, "wss://server.test/", "")
		want := "an attempt was under way, dialling wss://server.test/: the server had not answered the TLS handshake"
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("the error is %v", err)
		}
	})
	silent(func(w *world) { // which is no TLS
		err := w.c.Connect(w.Context(), "ws://server.test/", "")
		if err == nil || !strings.HasSuffix(err.Error(), "no connection within 4s: context deadline exceeded") {
			t.Errorf("the error is %v", err)
		}
	})
}
