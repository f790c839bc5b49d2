package h2

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify/internal/testkit"
)

// certificate makes one for server.test and 127.0.0.1, valid in the year 2000 of
// synctest and later, and the pool that trusts it.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	return testkit.Certificate(t, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), "server.test", "127.0.0.1")
}
