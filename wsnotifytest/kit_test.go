//go:build !js

package wsnotifytest_test

// What the kit says of the client under test, and of the test: each fault of theirs fails the test in
// words of its own, and nothing else does.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// What a test does to a connection that it has got does not hit the handshake.
func TestFaultsMissTheHandshake(t *testing.T) {
	runs := 120
	if testing.Short() {
		runs = 50
	}
	dialled := func(t *testing.T, s *wsnotifytest.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, _, err := websocket.Dial(ctx, s.URL()+"ada", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
		if err != nil {
			t.Fatal("the script accepts, and the dial fails:", err)
		}
		_ = c.CloseNow()
	}
	for name, fault := range map[string]wsnotifytest.Step{
		"drop": wsnotifytest.DropConn(), "reset": wsnotifytest.ResetConn(), "black hole": wsnotifytest.BlackHoleConn(),
		"restart": wsnotifytest.RestartServer(time.Hour),
	} {
		for _, kind := range []string{"", " TLS", " slow"} {
			t.Run(name+kind, func(t *testing.T) {
				for range runs {
					synctest.Test(t, func(t *testing.T) {
						n := wsnotifytest.NewNetwork(t)
						s := n.NewServer()
						if kind == " TLS" {
							s = n.NewTLSServer()
						}
						if kind == " slow" {
							n.Latency(time.Millisecond)
							s.BytesPerSecond(100_000)
						}
						wait := s.Script(t.Context(), wsnotifytest.Accept(), fault)
						dialled(t, s)
						_ = wait()
					})
				}
			})
		}
	}
	t.Run("OnConn", func(t *testing.T) {
		everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
			s.OnConn((*wsnotifytest.Conn).Reset)
			for range 20 {
				dialled(t, s)
			}
		})
	})
}

// A client that is connected is counted, and can be reached.
func TestConnectedClientsAreThere(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		for i := range 20 {
			c, _, err := websocket.Dial(t.Context(), s.URL()+"ada", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
			if err != nil {
				t.Fatal(err)
			}
			if s.Total() != i+1 || s.SendText("ada", "hello") != nil {
				t.Fatalf("connection %d is not there: %d", i+1, s.Total())
			}
			_ = c.CloseNow()
		}
	})
}

// A function of the test that has not returned when the test ends is named, and not waited for.
func TestUnreturnedFunctionsAreNamed(t *testing.T) {
	release := make(chan struct{})
	var servers []*wsnotifytest.Server
	defer func() {
		close(release)
		for _, s := range servers {
			s.Close() // which waits for what has been released
		}
	}()
	for what, set := range map[string]func(s *wsnotifytest.Server){
		`OnMessage of connection 1 of user "ada", with "two", has not returned`: func(s *wsnotifytest.Server) {
			s.OnMessage(func(_ *wsnotifytest.Conn, _ byte, data []byte) {
				if string(data) == "two" {
					<-release
				}
			})
		},
		`OnConn of connection 1 of user "ada" has not returned`: func(s *wsnotifytest.Server) {
			s.OnConn(func(*wsnotifytest.Conn) { <-release })
		},
		`the step listen has not returned`: func(s *wsnotifytest.Server) {
			s.Script(context.Background(), wsnotifytest.Do("listen", func(context.Context, *wsnotifytest.Conn) error { <-release; return nil }))
		},
	} {
		for _, loopback := range []bool{false, true} {
			r := &testkit.Recorder{TB: t}
			var s *wsnotifytest.Server
			if loopback {
				s = wsnotifytest.NewServer(r)
			} else {
				s = wsnotifytest.NewNetwork(r).NewServer()
			}
			set(s)
			servers = append(servers, s)
			c := dial(t, s, "ada")
			for _, text := range []string{"one", "two"} {
				_ = c.Write(t.Context(), websocket.MessageText, []byte(text))
			}
			if _, err := s.WaitMessages(t.Context(), "ada", 2); err != nil {
				t.Error(err)
			}
			_ = c.CloseNow()
			wantErrors(t, r.End(), what)
		}
	}
}

// A deadlineTB knows when "go test -timeout" ends everything.
type deadlineTB struct {
	*testkit.Recorder
	end time.Time
}

func (d deadlineTB) Deadline() (time.Time, bool) { return d.end, true }

// A wait in real time says what it waited for while somebody can read that.
func TestWaitsEndBeforeGoTest(t *testing.T) {
	t.Parallel()
	r := &testkit.Recorder{TB: t}
	s := wsnotifytest.NewServer(deadlineTB{r, time.Now().Add(3 * time.Second)})
	start := time.Now()
	_, err := s.Conn(t.Context(), "ada")
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("it ended after %v", d)
	}
	want := `waiting for a connection of user "ada", have none; nobody is connected, after 0 handshakes: 1s have passed, and the context has no deadline`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("it ended with %v", err)
	}
	wantErrors(t, r.End())
}

// However much came, the text of a failure can be read, and says what came last.
func TestFailureTextsAreBounded(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		for i := range 2000 {
			_ = c.Write(t.Context(), websocket.MessageText, []byte(strings.Repeat("x", 300)+fmt.Sprint(i)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.WaitMessages(ctx, "ada", 2001)
		if text := err.Error(); len(text) > 1000 || !strings.Contains(text, `2000: […, "xxx`) || !strings.Contains(text, "(304 bytes)") {
			t.Errorf("%d bytes: %.300s", len(text), text)
		}
	})
}

// A step that fails says what was expected, what came, and what came before it.
func TestFailedStepsSayWhatCame(t *testing.T) {
	say := func(typ websocket.MessageType, text string) func(context.Context, *websocket.Conn) {
		return func(ctx context.Context, c *websocket.Conn) { _ = c.Write(ctx, typ, []byte(text)) }
	}
	for _, test := range []struct {
		step   wsnotifytest.Step
		client func(context.Context, *websocket.Conn)
		want   string
	}{
		{wsnotifytest.Expect("two"), say(websocket.MessageText, "three"),
			`step 3, Expect("two"): got "three", expected "two"; connection 1 of user "ada" is open, messages on it: ["one", "three"]`},
		{wsnotifytest.Expect("two"), say(websocket.MessageBinary, "two"),
			`step 3, Expect("two"): got binary "two", expected "two"; connection 1 of user "ada" is open, messages on it: ["one", binary "two"]`},
		{wsnotifytest.ExpectBinary([]byte("two")), say(websocket.MessageText, "two"),
			`step 3, ExpectBinary("two"): got "two", expected binary "two"; connection`},
		{wsnotifytest.Expect("two"), func(context.Context, *websocket.Conn) {},
			`step 3, Expect("two"): waiting for "two", have none; connection 1 of user "ada" is open, messages on it: ["one"]: context deadline exceeded`},
		{wsnotifytest.Expect("two"), func(_ context.Context, c *websocket.Conn) { _ = c.CloseNow() },
			`step 3, Expect("two"): got the end of the connection, expected "two"; connection 1 of user "ada" has ended without a close frame, messages on it: ["one"]`},
		{wsnotifytest.ExpectClose(4000), func(_ context.Context, c *websocket.Conn) { _ = c.Close(1000, "") },
			`step 3, ExpectClose(4000): got 1000, expected 4000; connection 1 of user "ada" was closed by the client with 1000, messages on it: ["one"]`},
		{wsnotifytest.ExpectClose(4000), func(context.Context, *websocket.Conn) {},
			`step 3, ExpectClose(4000): waiting for a close frame with 4000, or the end of the connection, have neither; connection 1`},
		{wsnotifytest.SayBinary(make([]byte, 1<<20)), func(context.Context, *websocket.Conn) {},
			`(1048576 bytes)): waiting for the client to read, since the buffers are full, have none; connection 1 of user "ada" is open, messages on it: ["one"]: context deadline exceeded`},
		{wsnotifytest.Wait(time.Hour), func(context.Context, *websocket.Conn) {},
			`step 3, Wait(1h0m0s): waiting for 1h0m0s to pass: context deadline exceeded`},
		{wsnotifytest.Accept(), func(context.Context, *websocket.Conn) {},
			`step 3, Accept: waiting for connection 2, have 1: context deadline exceeded`},
		{wsnotifytest.RefuseWith(503), func(context.Context, *websocket.Conn) {},
			`step 3, RefuseWith(503): waiting for 2 handshakes, have 1: context deadline exceeded`},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &testkit.Recorder{TB: t}
			s := wsnotifytest.NewNetwork(r).NewServer()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			wait := s.Script(ctx, wsnotifytest.Accept(), wsnotifytest.Expect("one"), test.step)
			c := dial(t, s, "ada")
			_ = c.Write(t.Context(), websocket.MessageText, []byte("one"))
			if strings.HasPrefix(test.step.String(), "ExpectClose(4000)") && strings.Contains(test.want, "got 1000") {
				go func() { _, _, _ = c.Read(ctx) }()
			}
			test.client(ctx, c)
			err := wait()
			_ = c.CloseNow()
			errs := r.End()
			if err == nil || !strings.Contains(err.Error(), test.want) ||
				errors.Is(err, context.DeadlineExceeded) != strings.HasSuffix(err.Error(), "context deadline exceeded") {
				t.Errorf("%v\nwant %s", err, test.want)
			}
			wantErrors(t, errs, test.want)
		})
	}
}

// Handshakes that RFC 6455, section 4.1, forbids fail the test; those of other protocols don't.
func TestForbiddenHandshakes(t *testing.T) {
	const good = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	without := func(line string) string { return strings.Replace(good, line, "", 1) }
	for _, test := range []struct{ request, status, want string }{
		{"GET /ws/ada HTTP/1.1\r\n" + good, "101", ""},
		{"GET /ws/ada HTTP/1.1\r\nHost: x\r\n", "426", ""},
		{"GET /ws/ada HTTP/1.1\r\n" + strings.Replace(good, "Version: 13", "Version: 14", 1), "426", ""},
		{"GET /ws/ada HTTP/1.0\r\n" + good, "400", "the handshake is HTTP/1.0, expected HTTP/1.1"},
		{"POST /ws/ada HTTP/1.1\r\n" + good, "400", "the handshake is a POST, expected a GET"},
		{"GET /ws/ada HTTP/1.1\r\n" + without("Host: x\r\n"), "400", "the handshake has no Host"},
		{"GET /ws/ada HTTP/1.1\r\n" + without("Sec-WebSocket-Version: 13\r\n"), "400", "has 0 headers Sec-WebSocket-Version, expected one"},
		{"GET /ws/ada HTTP/1.1\r\n" + good + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n", "400", "has 2 headers Sec-WebSocket-Key, expected one"},
		{"GET /ws/ada HTTP/1.1\r\n" + strings.Replace(good, "dGhlIHNhbXBsZSBub25jZQ==", "aGk=", 1), "400", `Sec-WebSocket-Key is "aGk=", expected 16 bytes`},
		{"GET /ws/ada HTTP/1.1\r\n" + good + "Sec-WebSocket-Protocol: a, b, a\r\n", "400", "offers a subprotocol twice"},
		{"GET /ws/ada HTTP/1.1\r\n" + good + "\r\n" + masked(0x81, "x"), "101", `connection 1 of user "ada": bytes of the client came before it had read the response`},
	} {
		inBubble(t, func(t *testing.T) {
			r := &testkit.Recorder{TB: t}
			n := wsnotifytest.NewNetwork(r)
			s := n.NewServer()
			c, err := n.DialContext(t.Context(), "tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			request := test.request
			if !strings.Contains(request, "\r\n\r\n") {
				request += "\r\n"
			}
			_, _ = io.WriteString(c, request)
			time.Sleep(time.Second)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || fmt.Sprint(resp.StatusCode) != test.status {
				t.Errorf("%q: %v, %v, want %s", request, resp, err, test.status)
			}
			time.Sleep(time.Second)
			_ = c.Close()
			errs := r.End()
			if test.want == "" {
				wantErrors(t, errs)
			} else {
				wantErrors(t, errs, test.want)
			}
		})
	}
}

func inBubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

// upgrade is a handshake.
const upgrade = "GET /ws/ada HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// A frame that a client sends before it has read the response is seen also when it is sent later than
// the request.
func TestFrameBeforeTheResponse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		n := wsnotifytest.NewNetwork(r)
		s := n.NewServer()
		n.Latency(time.Second)
		c, err := n.DialContext(t.Context(), "tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, upgrade)
		time.Sleep(1500 * time.Millisecond) // the response is under way
		_, _ = io.WriteString(c, masked(0x81, "x"))
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		_ = c.Close()
		wantErrors(t, r.End(), "before it had read the response")
	})
}

// Section 5.5.1: a client must answer a close frame, if it can.
func TestCloseFramesMustBeAnswered(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(s *wsnotifytest.Server, k *wsnotifytest.Conn, c net.Conn)
		want []string
	}{
		{"silent client", func(*wsnotifytest.Server, *wsnotifytest.Conn, net.Conn) {}, []string{"the close frame was not answered within 5s (section 5.5.1)"}},
		{"answered", func(_ *wsnotifytest.Server, _ *wsnotifytest.Conn, c net.Conn) {
			_, _ = io.WriteString(c, masked(0x88, "\x03\xe8"))
		}, nil},
		{"black hole", func(_ *wsnotifytest.Server, k *wsnotifytest.Conn, _ net.Conn) { k.BlackHole(true) }, nil},
		{"server does not read", func(_ *wsnotifytest.Server, k *wsnotifytest.Conn, c net.Conn) {
			k.StopReading(true)
			_, _ = io.WriteString(c, masked(0x88, "\x03\xe8"))
		}, nil},
		{"slow line", func(s *wsnotifytest.Server, _ *wsnotifytest.Conn, c net.Conn) {
			s.Latency(time.Minute)
			_, _ = io.WriteString(c, masked(0x88, "\x03\xe8"))
		}, nil},
		{"allowed", func(s *wsnotifytest.Server, _ *wsnotifytest.Conn, _ net.Conn) { s.AllowViolations() }, nil},
	} {
		inBubble(t, func(t *testing.T) {
			r := &testkit.Recorder{TB: t}
			n := wsnotifytest.NewNetwork(r)
			s := n.NewServer()
			c, _ := rawDial(t, n, s)
			k := newest(t, s, "raw")
			_ = k.Close(1000, "bye")
			test.do(s, k, c)
			time.Sleep(10 * time.Second)
			_ = c.Close()
			time.Sleep(2 * time.Minute)
			t.Log(test.name)
			wantErrors(t, r.End(), test.want...)
		})
	}
}

// Section 5.5.3: a pong has the payload of its ping. Pongs that nobody asked for are allowed.
func TestPongsMustMatch(t *testing.T) {
	for _, test := range []struct {
		pongs []string
		want  []string
	}{
		{[]string{"right"}, nil},
		{[]string{"mine", "right"}, nil},
		{[]string{"right", "mine"}, nil},
		{nil, nil}, // a client that does not read answers nothing
		{[]string{"wrong"}, []string{`ping "right" was answered with pong "wrong", expected the same payload (section 5.5.3)`}},
		{[]string{""}, []string{`ping "right" was answered with pong "", expected`}},
	} {
		inBubble(t, func(t *testing.T) {
			r := &testkit.Recorder{TB: t}
			n := wsnotifytest.NewNetwork(r)
			s := n.NewServer()
			c, _ := rawDial(t, n, s)
			_, _ = io.WriteString(c, masked(0x8a, "before"))
			time.Sleep(time.Second)
			_ = s.User("raw").Ping("right")
			for _, p := range test.pongs {
				_, _ = io.WriteString(c, masked(0x8a, p))
			}
			time.Sleep(time.Minute)
			_ = c.Close()
			wantErrors(t, r.End(), test.want...)
		})
	}
}

// HTTP/2 connections that idle in a pool are nobody's leak, as those of HTTP/1 are not.
func TestIdleConnectionsInPools(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		back := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
		back.EnableHTTP2 = h2
		back.StartTLS()
		errs := make(chan []string)
		go func() {
			r := &testkit.Recorder{TB: t}
			wsnotifytest.NewServer(r)
			if resp, err := back.Client().Get(back.URL); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			errs <- r.End()
		}()
		wantErrors(t, <-errs)
		back.Client().CloseIdleConnections()
		back.Close()
	}
}

// A test that fails in OnMessage ends that connection, as in a handler of httptest.
func TestFatalInOnMessageEndsTheConnection(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		s.OnMessage(func(*wsnotifytest.Conn, byte, []byte) { runtime.Goexit() })
		c := dial(t, s, "ada")
		_ = c.Write(t.Context(), websocket.MessageText, []byte("x"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, _, err := c.Read(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("the client hears nothing: %v", err)
		}
		if err := s.WaitLive(t.Context(), 0); err != nil {
			t.Error(err)
		}
	})
}

// Every server of a network has an address of its own, and its name is one in any case.
func TestAddressesOfANetwork(t *testing.T) {
	n := wsnotifytest.NewNetwork(t)
	seen := map[string]int{}
	for i := range 700 {
		s := n.NewServer()
		host, port, _ := net.SplitHostPort(s.Addr())
		for _, at := range []string{s.Addr(), strings.ToUpper(host) + ":" + port, host + ".:" + port} {
			c, err := n.DialContext(t.Context(), "tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			addr := c.RemoteAddr().String()
			_ = c.Close()
			if other, ok := seen[addr]; ok && other != i {
				t.Fatalf("servers %d and %d are both at %s", other+1, i+1, addr)
			}
			seen[addr] = i
		}
	}
}

// What a client on loopback holds that has not become a WebSocket is reported, as in memory.
func TestConnectionsBeforeTheirHandshake(t *testing.T) {
	r := &testkit.Recorder{TB: t}
	s := wsnotifytest.NewServer(r)
	s.HangHandshake(1)
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var request bytes.Buffer
	request.WriteString("GET /ws/ada HTTP/1.1\r\nHost: x\r\n\r\n")
	_, _ = c.Write(request.Bytes())
	if err := s.WaitHandshakes(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	wantErrors(t, r.End(), "that never became a WebSocket was left open by the client at "+c.LocalAddr().String())
}

// The cost of a connection must not depend on how many there are:
//
//	go test -run '^$' -bench Connections -benchtime 8000x ./wsnotifytest
func BenchmarkConnections(b *testing.B) {
	n := wsnotifytest.NewNetwork(b)
	s := n.NewServer()
	var conns []net.Conn
	for i := range b.N {
		c, err := n.DialContext(b.Context(), "tcp", s.Addr())
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, c)
		fmt.Fprintf(c, "GET /ws/u%d HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", i)
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Conn(b.Context(), fmt.Sprint("u", i)); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range conns {
		_ = c.Close()
	}
	if err := s.WaitLive(b.Context(), 0); err != nil {
		b.Fatal(err)
	}
}

// The cost of waiting for a message must not depend on how many have come.
func BenchmarkWaitMessages(b *testing.B) {
	n := wsnotifytest.NewNetwork(b)
	s := n.NewServer()
	c, _, err := websocket.Dial(b.Context(), s.URL()+"ada", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for range b.N {
			_ = c.Write(b.Context(), websocket.MessageText, []byte("message"))
		}
	}()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if _, err := s.WaitMessages(ctx, "ada", b.N); err != nil {
		b.Fatal(err)
	}
	_ = c.CloseNow()
}
