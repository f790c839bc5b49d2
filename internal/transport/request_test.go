//go:build !js

package transport

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// answering returns a dial function, whose server waits for a request and answers it with pieces
// of so many bytes.
func answering(answer string, piece int) dialFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			for r := bufio.NewReader(far); ; {
				if line, err := r.ReadString('\n'); err != nil || line == "\r\n" {
					break
				}
			}
			for rest := answer; rest != ""; rest = rest[min(len(rest), piece):] {
				if _, err := io.WriteString(far, rest[:min(len(rest), piece)]); err != nil {
					return
				}
			}
		}()
		return near, nil
	}
}

// outcome says what came of a request.
func outcome(ctx context.Context, tripper http.RoundTripper) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://server.test/", nil)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	resp, err := tripper.RoundTrip(req)
	if err != nil {
		return "error: " + err.Error()
	}
	defer resp.Body.Close()
	_, upgraded := resp.Body.(io.ReadWriteCloser)
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.Proto, " ", resp.Status, resp.Header, resp.ContentLength, resp.TransferEncoding, resp.Trailer, resp.Close, upgraded, len(body), " ", string(body), err)
}

// A response is what it is to net/http, whatever a server writes, and so is the error where it is none.
func TestResponsesAreReadAsNetHTTPDoes(t *testing.T) {
	const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	long := strings.Repeat("x", 9000)
	for _, answer := range []string{
		"", "H", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\nuntil the end",
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodymore", "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nshort",
		"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"HTTP/1.1 204 None\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 304 Not\r\n\r\nabc",
		"HTTP/1.0 200 OK\r\n\r\nold", "HTTP/2.0 200 OK\r\n\r\nnew", "HTTP/1.1 099 Odd\r\n\r\nodd", "HTTP/1.1 1000 Odd\r\n\r\n", "HTTP/1.1 abc Odd\r\n\r\n",
		"garbage\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 103 E\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 103 E\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + switching + "\r\nearly",
		switching + "\r\n", switching + "\r\nearly", switching + "\r\n" + long, strings.ReplaceAll(switching, "\r", "") + "\nearly",
		switching + "Content-Length: 5\r\n\r\nearlymore", switching + "Transfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n", strings.Replace(switching, "1.1", "1.0", 1) + "\r\nearly",
		"HTTP/1.1 200 OK\r\nX: " + long + long + "\r\n\r\n", strings.Repeat("HTTP/1.1 103 E\r\nLink: "+long+"\r\n\r\n", 3) + "HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", "HTTP/1.1 200 OK\r\n X: a\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nPragma: no-cache\r\nConnection: close\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
	} {
		for _, piece := range []int{1, 4096, 1 << 20} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			theirs := &http.Transport{DialContext: answering(answer, piece), DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 1 << 14}
			d := &dialing{ctx: ctx, cancel: cancel, sock: NewSocket(Options{}), req: &Request{}}
			want, got := outcome(ctx, theirs), outcome(ctx, d.route(theirs))
			if got != want {
				t.Errorf("%.90q in pieces of %d bytes is\n%.300s\nand to net/http\n%.300s", answer, piece, got, want)
			}
			d.sock.Close()
			cancel()
		}
	}
}

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
