package wsnotify

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// maxRetryAfter is the longest wait that a server can ask for.
const maxRetryAfter = 5 * time.Minute

// defaultBackOff is the store's policy.
func defaultBackOff() backoff.BackOff {
	return backoff.WithMaxRetries(backoff.NewConstantBackOff(defaultReconnect), defaultReconnects)
}

// Exponential returns a policy for Config.BackOff whose waits grow by half from
// initial to max, each spread over ±50 % so that clients which lost the same
// server don't come back together; no wait is longer than max. It gives up
// after so many retries; negative means never. Zero or negative durations
// mean 500 ms and 10 s.
func Exponential(initial, max time.Duration, retries int) func() backoff.BackOff {
	if initial <= 0 {
		initial = 500 * time.Millisecond
	}
	if max <= 0 {
		max = 10 * time.Second
	}
	return func() backoff.BackOff {
		const spread = 0.5
		// backoff/v4 caps before it randomizes, so the cap stands lower and the
		// jitter survives it.
		ceiling := time.Duration(float64(max) / (1 + spread))
		b := backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(min(initial, ceiling)),
			backoff.WithMaxInterval(ceiling),
			// Doubled waits would come in waves: of 2,000 clients whose server was away
			// for 1 to 10 s, the busiest 100 ms would see up to 3.9 times the mean.
			backoff.WithMultiplier(1.5),
			backoff.WithRandomizationFactor(spread),
			backoff.WithMaxElapsedTime(0),
		)
		switch {
		case retries < 0:
			return b
		case retries == 0:
			return &backoff.StopBackOff{} // WithMaxRetries takes 0 for no limit before its first Reset
		}
		return backoff.WithMaxRetries(b, uint64(retries))
	}
}

// FailFast is a Config.ShouldReconnect that stops on what does not get better
// by waiting: the HTTP statuses 400, 401, 403, 404, 410 and 426, certificates
// that can't be verified, and the close codes 1002, 1003, 1007, 1008, 1009 and
// 1010.
func FailFast(f Failure) bool {
	switch f.HTTPStatus {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
		http.StatusNotFound, http.StatusGone, http.StatusUpgradeRequired:
		return false
	}
	switch f.Code {
	case StatusProtocolError, StatusUnsupportedData, StatusInvalidFramePayloadData,
		StatusPolicyViolation, StatusMessageTooBig, StatusMandatoryExtension:
		return false
	}
	return !isCertificateError(f.Err)
}

func isCertificateError(err error) bool {
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

// retryAfter reads the header of RFC 9110, section 10.2.3, in both its forms.
// 0 means that there is nothing to wait for.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	value := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
