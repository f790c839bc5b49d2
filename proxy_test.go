package wsnotify_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
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

// Headers that the user makes for each CONNECT are asked for instead of those of all, stay the user's, and come
// before the user and password of the proxy's URL.
func TestHeadersForEachConnect(t *testing.T) {
	broken := errors.New("no ticket")
	for _, test := range []struct {
		name   string
		header http.Header
		err    error
		want   string
	}{
		{"its own authorization", http.Header{"Proxy-Authorization": {"Ticket 7"}, "X-Tenant": {"red"}}, nil, "Proxy-Authorization: Ticket 7\r\nX-Tenant: red\r\n"},
		{"another header", http.Header{"X-Tenant": {"red"}}, nil, "Proxy-Authorization: Basic YWRhOnNlY3JldA==\r\nX-Tenant: red\r\n"},
		{"none", nil, nil, "Proxy-Authorization: Basic YWRhOnNlY3JldA==\r\n"},
		{"an error", nil, broken, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked string
			var target string
			before := test.header.Clone()
			cfg := throughProxy("http://ada:secret@proxy.test", func(tr *http.Transport) {
				tr.ProxyConnectHeader = http.Header{"X-Tenant": {"blue"}}
				tr.GetProxyConnectHeader = func(_ context.Context, proxy *url.URL, addr string) (http.Header, error) {
					target = proxy.Host + " " + addr
					return test.header, test.err
				}
			})
			cfg.BackOff = never
			inRawBubble(t, cfg, func(p *rawPeer) {
				if asked = p.request(); asked == "" {
					return
				}
				p.write("HTTP/1.1 200 OK\r\n\r\n")
				p.write(switching(p.request()))
				p.silence()
			}, func(w *world, _ *rawNet) {
				err := w.c.Connect(context.Background(), "ws://server.test/ws/", "ada")
				if !errors.Is(err, test.err) {
					t.Errorf("connecting: %v", err)
				}
				synctest.Wait() // for the proxy that is asked nothing
				_, got, _ := strings.Cut(asked, "\r\nUser-Agent: Go-http-client/1.1\r\n")
				if strings.TrimSuffix(got, "\r\n") != test.want || target != "proxy.test server.test:80" {
					t.Errorf("for %s the proxy was asked %q, want %q", target, got, test.want)
				}
				if !maps.EqualFunc(test.header, before, slices.Equal) {
					t.Errorf("the user's header became %v", test.header)
				}
			})
		})
	}
}

// A dial function that returns nothing at all fails the attempt, and says whose it is.
func TestDialFunctionsThatReturnNothing(t *testing.T) {
	nothing := func(context.Context, string, string) (net.Conn, error) { return nil, nil }
	for name, tr := range map[string]*http.Transport{
		"ws://server.test/":  {DialContext: nothing},
		"wss://server.test/": {DialTLSContext: nothing},
	} {
		c := wsnotify.New(wsnotify.Config{HTTPClient: &http.Client{Transport: tr}, BackOff: never})
		err := c.Connect(t.Context(), name, "")
		if want := "the dial function of Config.HTTPClient returned neither a connection nor an error"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		<-c.Done()
	}
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
				f := w.c.Status().LastFailure
				if f.Phase != wsnotify.PhaseDial || f.Initiator != wsnotify.Network || f.HTTPStatus != 0 {
					t.Errorf("%+v", f)
				}
				if test.want > 0 && !errors.Is(f.Err, context.DeadlineExceeded) {
					t.Errorf("it does not say that the time was over: %v", f.Err)
				}
			})
		})
	}
}

// nowhere is a net.Conn without addresses, as some tunnels have it.
type nowhere struct{ net.Conn }

func (nowhere) LocalAddr() net.Addr  { return nil }
func (nowhere) RemoteAddr() net.Addr { return nil }

func TestProxyThatHangsUpOnAConnWithoutAddresses(t *testing.T) {
	n := &rawNet{script: func(p *rawPeer) { p.request() }}
	cfg := throughProxy("http://proxy.test", func(tr *http.Transport) {
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := n.dial(ctx, network, addr)
			return nowhere{conn}, err
		}
	})
	cfg.BackOff = never
	synctest.Test(t, func(t *testing.T) {
		c := wsnotify.New(cfg)
		err := c.Connect(t.Context(), "ws://server.test/", "")
		if f := c.Status().LastFailure; err == nil || f.Initiator != wsnotify.Network || !strings.Contains(err.Error(), "proxyconnect tcp: ") {
			t.Errorf("%v, %+v", err, f)
		}
		<-c.Done()
		n.ending.Wait()
	})
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

// A proxy that is spoken to in TLS, on real sockets.
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

// RFC 9110: any 2xx to CONNECT makes the tunnel, and a 1xx before it is not the
// answer. Anything else is none.
func TestWhatMakesATunnel(t *testing.T) {
	for _, scheme := range []string{"ws", "wss"} {
		for answer, status := range map[string]int{
			"HTTP/1.1 200 OK\r\n\r\n":         0,
			"HTTP/1.1 204 No Content\r\n\r\n": 0,
			"HTTP/1.1 299 Fine\r\n\r\n":       0,
			"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\n": 0,
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n":                           101,
			"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 407 No\r\n\r\n":                                                 407,
			"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n":                                                               302,
		} {
			script := func(p *rawPeer) {
				p.answer(answer)
				if scheme == "ws" && status == 0 {
					p.accept()
					p.frames(closeFrame(1000, ""))
				}
				p.silence() // what begins TLS is not answered
			}
			cfg := throughProxy("http://proxy.test", nil)
			cfg.BackOff, cfg.DialTimeout = never, time.Second
			inRawBubble(t, cfg, script, func(w *world, _ *rawNet) {
				err := w.c.Connect(context.Background(), scheme+"://server.test/", "")
				<-w.c.Done()
				f := w.c.Status().LastFailure
				if f.HTTPStatus != status || status == 0 && scheme == "ws" && err != nil || status == 0 && scheme == "wss" && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s, %q: %v, %+v", scheme, answer, err, f)
				}
			})
		}
	}
}

// A proxy can't hold up or fill a client with answers that are none.
func TestProxyThatNeverComesToTheAnswer(t *testing.T) {
	cfg := throughProxy("http://proxy.test", nil)
	cfg.BackOff = never
	inRawBubble(t, cfg, func(p *rawPeer) {
		for p.request(); p.write("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n") == nil; {
		}
	}, func(w *world, n *rawNet) {
		err := w.c.Connect(context.Background(), "ws://server.test/", "")
		if f := w.c.Status().LastFailure; f.Initiator != wsnotify.Remote || !strings.Contains(err.Error(), "bytes of headers") || n.read.Load() > 2<<20 {
			t.Errorf("%d bytes read, %v, %+v", n.read.Load(), err, f)
		}
	})
}

// socksServer answers as a proxy of RFC 1928 does, and says what it was asked.
func socksServer(p *rawPeer, login string, code byte, target *string) (ok bool) {
	exactly := func(n int) []byte {
		return p.take(func(b []byte) int {
			if len(b) >= n {
				return n
			}
			return 0
		})
	}
	hello := exactly(2)
	methods := exactly(int(hello[1]))
	if login == "" {
		p.write("\x05\x00")
	} else {
		if !strings.Contains(string(methods), "\x02") {
			p.write("\x05\xff")
			return false
		}
		p.write("\x05\x02")
		user := exactly(int(exactly(2)[1]))
		password := exactly(int(exactly(1)[0]))
		if string(user)+":"+string(password) != login {
			p.write("\x01\x01")
			return false
		}
		p.write("\x01\x00")
	}
	head := exactly(4)
	host := ""
	switch head[3] {
	case 1:
		host = net.IP(exactly(4)).String()
	case 3:
		host = string(exactly(int(exactly(1)[0])))
	case 4:
		host = net.IP(exactly(16)).String()
	}
	port := exactly(2)
	*target = net.JoinHostPort(host, strconv.Itoa(int(port[0])<<8|int(port[1])))
	p.write("\x05" + string(code) + "\x00\x03\x09localhost\x00\x00") // the bound address, as a name
	return code == 0
}

func TestSOCKSProxy(t *testing.T) {
	for _, test := range []struct {
		proxy, login string
		code         byte
		url          string
		target       string
		failure      string // "" if it opens
		says         string
	}{
		{"socks5://proxy.test", "", 0, "ws://server.test/", "server.test:80", "", ""},
		{"socks5h://proxy.test:1080", "", 0, "ws://SERVER.test:8080/", "server.test:8080", "", ""},
		{"socks5://proxy.test", "", 0, "ws://192.0.2.1/", "192.0.2.1:80", "", ""},
		{"socks5://proxy.test", "", 0, "ws://[2001:db8::1]/", "[2001:db8::1]:80", "", ""},
		{"socks5://ada:se%63ret@proxy.test", "ada:secret", 0, "ws://server.test/", "server.test:80", "", ""},
		{"socks5://ada:other@proxy.test", "ada:secret", 0, "ws://server.test/", "", "dial, remote", "refused the user and password"},
		{"socks5://proxy.test", "ada:secret", 0, "ws://server.test/", "", "dial, remote", "wants a user and password"},
		{"socks5://proxy.test", "", 5, "ws://server.test/", "server.test:80", "dial, network", "connection refused"},
		{"socks5://proxy.test", "", 2, "ws://server.test/", "server.test:80", "dial, remote", "not allowed"},
		{"socks4://proxy.test", "", 2, "ws://server.test/", "", "dial, remote", "must be http, https, socks5 or socks5h"},
	} {
		var target string
		cfg := throughProxy(test.proxy, nil)
		cfg.BackOff = never
		inRawBubble(t, cfg, func(p *rawPeer) {
			if socksServer(p, test.login, test.code, &target) {
				p.accept()
				p.frames(closeFrame(1000, ""))
			}
			p.silence()
		}, func(w *world, _ *rawNet) {
			err := w.c.Connect(context.Background(), test.url, "")
			<-w.c.Done()
			f := *w.c.Status().LastFailure
			if (err == nil) != (test.failure == "") || err != nil && (describe(f) != test.failure || !strings.Contains(err.Error(), test.says)) || target != test.target {
				t.Errorf("%s over %s: asked for %q; %s, %v", test.url, test.proxy, target, describe(f), err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
		})
	}
}

// ALPN offers http/1.1 through every kind of proxy, too.
func TestALPNThroughProxies(t *testing.T) {
	cert, pool := testkit.Certificate(t, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), "server.test")
	for _, proxy := range []string{"http://proxy.test", "socks5://proxy.test"} {
		var offered, name string
		config := &tls.Config{Certificates: []tls.Certificate{cert}, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			offered, name = strings.Join(h.SupportedProtos, " "), h.ServerName
			return nil, nil
		}}
		cfg := throughProxy(proxy, func(tr *http.Transport) { tr.TLSClientConfig = &tls.Config{RootCAs: pool} })
		cfg.BackOff = never
		inRawBubble(t, cfg, func(p *rawPeer) {
			if strings.HasPrefix(proxy, "socks") {
				var target string
				socksServer(p, "", 0, &target)
			} else {
				p.answer("HTTP/1.1 200 OK\r\n\r\n")
			}
			through := tls.Server(&afterwards{p}, config)
			r := bufio.NewReader(through)
			request, err := http.ReadRequest(r)
			if err != nil {
				t.Errorf("%s: %v", proxy, err)
				return
			}
			io.WriteString(through, switching("Sec-WebSocket-Key: "+request.Header.Get("Sec-WebSocket-Key")+"\r\n")+string(closeFrame(1000, "")))
			p.silence()
		}, func(w *world, _ *rawNet) {
			w.must(w.c.Connect(context.Background(), "wss://server.test/", ""))
			<-w.c.Done()
			if offered != "http/1.1" || name != "server.test" {
				t.Errorf("%s: offered were %q to %q", proxy, offered, name)
			}
		})
	}
}

// CONNECT is spoken in HTTP/1.1, whatever is offered to the server behind the
// proxy.
func TestALPNOfAnHTTPSProxy(t *testing.T) {
	cert, pool := testkit.Certificate(t, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), "proxy.test")
	var offered, name string
	config := &tls.Config{Certificates: []tls.Certificate{cert}, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		offered, name = strings.Join(h.SupportedProtos, " "), h.ServerName
		return nil, nil
	}}
	cfg := throughProxy("https://proxy.test", func(tr *http.Transport) {
		tr.TLSClientConfig = &tls.Config{RootCAs: pool, NextProtos: []string{"mqtt"}}
	})
	cfg.BackOff = never
	inRawBubble(t, cfg, func(p *rawPeer) {
		through := tls.Server(&afterwards{p}, config)
		r := bufio.NewReader(through)
		for range 2 { // CONNECT, and the handshake
			request, err := http.ReadRequest(r)
			if err != nil {
				t.Error(err)
				return
			}
			if request.Method == http.MethodConnect {
				io.WriteString(through, "HTTP/1.1 200 OK\r\n\r\n")
			} else {
				io.WriteString(through, switching("Sec-WebSocket-Key: "+request.Header.Get("Sec-WebSocket-Key")+"\r\n")+string(closeFrame(1000, "")))
			}
		}
		p.silence()
	}, func(w *world, _ *rawNet) {
		w.must(w.c.Connect(context.Background(), "ws://server.test/", ""))
		<-w.c.Done()
		if offered != "http/1.1" || name != "proxy.test" {
			t.Errorf("offered were %q to %q", offered, name)
		}
	})
}

// afterwards is what a peer has of its connection behind what it has taken.
type afterwards struct{ *rawPeer }

func (a *afterwards) Read(b []byte) (int, error) {
	got := a.take(func(have []byte) int { return min(len(have), len(b)) })
	if got == nil {
		return 0, io.EOF
	}
	return copy(b, got), nil
}
