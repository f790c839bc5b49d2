package wsnotify_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
)

// rawNet is a network whose every far end is a script: a server that knows no
// HTTP and no WebSocket but writes the bytes that it is told to, when it is
// told to. It has no buffers, so that nothing is sent before it is read.
type rawNet struct {
	script func(*rawPeer)

	dials  atomic.Int64 // made
	open   atomic.Int64 // not closed by the client
	read   atomic.Int64 // bytes that the client took
	ending sync.WaitGroup
}

// client returns one that dials the script, whatever the address.
func (n *rawNet) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.dial}}
}

func (n *rawNet) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	n.dials.Add(1)
	n.open.Add(1)
	conn := &rawConn{Conn: near, net: n}
	p := newRawPeer(far)
	p.rst = func() { conn.reset.Store(true); far.Close() }
	n.serve(p)
	return conn, nil
}

// serve runs the script, and collects what the client sends meanwhile.
func (n *rawNet) serve(p *rawPeer) {
	n.ending.Go(p.collect)
	n.ending.Go(func() {
		n.script(p)
		p.fin()
		close(p.over)
	})
}

// rawConn is the client's end of an in-memory connection.
type rawConn struct {
	net.Conn
	net   *rawNet
	reset atomic.Bool // by the peer
	once  sync.Once
}

func (c *rawConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.net.read.Add(int64(n))
	return n, c.explain("read", err)
}

func (c *rawConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	}
	return n, c.explain("write", err)
}

func (c *rawConn) explain(op string, err error) error {
	if err != nil && c.reset.Load() {
		return &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(op, syscall.ECONNRESET)}
	}
	return err
}

func (c *rawConn) Close() error {
	c.once.Do(func() { c.net.open.Add(-1) })
	return c.Conn.Close()
}

// rawPeer is the server's end of one connection. Writing to a client that has
// gone does nothing.
type rawPeer struct {
	net.Conn
	rst  func()        // ends it as RST does
	gone chan struct{} // the client has gone
	deaf atomic.Bool   // nothing more is read
	over chan struct{} // the script has ended

	mu   sync.Mutex
	more sync.Cond
	got  []byte // not yet taken
	end  bool
}

func newRawPeer(conn net.Conn) *rawPeer {
	p := &rawPeer{Conn: conn, gone: make(chan struct{}), over: make(chan struct{})}
	p.more.L = &p.mu
	return p
}

func (p *rawPeer) collect() {
	buf := make([]byte, 64<<10)
	for {
		n, err := p.Conn.Read(buf)
		p.mu.Lock()
		p.got = append(p.got, buf[:n]...)
		p.end = err != nil && !p.deaf.Load()
		p.more.Broadcast()
		p.mu.Unlock()
		if p.deaf.Load() {
			<-p.over
		}
		if err != nil {
			close(p.gone)
			return
		}
	}
}

// deafen reads nothing more, not even by a read that is under way.
func (p *rawPeer) deafen() {
	p.deaf.Store(true)
	p.Conn.SetReadDeadline(time.Unix(1, 0))
}

// take waits until find says how much of what came is one thing, and takes
// that; nil means that the client has gone.
func (p *rawPeer) take(find func([]byte) int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if n := find(p.got); n > 0 {
			one := p.got[:n]
			p.got = p.got[n:]
			return one
		}
		if p.end {
			return nil
		}
		p.more.Wait()
	}
}

// request waits for the client's.
func (p *rawPeer) request() string {
	return string(p.take(func(b []byte) int {
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return i + 4
		}
		return 0
	}))
}

// frame waits for one of the client's.
func (p *rawPeer) frame() (f refFrame, ok bool) {
	p.take(func(b []byte) int {
		var n int
		f, n = refDecode(b)
		ok = n > 0
		return n
	})
	return f, ok
}

// closed waits for the close frame of the client, and returns its payload.
func (p *rawPeer) closed() []byte {
	for {
		f, ok := p.frame()
		if !ok {
			return nil
		}
		if f.opcode == 8 {
			return f.payload
		}
	}
}

func (p *rawPeer) write(s string) error { _, err := io.WriteString(p.Conn, s); return err }
func (p *rawPeer) frames(bs ...[]byte)  { p.Conn.Write(bytes.Join(bs, nil)) }
func (p *rawPeer) fin()                 { p.Conn.Close() }

// answer takes the request and writes a response.
func (p *rawPeer) answer(response string) {
	p.request()
	p.write(response)
}

// drip writes s byte by byte, one in each interval.
func (p *rawPeer) drip(s string, interval time.Duration) {
	for i := 0; i < len(s) && p.rest(interval); i++ {
		p.write(s[i : i+1])
	}
}

// rest waits for d, and reports false when the client has gone before.
func (p *rawPeer) rest(d time.Duration) bool {
	select {
	case <-p.gone:
		return false
	case <-time.After(d):
		return true
	}
}

// silence waits for the client to go.
func (p *rawPeer) silence() { <-p.gone }

// accept completes the handshake, with more headers if any.
func (p *rawPeer) accept(headers ...string) { p.write(switching(p.request(), headers...)) }

// switching is the response that accepts a request, RFC 6455, section 4.2.2.
func switching(request string, headers ...string) string {
	_, key, _ := strings.Cut(request, "Sec-Websocket-Key: ")
	if key == "" {
		_, key, _ = strings.Cut(request, "Sec-WebSocket-Key: ")
	}
	key, _, _ = strings.Cut(key, "\r\n")
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	lines := append([]string{
		"HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]),
	}, headers...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// refFrame is what refDecode reads: the simplest decoder of RFC 6455, section
// 5.2, that there can be, and nothing of the client's is used for it.
type refFrame struct {
	fin, masked bool
	rsv, opcode byte
	size        uint64 // as claimed
	minimal     bool   // the length has the shortest form
	payload     []byte // unmasked
}

// refHeader decodes a header; n is 0 if it is not whole.
func refHeader(b []byte) (f refFrame, key [4]byte, n int) {
	if len(b) < 2 {
		return f, key, 0
	}
	f = refFrame{fin: b[0]>>7 == 1, rsv: b[0] >> 4 & 7, opcode: b[0] & 15, masked: b[1]>>7 == 1}
	extra := map[byte]int{126: 2, 127: 8}[b[1]&127]
	n = 2 + extra
	if len(b) < n {
		return f, key, 0
	}
	f.size, f.minimal = uint64(b[1]&127), true
	if extra > 0 {
		f.size = 0
		for _, c := range b[2:n] {
			f.size = f.size<<8 | uint64(c)
		}
		f.minimal = extra == 2 && f.size > 125 || extra == 8 && f.size > 0xffff
	}
	if f.masked {
		if len(b) < n+4 {
			return f, key, 0
		}
		copy(key[:], b[n:])
		n += 4
	}
	return f, key, n
}

// refDecode decodes the frame at the start of b; n is 0 if it is not whole.
func refDecode(b []byte) (f refFrame, n int) {
	f, key, n := refHeader(b)
	if n == 0 || f.size > uint64(len(b)-n) {
		return f, 0
	}
	f.payload = bytes.Clone(b[n : n+int(f.size)])
	for i := range f.payload {
		f.payload[i] ^= key[i%4]
	}
	return f, n + int(f.size)
}

// inRawBubble is inBubble with a script for a server.
func inRawBubble(t *testing.T, cfg wsnotify.Config, script func(*rawPeer), f func(*world, *rawNet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &rawNet{script: script}
		w := &world{T: t, start: time.Now()}
		c := n.client()
		if cfg.HTTPClient != nil { // of which the settings of TLS and of the proxy are wanted
			mine, theirs := c.Transport.(*http.Transport), cfg.HTTPClient.Transport.(*http.Transport)
			mine.TLSClientConfig, mine.Proxy = theirs.TLSClientConfig, theirs.Proxy
			mine.ProxyConnectHeader, mine.OnProxyConnectResponse = theirs.ProxyConnectHeader, theirs.OnProxyConnectResponse
			c.Jar, c.Timeout = cfg.HTTPClient.Jar, cfg.HTTPClient.Timeout
		}
		mine := cfg
		mine.HTTPClient = c
		w.c = wsnotify.New(w.config(mine))
		defer func() {
			w.c.Disconnect()
			<-w.c.Done()
			n.ending.Wait()
			if left := n.open.Load(); left != 0 {
				t.Errorf("%d connections were left open", left)
			}
		}()
		f(w, n)
	})
}

// onLoopback is the same script behind a real socket; it returns the address.
func onLoopback(t *testing.T, config *tls.Config, script func(*rawPeer)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no sockets here: %v", err)
	}
	n := &rawNet{script: script}
	n.ending.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tcp, top := conn.(*net.TCPConn), conn
			if config != nil {
				top = tls.Server(conn, config)
			}
			p := newRawPeer(top)
			p.rst = func() { tcp.SetLinger(0); tcp.Close() }
			n.serve(p)
		}
	})
	t.Cleanup(func() {
		l.Close()
		n.ending.Wait()
	})
	u := url.URL{Scheme: "ws", Host: l.Addr().String(), Path: "/ws/"}
	return u.String()
}

func mustParse(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return u
}
