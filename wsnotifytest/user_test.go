//go:build !js

package wsnotifytest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// A verb is done to one target, and is seen by a client that is meant and not by another.
type verb struct {
	name string
	do   func(*wsnotifytest.User)
	// on one connection; nil if there is no such method
	conn func(*wsnotifytest.Conn)
	// what the client sees of it, and what it sees without it
	seen func(t *testing.T, c *websocket.Conn, within time.Duration) string
	want string
	not  string
}

// On loopback time is real: long is for what comes, short for what doesn't.
const (
	long  = 20 * time.Second
	short = 30 * time.Millisecond
)

// timeoutFor is how long to wait before one believes in want.
func timeoutFor(want string) time.Duration {
	if strings.HasPrefix(want, "no") {
		return short
	}
	return long
}

// read returns the next message, or what there is instead.
func read(t *testing.T, c *websocket.Conn, within time.Duration) string {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, b, err := c.Read(ctx)
	ce := websocket.CloseError{}
	switch {
	case err == nil:
		return string(b)
	case errors.Is(err, context.DeadlineExceeded):
		return "nothing"
	case errors.As(err, &ce):
		return ce.Code.String() + " " + ce.Reason
	case isErrno(err, syscall.ECONNRESET):
		return "RST"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "FIN"
	}
	return err.Error()
}

// ping says whether a ping is answered.
func ping(t *testing.T, c *websocket.Conn, within time.Duration) string {
	c.CloseRead(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := c.Ping(ctx); err != nil {
		return "no pong"
	}
	return "pong"
}

func say(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Error(err)
	}
}

// textPing says what the text heartbeat is answered with.
func textPing(t *testing.T, c *websocket.Conn, within time.Duration) string {
	say(t, c, "ping")
	return read(t, c, within)
}

// closes says how a closing handshake ends. It leaves the transport waiting, five seconds unless the
// connection is dropped.
func closes(t *testing.T, c *websocket.Conn, within time.Duration) string {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Close(4000, "") }()
	select {
	case err := <-done:
		if err == nil {
			return "answered"
		}
		return err.Error()
	case <-ctx.Done():
		return "no answer"
	}
}

func verbs() []verb {
	type U = wsnotifytest.User
	type C = wsnotifytest.Conn
	return []verb{
		{"Notify", func(u *U) { _ = u.Notify("a", 1) }, func(c *C) { _ = c.Notify("a", 1) }, read, `{"msgType":"a","content":1}`, "nothing"},
		{"SendText", func(u *U) { _ = u.SendText("{") }, func(c *C) { _ = c.SendText("{") }, read, "{", "nothing"},
		{"SendBinary", func(u *U) { _ = u.SendBinary([]byte{0}) }, func(c *C) { _ = c.SendBinary([]byte{0}) }, read, "\x00", "nothing"},
		{"Close", func(u *U) { _ = u.Close(1012, "restart") }, func(c *C) { _ = c.Close(1012, "restart") }, read, "StatusServiceRestart restart", "nothing"},
		{"Drop", (*U).Drop, (*C).Drop, read, "FIN", "nothing"},
		{"Reset", (*U).Reset, (*C).Reset, read, "RST", "nothing"},
		{"Mute", func(u *U) { u.Mute(true) }, func(c *C) { c.Mute(true) }, ping, "no pong", "pong"},
		{"BlackHole", func(u *U) { u.BlackHole(true) }, func(c *C) { c.BlackHole(true) }, ping, "no pong", "pong"},
		{"StopReading", func(u *U) { u.StopReading(true) }, func(c *C) { c.StopReading(true) }, ping, "no pong", "pong"},
		{"ComeBack", func(u *U) { u.Mute(true); u.BlackHole(true); u.StopReading(true); u.ComeBack(); u.Drop() },
			func(c *C) { c.Mute(true); c.BlackHole(true); c.StopReading(true); c.ComeBack(); c.Drop() }, ping, "no pong", "pong"},
		{"AnswerPings", func(u *U) { u.AnswerPings(false) }, func(c *C) { c.AnswerPings(false) }, ping, "no pong", "pong"},
		{"AnswerText", func(u *U) { u.AnswerText("pong") }, func(c *C) { c.AnswerText("pong") }, textPing, "pong", "nothing"},
		{"AnswerClose", func(u *U) { u.AnswerClose(false) }, func(c *C) { c.AnswerClose(false) }, closes, "no answer", "answered"},
		{"Latency", func(u *U) { u.Latency(time.Minute) }, func(c *C) { c.Latency(time.Minute) }, ping, "no pong", "pong"},
		{"BytesPerSecond", func(u *U) { u.BytesPerSecond(10) }, func(c *C) { c.BytesPerSecond(10) }, ping, "no pong", "pong"},
		{"StopMidFrame", func(u *U) { _ = u.StopMidFrame("half of this"); u.Drop() },
			func(c *C) { _ = c.StopMidFrame("half of this"); c.Drop() }, read, "FIN", "nothing"},
	}
}

// Every verb reaches the connections of the one that it is done to, and no others.
func TestVerbsOfConnUserAndEverybody(t *testing.T) {
	for _, v := range verbs() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
				s.AllowViolations() // a client that is cut off in the middle
				check := func(c *websocket.Conn, want string) {
					t.Helper()
					if got := v.seen(t, c, timeoutFor(want)); got != want {
						t.Errorf("the client sees %q, want %q", got, want)
					}
				}
				a, b := dial(t, s, "ada"), dial(t, s, "bob")
				v.do(s.User("ada"))
				check(a, v.want)
				check(b, v.not)
				c, d := dial(t, s, "carl"), dial(t, s, "carl")
				v.conn(newest(t, s, "carl"))
				check(d, v.want)
				check(c, v.not)
				s.Everybody().Drop()
				e, f := dial(t, s, "eve"), dial(t, s, "fay")
				v.do(s.Everybody())
				check(e, v.want)
				check(f, v.want)
				s.Everybody().Drop()
			})
		})
	}
}

// A broken connection comes back.
func TestComeBack(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		c.CloseRead(context.Background())
		for _, away := range []func(bool){s.User("ada").BlackHole, s.User("ada").Mute, s.User("ada").StopReading, s.Everybody().BlackHole, s.BlackHole} {
			away(true)
			ctx, cancel := context.WithTimeout(t.Context(), short)
			if err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
			s.BlackHole(false)
			s.User("ada").ComeBack()
			if err := c.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// What is said of a user holds for the next connection too, and the narrower word beats the wider.
func TestMannersLast(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		s.AnswerText("everybody")
		s.User("ada").AnswerText("ada")
		for range 2 {
			a, b := dial(t, s, "ada"), dial(t, s, "bob")
			if x, y := textPing(t, a, long), textPing(t, b, long); x != "ada" || y != "everybody" {
				t.Errorf("ada gets %q, bob %q", x, y)
			}
			newest(t, s, "ada").AnswerText("this one")
			if got := textPing(t, a, long); got != "this one" {
				t.Error(got)
			}
			_ = a.CloseNow()
			if err := s.WaitLive(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			_ = b.CloseNow()
			if err := s.WaitLive(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The handshakes of one user are refused, redirected and left hanging, and nobody else's.
func TestHandshakesOfOneUser(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		u := s.User("ada")
		u.Refuse(1, 401, http.Header{"Www-Authenticate": {"Bearer"}}, "expired")
		u.Refuse(1, 302, http.Header{"Location": {"ws://elsewhere.test/"}}, "")
		u.RefuseRaw(1, "HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
		u.HangHandshake(1)
		s.User("eve").Refuse(-1, 403, nil, "")
		s.Refuse(1, 503, nil, "") // for whoever comes without a plan of his own
		hangs := false
		client := *s.HTTPClient()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		try := func(user string) string {
			ctx, cancel := context.WithTimeout(t.Context(), long)
			defer cancel()
			if hangs {
				// Once the server has read the request: before that, it might still
				// hang the one that comes next.
				seen := len(s.Handshakes())
				go func() {
					_ = s.WaitHandshakes(ctx, seen+1)
					cancel()
				}()
			}
			c, resp, err := websocket.Dial(ctx, s.URL()+user, &websocket.DialOptions{HTTPClient: &client})
			switch {
			case err == nil:
				_ = c.CloseNow()
				return "in"
			case errors.Is(err, context.Canceled):
				return "no answer"
			case strings.Contains(err.Error(), "Accept"):
				return "wrong key"
			}
			b, _ := io.ReadAll(resp.Body)
			return strings.TrimSpace(resp.Status + " " + resp.Header.Get("Www-Authenticate") + resp.Header.Get("Location") + " " + string(b))
		}
		var got []string
		for i, user := range []string{"ada", "bob", "bob", "ada", "ada", "ada", "ada", "eve", "eve"} {
			hangs = i == 5
			got = append(got, try(user))
		}
		want := []string{"401 Unauthorized Bearer expired", "503 Service Unavailable", "in", "302 Found ws://elsewhere.test/",
			"wrong key", "no answer", "in", "403 Forbidden", "403 Forbidden"}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%q, want\n%q", got, want)
		}
		s.User("eve").Refuse(0, 0, nil, "")
		s.Refuse(1, 302, http.Header{"Location": {"ws://there.test/"}}, "")
		if got := try("eve"); got != "302 Found ws://there.test/" {
			t.Error(got)
		}
		if got := try("eve"); got != "in" {
			t.Error(got)
		}
		if virtual(s) { // coder/websocket takes three seconds over it
			s.User("eve").WrongKey(1)
			if x, y := try("bob"), try("eve"); x != "in" || y != "wrong key" {
				t.Error(x, y)
			}
		}
	})
}

// Half a frame, then silence: pongs and close frames would be inside of it.
func TestStopMidFrame(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		sc := newest(t, s, "ada")
		if err := sc.StopMidFrame("twelve bytes"); err != nil {
			t.Fatal(err)
		}
		for _, send := range []func() error{
			func() error { return sc.SendText("x") },
			func() error { return sc.Close(1000, "") },
			func() error { return s.Notify("ada", "x", 1) },
		} {
			if err := send(); err == nil {
				t.Error("something was sent inside a frame")
			}
		}
		if got := read(t, c, short); got != "nothing" {
			t.Error(got)
		}
		sc.Drop()
	})
}

func TestWhoIsConnected(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		err := s.Everybody().SendText("x")
		if !errors.Is(err, wsnotifytest.ErrNoConn) || !strings.HasSuffix(err.Error(), "of anybody") {
			t.Error(err)
		}
		dial(t, s, "bob")
		dial(t, s, "ada")
		dial(t, s, "ada")
		err = s.Notify("eve", "a", 1)
		if !errors.Is(err, wsnotifytest.ErrNoConn) || !strings.Contains(err.Error(), `of user "eve"; connected: "ada", "bob"`) {
			t.Error(err)
		}
	})
}

func TestRecordingCanBeSwitchedOff(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		say(t, c, "kept")
		if _, err := s.WaitMessages(t.Context(), "ada", 1); err != nil {
			t.Fatal(err)
		}
		s.RecordMessages(false)
		say(t, c, "forgotten")
		say(t, c, "ping")
		if err := s.WaitHeartbeats(t.Context(), "ada", 1, 0); err != nil {
			t.Fatal(err)
		}
		if got := s.Messages("ada"); len(got) != 1 || s.Received("ada") != 2 || len(newest(t, s, "ada").Messages()) != 1 {
			t.Error(got, s.Received("ada"))
		}
		if _, err := s.WaitMessages(t.Context(), "ada", 2); err == nil || !strings.Contains(err.Error(), "RecordMessages is off") {
			t.Error(err)
		}
	})
}

func TestWaitingForHeartbeatsAndCloseCodes(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		go func() {
			c.CloseRead(context.Background())
			_ = c.Ping(t.Context())
			_ = c.Write(t.Context(), websocket.MessageText, []byte("ping"))
			_ = c.Close(4001, "")
		}()
		if err := s.WaitHeartbeats(t.Context(), "ada", 1, 1); err != nil {
			t.Error(err)
		}
		if codes, err := s.WaitCloseCodes(t.Context(), 1); err != nil || !slices.Equal(codes, []int{4001}) {
			t.Error(codes, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), short)
		defer cancel()
		if err := s.WaitHeartbeats(ctx, "ada", 2, 1); err == nil || !strings.Contains(err.Error(), "have 1 and 1") {
			t.Error(err)
		}
		if _, err := s.WaitCloseCodes(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// What can't be sent on the connections of a user is an error that says so.
func TestPushesThatFail(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *wsnotifytest.Network, s *wsnotifytest.Server) {
		u := s.User("ada")
		dial(t, s, "ada")
		if err := u.StopMidFrame("half"); err != nil {
			t.Error(err)
		}
		for name, err := range map[string]error{
			"StopMidFrame": u.StopMidFrame("half"), "SendText": u.SendText("a"), "SendBinary": u.SendBinary([]byte("a")), "Ping": u.Ping("a"), "Notify": u.Notify("a", 1), "Close": u.Close(1000, ""),
		} {
			if err == nil {
				t.Errorf("%s is no error", name)
			}
		}
		u.Drop()
	})
}
