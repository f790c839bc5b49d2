package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What errors and responses say to a program.

// IsNetworkError reports whether a dial failed without a word of the peer.
func IsNetworkError(err error) bool {
	var record tls.RecordHeaderError
	var cert *tls.CertificateVerificationError
	if errors.As(err, &record) || errors.As(err, &cert) {
		return false
	}
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return false // a TLS alert
	}
	var timeout interface{ Timeout() bool }
	var dns *net.DNSError
	var errno syscall.Errno
	return op != nil || errors.As(err, &dns) || errors.As(err, &errno) ||
		errors.As(err, &timeout) && timeout.Timeout() ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) ||
		strings.Contains(err.Error(), "http: server closed idle connection") // a FIN before the request; net/http keeps the value to itself
}

// hungUp reports whether the other side ended the connection instead of an
// answer.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		isErrno(err, syscall.ECONNRESET, 10054) || strings.Contains(err.Error(), "http: server closed idle connection")
}

// isRefused reports whether nothing listens on the port.
func isRefused(err error) bool { return isErrno(err, syscall.ECONNREFUSED, 10061) }

// isErrno looks for an error of the operating system. The numbers of Windows
// differ from syscall's names there.
func isErrno(err error, unix, windows syscall.Errno) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && (errno == unix || errno == windows)
}

// IsCertificateError reports whether the peer's certificate was refused.
func IsCertificateError(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var roots x509.SystemRootsError
	var constraint x509.ConstraintViolationError
	var extension x509.UnhandledCriticalExtension
	var insecure x509.InsecureAlgorithmError
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) ||
		errors.As(err, &invalid) || errors.As(err, &roots) || errors.As(err, &constraint) ||
		errors.As(err, &extension) || errors.As(err, &insecure)
}

// IsNotYetValid reports whether a certificate was refused because its time has
// not come. crypto/x509 has one reason for too early and too late, and only
// its text tells which, by the clock of tls.Config.Time. The verifiers of some
// operating systems tell neither; then it is ours to compare.
func IsNotYetValid(err error, now time.Time) bool {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		switch {
		case invalid.Reason != x509.Expired:
			return false
		case strings.Contains(invalid.Detail, "is before"):
			return true
		case strings.Contains(invalid.Detail, "is after"):
			return false
		case invalid.Cert != nil:
			return now.Before(invalid.Cert.NotBefore)
		}
	}
	var v *tls.CertificateVerificationError
	return errors.As(err, &v) && len(v.UnverifiedCertificates) > 0 && now.Before(v.UnverifiedCertificates[0].NotBefore)
}

// maxRetryAfter is the longest wait that a server can ask for.
const maxRetryAfter = 5 * time.Minute

// RetryAfter reads the header of RFC 9110, section 10.2.3, in both its forms.
// It counts with any status: some servers say 418 with it, and let those who
// come back too early wait for longer. 0 means that there is nothing to wait
// for.
func RetryAfter(resp *http.Response, now time.Time) time.Duration {
	value := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if strings.Trim(value, "0123456789") == "" {
		seconds, _ := strconv.ParseInt(value, 10, 64) // the largest of more, 0 of none
		return time.Duration(min(seconds, int64(maxRetryAfter/time.Second))) * time.Second
	}
	at, _ := http.ParseTime(value) // the year 1 of none
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
