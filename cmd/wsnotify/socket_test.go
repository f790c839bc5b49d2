package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/extension"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// rawClient is a client that sends what it is told to, byte by byte.
type rawClient struct {
	net.Conn
	in *bufio.Reader
}

const rawHandshake = "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n"

func dialRaw(t *testing.T, srv *httptest.Server, path string) *rawClient {
	t.Helper()
	return dialOffering(t, srv, path, "")
}

// dialOffering dials with more headers.
func dialOffering(t *testing.T, srv *httptest.Server, path, headers string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(conn, rawHandshake, path, srv.Listener.Addr(), headers)
	c := &rawClient{conn, bufio.NewReader(conn)}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake ends with %v, %v", resp, err)
	}
	return c
}

// frame returns the next frame of the server, which has no mask.
func (c *rawClient) frame() (op byte, payload []byte, err error) {
	var h [10]byte
	if _, err = io.ReadFull(c.in, h[:2]); err != nil {
		return 0, nil, err
	}
	n := uint64(h[1])
	switch n {
	case 126:
		io.ReadFull(c.in, h[2:4])
		n = uint64(binary.BigEndian.Uint16(h[2:]))
	case 127:
		io.ReadFull(c.in, h[2:10])
		n = binary.BigEndian.Uint64(h[2:])
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.in, payload)
	return h[0] & 0xF, payload, err
}

// mask makes a frame of a client, with a key that changes nothing.
func mask(first byte, payload string) string {
	head := []byte{first, 0x80 | byte(len(payload))}
	switch {
	case len(payload) > 0xFFFF:
		head = binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, uint64(len(payload)))
	case len(payload) > 125:
		head = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(len(payload)))
	}
	return string(head) + "\x00\x00\x00\x00" + payload
}

func hubServer(t *testing.T, set func(*hub)) (*hub, *httptest.Server) {
	h := newHub(func(string, ...any) {})
	if set != nil {
		set(h)
	}
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = newServer(h)
	srv.Start()
	t.Cleanup(srv.Close)
	t.Cleanup(h.close)
	return h, srv
}

// Whatever a client sends, serve answers it as RFC 6455 says, and goes on.
func TestServeSurvivesItsPeers(t *testing.T) {
	h, srv := hubServer(t, func(h *hub) { h.echo, h.readLimit = true, 70_000 })
	for name, test := range map[string]struct {
		bytes string
		code  int
	}{
		"compressed, and that was not agreed on": {"\x41\x81\x00\x00\x00\x00\x00\x88\x82\x00\x00\x00\x00\x03\xe8", 1002},
		"reserved bit":                           {mask(0xC1, "x"), 1002},
		"no mask":                                {"\x81\x01x", 1002},
		"unknown opcode":                         {mask(0x83, "x"), 1002},
		"unknown control opcode":                 {mask(0x8B, "x"), 1002},
		"fragmented ping":                        {mask(0x09, "x"), 1002},
		"ping of 126 bytes":                      {mask(0x89, strings.Repeat("x", 126)), 1002},
		"continuation of nothing":                {mask(0x80, "x"), 1002},
		"a message in a message":                 {mask(0x01, "x") + mask(0x81, "y"), 1002},
		"length of 125 in two bytes":             {"\x81\xfe\x00\x7d\x00\x00\x00\x00", 1002},
		"length of 65535 in eight":               {"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00", 1002},
		"negative length":                        {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1002},
		"length of 2⁶³-1":                        {"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009},
		"a byte over the limit":                  {mask(0x82, strings.Repeat("x", 70_001)), 1009},
		"fragments over the limit":               {mask(0x02, strings.Repeat("x", 70_000)) + mask(0x80, "x"), 1009},
		"text that is not UTF-8":                 {mask(0x81, "a\xff"), 1007},
		"half a character at the end":            {mask(0x01, "a\xe2\x82") + mask(0x80, ""), 1007},
		"close with one byte":                    {mask(0x88, "x"), 1002},
		"close with 1005":                        {mask(0x88, "\x03\xed"), 1002},
		"close with 999":                         {mask(0x88, "\x03\xe7"), 1002},
		"a reason that is not UTF-8":             {mask(0x88, "\x03\xe8\xff"), 1007},
		"close without a code":                   {mask(0x88, ""), 0},
		"close with 4000 and a reason":           {mask(0x88, "\x0f\xa0bye"), 4000},
		"close in a message":                     {mask(0x01, "x") + mask(0x88, "\x03\xe8"), 1000},
	} {
		c := dialRaw(t, srv, "/ws/raw")
		io.WriteString(c, test.bytes)
		op, payload, err := c.frame()
		code := 0
		if len(payload) >= 2 {
			code = int(binary.BigEndian.Uint16(payload))
		}
		if err != nil || op != opClose || code != test.code {
			t.Errorf("%s: it answers with opcode %#x, close code %d and not %d, %v", name, op, code, test.code, err)
		}
		c.CloseWrite()
		if _, _, err := c.frame(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: then the connection ends with %v", name, err)
		}
		c.Close()
	}
	c := dialRaw(t, srv, "/ws/raw")
	large := strings.Repeat("€", 23_333)
	io.WriteString(c, mask(0x89, "are you there?")+mask(0x01, large[:40_001])+mask(0x89, "")+mask(0x80, large[40_001:]))
	for _, want := range []struct {
		op   byte
		text string
	}{{opPong, "are you there?"}, {opPong, ""}, {opText, large}} {
		if op, payload, err := c.frame(); op != want.op || string(payload) != want.text || err != nil {
			t.Errorf("it answers with opcode %#x and %.40q, %v, and not with %#x and %.40q", op, payload, err, want.op, want.text)
		}
	}
	c.Close()
	until(t, func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.coming == 0 })
	if n := len(h.large); n > 0 {
		t.Errorf("%d large messages are still counted", n)
	}
}

func (c *rawClient) CloseWrite() { c.Conn.(*net.TCPConn).CloseWrite() }

// stream is a connection whose peer has sent all it sends.
type stream struct {
	io.Reader
	out bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (*stream) Close() error                       { return nil }
func (*stream) LocalAddr() net.Addr                { return nil }
func (*stream) RemoteAddr() net.Addr               { return nil }
func (*stream) SetDeadline(time.Time) error        { return nil }
func (*stream) SetReadDeadline(t time.Time) error  { return nil }
func (*stream) SetWriteDeadline(t time.Time) error { return nil }

// FuzzSocket checks that whatever comes is a message within the limit, UTF-8 where it is text, or an
// error that ends the connection.
func FuzzSocket(f *testing.F) {
	f.Add([]byte(mask(0x81, "text")+mask(0x02, "a")+mask(0x89, "ping")+mask(0x80, "b")+mask(0x88, "\x03\xe8bye")), 100)
	f.Add([]byte("\x41\x81\x00\x00\x00\x00\x00\x88\x82\x00\x00\x00\x00\x03\xe8"), -1)
	f.Add([]byte(mask(0x81, strings.Repeat("x", 70_000))), 65_000)
	for _, bytes := range []string{mask(0x80, "x"), mask(0x01, "x") + mask(0x81, "y"), mask(0x89, strings.Repeat("x", 126)), mask(0x02, "xxx") + mask(0x80, "yyy"),
		mask(0x81, "\xff"), mask(0x88, "x"), "\x81\x01x", "\x81\xfe\x00\x7d\x00\x00\x00\x00", "\x81"} {
		f.Add([]byte(bytes), 5)
	}
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		if limit < 0 {
			limit = -1
		}
		conn := &stream{Reader: bytes.NewReader(data)}
		s := newSocket(conn, bufio.NewReader(conn))
		s.limit = int64(limit)
		for {
			op, message, err := s.read()
			if err != nil {
				if op != 0 || message != nil {
					t.Fatalf("opcode %#x and %d bytes with the error %v", op, len(message), err)
				}
				break
			}
			if op != opText && op != opBinary || limit >= 0 && len(message) > limit || op == opText && !bytes.Equal(message, bytes.ToValidUTF8(message, nil)) {
				t.Fatalf("opcode %#x and %d bytes, where %d are allowed: %.40q", op, len(message), limit, message)
			}
			s.release()
		}
		s.release()
		s.end()
		if len(s.large) > 0 {
			t.Error("a large message is still counted")
		}
	})
}

// Bytes that end inside of a frame are no message, wherever that is.
func TestFramesThatAreCut(t *testing.T) {
	for _, frame := range []string{mask(0x81, "text"), mask(0x82, strings.Repeat("x", 126)), mask(0x82, strings.Repeat("x", 1<<16)), mask(0x89, "ping"), mask(0x88, "\x03\xe8")} {
		for n := range frame {
			if n > 20 && n < len(frame)-2 {
				continue
			}
			s := newSocket(&stream{}, bufio.NewReader(strings.NewReader(frame[:n])))
			if op, data, err := s.read(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || op != 0 || len(data) != 0 {
				t.Errorf("%d bytes of %.10q: opcode %#x and %d bytes, %v", n, frame, op, len(data), err)
			}
		}
	}
}

// What is sent after a close frame or the end is not, and says so; a ping that comes then is ignored.
func TestSocketThatIsClosed(t *testing.T) {
	conn := &stream{Reader: strings.NewReader(mask(0x89, "ping") + mask(0x81, "text"))}
	s := newSocket(conn, bufio.NewReader(conn))
	if err := s.close(1000, strings.Repeat("é", 80)); err != nil { // 160 bytes
		t.Error(err)
	}
	want := "\x88\x7d\x03\xe8" + strings.Repeat("é", 60) + "…"
	if err := s.write(opText, []byte("late")); err != errSealed {
		t.Errorf("after a close frame: %v", err)
	}
	if op, data, err := s.read(); op != opText || string(data) != "text" || err != nil {
		t.Errorf("after a close frame, a message comes as %#x %q, %v", op, data, err)
	}
	s.end()
	s.writing <- struct{}{} // somebody writes
	if err := s.write(opText, nil); err != net.ErrClosed {
		t.Errorf("at the end: %v", err)
	}
	if got := conn.out.String(); got != want {
		t.Errorf("it sent %q, want %q", got, want)
	}
	// Who waits for the turn of a large message does so no longer.
	for _, compressed := range []bool{false, true} {
		first, bytes := byte(0x82), strings.Repeat("x", smallMessage+1)
		if compressed {
			first, bytes = 0xC2, deflated(bytes)
		}
		s = newSocket(&stream{}, bufio.NewReader(strings.NewReader(mask(first, bytes))))
		if agreed, _ := extension.Accept([]string{"permessage-deflate"}); compressed {
			s.agree(agreed)
		}
		s.large <- struct{}{}
		s.end()
		if _, _, err := s.read(); err != net.ErrClosed || s.holds {
			t.Errorf("compressed %v, a large message at the end: %v", compressed, err)
		}
	}
}

// A reason is cut where it is too long for a close frame, and no character with it.
func TestReasonsOfCloseFrames(t *testing.T) {
	for reason, want := range map[string]string{
		"":                       "",
		strings.Repeat("x", 123): strings.Repeat("x", 123),
		strings.Repeat("x", 124): strings.Repeat("x", 120) + "…",
	} {
		conn := &stream{}
		if err := newSocket(conn, nil).close(4000, reason); err != nil || conn.out.String() != string([]byte{0x88, byte(2 + len(want)), 0x0f, 0xa0})+want {
			t.Errorf("%d bytes: it sent %q, %v", len(reason), &conn.out, err)
		}
	}
	conn := &stream{}
	if newSocket(conn, nil).close(0, "x"); conn.out.String() != "\x88\x00" {
		t.Errorf("without a code: it sent %q", &conn.out)
	}
}

// Frames of a server have no mask and the shortest length; what is large is not copied.
func TestFramesOfServe(t *testing.T) {
	for n, head := range map[int]string{
		0: "\x82\x00", 125: "\x82\x7d", 126: "\x82\x7e\x00\x7e", 65535: "\x82\x7e\xff\xff", 65536: "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 65537: "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x01",
	} {
		conn, payload := &stream{}, bytes.Repeat([]byte("x"), n)
		err := newSocket(conn, nil).write(opBinary, payload)
		if got := conn.out.String(); err != nil || got != head+string(payload) {
			t.Errorf("%d bytes: %.20q and %d bytes in all, %v", n, got, len(got), err)
		}
		if frame := appendServerFrame(nil, opBinary, payload); n > smallMessage && string(frame) != head {
			t.Errorf("%d bytes: %d are copied", n, len(frame))
		}
	}
}

// A page of another site that has its own name lead here is not answered.
func TestServeAnswersToItsOwnNamesAlone(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 8080} }
	for _, test := range []struct {
		at, asked string
		names     []string
		host      string
		allowed   bool
	}{
		{"127.0.0.1", "127.0.0.1:8080", nil, "127.0.0.1:8080", true},
		{"127.0.0.1", "127.0.0.1:8080", nil, "localhost:9999", true}, // a tunnel
		{"127.0.0.1", "127.0.0.1:8080", nil, "LOCALHOST.", true},
		{"127.0.0.1", "127.0.0.1:8080", nil, "app.localhost", true},
		{"127.0.0.1", "127.0.0.1:8080", nil, "[::1]:8080", true},
		{"127.0.0.1", "127.0.0.1:8080", nil, "[::1]", true},
		{"127.0.0.1", "127.0.0.1:8080", nil, "evil.example:8080", false},
		{"127.0.0.1", "127.0.0.1:8080", nil, "evil.example", false},
		{"127.0.0.1", "127.0.0.1:8080", nil, "localhost.evil.example:8080", false},
		{"127.0.0.1", "127.0.0.1:8080", nil, "127.0.0.1.evil.example", false},
		{"127.0.0.1", "127.0.0.1:8080", nil, "localhost:8080:8080", false},
		{"127.0.0.1", "127.0.0.1:8080", nil, "192.168.1.5:8080", false},
		{"127.0.0.1", "127.0.0.1:8080", nil, "", false},
		{"127.0.0.1", "127.0.0.1:8080", nil, ".localhost.evil.example", false},
		{"127.0.0.1", "devbox:8080", nil, "devbox:8080", true},
		{"127.0.0.1", "127.0.0.1:8080", []string{"tunnel.example"}, "Tunnel.example", true},
		{"127.0.0.1", "127.0.0.1:8080", []string{"tunnel.example"}, "evil.example", false},
		{"127.0.0.1", "127.0.0.1:8080", []string{"*"}, "evil.example", true},
		{"::", ":8080", nil, "192.168.1.5:8080", true},
		{"::", ":8080", nil, "[fe80::1]:8080", true},
		{"::", ":8080", nil, "evil.example:8080", false},
		{"192.168.1.5", "192.168.1.5:8080", nil, "192.168.1.5:8080", true},
	} {
		if h := hostsOf(tcp(test.at), test.asked, test.names); h.allow(test.host) != test.allowed {
			t.Errorf("listening on %s, asked for %s and %q, it allows %q: %v", test.at, test.asked, test.names, test.host, !test.allowed)
		}
	}

	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	r.Host = strings.Repeat("x", 201) + ":80"
	if new(hosts).only(nil).ServeHTTP(w, r); w.Body.String() != "this server is not asked by the name \""+strings.Repeat("x", 200)+"…\", which may be a page's that wants to read what is sent here; "+
		"use localhost, or start it with: wsnotify serve --host "+strings.Repeat("x", 200)+"…\n" {
		t.Errorf("a long name is answered with %s", w.Body)
	}
	_, srv := hubServer(t, nil)
	for _, path := range []string{"/", "/events", "/ws/ada", "/notify"} {
		req, _ := http.NewRequest("GET", srv.URL+path, nil)
		if path == "/notify" {
			req.Method = "POST"
		}
		req.Host = "evil.example:80"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(text), "--host evil.example") {
			t.Errorf("%s answers %d, %s", path, resp.StatusCode, text)
		}
	}
	// A page of another site that goes to this address under its own name.
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, strings.Replace(fmt.Sprintf(rawHandshake, "/ws/ada", srv.Listener.Addr(), ""), "Upgrade:", "Origin: http://evil.example\r\nUpgrade:", 1))
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("its handshake ends with %v, %v", resp, err)
	}
}

// What serve sends is UTF-8 where RFC 6455 says so, whoever asks for it.
func TestServeSendsUTF8(t *testing.T) {
	h, srv := hubServer(t, nil)
	c := dialRaw(t, srv, "/ws/ada")
	arrived(t, h, 1)
	post := func(path, contentType, body string) (int, string) {
		resp, err := http.Post(srv.URL+path, contentType, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	const form, asJSON = "application/x-www-form-urlencoded", "application/json"
	for _, test := range []struct{ path, contentType, body, says string }{
		{"/notify", asJSON, "{\"msgType\":\"mail\",\"content\":\"a\xff\"}", "byte 31 is 0xff"},
		{"/notify", asJSON, "{\"msgType\":\"a\xff\",\"content\":1}", "not UTF-8"},
		{"/notify", form, "msgType=mail&content=a%ff", "content is not UTF-8: byte 2 is 0xff"},
		{"/notify", form, "msgType=%ff&content=a", "msgType is not UTF-8"},
		{"/notify/%ff", form, "msgType=mail&content=a", "name is not UTF-8"},
		{"/notify", asJSON, `{"msgType":"mail","content":1} {"msgType":"x"}`, "after top-level value"},
		{"/notify", asJSON, `{"msgType":"mail","content":1} x`, "after top-level value"},
		{"/notify", asJSON + "; charset=utf-8", `{"msgType":"mail","content":1}]`, "after top-level value"},
		{"/clients/1/send", form, "text=" + url.QueryEscape("\ufffd\xc0"), "byte 4 is 0xc0"},
		{"/clients/1/close", form, "code=4000&reason=%e2%82", "reason is not UTF-8"},
	} {
		if status, text := post(test.path, test.contentType, test.body); status != 400 || !strings.Contains(text, test.says) {
			t.Errorf("%s %q is answered with %d %q, which does not say %q", test.path, test.body, status, text, test.says)
		}
	}
	if status, text := post("/notify", asJSON, `{"msgType":"mail","content":"`+"\ufffd"+`"} `); status != 200 {
		t.Errorf("U+FFFD itself is answered with %d %s", status, text)
	}
	if op, payload, err := c.frame(); op != opText || string(payload) != `{"msgType":"mail","content":"`+"\ufffd"+`"}` {
		t.Errorf("the first that came is %#x %q, %v", op, payload, err)
	}
	for path, want := range map[string]string{"/ws/%ff": "not UTF-8", "/ws/" + strings.Repeat("x", maxUser+1): "257 bytes"} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, rawHandshake, path, srv.Listener.Addr(), "")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 400 || !strings.Contains(string(text), want) {
			t.Errorf("%.20s is answered with %d %s", path, resp.StatusCode, text)
		}
	}
}

// Many clients that announce large messages, and stop there, take the memory of a few.
func TestServeBoundsLargeMessages(t *testing.T) {
	h, srv := hubServer(t, func(h *hub) { h.echo = true })
	const clients = 40
	took := testkit.Grown(func() {
		for range clients {
			c := dialRaw(t, srv, "/ws/raw")
			io.WriteString(c, "\x81\xff\x00\x00\x00\x00\x00\xf0\x00\x00\x00\x00\x00\x00x") // 15 MiB
		}
		arrived(t, h, clients)
		until(t, func() bool { return len(h.large) == cap(h.large) })
	})
	if took > largeAtOnce*16<<20+clients*smallMessage {
		t.Errorf("%d messages of 15 MiB that were announced take %d MiB", clients, took>>20)
	}
	// A small message waits for no large one.
	c := dialRaw(t, srv, "/ws/raw")
	io.WriteString(c, mask(0x82, strings.Repeat("x", smallMessage)))
	if op, payload, err := c.frame(); op != opBinary || len(payload) != smallMessage {
		t.Errorf("a small message is answered with %#x and %d bytes, %v", op, len(payload), err)
	}
}

// A message of --read-limit bytes is taken, and one of a byte more is not, compressed or not.
func TestServeReadLimitIsExact(t *testing.T) {
	for _, limit := range []int64{1, 200, smallMessage, smallMessage + 1, 1 << 20} {
		for _, mode := range []wsnotify.CompressionMode{wsnotify.CompressionDisabled, wsnotify.CompressionContextTakeover} {
			_, srv := hubServer(t, func(h *hub) { h.echo, h.readLimit = true, limit })
			echo, closed := make(chan int, 1), make(chan wsnotify.StatusCode, 1)
			c := wsnotify.New(wsnotify.Config{
				Compression: mode, Heartbeat: wsnotify.Heartbeat{Interval: -1}, BackOff: func() wsnotify.BackOff { return nil },
				OnMessage: func(m wsnotify.Message) { echo <- len(m.Data) }, OnClose: func(ev wsnotify.CloseEvent) { closed <- ev.Code },
			})
			if err := c.Connect(t.Context(), srv.URL+"/ws/ada", ""); err != nil {
				t.Fatal(err)
			}
			data := make([]byte, limit+1)
			rand.Read(data) // which can't be compressed
			if err := c.Send(t.Context(), wsnotify.MessageBinary, data[1:]); err != nil {
				t.Fatal(err)
			}
			if n := next(t, echo); n != int(limit) {
				t.Errorf("%d bytes came back as %d", limit, n)
			}
			c.Send(t.Context(), wsnotify.MessageBinary, data)
			if code := next(t, closed); code != wsnotify.StatusMessageTooBig {
				t.Errorf("with the limit %d and %v, a byte more is answered with %v", limit, mode, code)
			}
			<-c.Done()
		}
	}
}

// A message of control characters is four to six times as long where it is shown.
func TestServeBoundsWhatItShows(t *testing.T) {
	var said []string
	h, srv := hubServer(t, func(h *hub) {
		h.say = func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	})
	user := strings.Repeat("\u202e", maxUser/3)
	c := dialRaw(t, srv, "/ws/"+url.PathEscape(user))
	io.WriteString(c, mask(0x81, strings.Repeat("\x01", 1<<20))+mask(0x88, ""))
	if op, _, err := c.frame(); op != opClose {
		t.Fatalf("it answers with %#x, %v", op, err)
	}
	h.close()
	for _, line := range said {
		if len(line) > 6*maxLine {
			t.Errorf("a line of %d bytes is printed", len(line))
		}
		if strings.ContainsAny(line, "\x01\u202e") {
			t.Errorf("a control character is printed: %.100q", line)
		}
	}
	if len(said) != 3 || !strings.Contains(said[1], "… (1048576 bytes)") {
		t.Errorf("it printed %d lines", len(said))
	}
	for _, e := range h.log {
		if len(e.Text) > maxText+len("…") || len(e.User) > maxUser {
			t.Errorf("an entry has %d and %d bytes", len(e.User), len(e.Text))
		}
	}
}

// What waits for clients that do not read is bounded in bytes, and counts once for all of them.
func TestServeBoundsWhatWaits(t *testing.T) {
	h := newHub(func(string, ...any) {})
	for range 100 {
		g := newGuest(h, "ada", newSocket(&stream{}, nil))
		h.clients = append(h.clients, g)
	}
	message := make([]byte, 2<<20)
	for i := range maxPending >> 21 {
		if n, _ := h.notify("", message); n != 100 {
			t.Fatalf("message %d goes to %d", i, n)
		}
	}
	if n, _ := h.notify("", message); n != 0 || h.pending != maxPending {
		t.Errorf("another one goes to %d, and %d bytes wait", n, h.pending)
	}
	for _, g := range h.clients {
		g.unqueue()
	}
	if h.pending != 0 {
		t.Errorf("%d bytes wait when nothing does", h.pending)
	}
	for range maxQueue {
		h.notify("", nil)
	}
	if n, _ := h.notify("", nil); n != 0 {
		t.Errorf("message %d for a client that does not read goes to %d", maxQueue+1, n)
	}
}

func TestServeBoundsItsClients(t *testing.T) {
	h, srv := hubServer(t, func(h *hub) { h.maxClients = 1 })
	c := dialRaw(t, srv, "/ws/ada")
	again := wsnotify.New(wsnotify.Config{BackOff: wsnotify.Exponential(time.Millisecond, time.Millisecond, 0)})
	defer func() { again.Disconnect(); <-again.Done() }()
	if err := again.Connect(within(t), srv.URL+"/ws/", "bob"); err == nil || !strings.Contains(err.Error(), "--max-clients") {
		t.Errorf("the second client gets %v", err)
	}
	c.Close()
	until(t, func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.coming == 0 })
	dialRaw(t, srv, "/ws/carl")
}

// Connections that never ask for anything are bounded, too.
func TestServeBoundsItsConnections(t *testing.T) {
	const most = 256
	_, srv := hubServer(t, nil)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(30 * time.Second))
		return c
	}
	answers := func(c net.Conn) bool {
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			resp.Body.Close()
		} else if netErr := net.Error(nil); errors.As(err, &netErr) && netErr.Timeout() {
			t.Fatal("neither an answer nor an end")
		}
		return err == nil
	}
	var all []net.Conn
	for range most {
		all = append(all, dial())
	}
	if answers(dial()) {
		t.Errorf("connection %d is served", most+1)
	}
	if !answers(all[0]) || !answers(all[most-1]) {
		t.Error("one of those before it is not")
	}
	all[0].Close()
	until(t, func() bool { return answers(dial()) })
}

// What is no handshake of RFC 6455 is refused in a way that says what is missing: sections 4.2.2 and 4.4.
func TestServeRefusesWhatIsNoHandshake(t *testing.T) {
	_, srv := hubServer(t, nil)
	for _, test := range []struct {
		name, value string
		status      int
		header      string
		says        string
	}{
		{"Upgrade", "h2c", http.StatusUpgradeRequired, "Upgrade: websocket", "expected the headers Connection: Upgrade"},
		{"Connection", "close", http.StatusUpgradeRequired, "Connection: Upgrade", "expected the headers Connection: Upgrade"},
		{"Sec-WebSocket-Version", "8", http.StatusUpgradeRequired, "Sec-Websocket-Version: 13", "expected Sec-WebSocket-Version: 13"},
		{"Sec-WebSocket-Key", "AAAA", http.StatusBadRequest, "", "expected one Sec-WebSocket-Key"},
		{"Sec-WebSocket-Key", "?", http.StatusBadRequest, "", "expected one Sec-WebSocket-Key"},
		{"Origin", "http://evil.example", http.StatusForbidden, "", "the page at http://evil.example may not connect: expected one of this server, or of localhost"},
		{"Origin", "http://" + strings.Repeat("x", 194), http.StatusForbidden, "", "the page at http://" + strings.Repeat("x", 193) + "… may not"},
		{"Origin", "null", http.StatusForbidden, "", "the page at null may not connect"},
		{"Origin", "http://LOCALHOST", http.StatusNotImplemented, "", "this is no HTTP/1.1 connection"}, // all is well but for that
	} {
		req := httptest.NewRequest("GET", "/ws/ada", nil)
		req.Host = "localhost"
		for name, value := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", test.name: test.value} {
			req.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		srv.Config.Handler.ServeHTTP(w, req)
		name, value, _ := strings.Cut(test.header, ": ")
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) || name != "" && w.Header().Get(name) != value {
			t.Errorf("%s: %s is answered with %d, %v: %s", test.name, test.value, w.Code, w.Header(), w.Body)
		}
	}
}

// A page that comes back is told what it has not seen, and one of an earlier server all of it.
func TestServePageThatComesBack(t *testing.T) {
	h, srv := hubServer(t, nil)
	h.mu.Lock()
	for i := range 3 {
		h.note("ada", "in", fmt.Sprint("message ", i))
	}
	h.mu.Unlock()
	for last, want := range map[string][]string{
		"":             {"message 0", "message 1", "message 2"},
		h.name + "-2":  {"message 2"},
		h.name + "-3":  nil,
		h.name + "-x":  {"message 0", "message 1", "message 2"},
		h.name + "-99": nil,
		"another-2":    {"message 0", "message 1", "message 2"},
		h.name:         {"message 0", "message 1", "message 2"},
	} {
		req, _ := http.NewRequestWithContext(within(t), "GET", srv.URL+"/events", nil)
		req.Header.Set("Last-Event-ID", last)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(resp.Body)
		var id string
		var happened struct{ Entries []struct{ Text string } }
		for event := ""; event != "log"; {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			switch name, value, _ := strings.Cut(strings.TrimSpace(line), ": "); name {
			case "id":
				id = value
			case "event":
				event = value
			}
		}
		line, _ := in.ReadString('\n')
		if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &happened); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		resp.Body.Close()
		var got []string
		for _, e := range happened.Entries {
			got = append(got, e.Text)
		}
		if !slices.Equal(got, want) || id != h.name+"-3" {
			t.Errorf("after %q a page is told %q under the id %q, want %q", last, got, id, want)
		}
	}
}

// Real sockets on Windows return numbers of their own.
func TestErrorsOfWindowsSockets(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.Errno(10061)}
	if !connectionRefused.is(refused, "windows") || connectionRefused.is(refused, "linux") || addressInUse.is(refused, "windows") {
		t.Errorf("%v is taken for something else", refused)
	}
	if !isErrno(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, connectionRefused) {
		t.Error("ECONNREFUSED is taken for something else")
	}
}
