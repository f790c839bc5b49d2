//go:build linux

package interop

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/h2"
)

// shared is a Transport that counts its connections.
type shared struct {
	h2.Transport
	dials atomic.Int64
}

func newShared(t testing.TB, trust *tls.Config) *shared {
	s := &shared{}
	s.TLSClientConfig = trust
	s.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		s.dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *shared) config() wsnotify.Config {
	return wsnotify.Config{HTTPClient: &http.Client{Transport: s}, BackOff: quick}
}

// TestHTTP2Servers goes through everything with servers that speak WebSocket
// over HTTP/2 themselves.
func TestHTTP2Servers(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"go http2", "node http2"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cert, key, trust := certificate(t)
			s := serve(t, kind, options{Cert: cert, Key: key})
			over := newShared(t, trust)
			way{server: s, url: s.url(), config: over.config()}.all(t)
			many(t, s.url(), trust, 1)
		})
	}
}

// many has 250 clients say something over few connections.
func many(t *testing.T, url string, trust *tls.Config, dials int64) {
	t.Helper()
	over := newShared(t, trust)
	clients := make([]*client, 250)
	var all sync.WaitGroup
	for i := range clients {
		clients[i] = newClient(t, over.config())
		all.Go(func() { clients[i].connect(url) })
	}
	all.Wait()
	for i, c := range clients {
		all.Go(func() {
			c.say(fmt.Sprintf(`{"msgType":"a","content":"%d"}`, i))
			if n := c.notification(0); n.Content != fmt.Sprint(i) {
				t.Errorf("client %d got %q", i, n.Content)
			}
		})
	}
	all.Wait()
	if n := over.dials.Load(); n != dials {
		t.Errorf("%d connections and not %d", n, dials)
	}
	for _, c := range clients {
		all.Go(func() {
			if err := c.Disconnect(); err != nil {
				t.Errorf("Disconnect: %v", err)
			}
		})
	}
	all.Wait()
}

const haproxyHTTP2Config = `
global
	maxconn 2000
defaults
	mode http
	retries 0
	timeout connect 1s
	timeout client 30s
	timeout server 30s
	timeout tunnel 1h
frontend clients
	bind ADDR ssl crt PEM alpn h2,http/1.1
	default_backend servers
backend servers
	server one BACKEND
`

const caddyHTTP2Config = `
{
	admin off
	auto_https off
	storage file_system DIR/caddy
}
https://HOST:PORT {
	tls CERT KEY
	reverse_proxy BACKEND
}
`

// TestHTTP2Proxies has proxies take streams apart: to the server each is a
// connection.
func TestHTTP2Proxies(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		program, install string
		start            func(t *testing.T, program string, s *server, cert, key string) *daemon
		dials            int64 // for 250 clients
	}{
		{"haproxy", "apt-get install haproxy", func(t *testing.T, program string, s *server, cert, key string) *daemon {
			config := strings.NewReplacer("BACKEND", s.addr(), "PEM", cert+".pem").Replace(haproxyHTTP2Config)
			both := append(read(t, cert), read(t, key)...)
			if err := os.WriteFile(cert+".pem", both, 0o600); err != nil {
				t.Fatal(err)
			}
			d := newDaemon(t, config)
			d.start(program, "-db", "-f", d.config())
			return d
		}, 3}, // 100 streams each, by its default
		{"nghttpx", "apt-get install nghttp2-proxy", func(t *testing.T, program string, s *server, cert, key string) *daemon {
			d := newDaemon(t, "")
			host, port, _ := net.SplitHostPort(d.addr)
			backHost, backPort, _ := net.SplitHostPort(s.addr())
			d.start(program, "--conf="+d.config(), "--workers=1", "-f"+host+","+port, "-b"+backHost+","+backPort, key, cert)
			return d
		}, 3}, // likewise
	} {
		t.Run(row.program, func(t *testing.T) {
			t.Parallel()
			program := need(t, row.program, row.install)
			cert, key, trust := certificate(t)
			s := serve(t, "gorilla", options{})
			d := row.start(t, program, s, cert, key)
			url := "wss://" + d.addr + "/ws/"
			over := newShared(t, trust)
			way{server: s, url: url, config: over.config()}.all(t)
			many(t, url, trust, row.dials)

			c := newClient(t, over.config())
			c.connect(url)
			s.kill()
			wantLost(t, c.closed(1))
			wantRefused(t, c.failed("a status", func(f wsnotify.Failure) bool { return f.HTTPStatus/100 == 5 }).Failure)
			s.start()
			c.opened(2)
			d.end(syscall.SIGKILL)
			wantLost(t, c.closed(2))
		})
	}
}

// Debian's Caddy speaks HTTP/2 and has no extended CONNECT: the client says so,
// or falls back.
func TestHTTP2WithoutExtendedConnect(t *testing.T) {
	t.Parallel()
	program := need(t, "caddy", "apt-get install caddy")
	cert, key, trust := certificate(t)
	s := serve(t, "gorilla", options{})
	d := newDaemon(t, strings.NewReplacer("BACKEND", s.addr(), "CERT", cert, "KEY", key).Replace(caddyHTTP2Config))
	d.start(program, "run", "--adapter", "caddyfile", "--config", d.config())
	url := "wss://" + d.addr + "/ws/"
	over := newShared(t, trust)
	c := wsnotify.New(wsnotify.Config{HTTPClient: &http.Client{Transport: over}, BackOff: wsnotify.Exponential(0, 0, 0)})
	if err := c.Connect(context.Background(), url, "ada"); err == nil || !strings.Contains(err.Error(), "extended CONNECT") {
		t.Errorf("%v", err)
	}
	back := newShared(t, trust)
	back.Fallback = &http.Transport{TLSClientConfig: trust}
	way{server: s, url: url, config: back.config()}.conversation(t)
	if n := back.dials.Load(); n != 1 {
		t.Errorf("it asked %d times whether there is extended CONNECT", n)
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
