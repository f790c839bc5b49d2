//go:build linux

package interop

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

const nginxConfig = `
daemon off;
user root;
worker_processes 1;
pid DIR/pid;
error_log DIR/log notice;
MAIN
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
	map $http_upgrade $connection_upgrade { default upgrade; '' close; }
	server {
		listen ADDR;
		location /ws/ {
			proxy_pass http://BACKEND;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			LOCATION
		}
		location /plain/ { proxy_pass http://BACKEND; }
		location /busy/ { add_header Retry-After 1 always; return 503; }
		location /hang/ { proxy_pass http://HANG; proxy_read_timeout 1s; }
	}
}
`

type nginx struct {
	*daemon
	program string
}

func newNginx(t testing.TB, s *server, inMain, inLocation string) *nginx {
	t.Helper()
	program := need(t, "nginx", "apt-get install nginx-light")
	config := strings.NewReplacer("BACKEND", s.addr(), "HANG", hang(t), "MAIN", inMain, "LOCATION", inLocation).Replace(nginxConfig)
	n := &nginx{newDaemon(t, config), program}
	n.start()
	return n
}

func (n *nginx) start() {
	n.t.Helper()
	n.daemon.start(n.program, "-p", n.dir, "-e", n.dir+"/log", "-c", n.config())
}

func TestNginx(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run("everything with "+kind, func(t *testing.T) {
			t.Parallel()
			s := serve(t, kind, options{})
			way{server: s, url: newNginx(t, s, "", "").url()}.all(t)
		})
	}
	t.Run("idle connections", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		idle(t, s, newNginx(t, s, "", "proxy_read_timeout 1500ms;").url(), wsnotify.Config{})
	})
	t.Run("reload with worker_shutdown_timeout", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		n := newNginx(t, s, "worker_shutdown_timeout 1s;", "")
		cutByReload(t, n.url(), func() { n.cmd.Process.Signal(syscall.SIGHUP) })
	})
	t.Run("reload without", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		n := newNginx(t, s, "", "")
		old := staysOverReload(t, s, n.url(), func() { n.cmd.Process.Signal(syscall.SIGHUP) })
		young := newClient(t, wsnotify.Config{BackOff: quick})
		young.connect(n.url())
		for _, c := range []*client{old, young} {
			c.say(`{"msgType":"a","content":"b"}`)
			c.notification(0)
		}
	})
	t.Run("killed upstream, and 502", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		backendIsKilled(t, s, newNginx(t, s, "", "").url(), 502)
	})
	t.Run("503 with Retry-After", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		c := afterwards(t)
		c.connect(strings.Replace(newNginx(t, s, "", "").url(), "/ws/", "/busy/", 1))
		e := c.status(503)
		wantRefused(t, e.Failure)
		if e.Failure.RetryAfter != time.Second || e.Delay != time.Second {
			t.Errorf("%+v", e)
		}
		c.opened(1)
	})
	t.Run("504", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		backendHangs(t, newNginx(t, s, "", "").url())
	})
	t.Run("without the headers of the upgrade", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		c := newClient(t, wsnotify.Config{BackOff: quick, ShouldReconnect: wsnotify.FailFast})
		err := c.Connect(context.Background(), strings.Replace(newNginx(t, s, "", "").url(), "/ws/", "/plain/", 1), "ada")
		if f := c.Status().LastFailure; err == nil || f.HTTPStatus != 400 {
			t.Errorf("%v, %+v", err, f)
		} else {
			wantRefused(t, *f)
		}
	})
	t.Run("stopped and started", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		n := newNginx(t, s, "", "")
		c := proxyEnds(t, n.daemon, syscall.SIGTERM)
		c.enqueue(0, 100)
		n.start()
		c.opened(2)
		s.await(t, 0, waitLimit, "the last message", func(l line) bool { return l.Text == numbered(99) })
		if got := s.numbered(); len(got) != 100 || got[0] != numbered(0) {
			t.Errorf("of 100 messages %d came", len(got))
		}
	})
}

// afterwards is a client whose second attempt goes to /ws/.
func afterwards(t testing.TB) *client {
	return newClient(t, wsnotify.Config{BackOff: quick, BeforeDial: func(_ context.Context, req *wsnotify.DialRequest) error {
		if req.Attempt > 0 {
			req.URL.Path = "/ws/ada"
		}
		return nil
	}})
}

// wantRefused says that the handshake was answered with an HTTP status.
func wantRefused(t testing.TB, f wsnotify.Failure) {
	t.Helper()
	if f.Phase != wsnotify.PhaseHandshake || f.Initiator != wsnotify.Remote || f.Code != -1 {
		t.Errorf("a refused handshake is %+v", f)
	}
}
