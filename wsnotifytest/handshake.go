package wsnotifytest

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Handshake is a request that reached the server.
type Handshake struct {
	Time   time.Time   // when it had been read
	URL    *url.URL    // as requested: path and query
	Header http.Header // of the request
	Host   string
	User   string
	Status int // of the response; 0 if there was none, or a raw one
}

// serve answers one request and, if it becomes a WebSocket, serves that to its end.
func (s *Server) serve(k *socket) {
	br := bufio.NewReaderSize(k.top, 16<<10)
	r, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	r = r.WithContext(k.ctx)
	r.RemoteAddr = k.pipe.RemoteAddr().String()
	h := Handshake{Time: time.Now(), URL: r.URL, Header: r.Header.Clone(), Host: r.Host, User: userOf(r.URL)}

	s.mu.Lock()
	p := s.nextPlan(h.User)
	onHandshake := s.onHandshake
	s.mu.Unlock()
	key, bad, wrong := checkUpgrade(r)
	if wrong != "" {
		s.violation(fmt.Sprintf("the handshake of user %q", h.User), wrong, true)
	}
	switch {
	case p.kind == planHang:
		s.saw(h)
		_, _ = io.Copy(io.Discard, br)
		return
	case p.kind == planRaw:
		s.saw(h)
		_, _ = io.WriteString(k.top, p.body)
		return
	case p.kind == planWrongKey:
		h.Status = http.StatusSwitchingProtocols
		s.saw(h)
		_, _ = k.top.Write(switching("this is not it", "", "", nil))
		_, _ = io.Copy(io.Discard, br)
		return
	case p.kind == planAccept && wrong != "":
		p = plan{kind: planRefuse, status: http.StatusBadRequest, body: string(wrong)}
	case p.kind == planAccept && bad != "":
		header := http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}}
		p = plan{kind: planRefuse, status: http.StatusUpgradeRequired, header: header, body: bad}
	case p.kind == planAccept && onHandshake != nil:
		s.calling(func() string { return fmt.Sprintf("OnHandshake of user %q", h.User) }, func() { p.status, p.header = onHandshake(r) })
		if p.status != 0 && p.status != http.StatusSwitchingProtocols {
			p.kind = planRefuse
		}
	}
	if p.kind == planRefuse {
		h.Status = p.status
		s.saw(h)
		_, _ = k.top.Write(refusal(r, p))
		return
	}

	h.Status = http.StatusSwitchingProtocols
	s.saw(h)
	s.mu.Lock()
	if s.closed || !s.up {
		s.mu.Unlock()
		return
	}
	c := newConn(s, k, r, h.User)
	protocol, extension := choose(append([]string{s.subprotocol}, s.subprotocols...), r.Header), ""
	if s.compress {
		c.deflate, extension = negotiate(r.Header)
	}
	s.shape(k.pipe.l, c.levels()...)
	s.mu.Unlock()
	// The connection is there for the test once the client has read its 101, and before the client can
	// know: nothing that the test does to it can hit the handshake, and a client that is connected is
	// counted. Its write lock keeps everybody's frames behind the response.
	asked, _ := k.pipe.received()
	c.early = br.Buffered() > 0
	defer c.finish(k.close)
	err = k.writeMarked(switching(acceptKey(key), protocol, extension, p.header), func() {
		_, sent := k.pipe.received()
		s.reveal(c, sent > asked)
	})
	<-c.writing
	if err == nil {
		c.readLoop(br)
	}
}

func (s *Server) saw(h Handshake) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handshakes = append(s.handshakes, h)
	s.changed.send()
}

// userOf is the query parameter "user" or else the last segment of the path.
func userOf(u *url.URL) string {
	if q := u.Query(); q.Has("user") {
		return q.Get("user")
	}
	path := u.EscapedPath()
	last := path[strings.LastIndexByte(path, '/')+1:]
	if user, err := url.PathUnescape(last); err == nil {
		return user
	}
	return last
}

// checkUpgrade returns the client's key, or what is missing for a WebSocket. What is wrong is in a
// request for one that RFC 6455, section 4.1, forbids.
func checkUpgrade(r *http.Request) (key, bad string, wrong violation) {
	if !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket") {
		return "", "not a WebSocket handshake", ""
	}
	keys, versions := r.Header.Values("Sec-WebSocket-Key"), r.Header.Values("Sec-WebSocket-Version")
	protocols := tokens(r.Header, "Sec-WebSocket-Protocol")
	slices.Sort(protocols)
	switch {
	case r.Method != http.MethodGet:
		return "", "", violation(fmt.Sprintf("the handshake is a %s, expected a GET (section 4.1)", r.Method))
	case !r.ProtoAtLeast(1, 1):
		return "", "", violation(fmt.Sprintf("the handshake is %s, expected HTTP/1.1 (section 4.1)", r.Proto))
	case r.Host == "":
		return "", "", "the handshake has no Host (section 4.1)"
	case len(versions) != 1:
		return "", "", violation(fmt.Sprintf("the handshake has %d headers Sec-WebSocket-Version, expected one (section 4.1)", len(versions)))
	case len(keys) != 1:
		return "", "", violation(fmt.Sprintf("the handshake has %d headers Sec-WebSocket-Key, expected one (section 4.1)", len(keys)))
	case len(slices.Compact(slices.Clone(protocols))) != len(protocols):
		return "", "", violation(fmt.Sprintf("the handshake offers a subprotocol twice: %q (section 4.1)", protocols))
	case versions[0] != "13":
		return "", "not version 13", ""
	}
	if raw, err := base64.StdEncoding.DecodeString(keys[0]); err != nil || len(raw) != 16 {
		return "", "", violation(fmt.Sprintf("Sec-WebSocket-Key is %q, expected 16 bytes in base64 (section 4.1)", keys[0]))
	}
	return keys[0], "", ""
}

func tokens(h http.Header, name string) []string {
	var list []string
	for _, v := range h.Values(name) {
		for t := range strings.SplitSeq(v, ",") {
			list = append(list, strings.TrimSpace(t))
		}
	}
	return list
}

func hasToken(h http.Header, name, token string) bool {
	return slices.ContainsFunc(tokens(h, name), func(t string) bool { return strings.EqualFold(t, token) })
}

func choose(names []string, h http.Header) string {
	offered := tokens(h, "Sec-WebSocket-Protocol")
	for _, name := range names {
		if name != "" && slices.Contains(offered, name) {
			return name
		}
	}
	return ""
}

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// switching is a 101 response.
func switching(accept, protocol, extension string, extra http.Header) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
	fmt.Fprintf(&b, "Sec-WebSocket-Accept: %s\r\n", accept)
	if protocol != "" {
		fmt.Fprintf(&b, "Sec-WebSocket-Protocol: %s\r\n", protocol)
	}
	if extension != "" {
		fmt.Fprintf(&b, "Sec-WebSocket-Extensions: %s\r\n", extension)
	}
	_ = extra.Write(&b)
	b.WriteString("\r\n")
	return b.Bytes()
}

// refusal is any other response.
func refusal(r *http.Request, p plan) []byte {
	var b bytes.Buffer
	resp := http.Response{
		StatusCode: p.status, ProtoMajor: 1, ProtoMinor: 1, Request: r, Close: true,
		Header: p.header, Body: io.NopCloser(strings.NewReader(p.body)), ContentLength: int64(len(p.body)),
	}
	_ = resp.Write(&b)
	return b.Bytes()
}
