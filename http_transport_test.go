package wsnotify_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// What a user's http.Transport says about the response holds, though it does not make the
// request itself.
func TestSettingsOfTheHTTPTransport(t *testing.T) {
	for name, test := range map[string]struct {
		set    func(*http.Transport)
		script func(*rawPeer)
		want   string
		after  time.Duration
	}{
		"ResponseHeaderTimeout": {
			func(tr *http.Transport) { tr.ResponseHeaderTimeout = 3 * time.Second }, (*rawPeer).silence,
			"no response headers within the ResponseHeaderTimeout of 3s", 3 * time.Second,
		},
		"MaxResponseHeaderBytes": {
			func(tr *http.Transport) { tr.MaxResponseHeaderBytes = 4096 },
			func(p *rawPeer) {
				for p.request(); p.write("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n") == nil; {
				}
			},
			"server response headers exceeded 4096 bytes", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &rawNet{script: test.script}
				tr := &http.Transport{DialContext: n.dial}
				test.set(tr)
				c := wsnotify.New(wsnotify.Config{BackOff: never, HTTPClient: &http.Client{Transport: tr}})
				began := time.Now()
				err := c.Connect(t.Context(), "ws://server.test/", "")
				if took := time.Since(began); err == nil || !strings.Contains(err.Error(), test.want) || took != test.after {
					t.Errorf("after %v: %v", took, err)
				}
				<-c.Done()
				n.ending.Wait()
			})
		})
	}
}

// A httptrace in the ctx of Connect sees the handshake.
func TestHTTPTraceSeesTheHandshake(t *testing.T) {
	inRawBubble(t, wsnotify.Config{}, func(p *rawPeer) {
		request := p.request()
		p.write("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + switching(request))
		p.silence()
	}, func(w *world, _ *rawNet) {
		var seen []string
		see := func(what string) { seen = append(seen, what) }
		ctx := httptrace.WithClientTrace(w.Context(), &httptrace.ClientTrace{
			GetConn:              func(addr string) { see("connect to " + addr) },
			GotConn:              func(httptrace.GotConnInfo) { see("connected") },
			WroteRequest:         func(httptrace.WroteRequestInfo) { see("wrote") },
			GotFirstResponseByte: func() { see("first byte") },
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				see(http.StatusText(code) + " " + h.Get("Link"))
				return nil
			},
		})
		w.must(w.c.Connect(ctx, "ws://server.test/", ""))
		want := []string{"connect to server.test:80", "connected", "wrote", "first byte", "Early Hints </x>"}
		if !slices.Equal(seen, want) {
			t.Errorf("it saw %q and not %q", seen, want)
		}
	})
}

// A dial function that ignores its ctx holds up neither Connect nor Done, and what it
// returns in the end is closed.
func TestDialThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		ours, theirs := net.Pipe()
		tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			<-release
			return ours, nil
		}}
		c := wsnotify.New(wsnotify.Config{BackOff: never, HTTPClient: &http.Client{Transport: tr}})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		err := c.Connect(ctx, "ws://server.test/", "")
		<-c.Done()
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 2*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		close(release)
		if n, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("what was dialled late: %d, %v", n, err)
		}
	})
}

// So it is with a function that looks for a proxy, such as one that runs a script of the network's.
func TestProxyFunctionThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		tr := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
			<-release
			return nil, errors.New("none was found")
		}}
		c := wsnotify.New(wsnotify.Config{BackOff: never, HTTPClient: &http.Client{Transport: tr}})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		err := c.Connect(ctx, "ws://server.test/", "")
		select {
		case <-c.Done():
		case <-time.After(time.Minute):
		}
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 2*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		close(release)
		<-c.Done()
	})
}

// A DialTLSContext may leave the TLS handshake to the client, as with net/http, and a httptrace sees it.
func TestDialTLSWithoutAHandshake(t *testing.T) {
	cert, roots := testkit.Certificate(t, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), "server.test")
	synctest.Test(t, func(t *testing.T) {
		n := &rawNet{script: accepts(func(p *rawPeer) { p.frames(closeFrame(1000, "")); p.closed() })}
		dial := overTLS(n, &tls.Config{Certificates: []tls.Certificate{cert}}, func(*tls.ClientHelloInfo) {})
		tr := &http.Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "server.test"}), err
		}}
		c := wsnotify.New(wsnotify.Config{BackOff: never, HTTPClient: &http.Client{Transport: tr}})
		var seen []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			TLSHandshakeStart: func() { seen = append(seen, "start") },
			TLSHandshakeDone: func(s tls.ConnectionState, err error) {
				seen = append(seen, fmt.Sprint(s.HandshakeComplete, err))
			},
		})
		if err := c.Connect(ctx, "wss://server.test/", ""); err != nil {
			t.Error(err)
		}
		if want := []string{"start", "true <nil>"}; !slices.Equal(seen, want) {
			t.Errorf("it saw %q and not %q", seen, want)
		}
		<-c.Done()
		n.ending.Wait()
	})
}

// stubbornDial returns conns whose Close waits for release, to a peer that says answer.
func stubbornDial(answer string, release chan struct{}) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs)
		go io.WriteString(theirs, answer)
		return &stubbornConn{ours, release}, nil
	}
}

// A net.Conn whose Close does not return neither hides why an attempt failed, nor holds it up: the
// limits of a user's http.Transport hold, and what a server or a proxy said is known at once.
func TestStubbornConnDuringTheHandshake(t *testing.T) {
	for name, test := range map[string]struct {
		scheme, proxy, answer string
		own                   bool // a DialTLSContext
		want                  string
		after                 time.Duration
	}{
		"silence instead of TLS":             {"wss", "", "", false, "no TLS handshake within the TLSHandshakeTimeout of 3s", 3 * time.Second},
		"silence instead of TLS, of a proxy": {"ws", "https://proxy.test", "", false, "no TLS handshake with the proxy within the TLSHandshakeTimeout of 3s", 3 * time.Second},
		"no TLS":                             {"wss", "", response(400, ""), false, "speaks plain HTTP", 0},
		"no TLS, of the user's":              {"wss", "", response(400, ""), true, "speaks plain HTTP", 0},
		"no TLS, of a proxy":                 {"ws", "https://proxy.test", response(400, ""), false, "TLS with the proxy", 0},
		"a refusal":                          {"ws", "", response(403, ""), false, "got 403", 0},
		"a refusal of a proxy":               {"ws", "http://proxy.test", response(403, ""), false, "the proxy answered CONNECT with 403", 0},
		"no SOCKS":                           {"ws", "socks5://proxy.test", response(403, ""), false, "does not speak SOCKS5", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				dial := stubbornDial(test.answer, release)
				tr := &http.Transport{DialContext: dial, TLSHandshakeTimeout: 3 * time.Second}
				if test.own {
					tr.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						conn, err := dial(ctx, network, addr)
						return tls.Client(conn, &tls.Config{ServerName: "server.test"}), err
					}
				}
				if test.proxy != "" {
					u, err := url.Parse(test.proxy)
					if err != nil {
						t.Fatal(err)
					}
					tr.Proxy = http.ProxyURL(u)
				}
				c := wsnotify.New(wsnotify.Config{BackOff: never, HTTPClient: &http.Client{Transport: tr}})
				began := time.Now()
				err := c.Connect(t.Context(), test.scheme+"://server.test/", "")
				<-c.Done()
				if took := time.Since(began); err == nil || !strings.Contains(err.Error(), test.want) || took != test.after {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}
