package harness

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"testing"
	"time"
)

// Deadline bounds a test on real sockets, against hanging.
func Deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// OpenFiles counts those of the process.
func OpenFiles(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("open files are counted in /proc, which is not here")
	}
	return len(entries)
}

// Trusting returns a client with these settings of TLS.
func Trusting(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
}
