//go:build !js

package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/testkit"
)

// A server is reached by the proxy that the http.Transport names, at its port or that of its scheme, by whichever dial
// function is for that.
func TestReachThroughAProxy(t *testing.T) {
	certificate, pool := testkit.CertificateOfNow(t, "proxy.test")
	const tunnel = "CONNECT server.test:80 HTTP/1.1"
	for _, test := range []struct {
		proxy   string
		own     bool // a DialTLSContext is set
		dialled string
		asked   string // the first line
		err     string
	}{
		{proxy: "", dialled: "plain tcp server.test:80", asked: "GET / HTTP/1.1"},
		{proxy: "", own: true, dialled: "plain tcp server.test:80", asked: "GET / HTTP/1.1"},
		{proxy: "http://proxy.test", dialled: "plain tcp proxy.test:80", asked: tunnel},
		{proxy: "http://proxy.test:3128", own: true, dialled: "plain tcp proxy.test:3128", asked: tunnel},
		{proxy: "https://proxy.test", dialled: "plain tcp proxy.test:443", asked: tunnel},
		{proxy: "https://proxy.test:8443", own: true, dialled: "own tcp proxy.test:8443", asked: tunnel},
		{proxy: "https://other.test", dialled: "plain tcp other.test:443",
			err: "TLS with the proxy: tls: failed to verify certificate: x509: certificate is valid for proxy.test, not other.test"},
		{proxy: "socks5://proxy.test", dialled: "plain tcp proxy.test:1080", asked: "\x05\x01\x00"},
		{proxy: "socks5h://proxy.test:9050", dialled: "plain tcp proxy.test:9050", asked: "\x05\x01\x00"},
		{proxy: "ftp://proxy.test", err: `the proxy has the scheme "ftp"; it must be http, https, socks5 or socks5h`},
		{proxy: "http://gone.test", dialled: "plain tcp gone.test:80", err: "proxyconnect tcp: gone"},
	} {
		asked, dialled := make(chan string, 1), ""
		dial := func(kind string) dialFunc {
			return func(_ context.Context, network, addr string) (net.Conn, error) {
				dialled = kind + " " + network + " " + addr
				if strings.HasPrefix(addr, "gone") {
					return nil, errors.New("gone")
				}
				near, far := connected(t)
				go func() {
					if strings.HasPrefix(test.proxy, "https") {
						far = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}})
					}
					r := bufio.NewReader(far)
					first, _ := r.Peek(3)
					line := string(first)
					if line != "\x05\x01\x00" {
						line, _ = r.ReadString('\n')
					}
					asked <- strings.TrimSpace(line)
					far.Close()
				}()
				if kind == "own" {
					return tls.Client(near, &tls.Config{RootCAs: pool, ServerName: "proxy.test"}), nil
				}
				return near, nil
			}
		}
		tr := &http.Transport{DialContext: dial("plain"), TLSClientConfig: &tls.Config{RootCAs: pool}}
		if test.own {
			tr.DialTLSContext = dial("own")
		}
		if test.proxy != "" {
			via, _ := url.Parse(test.proxy)
			tr.Proxy = http.ProxyURL(via)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		d := &dialing{ctx: ctx, cancel: cancel, sock: NewSocket(Options{}), req: &Request{}}
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://server.test/", nil)
		resp, err := d.route(tr).RoundTrip(req)
		if resp != nil || err == nil || test.err != "" && err.Error() != test.err {
			t.Errorf("%s: %v, %v", test.proxy, resp, err)
		}
		if dialled != test.dialled {
			t.Errorf("%s: dialled %s, expected %s", test.proxy, dialled, test.dialled)
		}
		if test.asked != "" {
			if got := <-asked; got != test.asked {
				t.Errorf("%s: it was asked %q", test.proxy, got)
			}
		}
		if test.asked != "" && test.proxy != "" && !d.sock.isClosed() {
			t.Errorf("%s: the connection to it is not closed", test.proxy)
		}
		d.sock.Close()
		cancel()
	}
}

// What an http.Transport limits in time ends with the name of the limit, whatever the net.Conn does, which is closed.
func TestLimitsOfARequest(t *testing.T) {
	for _, test := range []struct {
		url, want string
		after     time.Duration
	}{
		{"http://server.test/", "no response headers within the ResponseHeaderTimeout of 3s: context deadline exceeded", 3 * time.Second},
		{"https://server.test/", "no TLS handshake within the TLSHandshakeTimeout of 2s: context deadline exceeded", 2 * time.Second},
		{"https://server.test/?proxy", "no TLS handshake with the proxy within the TLSHandshakeTimeout of 2s: context deadline exceeded", 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			gone := make(chan struct{})
			tr := &http.Transport{ResponseHeaderTimeout: 3 * time.Second, TLSHandshakeTimeout: 2 * time.Second, DialContext: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go func() {
					io.Copy(io.Discard, far)
					close(gone)
				}()
				return near, nil
			}}
			if strings.HasSuffix(test.url, "proxy") {
				tr.Proxy = http.ProxyURL(&url.URL{Scheme: "https", Host: "proxy.test"})
			}
			d := &dialing{ctx: t.Context(), cancel: func() {}, sock: NewSocket(Options{}), req: &Request{}}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, test.url, nil)
			began := time.Now()
			_, err := d.route(tr).RoundTrip(req)
			if err == nil || err.Error() != test.want || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != test.after {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			<-gone
		})
	}
}

// A dial of the user's that ends its goroutine, or comes back when nobody waits any more, leaves nothing behind.
func TestDialsOfTheUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trip := func(ctx context.Context, tr *http.Transport) (*dialing, string) {
			d := &dialing{ctx: ctx, cancel: func() {}, sock: NewSocket(Options{}), req: &Request{}}
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://server.test/", nil)
			_, err := d.route(tr).RoundTrip(req)
			return d, fmt.Sprint(err)
		}
		if _, err := trip(t.Context(), &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			runtime.Goexit()
			return nil, nil
		}}); err != errGoexit.Error() {
			t.Error(err)
		}
		if _, err := trip(t.Context(), &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy") }}); err != "no proxy" {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("over"))
		defer cancel()
		near, far := net.Pipe()
		old := &http.Transport{}
		//lint:ignore SA1019 a user's transport may still set it
		old.Dial = func(string, string) (net.Conn, error) {
			time.Sleep(time.Minute)
			return near, nil
		}
		d, err := trip(ctx, old)
		if err != "over" {
			t.Error(err)
		}
		d.sock.Close() // as Open does
		if _, err := far.Read(make([]byte, 1)); err != io.EOF || d.sock.conn != nil {
			t.Errorf("%v, the socket has %v", err, d.sock.conn)
		}
		// One that another layer was put on is written to below that when it is closed.
		inner, outer := net.Pipe()
		if got := beneath(layer{Conn: near, inner: inner}); got != inner {
			t.Errorf("%v is beneath", got)
		}
		if got := beneath(layer{Conn: near}); got != (layer{Conn: near}) {
			t.Errorf("%v is beneath", got)
		}
		if beneath(outer) != outer {
			t.Error("something is beneath a pipe")
		}
	})
}

type layer struct {
	net.Conn
	inner net.Conn
}

func (l layer) NetConn() net.Conn { return l.inner }

// The hooks of a TLS handshake are called with what it was, or why it failed.
func TestTraceOfAHandshake(t *testing.T) {
	certificate, pool := testkit.CertificateOfNow(t, "server.test")
	for name, want := range map[string]string{"server.test": "start done true <nil>", "other.test": "start done false tls: failed to verify certificate: x509: certificate is valid for server.test, not other.test"} {
		near, far := connected(t)
		go tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate}}).Handshake()
		got := ""
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			TLSHandshakeStart: func() { got += "start" },
			TLSHandshakeDone: func(state tls.ConnectionState, err error) {
				got += fmt.Sprint(" done ", state.HandshakeComplete, " ", err)
			},
		})
		d := &dialing{ctx: ctx, cancel: func() {}, sock: NewSocket(Options{}), req: &Request{}}
		d.route(&http.Transport{}).handshake(tls.Client(near, &tls.Config{RootCAs: pool, ServerName: name}))
		if got != want {
			t.Errorf("%s: %s", name, got)
		}
		d.sock.Close()
		near.Close()
		for _, none := range []*httptrace.ClientTrace{{}} {
			d.ctx = httptrace.WithClientTrace(t.Context(), none)
			if err := d.route(&http.Transport{}).handshake(tls.Client(near, &tls.Config{ServerName: name})); err == nil {
				t.Error("a handshake on a closed connection")
			}
		}
	}
}
