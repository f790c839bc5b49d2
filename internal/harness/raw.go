package harness

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

// RawNet is a network whose every far end is a script: a server that knows no
// HTTP and no WebSocket but writes the bytes that it is told to, when it is
// told to. It has no buffers, so that nothing is sent before it is read.
type RawNet struct {
	Script func(*Peer)

	Dials  atomic.Int64 // made
	Open   atomic.Int64 // not closed by the client
	Read   atomic.Int64 // bytes that the client took
	Ending sync.WaitGroup
}

// Client returns one that dials the script, whatever the address.
func (n *RawNet) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.Dial}}
}

// Dial is a DialContext.
func (n *RawNet) Dial(context.Context, string, string) (net.Conn, error) {
	return n.DialBehind(func(far net.Conn) net.Conn { return far })
}

// DialBehind dials a script that stands behind what wrap makes of its end,
// such as a server of TLS.
func (n *RawNet) DialBehind(wrap func(far net.Conn) net.Conn) (net.Conn, error) {
	near, far := net.Pipe()
	n.Dials.Add(1)
	n.Open.Add(1)
	conn := &rawConn{Conn: near, net: n}
	p := newPeer(wrap(far))
	p.rst = func() { conn.reset.Store(true); far.Close() }
	n.serve(p)
	return conn, nil
}

// serve runs the script, and collects what the client sends meanwhile.
func (n *RawNet) serve(p *Peer) {
	n.Ending.Go(p.collect)
	n.Ending.Go(func() {
		n.Script(p)
		p.Fin()
		close(p.over)
	})
}

// rawConn is the client's end of an in-memory connection.
type rawConn struct {
	net.Conn
	net   *RawNet
	reset atomic.Bool // by the peer
	once  sync.Once
}

func (c *rawConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.net.Read.Add(int64(n))
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
	c.once.Do(func() { c.net.Open.Add(-1) })
	return c.Conn.Close()
}

// Peer is the server's end of one connection. Writing to a client that has
// gone does nothing.
type Peer struct {
	net.Conn
	Gone <-chan struct{} // closed when the client has gone

	rst     func()
	gone    chan struct{} // Gone
	stopped atomic.Bool   // nothing more is read
	over    chan struct{} // the script has ended

	mu   sync.Mutex
	more sync.Cond
	got  []byte // not yet taken
	end  bool
}

func newPeer(conn net.Conn) *Peer {
	p := &Peer{Conn: conn, gone: make(chan struct{}), over: make(chan struct{})}
	p.Gone = p.gone
	p.more.L = &p.mu
	return p
}

func (p *Peer) collect() {
	buf := make([]byte, 64<<10)
	for {
		n, err := p.Conn.Read(buf)
		p.mu.Lock()
		p.got = append(p.got, buf[:n]...)
		p.end = err != nil && !p.stopped.Load()
		p.more.Broadcast()
		p.mu.Unlock()
		if p.stopped.Load() {
			<-p.over
		}
		if err != nil {
			close(p.gone)
			return
		}
	}
}

// StopReading reads nothing more, not even by a read that is under way.
func (p *Peer) StopReading() {
	p.stopped.Store(true)
	p.Conn.SetReadDeadline(time.Unix(1, 0))
}

// Take waits until find says how much of what came is one thing, and takes
// that; nil means that the client has gone.
func (p *Peer) Take(find func([]byte) int) []byte {
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

// Request waits for the client's.
func (p *Peer) Request() string {
	return string(p.Take(func(b []byte) int {
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return i + 4
		}
		return 0
	}))
}

// Frame waits for one of the client's.
func (p *Peer) Frame() (f Frame, ok bool) {
	p.Take(func(b []byte) int {
		var n int
		f, n = Decode(b)
		ok = n > 0
		return n
	})
	return f, ok
}

// Closed waits for the close frame of the client, and returns its payload.
func (p *Peer) Closed() []byte {
	for {
		f, ok := p.Frame()
		if !ok {
			return nil
		}
		if f.Opcode == 8 {
			return f.Payload
		}
	}
}

// Send writes s as it is.
func (p *Peer) Send(s string) error { _, err := io.WriteString(p.Conn, s); return err }

// Frames writes frames with one call.
func (p *Peer) Frames(bs ...[]byte) { p.Conn.Write(bytes.Join(bs, nil)) }

// Fin ends the connection as a FIN does, RST as an RST does.
func (p *Peer) Fin() { p.Conn.Close() }
func (p *Peer) RST() { p.rst() }

// Answer takes the request and writes a response.
func (p *Peer) Answer(response string) {
	p.Request()
	p.Send(response)
}

// Drip writes s byte by byte, one in each interval.
func (p *Peer) Drip(s string, interval time.Duration) {
	for i := 0; i < len(s) && p.Rest(interval); i++ {
		p.Send(s[i : i+1])
	}
}

// Rest waits for d, and reports false when the client has gone before.
func (p *Peer) Rest(d time.Duration) bool {
	select {
	case <-p.Gone:
		return false
	case <-time.After(d):
		return true
	}
}

// Silence waits for the client to go.
func (p *Peer) Silence() { <-p.Gone }

// Accept completes the handshake, with more headers if any.
func (p *Peer) Accept(headers ...string) { p.Send(Switching(p.Request(), headers...)) }

// Switching is the response that accepts a request, RFC 6455, section 4.2.2.
func Switching(request string, headers ...string) string {
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

// InRawBubble is InBubble with a script for a server.
func InRawBubble(t *testing.T, cfg wsnotify.Config, script func(*Peer), f func(*World, *RawNet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &RawNet{Script: script}
		w := &World{T: t, Start: time.Now()}
		c := n.Client()
		if cfg.HTTPClient != nil { // of which the settings of TLS and of the proxy are wanted
			mine, theirs := c.Transport.(*http.Transport), cfg.HTTPClient.Transport.(*http.Transport)
			mine.TLSClientConfig, mine.Proxy = theirs.TLSClientConfig, theirs.Proxy
			mine.ProxyConnectHeader, mine.GetProxyConnectHeader, mine.OnProxyConnectResponse = theirs.ProxyConnectHeader, theirs.GetProxyConnectHeader, theirs.OnProxyConnectResponse
			c.Jar, c.Timeout = cfg.HTTPClient.Jar, cfg.HTTPClient.Timeout
		}
		end := func() {}
		if Carry != nil && cfg.HTTPClient == nil {
			c.Transport, end = Carry(n.Dial)
		}
		mine := cfg
		mine.HTTPClient = c
		w.Client = wsnotify.New(w.Config(mine))
		defer func() {
			w.Client.Disconnect()
			<-w.Client.Done()
			synctest.Wait() // until what was sent is passed on
			end()
			n.Ending.Wait()
			if left := n.Open.Load(); left != 0 {
				t.Errorf("%d connections were left open", left)
			}
		}()
		f(w, n)
	})
}

// OnLoopback is the same script behind a real socket; it returns the address.
func OnLoopback(t *testing.T, config *tls.Config, script func(*Peer)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no sockets here: %v", err)
	}
	n := &RawNet{Script: script}
	n.Ending.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tcp, top := conn.(*net.TCPConn), conn
			if config != nil {
				top = tls.Server(conn, config)
			}
			p := newPeer(top)
			p.rst = func() { tcp.SetLinger(0); tcp.Close() }
			n.serve(p)
		}
	})
	t.Cleanup(func() {
		l.Close()
		n.Ending.Wait()
	})
	u := url.URL{Scheme: "ws", Host: l.Addr().String(), Path: "/ws/"}
	return u.String()
}
