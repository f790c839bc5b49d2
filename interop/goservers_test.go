//go:build linux

package interop

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/gorilla/websocket"
	"github.com/lxzan/gws"
)

// Every test server does the same. It tells what happens in lines of JSON on
// its standard output: that it listens, that a connection is open or closed,
// and each text message. It answers
//
//	ping               with pong
//	say <text>         with the text
//	all <text>         with the text to everybody; Go servers alone
//	close <code> <why> with that close frame
//	a binary message   with itself
//
// On SIGTERM it closes every connection with 1001 and ends.

// options say how a server is to behave.
type options struct {
	Host        string `json:"host"`
	Port        int    `json:"port"`
	Deflate     bool   `json:"deflate"`
	Subprotocol string `json:"subprotocol"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	HTTP2       bool   `json:"http2"`
}

// line is what a server or a client process tells.
type line struct {
	Event string `json:"event"`
	Conn  int    `json:"conn,omitempty"`
	Text  string `json:"text,omitempty"`
	Code  int    `json:"code,omitempty"`
}

func emit(l line) {
	b, _ := json.Marshal(l)
	os.Stdout.Write(append(b, '\n'))
}

// session is one connection of a Go server, whatever the library.
type session interface {
	text(string) error
	binary([]byte) error
	close(code int, reason string) error
}

// host is what the Go servers have in common.
type host struct {
	options
	mu       sync.Mutex
	conns    int
	sessions map[int]session
	ended    chan struct{} // closed with the last session of a host that ends; nil before that
}

func (h *host) opened(s session, url string) (conn int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns++
	h.sessions[h.conns] = s
	emit(line{Event: "open", Conn: h.conns, Text: url})
	return h.conns
}

func (h *host) closed(conn, code int, reason string) {
	emit(line{Event: "close", Conn: conn, Code: code, Text: reason})
	h.mu.Lock()
	delete(h.sessions, conn)
	h.noteEnd()
	h.mu.Unlock()
}

// noteEnd is called with mu. A shared connection may bring sessions while the
// host ends, which a WaitGroup would not allow.
func (h *host) noteEnd() {
	if h.ended != nil && len(h.sessions) == 0 {
		close(h.ended)
		h.ended = nil
	}
}

func (h *host) message(s session, conn int, binary bool, data []byte) {
	if binary {
		s.binary(data)
		return
	}
	text := string(data)
	emit(line{Event: "text", Conn: conn, Text: text[:min(len(text), 40)]})
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "ping":
		s.text("pong")
	case "say":
		s.text(rest)
	case "all":
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, s := range h.sessions {
			s.text(rest)
		}
	case "close":
		var code int
		number, reason, _ := strings.Cut(rest, " ")
		fmt.Sscan(number, &code)
		s.close(code, reason)
	}
}

// serveGo runs a Go server in this process, which was started for it.
func serveGo(kind, arg string) error {
	h := &host{sessions: map[int]session{}}
	if err := json.Unmarshal([]byte(arg), &h.options); err != nil {
		return err
	}
	handler := map[string]func(*host) http.Handler{"gorilla": gorillaHandler, "gws": gwsHandler, "gobwas": gobwasHandler, "go http2": http2Handler}[kind]
	if handler == nil {
		return fmt.Errorf("there is no server %q", kind)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(h.Host, fmt.Sprint(h.Port)))
	if err != nil {
		return err
	}
	if h.Cert != "" {
		pair, err := tls.LoadX509KeyPair(h.Cert, h.Key)
		if err != nil {
			return err
		}
		protocol := "http/1.1"
		if kind == "go http2" {
			protocol = "h2"
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{protocol}})
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	server := &http.Server{Handler: handler(h)}
	go server.Serve(l)
	emit(line{Event: "listening"})

	<-terminated
	go server.Shutdown(context.Background()) // over HTTP/2, a GOAWAY: no client opens another stream here
	time.Sleep(50 * time.Millisecond)        // until that is sent: nothing says so
	h.mu.Lock()
	for _, s := range h.sessions {
		s.close(1001, "restart")
	}
	ended := make(chan struct{})
	h.ended = ended
	h.noteEnd()
	h.mu.Unlock()
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
	}
	return nil
}

// gorillaSession serializes its writes of messages, as the library demands.
type gorillaSession struct {
	mu *sync.Mutex
	*websocket.Conn
}

func (s gorillaSession) write(typ int, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.WriteMessage(typ, p)
}

func (s gorillaSession) text(t string) error   { return s.write(websocket.TextMessage, []byte(t)) }
func (s gorillaSession) binary(p []byte) error { return s.write(websocket.BinaryMessage, p) }
func (s gorillaSession) close(code int, reason string) error {
	return s.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
}

func gorillaHandler(h *host) http.Handler {
	up := websocket.Upgrader{EnableCompression: h.Deflate, CheckOrigin: func(*http.Request) bool { return true }}
	if h.Subprotocol != "" {
		up.Subprotocols = []string{h.Subprotocol}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		s := gorillaSession{&sync.Mutex{}, c}
		conn := h.opened(s, r.RequestURI)
		for {
			typ, data, err := c.ReadMessage()
			if err != nil {
				code, reason := 1006, ""
				var ce *websocket.CloseError
				if errors.As(err, &ce) {
					code, reason = ce.Code, ce.Text
				}
				h.closed(conn, code, reason)
				return
			}
			h.message(s, conn, typ == websocket.BinaryMessage, data)
		}
	})
}

type gwsSession struct{ *gws.Conn }

func (s gwsSession) text(t string) error   { return s.WriteMessage(gws.OpcodeText, []byte(t)) }
func (s gwsSession) binary(p []byte) error { return s.WriteMessage(gws.OpcodeBinary, p) }
func (s gwsSession) close(code int, reason string) error {
	return s.WriteClose(uint16(code), []byte(reason))
}

type gwsEvents struct {
	gws.BuiltinEventHandler
	h    *host
	url  string
	conn int
}

func (e *gwsEvents) OnOpen(c *gws.Conn)           { e.conn = e.h.opened(gwsSession{c}, e.url) }
func (e *gwsEvents) OnPing(c *gws.Conn, p []byte) { c.WritePong(p) }
func (e *gwsEvents) OnClose(_ *gws.Conn, err error) {
	code, reason := 1006, ""
	var ce *gws.CloseError
	if errors.As(err, &ce) {
		code, reason = int(ce.Code), string(ce.Reason)
	}
	e.h.closed(e.conn, code, reason)
}

func (e *gwsEvents) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	e.h.message(gwsSession{c}, e.conn, m.Opcode == gws.OpcodeBinary, m.Bytes())
}

func gwsHandler(h *host) http.Handler {
	// With its default of 12 bits for the client's window the server would ask
	// for that unasked, which RFC 7692, section 7.1.2.2, forbids. With a context of its own
	// it puts the payload of each pong into its window, which no peer does: what it
	// compresses behind a pong is corrupt.
	option := &gws.ServerOption{PermessageDeflate: gws.PermessageDeflate{
		Enabled: h.Deflate, ClientContextTakeover: true, ClientMaxWindowBits: 15, Threshold: 1,
	}}
	if h.Subprotocol != "" {
		option.SubProtocols = []string{h.Subprotocol}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := gws.NewUpgrader(&gwsEvents{h: h, url: r.RequestURI}, option).Upgrade(w, r)
		if err != nil {
			return
		}
		c.ReadLoop()
	})
}

// gobwasSession serializes its writes, since the library leaves that to us.
type gobwasSession struct {
	mu sync.Mutex
	io.Writer
}

func (s *gobwasSession) write(op ws.OpCode, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return wsutil.WriteServerMessage(s.Writer, op, p)
}

func (s *gobwasSession) text(t string) error   { return s.write(ws.OpText, []byte(t)) }
func (s *gobwasSession) binary(p []byte) error { return s.write(ws.OpBinary, p) }
func (s *gobwasSession) close(code int, reason string) error {
	return s.write(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), reason))
}

func gobwasHandler(h *host) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == h.Subprotocol }}
		c, _, _, err := up.Upgrade(r, w)
		if err != nil {
			return
		}
		defer c.Close()
		serveGobwas(h, c, r.RequestURI)
	})
}

// serveGobwas serves a connection that is open.
func serveGobwas(h *host, c io.ReadWriter, url string) {
	s := &gobwasSession{Writer: c}
	conn := h.opened(s, url)
	control := func(f ws.Header, body io.Reader) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return wsutil.ControlFrameHandler(c, ws.StateServerSide)(f, body)
	}
	reader := wsutil.Reader{Source: c, State: ws.StateServerSide, CheckUTF8: true, OnIntermediate: control}
	for {
		f, err := reader.NextFrame()
		if err == nil && f.OpCode.IsControl() {
			err = control(f, &reader)
			if err == nil {
				continue
			}
		}
		var data []byte
		if err == nil {
			data, err = io.ReadAll(&reader)
		}
		if err != nil {
			code, reason := 1006, ""
			var ce wsutil.ClosedError
			if errors.As(err, &ce) {
				code, reason = int(ce.Code), ce.Reason
			}
			h.closed(conn, code, reason)
			return
		}
		h.message(s, conn, f.OpCode == ws.OpBinary, data)
	}
}

// http2Handler is net/http's own HTTP/2, whose streams gobwas serves.
func http2Handler(h *host) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Header.Get(":protocol") != "websocket" {
			http.Error(w, "no extended CONNECT", http.StatusBadRequest)
			return
		}
		if h.Subprotocol != "" {
			w.Header().Set("Sec-WebSocket-Protocol", h.Subprotocol)
		}
		w.WriteHeader(http.StatusOK)
		c := &http2Stream{Reader: r.Body, Writer: w, out: http.NewResponseController(w)}
		c.out.Flush()
		serveGobwas(h, c, r.RequestURI)
	})
}

type http2Stream struct {
	io.Reader
	io.Writer
	out *http.ResponseController
}

func (s *http2Stream) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	if err == nil {
		err = s.out.Flush()
	}
	return n, err
}
