package hostile

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// What the kernel has a say in, on real sockets: FIN and RST at each stage,
// and TLS. How long it takes is tested in virtual time.

// failureOf connects once, and returns how that ended.
func failureOf(t *testing.T, url string, cfg wsnotify.Config) (f wsnotify.Failure, opened, closed int, delivered []string) {
	t.Helper()
	cfg.BackOff = harness.Never
	cfg.OnOpen = func(wsnotify.OpenEvent) { opened++ }
	cfg.OnClose = func(wsnotify.CloseEvent) { closed++ }
	cfg.OnMessage = func(m wsnotify.Message) { delivered = append(delivered, string(m.Data)) }
	c := wsnotify.New(cfg)
	c.Connect(harness.Deadline(t), url, "ada")
	<-c.Done()
	return *c.Status().LastFailure, opened, closed, delivered
}

func TestConnectionsThatBreakOnRealSockets(t *testing.T) {
	one := text("one")
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	stages := []struct {
		name   string
		script func(*harness.Peer)
		open   bool // the client may have seen the whole response
		torn   bool // what came may be taken for malformed
	}{
		{"before the request", func(p *harness.Peer) {}, false, false},
		{"after the request", func(p *harness.Peer) { p.Request() }, false, false},
		{"in the status line", func(p *harness.Peer) { p.Answer("HTTP/1.1 10") }, false, true},
		{"in the headers", func(p *harness.Peer) { p.Answer(head + "Connec") }, false, true},
		{"between two headers", func(p *harness.Peer) { p.Answer(head) }, false, false},
		{"after the handshake", func(p *harness.Peer) { p.Accept() }, true, false},
		{"in a frame's header", func(p *harness.Peer) { p.Accept(); p.Frames(one, []byte{0x81, 126, 1}) }, true, false},
		{"in a frame", func(p *harness.Peer) { p.Accept(); p.Frames(one, one[:4]) }, true, false},
		{"between two fragments", func(p *harness.Peer) { p.Accept(); p.Frames(one, frame(false, 1, "tw")) }, true, false},
		{"in a close frame", func(p *harness.Peer) { p.Accept(); p.Frames(one, closeFrame(1000, "bye")[:5]) }, true, false},
	}
	for _, stage := range stages {
		for _, how := range []string{"FIN", "RST"} {
			t.Run(how+" "+stage.name, func(t *testing.T) {
				url := harness.OnLoopback(t, nil, func(p *harness.Peer) {
					stage.script(p)
					if how == "RST" {
						p.RST()
					}
				})
				f, opened, closed, delivered := failureOf(t, url, wsnotify.Config{})
				malformed := stage.torn && f.Initiator == wsnotify.Remote && strings.Contains(f.Err.Error(), "malformed")
				if f.Initiator != wsnotify.Network && !malformed || f.Code != -1 || f.HTTPStatus != 0 {
					t.Errorf("%s: %v", harness.Describe(f), f.Err)
				}
				// A reset may outrun the response.
				if f.Phase == wsnotify.PhaseOpen != (opened == 1) || opened != closed ||
					opened == 0 && f.Phase != wsnotify.PhaseDial && f.Phase != wsnotify.PhaseHandshake ||
					!stage.open && opened > 0 || stage.open && how == "FIN" && opened == 0 {
					t.Errorf("%s, %d OnOpen, %d OnClose: %v", harness.Describe(f), opened, closed, f.Err)
				}
				for _, data := range delivered {
					if data != "one" {
						t.Errorf("%q was delivered", data)
					}
				}
			})
		}
	}
}

func TestTLSOnRealSockets(t *testing.T) {
	now := time.Now()
	good, trusted := testkit.Certificate(t, now.Add(-time.Hour), now.Add(time.Hour), "127.0.0.1")
	expired, expiredPool := testkit.Certificate(t, now.Add(-2*time.Hour), now.Add(-time.Hour), "127.0.0.1")
	future, futurePool := testkit.Certificate(t, now.Add(time.Hour), now.Add(2*time.Hour), "127.0.0.1")
	other, otherPool := testkit.Certificate(t, now.Add(-time.Hour), now.Add(time.Hour), "elsewhere.example")
	old := &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	of := func(cert tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }
	for _, test := range []struct {
		name   string
		server *tls.Config
		client *http.Client
		cert   bool // the certificate is what is wrong
		opens  bool
		says   string
	}{
		{"self-signed", of(good), nil, true, false, "RootCAs"},
		{"expired", of(expired), harness.Trusting(&tls.Config{RootCAs: expiredPool}), true, false, "has to be renewed"},
		{"not yet valid", of(future), harness.Trusting(&tls.Config{RootCAs: futurePool}), true, false, "clock"},
		{"another host's", of(other), harness.Trusting(&tls.Config{RootCAs: otherPool}), true, false, "ServerName"},
		{"TLS 1.1", old, harness.Trusting(&tls.Config{RootCAs: trusted}), false, false, "protocol version"},
		{"TLS 1.1, and the user's client asks for 1.0", old, harness.Trusting(&tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS10}), false, true, ""},
		{"trusted", of(good), harness.Trusting(&tls.Config{RootCAs: trusted}), false, true, ""},
		{"not verified, since the user's client says so", of(good), harness.Trusting(&tls.Config{InsecureSkipVerify: true}), false, true, ""},
		{"plain", nil, nil, false, false, "wss:// to a port that speaks plain HTTP: try ws://"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := harness.OnLoopback(t, test.server, func(p *harness.Peer) {
				if test.server == nil {
					p.Send(harness.Response(400, "this is plain HTTP"))
					p.Silence()
					return
				}
				if request := p.Request(); request != "" {
					p.Send(harness.Switching(request))
					p.Frames(closeFrame(1000, ""))
					p.Closed()
				}
			})
			f, opened, _, _ := failureOf(t, strings.Replace(url, "ws:", "wss:", 1), wsnotify.Config{HTTPClient: test.client})
			if test.opens {
				if opened != 1 || f.Code != 1000 {
					t.Errorf("%s: %v", harness.Describe(f), f.Err)
				}
				return
			}
			if opened != 0 || f.Phase != wsnotify.PhaseDial || f.Initiator != wsnotify.Remote {
				t.Errorf("%d OnOpen, %s: %v", opened, harness.Describe(f), f.Err)
			}
			var verification *tls.CertificateVerificationError
			stops := test.cert && test.name != "not yet valid" // a clock that is late may be set
			if errors.As(f.Err, &verification) != test.cert || wsnotify.FailFast(f) == stops {
				t.Errorf("%v; FailFast goes on: %v", f.Err, wsnotify.FailFast(f))
			}
			if !strings.Contains(f.Err.Error(), test.says) {
				t.Errorf("the error says %q", f.Err)
			}
			harness.CheckShown(t, f.Err.Error())
		})
	}
}

func TestPlainToATLSPort(t *testing.T) {
	good, _ := testkit.Certificate(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "127.0.0.1")
	url := harness.OnLoopback(t, &tls.Config{Certificates: []tls.Certificate{good}}, func(p *harness.Peer) { p.Request() })
	f, opened, _, _ := failureOf(t, url, wsnotify.Config{})
	if opened != 0 || f.Phase == wsnotify.PhaseOpen || f.HTTPStatus != 0 && f.HTTPStatus != 400 {
		t.Errorf("%d OnOpen, %s: %v", opened, harness.Describe(f), f.Err)
	}
	harness.CheckShown(t, f.Err.Error())
	// Go's own server answers that, and the words of nginx and Apache are known.
	bodies := []string{
		"<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>",
		"<!DOCTYPE HTML PUBLIC><html><head>\n<title>400 Bad Request</title>\n</head>Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
	}
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	urls := []string{strings.Replace(srv.URL, "https:", "ws:", 1)}
	for _, body := range bodies {
		urls = append(urls, harness.OnLoopback(t, nil, func(p *harness.Peer) { p.Answer(harness.Response(400, body)) }))
	}
	for _, url := range urls {
		f, _, _, _ := failureOf(t, url, wsnotify.Config{})
		if f.HTTPStatus != 400 || !strings.Contains(f.Err.Error(), "ws:// to a port that speaks TLS: try wss://") {
			t.Errorf("%s: %v", harness.Describe(f), f.Err)
		}
	}
}
