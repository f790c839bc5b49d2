package whatwg

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/tests/internal/recorded"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// onPurpose lists where this client differs from the browser, and why.
var onPurpose = map[string]string{
	"server close bad code 999":                       "not a code of RFC 6455, section 7.4.2: a violation here",
	"server close bad code 2999":                      "reserved by RFC 6455, section 7.4.2: a violation here",
	"server close bad code 5000":                      "not a code of RFC 6455, section 7.4.2: a violation here",
	"close() while CONNECTING (server never answers)": "one's own Disconnect is no OnError",
	"close(3001,\"x\") while CONNECTING":              "one's own Disconnect is no OnError",
}

// TestStatesAreThoseOfABrowser lets the client live through what a browser
// did, and compares the ready states, the events and the close code.
func TestStatesAreThoseOfABrowser(t *testing.T) {
	for _, s := range recorded.Read(t, "testdata/whatwg.json") {
		t.Run(s.Name, func(t *testing.T) { replay(t, s) })
	}
}

// replay plays the server's part, and the calls of the page.
func replay(t *testing.T, s recorded.Scenario) {
	text := func(c *wsnotifytest.Conn, text string) { c.SendText(text) }
	frame := wsnotifytest.AppendFrame
	var states []wsnotify.ReadyState
	var events []string
	cfg := wsnotify.Config{
		ShouldReconnect: func(wsnotify.Failure) bool { return false },
		OnStateChange:   func(ev wsnotify.StateChange) { states = append(states, ev.To) },
		OnOpen:          func(wsnotify.OpenEvent) { events = append(events, "open") },
		OnError:         func(error) { events = append(events, "error") },
		OnMessage:       func(m wsnotify.Message) { events = append(events, "message "+string(m.Data)) },
		OnClose: func(ev wsnotify.CloseEvent) {
			events = append(events, fmt.Sprintf("close %d %q %v", ev.Code, ev.Reason, ev.WasClean))
		},
	}
	// What is not JSON is an OnError of its own here, and not of interest.
	report := cfg.OnError
	cfg.OnError = func(err error) {
		if harness.Kind(err) != "parse" {
			report(err)
		}
	}
	var c *wsnotify.Client
	harness.InBubble(t, cfg, func(w *harness.World) {
		c = w.Client
		w.Server.AllowViolations()
		var status, code int
		var protocol []string
		url := w.Server.URL()
		opened := func(*wsnotifytest.Conn) {}
		dialled := func() {}
		name := s.Name
		switch {
		case scan(name, "handshake %d", &status):
			w.Server.Refuse(-1, status, nil, "")
		case name == "handshake wrong accept key":
			w.Server.WrongKey(-1)
		case name == "handshake unrequested subprotocol":
			w.Server.OnHandshake(func(*http.Request) (int, http.Header) {
				return 101, http.Header{"Sec-Websocket-Protocol": {"chat"}}
			})
		case name == "handshake asked chat, no subprotocol in reply":
			protocol = []string{"chat"}
		case name == "refused port":
			w.Net.Refuse(true)
		case strings.Contains(name, "while CONNECTING"):
			w.Server.HangHandshake(-1)
			dialled = func() { w.Client.CloseWith(context.Background(), 3001, "x") }
		case name == "server never answers the close":
			w.Server.AnswerClose(false)
			opened = func(*wsnotifytest.Conn) { w.Client.CloseWith(context.Background(), 1000, "bye") }
		case name == `open, client close(1000,"bye"), echoed`:
			opened = func(*wsnotifytest.Conn) { w.Client.CloseWith(context.Background(), 1000, "bye") }
		case name == `open, client close(4001,"app"), echoed`:
			opened = func(*wsnotifytest.Conn) { w.Client.CloseWith(context.Background(), 4001, "app") }
		case name == "close() twice, second other code":
			w.Server.AnswerClose(false)
			opened = func(c *wsnotifytest.Conn) {
				go w.Client.CloseWith(context.Background(), 4001, "a")
				synctest.Wait()
				go w.Client.CloseWith(context.Background(), 4002, "b")
				synctest.Wait()
				c.CloseFrame(4001, "a")
			}
		case name == "server close without code":
			opened = func(c *wsnotifytest.Conn) { c.Close(0, "") }
		case scan(name, "server close bad code %d", &code):
			opened = func(c *wsnotifytest.Conn) { c.CloseFrame(code, "") }
		case scan(name, "server close %d", &code):
			opened = func(c *wsnotifytest.Conn) { c.Close(code, fmt.Sprint("r", code)) }
		case name == "server close frame, client replies, server keeps TCP open":
			opened = func(c *wsnotifytest.Conn) { c.CloseFrame(1000, "x") }
		case name == "TCP RST":
			opened = func(c *wsnotifytest.Conn) { c.Reset() }
		case name == "TCP FIN without close frame":
			opened = func(c *wsnotifytest.Conn) { c.Drop() }
		case name == "TCP FIN mid-frame":
			opened = func(c *wsnotifytest.Conn) { c.WriteRaw([]byte{0x81, 9, 'a'}); c.Drop() }
		case name == "FIN between fragments":
			opened = func(c *wsnotifytest.Conn) { c.WriteFrame(false, 1, []byte("a")); c.Drop() }
		case name == "64-bit length MSB set":
			opened = func(c *wsnotifytest.Conn) { c.WriteRaw([]byte{0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 1}) }
		case name == "oversized ping frame (126)":
			opened = func(c *wsnotifytest.Conn) { c.WriteFrame(true, 9, make([]byte, 126)) }
		case name == "fragmented ping":
			opened = func(c *wsnotifytest.Conn) { c.WriteFrame(false, 9, nil) }
		case name == "invalid UTF-8 text frame":
			opened = func(c *wsnotifytest.Conn) { text(c, "\xff") }
		case name == "RSV1 set":
			opened = func(c *wsnotifytest.Conn) { c.WriteRaw([]byte{0xc1, 1, 'a'}) }
		case name == "unknown opcode 3":
			opened = func(c *wsnotifytest.Conn) { c.WriteFrame(true, 3, nil) }
		case name == "continuation without start":
			opened = func(c *wsnotifytest.Conn) { c.WriteFrame(true, 0, []byte("a")) }
		case name == "new text inside fragmented message":
			opened = func(c *wsnotifytest.Conn) { c.WriteFrame(false, 1, []byte("a")); text(c, "b") }
		case name == "interleaved ping in fragments":
			opened = func(c *wsnotifytest.Conn) {
				c.WriteFrame(false, 1, []byte("a"))
				c.Ping("p")
				c.WriteFrame(true, 0, []byte("b"))
				c.Close(1000, "")
			}
		case name == "message then close in one segment":
			opened = func(c *wsnotifytest.Conn) {
				c.WriteRaw(frame(frame(nil, true, 1, []byte("hi")), true, 8, []byte("\x03\xe8bye")))
			}
		case name == "101 + message + FIN in one segment":
			w.Server.OnConn(func(c *wsnotifytest.Conn) { text(c, "hi"); c.Drop() })
		case name == "messages arriving while CLOSING":
			w.Server.AnswerClose(false)
			opened = func(c *wsnotifytest.Conn) {
				go func() {
					time.Sleep(time.Second)
					text(c, "late")
					c.Close(1000, "")
				}()
				w.Client.Disconnect()
			}
		default:
			t.Fatal("nobody plays this recorded.Scenario")
		}
		if protocol != nil {
			c = wsnotify.New(func() wsnotify.Config { cfg.Subprotocols, cfg.HTTPClient = protocol, w.Net.HTTPClient(); return cfg }())
		}
		connected := make(chan error, 1)
		go func() { connected <- c.Connect(context.Background(), url, "ada") }()
		synctest.Wait()
		dialled()
		if err := <-connected; err == nil {
			if conn, err := w.Server.NthConn(context.Background(), 1); err == nil {
				synctest.Wait()
				opened(conn)
			}
		}
		<-c.Done()
		synctest.Wait()
		for _, conn := range w.Server.LiveConns() {
			conn.Reset()
		}
		compare(t, s, states, events, w.Server.CloseCodes())
	})
}

func compare(t *testing.T, s recorded.Scenario, states []wsnotify.ReadyState, events []string, codes []int) {
	want := s.Want()
	differs := !slices.Equal(states, s.ReadyStates) || !slices.Equal(events, want)
	if why := onPurpose[s.Name]; why != "" {
		if !differs {
			t.Errorf("it does not differ any more: %s", why)
		}
		return
	}
	if differs {
		t.Errorf("%v %q, and the browser: %v %q", states, events, s.ReadyStates, want)
	}
	var frame int
	if scan(s.CloseFrame, "%d", &frame); frame != 0 && s.Name != "invalid UTF-8 text frame" { // 1007 here, 1002 there
		if len(codes) != 1 || codes[0] != frame {
			t.Errorf("the server got the close codes %v and not %d", codes, frame)
		}
	}
}

// scan reports whether text has exactly this form.
func scan(text, format string, arg *int) bool {
	n, err := fmt.Sscanf(text, format, arg)
	return n == 1 && err == nil
}
