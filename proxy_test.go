package wsnotify_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// throughProxy is a configuration whose dials go to a proxy.
func throughProxy(proxy string, change func(*http.Transport)) wsnotify.Config {
	u, err := url.Parse(proxy)
	if err != nil {
		panic(err)
	}
	tr := &http.Transport{Proxy: http.ProxyURL(u)}
	if change != nil {
		change(tr)
	}
	return wsnotify.Config{HTTPClient: &http.Client{Transport: tr}}
}

// RFC 6455, section 4.1: a proxy is asked for a tunnel for ws, too. The
// request itself it would send on without its Upgrade.
func TestProxyIsAskedToConnect(t *testing.T) {
	var mu sync.Mutex
	var requests []string
	script := func(p *rawPeer) {
		connect := p.request()
		p.write("HTTP/1.1 200 Connection established\r\nVia: it\r\n\r\n")
		upgrade := p.request()
		mu.Lock()
		requests = append(requests, connect, upgrade)
		mu.Unlock()
		p.write(switching(upgrade))
		p.silence()
	}
	cfg := throughProxy("http://ada:se%63ret@proxy.test:3128", func(tr *http.Transport) {
		tr.ProxyConnectHeader = http.Header{"X-Tenant": {"blue"}}
	})
	inRawBubble(t, cfg, script, func(w *world, n *rawNet) {
		w.must(w.c.Connect(context.Background(), "ws://server.test/ws/", "ada"))
		mu.Lock()
		defer mu.Unlock()
		connect, upgrade := requests[0], requests[1]
		if !strings.HasPrefix(connect, "CONNECT server.test:80 HTTP/1.1\r\nHost: server.test:80\r\n") ||
			!strings.Contains(connect, "Proxy-Authorization: Basic YWRhOnNlY3JldA==\r\n") || !strings.Contains(connect, "X-Tenant: blue\r\n") {
			t.Errorf("the proxy was asked\n%s", connect)
		}
		if !strings.HasPrefix(upgrade, "GET /ws/ada HTTP/1.1\r\nHost: server.test\r\n") || !strings.Contains(upgrade, "Upgrade: websocket\r\n") ||
			strings.Contains(upgrade, "Proxy-") || strings.Contains(upgrade, "X-Tenant") {
			t.Errorf("the server was asked\n%s", upgrade)
		}
		if n.dials.Load() != 1 {
			t.Errorf("%d dials", n.dials.Load())
		}
	})
}

// What a proxy says is no word of the server, but the reason all the same.
func TestProxyThatRefuses(t *testing.T) {
	for _, scheme := range []string{"ws", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			script := func(p *rawPeer) {
				p.answer("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 25\r\nContent-Length: 4\r\n\r\nlate")
				p.silence()
			}
			inRawBubble(t, throughProxy("http://proxy.test", nil), script, func(w *world, _ *rawNet) {
				go w.c.Connect(context.Background(), scheme+"://server.test/ws/", "ada")
				w.pass(24 * time.Second)
				f := w.c.Status().LastFailure
				if f.Phase != wsnotify.PhaseDial || f.Initiator != wsnotify.Remote || f.HTTPStatus != 503 || f.RetryAfter != 25*time.Second || f.Code != -1 {
					t.Errorf("%+v", f)
				}
				var he *wsnotify.HandshakeError
				if !errors.As(f.Err, &he) || he.StatusCode != 503 || he.Header.Get("Retry-After") != "25" {
					t.Errorf("%v", f.Err)
				}
				if want := "wsnotify: dialling " + scheme + "://server.test/ws/ada: the proxy answered CONNECT with 503 Service Unavailable"; f.Err.Error() != want {
					t.Errorf("%q", f.Err)
				}
				w.must(w.c.Disconnect())
			})
		})
	}
}

// A user's own check of the proxy's answer comes first.
func TestProxyThatTheUserRefuses(t *testing.T) {
	refused := errors.New("not this one")
	script := func(p *rawPeer) {
		p.answer("HTTP/1.1 200 OK\r\n\r\n")
		p.silence()
	}
	cfg := throughProxy("http://proxy.test", func(tr *http.Transport) {
		tr.OnProxyConnectResponse = func(_ context.Context, u *url.URL, req *http.Request, resp *http.Response) error {
			if u.Host != "proxy.test" || req.Host != "server.test:8080" || resp.StatusCode != 200 {
				t.Errorf("%v, %v, %v", u, req.Host, resp.Status)
			}
			return refused
		}
	})
	cfg.ShouldReconnect = func(wsnotify.Failure) bool { return false }
	inRawBubble(t, cfg, script, func(w *world, _ *rawNet) {
		w.wantErr(w.c.Connect(context.Background(), "ws://server.test:8080", ""), refused)
	})
}

// A proxy that does not answer is bounded by DialTimeout, and by the timeout
// of the HTTP client; one that goes is the network's fault.
func TestProxyThatIsSilent(t *testing.T) {
	for name, test := range map[string]struct {
		script func(*rawPeer)
		limit  time.Duration // of the HTTP client
		want   time.Duration
	}{
		"silence":          {func(p *rawPeer) { p.silence() }, 0, 10 * time.Second},
		"half an answer":   {func(p *rawPeer) { p.answer("HTTP/1.1 200"); p.silence() }, 0, 10 * time.Second},
		"the client's own": {func(p *rawPeer) { p.silence() }, 3 * time.Second, 3 * time.Second},
		"FIN":              {func(p *rawPeer) { p.request() }, 0, 0},
		"RST":              {func(p *rawPeer) { p.request(); p.rst() }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := throughProxy("http://proxy.test", nil)
			cfg.HTTPClient.Timeout = test.limit
			cfg.ShouldReconnect = func(wsnotify.Failure) bool { return false }
			inRawBubble(t, cfg, test.script, func(w *world, _ *rawNet) {
				err := w.c.Connect(context.Background(), "ws://server.test", "")
				if d := time.Since(w.start); err == nil || d != test.want {
					t.Errorf("%v after %v", err, d)
				}
				if f := w.c.Status().LastFailure; f.Phase != wsnotify.PhaseDial || f.Initiator != wsnotify.Network || f.HTTPStatus != 0 {
					t.Errorf("%+v", f)
				}
			})
		})
	}
}

// Disconnect does not wait for a proxy.
func TestDisconnectDuringConnect(t *testing.T) {
	inRawBubble(t, throughProxy("http://proxy.test", nil), func(p *rawPeer) { p.silence() }, func(w *world, _ *rawNet) {
		go w.c.Connect(context.Background(), "ws://server.test", "")
		w.pass(time.Second)
		w.must(w.c.Disconnect())
		<-w.c.Done()
		if d := time.Since(w.start); d != time.Second {
			t.Errorf("it took until %v", d)
		}
	})
}

// A proxy that is spoken to in TLS, on real sockets; and the other kinds, which
// net/http does alone.
func TestKindsOfProxy(t *testing.T) {
	server := onLoopback(t, nil, func(p *rawPeer) { p.accept(); p.silence() })
	tunnel := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, err := net.Dial("tcp", r.Host)
		if err != nil || r.Method != http.MethodConnect {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		defer to.Close()
		w.WriteHeader(http.StatusOK)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		go func() { io.Copy(to, conn); to.Close() }()
		io.Copy(conn, to)
	})
	proxy := httptest.NewUnstartedServer(tunnel)
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0)
	proxy.StartTLS()
	defer proxy.Close()
	roots := x509.NewCertPool()
	roots.AddCert(proxy.Certificate())
	for name, change := range map[string]func(*http.Transport){
		"trusted": func(tr *http.Transport) { tr.TLSClientConfig = &tls.Config{RootCAs: roots} },
		"own dialer": func(tr *http.Transport) {
			tr.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext(ctx, network, addr)
			}
		},
		"not trusted": func(*http.Transport) {},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := throughProxy(proxy.URL, change)
			cfg.CloseTimeout = -1 // nobody answers the close frame
			cfg.ShouldReconnect = func(wsnotify.Failure) bool { return false }
			c := wsnotify.New(cfg)
			err := c.Connect(context.Background(), server, "")
			if name == "not trusted" {
				if f := c.Status().LastFailure; err == nil || f.Initiator != wsnotify.Remote || f.Phase != wsnotify.PhaseDial {
					t.Errorf("%v, %+v", err, f)
				}
			} else if err != nil {
				t.Error(err)
			}
			c.Disconnect()
			<-c.Done()
		})
	}
}
