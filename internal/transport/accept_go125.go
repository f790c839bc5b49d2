//go:build !go1.26 && !js

package transport

import (
	"crypto/fips140"
	"crypto/sha1"
	"errors"
)

// withSHA1 calls dial. Under GODEBUG=fips140=only it can't: SHA-1, by which the
// server's answer is checked, panics, and this version of Go makes no exception.
func withSHA1(dial func(do func(request func()))) error {
	if fips140.Enabled() && panics(func() { sha1.Sum(nil) }) {
		return errNoSHA1
	}
	dial(func(request func()) { request() })
	return nil
}

var errNoSHA1 = errors.New("GODEBUG=fips140=only forbids the SHA-1 that RFC 6455, section 4.2.2, needs: build with Go 1.26 or newer, which can make an exception for it, or set fips140=on")

func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}
