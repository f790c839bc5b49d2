package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What an attempt that failed says: what was expected, what came, what to do.

// Request is what was asked, as far as errors speak of it.
type Request struct {
	URL     *url.URL
	Secrets *Secrets
	InTLS   bool // a TLS handshake with the server was under way
}

// Dialling is the error of a dial that no response came of, as it can be shown:
// with what to do about it if that is known, and without the addresses that the
// transport and net/http put into theirs.
func (r *Request) Dialling(err error) error {
	err = r.Secrets.Error(withoutURL(err))
	if advice := r.advice(err); advice != "" {
		return &advisedError{err, advice}
	}
	return err
}

// Refusal says why a response that is no 101 was given, as far as it tells, and
// what to do. body is the beginning of its body.
func (r *Request) Refusal(resp *http.Response, body []byte) error {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return errors.New("redirects are not followed" + r.target(resp.Header.Get("Location")))
	}
	var parts []string
	if line := firstLine(resp, body); line != "" {
		parts = append(parts, fmt.Sprintf("its body says \"%s\"", shown(r.Secrets.Hide(line), maxQuoted)))
	}
	if advice := r.statusAdvice(resp.StatusCode, body); advice != "" {
		parts = append(parts, advice)
	}
	if len(parts) == 0 {
		return errors.New("the server refused the handshake")
	}
	return errors.New(strings.Join(parts, "; "))
}

// advisedError is an error and what to do about it.
type advisedError struct {
	err    error
	advice string
}

func (e *advisedError) Error() string { return e.err.Error() + "; " + e.advice }
func (e *advisedError) Unwrap() error { return e.err }

// advice says what to do about a dial that failed; "" if that is not known.
func (r *Request) advice(err error) string {
	var record tls.RecordHeaderError
	var op *net.OpError
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "TLS with the proxy"):
		if errors.As(err, &record) {
			return "if the proxy speaks plain HTTP, write its url with http://"
		}
		return ""
	case strings.Contains(text, `malformed HTTP response "\x15\x03`): // an alert: net/http keeps the bytes to itself
		return r.otherScheme("speaks TLS")
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return r.otherScheme("speaks plain HTTP")
	case errors.As(err, &record):
		return r.otherScheme("does not speak TLS")
	case strings.Contains(text, "malformed HTTP"):
		return "what listens there does not speak HTTP: check the port of the url"
	case isRefused(err):
		return "nothing listens there: check host and port of the url"
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return ""
	case r.InTLS && errors.Is(err, context.DeadlineExceeded):
		return "the server did not answer the TLS handshake: " + r.plainAdvice()
	case r.InTLS && hungUp(err):
		return "the server hung up in the TLS handshake: " + r.plainAdvice()
	case hungUp(err):
		return r.hungUpAdvice()
	}
	return certificateAdvice(err)
}

func certificateAdvice(err error) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case IsNotYetValid(err, time.Now()):
		return "set this machine's clock, if it is late"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has to be renewed, if this machine's clock is right"
	case errors.As(err, &host):
		return "use a name that the certificate has, or set ServerName in the tls.Config of Config.HTTPClient"
	case errors.As(err, &authority):
		return "if you trust who signed the certificate, add that to RootCAs in the tls.Config of Config.HTTPClient"
	}
	return ""
}

// hungUpAdvice is for a server that hung up without an answer. Servers on
// OpenSSL, such as those of Node and Python, do so when they are asked in plain
// HTTP, and some do it for a path that they don't know.
func (r *Request) hungUpAdvice() string {
	if scheme := strings.ToLower(r.URL.Scheme); scheme == "ws" || scheme == "http" {
		return fmt.Sprintf("the server hung up without an answer: if that port speaks TLS, try %ss://; else check port and path of the url", scheme)
	}
	return "the server hung up without an answer: check port and path of the url"
}

// plainAdvice is for a server that does not answer a TLS handshake. One that waits for a
// line of HTTP, as Python's asyncio servers do, is silent, or hangs up.
func (r *Request) plainAdvice() string {
	_, other := r.schemes()
	return fmt.Sprintf("if that port does not speak TLS, try %s://; else check the port of the url", other)
}

// otherScheme is for a port that does not do what its scheme says.
func (r *Request) otherScheme(does string) string {
	scheme, other := r.schemes()
	return fmt.Sprintf("%s:// to a port that %s: try %s://", scheme, does, other)
}

// schemes returns that of the url, and the one that differs in TLS.
func (r *Request) schemes() (scheme, other string) {
	scheme = strings.ToLower(r.URL.Scheme)
	return scheme, map[string]string{"ws": "wss", "wss": "ws", "http": "https", "https": "http"}[scheme]
}

// maxQuoted is how much of a body or an address of the server is shown, in
// bytes.
const maxQuoted = 200

// target says where a redirect leads, without its secrets and ours.
func (r *Request) target(location string) string {
	if location == "" {
		return ", and this one has no Location"
	}
	to, err := url.Parse(r.Secrets.Hide(location)) // before a part of a secret is taken for a fragment
	if err != nil {
		return ", and the Location of this one is not a URL"
	}
	to = r.URL.ResolveReference(to)
	to.Fragment, to.RawFragment = "", ""
	return fmt.Sprintf("; if %s is the WebSocket's address, use that", shown(r.Secrets.Hide(Redacted(to)), maxQuoted))
}

// statusAdvice says what to do about a status; "" if that is not known.
func (r *Request) statusAdvice(status int, body []byte) string {
	switch {
	case status == http.StatusBadRequest && saysPlainToTLS(string(body)):
		return r.otherScheme("speaks TLS")
	case status == http.StatusBadRequest:
		return "check the path of the url, and whether a proxy removed the Upgrade header"
	case status >= 200 && status < 300:
		return "the url is a web page and not a WebSocket: check its path, and whether a proxy removed the Upgrade header"
	case status == http.StatusUnauthorized:
		return "credentials are missing or have expired; BeforeDial can set new ones for each attempt"
	case status == http.StatusForbidden:
		return "check the credentials, and whether the server wants an Origin"
	case status == http.StatusProxyAuthRequired:
		return "set user and password in the proxy's url"
	case status == http.StatusUpgradeRequired:
		return "the server speaks another protocol or version there: check the path of the url"
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusNotAcceptable,
		status == http.StatusGone, status == http.StatusNotImplemented:
		return "check the path of the url"
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return "a proxy does not reach the server"
	}
	return ""
}

// saysPlainToTLS knows the words of Go, nginx and Apache for a request in plain
// HTTP to a port that speaks TLS.
func saysPlainToTLS(body string) bool {
	return strings.Contains(body, "HTTP request to an HTTPS server") ||
		strings.Contains(body, "plain HTTP request was sent to HTTPS port") ||
		strings.Contains(body, "plain HTTP to an SSL-enabled server port")
}

// firstLine returns the first line of a refusal's body, of a page its title;
// "" if that says no more than the status.
func firstLine(resp *http.Response, body []byte) string {
	if resp.Header.Get("Content-Encoding") != "" {
		return ""
	}
	text := strings.TrimSpace(string(body))
	if lower := strings.ToLower(text); strings.HasPrefix(lower, "<!doctype") || strings.HasPrefix(lower, "<html") {
		begin, end := strings.Index(lower, "<title>"), strings.Index(lower, "</title>")
		if begin < 0 || end < begin || len(lower) != len(text) {
			return ""
		}
		text = strings.TrimSpace(text[begin+len("<title>") : end])
	}
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		text = strings.TrimSpace(text[:i])
	}
	status := http.StatusText(resp.StatusCode)
	if strings.EqualFold(text, status) || strings.EqualFold(text, fmt.Sprint(resp.StatusCode, " ", status)) {
		return ""
	}
	return text
}
