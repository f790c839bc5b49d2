// Package edges tests the client against edges of the web as they are met in
// the wild, on real sockets: servers and proxies that are strict about what a
// browser sends, or answer in ways of their own.
package edges

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// timeout is how long a test waits for what must come.
const timeout = 10 * time.Second

// peer is the server's side of one connection, whose request has been read.
type peer struct {
	conn    net.Conn
	r       *bufio.Reader
	head    string // the request as it came
	request *http.Request
}

// listen opens a port on the loopback, of TLS if config is not nil.
func listen(t *testing.T, config *tls.Config) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no sockets here: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	if config != nil {
		return tls.NewListener(l, config)
	}
	return l
}

// serve runs script for each connection to l, and returns l's address.
func serve(t *testing.T, l net.Listener, script func(*peer)) (addr string) {
	t.Helper()
	testkit.Serve(t, l, func(conn net.Conn) {
		p := &peer{conn: conn, r: bufio.NewReader(conn)}
		if p.readRequest() == nil {
			script(p)
		}
	})
	return l.Addr().String()
}

func (p *peer) readRequest() error {
	var head strings.Builder
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = p.r.ReadString('\n'); err != nil {
			return err
		}
		head.WriteString(line)
	}
	p.head = head.String()
	var err error
	p.request, err = http.ReadRequest(bufio.NewReader(strings.NewReader(p.head)))
	return err
}

// accept completes the handshake: RFC 6455, section 4.2.2.
func (p *peer) accept() {
	sum := sha1.Sum([]byte(p.request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	p.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n")
}

func (p *peer) write(s string) { io.WriteString(p.conn, s) }

const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// frame is one of the server's, whole and of less than 126 bytes.
func frame(opcode byte, payload string) string {
	return string([]byte{0x80 | opcode, byte(len(payload))}) + payload
}

func closePayload(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

// next reads a frame of the client's, of less than 126 bytes.
func (p *peer) next() (opcode byte, payload string, err error) {
	header := make([]byte, 6)
	if _, err = io.ReadFull(p.r, header); err != nil {
		return 0, "", err
	}
	data := make([]byte, header[1]&0x7f)
	if _, err = io.ReadFull(p.r, data); err != nil {
		return 0, "", err
	}
	for i := range data {
		data[i] ^= header[2+i%4]
	}
	return header[0] & 15, string(data), nil
}

// drain reads until the client goes, and answers its pings and its close frame.
func (p *peer) drain() {
	for {
		opcode, payload, err := p.next()
		switch {
		case err != nil:
			return
		case opcode == opClose:
			p.write(frame(opClose, payload))
			return
		case opcode == opPing:
			p.write(frame(opPong, payload))
		}
	}
}

// open connects a client, and disconnects it at the end of the test.
func open(t *testing.T, cfg wsnotify.Config, url string) {
	t.Helper()
	if err := connect(t, cfg, url); err != nil {
		t.Fatalf("Connect: %v", err)
	}
}

// connect is open for what may fail.
func connect(t *testing.T, cfg wsnotify.Config, url string) error {
	t.Helper()
	c := wsnotify.New(cfg)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	t.Cleanup(func() { c.Disconnect(); <-c.Done() })
	return c.Connect(ctx, url, "ada")
}

// receive waits for what must come over ch.
func receive[T any](t *testing.T, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(timeout):
		t.Fatalf("no %s came", what)
	}
	return v
}

// retries is a policy of n retries that hardly wait.
func retries(n uint64) func() wsnotify.BackOff {
	return func() wsnotify.BackOff {
		if n == 0 {
			return &backoff.StopBackOff{}
		}
		return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Millisecond), n)
	}
}

// dialling is an HTTP client for which every address is addr.
func dialling(addr string, config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: config,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}}
}
