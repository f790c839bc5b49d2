package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"github.com/wsnotify/wsnotify/h2"
)

// route holds the flags of the way to a server: proxy, TLS, socket.
type route struct {
	insecure  bool
	cacert    string
	cert, key string
	proxy     string
	unix      string
	http2     bool
}

func (r *route) flags(f *pflag.FlagSet) {
	f.BoolVarP(&r.insecure, "insecure", "k", false, "don't verify the server's certificate")
	f.StringVar(&r.cacert, "cacert", "", "PEM `file` with the certificates to trust, instead of the system's")
	f.StringVar(&r.cert, "cert", "", "PEM `file` with the certificate of this client")
	f.StringVar(&r.key, "key", "", "PEM `file` with the key of --cert, if that file does not hold it")
	f.StringVar(&r.proxy, "proxy", "", "proxy `URL`: http, https or socks5; without it as HTTP_PROXY says")
	f.StringVar(&r.unix, "unix", "", "`path` of the Unix socket to connect through")
	f.BoolVar(&r.http2, "http2", false, "connect as a stream of HTTP/2 (RFC 8441); with ws:// without TLS")
}

// client returns what makes the handshake's request; nil where the library's
// own does. socket is the path of a Unix socket, or "".
func (r *route) client(socket string, warn func(string, ...any)) (*http.Client, error) {
	if socket == "" {
		socket = r.unix
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: r.insecure}
	if r.insecure {
		warn("warning: the server's certificate is not verified")
	}
	if r.cacert != "" {
		pem, err := os.ReadFile(r.cacert)
		if err != nil {
			return nil, usage("--cacert: %v", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usage("--cacert %s: expected certificates in PEM, which begin with -----BEGIN CERTIFICATE-----", r.cacert)
		}
	}
	switch {
	case r.cert != "":
		key := r.key
		if key == "" {
			key = r.cert
		}
		pair, err := tls.LoadX509KeyPair(r.cert, key)
		if err != nil {
			return nil, pairError(r.cert, key, err)
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	case r.key != "":
		return nil, usage("--key needs --cert, the certificate that the key is for")
	}
	if r.proxy != "" {
		proxy, err := url.Parse(r.proxy)
		if err != nil || proxy.Host == "" {
			return nil, usage("--proxy: expected a URL such as http://proxy.example:3128") // a password may stand in it
		}
		switch proxy.Scheme {
		case "http", "https", "socks5", "socks5h":
		default:
			return nil, usage("--proxy: the scheme is %q; expected http, https or socks5", proxy.Scheme)
		}
		t.Proxy = http.ProxyURL(proxy)
	}
	if socket != "" {
		if r.proxy != "" {
			return nil, usage("--proxy can't be used with a Unix socket")
		}
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	if r.http2 {
		return &http.Client{Transport: overHTTP2{&h2.Transport{
			TLSClientConfig: t.TLSClientConfig, DialContext: t.DialContext, Proxy: t.Proxy, PriorKnowledge: true,
		}}}, nil
	}
	return &http.Client{Transport: t}, nil
}

// pairError says what is wrong with a certificate and its key, where Go's libraries say how they found out.
func pairError(cert, key string, err error) error {
	text, _ := os.ReadFile(key)
	switch {
	case bytes.Contains(text, []byte("ENCRYPTED")): // in the name of the block, or in its Proc-Type
		return usage("--key %s: the key is encrypted; expected one without a passphrase, as from: openssl pkey -in %[1]s -out FILE", key)
	case cert == key && bytes.Contains(text, []byte("-----BEGIN CERTIFICATE-----")) && !bytes.Contains(text, []byte("PRIVATE KEY-----")):
		return usage("--cert %s: the file has no key; name that of the key with --key", cert)
	}
	return usage("--cert and --key: %v", err)
}

// overHTTP2 names the flag where the library names a field.
type overHTTP2 struct{ *h2.Transport }

func (o overHTTP2) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.Transport.RoundTrip(r)
	if err != nil {
		const advice = "set Transport.Fallback to reach it over HTTP/1.1"
		if text := err.Error(); strings.Contains(text, advice) {
			err = errors.New(strings.ReplaceAll(text, advice, "leave out --http2"))
		}
	}
	return resp, err
}

// address adds the scheme that is meant where there is none, and takes the
// path of a socket out of an address such as ws+unix:/run/app.sock:/ws/ada.
func address(text string) (url, socket string, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if s, r, has := strings.Cut(text, "+unix:"); has && (s == "ws" || s == "wss") {
		socket, path, _ := strings.Cut(strings.TrimPrefix(r, "//"), ":")
		if socket == "" {
			return "", "", usage("%s: expected the path of a socket, as in ws+unix:/run/app.sock:/ws/", text)
		}
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		return s + "://localhost" + path, socket, nil
	}
	if ok {
		switch strings.ToLower(scheme) {
		case "ws", "wss", "http", "https":
			return text, "", nil
		}
		return "", "", usage("the address has the scheme %q; expected ws or wss, as in wss://%s", scheme, rest)
	}
	for _, s := range []string{"ws", "wss", "http", "https"} { // as ws:/example.com
		if after, ok := strings.CutPrefix(strings.ToLower(text), s+":/"); ok {
			return "", "", usage("the address lacks a slash: %s://%s", s, strings.TrimLeft(after, "/"))
		}
	}
	host, _, _ := strings.Cut(text, "/")
	host, _, _ = strings.Cut(host, "?")
	if host == "" {
		return "", "", usage("the address %q has no host; expected one such as localhost:8080%[1]s", text)
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host == "localhost" || host == "" || ip != nil && ip.IsLoopback() {
		if host == "" { // :8080
			text = "localhost" + text
		}
		return "ws://" + text, "", nil
	}
	return "wss://" + text, "", nil
}

// tlsAdvice says which flag helps with a certificate.
func tlsAdvice(err error) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(err, &authority):
		return "; if you trust who signed it, name that with --cacert"
	case errors.As(err, &host):
		return "; use a name that the certificate has"
	}
	return ""
}

// clientCertificateAdvice says what helps when a server refuses the certificate of this side, or that
// there is none: an alert of TLS, whose type crypto/tls keeps to itself.
func clientCertificateAdvice(err error) string {
	_, alert, _ := strings.Cut(plain(err), "remote error: tls: ")
	switch alert {
	case "certificate required":
		return "; the server wants a certificate of this client: name it with --cert"
	case "bad certificate", "unknown certificate authority", "unknown certificate", "expired certificate", "revoked certificate":
		return "; the server does not take the certificate of --cert"
	}
	return ""
}

// certificate describes a certificate that can't be verified; "" for any other
// error.
func certificate(err error) string {
	var v *tls.CertificateVerificationError
	if !errors.As(err, &v) {
		return ""
	}
	return fmt.Sprintf("the server's certificate can't be verified: %v%s", v.Err, tlsAdvice(err))
}
