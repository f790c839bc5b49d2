package wsnotify

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/wsnotify/wsnotify/internal/handshake"
)

// BackOff is a policy of reconnecting. Every policy of
// github.com/cenkalti/backoff is one, v4 or v5. Its methods are called one at a
// time, on a goroutine of their own: see Config.
type BackOff interface {
	// NextBackOff returns how long to wait before the next attempt. Stop, or
	// any negative duration, means to give up.
	NextBackOff() time.Duration
	// Reset begins anew, as before the first attempt.
	Reset()
}

// Stop is returned by a BackOff that gives up.
const Stop time.Duration = -1

// never is the policy that gives up at once.
type never struct{}

func (never) NextBackOff() time.Duration { return Stop }
func (never) Reset()                     {}

// defaultBackOff is the store's policy.
func defaultBackOff() BackOff {
	return backoff.WithMaxRetries(backoff.NewConstantBackOff(defaultReconnect), defaultReconnects)
}

// Exponential returns a policy for Config.BackOff whose waits grow by half from
// initial to max. Each wait is random, ±50 %, so that clients that lost the same
// server don't come back together; no wait is longer than max. The policy gives up
// after so many retries; negative means never. Zero or negative durations mean
// 500 ms and 10 s.
func Exponential(initial, max time.Duration, retries int) func() BackOff {
	if initial <= 0 {
		initial = 500 * time.Millisecond
	}
	if max <= 0 {
		max = 10 * time.Second
	}
	return func() BackOff {
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
		if retries < 0 {
			return b
		}
		return backoff.WithMaxRetries(b, uint64(retries))
	}
}

// FailFast is a Config.ShouldReconnect that stops on what retrying won't fix: an
// HTTP status of 2xx, 3xx or 4xx except 408, 418, 421, 425 and 429; a certificate
// that can't be verified, unless it is not valid yet, since this machine's clock may
// be wrong; and the close codes 1002, 1003, 1007, 1008, 1009 and 1010.
func FailFast(f Failure) bool {
	switch f.HTTPStatus {
	case http.StatusRequestTimeout, http.StatusTeapot, http.StatusMisdirectedRequest,
		http.StatusTooEarly, http.StatusTooManyRequests:
	default:
		if f.HTTPStatus >= 200 && f.HTTPStatus < 500 {
			return false
		}
	}
	switch f.Code {
	case StatusProtocolError, StatusUnsupportedData, StatusInvalidFramePayloadData,
		StatusPolicyViolation, StatusMessageTooBig, StatusMandatoryExtension:
		return false
	}
	return !handshake.IsCertificateError(f.Err) || handshake.IsNotYetValid(f.Err, time.Now())
}

// RetryOnce is [FailFast] for clients whose BeforeDial gets a new token when
// the last one was refused: a refusal with one of these statuses is tried again
// once, as RetryOnce(401). It stops on the second such refusal in a row. Any
// other failure between two of them, or a connection that opened, begins a new
// row.
//
// The function may be shared by clients and called by several goroutines: what
// came before a Failure on its client is known to the Failure.
func RetryOnce(statuses ...int) func(Failure) bool {
	statuses = slices.Clone(statuses)
	var refused atomic.Bool // the latest Failure that no client made was such a refusal
	return func(f Failure) bool {
		again := f.HTTPStatus != 0 && slices.Contains(statuses, f.HTTPStatus)
		switch {
		case f.prior != 0:
			if again {
				return !slices.Contains(statuses, f.prior)
			}
		case !again:
			refused.Store(false)
		default:
			return !refused.Swap(true)
		}
		return FailFast(f)
	}
}
