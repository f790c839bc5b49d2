package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// TestMain is the program itself when a test has started it as one.
func TestMain(m *testing.M) {
	if os.Getenv("WSNOTIFY_TEST_MAIN") != "" {
		main()
	}
	if os.Getenv("WSNOTIFY_TEST_HTTP2") != "" {
		serveHTTP2()
		return
	}
	os.Exit(m.Run())
}

// command is a run under way.
type command struct {
	out, err testkit.Buffer
	cancel   context.CancelFunc
	code     chan int
}

func start(t *testing.T, stdin io.Reader, args ...string) *command {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	c := &command{cancel: cancel, code: make(chan int, 1)}
	go func() { c.code <- run(ctx, args, stdin, &c.out, &c.err) }()
	return c
}

func (c *command) wants(t *testing.T, code int) {
	t.Helper()
	if got := next(t, c.code); got != code {
		t.Errorf("it ended with %d and not %d:\n%s%s", got, code, &c.out, &c.err)
	}
}

// program starts the program as a process.
func program(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "WSNOTIFY_TEST_MAIN=1", "TERM=xterm")
	return cmd
}

// listening starts the program as a process that listens as ada, and returns what it
// prints and the server's end of its connection.
func listening(t *testing.T, srv *wsnotifytest.Server) (cmd *exec.Cmd, out io.ReadCloser, conn *wsnotifytest.Conn) {
	t.Helper()
	cmd = program(t, "listen", srv.URL(), "--user", "ada")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if conn, err = srv.Conn(within(t), "ada"); err != nil {
		t.Fatal(err)
	}
	return cmd, out, conn
}

// onTerminal starts the program as a process on a terminal of 24 × 60.
func onTerminal(t *testing.T, args ...string) (cmd *exec.Cmd, tty *os.File) {
	t.Helper()
	cmd = program(t, args...)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 60})
	if errors.Is(err, pty.ErrUnsupported) {
		t.Skip("there are no pseudo-terminals")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return cmd, tty
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// until waits for what nothing announces: the state of a hub.
func until(t *testing.T, cond func() bool) {
	t.Helper()
	for ctx := within(t); !cond(); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatal("it does not come")
		}
	}
}

// next waits for the next value of a channel.
func next[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-within(t).Done():
		t.Fatalf("no %T comes", v)
	}
	return v
}

func TestListenPrintsOneObjectALine(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	c := start(t, nil, "listen", srv.URL(), "--user", "ada", "--count", "2", "--filter", "mail", "--header", "X-Try: yes", "--heartbeat=-1s")
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	conn.Notify("mail", "3 new")
	conn.Notify("spam", "not wanted")
	conn.SendText("no JSON")
	conn.Notify("mail", map[string]int{"n": 1})
	c.wants(t, exitOK)
	lines := strings.Split(strings.TrimSpace(c.out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"msgType":"mail","content":"3 new","fallback":false,"epoch":1}`) ||
		!strings.Contains(lines[1], `"content":{"n":1}`) {
		t.Errorf("it printed %s", &c.out)
	}
	if got := conn.Request().Header.Get("X-Try"); got != "yes" {
		t.Errorf("the header was %q", got)
	}
	if code := conn.CloseCode(); code != 1000 {
		t.Errorf("it closed with %d", code)
	}
}

func TestExitCodes(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	refusing := wsnotifytest.NewServer(t)
	refusing.Refuse(-1, 404, nil, "")
	gone := wsnotifytest.NewServer(t)
	gone.Stop()
	for _, test := range []struct {
		args string
		code int
	}{
		{"--help", exitOK},
		{"--version", exitOK},
		{"nonsense", exitUsage},
		{"listen", exitUsage},
		{"listen a b", exitUsage},
		{"listen --nonsense " + srv.URL(), exitUsage},
		{"listen --count -1 " + srv.URL(), exitUsage},
		{"listen --color pink " + srv.URL(), exitUsage},
		{"listen --header nonsense " + srv.URL(), exitUsage},
		{"listen --proxy nonsense " + srv.URL(), exitUsage},
		{"listen --interval -1s " + srv.URL(), exitUsage},
		{"listen http://[", exitUsage},
		{"listen ftp://example.com/", exitUsage},
		{"listen --attempts 1 --interval 1ms " + gone.URL(), exitGaveUp},
		{"listen --attempts 0 " + gone.URL(), exitGaveUp},
		{"listen --fail-fast " + refusing.URL(), exitRefused},
		{"listen --attempts 1 --interval 1ms " + refusing.URL(), exitRefused},
		{"listen --timeout 1s " + srv.URL(), exitOK},
		{"listen --count 1 --timeout 1s " + srv.URL(), exitTimeout},
		{"listen --timeout 50ms " + gone.URL(), exitTimeout},
		{"listen -q --count 1 --timeout 50ms " + gone.URL(), exitTimeout},
		{"send --attempts 0 " + gone.URL(), exitGaveUp},
		{"send --fail-fast " + refusing.URL(), exitRefused},
		{"send --attempts 5 --timeout 50ms " + gone.URL(), exitTimeout},
		{"send http://[", exitUsage},
		{"serve extra", exitUsage},
		{"serve --addr nonsense", exitUsage},
		{"serve --refuse 12", exitUsage},
		{"serve --addr " + srv.Addr(), exitFailure},
	} {
		stdin := strings.NewReader("a line\n")
		c := start(t, stdin, strings.Fields(test.args)...)
		if got := next(t, c.code); got != test.code {
			t.Errorf("wsnotify %s ends with %d and not %d: %s", test.args, got, test.code, &c.err)
		}
		if test.code != exitOK && c.err.String() == "" {
			t.Errorf("wsnotify %s ends with %d and no word", test.args, test.code)
		}
	}
}

// The server is away for most of it.
func TestSendLosesNothingAcrossARestart(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	in, out := io.Pipe()
	c := start(t, in, "send", srv.URL(), "--user", "ada", "--interval", "10ms", "--attempts", "-1", "-v")
	const lines = 3000 // more than the outbox takes
	fmt.Fprintln(out, "line 0")
	if _, err := srv.WaitMessages(within(t), "ada", 1); err != nil {
		t.Fatal(err)
	}
	c.err.Await(within(t), t, "has read 1 message")
	srv.Stop()
	// What it writes before it has noticed may be lost.
	c.err.Await(within(t), t, "attempt")
	go func() {
		for i := 1; i < lines; i++ {
			if i == 1000 {
				srv.Start()
			}
			fmt.Fprintln(out, "line", i)
		}
		out.Close()
	}()
	c.wants(t, exitOK)
	got := srv.Messages("ada")
	for i := range lines {
		if i >= len(got) || got[i] != fmt.Sprint("line ", i) {
			t.Fatalf("message %d of %d is not line %d", i, len(got), i)
		}
	}
}

func TestSendReportsWhatItCouldNot(t *testing.T) {
	gone := wsnotifytest.NewServer(t)
	gone.Stop()
	c := start(t, strings.NewReader("lost\nbad \xff\n"), "send", gone.URL(), "--attempts", "2", "--interval", "20ms")
	c.wants(t, exitGaveUp)
	for _, want := range []string{"not delivered: lost", "not sent: line 2"} {
		if !strings.Contains(c.err.String(), want) {
			t.Errorf("%q is missing in %s", want, &c.err)
		}
	}
}

func TestTokenFileIsReadForEachAttempt(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Refuse(1, 401, nil, "")
	file := filepath.Join(t.TempDir(), "token")
	os.WriteFile(file, []byte("old\n"), 0o600)
	c := start(t, nil, "listen", srv.URL(), "--user", "ada", "--token-file", file, "--interval", "200ms")
	if err := srv.WaitHandshakes(within(t), 1); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(file, []byte("new\n"), 0o600)
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.Request().Header.Get("Authorization"); got != "Bearer new" {
		t.Errorf("Authorization is %q", got)
	}
	c.cancel()
	c.wants(t, exitOK)
	if strings.Contains(c.out.String()+c.err.String(), "old") {
		t.Error("the token was printed")
	}
}

// What is wrong with the file is said in the words of who named it.
func TestTokenFileThatIsNotThere(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	c := start(t, strings.NewReader(""), "send", srv.URL(), "--token-file", filepath.Join(t.TempDir(), "token"))
	c.wants(t, exitGaveUp)
	if says := c.err.String(); !strings.Contains(says, "wsnotify: no connection: --token-file: open ") {
		t.Errorf("it said %s", says)
	}
}

// Ctrl-C while there is no connection.
func TestEndWithoutAConnectionSaysWhatWasNotSent(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Stop()
	in, out := io.Pipe()
	defer out.Close()
	c := start(t, in, "send", srv.URL())
	fmt.Fprintln(out, "hello")
	until(t, func() bool { return strings.Contains(c.err.String(), "attempt 1 in 10s") })
	c.cancel()
	c.wants(t, exitFailure)
	_, last, _ := strings.Cut(c.err.String(), "\n")
	if want := "wsnotify: 1 message not sent: connection refused; nothing listens at " + srv.Addr() + "\nwsnotify: not delivered: hello\n"; last != want {
		t.Errorf("it said %q and not %q", last, want)
	}
}

func TestExec(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	srv := wsnotifytest.NewServer(t)
	c := start(t, nil, "listen", srv.URL(), "--user", "ada", "--count", "2",
		"--exec", `echo "$MSG_TYPE|$(echo "$CONTENT" | wc -c)|$FALLBACK|$EPOCH|$(wc -c)"; exit 3`)
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	conn.Notify("mail", "nul\x00; $(exit)")
	conn.Notify("big", strings.Repeat("x", 300_000))
	c.wants(t, exitOK)
	log := c.err.String()
	if !strings.Contains(log, "mail|13|false|1|") || !strings.Contains(log, fmt.Sprintf("big|%d|false|1|300", maxVariable+1)) ||
		!strings.Contains(log, "exit status 3") {
		t.Errorf("it said %s", log)
	}
}

// A command sees a binary message in base64, and what it says as the command ends is neither shown nor a failure.
func TestExecOfBinaryAndAtTheEnd(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	var b bytes.Buffer
	out := &display{err: &b}
	if err := execute(t.Context(), `echo "$CONTENT"`, record{Binary: []byte("x")}, out); err != nil || b.String() != "eA==\n" {
		t.Errorf("it said %q, %v", &b, err)
	}
	b.Reset()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := execute(ctx, "echo late; exec sleep 60", record{}, out); err != nil || b.Len() != 0 {
		t.Errorf("it said %q, %v", &b, err)
	}
}

func TestEndWhileACommandHangs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	srv := wsnotifytest.NewServer(t)
	c := start(t, nil, "listen", srv.URL(), "--user", "ada", "--exec", "echo; sleep 60")
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	conn.Notify("mail", "x")
	c.out.Await(within(t), t, "\n")
	c.cancel()
	c.wants(t, exitOK)
}

func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals")
	}
	for _, test := range []struct {
		signal syscall.Signal
		twice  bool
		code   int
	}{
		{syscall.SIGINT, false, exitOK},
		{syscall.SIGTERM, false, exitOK},
		{syscall.SIGINT, true, 130},
		{syscall.SIGTERM, true, 143},
	} {
		twice := test.twice
		srv := wsnotifytest.NewServer(t)
		srv.AnswerClose(!twice)
		cmd, out, conn := listening(t, srv)
		conn.Notify("mail", "x")
		out.Read(make([]byte, 1)) // so it is open
		cmd.Process.Signal(test.signal)
		if twice {
			conn.WaitCloseCode(within(t))
			cmd.Process.Signal(test.signal)
		}
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != test.code {
			t.Errorf("%v twice %v: it ended with %d", test.signal, twice, code)
		}
		if code := conn.CloseCode(); code != 1000 {
			t.Errorf("twice %v: it closed with %d", twice, code)
		}
	}
}

// On a terminal nothing of the status line is left among the notifications,
// and nothing that was received does anything to the terminal.
func TestTerminal(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	cmd, tty := onTerminal(t, "listen", srv.URL(), "--user", "ada", "--count", "3", "--color", "never")
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	conn.Notify("mail", "first\nsecond")
	conn.Notify("新闻", "wide \x1b[31mred\x07")
	conn.Notify("a long type of notification", "x")
	output, _ := io.ReadAll(tty) // ends with an error, as terminals do
	cmd.Wait()
	screen := strings.ReplaceAll(string(output), "\r\n", "\n")
	if !strings.Contains(screen, "OPEN for 0s") {
		t.Errorf("there is no status line in %q", screen)
	}
	var lines []string
	for line := range strings.Lines(screen) {
		if i := strings.LastIndex(line, "\r\x1b[K"); i >= 0 {
			line = line[i+len("\r\x1b[K"):] // what was before has been wiped away
		}
		if line = strings.TrimRight(line, "\n"); len(line) > 10 {
			lines = append(lines, line[min(len(line), 8):])
		}
	}
	want := []string{
		"  mail      first",
		"            second",
		`  新闻      wide \x1b[31mred\a`,
		"  a long type of notification  x",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the screen shows %q and not %q", lines, want)
	}
}

// Neither JSON nor what a command prints does anything to a terminal: U+009B is ESC [, and U+202E turns
// the rest of a line around. The JSON means the same.
func TestTerminalGetsNoControlCharacters(t *testing.T) {
	const evil = "a\u009b2J\u202eb\x7f\U000e0001\x1b[31mc\ufffd"
	srv := wsnotifytest.NewServer(t)
	cmd := program(t, "listen", srv.URL(), "--user", "ada", "--count", "1", "--json", "--exec", `printf '%s\n\r\n\ttab' "$CONTENT"; cat`)
	tty, err := pty.Start(cmd)
	if errors.Is(err, pty.ErrUnsupported) {
		t.Skip("there are no pseudo-terminals")
	} else if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	conn.SendText(`{"msgType":"mail","content":"` + strings.ReplaceAll(evil, "\x1b", `\u001b`) + `"}`)
	output, _ := io.ReadAll(tty) // ends with an error, as terminals do
	cmd.Wait()
	screen := regexp.MustCompile("[^\n]*\r\x1b\\[K").ReplaceAllString(strings.ReplaceAll(string(output), "\r\n", "\n"), "") // the status line
	if i := strings.IndexFunc(screen, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }); i >= 0 {
		t.Errorf("byte %d of what it printed does something to a terminal: %q", i, screen)
	}
	lines := strings.Split(screen, "\n")
	var r struct{ Content string }
	if json.Unmarshal([]byte(lines[0]), &r); r.Content != evil {
		t.Errorf("the JSON says %q and not %q: %s", r.Content, evil, lines[0])
	}
	if len(lines) < 3 || lines[1] != `a\u009b2J\u202eb\x7f\U000e0001\x1b[31mc`+"\ufffd" || !strings.HasPrefix(lines[3], "    tab{") {
		t.Errorf("the command printed %q", lines[1:])
	}
}

// Only Windows starts cmd.exe, but what it must not be given is checked anywhere.
func TestCommandsForWindows(t *testing.T) {
	for command, refused := range map[string]string{
		`notify "!MSG_TYPE!" "!CONTENT!"`: "",
		`echo %EPOCH% %CONTENTS% 100%`:    "",
		`echo %CONTENT%`:                  "CONTENT",
		`echo %msg_type:~0,5%`:            "MSG_TYPE",
	} {
		want := error(nil)
		if refused != "" {
			want = usage("--exec: %%%s%% would have the server's text run as a command; write !%[1]s!", refused)
		}
		if err := checkPercent(command); fmt.Sprint(err) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", command, err, want)
		}
	}
}

// What a server says that refuses comes with what may help.
func TestAnswersOfServersThatRefuse(t *testing.T) {
	location := http.Header{"Location": {"https://example.com/ws?token=hunter2"}}
	for _, test := range []struct {
		e    wsnotify.HandshakeError
		want string
	}{
		{wsnotify.HandshakeError{StatusCode: 200, Body: []byte("<html>")}, "; expected 101: it is the address of a page and not of a WebSocket"},
		{wsnotify.HandshakeError{StatusCode: 302, Header: location}, ", to https://example.com/ws?…; redirects are not followed: use that address if it is the WebSocket's"},
		{wsnotify.HandshakeError{StatusCode: 302}, ""},
		{wsnotify.HandshakeError{StatusCode: 400, Header: location, Body: []byte(" no such room \n more")}, `, "no such room"`},
		{wsnotify.HandshakeError{StatusCode: 401, Body: []byte("unauthorized\n")}, "; set credentials with --token-file, --basic-auth or --header"},
		{wsnotify.HandshakeError{StatusCode: 403, Body: []byte("origin")}, `, "origin"; check the credentials, and whether the server wants an --origin`},
		{wsnotify.HandshakeError{StatusCode: 404}, "; check the path of the address"},
		{wsnotify.HandshakeError{StatusCode: 407}, "; put user and password into the URL of --proxy"},
		{wsnotify.HandshakeError{StatusCode: 500}, ""},
	} {
		if got := answer(&test.e); got != test.want {
			t.Errorf("%d, %q: %q, want %q", test.e.StatusCode, test.e.Body, got, test.want)
		}
	}
}

// A program that was built without a version has the word that Go itself uses.
func TestVersion(t *testing.T) {
	for _, test := range []struct {
		info *debug.BuildInfo
		want string
	}{
		{nil, "(devel)"},
		{&debug.BuildInfo{}, "(devel)"},
		{&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
	} {
		if got := versionOf(test.info); got != test.want {
			t.Errorf("%v: %q, want %q", test.info, got, test.want)
		}
	}
	c := start(t, nil, "--version")
	c.wants(t, exitOK)
	if got, want := c.out.String(), "wsnotify "+version()+"\n"; got != want {
		t.Errorf("it printed %q, want %q", got, want)
	}
}

// What the help shows can be typed in.
func TestHelpShowsWhatWorks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	for _, name := range []string{"connect", "listen", "send", "serve", "man"} {
		c := start(t, nil, name, "--help")
		c.wants(t, exitOK)
		_, examples, _ := strings.Cut(c.out.String(), "Examples:\n")
		examples, _, _ = strings.Cut(examples, "\n\n")
		n := 0
		for line := range strings.Lines(examples) {
			_, args, ok := strings.Cut(line, "wsnotify "+name)
			if !ok {
				continue
			}
			n++
			args, _, _ = strings.Cut(args, " |")
			args, _, _ = strings.Cut(args, "<")
			cmd := program(t)
			script := fmt.Sprintf("%q %s %s --help >/dev/null", os.Args[0], name, strings.TrimSpace(args))
			sh := exec.Command("sh", "-c", script)
			sh.Env, sh.Dir = cmd.Env, t.TempDir()
			if out, err := sh.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", strings.TrimSpace(line), err, out)
			}
		}
		if n < 2 {
			t.Errorf("%s has %d examples", name, n)
		}
	}
}

// The manual page has all that --help has, and groff takes it.
func TestManual(t *testing.T) {
	c := start(t, nil, "man")
	c.wants(t, exitOK)
	page := c.out.String()
	if groff, err := exec.LookPath("groff"); err == nil {
		cmd := exec.Command(groff, "-man", "-Tutf8", "-P-cbou", "-ww", "-rLL=200n")
		cmd.Stdin = strings.NewReader(page)
		var out, wrong bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &wrong
		if err := cmd.Run(); err != nil || wrong.Len() > 0 {
			t.Errorf("groff: %v %s", err, &wrong)
		}
		page = strings.ReplaceAll(out.String(), "\u2212", "-")
	} else {
		page = strings.ReplaceAll(page, `\-`, "-")
	}
	root := rootCommand()
	for _, cmd := range root.Commands() {
		cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if cmd.Name() != "help" && cmd.Name() != "completion" && f.Name != "help" && !strings.Contains(page, "--"+f.Name) {
				t.Errorf("%s --%s is missing", cmd.Name(), f.Name)
			}
		})
	}
	for _, want := range []string{"ENVIRONMENT", "WSNOTIFY_READ_LIMIT", "EXIT STATUS", "130", "141", "wsnotify serve --echo", `'{"op":"status"}'`} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is missing", want)
		}
	}
}

// What the page is made of, part by part.
func TestPartsOfTheManual(t *testing.T) {
	root := &cobra.Command{Use: "tool", Short: "A Tool", Long: "It does.\n\nEnvironment: the flags\nand more.\n\nExit status: 0 all\nis well, 1 it is not.", Example: "  tool -v\n"}
	a := &cobra.Command{Use: "a URL", Long: ".Asks.\n\n  tool a x", Example: "  tool a x\n  tool a 'y'", Run: func(*cobra.Command, []string) {}}
	a.Flags().SortFlags = false
	a.Flags().StringP("file-name", "f", "", "`FILE` to read,\nor \\")
	a.Flags().Int("n", 0, "count")
	a.Flags().Int("m", 6, "most")
	a.Flags().BoolP("yes", "y", false, "do it")
	a.Flags().Bool("hidden", false, "")
	a.Flags().MarkHidden("hidden")
	a.Flags().Duration("wait", 0, "time to wait")
	a.Flags().StringArray("x", nil, "`'text'` to \"send\"")
	a.Flags().Bool("help", false, "help for it")
	b := &cobra.Command{Use: "b", Long: "B.", Run: a.Run}
	root.AddCommand(a, b, &cobra.Command{Use: "completion", Run: a.Run}, &cobra.Command{Use: "help", Run: a.Run})
	head := ".TH WSNOTIFY 1 \"\" \"wsnotify " + roff(strings.Trim(version(), "()")) + "\" \"User Commands\"\n"
	want := head + `.SH NAME
wsnotify \- a Tool
.SH SYNOPSIS
.B wsnotify a
URL [flags]
.br
.B wsnotify b
[flags]
.br
.SH DESCRIPTION
It does.
.SH A
\&.Asks.
.PP
.nf
  tool a x
.fi
.TP
.BI "\-f, \-\-file\-name " "FILE"
FILE to read, or \e
.TP
.BI "\-\-n " "int"
count
.TP
.BI "\-\-m " "int"
most (default 6)
.TP
.B \-y, \-\-yes
do it
.TP
.BI "\-\-wait " "duration"
time to wait
.TP
.BI "\-\-x " "\&'text'"
\&'text' to "send"
.SH B
B.
.SH ENVIRONMENT
The flags
and more.
.SH EXIT STATUS
.TP
.B 0
all is well
.TP
.B 1
it is not
.SH EXAMPLES
.nf
  tool \-v
  tool a x
  tool a 'y'
.fi
`
	if got := manual(root); got != want {
		t.Errorf("it is\n%s\nand not\n%s", got, want)
	}
}

// A page that can't be printed is a failure.
func TestManualThatCannotBePrinted(t *testing.T) {
	var says bytes.Buffer
	if code := run(t.Context(), []string{"man"}, nil, brokenFile{}, &says); code != exitFailure || says.String() != "wsnotify: short write\n" {
		t.Errorf("it ends with %d: %s", code, &says)
	}
}

// Without a word, or asked for a command, the program says what there is.
func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"":            "A WebSocket that stays connected, for the shell.\n",
		"help":        "A WebSocket that stays connected, for the shell.\n",
		"help listen": "Listen prints notifications as they arrive: ",
		"serve -h":    "Serve is a small notification server, for trying things:\n",
	} {
		c := start(t, nil, strings.Fields(args)...)
		c.wants(t, exitOK)
		if out := c.out.String(); !strings.HasPrefix(out, want) || c.err.String() != "" {
			t.Errorf("%q: it prints %.100q and says %s", args, out, &c.err)
		}
	}
}

// What scripts rely on is what the help says.
func TestNumbersOfTheHelp(t *testing.T) {
	for _, test := range []struct {
		args string
		want []string
	}{
		{"--help", []string{
			fmt.Sprintf("%d asked to end", exitOK), fmt.Sprintf("%d something was or may be lost", exitFailure), fmt.Sprintf("%d wrong usage", exitUsage),
			fmt.Sprintf("%d gave up", exitGaveUp), fmt.Sprintf("%d refused", exitRefused), fmt.Sprintf("%d out of time", exitTimeout),
		}},
		{"serve --help", []string{fmt.Sprintf("keep the last %d, ", maxRecent)}},
	} {
		c := start(t, nil, strings.Fields(test.args)...)
		c.wants(t, exitOK)
		text := strings.Join(strings.Fields(c.out.String()), " ")
		for _, want := range test.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q: %s", test.args, want, text)
			}
		}
	}
}

// A page of the manual keeps paragraphs apart, and shows indented lines as they are.
func TestParagraphsOfTheManual(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb\n\nc\n":        "a\nb\n.PP\nc\n",
		"a\n\n  b\n\n  c\nd": "a\n.PP\n.nf\n  b\n.PP\n  c\n.fi\nd\n",
		"a\n  b\n":           "a\n.nf\n  b\n.fi\n",
		".a\n'b\nc\\d\n":     roff(".a") + "\n" + roff("'b") + "\n" + roff("c\\d") + "\n",
	} {
		if got := paragraphs(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// Flags that take one of some words complete these, and no file names.
func TestCompletionOfWords(t *testing.T) {
	for flag, words := range map[string]string{
		"--color": "auto\nalways\nnever\n", "--resume-order": "opaque\nincreasing\nconsecutive\n",
	} {
		var out, report strings.Builder
		if code := run(t.Context(), []string{"__complete", "listen", flag, ""}, nil, &out, &report); code != exitOK || out.String() != words+":4\n" {
			t.Errorf("%s: %d %q %s", flag, code, out.String(), report.String())
		}
	}
}

func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		c := start(t, nil, "completion", shell)
		c.wants(t, exitOK)
		if c.out.String() == "" {
			t.Errorf("there is no completion for %s", shell)
		}
	}
	dir := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(dir, "wsnotify")); err != nil {
		t.Fatal(err)
	}
	script := `PATH=` + dir + `:$PATH
_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${COMP_WORDS[COMP_CWORD]}; prev=${COMP_WORDS[COMP_CWORD-1]}; }
__ltrim_colon_completions() { :; }
source <(wsnotify completion bash)
COMP_WORDS=(wsnotify listen --tok) COMP_CWORD=2 COMP_LINE='wsnotify listen --tok' COMP_POINT=21 COMP_TYPE=9
__start_wsnotify
echo "${COMPREPLY[@]}"`
	cmd := exec.Command(bash, "--norc", "-c", script)
	cmd.Env = program(t).Env
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--token-file") {
		t.Errorf("bash completes to %q, %v", out, err)
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"localhost:8080/ws/":           "ws://localhost:8080/ws/",
		"localhost:8080?a=b":           "ws://localhost:8080?a=b",
		":8080/ws":                     "ws://localhost:8080/ws",
		"127.0.0.1/":                   "ws://127.0.0.1/",
		"[::1]:80/ws":                  "ws://[::1]:80/ws",
		"example.com/ws/":              "wss://example.com/ws/",
		"ws://example.com":             "ws://example.com",
		"https://example":              "https://example",
		"ws+unix:/run/a.sock:/ws/?a=b": "ws://localhost/ws/?a=b",
		"ws+unix:///run/a.sock":        "ws://localhost/",
	} {
		got, socket, err := address(text)
		if got != want || err != nil || (socket == "/run/a.sock") != strings.Contains(text, "unix") {
			t.Errorf("%s is taken as %s through %q and not %s: %v", text, got, socket, want, err)
		}
	}
	for text, want := range map[string]string{
		"ftp://example.com/x": "wss://example.com/x",
		"wss:/example.com":    "wss://example.com",
		"/ws/ada":             "localhost:8080/ws/ada",
		"ws+unix::/ws":        "/run/app.sock",
	} {
		if got, _, err := address(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %s, %v, which does not say %s", text, got, err, want)
		}
	}
}

// deep is so many arrays in each other, indented.
func deep(n int) (text string) {
	text = "[]"
	for range n - 1 {
		text = "[\n  " + strings.ReplaceAll(text, "\n", "\n  ") + "\n]"
	}
	return text
}

// JSON is indented for people, unless that would make much of little.
func TestIndented(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":{"b":[1,"x{"]},"c":[]}`:           "{\n  \"a\": {\n    \"b\": [\n      1,\n      \"x{\"\n    ]\n  },\n  \"c\": []\n}",
		` [] `:                                  "[]",
		`{"a":1`:                                `{"a":1`,
		`{not JSON}`:                            `{not JSON}`,
		"  plain\n":                             "  plain\n",
		`plain`:                                 `plain`,
		`"text"`:                                `"text"`,
		"[" + strings.Repeat("{},", 20) + "[]]": "[\n" + strings.Repeat("  {},\n", 20) + "  []\n]",
		strings.Repeat("[1,", 17) + "1" + strings.Repeat("]", 17): strings.Repeat("[1,", 17) + "1" + strings.Repeat("]", 17),
		strings.Repeat("[", 16) + strings.Repeat("]", 16):         deep(16),
		strings.Repeat("[", 17) + strings.Repeat("]", 17):         strings.Repeat("[", 17) + strings.Repeat("]", 17),
		`["` + strings.Repeat("x", 64<<10) + `"]`:                 `["` + strings.Repeat("x", 64<<10) + `"]`,
		`["` + strings.Repeat("[", 40) + `\"[", "` + `\\"]`:       "[\n  \"" + strings.Repeat("[", 40) + `\"[",` + "\n  " + `"\\"` + "\n]",
	} {
		if got := indented(text); got != want {
			t.Errorf("%.60s becomes %.200s, expected %.200s", text, got, want)
		}
	}
}

func TestStatusLine(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	open := wsnotify.Status{ReadyState: wsnotify.Open, OpenSince: now.Add(-61500 * time.Millisecond)}
	quick, slow := open, open
	quick.RTT, slow.RTT = 47512*time.Nanosecond, 123456789*time.Nanosecond
	for _, test := range []struct {
		status wsnotify.Status
		want   string
	}{
		{wsnotify.Status{ReadyState: wsnotify.Connecting}, "CONNECTING"},
		{open, "OPEN for 1m1s"},
		{quick, "OPEN for 1m1s, round trip 48µs"},
		{slow, "OPEN for 1m1s, round trip 123ms"},
		{wsnotify.Status{
			ReadyState: wsnotify.Closed, ReconnectAttempts: 2, NextAttempt: now.Add(3400 * time.Millisecond),
			LastFailure: &wsnotify.Failure{Phase: wsnotify.PhaseDial, Code: -1, Err: errors.New("wsnotify: no\nroute")},
		}, `CLOSED, attempt 2 in 3s: no\nroute`},
		{wsnotify.Status{ReadyState: wsnotify.Closed, ReconnectAttempts: 3, NextAttempt: now.Add(-3 * time.Second)}, "CLOSED, attempt 3 in 0s"},
		{wsnotify.Status{ReadyState: wsnotify.Connecting, ReconnectAttempts: 2}, "CONNECTING, attempt 2"},
		{wsnotify.Status{ReadyState: wsnotify.Closing}, "CLOSING"},
	} {
		if got := statusLine(test.status, now); got != test.want {
			t.Errorf("%q and not %q", got, test.want)
		}
	}
}
