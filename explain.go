package wsnotify

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wsnotify/wsnotify/internal/transport"
)

// What an attempt that failed says: what was expected, what came, what to do.

// explain makes one error of what the transport returned. The addresses that
// it and net/http put into theirs may hold secrets, and what they quote of the
// server may be long, or meant for a terminal.
func (a *attempt) explain(resp *http.Response, err error) error {
	err = withoutURL(err)
	if text := err.Error(); printable(text) != text {
		err = &quotingError{err}
	}
	if resp != nil {
		return a.refused(resp, err)
	}
	if resp := refusal(err); resp != nil {
		err = &proxyRefusal{err, &HandshakeError{
			StatusCode: resp.StatusCode, Header: resp.Header, Err: errors.New("it is the proxy's answer to CONNECT"),
		}}
	}
	if advice := a.advice(err); advice != "" {
		err = &advisedError{err, advice}
	}
	return &wrapped{"dialling " + redacted(a.req.URL), err}
}

// advisedError is an error and what to do about it.
type advisedError struct {
	err    error
	advice string
}

func (e *advisedError) Error() string { return e.err.Error() + "; " + e.advice }
func (e *advisedError) Unwrap() error { return e.err }

// advice says what to do about a dial that failed; "" if that is not known.
func (a *attempt) advice(err error) string {
	var record tls.RecordHeaderError
	switch {
	case strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`): // an alert: net/http keeps the bytes to itself
		return a.otherScheme("TLS")
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return a.otherScheme("plain HTTP")
	case errors.As(err, &record):
		return "that port does not speak TLS"
	}
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case isNotYetValid(err, time.Now()):
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

// otherScheme is for a port that speaks what its scheme does not say.
func (a *attempt) otherScheme(speaks string) string {
	scheme := strings.ToLower(a.req.URL.Scheme)
	other := map[string]string{"ws": "wss", "wss": "ws", "http": "https", "https": "http"}[scheme]
	return fmt.Sprintf("%s:// to a port that speaks %s: try %s://", scheme, speaks, other)
}

// refused describes a response that made no connection.
func (a *attempt) refused(resp *http.Response, err error) error {
	e := &HandshakeError{StatusCode: resp.StatusCode, Header: resp.Header, Err: err}
	if resp.Body != nil { // the transport has left its first KiB
		e.Body, _ = io.ReadAll(io.LimitReader(resp.Body, 1024))
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return e
	}
	sent := a.req.Header
	if resp.Request != nil {
		sent = resp.Request.Header // with the cookies of a jar
	}
	hide := secrets(a.req, sent)
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		e.Err = errors.New("redirects are not followed" + a.target(resp.Header.Get("Location"), hide))
		return e
	}
	var parts []string
	if line := firstLine(resp, e.Body); line != "" {
		parts = append(parts, fmt.Sprintf("its body says \"%s\"", shown(hide(line), maxQuoted)))
	}
	if advice := a.statusAdvice(resp.StatusCode, e.Body); advice != "" {
		parts = append(parts, advice)
	}
	if len(parts) == 0 {
		parts = []string{"the server refused the handshake"}
	}
	e.Err = errors.New(strings.Join(parts, "; "))
	return e
}

// maxQuoted is how much of a body or an address of the server is shown, in
// bytes.
const maxQuoted = 200

// target says where a redirect leads, without its secrets and ours.
func (a *attempt) target(location string, hide func(string) string) string {
	if location == "" {
		return ", and this one leads nowhere"
	}
	to, err := url.Parse(location)
	if err != nil {
		return ", and this one leads to what is no url"
	}
	to = a.req.URL.ResolveReference(to)
	to.Fragment, to.RawFragment = "", ""
	return fmt.Sprintf("; if %s is the WebSocket's address, use that", shown(hide(redacted(to)), maxQuoted))
}

// statusAdvice says what to do about a status; "" if that is not known.
func (a *attempt) statusAdvice(status int, body []byte) string {
	switch {
	case status == http.StatusBadRequest && saysPlainToTLS(string(body)):
		return a.otherScheme("TLS")
	case status >= 200 && status < 300:
		return "the url is that of a page and not of a WebSocket, or a proxy took Upgrade off"
	case status == http.StatusUnauthorized:
		return "credentials are missing or have expired; BeforeDial can set new ones for each attempt"
	case status == http.StatusForbidden:
		return "check the credentials, and whether the server wants an Origin"
	case status == http.StatusNotFound, status == http.StatusGone:
		return "check the path of the url"
	case status == http.StatusProxyAuthRequired:
		return "set user and password in the proxy's url"
	case status == http.StatusUpgradeRequired:
		return "the server speaks another protocol or version there"
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

// secrets returns a function that takes what may be a secret of a request out
// of a text: a server may repeat it, and the text may be logged.
func secrets(req *DialRequest, sent http.Header) func(string) string {
	var found []string
	add := func(texts ...string) {
		for _, s := range texts {
			if len(s) >= 4 { // less is no secret, and would be found everywhere
				found = append(found, s)
			}
		}
	}
	if user := req.URL.User; user != nil {
		password, has := user.Password()
		if !has {
			password = user.Username()
		}
		add(password, url.QueryEscape(password), url.PathEscape(password),
			base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	for _, pair := range strings.Split(req.URL.RawQuery, "&") {
		_, value, ok := strings.Cut(pair, "=")
		if !ok {
			value = pair
		}
		add(value)
		if plain, err := url.QueryUnescape(value); err == nil {
			add(plain)
		}
	}
	add(req.Subprotocols...)
	for name, values := range sent {
		switch http.CanonicalHeaderKey(name) {
		case "Connection", "Upgrade", "Host", "Origin", "User-Agent", "Sec-Websocket-Version", "Sec-Websocket-Extensions":
			continue
		}
		for _, value := range values {
			words := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" \t,;=\"", r) })
			if strings.HasSuffix(http.CanonicalHeaderKey(name), "Authorization") && len(words) > 1 {
				words = words[1:] // without the scheme
			}
			add(value)
			add(words...)
		}
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return func(text string) string {
		for _, s := range found {
			text = strings.ReplaceAll(text, s, "xxxxx")
		}
		return text
	}
}

// refusal returns the response of a proxy that made no tunnel.
func refusal(err error) *http.Response {
	var proxy *transport.ProxyError
	if errors.As(err, &proxy) {
		return proxy.Response
	}
	return nil
}

// proxyRefusal is the refusal of a proxy, in which errors.As finds a
// HandshakeError.
type proxyRefusal struct {
	error
	as *HandshakeError
}

func (e *proxyRefusal) Unwrap() []error { return []error{e.error, e.as} }
