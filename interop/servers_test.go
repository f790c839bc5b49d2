//go:build linux

package interop

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// Every server, straight; some of them with TLS, compression and a subprotocol.
func TestServers(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := serve(t, kind, options{})
			way{server: s, url: s.url()}.all(t)
		})
	}
}

func TestServersWithCompression(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		if kind == "gobwas" {
			continue // it leaves the extension to its users
		}
		for name, mode := range map[string]wsnotify.CompressionMode{
			"context takeover":    wsnotify.CompressionContextTakeover,
			"no context takeover": wsnotify.CompressionNoContextTakeover,
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				s := serve(t, kind, options{Deflate: true, Subprotocol: "v2.notify"})
				way{server: s, url: s.url(), config: wsnotify.Config{
					Compression: mode, Subprotocols: []string{"v3.notify", "v2.notify"},
				}}.conversation(t)
			})
		}
		if kind == "gorilla" || kind == "gws" {
			continue // which agree to other windows than were asked for, as RFC 7692 does not allow
		}
		t.Run(kind+" windows of 9 bits", func(t *testing.T) {
			t.Parallel()
			s := serve(t, kind, options{Deflate: true})
			way{server: s, url: s.url(), config: wsnotify.Config{
				Compression: wsnotify.CompressionContextTakeover, CompressionWindow: 9,
			}}.conversation(t)
		})
	}
}

func TestServersWithTLS(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cert, key, trust := certificate(t)
			s := serve(t, kind, options{Cert: cert, Key: key})
			way{server: s, url: s.url(), config: wsnotify.Config{
				HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: trust}},
			}}.all(t)
		})
	}
}

// certificate makes one for 127.0.0.1, and what trusts it.
func certificate(t testing.TB) (cert, key string, trust *tls.Config) {
	t.Helper()
	made, pool := testkit.CertificateOfNow(t, "127.0.0.1")
	cert, key = testkit.CertificateFiles(t, made)
	return cert, key, &tls.Config{RootCAs: pool}
}
