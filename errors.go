package wsnotify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wsnotify/wsnotify/internal/handshake"
)

// The sentinels of this package. Test for them with errors.Is.
var (
	// ErrNotConnected means that the message was certainly not sent, because
	// there is no open connection. Try again once it is Open, or use Enqueue.
	// It also matches where there won't be one: the client was never connected,
	// as the text says then, or it is an ErrClosed.
	ErrNotConnected = errors.New("wsnotify: WebSocket is not connected")

	// ErrClosed means that the client was ended by Disconnect, CloseWith or Drain,
	// gave up, or was superseded by a later Connect or Run, as the text says. It
	// matches ErrNotConnected, too: nothing was sent, and waiting does not help.
	ErrClosed = inClass("wsnotify: the client is closed", ErrNotConnected)

	// ErrUnconfirmed is the class of errors after which the peer may or may not
	// have the message. Resend it if duplicates are harmless. It is always one of
	// the two below.
	ErrUnconfirmed = errors.New("wsnotify: the peer may or may not have the message")

	// ErrInterrupted means that the connection or the ctx ended while the message
	// was being written. It matches ErrUnconfirmed.
	ErrInterrupted = inClass("wsnotify: the message was interrupted while it was being written: the peer may or may not have it", ErrUnconfirmed)

	// ErrNotAcknowledged means that the message was written, and that the server
	// has not confirmed it (Outbox.ConfirmID) or not answered it (Request). It
	// matches ErrUnconfirmed.
	ErrNotAcknowledged = inClass("wsnotify: the message was written and not acknowledged: the peer may or may not have it", ErrUnconfirmed)

	// ErrOutboxFull means that the outbox has no capacity for the message now.
	ErrOutboxFull = errors.New("wsnotify: the outbox is full")

	// ErrExpired means that the message waited in the outbox for longer than
	// Outbox.MaxAge.
	ErrExpired = errors.New("wsnotify: the message expired in the outbox")

	// ErrHeartbeatTimeout means that nothing came from the peer within
	// Heartbeat.Timeout after a ping.
	ErrHeartbeatTimeout = errors.New("wsnotify: no answer to the heartbeat")
)

// useNew is the advice to those who have a Client that New did not make.
const useNew = "this Client was not made by New; use New(Config{…})"

// Why a client does not run, besides ErrClosed.
var (
	errNotMade = inClass(prefix+useNew, ErrNotConnected)

	errNeverConnected = inClass("wsnotify: WebSocket is not connected: the client was never connected; call Connect or Run first", ErrNotConnected)

	errSuperseded = inClass("wsnotify: superseded by a later Connect or Run of this client", ErrClosed, ErrNotConnected)
)

// inClass returns an error that errors.Is also finds by each of the classes.
func inClass(text string, classes ...error) error { return &classError{text, classes} }

type classError struct {
	text    string
	classes []error
}

func (e *classError) Error() string { return e.text }

func (e *classError) Is(target error) bool { return slices.Contains(e.classes, target) }

// errWriteTimeout is the cause of a connection whose peer stopped reading.
var errWriteTimeout = errors.New("wsnotify: the peer did not take a write within WriteTimeout")

// HandshakeError is a server's answer to the opening handshake that made no
// WebSocket connection: a refusal, or a 101 that breaks RFC 6455, section 4.1.
// If a proxy refused to CONNECT, the error also wraps one, without a Body.
type HandshakeError struct {
	StatusCode int         // of the response
	Header     http.Header // of the response
	Body       []byte      // its first KiB, or what of it came within a second
	Err        error       // what was wrong
}

func (e *HandshakeError) Error() string {
	text := "expected 101 Switching Protocols, got " + statusText(e.StatusCode)
	if e.StatusCode == http.StatusSwitchingProtocols {
		text = "the server's 101 Switching Protocols opens no WebSocket"
	}
	if e.Err == nil {
		return "wsnotify: " + text
	}
	return prefixed(text, e.Err)
}

func (e *HandshakeError) Unwrap() error { return e.Err }

func statusText(code int) string {
	if text := http.StatusText(code); text != "" {
		return fmt.Sprintf("%d %s", code, text)
	}
	return fmt.Sprintf("status %d", code)
}

// GiveUpError says that the policy made no further attempt.
type GiveUpError struct {
	Attempts int     // dials made since the counter of reconnects was last reset
	Failure  Failure // the last one
}

func (e *GiveUpError) Error() string {
	after := fmt.Sprintf("after %d attempts", e.Attempts)
	switch e.Attempts {
	case 0: // a connection that was open ended in a way that is not retried
		after = "without another attempt"
	case 1:
		after = "after 1 attempt"
	}
	if e.Failure.Err == nil { // made by hand
		return "wsnotify: giving up " + after
	}
	return prefixed("giving up "+after, e.Failure.Err)
}

func (e *GiveUpError) Unwrap() error { return e.Failure.Err }

// MessageTooLargeError is the answer of Enqueue to a message that is larger
// than the whole outbox may be. Waiting doesn't help: raise Outbox.Bytes, or use
// Send, which has no such limit.
type MessageTooLargeError struct {
	Size  int // of the message, in bytes
	Limit int // Outbox.Bytes
}

func (e *MessageTooLargeError) Error() string {
	return fmt.Sprintf("wsnotify: a message of %d bytes is larger than the outbox may be, %d bytes: raise Outbox.Bytes, or use Send",
		e.Size, e.Limit)
}

// ParseError is a text message that is not JSON, or a message that
// Envelope.Parse has refused. The connection stays up.
type ParseError struct {
	Data []byte // the message
	Err  error
}

func (e *ParseError) Error() string {
	if e.Err == nil { // made by hand
		return fmt.Sprintf("wsnotify: a message of %d bytes can't be parsed", len(e.Data))
	}
	if syntax := (*json.SyntaxError)(nil); !errors.As(e.Err, &syntax) {
		return fmt.Sprintf("wsnotify: Config.Envelope.Parse refused a message of %d bytes: %s", len(e.Data), handshake.Printable(e.Err.Error()))
	}
	return prefixed(fmt.Sprintf("a message of %d bytes is not JSON", len(e.Data)), e.Err)
}

func (e *ParseError) Unwrap() error { return e.Err }

// DecodeError is a notification whose content does not fit the type of an On
// handler. The connection stays up, and other handlers are still called.
type DecodeError struct {
	MsgType string
	Content string
	Err     error
}

func (e *DecodeError) Error() string {
	text := fmt.Sprintf("wsnotify: the content of a %q notification", e.MsgType)
	if e.Err == nil { // made by hand
		return text + " can't be decoded"
	}
	return text + ": " + handshake.Printable(e.Err.Error())
}

func (e *DecodeError) Unwrap() error { return e.Err }

// HandlerError is an error that a handler of Handle returned.
type HandlerError struct {
	MsgType string
	Err     error
}

func (e *HandlerError) Error() string {
	text := fmt.Sprintf("the handler of %q notifications", e.MsgType)
	if e.Err == nil { // made by hand
		return prefix + text + " failed"
	}
	return prefixed(text, e.Err)
}

// Unwrap returns Err.
func (e *HandlerError) Unwrap() error { return e.Err }

// Phase says how far an attempt or a connection had come when it failed.
type Phase int

const (
	// PhaseHook is a BeforeDial or OnHandshake that failed, or did not return
	// in time.
	PhaseHook Phase = iota
	// PhaseDial lasts until a response of the server has come: name, TCP,
	// proxy, TLS, request.
	PhaseDial
	// PhaseHandshake begins with the response.
	PhaseHandshake
	// PhaseOpen is an established connection.
	PhaseOpen
)

// String returns "hook", "dial", "handshake" or "open".
func (p Phase) String() string {
	return name(int(p), "Phase", "hook", "dial", "handshake", "open")
}

// Initiator says who ended an attempt or a connection.
type Initiator int

const (
	// Local is this side: a hook, Reconnect, Disconnect, CloseWith.
	Local Initiator = iota
	// Remote is the peer by what it said or did: a close frame, an HTTP
	// status, a protocol violation, a certificate.
	Remote
	// Network is a link that broke without a word: FIN, RST, a time-out, a
	// missed heartbeat, a name that does not resolve.
	Network
)

// String returns "local", "remote" or "network".
func (i Initiator) String() string {
	return name(int(i), "Initiator", "local", "remote", "network")
}

func name(i int, typ string, names ...string) string {
	if i >= 0 && i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s(%d)", typ, i)
}

// Failure says why an attempt failed or a connection ended.
type Failure struct {
	Phase      Phase
	Initiator  Initiator
	Code       StatusCode    // the peer's close code, or the one that answered its violation; -1 if none
	Reason     string        // of the peer's close frame
	HTTPStatus int           // of the response that refused the handshake, or the tunnel through a proxy; 0 if there was none
	RetryAfter time.Duration // what the Retry-After of that response asked for, at most 5 min; 0 if nothing
	Uptime     time.Duration // how long the connection was open
	Err        error         // never nil

	shown string // Reason without the secrets of the request
	prior int    // HTTPStatus of the failure right before this one; -1 if that had none, 0 if it is not known
}

// prefix begins each error of this package, once.
const prefix = "wsnotify: "

// prefixed is the text of an error of this package that wraps err, which may
// be one of its own.
func prefixed(text string, err error) string {
	return prefix + text + ": " + strings.ReplaceAll(err.Error(), prefix, "")
}

// wrapped is an error with such a text.
type wrapped struct {
	text string
	err  error
}

func (e *wrapped) Error() string { return prefixed(e.text, e.err) }
func (e *wrapped) Unwrap() error { return e.err }
