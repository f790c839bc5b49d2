//go:build linux

package interop

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

const haproxyConfig = `
global
	maxconn 200
	GLOBAL
defaults
	mode http
	retries 0
	timeout connect 1s
	timeout client 30s
	timeout server 30s
	DEFAULTS
frontend clients
	bind ADDR
	use_backend hanging if { path_beg /hang/ }
	default_backend servers
backend servers
	server one BACKEND
backend hanging
	timeout server 1s
	server one HANG
`

type haproxy struct {
	*daemon
	program string
}

func newHAProxy(t testing.TB, s *server, inGlobal, inDefaults string) *haproxy {
	t.Helper()
	program := need(t, "haproxy", "apt-get install haproxy")
	config := strings.NewReplacer("BACKEND", s.addr(), "HANG", hang(t), "GLOBAL", inGlobal, "DEFAULTS", inDefaults).Replace(haproxyConfig)
	h := &haproxy{newDaemon(t, config), program}
	h.start()
	return h
}

func (h *haproxy) start(args ...string) {
	h.t.Helper()
	h.daemon.start(h.program, append([]string{"-db", "-f", h.config()}, args...)...)
}

// reload starts a successor, which takes over the port and tells the old
// process to end once it has nothing to do. It returns that.
func (h *haproxy) reload() (old *daemon) {
	h.t.Helper()
	before := *h.daemon
	h.start("-sf", itoa(before.cmd.Process.Pid))
	return &before
}

func TestHAProxy(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run("everything with "+kind, func(t *testing.T) {
			t.Parallel()
			s := serve(t, kind, options{})
			way{server: s, url: newHAProxy(t, s, "", "timeout tunnel 1h").url()}.all(t)
		})
	}
	t.Run("idle connections", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		idle(t, s, newHAProxy(t, s, "", "timeout tunnel 1500ms").url(), wsnotify.Config{})
	})
	t.Run("idle connections without timeout tunnel", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		idle(t, s, newHAProxy(t, s, "", "timeout client 1500ms").url(), wsnotify.Config{})
	})
	t.Run("reload with hard-stop-after", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		h := newHAProxy(t, s, "hard-stop-after 1s", "timeout tunnel 1h")
		var old *daemon
		cutByReload(t, h.url(), func() { old = h.reload() })
		<-old.done
	})
	t.Run("reload without", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		h := newHAProxy(t, s, "", "timeout tunnel 1h")
		var old *daemon
		c := staysOverReload(t, s, h.url(), func() { old = h.reload() })
		if err := c.Disconnect(); err != nil {
			t.Error(err)
		}
		select {
		case <-old.done: // its last connection is gone
		case <-time.After(waitLimit):
			t.Error("the old process did not end")
			old.end(syscall.SIGKILL)
		}
	})
	t.Run("killed backend, and 503", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		backendIsKilled(t, s, newHAProxy(t, s, "", "").url(), 503)
	})
	t.Run("504", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		backendHangs(t, newHAProxy(t, s, "", "").url())
	})
	t.Run("killed and started", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		h := newHAProxy(t, s, "", "")
		c := proxyEnds(t, h.daemon, syscall.SIGKILL)
		h.start()
		c.opened(2)
	})
}
