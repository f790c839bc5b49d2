//go:build !js

package transport

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/extension"
)

// tripper is a RoundTripper of a user.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// body is that of a response, which says that it was closed.
type body struct {
	io.Reader
	closed atomic.Bool // perhaps twice
}

func (b *body) Close() error { b.closed.Store(true); return nil }

// duplex is one that can be written to.
type duplex struct{ body }

func (*duplex) Write(p []byte) (int, error) { return len(p), nil }

// switching is a 101 that is right for a request.
func switching(r *http.Request, b io.ReadCloser) *http.Response {
	key := ""
	for name, values := range r.Header {
		if strings.EqualFold(name, "Sec-WebSocket-Key") {
			key = values[0]
		}
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return &http.Response{StatusCode: 101, Body: b, Header: http.Header{
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {base64.StdEncoding.EncodeToString(sum[:])},
	}}
}

// Whatever a RoundTripper of the user's returns is a connection, or a response that says why not, or an error; and its
// body is closed unless it is the connection's.
func TestOpenOverARoundTripper(t *testing.T) {
	broken := errors.New("broken")
	with := func(resp *http.Response, name, value string) *http.Response {
		resp.Header.Set(name, value)
		return resp
	}
	for _, test := range []struct {
		name    string
		trip    func(r *http.Request, b *duplex) (*http.Response, error)
		err     string // "": it is open
		status  int    // of the response that is returned; 0: none
		text    string // what its body begins with
		header  http.Header
		remains bool // the body is not closed
	}{
		{name: "a 101", trip: func(r *http.Request, b *duplex) (*http.Response, error) { return switching(r, b), nil }, status: 101, remains: true},
		{name: "a 101 that compresses", trip: func(r *http.Request, b *duplex) (*http.Response, error) {
			return with(switching(r, b), "Sec-WebSocket-Extensions", "permessage-deflate"), nil
		}, status: 101, remains: true, header: http.Header{"Sec-Websocket-Extensions": {"permessage-deflate"}}},
		{name: "one with another extension", trip: func(r *http.Request, b *duplex) (*http.Response, error) {
			return with(switching(r, b), "Sec-WebSocket-Extensions", "x"), nil
		}, status: 101, header: http.Header{"Sec-Websocket-Extensions": {"x"}},
			err: "its answer about extensions, Sec-WebSocket-Extensions, is not allowed: it has an extension that was not offered; permessage-deflate was"},
		{name: "one with a wrong key", trip: func(r *http.Request, b *duplex) (*http.Response, error) {
			return with(switching(r, b), "Sec-WebSocket-Accept", "x"), nil
		}, status: 101, err: `WebSocket protocol violation: invalid Sec-WebSocket-Accept "x", key "`},
		{name: "one that can't be written to", trip: func(r *http.Request, b *duplex) (*http.Response, error) { return switching(r, &b.body), nil },
			status: 101, err: "the Transport of Config.HTTPClient returned it with a Body that can't be written to, and must pass it on as it is"},
		{name: "one without a body", trip: func(r *http.Request, b *duplex) (*http.Response, error) { return switching(r, nil), nil },
			status: 101, remains: true, err: "the Transport of Config.HTTPClient returned it with a Body that can't be written to, and must pass it on as it is"},
		{name: "an error", trip: func(*http.Request, *duplex) (*http.Response, error) { return nil, broken }, remains: true,
			err: `failed to WebSocket dial: failed to send handshake request: Get "http://server.test/ws": broken`},
		{name: "an error and a response", trip: func(_ *http.Request, b *duplex) (*http.Response, error) { return &http.Response{Body: b}, broken },
			err: `failed to WebSocket dial: failed to send handshake request: Get "http://server.test/ws": broken`},
		{name: "an error and a response without a body", trip: func(*http.Request, *duplex) (*http.Response, error) { return &http.Response{}, broken }, remains: true,
			err: `failed to WebSocket dial: failed to send handshake request: Get "http://server.test/ws": broken`},
		{name: "neither", trip: func(*http.Request, *duplex) (*http.Response, error) { return nil, nil }, remains: true,
			err: `failed to WebSocket dial: failed to send handshake request: Get "http://server.test/ws": the Transport of Config.HTTPClient returned neither a response nor an error`},
		{name: "a refusal", trip: func(_ *http.Request, b *duplex) (*http.Response, error) {
			return &http.Response{StatusCode: 403, Body: b, Header: http.Header{"X": {"y"}}}, nil
		}, status: 403, text: strings.Repeat("x", maxRefusal), header: http.Header{"X": {"y"}}, err: "expected handshake response status code 101 but got 403"},
		{name: "a refusal without anything", trip: func(_ *http.Request, b *duplex) (*http.Response, error) { return &http.Response{StatusCode: 403}, nil }, remains: true,
			status: 403, header: http.Header{}, err: "expected handshake response status code 101 but got 403"},
		{name: "300", trip: func(_ *http.Request, b *duplex) (*http.Response, error) {
			return &http.Response{StatusCode: 300, Header: http.Header{"Location": {"://"}}}, nil
		}, remains: true, status: 300, header: http.Header{"Location": {"://"}}, err: "expected handshake response status code 101 but got 300"},
		{name: "307", trip: func(_ *http.Request, b *duplex) (*http.Response, error) {
			return &http.Response{StatusCode: 307, Header: http.Header{"Location": {"http://elsewhere/"}}}, nil
		}, remains: true, status: 307, header: http.Header{"Location": {"http://elsewhere/"}}, err: "expected handshake response status code 101 but got 307"},
		{name: "400", trip: func(_ *http.Request, b *duplex) (*http.Response, error) {
			return &http.Response{StatusCode: 400, Header: http.Header{"Location": {"x"}}}, nil
		}, remains: true, status: 400, header: http.Header{"Location": {"x"}}, err: "expected handshake response status code 101 but got 400"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &duplex{body: body{Reader: strings.NewReader(strings.Repeat("x", maxRefusal+1))}}
			asked, answered, sent := 0, 0, 0
			u, _ := url.Parse("ws://Server.TEST:80/ws")
			conn, resp, err := Open(t.Context(), &Request{
				URL: u, Header: http.Header{"Host": {"other.test"}, "X-A": {"1"}}, Subprotocols: []string{"a", "b"}, Compression: &extension.Offer{Window: 15, Takeover: true},
				HTTPClient: &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
					asked++
					want := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "X-A": {"1"}, "Sec-WebSocket-Version": {"13"}, "Sec-WebSocket-Protocol": {"a, b"},
						"Sec-WebSocket-Extensions": {"permessage-deflate; client_max_window_bits"}, "Sec-WebSocket-Key": nil}
					for name, values := range r.Header {
						if name == "Sec-WebSocket-Key" { // spelled like that
							want[name] = values
						}
					}
					if r.Method != "GET" || r.URL.String() != "http://server.test/ws" || r.Host != "other.test" || !reflect.DeepEqual(r.Header, want) {
						t.Errorf("it was asked %s %s of %s, with %v", r.Method, r.URL, r.Host, r.Header)
					}
					return test.trip(r, b)
				})},
				Sending: func(proxy *url.URL, header http.Header) {
					if sent++; proxy != nil || header.Get("X-A") != "1" {
						t.Errorf("%v is sent to %v", header, proxy)
					}
				},
				Answered: func(resp *http.Response) {
					if answered++; resp.Request == nil || resp.Header == nil {
						t.Errorf("%+v was answered", resp)
					}
				},
			})
			if test.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				if compresses := conn.(*Upgraded).Compression() != nil; compresses != (test.header != nil) {
					t.Errorf("it compresses: %v", compresses)
				}
			} else if conn != nil || err == nil || !strings.HasPrefix(err.Error(), test.err) {
				t.Errorf("%v, want %s", err, test.err)
			}
			if (resp != nil) != (test.status != 0) || asked != 1 || sent != 1 || answered != min(test.status, 1) {
				t.Fatalf("asked %d times, answered %d times, with %v", asked, answered, resp)
			}
			if resp != nil {
				var text []byte
				if resp.Body != nil { // which coder/websocket takes out of a 101
					text, _ = io.ReadAll(resp.Body)
				}
				if resp.StatusCode != test.status || string(text) != test.text || resp.Request == nil {
					t.Errorf("%d, %q", resp.StatusCode, text)
				}
				for name, values := range test.header {
					if !reflect.DeepEqual(resp.Header[name], values) {
						t.Errorf("%s is %q", name, resp.Header[name])
					}
				}
			}
			if b.closed.Load() == test.remains {
				t.Errorf("the body is closed: %v", b.closed.Load())
			}
			if conn != nil {
				<-conn.End()
				if !b.closed.Load() {
					t.Error("the connection is not closed")
				}
			}
		})
	}
}

// An attempt whose time is over ends with that, whatever its RoundTripper does meanwhile, and leaves nothing open.
func TestOpenWhoseTimeIsOver(t *testing.T) {
	u, _ := url.Parse("ws://server.test/")
	t.Run("with a connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			b := &duplex{}
			conn, resp, err := Open(ctx, &Request{URL: u, HTTPClient: &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
				cancel()
				synctest.Wait()
				return switching(r, b), nil
			})}})
			synctest.Wait()
			if conn != nil || resp == nil || err != context.Canceled || !b.closed.Load() {
				t.Errorf("%v, %v, %v, the body is closed: %v", conn, resp, err, b.closed.Load())
			}
		})
	})
	t.Run("with a net.Conn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			began := time.Now()
			conn, _, err := Open(t.Context(), &Request{URL: u, HTTPClient: &http.Client{Timeout: time.Minute, Transport: tripper(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				synctest.Wait()
				httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{Conn: near})
				_, err := near.Write([]byte("x"))
				return nil, err
			})}})
			if conn != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
				t.Errorf("%v, after %v", err, time.Since(began))
			}
			if _, err := far.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the net.Conn is not closed: %v", err)
			}
		})
	})
	t.Run("in a Read of the response", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			near, _ := net.Pipe()
			_, _, err := Open(t.Context(), &Request{URL: u, HTTPClient: &http.Client{Timeout: time.Minute, Transport: tripper(func(r *http.Request) (*http.Response, error) {
				httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{Conn: near})
				_, err := near.Read(make([]byte, 1))
				return nil, err
			})}})
			if err != context.DeadlineExceeded { // for which the socket was closed
				t.Errorf("%v", err)
			}
		})
	})
}

// A refusal's body is waited for a moment, or half of the time that is left; what came of it is shown.
func TestBodyThatTakesItsTime(t *testing.T) {
	for _, test := range []struct{ left, want time.Duration }{{time.Hour, time.Second}, {time.Second, time.Second / 2}} {
		synctest.Test(t, func(t *testing.T) {
			u, _ := url.Parse("ws://server.test/")
			ctx, cancel := context.WithTimeout(t.Context(), test.left)
			defer cancel()
			r, w := io.Pipe()
			go io.WriteString(w, "some")
			began := time.Now()
			_, resp, err := Open(ctx, &Request{URL: u, HTTPClient: &http.Client{Transport: tripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 500, Body: r}, nil
			})}})
			text, _ := io.ReadAll(resp.Body)
			if string(text) != "some" || err == nil || time.Since(began) != test.want {
				t.Errorf("%q, %v after %v", text, err, time.Since(began))
			}
		})
	}
}

// The host is written as a browser does: in small letters, in ASCII, and without the port of the scheme.
func TestHostOfABrowser(t *testing.T) {
	for raw, want := range map[string]string{
		"ws://Server.TEST/a?b": "ws://server.test/a?b", "ws://h:80/": "ws://h/", "http://h:080/": "http://h/", "wss://h:443/": "wss://h/", "https://h:443/": "https://h/",
		"ws://h:443/": "ws://h:443/", "wss://h:80/": "wss://h:80/", "wss://h:08443/": "wss://h:8443/", "ws://h:/": "ws://h/",
		"ws://[2001:DB8::0:1]:80/": "ws://[2001:db8::1]/", "ws://[fe80::1%25eth0]:81/": "ws://[fe80::1%25eth0]:81/", "ws://[v1.x:y]/": "ws://[v1.x:y]/",
		"ws://BÜCHER.example:81/": "ws://xn--bcher-kva.example:81/", "ws://大.example/": "ws://xn--pss.example/",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			continue // not of this version of Go
		}
		got, err := asBrowser(u)
		if err != nil || got.String() != want {
			t.Errorf("%s is %v, %v, want %s", raw, got, err, want)
		}
	}
	for host, want := range map[string]string{
		"\u00ad": `the host "\u00ad" is no name that the DNS could have (IDNA, UTS 46)`,
		"大 x":    `the host "大 x" is no name that the DNS could have (IDNA, UTS 46)`,
	} {
		if got, err := asciiHost(host); err == nil || err.Error() != want {
			t.Errorf("%q is %q, %v", host, got, err)
		}
	}
	if _, err := asBrowser(&url.URL{Scheme: "ws", Opaque: "//h/%zz"}); err == nil {
		t.Error("what a hook has made of the url was not read again")
	}
	for scheme, want := range map[string]string{"ws": "80", "http": "80", "wss": "443", "https": "443", "socks5": "1080", "socks5h": "1080"} {
		if got := defaultPort(scheme); got != want {
			t.Errorf("the port of %s is %s", scheme, got)
		}
	}
}

// A proxy is asked to CONNECT as the user's http.Transport says, and what it answers is looked at as that says, too.
func TestConnect(t *testing.T) {
	broken := errors.New("broken")
	const ok = "HTTP/1.1 200 OK\r\n\r\n"
	for _, test := range []struct {
		name   string
		proxy  string
		set    func(*http.Transport)
		answer string
		asked  string // behind its first two lines
		want   string // "": the tunnel is there
		opErr  bool
	}{
		{name: "a tunnel", answer: ok},
		{name: "299", answer: "HTTP/1.1 299 OK\r\n\r\n"},
		{name: "one to come", answer: "HTTP/1.1 102 Soon\r\n\r\n" + ok},
		{name: "101", answer: "HTTP/1.1 101 No\r\n\r\n", want: "the proxy answered CONNECT with 101 Switching Protocols"},
		{name: "403", answer: "HTTP/1.1 403 No\r\n\r\n", want: "the proxy answered CONNECT with 403 Forbidden"},
		{name: "nothing", answer: "", want: "proxyconnect tcp: unexpected EOF", opErr: true},
		{name: "half", answer: "HTTP/1.1 200", want: "proxyconnect tcp: unexpected EOF", opErr: true},
		{name: "no HTTP", answer: "SSH-2.0 x\r\n", want: `malformed HTTP status code "x"`},
		{name: "too much", answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2000) + "\r\n\r\n", want: "the proxy's answer to CONNECT has more than 1000 bytes of headers"},
		{name: "a user", proxy: "ada:secret@", answer: ok, asked: "Proxy-Authorization: Basic YWRhOnNlY3JldA==\r\n"},
		{name: "a user alone", proxy: "ada@", answer: ok, asked: "Proxy-Authorization: Basic YWRhOg==\r\n"},
		{name: "a header", proxy: "ada@", answer: ok, asked: "Proxy-Authorization: x\r\nX: y\r\n", set: func(t *http.Transport) {
			t.ProxyConnectHeader = http.Header{"Proxy-Authorization": {"x"}, "X": {"y"}}
		}},
		{name: "a function for it", answer: ok, asked: "X: z\r\n", set: func(t *http.Transport) {
			t.ProxyConnectHeader = http.Header{"X": {"y"}}
			t.GetProxyConnectHeader = func(_ context.Context, proxy *url.URL, target string) (http.Header, error) {
				if proxy.Host != "proxy:3128" || target != "server:443" {
					return nil, fmt.Errorf("%v, %s", proxy, target)
				}
				return http.Header{"X": {"z"}}, nil
			}
		}},
		{name: "one that fails", answer: ok, want: "broken", asked: "none", set: func(t *http.Transport) {
			t.GetProxyConnectHeader = func(context.Context, *url.URL, string) (http.Header, error) { return nil, broken }
		}},
		{name: "a check", answer: ok, set: func(t *http.Transport) {
			t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
				if resp.StatusCode != 200 {
					return broken
				}
				return nil
			}
		}},
		{name: "a check that fails", answer: ok, want: "broken", set: func(t *http.Transport) {
			t.OnProxyConnectResponse = func(context.Context, *url.URL, *http.Request, *http.Response) error { return broken }
		}},
		{name: "a check of a refusal", answer: "HTTP/1.1 502 No\r\n\r\n", want: "the proxy answered CONNECT with 502 Bad Gateway", set: func(t *http.Transport) {
			t.OnProxyConnectResponse = func(context.Context, *url.URL, *http.Request, *http.Response) error { return nil }
		}},
	} {
		near, far := net.Pipe()
		asked := make(chan string, 1)
		go func() {
			defer far.Close()
			p := make([]byte, 4<<10)
			n, _ := far.Read(p)
			asked <- string(p[:n])
			io.WriteString(far, test.answer)
		}()
		tr := &http.Transport{MaxResponseHeaderBytes: 1000}
		if test.set != nil {
			test.set(tr)
		}
		d := &dialing{ctx: t.Context(), sock: NewSocket(Options{}), req: &Request{}}
		r := d.route(tr)
		r.proxy, _ = url.Parse("http://" + test.proxy + "proxy:3128")
		err := r.connect(near, "server:443")
		if got := fmt.Sprint(err); test.want == "" && err != nil || test.want != "" && got != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
		if op := (*net.OpError)(nil); errors.As(err, &op) != test.opErr {
			t.Errorf("%s: %#v", test.name, err)
		}
		near.Close()
		if want := "CONNECT server:443 HTTP/1.1\r\nHost: server:443\r\nUser-Agent: Go-http-client/1.1\r\n" + test.asked + "\r\n"; test.asked != "none" {
			if got := <-asked; got != want {
				t.Errorf("%s: it was asked %q, want %q", test.name, got, want)
			}
		}
	}
	near, far := net.Pipe()
	far.Close()
	r := (&dialing{ctx: t.Context(), sock: NewSocket(Options{}), req: &Request{}}).route(&http.Transport{})
	r.proxy, _ = url.Parse("http://proxy")
	if err := r.connect(near, "server:443"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a proxy that is gone: %v", err)
	}
}
