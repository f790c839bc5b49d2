//go:build go1.26 && !js

package transport

import "crypto/fips140"

// withSHA1 calls dial, in which coder/websocket checks the key that the server
// has accepted by its SHA-1, and rounds its requests. Under GODEBUG=fips140=only
// SHA-1 panics, but RFC 6455, section 10.8, needs it for no security. So dial is
// exempt then, and its requests, with their TLS, are made on this goroutine,
// which is not.
func withSHA1(dial func(do func(request func()))) error {
	if !fips140.Enforced() {
		dial(func(request func()) { request() })
		return nil
	}
	requests, over := make(chan func()), make(chan struct{})
	go func() {
		defer close(over)
		fips140.WithoutEnforcement(func() {
			dial(func(request func()) {
				done := make(chan struct{})
				requests <- func() { defer close(done); request() }
				<-done
			})
		})
	}()
	for {
		select {
		case request := <-requests:
			request()
		case <-over:
			return nil
		}
	}
}
