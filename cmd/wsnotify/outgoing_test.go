package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/spool"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// inMemory runs f in virtual time, with a network that the program dials in place of the system's.
func inMemory(t *testing.T, f func(t *testing.T, n *wsnotifytest.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n, system := wsnotifytest.NewNetwork(t), http.DefaultTransport
		http.DefaultTransport = &http.Transport{DialContext: n.DialContext}
		t.Cleanup(func() { http.DefaultTransport = system })
		f(t, n)
	})
}

// ends waits for the program, and checks how and when it ends and what it has said.
func (c *command) ends(t *testing.T, began time.Time, code int, after time.Duration, says string) {
	t.Helper()
	got := <-c.code
	said := regexp.MustCompile(`Accept: .*`).ReplaceAllString(c.err.String(), "Accept: KEY")
	if took := time.Since(began); got != code || took != after || said != says {
		t.Errorf("it ends with %d after %v and says %q, want %d after %v and %q", got, took, said, code, after, says)
	}
}

// When connect ends, and why, in a pipe.
func TestEndsOfAPipe(t *testing.T) {
	later := func(f func()) { time.Sleep(time.Second); f() }
	for name, test := range map[string]struct {
		args   string
		in     string
		serve  func(s *wsnotifytest.Server)
		code   int
		after  time.Duration
		out    string
		says   string
		closes string
	}{
		"answers are waited for":        {args: "-x a", after: 2 * time.Second, out: "a\n", closes: "[1000]"},
		"as long as is said":            {args: "-x a --wait 7s", after: 7 * time.Second, out: "a\n", closes: "[1000]"},
		"of an input, too":              {in: "a\nb", after: 2 * time.Second, out: "a\nb\n", closes: "[1000]"},
		"until one has come":            {args: "-x a -x b -1", out: "a\n", closes: "[1000]"},
		"and no longer than is allowed": {args: "-x a --wait 20s --timeout 5s", after: 5 * time.Second, out: "a\n", closes: "[1000]"},
		"one that comes late": {args: "-1", serve: func(s *wsnotifytest.Server) {
			s.OnConn(func(c *wsnotifytest.Conn) { time.Sleep(25 * time.Second); c.SendText("late") })
		}, after: 25 * time.Second, out: "late\n", closes: "[1000]"},
		"too late": {args: "-1 --wait 3s", code: exitTimeout, after: 3 * time.Second, says: "wsnotify: no message came within 3s\n", closes: "[1000]"},
		"too late for --timeout": {args: "-1 --timeout 4s", code: exitTimeout, after: 4 * time.Second,
			says: "wsnotify: no message came within 4s\n", closes: "[1000]"},
		"the server says good-bye": {args: "-x a", serve: func(s *wsnotifytest.Server) {
			s.OnMessage(func(c *wsnotifytest.Conn, _ byte, _ []byte) { go later(func() { c.Close(1001, "") }) })
		}, after: time.Second, closes: "[1001]"},
		"with a code that is no good-bye": {args: "-x a", serve: func(s *wsnotifytest.Server) {
			s.OnMessage(func(c *wsnotifytest.Conn, _ byte, _ []byte) { go later(func() { c.Close(4000, "no") }) })
		}, code: exitFailure, after: time.Second, says: "wsnotify: the server closed with 4000, no\n", closes: "[4000]"},
		"the server is gone when all is said": {args: "-x a", serve: func(s *wsnotifytest.Server) {
			s.OnMessage(func(c *wsnotifytest.Conn, _ byte, _ []byte) { go later(c.Drop) })
		}, after: time.Second, closes: "[]"},
		"the server is gone, and no message has come": {args: "-x a -1 --attempts 0", serve: func(s *wsnotifytest.Server) {
			s.OnMessage(func(c *wsnotifytest.Conn, _ byte, _ []byte) { go later(c.Drop) })
		}, code: exitGaveUp, after: time.Second, says: "wsnotify: the connection was lost: unexpected EOF\n", closes: "[]"},
		"a long text that can't be sent": {args: "--base64 --wait 0s -x " + strings.Repeat("!", 41), code: exitFailure,
			says: "wsnotify: not sent: -x \"" + strings.Repeat("!", 40) + "…\": it is not base64 (illegal base64 data at input byte 0)\nwsnotify: 1 message not sent\n", closes: "[1000]"},
		"pings are shown": {args: "-x a --show-pings --heartbeat 1s --wait 2500ms", serve: func(s *wsnotifytest.Server) {
			s.OnConn(func(c *wsnotifytest.Conn) { later(func() { time.Sleep(time.Second / 2); c.Ping("hi") }) })
		}, after: 2500 * time.Millisecond, out: "a\n", says: "wsnotify: pong after 0s\nwsnotify: ping from the server: \"hi\"\nwsnotify: pong after 0s\n", closes: "[1000]"},
		"nothing that can be sent": {args: "--base64 -x no!", code: exitFailure, after: 2 * time.Second,
			says: "wsnotify: not sent: -x \"no!\": it is not base64 (illegal base64 data at input byte 2)\nwsnotify: 1 message not sent\n", closes: "[1000]"},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
				srv := n.NewServer()
				if srv.Echo(); test.serve != nil {
					srv.Echo()
					test.serve(srv)
				}
				began := time.Now()
				c := start(t, strings.NewReader(test.in), append([]string{"connect", srv.URL() + "ada"}, strings.Fields(test.args)...)...)
				c.ends(t, began, test.code, test.after, test.says)
				if closes := fmt.Sprint(srv.CloseCodes()); c.out.String() != test.out || closes != test.closes {
					t.Errorf("it printed %q and closed with %s, want %q and %s", &c.out, closes, test.out, test.closes)
				}
			})
		})
	}
}

// A good-bye of the server is one only when all is sent: while the input is open, it is a loss.
func TestGoodByeWhileTheInputIsOpen(t *testing.T) {
	for args, want := range map[string]int{"--attempts 0": exitGaveUp, "--attempts 0 --no-reconnect": exitOK} {
		inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
			srv := n.NewServer()
			srv.OnConn(func(c *wsnotifytest.Conn) { time.Sleep(time.Second); c.Close(1001, "") })
			in, out := io.Pipe()
			began := time.Now()
			c := start(t, in, append([]string{"connect", srv.URL() + "ada"}, strings.Fields(args)...)...)
			c.ends(t, began, want, time.Second, map[bool]string{true: "wsnotify: the server closed with 1001 (going away)\n"}[want != exitOK])
			out.Close()
			synctest.Wait()
		})
	}
}

// The end of the input makes a failure of the first attempt final, also afterwards.
func TestEndOfTheInputAfterAFailure(t *testing.T) {
	for _, verb := range []string{"send", "connect"} {
		inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
			srv := n.NewServer()
			n.Refuse(true)
			in, out := io.Pipe()
			began := time.Now()
			c := start(t, in, verb, srv.URL()+"ada")
			time.AfterFunc(time.Second, func() { out.Close() })
			const refused = "connection refused; nothing listens at server-1.test:80\n"
			c.ends(t, began, exitGaveUp, time.Second, "wsnotify: attempt 1 in 10s: "+refused+"wsnotify: no connection: "+refused)
		})
	}
}

// An input that has ended, or is watched by somebody, is distinguished from one that may go on.
func TestInputsThatAreOver(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	pipe, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer end.Close()
	for r, want := range map[io.Reader]bool{strings.NewReader(""): false, file: true, null: true, pipe: false} {
		if got := isOver(r); got != want {
			t.Errorf("%T %v: %v", r, r, got)
		}
	}
}

// An input that can't be read is reported with its place.
func TestInputThatBreaks(t *testing.T) {
	for _, args := range []string{"send", "connect"} {
		inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
			srv := n.NewServer()
			began := time.Now()
			in := io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(errors.New("no more")))
			c := start(t, in, args, srv.URL()+"ada")
			c.ends(t, began, exitFailure, map[string]time.Duration{"connect": 2 * time.Second}[args], "wsnotify: 1 message not sent\nwsnotify: reading the input: line 2: no more\n")
			if got := fmt.Sprint(srv.Messages("ada"), srv.CloseCodes()); got != "[a] [1000]" {
				t.Errorf("the server got %s", got)
			}
		})
	}
}

// When send ends, and what it says of what was not sent or may be lost.
func TestEndsOfSend(t *testing.T) {
	const refused = "connection refused; nothing listens at server-1.test:80\n"
	for name, test := range map[string]struct {
		args  string
		set   func(n *wsnotifytest.Network, s *wsnotifytest.Server)
		code  int
		after time.Duration
		got   string
		says  string
		ctrlC time.Duration
	}{
		"all is read": {got: "[a 7] [1000]"},
		"a server without pongs answers the close": {set: func(_ *wsnotifytest.Network, s *wsnotifytest.Server) { s.AnswerPings(false) },
			after: 2 * time.Second, got: "[a 7] [1000]"},
		"a server without an answer to the close": {set: func(_ *wsnotifytest.Network, s *wsnotifytest.Server) { s.AnswerClose(false) },
			after: 2 * time.Second, got: "[a 7] [1000]"},
		"a server without any answer": {set: func(_ *wsnotifytest.Network, s *wsnotifytest.Server) { s.AnswerClose(false); s.AnswerPings(false) },
			code: exitFailure, after: 7 * time.Second, got: "[a 7] [1000]", says: "wsnotify: 2 messages may be lost: the server has not answered\n"},
		"that it is read is printed with --verbose": {args: "-v -A me --whole", set: func(n *wsnotifytest.Network, s *wsnotifytest.Server) { n.Latency(time.Millisecond) }, after: 8 * time.Millisecond, got: "[a\n7\n] [1000]",
			says: "wsnotify: > GET /ws/ada HTTP/1.1\nwsnotify: > Host: server-1.test\nwsnotify: > User-Agent: me\n" +
				"wsnotify: < HTTP/1.1 101 Switching Protocols\nwsnotify: < Connection: Upgrade\nwsnotify: < Sec-Websocket-Accept: KEY\nwsnotify: < Upgrade: websocket\n" +
				"wsnotify: connected to ws://server-1.test/ws/ada\nwsnotify: the server has read 1 message\n"},
		"more than is allowed": {args: "--whole --max-line 3", code: exitFailure, got: "[] [1000]",
			says: "wsnotify: not sent: message 1 is longer than 3: --max-line raises that\nwsnotify: 1 message not sent\n"},
		"no connection in time": {args: "--timeout 5s --attempts 9 --interval 2s", set: func(n *wsnotifytest.Network, s *wsnotifytest.Server) { n.Refuse(true) },
			code: exitTimeout, after: 5 * time.Second, got: "[] []",
			says: "wsnotify: attempt 1 in 2s: " + refused + "wsnotify: attempt 2 in 2s: " + refused + "wsnotify: attempt 3 in 2s: " + refused +
				"wsnotify: no connection within 5s: " + refused + "wsnotify: not delivered: a\nwsnotify: not delivered: 7\n"},
		"interrupted while the server is asked": {ctrlC: time.Second, set: func(_ *wsnotifytest.Network, s *wsnotifytest.Server) { s.AnswerPings(false) },
			after: time.Second, got: "[a 7] [1000]"},
		"interrupted, and no answer": {ctrlC: time.Second, set: func(_ *wsnotifytest.Network, s *wsnotifytest.Server) { s.AnswerClose(false); s.AnswerPings(false) },
			code: exitFailure, after: 6 * time.Second, got: "[a 7] [1000]", says: "wsnotify: 2 messages may be lost: the server has not answered\n"},
		"interrupted without a connection": {ctrlC: time.Second, args: "--attempts 1", set: func(n *wsnotifytest.Network, s *wsnotifytest.Server) { n.Refuse(true) },
			code: exitFailure, after: time.Second, got: "[] []",
			says: "wsnotify: attempt 1 in 10s: " + refused + "wsnotify: 2 messages not sent: " + refused + "wsnotify: not delivered: a\nwsnotify: not delivered: 7\n"},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
				srv := n.NewServer()
				if test.set != nil {
					test.set(n, srv)
				}
				began := time.Now()
				c := start(t, strings.NewReader("a\n7\n"), append([]string{"send", srv.URL() + "ada"}, strings.Fields(test.args)...)...)
				if test.ctrlC != 0 {
					time.AfterFunc(test.ctrlC, c.cancel)
				}
				c.ends(t, began, test.code, test.after, test.says)
				if got := fmt.Sprint(srv.Messages("ada"), srv.CloseCodes()); got != test.got {
					t.Errorf("the server got %s, want %s", got, test.got)
				}
			})
		})
	}
}

// Who waits for capacity learns, when that is over, where the input was left.
func TestInputThatWaitsForCapacity(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
		srv := n.NewServer()
		srv.OnConn(func(c *wsnotifytest.Conn) { c.StopReading(true) })
		began := time.Now()
		c := start(t, strings.NewReader(strings.Repeat(strings.Repeat("x", 1<<20)+"\n", 10)), "send", srv.URL()+"ada")
		time.AfterFunc(time.Second, c.cancel)
		line := strings.Repeat("x", 200) + "…\n"
		c.ends(t, began, exitFailure, 6*time.Second, "wsnotify: 3 messages not sent, and 1 that may be lost\nwsnotify: not sent: line 5 and what follows\n"+
			"wsnotify: may be lost: "+line+"wsnotify: not delivered: "+line+"wsnotify: not delivered: "+line+"wsnotify: not delivered: "+line)
	})
}

// sending is what sends in a test, and what it has said.
func sending() (g *outgoing, cfg *wsnotify.Config, said *[]string) {
	said, cfg = new([]string), new(wsnotify.Config)
	g = newOutgoing(&connection{failFast: true}, &framing{maxLine: 4 << 20}, cfg, func(format string, args ...any) { *said = append(*said, fmt.Sprintf(format, args...)) })
	g.client = wsnotify.New(*cfg)
	return g, cfg, said
}

// A message that comes back was not sent or may be lost. It counts once: as one of those that the end of a connection
// took with it, if it was on its way then.
func TestMessagesThatComeBack(t *testing.T) {
	for _, test := range []struct {
		g    *outgoing
		m    wsnotify.Message
		err  error
		want *outgoing
		says string
	}{
		{&outgoing{given: 3, read: 1}, wsnotify.Message{Type: wsnotify.MessageText, Data: []byte("a")}, wsnotify.ErrClosed,
			&outgoing{given: 3, read: 2, lost: 1}, "not delivered: a"},
		{&outgoing{given: 3, read: 2, lost: 1}, wsnotify.Message{Type: wsnotify.MessageBinary, Data: []byte("abc")}, wsnotify.ErrInterrupted,
			&outgoing{given: 3, read: 3, lost: 2}, "may be lost: 3 bytes"},
		{&outgoing{given: 3, read: 3, lost: 2, untold: 2}, wsnotify.Message{Type: wsnotify.MessageText, Data: []byte(strings.Repeat("x", 201))}, wsnotify.ErrNotAcknowledged,
			&outgoing{given: 3, read: 3, lost: 2, untold: 1}, "may be lost: " + strings.Repeat("x", 200) + "…"},
		{&outgoing{given: 1, read: 1}, wsnotify.Message{Type: wsnotify.MessageText}, wsnotify.ErrExpired, &outgoing{given: 1, read: 1}, "not delivered: "},
	} {
		g, cfg, _ := sending()
		g.given, g.read, g.lost, g.untold = test.g.given, test.g.read, test.g.lost, test.g.untold
		cfg.OnUndelivered(test.m, test.err)
		if g.given != test.want.given || g.read != test.want.read || g.lost != test.want.lost || g.untold != test.want.untold || fmt.Sprint(g.unsent) != "["+test.says+"]" {
			t.Errorf("%v: given %d, read %d, lost %d, untold %d, %q", test.err, g.given, g.read, g.lost, g.untold, g.unsent)
		}
	}
}

// What a connection takes with it is what was given, is not queued any more, and was not read: unless the server has answered
// our close, or confirms each message.
func TestLossesOfAConnection(t *testing.T) {
	lost := wsnotify.Failure{Phase: wsnotify.PhaseOpen, Code: 1006, Err: io.ErrUnexpectedEOF}
	theirs := wsnotify.Failure{Phase: wsnotify.PhaseOpen, Err: wsnotify.CloseError{Code: 1000}}
	for _, test := range []struct {
		closing bool
		ids     fieldPath
		ev      wsnotify.CloseEvent
		lost    int
		says    string // else the end says it
		bad     string
	}{
		{ev: wsnotify.CloseEvent{Code: 1006, Failure: lost}, lost: 3},
		{ev: wsnotify.CloseEvent{Code: 1006, Failure: lost, WillReconnect: true}, lost: 3, says: "of what was sent, 3 messages may be lost"},
		{ev: wsnotify.CloseEvent{Code: 1000, Failure: theirs}, lost: 3},
		{ev: wsnotify.CloseEvent{Code: 1011, Failure: theirs}, lost: 3, bad: "the server closed with 1011 (internal error)"},
		{ev: wsnotify.CloseEvent{Code: 4000, Reason: "no", Failure: theirs}, closing: true, lost: 3, bad: "the server closed with 4000, no"},
		{ev: wsnotify.CloseEvent{Code: 1000, Failure: theirs}, closing: true, lost: 3},
		{ev: wsnotify.CloseEvent{Code: 1000}, closing: true},
		{ev: wsnotify.CloseEvent{Code: 1005}, closing: true},
		{ev: wsnotify.CloseEvent{Code: 1000}, lost: 3},
		{ev: wsnotify.CloseEvent{Code: 1001}, closing: true, lost: 3},
		{ev: wsnotify.CloseEvent{Code: 1006, Failure: lost}, closing: true, lost: 3},
		{ev: wsnotify.CloseEvent{Code: 1006, Failure: lost}, ids: fieldPath{"id"}},
	} {
		for _, interrupted := range []bool{false, true} {
			g, _, said := sending()
			g.closing, g.ids, g.given, g.read, g.lost = test.closing && !interrupted, test.ids, 5, 2, 1
			if interrupted && test.closing {
				var stop context.CancelFunc
				g.ctx, stop = context.WithCancel(t.Context())
				stop()
			}
			g.closed(test.ev)
			untold, says, bad := test.lost, "[]", ""
			if test.says != "" {
				untold, says = 0, "["+test.says+"]"
			}
			if g.bad != nil {
				bad = g.bad.Error()
			}
			if g.lost != 1+test.lost || g.read != 2+test.lost || g.untold != untold || g.told != test.lost-untold || fmt.Sprint(*said) != says || bad != test.bad ||
				g.ours != test.closing || g.lastClose.Code != test.ev.Code {
				t.Errorf("%+v: lost %d, read %d, untold %d, told %d, says %q, %q", test, g.lost, g.read, g.untold, g.told, *said, bad)
			}
		}
	}
}

// The first failure is final once the input has ended, unless --attempts says otherwise; so is a loss when all is sent.
func TestFailuresThatAreFinal(t *testing.T) {
	dial := wsnotify.Failure{Phase: wsnotify.PhaseDial, Code: 1006, Err: errors.New("x")}
	open := wsnotify.Failure{Phase: wsnotify.PhaseOpen, Code: 1006, Err: errors.New("x")}
	refused := wsnotify.Failure{Phase: wsnotify.PhaseHandshake, HTTPStatus: 401, Err: errors.New("x")}
	for _, test := range []struct {
		g     *outgoing
		f     wsnotify.Failure
		again bool
		first bool // it is the first
	}{
		{&outgoing{eager: true}, dial, true, true},
		{&outgoing{eager: true, ended: true}, dial, false, true},
		{&outgoing{eager: true, ended: true}, refused, false, false},
		{&outgoing{eager: true, ended: true, opened: true}, dial, true, false},
		{&outgoing{eager: true, ended: true}, open, true, false},
		{&outgoing{ended: true}, dial, true, false},
		{&outgoing{opened: true, isAllSent: true}, open, false, false},
		{&outgoing{opened: true, isAllSent: true}, dial, true, false},
	} {
		g, cfg, _ := sending()
		g.eager, g.ended, g.opened, g.isAllSent = test.g.eager, test.g.ended, test.g.opened, test.g.isAllSent
		if again := cfg.ShouldReconnect(test.f); again != test.again || (g.first != nil) != test.first || test.first && g.first.Phase != test.f.Phase {
			t.Errorf("%+v: again %v, %+v", test, again, g.first)
		}
	}
	for _, test := range []struct {
		g     *outgoing
		stops bool
	}{
		{&outgoing{eager: true, first: &dial}, true}, {&outgoing{eager: true}, false}, {&outgoing{first: &dial}, false}, {&outgoing{eager: true, first: &dial, opened: true}, false},
	} {
		g, stopped := test.g, false
		g.stop = func() { stopped = true }
		if g.endOfInput(); stopped != test.stops || !g.ended {
			t.Errorf("%+v: at the end of the input, it stops: %v", test, stopped)
		}
	}
}

// fullStore is a file without capacity for a time.
type fullStore struct {
	until time.Time
	began time.Time
	tries []time.Duration
}

func (*fullStore) Load(func(uint64, wsnotify.Message) error) error { return nil }
func (*fullStore) Remove(...uint64) error                          { return nil }
func (s *fullStore) Append(uint64, wsnotify.Message) error {
	s.tries = append(s.tries, time.Since(s.began))
	if time.Now().Before(s.until) {
		return spool.ErrFull
	}
	return nil
}

// A message waits while there is no capacity, and is tried again less and less often.
func TestMessageThatWaitsForCapacity(t *testing.T) {
	for _, test := range []struct {
		full, timeout time.Duration
		want          string
		err           error
		given         int
	}{
		{0, time.Minute, "[0s]", nil, 1},
		{5 * time.Millisecond, time.Minute, "[0s 0s 10ms]", nil, 1},
		{5 * time.Second, time.Minute, "[0s 0s 10ms 30ms 70ms 150ms 310ms 630ms 1.27s 2.27s 3.27s 4.27s 5.27s]", nil, 1},
		{time.Hour, 50 * time.Millisecond, "[0s 0s 10ms 30ms]", context.DeadlineExceeded, 0},
	} {
		inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
			srv, store := n.NewServer(), &fullStore{began: time.Now(), until: time.Now().Add(test.full)}
			g, cfg, _ := sending()
			cfg.Outbox.Store, cfg.HTTPClient = store, n.HTTPClient()
			g.client = wsnotify.New(*cfg)
			if err := g.client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
			defer cancel()
			err := g.queue(ctx, []byte("a"))
			if took := time.Since(store.began); fmt.Sprint(store.tries) != test.want || err != test.err || g.given != test.given || err != nil && took != test.timeout {
				t.Errorf("full for %v: tried at %v, %v after %v, %d given", test.full, store.tries, err, took, g.given)
			}
			g.client.Close()
			<-g.client.Done()
		})
	}
}

// All is sent once the client is connected, has written it, and has asked whether it was read.
func TestFinishOfSending(t *testing.T) {
	for name, test := range map[string]struct {
		set   func(n *wsnotifytest.Network, srv *wsnotifytest.Server, g *outgoing)
		empty bool // nothing is sent
		err   string
		after time.Duration
		read  int
	}{
		"read":          {set: func(*wsnotifytest.Network, *wsnotifytest.Server, *outgoing) {}, err: "<nil>", read: 1},
		"not confirmed": {set: func(_ *wsnotifytest.Network, srv *wsnotifytest.Server, _ *outgoing) { srv.AnswerPings(false) }, err: "<nil>", after: 2 * time.Second},
		"not written": {set: func(_ *wsnotifytest.Network, srv *wsnotifytest.Server, _ *outgoing) {
			srv.OnConn(func(c *wsnotifytest.Conn) { c.StopReading(true) })
		}, err: "context deadline exceeded", after: 5 * time.Second},
		"not connected": {set: func(n *wsnotifytest.Network, _ *wsnotifytest.Server, _ *outgoing) { n.Hang(true) },
			err: "context deadline exceeded", after: 5 * time.Second},
		"not connected, and empty": {set: func(n *wsnotifytest.Network, _ *wsnotifytest.Server, _ *outgoing) { n.Hang(true) }, empty: true,
			err: "context deadline exceeded", after: 5 * time.Second},
		"given up": {set: func(n *wsnotifytest.Network, _ *wsnotifytest.Server, g *outgoing) {
			n.Refuse(true)
			g.eager, g.ended = true, true
		}, empty: true, err: "wsnotify: giving up after 1 attempt: dialling ws://server-1.test/ws/ada: dial tcp server-1.test:80: connect: " +
			"connection refused; nothing listens there: check host and port of the url"},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
				srv, began := n.NewServer(), time.Now()
				g, cfg, _ := sending()
				cfg.HTTPClient = n.HTTPClient()
				g.client = wsnotify.New(*cfg)
				test.set(n, srv, g)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				over := make(chan error, 1)
				go func() { over <- g.client.Run(t.Context(), srv.URL(), "ada") }()
				<-g.begun
				if !test.empty {
					if err := g.queue(ctx, make([]byte, 100_000)); err != nil {
						t.Error(err)
					}
				}
				err := g.finish(ctx)
				if took := time.Since(began); fmt.Sprint(err) != test.err || took != test.after || g.read != test.read {
					t.Errorf("%v after %v, and %d were read", err, took, g.read)
				}
				g.client.Close()
				<-over
				<-g.client.Done()
			})
		})
	}
}
