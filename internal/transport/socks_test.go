//go:build !js

package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A SOCKS5 proxy is asked as RFC 1928 and RFC 1929 say, and everything that it can
// answer is either the connection or an error.
func TestSOCKSHandshake(t *testing.T) {
	const (
		plain, login = "\x05\x01\x00", "\x05\x02\x00\x02"
		password     = "\x01\x03ada\x06secret"
		server       = "\x05\x01\x00\x03\x06server\x00\x50"
		bound        = "\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"
	)
	long := strings.Repeat("x", 256)
	for _, test := range []struct {
		proxy, addr string
		script      []string // what it is asked, and its answer, in turn
		err         string   // "": none
		network     bool
	}{
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, bound}, "", false},
		{"socks5://p", "192.0.2.1:443", []string{plain, "\x05\x00", "\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb", bound}, "", false},
		{"socks5://p", "[fe80::1%eth0]:80", []string{plain, "\x05\x00", "\x05\x01\x00\x04\xfe\x80" + strings.Repeat("\x00", 13) + "\x01\x00\x50", bound}, "", false},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x00\x00\x03\x02ab\x00\x00"}, "", false},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x00\x00\x04" + strings.Repeat("\x00", 18)}, "", false},
		{"socks5://ada:secret@p", "server:80", []string{login, "\x05\x02", password, "\x01\x00", server, bound}, "", false},
		{"socks5://ada:secret@p", "server:80", []string{login, "\x05\x00", server, bound}, "", false}, // it wants none
		{"socks5://ada:secret@p", "server:80", []string{login, "\x05\x02", password, "\x01\x01"}, "refused the user and password", false},
		{"socks5://p", "server:80", []string{plain, "\x05\x02"}, "wants a user and password", false},
		{"socks5://p", "server:80", []string{plain, "\x05\xff"}, "wants a user and password", false},
		{"socks5://p", "server:80", []string{plain, "HT"}, "does not speak SOCKS5", false},
		{"socks5://:secret@p", "server:80", []string{login, "\x05\x02"}, "a user of 1 to 255 bytes", false},
		{"socks5://" + long + ":b@p", "server:80", []string{login, "\x05\x02"}, "a user of 1 to 255 bytes", false},
		{"socks5://a:" + long + "@p", "server:80", []string{login, "\x05\x02"}, "a password of at most 255", false},
		{"socks5://p", long + ":80", []string{plain, "\x05\x00"}, "more than 255 bytes", false},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x00\x00\x02"}, "an address of type 2, which is none", false},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x01\x00\x01"}, "answered general failure", false},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x02\x00\x01"}, "answered not allowed by its rules", false},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x03\x00\x01"}, "answered network unreachable", true},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x06\x00\x01"}, "answered TTL expired", true},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x07\x00\x01"}, "answered command not supported", false},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x08\x00\x01"}, "answered address type not supported", false},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x09\x00\x01"}, "answered code 9", false},
		// It ends at each step.
		{"socks5://p", "server:80", []string{""}, "closed pipe", true},
		{"socks5://p", "server:80", []string{plain, "\x05"}, "unexpected EOF", true},
		{"socks5://ada:secret@p", "server:80", []string{login, "\x05\x02", password, "\x01"}, "unexpected EOF", true},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x00\x00"}, "unexpected EOF", true},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, "\x05\x00\x00\x03"}, "EOF", true},
		{"socks5://p", "server:80", []string{plain, "\x05\x00", server, bound[:9]}, "unexpected EOF", true},
		{"socks5://p", "server", nil, "missing port", false},
		{"socks5://p", "server:65536", nil, "out of range", false},
	} {
		name := fmt.Sprintf("%.30s %.30s %q", test.proxy, test.addr, test.script)
		proxy, err := url.Parse(test.proxy)
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		near.SetDeadline(time.Now().Add(time.Minute))
		over := make(chan struct{})
		go func() {
			defer close(over)
			defer far.Close()
			for i, step := range test.script {
				if i%2 == 1 {
					io.WriteString(far, step)
					if i == len(test.script)-1 && test.err == "" {
						io.WriteString(far, "!") // of the server
					}
					continue
				}
				asked := make([]byte, len(step))
				if _, err := io.ReadFull(far, asked); err != nil || string(asked) != step {
					t.Errorf("%s: step %d: it was asked %q, %v, want %q", name, i, asked, err, step)
				}
			}
		}()
		r := &route{proxy: proxy, sending: func(*url.URL, http.Header) {}}
		err = r.socks(near, test.addr)
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v, want %q", name, err, test.err)
		}
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "socks connect" != test.network {
			t.Errorf("%s: an error of the network: %v", name, !test.network)
		} else if op == nil && test.network {
			t.Errorf("%s: no error of the network: %v", name, err)
		}
		if first := make([]byte, 1); err == nil {
			if _, err := io.ReadFull(near, first); err != nil || first[0] != '!' {
				t.Errorf("%s: what the server sends begins with %q, %v", name, first, err)
			}
		}
		near.Close()
		<-over
	}
}
