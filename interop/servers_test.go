//go:build linux

package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
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

// certificate makes a certificate for 127.0.0.1 that only its own
// configuration trusts.
func certificate(t testing.TB) (cert, key string, trust *tls.Config) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "wsnotify interop"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:        true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	check(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	check(err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	check(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	check(os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	parsed, err := x509.ParseCertificate(der)
	check(err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return cert, key, &tls.Config{RootCAs: pool}
}
