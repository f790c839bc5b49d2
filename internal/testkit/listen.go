package testkit

import (
	"net"
	"testing"
)

// Listen opens a port on loopback for Serve, and returns its address.
func Listen(t testing.TB, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	Serve(t, l, serve)
	return l.Addr().String()
}

// Serve accepts connections until the end of the test. Each is served on a goroutine of
// its own, and closed after that.
func Serve(t testing.TB, l net.Listener, serve func(net.Conn)) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
}
