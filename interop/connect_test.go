//go:build linux

package interop

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/wsnotify/wsnotify"
)

func itoa(n int) string { return strconv.Itoa(n) }

const tinyproxyConfig = `
Port PORT
Listen HOST
Allow 127.0.0.1
MaxClients 100
LogLevel Info
LogFile "DIR/log"
`

type tinyproxy struct {
	*daemon
	program string
}

func newTinyproxy(t testing.TB, more string) *tinyproxy {
	t.Helper()
	program := need(t, "tinyproxy", "apt-get install tinyproxy-bin")
	p := &tinyproxy{newDaemon(t, tinyproxyConfig+more+"\n"), program}
	p.start()
	return p
}

func (p *tinyproxy) start() {
	p.t.Helper()
	p.daemon.start(p.program, "-d", "-c", p.config())
}

// through makes every dial go to the proxy.
func (p *tinyproxy) through(user *url.Userinfo, trust *tls.Config) wsnotify.Config {
	return wsnotify.Config{HTTPClient: &http.Client{Transport: &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", User: user, Host: p.addr}),
		TLSClientConfig: trust,
	}}}
}

func TestConnectProxy(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"ws", "wss"} {
		secured := func(t testing.TB) (o options, trust *tls.Config) {
			if scheme == "wss" {
				o.Cert, o.Key, trust = certificate(t)
			}
			return o, trust
		}
		t.Run(scheme+" everything", func(t *testing.T) {
			t.Parallel()
			o, trust := secured(t)
			s := serve(t, "gorilla", o)
			user := url.UserPassword("ada", "secret")
			way{server: s, url: s.url(), config: newTinyproxy(t, "Timeout 600\nBasicAuth ada secret").through(user, trust)}.all(t)
		})
		t.Run(scheme+" idle connections", func(t *testing.T) {
			t.Parallel()
			o, trust := secured(t)
			s := serve(t, "gorilla", o)
			idle(t, s, s.url(), newTinyproxy(t, "Timeout 2").through(nil, trust))
		})
		t.Run(scheme+" 407", func(t *testing.T) {
			t.Parallel()
			o, trust := secured(t)
			s := serve(t, "gorilla", o)
			p := newTinyproxy(t, "Timeout 600\nBasicAuth ada secret")
			var right atomic.Bool
			cfg := p.through(nil, trust)
			cfg.BackOff = quick
			cfg.HTTPClient.Transport.(*http.Transport).Proxy = func(*http.Request) (*url.URL, error) {
				u := &url.URL{Scheme: "http", Host: p.addr}
				if right.Swap(true) {
					u.User = url.UserPassword("ada", "secret")
				}
				return u, nil
			}
			c := newClient(t, cfg)
			c.connect(s.url())
			f := c.status(407).Failure
			if f.Phase != wsnotify.PhaseDial || f.Initiator != wsnotify.Remote || f.Code != -1 {
				t.Errorf("%+v", f)
			}
			c.opened(1)
		})
		t.Run(scheme+" server down", func(t *testing.T) {
			t.Parallel()
			o, trust := secured(t)
			s := serve(t, "gorilla", o)
			cfg := newTinyproxy(t, "Timeout 600").through(nil, trust)
			cfg.BackOff = quick
			c := newClient(t, cfg)
			c.connect(s.url())
			s.kill()
			wantLost(t, c.closed(1))
			e := c.failed("a refusal by the proxy", func(f wsnotify.Failure) bool { return f.HTTPStatus >= 500 })
			if f := e.Failure; f.Phase != wsnotify.PhaseDial || f.Initiator != wsnotify.Remote {
				t.Errorf("%+v", f)
			}
			t.Log(e.Failure.Err)
			s.start()
			c.opened(2)
		})
		t.Run(scheme+" proxy dies", func(t *testing.T) {
			t.Parallel()
			o, trust := secured(t)
			s := serve(t, "gorilla", o)
			p := newTinyproxy(t, "Timeout 600")
			cfg := p.through(nil, trust)
			cfg.BackOff = quick
			c := newClient(t, cfg)
			c.connect(s.url())
			p.end(syscall.SIGKILL)
			wantLost(t, c.closed(1))
			c.failed("a refused dial", func(f wsnotify.Failure) bool {
				return f.Phase == wsnotify.PhaseDial && f.Initiator == wsnotify.Network && f.HTTPStatus == 0
			})
			c.enqueue(0, 100)
			p.start()
			c.opened(2)
			s.await(t, 0, waitLimit, "the last message", func(l line) bool { return l.Text == numbered(99) })
		})
	}
}
