// This file is compiled into internal/harness by TestSuitesOverHTTP2 alone.

package harness

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"github.com/wsnotify/wsnotify/h2"
)

func init() { Carry = carryOverHTTP2 }

type dialContext = func(ctx context.Context, network, addr string) (net.Conn, error)

// carryOverHTTP2 has clients share a connection to a gateway in memory, which
// passes each stream on to a connection of its own over HTTP/1.1.
func carryOverHTTP2(dial dialContext) (http.RoundTripper, func()) {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	g := &gateway{dial: dial}
	server := &http.Server{Handler: g, ErrorLog: log.New(io.Discard, "", 0), Protocols: &http.Protocols{}}
	server.Protocols.SetUnencryptedHTTP2(true)
	server.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 10} // so that little is read before it is wanted
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	tr := &h2.Transport{PriorKnowledge: true, DialContext: l.dial}
	return tr, func() {
		tr.Close()
		server.Close()
		serving.Wait()
	}
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	l.conns <- far
	return near, nil
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

type gateway struct{ dial dialContext }

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	addr := r.Host
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr += ":80"
	}
	conn, err := g.dial(r.Context(), "tcp", addr)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	stop := context.AfterFunc(r.Context(), func() { conn.Close() })
	defer stop()
	request := &strings.Builder{}
	request.WriteString("GET " + r.URL.RequestURI() + " HTTP/1.1\r\nHost: " + r.Host +
		"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
	for name, values := range r.Header {
		for _, value := range values {
			if name[0] != ':' {
				request.WriteString(name + ": " + value + "\r\n")
			}
		}
	}
	if _, err := io.WriteString(conn, request.String()+"\r\n"); err != nil {
		panic(http.ErrAbortHandler)
	}
	from := bufio.NewReader(conn)
	resp, err := http.ReadResponse(from, &http.Request{Method: http.MethodGet})
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out := http.NewResponseController(w)
	for name, values := range resp.Header {
		if name != "Connection" && name != "Upgrade" && name != "Sec-Websocket-Accept" && name != "Transfer-Encoding" {
			w.Header()[name] = values
		}
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		w.WriteHeader(resp.StatusCode)
		out.Flush()
		io.Copy(flushing{w, out}, resp.Body)
		return
	}
	w.WriteHeader(http.StatusOK)
	out.Flush()
	var up sync.WaitGroup
	up.Go(func() {
		io.Copy(conn, r.Body)
		conn.Close()
	})
	_, err = io.Copy(flushing{w, out}, from)
	conn.Close()
	if errors.Is(err, syscall.ECONNRESET) {
		panic(http.ErrAbortHandler)
	}
	// The client's side ends when it has seen the end of ours.
}

type flushing struct {
	io.Writer
	out *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	f.out.Flush()
	return n, err
}
