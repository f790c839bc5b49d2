//go:build !js

package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify/internal/testkit"
)

// answering returns a dial function, whose server waits for a request and answers it with pieces
// of so many bytes.
func answering(answer string, piece int) dialFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			for r := bufio.NewReader(far); ; {
				if line, err := r.ReadString('\n'); err != nil || line == "\r\n" {
					break
				}
			}
			for rest := answer; rest != ""; rest = rest[min(len(rest), piece):] {
				if _, err := io.WriteString(far, rest[:min(len(rest), piece)]); err != nil {
					return
				}
			}
		}()
		return near, nil
	}
}

// outcome says what came of a request.
func outcome(ctx context.Context, tripper http.RoundTripper) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://server.test/", nil)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	resp, err := tripper.RoundTrip(req)
	if err != nil {
		return "error: " + err.Error()
	}
	defer resp.Body.Close()
	_, upgraded := resp.Body.(io.ReadWriteCloser)
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.Proto, " ", resp.Status, resp.Header, resp.ContentLength, resp.TransferEncoding, resp.Trailer, resp.Close, upgraded, len(body), " ", string(body), err)
}

// A response is what it is to net/http, whatever a server writes, and so is the error where it is none.
func TestResponsesAreReadAsNetHTTPDoes(t *testing.T) {
	const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	long := strings.Repeat("x", 9000)
	for _, answer := range []string{
		"", "H", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\nuntil the end",
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodymore", "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nshort",
		"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"HTTP/1.1 204 None\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 304 Not\r\n\r\nabc",
		"HTTP/1.0 200 OK\r\n\r\nold", "HTTP/2.0 200 OK\r\n\r\nnew", "HTTP/1.1 099 Odd\r\n\r\nodd", "HTTP/1.1 1000 Odd\r\n\r\n", "HTTP/1.1 abc Odd\r\n\r\n",
		"garbage\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 103 E\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 103 E\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + switching + "\r\nearly",
		switching + "\r\n", switching + "\r\nearly", switching + "\r\n" + long, strings.ReplaceAll(switching, "\r", "") + "\nearly",
		switching + "Content-Length: 5\r\n\r\nearlymore", switching + "Transfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n", strings.Replace(switching, "1.1", "1.0", 1) + "\r\nearly",
		"HTTP/1.1 200 OK\r\nX: " + long + long + "\r\n\r\n", strings.Repeat("HTTP/1.1 103 E\r\nLink: "+long+"\r\n\r\n", 3) + "HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", "HTTP/1.1 200 OK\r\n X: a\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nPragma: no-cache\r\nConnection: close\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
	} {
		for _, piece := range []int{1, 4096, 1 << 20} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			theirs := &http.Transport{DialContext: answering(answer, piece), DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 1 << 14}
			d := &dialing{ctx: ctx, cancel: cancel, sock: NewSocket(Options{}), req: &Request{}}
			want, got := outcome(ctx, theirs), outcome(ctx, d.route(theirs))
			if got != want {
				t.Errorf("%.90q in pieces of %d bytes is\n%.300s\nand to net/http\n%.300s", answer, piece, got, want)
			}
			d.sock.Close()
			cancel()
		}
	}
}

// The hooks of net/http/httptrace are called as net/http does, those of a dial and of TLS too; and what the one for a
// response to come returns counts.
func TestTraceOfARequest(t *testing.T) {
	const early = "HTTP/1.1 103 E\r\nLink: a\r\n\r\n"
	broken := errors.New("broken")
	for _, test := range []struct {
		answer string
		err    error // of Got1xxResponse
		want   string
	}{
		{early + early + "HTTP/1.1 204 N\r\n\r\n", nil, "[server.test:80 net.pipe first 103 103] HTTP/1.1 204 N"},
		{early + "HTTP/1.1 204 N\r\n\r\n", broken, "[server.test:80 net.pipe first 103] error: net/http: HTTP/1.x transport connection broken: broken"},
		{strings.Repeat("HTTP/1.1 103 E\r\nLink: "+strings.Repeat("x", 9000)+"\r\n\r\n", 3) + "HTTP/1.1 204 N\r\n\r\n", nil, "[server.test:80 net.pipe first 103 103 103] HTTP/1.1 204 N"},
		{"", nil, "[server.test:80 net.pipe] error: EOF"},
	} {
		for name, route := range map[string]func(*dialing, *http.Transport) http.RoundTripper{
			"net/http": func(_ *dialing, t *http.Transport) http.RoundTripper { return t },
			"route":    func(d *dialing, t *http.Transport) http.RoundTripper { return d.route(t) },
		} {
			var hooks []string
			note := func(what string) { hooks = append(hooks, what) }
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GetConn: func(addr string) { note(addr) },
				GotConn: func(info httptrace.GotConnInfo) {
					conn := info.Conn
					if counted, is := conn.(*countedConn); is {
						conn = counted.Conn
					}
					note(strings.TrimPrefix(fmt.Sprintf("%T", conn), "*"))
				},
				GotFirstResponseByte: func() { note("first") },
				Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
					note(fmt.Sprint(code))
					if header.Get("Link") == "" {
						t.Error("without its header")
					}
					return test.err
				},
			})
			theirs := &http.Transport{DialContext: answering(test.answer, 4096), DisableKeepAlives: true, MaxResponseHeaderBytes: 1 << 14}
			d := &dialing{ctx: ctx, cancel: func() {}, sock: NewSocket(Options{}), req: &Request{}}
			came := outcome(ctx, route(d, theirs))
			if got := fmt.Sprint(hooks, " ", came); !strings.HasPrefix(got, test.want) {
				t.Errorf("%s: %s, want %s", name, got, test.want)
			}
			d.sock.Close()
		}
	}
}

// A request that can't be sent is an error in the words of net/http, and so is a dial that fails.
func TestRequestThatCannotBeSent(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		dial dialFunc
		want string
	}{
		"no connection": {func(context.Context, string, string) (net.Conn, error) { return nil, broken }, "error: broken"},
		"neither": {func(context.Context, string, string) (net.Conn, error) { return nil, nil },
			"error: the dial function of Config.HTTPClient returned neither a connection nor an error"},
		"a closed one": {func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			far.Close()
			return near, nil
		},
			"error: net/http: HTTP/1.x transport connection broken: io: read/write on closed pipe"},
	} {
		d := &dialing{ctx: t.Context(), cancel: func() {}, sock: NewSocket(Options{}), req: &Request{}}
		if got := outcome(t.Context(), d.route(&http.Transport{DialContext: test.dial})); got != test.want {
			t.Errorf("%s: %s", name, got)
		}
		d.sock.Close()
	}
}

// TLS is spoken by us, or by the user's function with the rest of the handshake left to us or not. A certificate that is
// not trusted closes the connection. Whoever wants to know whether a handshake is under way gets a call.
func TestRouteOverTLS(t *testing.T) {
	certificate, pool := testkit.CertificateOfNow(t, "server.test")
	for _, trusted := range []bool{true, false} {
		for _, how := range []string{"ours", "ours, unwatched", "theirs", "theirs, in part", "an old function"} {
			closed := make(chan struct{})
			dial := func(context.Context, string, string) (net.Conn, error) {
				near, far := connected(t)
				go func() {
					defer close(closed)
					server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true})
					r := bufio.NewReader(server)
					if _, err := r.ReadString('\n'); err == nil {
						for line := "x"; line != "\r\n"; {
							line, _ = r.ReadString('\n')
						}
						io.WriteString(server, "HTTP/1.1 204 N\r\n\r\n")
					}
					io.Copy(io.Discard, far)
					far.Close()
				}()
				return near, nil
			}
			config := &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}}
			if !trusted {
				config.RootCAs = x509.NewCertPool()
			}
			dialTLS := func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, _ := dial(ctx, network, addr)
				secure := tls.Client(conn, &tls.Config{RootCAs: config.RootCAs, ServerName: "server.test"})
				if how != "theirs, in part" {
					if err := secure.HandshakeContext(ctx); err != nil {
						conn.Close()
						return nil, err
					}
				}
				return secure, nil
			}
			tr := &http.Transport{TLSClientConfig: config}
			switch how {
			case "ours", "ours, unwatched":
				tr.DialContext = dial
			case "an old function":
				//lint:ignore SA1019 a user's transport may still set it
				tr.DialTLS = func(network, addr string) (net.Conn, error) { return dialTLS(t.Context(), network, addr) }
			default:
				tr.DialTLSContext = dialTLS
			}
			var securing []bool
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			d := &dialing{ctx: ctx, cancel: cancel, sock: NewSocket(Options{}), req: &Request{Securing: func(underWay bool) { securing = append(securing, underWay) }}}
			if how == "ours, unwatched" {
				d.req.Securing = nil
			}
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://server.test/", nil)
			resp, err := d.route(tr).RoundTrip(req)
			if trusted {
				if err != nil || resp.StatusCode != 204 || resp.TLS == nil || resp.TLS.ServerName != "server.test" {
					t.Errorf("%s: %v, %v", how, resp, err)
				}
				if how == "ours" && resp.TLS.NegotiatedProtocol != "" {
					t.Errorf("the protocol %q", resp.TLS.NegotiatedProtocol)
				}
				d.sock.Close()
			} else if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
				t.Errorf("%s: %v", how, err)
			}
			<-closed // by us
			want := map[string]string{"ours": "[true false]", "theirs, in part": "[true false]", "theirs": "[true false]", "an old function": "[true false]"}[how]
			if !trusted {
				want = map[string]string{"ours": "[true]", "theirs, in part": "[true]"}[how]
			}
			if got := fmt.Sprint(securing); got != want && !(want == "" && len(securing) == 0) {
				t.Errorf("%s, trusted %v: a handshake is under way: %s, want %s", how, trusted, got, want)
			}
			cancel()
		}
	}
}

// What comes with the response is read before what comes later, and not kept.
func TestWhatComesWithTheResponse(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	br := bufio.NewReader(strings.NewReader("early"))
	br.Peek(5)
	body := bodyOf(br, near)
	go func() { io.WriteString(far, "late"); far.Close() }()
	p := make([]byte, 3)
	if n, err := body.Read(p); string(p[:n]) != "ear" || err != nil {
		t.Fatalf("%q, %v", p[:n], err)
	}
	if rest, err := io.ReadAll(body); string(rest) != "lylate" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	if kept := cap(body.(*earlyBody).early); kept != 0 {
		t.Errorf("%d bytes are kept", kept)
	}
}
