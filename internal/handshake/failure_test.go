package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the peer has said, an alert or a certificate, is no error of the network.
func TestIsNetworkError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		{&net.OpError{Op: "dial", Err: errors.New("no suitable address found")}, true},
		{&net.OpError{Op: "read", Err: tls.RecordHeaderError{Msg: "no TLS"}}, false},
		{&net.OpError{Op: "read", Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}, false},
		{&net.OpError{Op: "remote error", Err: syscall.ECONNRESET}, false},
		{&net.OpError{Op: "local error", Err: syscall.ECONNRESET}, false},
		{&url.Error{Op: "Get", URL: "http://h", Err: errors.New("malformed HTTP response")}, false}, // it has a Timeout
		{&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, false},
		{&net.OpError{Op: "local error", Err: errors.New("tls: bad certificate")}, false},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, false},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, false},
		{&net.DNSError{Err: "no such host"}, true},
		{syscall.ECONNRESET, true},
		{os.ErrDeadlineExceeded, true},
		{io.EOF, true},
		{io.ErrUnexpectedEOF, true},
		{net.ErrClosed, true},
		{context.DeadlineExceeded, true},
		{context.Canceled, true},
		{errors.New("http: server closed idle connection"), true},
		{errors.New("expected 101 Switching Protocols"), false},
	} {
		if got := IsNetworkError(fmt.Errorf("dialling: %w", test.err)); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
	}
}

// Whatever crypto/tls and crypto/x509 say of a certificate is about one, and nothing else is.
func TestIsCertificateError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{&tls.CertificateVerificationError{Err: io.EOF}, true},
		{x509.UnknownAuthorityError{}, true},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}, true},
		{x509.CertificateInvalidError{Reason: x509.Expired}, true},
		{x509.SystemRootsError{}, true},
		{x509.ConstraintViolationError{}, true},
		{x509.UnhandledCriticalExtension{}, true},
		{x509.InsecureAlgorithmError(x509.MD5WithRSA), true},
		{tls.RecordHeaderError{Msg: "no TLS"}, false},
		{io.EOF, false},
	} {
		if got := IsCertificateError(fmt.Errorf("dialling: %w", test.err)); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
	}
}

// A certificate is too early by its own time, and late or wrong in any other way.
func TestIsNotYetValid(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	later, earlier := &x509.Certificate{NotBefore: now.Add(time.Hour)}, &x509.Certificate{NotBefore: now.Add(-time.Hour)}
	invalid := func(reason x509.InvalidReason, detail string, cert *x509.Certificate) error {
		return fmt.Errorf("tls: %w", x509.CertificateInvalidError{Cert: cert, Reason: reason, Detail: detail})
	}
	for _, test := range []struct {
		err  error
		want bool
	}{
		{invalid(x509.Expired, "current time 2026 is before 2027", nil), true},
		{invalid(x509.Expired, "current time 2026 is after 2025", later), false},
		{invalid(x509.Expired, "", later), true},
		{invalid(x509.Expired, "", earlier), false},
		{invalid(x509.Expired, "", nil), false},
		{invalid(x509.NotAuthorizedToSign, "is before", later), false},
		{&tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{later}, Err: errors.New("not valid")}, true},
		{&tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{earlier, later}, Err: errors.New("not valid")}, false},
		{&tls.CertificateVerificationError{Err: errors.New("not valid")}, false},
		{&tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{later}, Err: invalid(x509.NotAuthorizedToSign, "", nil)}, false},
		{&tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{later}, Err: invalid(x509.Expired, "is after", nil)}, false},
		{&tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{later}, Err: invalid(x509.Expired, "", nil)}, true},
		{io.EOF, false},
	} {
		if got := IsNotYetValid(test.err, now); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
	}
}

// Each error of a dial comes with what to change, as far as that is known.
func TestAdvice(t *testing.T) {
	inTLS := func(err error) error { return fmt.Errorf("in TLS: %w", err) }
	http11, alert := tls.RecordHeaderError{Msg: "no TLS", RecordHeader: [5]byte{'H', 'T', 'T', 'P', '/'}}, tls.RecordHeaderError{Msg: "no TLS"}
	for _, test := range []struct {
		scheme string
		err    error
		want   string
	}{
		{"wss", fmt.Errorf("TLS with the proxy: %w", alert), "if the proxy speaks plain HTTP, write its url with http://"},
		{"wss", fmt.Errorf("TLS with the proxy: %w", io.EOF), ""},
		{"ws", errors.New(`malformed HTTP response "\x15\x03\x01"`), "try wss://"},
		{"wss", http.ErrSchemeMismatch, "try ws://"},
		{"wss", http11, "speaks plain HTTP"},
		{"wss", alert, "does not speak TLS"},
		{"ws", errors.New(`malformed HTTP response "SSH-2.0"`), "does not speak HTTP"},
		{"ws", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "nothing listens there"},
		{"ws", &net.OpError{Op: "proxyconnect", Err: errors.New("no route")}, ""},
		{"ws", syscall.Errno(10061), "nothing listens there"}, // of Windows
		{"ws", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, ""},
		{"ws", &net.OpError{Op: "proxyconnect", Err: io.EOF}, ""},
		{"ws", &net.OpError{Op: "read", Err: io.EOF}, "try wss://"},
		{"ws", io.EOF, "try wss://"},
		{"ws", io.ErrUnexpectedEOF, "try wss://"},
		{"http", syscall.ECONNRESET, "try https://"},
		{"ws", syscall.Errno(10054), "try wss://"}, // of Windows
		{"ws", errors.New("http: server closed idle connection"), "try wss://"},
		{"https", io.EOF, "hung up without an answer: check port and path"},
		{"wss", io.EOF, "hung up without an answer: check port and path"},
		{"wss", inTLS(io.EOF), "hung up in the TLS handshake: if that port does not speak TLS, try ws://"},
		{"https", inTLS(context.DeadlineExceeded), "did not answer the TLS handshake: if that port does not speak TLS, try http://"},
		{"wss", inTLS(x509.UnknownAuthorityError{}), "RootCAs"},
		{"wss", context.DeadlineExceeded, ""},
		{"wss", x509.CertificateInvalidError{Reason: x509.Expired, Detail: "is before"}, "set this machine's clock"},
		{"wss", x509.CertificateInvalidError{Reason: x509.Expired, Detail: "is after"}, "has to be renewed"},
		{"wss", x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, ""},
		{"wss", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}, "ServerName"},
		{"wss", x509.UnknownAuthorityError{}, "RootCAs"},
		{"wss", errors.New("anything"), ""},
	} {
		r := &Request{URL: &url.URL{Scheme: test.scheme, Host: "server", Path: "/"}, InTLS: strings.HasPrefix(test.err.Error(), "in TLS")}
		if got := r.advice(test.err); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %v: %q, want %q", test.scheme, test.err, got, test.want)
		}
	}
}

// A subprotocol is one of those that were offered, if any were: RFC 6455, section 4.1.
func TestCheckResponse(t *testing.T) {
	twice := func(name string) http.Header { return http.Header{name: {"a", "a"}} }
	for _, test := range []struct {
		offered     []string
		resp        *http.Response
		subprotocol string
		want        string
	}{
		{nil, nil, "b", ""}, // of a browser
		{nil, &http.Response{}, "", ""},
		{[]string{"a", "b"}, &http.Response{Header: http.Header{"Sec-Websocket-Accept": {"x"}, "Sec-Websocket-Protocol": {"b"}}}, "b", ""},
		{[]string{"a"}, &http.Response{}, "", "it chose none of the offered subprotocols"},
		{[]string{"a"}, &http.Response{}, "b", `it chose the subprotocol "b", which was not offered`},
		{nil, &http.Response{Header: twice("Sec-Websocket-Accept")}, "", "it has more than one Sec-WebSocket-Accept"},
		{[]string{"a"}, &http.Response{Header: twice("Sec-Websocket-Protocol")}, "a", "it has more than one Sec-WebSocket-Protocol"},
	} {
		err := CheckResponse(test.offered, test.resp, test.subprotocol)
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%q of %q: %v, want %q", test.subprotocol, test.offered, err, test.want)
		}
	}
}

// A subprotocol that looks like a token is not shown, but names of protocols are.
func TestRedactedSubprotocol(t *testing.T) {
	for name, shown := range map[string]bool{
		"graphql-transport-ws": true, "v12.stomp": true, "wamp.2.json": true, "ocpp2.0.1": true, "Chat": true,
		"v10.ABCDEFGHIJKL":              false, // a digit, and three capitals
		"v0-AAAbcdefghijk":              false,
		"v9-ZZZbcdefghijk":              false,
		"session-00000000":              false,
		"session-99999999":              false,
		"session00000000":               true, // shorter than any token
		"12345678":                      true,
		"v1.abcdefghijklmN":             true,
		"AbcdefghijkLmN":                true, // shorter than any token
		"ABCDEFGHIJKLMNOPQ":             true, // no digit
		"session-12345678":              false,
		"session-1234567x":              true,
		"1234567":                       true,
		strings.Repeat("a", 64):         true,
		strings.Repeat("a", 65):         false,
		"a0B1C2-verylongtokenoftheuser": true, // two capitals
		"a0B1C2D-erylongtokenoftheuser": false,
	} {
		want := name
		if !shown {
			want = "xxxxx"
		}
		if got := RedactedSubprotocol(name); got != want {
			t.Errorf("%q is shown as %q", name, got)
		}
	}
}
