package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
)

// What comes in one piece with the close frame is counted and answered before
// that is.
func TestCountedBeforeTheClose(t *testing.T) {
	for name, run := range map[string]func(*session, *http.Request){"sink": (*session).sink, "confirm": (*session).confirm} {
		client, server := net.Pipe()
		s := newSession(server, bufio.NewReader(server))
		r := &http.Request{URL: &url.URL{RawQuery: "size=64"}, Method: "GET"}
		over := make(chan struct{})
		go func() {
			defer close(over)
			defer server.Close()
			run(s, r)
		}()
		var stream, want []byte
		for n := range 5 {
			data := make([]byte, 64)
			data[0] = byte(n)
			stream = appendFrame(stream, opBinary, data)
			if name == "confirm" {
				want = appendFrame(want, opBinary, data[:idSize])
			}
		}
		end := []byte{3, 232}
		go client.Write(appendFrame(stream, opClose, end))
		got, _ := io.ReadAll(client)
		<-over
		if n := s.counted.Load(); n != 5 {
			t.Errorf("%s: %d of 5 were counted", name, n)
		}
		if want = appendFrame(want, opClose, end); string(got) != string(want) {
			t.Errorf("%s: the answer is %x, not %x", name, got, want)
		}
	}
}
