package wsnotify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/wsnotify/wsnotify/internal/handshake"
	"github.com/wsnotify/wsnotify/internal/transport"
)

// What the error of an attempt says. What a peer had a hand in passes
// attempt.secrets here, where it becomes an error, and nowhere later.

// attemptError is why an attempt failed. It names the address, once.
type attemptError struct {
	url string // redacted
	err error
}

func (e *attemptError) Error() string { return prefixed("dialling "+e.url, e.err) }
func (e *attemptError) Unwrap() error { return e.err }

// explain makes one error of what the transport returned.
func (a *attempt) explain(resp *http.Response, err error) error {
	if resp != nil {
		return a.refused(resp, err)
	}
	answer := refusal(err)
	err = a.asked().Dialling(err)
	if answer != nil {
		err = &proxyRefusal{err, &HandshakeError{
			StatusCode: answer.StatusCode, Header: answer.Header, Err: errors.New("it is the proxy's answer to CONNECT"),
		}}
	}
	return err
}

// refused describes a response that made no connection.
func (a *attempt) refused(resp *http.Response, err error) error {
	e := &HandshakeError{StatusCode: resp.StatusCode, Header: resp.Header}
	if resp.Body != nil { // the transport has left its first KiB
		e.Body, _ = io.ReadAll(io.LimitReader(resp.Body, 1024))
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		e.Err = a.asked().Dialling(err)
	} else {
		e.Err = a.asked().Refusal(resp, e.Body)
	}
	return e
}

func (a *attempt) asked() *handshake.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &handshake.Request{URL: a.req.URL, Secrets: a.secrets, InTLS: a.securing}
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

// timedOut is the error of an attempt that DialTimeout has ended. err is what
// it returned; nil if it has not returned.
func (a *attempt) timedOut(timeout time.Duration, err error) error {
	var named *attemptError
	if errors.As(err, &named) && errors.Is(err, context.DeadlineExceeded) {
		err = named.err
	} else {
		err = context.DeadlineExceeded
		switch w := a.where(); {
		case w.hook != "":
			err = fmt.Errorf("%s has not returned: %w", w.hook, err)
		case w.inTLS:
			err = a.asked().Dialling(err)
		}
	}
	return &attemptError{a.where().url, &wrapped{fmt.Sprintf("no connection within %v", timeout), err}}
}

// whereabouts says how far an attempt has come.
type whereabouts struct {
	url   string // redacted
	phase Phase
	hook  string // that runs; "" if none does
	inTLS bool   // a TLS handshake with the server is under way
}

func (a *attempt) where() whereabouts {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := whereabouts{url: a.url, phase: a.phase, inTLS: a.securing}
	switch {
	case a.phase != PhaseHook:
	case a.tr == nil:
		w.hook = "BeforeDial"
	default:
		w.hook = "OnHandshake"
	}
	return w
}

// String is for the end of an attempt that something else has ended.
func (w whereabouts) String() string {
	switch {
	case w.hook != "":
		return w.hook + " had not returned"
	case w.inTLS:
		return "the server had not answered the TLS handshake"
	}
	return fmt.Sprintf("it was in its phase %q", w.phase.String())
}
