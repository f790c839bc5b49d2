package edges

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

func server(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

func client(pool *x509.CertPool) *tls.Config { return &tls.Config{RootCAs: pool} }

// overTLS connects to a server of TLS.
func overTLS(t *testing.T, of, by *tls.Config, cfg wsnotify.Config) error {
	t.Helper()
	addr := serve(t, listen(t, of), func(p *peer) { p.accept(); p.drain() })
	cfg.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: by}}
	return connect(t, cfg, "wss://"+addr+"/")
}

// An edge that routes by ALPN drops clients that offer nothing.
func TestALPNIsOffered(t *testing.T) {
	cert, pool := testkit.CertificateOfNow(t, "localhost", "127.0.0.1")
	for name, protocols := range map[string][]string{"by itself": nil, "as the user says": {"http/1.1"}} {
		t.Run(name, func(t *testing.T) {
			offered := make(chan string, 1)
			of, by := server(cert), client(pool)
			of.NextProtos, by.NextProtos = []string{"http/1.1"}, protocols
			of.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				offered <- strings.Join(h.SupportedProtos, ",")
				return nil, nil
			}
			if err := overTLS(t, of, by, wsnotify.Config{BackOff: retries(0)}); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, "ClientHello", offered); got != "http/1.1" {
				t.Errorf("offered is %q", got)
			}
		})
	}
}

// Old devices speak old TLS, and whoever lowers MinVersion knows.
func TestVersionsAreTheUsers(t *testing.T) {
	cert, pool := testkit.CertificateOfNow(t, "localhost", "127.0.0.1")
	of, by := server(cert), client(pool)
	of.MinVersion, of.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if err := overTLS(t, of, by.Clone(), wsnotify.Config{BackOff: retries(0)}); err == nil {
		t.Error("TLS 1.1 was spoken although nobody asked for it")
	}
	by.MinVersion = tls.VersionTLS10
	if err := overTLS(t, of, by, wsnotify.Config{BackOff: retries(0)}); err != nil {
		t.Error(err)
	}
}

// A device whose clock is set only after boot sees certificates of the future.
func TestCertificateIsWaitedFor(t *testing.T) {
	for name, should := range map[string]func(wsnotify.Failure) bool{"by default": nil, "with FailFast": wsnotify.FailFast} {
		t.Run(name, func(t *testing.T) {
			cert, pool := testkit.CertificateOfNow(t, "localhost", "127.0.0.1")
			var set atomic.Bool // the clock, after the first attempt
			by := client(pool)
			by.Time = func() time.Time {
				if set.Load() {
					return time.Now()
				}
				return time.Now().Add(-48 * time.Hour)
			}
			err := overTLS(t, server(cert), by, wsnotify.Config{
				ShouldReconnect: should, BackOff: retries(1000),
				OnReconnecting: func(wsnotify.ReconnectEvent) { set.Store(true) },
			})
			if err != nil || !set.Load() {
				t.Errorf("clock set: %v, %v", set.Load(), err)
			}
		})
	}
}
