package wsnotify_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// headerFields returns the values of a header field of a request, by its exact name.
func headerFields(request, name string) (values []string) {
	for _, line := range strings.Split(request, "\r\n") {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			values = append(values, value)
		}
	}
	return values
}

// requestOf connects and returns the request that the server got.
func requestOf(t *testing.T, cfg wsnotify.Config, url string) (request string) {
	t.Helper()
	if cfg.BackOff == nil {
		cfg.BackOff = never
	}
	protocol := ""
	inRawBubble(t, cfg, func(p *rawPeer) {
		request = p.request()
		var extra []string
		if protocols := headerFields(request, "Sec-WebSocket-Protocol"); len(protocols) > 0 {
			protocol, _, _ = strings.Cut(protocols[0], ", ")
			extra = append(extra, "Sec-WebSocket-Protocol: "+protocol)
		}
		p.write(switching(request, extra...))
		p.frames(closeFrame(1000, ""))
		p.closed()
	}, func(w *world, _ *rawNet) {
		if err := w.c.Connect(w.Context(), url, ""); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		<-w.c.Done()
	})
	return request
}

// Names of header fields have no case, and yet there are servers that look for
// them as RFC 6455 spells them. Nothing leaves twice.
func TestHandshakeIsSpelledAsTheRFCDoes(t *testing.T) {
	request := requestOf(t, wsnotify.Config{
		Subprotocols: []string{"v1", "v2"}, Compression: wsnotify.CompressionNoContextTakeover,
	}, "ws://server.test/")
	for _, name := range []string{"Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"} {
		if got := headerFields(request, name); len(got) != 1 || strings.Count(strings.ToLower(request), "\r\n"+strings.ToLower(name)+":") != 1 {
			t.Errorf("%s is %q in\n%s", name, got, request)
		}
	}
	if got := headerFields(request, "Sec-WebSocket-Protocol"); len(got) != 1 || got[0] != "v1, v2" {
		t.Errorf("the subprotocols leave as %q", got)
	}
}

// The names in Config.Header may be written in any case, and those that
// BeforeDial sets. What it sets takes the place of what Config has.
func TestHeaderNamesInAnyCase(t *testing.T) {
	for name, value := range map[string]string{"host": "virtual.test", "user-agent": "ours/1", "AUTHORIZATION": "Bearer x", "cookie": "a=b", "x-app": "y"} {
		hook := func(_ context.Context, r *wsnotify.DialRequest) error {
			r.Header[name] = []string{value}
			return nil
		}
		canonical := http.CanonicalHeaderKey(name)
		for how, cfg := range map[string]wsnotify.Config{
			"Config":                       {Header: http.Header{name: {value}}},
			"both, and the same":           {Header: http.Header{name: {value}, canonical: {value}}},
			"BeforeDial":                   {BeforeDial: hook},
			"BeforeDial, and Config's":     {BeforeDial: hook, Header: http.Header{name: {"old"}}},
			"BeforeDial, and in that case": {BeforeDial: hook, Header: http.Header{canonical: {"old"}}},
			"Set": {Header: http.Header{name: {"old"}}, BeforeDial: func(_ context.Context, r *wsnotify.DialRequest) error {
				r.Header.Set(name, value)
				return nil
			}},
		} {
			request := requestOf(t, cfg, "ws://server.test/")
			if n := strings.Count(strings.ToLower(request), "\r\n"+strings.ToLower(name)+":"); n != 1 || !strings.Contains(request, "\r\n"+canonical+": "+value+"\r\n") {
				t.Errorf("%s in %s is sent %d times:\n%s", name, how, n, request)
			}
		}
	}
}

// Two spellings of one name that say different things are a mistake that
// nobody can guess the meaning of.
func TestHeaderNamesThatContradict(t *testing.T) {
	twice := http.Header{"x-app": {"a"}, "X-App": {"b"}}
	c := wsnotify.New(wsnotify.Config{Header: twice})
	if err := c.Connect(context.Background(), "ws://server.test", ""); err == nil || !strings.Contains(err.Error(), `Config.Header: "X-App" and "x-app" are one field`) {
		t.Error(err)
	}
}

func TestHostIsThatOfABrowser(t *testing.T) {
	for url, want := range map[string]string{
		"ws://example.test:80/ws/":              "example.test",
		"http://example.test:80/ws/":            "example.test",
		"ws://example.test:0080/ws/":            "example.test",
		"ws://example.test:/ws/":                "example.test",
		"ws://example.test/ws/":                 "example.test",
		"ws://example.test:443/ws/":             "example.test:443",
		"ws://example.test:8080/ws/":            "example.test:8080",
		"ws://EXAMPLE.Test/ws/":                 "example.test",
		"ws://bücher.test/ws/":                  "xn--bcher-kva.test",
		"ws://BÜCHER.test:80/ws/":               "xn--bcher-kva.test",
		"ws://bu\u0308cher.test/ws/":            "xn--bcher-kva.test",
		"ws://ｅｘａｍｐｌｅ。test:8080/":               "example.test:8080",
		"ws://例え.テスト/":                          "xn--r8jz45g.xn--zckzah",
		"ws://[::1]:80/ws/":                     "[::1]",
		"ws://[2001:DB8:0:0::1]:8080/":          "[2001:db8::1]:8080",
		"ws://[fe80::1%25ETH0]/":                "[fe80::1]",
		"ws://user:secret@EXAMPLE.test:80/?a=b": "example.test",
	} {
		request := requestOf(t, wsnotify.Config{}, url)
		if got := headerFields(request, "Host"); len(got) != 1 || got[0] != want {
			t.Errorf("%s: Host is %q and not %q", url, got, want)
		}
	}
}

// What BeforeDial makes of the address is treated as the address.
func TestHostThatBeforeDialSets(t *testing.T) {
	request := requestOf(t, wsnotify.Config{BeforeDial: func(_ context.Context, r *wsnotify.DialRequest) error {
		r.URL.Host, r.URL.RawQuery = "OTHER.test:80", "token=Bearer abc"
		return nil
	}}, "ws://server.test/ws/")
	if got := headerFields(request, "Host"); len(got) != 1 || got[0] != "other.test" || !strings.HasPrefix(request, "GET /ws/?token=Bearer%20abc HTTP/1.1\r\n") {
		t.Errorf("the server was asked\n%s", request)
	}
}

func TestHostThatNoDNSCouldHave(t *testing.T) {
	inRawBubble(t, wsnotify.Config{BackOff: never}, (*rawPeer).silence, func(w *world, n *rawNet) {
		err := w.c.Connect(w.Context(), "ws://ü\u202e.test/", "")
		if err == nil || !strings.Contains(err.Error(), "no name that the DNS could have") || n.dials.Load() != 0 {
			t.Errorf("%d dials, %v", n.dials.Load(), err)
		}
	})
}

// The cookies of a jar and a user's own leave in one field.
func TestCookiesLeaveInOneField(t *testing.T) {
	client := &http.Client{Transport: &http.Transport{}}
	client.Jar, _ = cookiejar.New(nil)
	u := mustParse("http://example.test/")
	client.Jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: "1"}})
	request := requestOf(t, wsnotify.Config{HTTPClient: client, Header: http.Header{"cookie": {"a=b"}}}, "ws://EXAMPLE.test:80/")
	if got := headerFields(request, "Cookie"); len(got) != 1 || got[0] != "a=b; session=1" {
		t.Errorf("Cookie is %q", got)
	}
}

// BeforeDial may put a token into the list of subprotocols, each time another.
func TestSubprotocolsOfBeforeDial(t *testing.T) {
	var offered [][]string
	cfg := wsnotify.Config{
		BackOff: every(time.Second), Subprotocols: []string{"v4", "old"},
		BeforeDial: func(_ context.Context, r *wsnotify.DialRequest) error {
			offered = append(offered, append([]string{}, r.Subprotocols...))
			r.Subprotocols[1] = "bearer." + string('a'+byte(r.Attempt))
			return nil
		},
	}
	var got []string
	inRawBubble(t, cfg, func(p *rawPeer) {
		request := p.request()
		got = append(got, headerFields(request, "Sec-WebSocket-Protocol")...)
		if len(got) == 1 {
			p.write(response(401, ""))
			return
		}
		p.write(switching(request, "Sec-WebSocket-Protocol: v4"))
		p.silence()
	}, func(w *world, _ *rawNet) {
		w.must(w.c.Connect(w.Context(), "ws://server.test/", ""))
		if strings.Join(got, "|") != "v4, bearer.a|v4, bearer.b" || strings.Join(offered[1], ",") != "v4,old" {
			t.Errorf("offered were %q, and BeforeDial saw %q", got, offered)
		}
	})
}

// A server must choose one of those that BeforeDial left, and the token is in
// no error.
func TestSubprotocolsOfBeforeDialAreChecked(t *testing.T) {
	for name, test := range map[string]struct {
		set    []string
		choose string
		want   string
	}{
		"no token of the grammar": {[]string{"v4", "hunter2="}, "v4", "DialRequest.Subprotocols[1] is not a token"},
		"twice":                   {[]string{"hunter2", "hunter2"}, "v4", "DialRequest.Subprotocols[1] is there twice"},
		"not offered any more":    {[]string{"v5"}, "v4", "v4"},
		"none is offered":         {nil, "v4", "v4"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := wsnotify.Config{BackOff: never, Subprotocols: []string{"v4"}, BeforeDial: func(_ context.Context, r *wsnotify.DialRequest) error {
				r.Subprotocols = test.set
				return nil
			}}
			inRawBubble(t, cfg, func(p *rawPeer) {
				p.write(switching(p.request(), "Sec-WebSocket-Protocol: "+test.choose))
				p.silence()
			}, func(w *world, _ *rawNet) {
				err := w.c.Connect(w.Context(), "ws://server.test/", "")
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// bareTripper is a RoundTripper that has nothing to do with net/http's: one
// connection for each request, and no trace of it.
type bareTripper struct {
	net  *rawNet
	body func(net.Conn, *http.Response) io.ReadCloser
}

func (b *bareTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	conn, err := b.net.dial(r.Context(), "tcp", r.URL.Host)
	if err != nil {
		return nil, err
	}
	if err := r.Write(conn); err != nil {
		conn.Close()
		return nil, err
	}
	buffered := bufio.NewReader(conn)
	resp, err := http.ReadResponse(buffered, r)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if resp.StatusCode == 101 {
		resp.Body = b.body(conn, resp)
	} else {
		resp.Body = readCloser{resp.Body, conn}
	}
	return resp, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

func bodyAsItIs(conn net.Conn, _ *http.Response) io.ReadCloser { return conn }
func readOnly(conn net.Conn, _ *http.Response) io.ReadCloser {
	return readCloser{conn, conn}
}
func noneAtAll(conn net.Conn, _ *http.Response) io.ReadCloser { conn.Close(); return nil }

// inTripperBubble connects once through a RoundTripper that is not net/http's,
// and returns the error and when it came. Nothing may be left of it.
func inTripperBubble(t *testing.T, cfg wsnotify.Config, body func(net.Conn, *http.Response) io.ReadCloser, script func(*rawPeer)) (f wsnotify.Failure, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &rawNet{script: script}
		cfg.BackOff = never
		cfg.HTTPClient = &http.Client{Transport: &bareTripper{n, body}}
		c := wsnotify.New(cfg)
		start := time.Now()
		c.Connect(t.Context(), "ws://server.test/", "")
		took = time.Since(start)
		f = *c.Status().LastFailure
		<-c.Done()
		synctest.Wait()
		if left := n.open.Load(); left != 0 {
			t.Errorf("%d connections were left open", left)
		}
		n.ending.Wait()
	})
	return f, took
}

// What a 101 that is refused leaves is closed, whatever the RoundTripper is.
func TestRefused101LeavesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		cfg    wsnotify.Config
		body   func(net.Conn, *http.Response) io.ReadCloser
		script func(*rawPeer)
		says   string
	}{
		"wrong accept key": {body: bodyAsItIs, says: "Sec-WebSocket-Accept", script: func(p *rawPeer) {
			p.answer(switching("Sec-WebSocket-Key: another\r\n"))
			p.silence()
		}},
		"two accept keys":                 {body: bodyAsItIs, says: "more than one Sec-WebSocket-Accept", script: accepts((*rawPeer).silence, "Sec-WebSocket-Accept: x")},
		"no subprotocol":                  {wsnotify.Config{Subprotocols: []string{"a"}}, bodyAsItIs, accepts((*rawPeer).silence), "none of the offered subprotocols"},
		"a body that can't be written to": {body: readOnly, says: "Body that can't be written to", script: accepts((*rawPeer).silence)},
		"that, and a wrong key": {body: readOnly, says: "Sec-WebSocket-Accept", script: func(p *rawPeer) {
			p.answer(switching("Sec-WebSocket-Key: another\r\n"))
			p.silence()
		}},
		"no body": {body: noneAtAll, says: "Body that can't be written to", script: accepts((*rawPeer).silence)},
		"OnHandshake": {wsnotify.Config{OnHandshake: func(context.Context, *wsnotify.Handshake) error { return errors.New("not this one") }},
			bodyAsItIs, accepts((*rawPeer).silence), "not this one"},
	} {
		t.Run(name, func(t *testing.T) {
			f, took := inTripperBubble(t, test.cfg, test.body, test.script)
			if !strings.Contains(f.Err.Error(), test.says) || took != 0 {
				t.Errorf("after %v: %v", took, f.Err)
			}
			var refused *wsnotify.HandshakeError
			if name != "OnHandshake" && (!errors.As(f.Err, &refused) || f.HTTPStatus != 101) {
				t.Errorf("%+v", f)
			}
		})
	}
}

// A refusal is known a moment after its headers, also from a RoundTripper that
// is not net/http's: what of the body came is shown, and its end not waited for.
func TestRefusalWithoutEnd(t *testing.T) {
	const head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n\r\n"
	script := func(p *rawPeer) { p.answer(head + "busy"); p.silence() }
	check := func(f wsnotify.Failure, took, want time.Duration) {
		t.Helper()
		var refused *wsnotify.HandshakeError
		if !errors.As(f.Err, &refused) || string(refused.Body) != "busy" || f.HTTPStatus != 503 || f.RetryAfter != 7*time.Second || took != want {
			t.Errorf("after %v: %+v", took, f)
		}
	}
	f, took := inTripperBubble(t, wsnotify.Config{}, bodyAsItIs, script)
	check(f, took, time.Second)
	for timeout, want := range map[time.Duration]time.Duration{0: time.Second, -1: time.Second, 500 * time.Millisecond: 250 * time.Millisecond} {
		inRawBubble(t, wsnotify.Config{BackOff: never, DialTimeout: timeout}, script, func(w *world, _ *rawNet) {
			w.c.Connect(w.Context(), "ws://server.test/", "")
			check(*w.c.Status().LastFailure, time.Since(w.start), want)
		})
	}
}

// A body that can neither be read nor closed holds up an attempt for as long as
// that takes to notice, and no longer.
func TestRefusalWhoseBodyHangs(t *testing.T) {
	var hang chan struct{} // of the bubble
	f, took := inTripperBubbleWith(t, roundTripper(func(*http.Request) (*http.Response, error) {
		hang = make(chan struct{})
		return &http.Response{StatusCode: 503, Body: hangingBody{hang}}, nil
	}), func() { close(hang) })
	if f.HTTPStatus != 503 || took > 3*time.Second {
		t.Errorf("after %v: %+v", took, f)
	}
}

type hangingBody struct{ until chan struct{} }

func (b hangingBody) Read([]byte) (int, error) { <-b.until; return 0, io.EOF }
func (b hangingBody) Close() error             { <-b.until; return nil }

// A response without a body, as RoundTrippers of tests make them, has none.
func TestRefusalWithoutABody(t *testing.T) {
	f, took := inTripperBubbleWith(t, roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 404}, nil
	}), func() {})
	if f.HTTPStatus != 404 || took != 0 || !strings.Contains(f.Err.Error(), "check the path of the url") {
		t.Errorf("after %v: %+v", took, f)
	}
}

// A Transport that was made for requests in HTTP/2 alone is copied for a
// handshake in HTTP/1.1.
func TestTransportForHTTP2Alone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &rawNet{script: accepts(func(p *rawPeer) { p.frames(closeFrame(1000, "")); p.closed() })}
		tr := &http.Transport{DialContext: n.dial, Protocols: new(http.Protocols), ForceAttemptHTTP2: true}
		tr.Protocols.SetUnencryptedHTTP2(true)
		c := wsnotify.New(wsnotify.Config{BackOff: never, HTTPClient: &http.Client{Transport: tr}})
		if err := c.Connect(t.Context(), "ws://server.test/", ""); err != nil {
			t.Error(err)
		}
		<-c.Done()
		if tr.Protocols.HTTP1() || !tr.Protocols.UnencryptedHTTP2() {
			t.Errorf("the user's Protocols were changed: %v", tr.Protocols)
		}
		n.ending.Wait()
	})
}

// A RoundTripper that gives nothing is named, and the program goes on.
func TestRoundTripperThatReturnsNothing(t *testing.T) {
	f, _ := inTripperBubbleWith(t, roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil }), func() {})
	if !strings.Contains(f.Err.Error(), "neither a response nor an error") {
		t.Error(f.Err)
	}
}

func inTripperBubbleWith(t *testing.T, tripper http.RoundTripper, end func()) (f wsnotify.Failure, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := wsnotify.New(wsnotify.Config{BackOff: never, HTTPClient: &http.Client{Transport: tripper}})
		start := time.Now()
		c.Connect(t.Context(), "ws://server.test/", "")
		took = time.Since(start)
		f = *c.Status().LastFailure
		end()
		<-c.Done()
	})
	return f, took
}

// countedConn is a connection with a resource of its own, as a user's dial
// function may return it.
type countedConn struct {
	net.Conn
	closed *atomic.Int64
	once   atomic.Bool
}

func (c *countedConn) NetConn() net.Conn { return c.Conn }
func (c *countedConn) Close() error {
	if !c.once.Swap(true) {
		c.closed.Add(1)
	}
	return c.Conn.Close()
}

// What the dial functions of a user's http.Transport returned is closed after a
// refused 101, and not only what is beneath it.
func TestRefused101ClosesWhatTheUserDialled(t *testing.T) {
	for _, field := range []string{"Dial", "DialContext", "DialTLS", "DialTLSContext"} {
		t.Run(field, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &rawNet{script: func(p *rawPeer) {
					p.answer(switching("Sec-WebSocket-Key: another\r\n"))
					p.silence()
				}}
				var opened int
				var closed atomic.Int64
				dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
					opened++
					conn, err := n.dial(ctx, network, addr)
					return &countedConn{Conn: conn, closed: &closed}, err
				}
				old := func(network, addr string) (net.Conn, error) { return dial(context.Background(), network, addr) }
				tr, url := &http.Transport{}, "ws://server.test/"
				switch field {
				case "Dial":
					//lint:ignore SA1019 users may still set it
					tr.Dial = old
				case "DialContext":
					tr.DialContext = dial
				case "DialTLS":
					url = "wss://server.test/"
					//lint:ignore SA1019 users may still set it
					tr.DialTLS = old
				case "DialTLSContext":
					tr.DialTLSContext, url = dial, "wss://server.test/"
				}
				c := wsnotify.New(wsnotify.Config{BackOff: never, HTTPClient: &http.Client{Transport: tr}})
				var refused *wsnotify.HandshakeError
				if err := c.Connect(t.Context(), url, ""); !errors.As(err, &refused) {
					t.Error(err)
				}
				<-c.Done()
				synctest.Wait()
				if opened != 1 || closed.Load() != 1 || n.open.Load() != 0 {
					t.Errorf("%d opened, %d closed, %d left", opened, closed.Load(), n.open.Load())
				}
				n.ending.Wait()
			})
		})
	}
}

// overTLS is a rawNet whose peers speak TLS; hello is told what each client
// offers.
func overTLS(n *rawNet, config *tls.Config, hello func(*tls.ClientHelloInfo)) func(context.Context, string, string) (net.Conn, error) {
	config = config.Clone()
	config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello(h)
		return nil, nil
	}
	return func(context.Context, string, string) (net.Conn, error) {
		return n.dialBehind(func(far net.Conn) net.Conn { return tls.Server(far, config) })
	}
}

// On wss http/1.1 is offered by ALPN, as by a browser, unless the user's
// tls.Config says what is. net/http's h2 never is. Versions are the user's too.
func TestALPNAndTheUsersTLS(t *testing.T) {
	cert, pool := testkit.Certificate(t, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), "server.test")
	for name, test := range map[string]struct {
		change func(*http.Transport)
		want   string
	}{
		"nothing is said": {func(*http.Transport) {}, "http/1.1"},
		"http/1.1":        {func(tr *http.Transport) { tr.TLSClientConfig.NextProtos = []string{"http/1.1"} }, "http/1.1"},
		"another":         {func(tr *http.Transport) { tr.TLSClientConfig.NextProtos = []string{"mqtt", "http/1.1"} }, "mqtt http/1.1"},
		"h2":              {func(tr *http.Transport) { tr.TLSClientConfig.NextProtos = []string{"h2", "http/1.1"} }, "http/1.1"},
		"h2 alone":        {func(tr *http.Transport) { tr.TLSClientConfig.NextProtos = []string{"h2"} }, "http/1.1"},
		"net/http's h2":   {func(tr *http.Transport) { tr.ForceAttemptHTTP2 = true }, "http/1.1"},
		"Protocols without HTTP/1": {func(tr *http.Transport) {
			tr.Protocols = new(http.Protocols)
			tr.Protocols.SetHTTP2(true)
			tr.Protocols.SetUnencryptedHTTP2(true)
		}, "http/1.1"},
		"a version that is old": {func(tr *http.Transport) {
			tr.TLSClientConfig.MinVersion, tr.TLSClientConfig.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		}, "http/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &rawNet{script: accepts(func(p *rawPeer) { p.frames(closeFrame(1000, "")); p.closed() })}
				server := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "mqtt", "http/1.1"}, MinVersion: tls.VersionTLS10}
				var offered, name string
				tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
				tr.DialContext = overTLS(n, server, func(h *tls.ClientHelloInfo) {
					offered, name = strings.Join(h.SupportedProtos, " "), h.ServerName
				})
				test.change(tr)
				before := tr.TLSClientConfig.Clone()
				c := wsnotify.New(wsnotify.Config{BackOff: never, HTTPClient: &http.Client{Transport: tr}})
				if err := c.Connect(t.Context(), "wss://SERVER.test:443/", ""); err != nil {
					t.Error(err)
				}
				<-c.Done()
				if offered != test.want || name != "server.test" {
					t.Errorf("offered were %q to %q", offered, name)
				}
				if after := tr.TLSClientConfig; after.MinVersion != before.MinVersion || len(after.NextProtos) != len(before.NextProtos) && !tr.ForceAttemptHTTP2 && tr.Protocols == nil {
					t.Errorf("the user's tls.Config was changed: %v, %v", after.MinVersion, after.NextProtos)
				}
				n.ending.Wait()
			})
		})
	}
}

// A TLS handshake is bounded by the transport's own limit as well.
func TestTLSHandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &rawNet{script: (*rawPeer).silence}
		tr := &http.Transport{DialContext: n.dial, TLSHandshakeTimeout: 3 * time.Second}
		c := wsnotify.New(wsnotify.Config{BackOff: never, HTTPClient: &http.Client{Transport: tr}})
		start := time.Now()
		err := c.Connect(t.Context(), "wss://server.test/", "")
		if took := time.Since(start); took != 3*time.Second || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "TLSHandshakeTimeout of 3s") {
			t.Errorf("after %v: %v", took, err)
		}
		if f := c.Status().LastFailure; f.Phase != wsnotify.PhaseDial || f.Initiator != wsnotify.Network {
			t.Errorf("%+v", f)
		}
		<-c.Done()
		n.ending.Wait()
	})
}
