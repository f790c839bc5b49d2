package wsnotify_test

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// GODEBUG=fips140=only makes SHA-1 panic, which the handshake needs, though not
// for its security: RFC 6455, section 10.8. Where this version of Go can make an
// exception, the handshake is made, and the exception is for nothing else; where
// it can't, the dial fails and the program goes on.
func TestHandshakeUnderFIPSOnly(t *testing.T) {
	if address := os.Getenv("WSNOTIFY_TEST_FIPS"); address != "" {
		underFIPS(t, address)
		return
	}
	cert, _ := testkit.Certificate(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "localhost")
	script := accepts(func(p *rawPeer) { p.frames(text("hi")); p.closed() })
	addresses := map[string]string{
		"ws":  onLoopback(t, nil, script),
		"wss": strings.Replace(onLoopback(t, &tls.Config{Certificates: []tls.Certificate{cert}}, script), "ws://127.0.0.1", "wss://localhost", 1),
	}
	for scheme, address := range addresses {
		for _, mode := range []string{"on", "only"} {
			t.Run(scheme+", fips140="+mode, func(t *testing.T) {
				cmd := exec.Command(os.Args[0], "-test.run", "^TestHandshakeUnderFIPSOnly$")
				cmd.Env = append(os.Environ(), "GODEBUG=fips140="+mode, "WSNOTIFY_TEST_FIPS="+address,
					"WSNOTIFY_TEST_CERT="+string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})))
				out, err := cmd.CombinedOutput()
				want := "connected: <nil>, got hi, exempt: false"
				if mode == "only" && strings.HasPrefix(runtime.Version(), "go1.25") {
					want = "connected: wsnotify: giving up after 1 attempt: dialling " + address + ": GODEBUG=fips140=only forbids"
				}
				if mode == "on" {
					want = "connected: <nil>, got hi, exempt: true"
				}
				if err != nil || !strings.Contains(string(out), want) {
					lines := strings.SplitN(string(out), "\n", 20)
					t.Errorf("%v, and not %q:\n%s", err, want, strings.Join(lines[:len(lines)-1], "\n"))
				}
			})
		}
	}
}

// underFIPS is the program that connects. It tells whether its own dial function
// could use what FIPS 140 does not approve of.
func underFIPS(t *testing.T, address string) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(os.Getenv("WSNOTIFY_TEST_CERT")))
	got, exempt := make(chan string, 1), false
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, VerifyConnection: func(tls.ConnectionState) error {
		exempt = usesSHA1()
		return nil
	}}}
	tr.Proxy = func(*http.Request) (*url.URL, error) { exempt = usesSHA1(); return nil, nil }
	c := wsnotify.New(wsnotify.Config{
		BackOff: never, HTTPClient: &http.Client{Transport: tr},
		OnMessage: func(m wsnotify.Message) { got <- string(m.Data) },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := c.Connect(ctx, address, "")
	if err != nil {
		fmt.Printf("connected: %v\n", err)
		return
	}
	select {
	case text := <-got:
		fmt.Printf("connected: %v, got %s, exempt: %v\n", err, text, exempt)
	case <-ctx.Done():
		fmt.Println(errors.New("nothing came"))
	}
	c.Disconnect()
	<-c.Done()
}

func usesSHA1() (can bool) {
	defer func() { recover() }()
	sha1.Sum(nil)
	return true
}
