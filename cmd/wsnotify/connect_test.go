package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestConnectInAPipe(t *testing.T) {
	echo := wsnotifytest.NewServer(t)
	echo.Echo()
	greeting := wsnotifytest.NewServer(t)
	greeting.OnConn(func(c *wsnotifytest.Conn) { c.SendText("welcome"); c.SendText("again") })
	silent := wsnotifytest.NewServer(t)
	for _, test := range []struct {
		args, in string
		code     int
		out      string
	}{
		{"--wait 300ms " + echo.URL(), "one\ntwo\r\nthree", exitOK, "one\ntwo\nthree\n"},
		{"-x hello -x again --wait 300ms " + echo.URL(), "not read\n", exitOK, "hello\nagain\n"},
		{"-x hello -1 " + echo.URL(), "", exitOK, "hello\n"},
		{"-0 --wait 300ms " + echo.URL(), "two\nlines\x00one\x00", exitOK, "two\nlines\x00one\x00"},
		{"--base64 --wait 300ms " + echo.URL(), "AAEC\n/w==\n", exitOK, "AAEC\n/w==\n"},
		{"--binary --wait 300ms " + echo.URL(), "\xff\xfe\n\x00\n", exitOK, "\xff\xfe\x00"},
		{"-1 " + greeting.URL(), "", exitOK, "welcome\n"},
		{"--wait 300ms " + greeting.URL(), "", exitOK, "welcome\nagain\n"},
		{"-x hello -1 --wait 50ms " + silent.URL(), "", exitTimeout, ""},
		{"-x hello -1 --timeout 200ms " + silent.URL(), "", exitTimeout, ""},
		{"-x hello --wait 0s " + silent.URL(), "", exitOK, ""},
		{"--base64 -x nonsense! --wait 0s " + silent.URL(), "", exitFailure, ""},
		{"--base64 --binary " + silent.URL(), "", exitUsage, ""},
	} {
		c := start(t, strings.NewReader(test.in), append([]string{"connect"}, strings.Fields(test.args)...)...)
		if got := next(t, c.code); got != test.code || c.out.String() != test.out {
			t.Errorf("connect %s ends with %d and prints %q, not %d and %q: %s", test.args, got, &c.out, test.code, test.out, &c.err)
		}
		if test.code != exitOK && c.err.String() == "" {
			t.Errorf("connect %s ends with %d and no word", test.args, test.code)
		}
	}
}

// An address alone is one to talk to.
func TestAddressWithoutACommand(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Echo()
	c := start(t, nil, srv.URL()+"ada", "-x", "hello", "-1", "-H", "X-Try: yes")
	c.wants(t, exitOK)
	if c.out.String() != "hello\n" || srv.Handshakes()[0].Header.Get("X-Try") != "yes" {
		t.Errorf("it printed %q", &c.out)
	}
}

func TestConnectComesBack(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	in, out := io.Pipe()
	c := start(t, in, "connect", srv.URL(), "-u", "ada", "--interval", "10ms", "--wait", "0s")
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	conn.SendText("before")
	c.out.Await(within(t), t, "\n")
	conn.Close(1012, "restart")
	if conn, err = srv.NthConn(within(t), 2); err != nil {
		t.Fatal(err)
	}
	conn.SendText("after")
	c.out.Await(within(t), t, "before\nafter\n")
	out.Close()
	c.wants(t, exitOK)
	if !strings.Contains(c.err.String(), "attempt 1 in 10ms: the server closed with 1012, restart") {
		t.Errorf("it said %s", &c.err)
	}
}

func TestNoReconnectEndsAtTheFirstLoss(t *testing.T) {
	for _, test := range []struct {
		end  func(c *wsnotifytest.Conn)
		code int
		says string
	}{
		{func(c *wsnotifytest.Conn) { c.Close(1000, "") }, exitOK, ""},
		{func(c *wsnotifytest.Conn) { c.Close(1001, "going") }, exitOK, ""},
		{func(c *wsnotifytest.Conn) { c.Close(4001, "your turn is over") }, exitFailure, "closed with 4001, your turn is over"},
		{func(c *wsnotifytest.Conn) { c.Close(1008, "") }, exitRefused, "closed with 1008 (policy violation)"},
		{func(c *wsnotifytest.Conn) { c.Drop() }, exitGaveUp, "connection was lost"},
	} {
		srv := wsnotifytest.NewServer(t)
		in, out := io.Pipe()
		c := start(t, in, "connect", srv.URL(), "-u", "ada", "--no-reconnect")
		conn, err := srv.Conn(within(t), "ada")
		if err != nil {
			t.Fatal(err)
		}
		conn.SendText("hello")
		c.out.Await(within(t), t, "\n")
		test.end(conn)
		c.wants(t, test.code)
		if !strings.Contains(c.err.String(), test.says) || strings.Count(c.err.String(), "\n") > 1 {
			t.Errorf("it said %q and not %q", &c.err, test.says)
		}
		out.Close()
	}
}

// Of what is lost, somebody who reads the standard error knows how much and why.
func TestConnectSaysWhyMessagesMayBeLost(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(c *wsnotifytest.Conn)
		code int
		says []string
	}{
		"the answer is too big": {func(c *wsnotifytest.Conn) { c.SendText(strings.Repeat("x", 2000)) }, exitRefused,
			[]string{"a message is too big: it has 2000 bytes or more, and --read-limit is 1024; raise that", "1 message may be lost"}},
		"closed":     {func(c *wsnotifytest.Conn) { c.Close(1000, "bye") }, exitFailure, []string{"1 message may be lost: the server closed with 1000, bye"}},
		"no answers": {func(*wsnotifytest.Conn) {}, exitFailure, []string{"1 message may be lost: the server has not answered"}},
	} {
		srv := wsnotifytest.NewServer(t)
		srv.AnswerPings(false)
		srv.AnswerClose(name != "no answers")
		got := make(chan *wsnotifytest.Conn, 1)
		srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, _ []byte) { got <- c })
		c := start(t, nil, "connect", srv.URL(), "-x", "hello", "--no-reconnect", "--read-limit", "1K", "--wait", "100ms")
		test.end(next(t, got))
		c.wants(t, test.code)
		for _, want := range test.says {
			if strings.Count(c.err.String(), want) != 1 {
				t.Errorf("%s: it said %q and not %q", name, &c.err, want)
			}
		}
		if strings.Count(c.err.String(), "may be lost") != 1 {
			t.Errorf("%s: it said more than once what may be lost: %q", name, &c.err)
		}
	}
}

// That nothing was left to do is no excuse for an answer that was not printed.
func TestAnswerThatIsTooBigIsNoSuccess(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	c := start(t, nil, "connect", srv.URL(), "-u", "ada", "-x", "hello", "--wait", "20s", "--read-limit", "1K", "-v")
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return strings.Contains(c.err.String(), "the server has read 1 message") })
	conn.SendText(strings.Repeat("x", 2000))
	c.wants(t, exitRefused)
	if !strings.Contains(c.err.String(), "--read-limit is 1024") {
		t.Errorf("it said %s", &c.err)
	}
}

// A close of the server does not say that it has read what came before, also when it comes while
// the program closes with the same code.
func TestCloseOfTheServerIsNoAnswer(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.AllowViolations()
	srv.AnswerPings(false)
	srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, _ []byte) { c.CloseFrame(1000, "bye") })
	c := start(t, nil, "connect", srv.URL(), "-x", "hello", "--wait", "0s", "--no-reconnect")
	c.wants(t, exitFailure)
	if !strings.Contains(c.err.String(), "1 message may be lost: the server closed with 1000, bye") {
		t.Errorf("it said %s", &c.err)
	}
}

// All that -x holds is told as not delivered: what was queued, and what the end of the client came before.
func TestTextsThatAreNotDelivered(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Stop()
	args := []string{"connect", srv.URL()}
	want := ""
	for i := range 5000 { // more than the outbox takes at once
		args = append(args, "-x", fmt.Sprint(i))
		want += fmt.Sprintf("wsnotify: not delivered: %d\n", i)
	}
	c := start(t, nil, args...)
	c.wants(t, exitGaveUp)
	if first, after, _ := strings.Cut(c.err.String(), "\n"); after != want || strings.Count(first, "connection refused") != 1 {
		t.Errorf("it said %q, and then %d lines, the last of them %q", first, strings.Count(after, "\n"), after[max(0, len(after)-60):])
	}
}

// screen is a program on a terminal.
type screen struct {
	t   *testing.T
	cmd *exec.Cmd
	tty *os.File
	out testkit.Buffer
}

func onScreen(t *testing.T, args ...string) *screen {
	t.Helper()
	s := &screen{t: t, cmd: program(t, args...)}
	tty, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 24, Cols: 60})
	if err != nil {
		t.Skip("there are no pseudo-terminals: ", err)
	}
	s.tty = tty
	t.Cleanup(func() { tty.Close() })
	go io.Copy(&s.out, tty)
	return s
}

// types waits until the screen shows a text, and types another.
func (s *screen) types(after, text string) {
	s.t.Helper()
	s.shows(after)
	if _, err := s.tty.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) shows(text string) {
	s.t.Helper()
	s.out.Await(within(s.t), s.t, text)
}

func (s *screen) ends(code int) {
	s.t.Helper()
	s.cmd.Wait()
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("it ended with %d and not %d: %q", got, code, s.out.String())
	}
}

const (
	enter  = "\r"
	up     = "\x1b[A"
	left   = "\x1b[D"
	ctrlC  = "\x03"
	ctrlD  = "\x04"
	ctrlR  = "\x12"
	prompt = "> "
)

func TestConversation(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Subprotocols("v2")
	s := onScreen(t, "connect", srv.URL(), "-u", "ada", "--color", "never", "--interval", "10ms", "-s", "v2")
	s.shows("connected to " + srv.URL() + "ada, subprotocol v2; /help lists the commands\r\n")
	s.types(prompt, "hello"+enter)
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := srv.WaitMessages(within(t), "ada", 1); err != nil {
		t.Fatal(err)
	}
	// What comes while somebody types stands above the line, which is whole again after it.
	s.types(prompt, "half a ")
	s.shows(prompt + "half a ") // by the editor: between two lines, the terminal echoes
	conn.SendText("a reply \x1b[31m")
	s.shows("\r< a reply \\x1b[31m\r\n" + "> half a ")
	conn.SendBinary([]byte("\x00\xff"))
	s.types("< binary, 2 bytes: 00 ff", "line"+enter)
	s.types("half a line", up+up+"!"+left+left+"世"+enter) // the history, and editing
	s.types("hell世o!", "//ping"+enter+"/ping"+enter+"/nonsense"+enter+"/close 12"+enter)
	s.shows("pong after ")
	s.shows("/nonsense is no command")
	s.shows("expected 1000, or a code from 3000 to 4999")
	conn.Close(4002, "try again")
	s.shows("the server closed with 4002, try again")
	if _, err := srv.NthConn(within(t), 2); err != nil {
		t.Fatal(err)
	}
	s.types("connected to "+srv.URL()+"ada, subprotocol v2\r\n", "back"+enter)
	// It searches without regard to case. Between two lines, Ctrl-R would be the terminal's.
	s.types("> back\r\n\x1b[J\x1b[2K\r"+prompt, ctrlR+"HALF"+enter)
	got, err := srv.WaitMessages(within(t), "ada", 6)
	if want := []string{"hello", "half a line", "hell世o!", "/ping", "back", "half a line"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the server got %q and not %q: %v", got, want, err)
	}
	s.tty.WriteString("/close 4000 bye for now" + enter)
	s.ends(exitOK)
	if codes := srv.CloseCodes(); codes[len(codes)-1] != 4000 {
		t.Errorf("it closed with %v", codes)
	}
}

// What is typed while there is no connection is announced as delayed, and sent by the next one.
func TestLineTypedWithoutAConnection(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	s := onScreen(t, "connect", srv.URL(), "-u", "ada", "--color", "never", "--interval", "10ms", "--attempts", "-1")
	s.shows("connected to " + srv.URL() + "ada; /help")
	s.shows(prompt)
	srv.Stop()
	s.types("attempt 1 in 10ms", "later"+enter)
	s.shows("there is no connection; it is sent when there is one")
	srv.Start()
	if got, err := srv.WaitMessages(within(t), "ada", 1); err != nil || got[0] != "later" {
		t.Errorf("the server got %q, %v", got, err)
	}
	s.tty.WriteString(ctrlD)
	s.ends(exitOK)
}

func TestCommandsOfAConversation(t *testing.T) {
	for _, test := range []struct {
		line   string
		code   wsnotify.StatusCode // 0: it does not end
		reason string
		says   string
	}{
		{"/quit", 1000, "", ""}, {"/exit now", 1000, "", ""}, {"/q", 1000, "", ""},
		{"/close", 1000, "", ""}, {"/close 1000", 1000, "", ""}, {"/close 4000 bye for now", 4000, "bye for now", ""},
		{"/close  3000  x", 3000, " x", ""}, {"/close 4999", 4999, "", ""},
		{"/close 4000 " + strings.Repeat("x", 123), 4000, strings.Repeat("x", 123), ""},
		{"/close 4000 " + strings.Repeat("x", 124), 0, "", "wsnotify: /close: the reason has 124 bytes; 123 is the most\n"},
		{"/close 999", 0, "", "wsnotify: /close 999: expected 1000, or a code from 3000 to 4999\n"},
		{"/close 1001", 0, "", "wsnotify: /close 1001: expected 1000, or a code from 3000 to 4999\n"},
		{"/close 2999", 0, "", "wsnotify: /close 2999: expected 1000, or a code from 3000 to 4999\n"},
		{"/close 5000", 0, "", "wsnotify: /close 5000: expected 1000, or a code from 3000 to 4999\n"},
		{"/close bye", 0, "", "wsnotify: /close bye: expected 1000, or a code from 3000 to 4999\n"},
		{"/nonsense x", 0, "", "wsnotify: /nonsense is no command; /help lists them, and //nonsense x sends it\n"},
		{"/help", 0, "", "wsnotify: " + strings.ReplaceAll(chatHelp, "\n", "\nwsnotify: ") + "\n"},
	} {
		var said bytes.Buffer
		out := newDisplay(io.Discard, &said, looks{}, false)
		code, reason, end := new(talk).command(t.Context(), nil, out, test.line)
		if code != test.code || reason != test.reason || end != (test.code != 0) || said.String() != test.says {
			t.Errorf("%s: %v %q, %v, and it says %q", test.line, code, reason, end, said.String())
		}
	}
}

func TestEndsOfAConversation(t *testing.T) {
	for _, test := range []struct {
		name, keys string
		code       int
		says       string // what it says of the connection
	}{
		{"Ctrl-D", ctrlD, exitOK, "connected closed with 1000 (normal)\r\n"},
		{"-q", ctrlD, exitOK, ""},
		{"/quit", "/quit" + enter, exitOK, "connected closed with 1000 (normal)\r\n"},
		{"Ctrl-C", "half a line" + ctrlC, exitOK, "connected closed with 1000 (normal)\r\n"},
		{"Ctrl-C twice", ctrlC, 130, "connected "},
	} {
		srv := wsnotifytest.NewServer(t)
		srv.AnswerClose(test.code == exitOK)
		args := []string{srv.URL() + "ada", "--color", "never"}
		if test.name == "-q" {
			args = append(args, "-q")
		}
		s := onScreen(t, args...)
		s.types(prompt, test.keys)
		if codes, err := srv.WaitCloseCodes(within(t), 1); err != nil || codes[0] != 1000 {
			t.Errorf("%s: it closed with %v, %v", test.name, codes, err)
		}
		if test.code != exitOK {
			s.tty.WriteString(ctrlC)
		}
		s.ends(test.code)
		says := strings.Join(regexp.MustCompile("connected |closed with .*\r\n").FindAllString(s.out.String(), -1), "")
		if says != test.says {
			t.Errorf("%s: it says %q", test.name, s.out.String())
		}
	}
}

// A server that nobody can reach is said at once, and not after a minute.
// --timeout ends a conversation as Ctrl-D does, if there was one.
func TestTimeoutOfAConversation(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	s := onScreen(t, "connect", srv.URL(), "-u", "ada", "--timeout", "3s")
	s.shows(prompt)
	s.ends(exitOK)
}

func TestFirstFailureOfAConversationIsFinal(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Stop()
	s := onScreen(t, srv.URL()+"ada")
	s.ends(exitGaveUp)
	s.shows("connection refused; nothing listens at 127.0.0.1:")
}

// talking is a conversation whose client is connected to a server in memory.
func talking(t *testing.T, n *wsnotifytest.Network) (*talk, *outgoing, *display, *testkit.Buffer, *wsnotifytest.Server) {
	t.Helper()
	srv, said := n.NewServer(), new(testkit.Buffer)
	g, cfg, _ := sending()
	cfg.HTTPClient = n.HTTPClient()
	cfg.Heartbeat.Interval = -1
	g.client = wsnotify.New(*cfg)
	t.Cleanup(func() { g.client.Close(); <-g.client.Done() })
	if err := g.client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
		t.Fatal(err)
	}
	return new(talk), g, newDisplay(io.Discard, said, looks{}, false), said, srv
}

// /ping says how long the answer took, or why there is none; at the end, nothing.
func TestPingOfAConversation(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
		talk, g, out, said, srv := talking(t, n)
		ping := func(ctx context.Context, after time.Duration, want string) {
			t.Helper()
			if _, _, end := talk.command(ctx, g, out, "/ping"); end {
				t.Error("it ends")
			}
			if after > 0 {
				time.Sleep(after - 1)
				synctest.Wait()
				if early := said.Take(); early != "" {
					t.Errorf("it says %q before %v", early, after)
				}
				time.Sleep(time.Nanosecond)
			}
			synctest.Wait()
			if got := said.Take(); got != want {
				t.Errorf("it says %q, want %q", got, want)
			}
		}
		srv.Everybody().Latency(20 * time.Millisecond)
		ping(t.Context(), 40*time.Millisecond, "wsnotify: pong after 40ms\n")
		srv.Everybody().Mute(true)
		ping(t.Context(), 10*time.Second, "wsnotify: no pong within 10s\n")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		ping(ctx, time.Hour, "")
		g.client.Close()
		<-g.client.Done()
		ping(t.Context(), 0, "wsnotify: no pong: the client is closed\n")
	})
}

// A line that can't be sent is reported at once, unless all ends.
func TestLinesOfAConversationThatAreNotSent(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
		talk, g, out, said, srv := talking(t, n)
		say := func(ctx context.Context, line, want string) {
			t.Helper()
			talk.say(ctx, g, out, line)
			if got := said.Take(); got != want {
				t.Errorf("%q: it says %q, want %q", line, got, want)
			}
		}
		say(t.Context(), "a", "")
		say(t.Context(), "\xff", "wsnotify: not sent: it is not UTF-8 text: byte 1 is 0xff; send such with --binary or --base64\n")
		if got, err := srv.WaitMessages(t.Context(), "ada", 1); err != nil || fmt.Sprint(got) != "[a]" || g.given != 1 {
			t.Errorf("the server got %q, %v; %d were given", got, err, g.given)
		}
		g.client.Close()
		<-g.client.Done()
		const notice = "wsnotify: there is no connection; it is sent when there is one\n"
		say(t.Context(), "b", notice+"wsnotify: not sent: the client is closed\n")
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		say(canceled, "c", notice)

		// Of -x, those that come behind are known, too.
		talk.texts = []string{"a", strings.Repeat("b", 201)}
		if err := talk.input(t.Context(), nil, g); !errors.Is(err, wsnotify.ErrClosed) {
			t.Errorf("-x: %v", err)
		}
		if got, want := fmt.Sprint(g.refused, g.behind), "2 [not delivered: a not delivered: "+strings.Repeat("b", 200)+"…]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// A conversation that has not begun ends with the time, or when somebody has enough.
func TestConversationWithoutAConnection(t *testing.T) {
	for _, ctrlC := range []bool{false, true} {
		inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
			srv := n.NewServer()
			n.Hang(true)
			g, cfg, _ := sending()
			cfg.HTTPClient, g.conn.timeout = n.HTTPClient(), 3*time.Second
			cfg.OnOpen = func(wsnotify.OpenEvent) {}
			ctx, cancel := context.WithTimeout(t.Context(), g.conn.timeout)
			defer cancel()
			if ctrlC {
				time.AfterFunc(time.Second, cancel)
			}
			began, out := time.Now(), newDisplay(io.Discard, io.Discard, looks{}, false)
			err := new(talk).chat(ctx, *cfg, srv.URL(), g, out)
			if got, want := fmt.Sprint(err, time.Since(began)), map[bool]string{false: "no connection within 3s 3s", true: "<nil> 1s"}[ctrlC]; got != want {
				t.Errorf("Ctrl-C %v: %s, want %s", ctrlC, got, want)
			}
		})
	}
}

// A reader that goes away ends the program with SIGPIPE, which shells show as 141.
func TestReaderGoesAway(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals")
	}
	srv := wsnotifytest.NewServer(t)
	srv.AllowViolations()
	cmd, out, conn := listening(t, srv)
	out.Close()
	conn.Notify("mail", "x")
	cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGPIPE {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
}

// A full disk is no success.
func TestOutputThatCannotBeWritten(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no /dev/full")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	srv := wsnotifytest.NewServer(t)
	srv.OnConn(func(c *wsnotifytest.Conn) { c.Notify("mail", "x") })
	for _, verb := range []string{"listen", "connect"} {
		var stderr bytes.Buffer
		cmd := program(t, verb, srv.URL(), "-u", "ada")
		cmd.Stdout, cmd.Stderr = full, &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitFailure || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%s ended with %d: %s", verb, code, &stderr)
		}
	}
}
