package h2

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/http2"
)

// What ends a stream decides what the client makes of it, over HTTP/2 as over
// HTTP/1.1: an error of the network (a lost connection, a reset, a GOAWAY) is
// one to errors.Is and errors.As too, so that the client's Failure says Network;
// a server that breaks a protocol is not.

// errClosed is the error of whatever Transport.Close ends or meets.
var errClosed = fmt.Errorf("h2: the Transport is closed: %w", net.ErrClosed)

// unsupportedError is a server, or a way to it, that can't carry a WebSocket
// over HTTP/2.
type unsupportedError struct{ reason string }

func (e *unsupportedError) Error() string {
	return "h2: " + e.reason + "; switch on extended CONNECT (RFC 8441) at the server, or set Transport.Fallback to reach it over HTTP/1.1"
}

// lostError is a connection that broke without a word.
type lostError struct{ err error }

func (e *lostError) Error() string { return "h2: the shared connection was lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

func lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		err = io.ErrUnexpectedEOF
	}
	return &lostError{err}
}

// unansweredError is a connection that did not answer a PING.
type unansweredError struct{ after time.Duration }

func (e *unansweredError) Error() string {
	return fmt.Sprintf("h2: the shared connection was closed: no answer to a PING within %v", e.after)
}
func (e *unansweredError) Unwrap() error { return os.ErrDeadlineExceeded }

// resetError is a stream that the server ended with RST_STREAM.
type resetError struct{ code http2.ErrCode }

func (e *resetError) Error() string {
	return fmt.Sprintf("h2: the server reset the stream (%v): %v", e.code, syscall.ECONNRESET)
}
func (e *resetError) Unwrap() error { return syscall.ECONNRESET }

// awayError is a stream that a GOAWAY ended: the server has not processed it,
// unless its connection broke afterwards.
type awayError struct {
	code http2.ErrCode
	err  error // of the connection; nil if the server has not processed the stream
}

func (e *awayError) Error() string {
	text := fmt.Sprintf("h2: the server is ending the shared connection (GOAWAY, %v)", e.code)
	if e.err != nil {
		text += ": " + e.err.Error()
	}
	return text
}
func (e *awayError) Unwrap() error { return syscall.ECONNRESET }

// unsentError is a stream whose connection ended before the request left.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

// violation is a server that breaks HTTP/2. It ends the connection if stream is
// 0, and that stream otherwise: RFC 9113, section 5.4.
type violation struct {
	code   http2.ErrCode
	stream uint32
	reason string
}

func (e *violation) Error() string {
	return fmt.Sprintf("h2: the server broke HTTP/2 (%v): %s", e.code, e.reason)
}

func connectionError(code http2.ErrCode, format string, args ...any) error {
	return &violation{code: code, reason: fmt.Sprintf(format, args...)}
}

func streamError(id uint32, code http2.ErrCode, format string, args ...any) error {
	return &violation{code: code, stream: id, reason: fmt.Sprintf(format, args...)}
}

// unprocessed reports whether the server has certainly not acted on a request,
// so that another connection may carry it: RFC 9113, section 8.7.
func unprocessed(err error) bool {
	var away *awayError
	var reset *resetError
	var unsent *unsentError
	return errors.As(err, &away) && away.err == nil ||
		errors.As(err, &reset) && reset.code == http2.ErrCodeRefusedStream ||
		errors.As(err, &unsent)
}
