package browser

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify/tests/internal/recorded"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// left are those that are not played here.
var left = []string{
	// This side ends them by itself: CloseTimeout is shorter than the minute of
	// the browser, and one's own Disconnect is no OnError.
	"server never answers the close", "close() twice, second other code",
	"close() while CONNECTING (server never answers)", `close(3001,"x") while CONNECTING`,
	// The browser takes the code and answers with it, which the server of the
	// tests takes for a violation.
	"server close bad code 999", "server close bad code 2999", "server close bad code 5000",
}

// states lets the client see what a page has seen.
func states(t *testing.T, p *page) {
	for _, r := range recorded.Read(t, "../whatwg/testdata/whatwg.json") {
		if !slices.Contains(left, r.Name) {
			t.Run(r.Name, func(t *testing.T) {
				t.Parallel()
				replay(t, p, r)
			})
		}
	}
}

func replay(t *testing.T, p *page, r recorded.Scenario) {
	s := &scene{T: t, p: p, srv: wsnotifytest.NewServer(t)}
	s.srv.AllowViolations()
	c := p.client(t, config{Never: true, Subprotocols: offered(r.Name)})
	prepare(s.srv, r.Name)
	if a := c.do(order{Do: "connect", URL: s.srv.URL(), User: "ada"}); a.Err == "" {
		conn := s.conn(1)
		play(conn, r.Name)
		if strings.Contains(r.Name, "client close(") {
			var code int
			fmt.Sscanf(r.CloseFrame, "%d", &code)
			reason := strings.Trim(strings.TrimLeft(r.CloseFrame, "0123456789 "), `"`)
			c.must(order{Do: "close", Code: code, Reason: reason})
		}
		if r.Name == "messages arriving while CLOSING" {
			conn.AnswerClose(false)
			closed := c.begin(order{Do: "close", Code: 1000})
			time.Sleep(100 * time.Millisecond)
			conn.SendText("late")
			conn.Close(1000, "")
			p.wait(t, closed)
		}
		defer conn.Reset()
	}
	c.must(order{Do: "done", Within: 10 * time.Second})
	var states, want []string
	var events []string
	for _, line := range c.journal() {
		switch word, rest, _ := strings.Cut(line, " "); word {
		case "CONNECTING", "OPEN", "CLOSING", "CLOSED":
			states = append(states, word)
		case "give":
		case "message":
			events = append(events, "message "+strings.TrimPrefix(rest, "MessageText "))
		case "close":
			events = append(events, line[:strings.LastIndex(line, " ")])
		default:
			events = append(events, word)
		}
	}
	for _, state := range r.ReadyStates {
		want = append(want, state.String())
	}
	if !slices.Equal(states, want) {
		t.Errorf("the states are %q, and the browser's %q", states, want)
	}
	want = r.Want()
	if !slices.Equal(events, want) {
		t.Errorf("the events are %q, and the browser's %q", events, want)
	}
}

func offered(name string) []string {
	if strings.Contains(name, "asked chat") {
		return []string{"chat"}
	}
	return nil
}

// prepare is the server's part before the handshake.
func prepare(srv *wsnotifytest.Server, name string) {
	var status int
	switch {
	case scan(name, "handshake %d", &status):
		srv.Refuse(-1, status, nil, "")
	case name == "handshake wrong accept key":
		srv.WrongKey(-1)
	case name == "handshake unrequested subprotocol":
		srv.OnHandshake(func(*http.Request) (int, http.Header) {
			return 101, http.Header{"Sec-Websocket-Protocol": {"chat"}}
		})
	case name == "refused port":
		srv.Stop()
	case strings.HasPrefix(name, "101 +"):
		srv.OnConn(func(c *wsnotifytest.Conn) { c.SendText("hi"); c.Drop() })
	}
}

// play is the server's part on an open connection.
func play(c *wsnotifytest.Conn, name string) {
	var code int
	switch {
	case name == "server close without code":
		c.Close(0, "")
	case scan(name, "server close bad code %d", &code):
		c.CloseFrame(code, "")
	case scan(name, "server close %d", &code):
		c.Close(code, fmt.Sprint("r", code))
	case strings.HasPrefix(name, "server close frame"):
		c.Close(1000, "x")
	case name == "TCP RST":
		c.Reset()
	case name == "TCP FIN without close frame":
		c.Drop()
	case name == "TCP FIN mid-frame":
		c.WriteRaw([]byte{0x81, 9, 'a'})
		c.Drop()
	case name == "FIN between fragments":
		c.WriteFrame(false, 1, []byte("a"))
		c.Drop()
	case name == "64-bit length MSB set":
		c.WriteRaw([]byte{0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 1})
	case name == "oversized ping frame (126)":
		c.WriteFrame(true, 9, make([]byte, 126))
	case name == "fragmented ping":
		c.WriteFrame(false, 9, nil)
	case name == "invalid UTF-8 text frame":
		c.SendText("\xff")
	case name == "RSV1 set":
		c.WriteRaw([]byte{0xc1, 1, 'a'})
	case name == "unknown opcode 3":
		c.WriteFrame(true, 3, nil)
	case name == "continuation without start":
		c.WriteFrame(true, 0, []byte("a"))
	case name == "new text inside fragmented message":
		c.WriteFrame(false, 1, []byte("a"))
		c.SendText("b")
	case name == "interleaved ping in fragments":
		c.WriteFrame(false, 1, []byte("a"))
		c.Ping("p")
		c.WriteFrame(true, 0, []byte("b"))
		c.Close(1000, "")
	case name == "message then close in one segment":
		c.AnswerClose(false)
		frame := wsnotifytest.AppendFrame
		c.WriteRaw(frame(frame(nil, true, 1, []byte("hi")), true, 8, []byte("\x03\xe8bye")))
	}
}

// scan reports whether text has exactly this form.
func scan(text, format string, arg *int) bool {
	n, err := fmt.Sscanf(text, format, arg)
	return n == 1 && err == nil
}
