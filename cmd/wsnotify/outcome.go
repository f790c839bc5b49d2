package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/wsnotify/wsnotify"
)

// What is said of failures, and which exit status they are.

// cause describes a failure in a line.
func cause(f wsnotify.Failure) string {
	var handshake *wsnotify.HandshakeError
	var closed wsnotify.CloseError
	var setting settingError
	switch {
	case f.HTTPStatus != 0 && f.HTTPStatus != http.StatusSwitchingProtocols:
		text := strings.TrimSpace(fmt.Sprintf("HTTP %d %s", f.HTTPStatus, http.StatusText(f.HTTPStatus)))
		if errors.As(f.Err, &handshake) {
			text += answer(handshake)
		}
		return text
	case errors.As(f.Err, &closed):
		return "the server closed with " + closeText(f.Code, f.Reason)
	case f.Phase == wsnotify.PhaseOpen && f.Code == wsnotify.StatusMessageTooBig:
		// The server is within its rights: it is this side that takes no more.
		text := strings.TrimPrefix(plain(f.Err), "the server broke the protocol: ")
		return strings.Replace(text, "and ReadLimit is", "and --read-limit is", 1) + "; raise that"
	case errors.As(f.Err, &setting):
		return setting.Error()
	case certificate(f.Err) != "":
		return certificate(f.Err)
	case f.Phase == wsnotify.PhaseDial && isErrno(f.Err, connectionRefused):
		text := "connection refused"
		op := (*net.OpError)(nil)
		if errors.As(f.Err, &op) && op.Op == "proxyconnect" {
			text = "the proxy can't be reached: " + text
			errors.As(op.Err, &op)
		}
		if op != nil && op.Addr != nil {
			text += "; nothing listens at " + op.Addr.String()
		}
		return text
	}
	return plain(f.Err) + clientCertificateAdvice(f.Err)
}

// settingError is what is wrong with a flag and is found at an attempt: it may be mended before the
// next one.
type settingError struct{ error }

// answer is what a server said that refused, and what may help.
func answer(h *wsnotify.HandshakeError) string {
	if h.StatusCode >= 300 && h.StatusCode < 400 && h.Header.Get("Location") != "" {
		to, query, _ := strings.Cut(h.Header.Get("Location"), "?")
		if query != "" {
			to += "?…" // which may hold a token
		}
		return ", to " + to + "; redirects are not followed: use that address if it is the WebSocket's"
	}
	text := ""
	body := strings.TrimSpace(string(h.Body))
	if line, _, _ := strings.Cut(body, "\n"); line != "" && !strings.HasPrefix(line, "<") &&
		!strings.EqualFold(strings.TrimSpace(line), http.StatusText(h.StatusCode)) {
		text = fmt.Sprintf(", %q", shorten(strings.TrimSpace(line), 200))
	}
	switch h.StatusCode {
	case http.StatusOK:
		text += "; expected 101: it is the address of a page and not of a WebSocket"
	case http.StatusUnauthorized:
		text += "; set credentials with --token-file, --basic-auth or --header"
	case http.StatusForbidden:
		text += "; check the credentials, and whether the server wants an --origin"
	case http.StatusNotFound:
		text += "; check the path of the address"
	case http.StatusProxyAuthRequired:
		text += "; put user and password into the URL of --proxy"
	}
	return text
}

// plain is an error of the library without its name.
func plain(err error) string {
	if err == nil {
		return "unknown"
	}
	return strings.ReplaceAll(err.Error(), "wsnotify: ", "")
}

// closeText shows a close code with its reason, or with what the code means.
func closeText(code wsnotify.StatusCode, reason string) string {
	if reason == "" {
		reason = map[wsnotify.StatusCode]string{
			1000: "normal", 1001: "going away", 1002: "protocol error", 1003: "unsupported data",
			1005: "no code", 1006: "no close frame", 1007: "invalid data", 1008: "policy violation",
			1009: "message too big", 1010: "extension missing", 1011: "internal error",
			1012: "service restart", 1013: "try again later", 1014: "bad gateway",
		}[code]
		if reason == "" {
			return fmt.Sprint(int(code))
		}
		return fmt.Sprintf("%d (%s)", int(code), reason)
	}
	return fmt.Sprintf("%d, %s", int(code), reason)
}

// isOdd reports whether a close code says that something was wrong.
func isOdd(code wsnotify.StatusCode) bool {
	switch code {
	case wsnotify.StatusNormalClosure, wsnotify.StatusGoingAway, wsnotify.StatusNoStatusRcvd, wsnotify.StatusAbnormalClosure:
		return false
	}
	return true
}

// closedOddly is how the program ends for a close with such a code.
func closedOddly(code wsnotify.StatusCode, reason string) error {
	f := &failure{code: exitFailure, err: fmt.Errorf("the server closed with %s", closeText(code, reason))}
	if !wsnotify.FailFast(wsnotify.Failure{Code: code, Err: f.err}) {
		f.code = exitRefused
	}
	return f
}

// outcome turns what Run returned into what the program ends with.
func outcome(err error) error {
	var gaveUp *wsnotify.GiveUpError
	var closed wsnotify.CloseError
	var lost *wsnotify.DrainError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return nil
	case errors.As(err, &gaveUp) && gaveUp.Attempts < 2 && gaveUp.Failure.Phase == wsnotify.PhaseOpen &&
		errors.As(gaveUp.Failure.Err, &closed) && isOdd(closed.Code):
		return closedOddly(closed.Code, closed.Reason)
	case errors.As(err, &gaveUp):
		f := &failure{code: exitGaveUp, err: errors.New(gaveUpText(gaveUp))}
		if !wsnotify.FailFast(gaveUp.Failure) {
			f.code = exitRefused
		}
		return f
	}
	if errors.As(err, &lost) {
		if lost.Unsent+lost.Unconfirmed == 0 {
			return nil // what was not handled has been since: Done is closed
		}
		text := messages(lost.Unsent) + " not sent"
		if lost.Unsent == 0 {
			text = messages(lost.Unconfirmed) + " may be lost"
		} else if lost.Unconfirmed > 0 {
			text += fmt.Sprintf(", and %d that may be lost", lost.Unconfirmed)
		}
		return &failure{code: exitFailure, err: errors.New(text)}
	}
	text := strings.Replace(plain(err), "Config.Header: ", "--header: ", 1)
	return &failure{code: exitUsage, err: errors.New(text)} // nothing was dialled
}

func gaveUpText(e *wsnotify.GiveUpError) string {
	why := cause(e.Failure)
	switch {
	case e.Failure.Phase == wsnotify.PhaseOpen && e.Attempts < 2:
		return why
	case e.Attempts < 2:
		return "no connection: " + why
	}
	return fmt.Sprintf("no connection after %d attempts: %s", e.Attempts, why)
}

// again reports a loss, and when the next attempt is.
func again(ev wsnotify.ReconnectEvent) string {
	return fmt.Sprintf("attempt %d in %v: %s", ev.Attempt, ev.Delay.Round(time.Millisecond), cause(ev.Failure))
}
