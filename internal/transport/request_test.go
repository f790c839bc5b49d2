//go:build !js

package transport

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

// What comes with the response is read before what comes later, and not kept.
func TestWhatComesWithTheResponse(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	br := bufio.NewReader(strings.NewReader("early"))
	br.Peek(5)
	body := bodyOf(br, near)
	go func() { io.WriteString(far, "late"); far.Close() }()
	p := make([]byte, 3)
	if n, err := body.Read(p); string(p[:n]) != "ear" || err != nil {
		t.Fatalf("%q, %v", p[:n], err)
	}
	if rest, err := io.ReadAll(body); string(rest) != "lylate" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	if kept := cap(body.(*earlyBody).early); kept != 0 {
		t.Errorf("%d bytes are kept", kept)
	}
}
