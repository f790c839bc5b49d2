package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// replaying starts serve --replay and returns the address of its WebSocket.
func replaying(t *testing.T, args ...string) (*command, string) {
	t.Helper()
	c := start(t, nil, append([]string{"serve", "--addr", "0"}, args...)...)
	ctx := within(t)
	for {
		if m := regexp.MustCompile(`ws://[^/]+/ws/`).FindString(c.out.String()); m != "" {
			return c, m
		}
		select {
		case code := <-c.code:
			t.Fatalf("it ended with %d: %s%s", code, c.out.String(), c.err.String())
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("it does not listen")
		}
	}
}

func recordingFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recording.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What connect and listen record is what serve --replay plays, and a client that does the same passes.
func TestRecordAndReplay(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	path := filepath.Join(t.TempDir(), "bug.jsonl")
	wait := srv.Script(within(t),
		wsnotifytest.Accept(), wsnotifytest.Expect("hello"), wsnotifytest.Say("hi"), wsnotifytest.SayBinary([]byte{1, 2}),
		wsnotifytest.ExpectClose(1000))
	c := start(t, nil, "connect", srv.URL(), "-u", "ada", "-H", "Authorization: Bearer s3cr3t", "-x", "hello", "--wait", "300ms", "--record", path)
	c.wants(t, exitOK)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "s3cr3t") || !strings.Contains(string(text), `"Authorization":["xxxxx"]`) {
		t.Errorf("%s", text)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}

	play, url := replaying(t, "--replay", path)
	c = start(t, nil, "connect", url+"ada", "-x", "hello", "--wait", "300ms")
	c.wants(t, exitOK)
	if out := c.out.String(); !strings.Contains(out, "hi\n") {
		t.Errorf("the client got %q", out)
	}
	play.wants(t, exitOK)
	if out := play.out.String(); !strings.Contains(out, "the recording is over, and the client did what it did there") {
		t.Error(out)
	}

	play, url = replaying(t, "--replay", path, "--speed", "0")
	c = start(t, nil, "connect", url+"ada", "-x", "hallo", "--wait", "300ms", "--no-reconnect")
	play.wants(t, exitFailure)
	want := "wsnotify: expected text \"hello\"\nwsnotify: got      text \"hallo\"\n"
	if got := play.err.String(); !strings.Contains(got, "the client differs from the recording at line 2, after ") || !strings.HasSuffix(got, want) {
		t.Errorf("%s", got)
	}
	<-c.code
}

// A recording that could not be written is a failure of its own, and of one that has failed no other.
func TestRecordingThatIsNotComplete(t *testing.T) {
	full := "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip(err)
	}
	srv := wsnotifytest.NewServer(t)
	for _, args := range [][]string{{"connect", srv.URL(), "-x", "hello", "--wait", "1ms"}, {"listen", srv.URL(), "--count", "1"}} {
		c := start(t, nil, append(args, "-u", args[0], "--record", full)...)
		if args[0] == "listen" {
			conn, err := srv.Conn(within(t), "listen")
			if err != nil {
				t.Fatal(err)
			}
			conn.Notify("mail", "x")
		}
		c.wants(t, exitFailure)
		if says := c.err.String(); !strings.Contains(says, "--record: ") || !strings.Contains(says, "the recording is not complete") {
			t.Errorf("%s says %q", args[0], says)
		}
	}
	srv.Stop()
	for _, args := range [][]string{{"connect", srv.URL(), "-x", "hello"}, {"listen", srv.URL(), "--attempts", "0"}} {
		start(t, nil, append(args, "-u", "ada", "--record", full)...).wants(t, exitGaveUp)
	}
}

func TestListenRecordsSecretsIfAsked(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	path := filepath.Join(t.TempDir(), "all.jsonl")
	c := start(t, nil, "listen", srv.URL()+"ada?token=s3cr3t", "--count", "1", "--heartbeat", "100ms", "--record", path, "--keep-secrets", "--record-pings")
	if _, err := srv.Conn(within(t), "ada"); err != nil {
		t.Fatal(err)
	}
	if err := srv.WaitHeartbeats(within(t), "ada", 0, 2); err != nil {
		t.Fatal(err)
	}
	_ = srv.Notify("ada", "mail", "3 new")
	c.wants(t, exitOK)
	text, _ := os.ReadFile(path)
	for _, want := range []string{"token=s3cr3t", `"type":"ping"`, `"type":"pong"`, `"text":"{\"msgType\":\"mail\",\"content\":\"3 new\"}"`, `"type":"close"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
}

// A recording with refusals, drops, a server that falls silent, and a subprotocol is played to its end.
func TestReplayPlaysFaults(t *testing.T) {
	path := recordingFile(t,
		`{"v":1,"t":0,"conn":1,"dir":"in","type":"failure","status":503}`,
		`{"t":100000000,"conn":1,"dir":"in","type":"failure"}`,
		`{"t":200000000,"conn":1,"dir":"out","type":"open","subprotocol":"chat"}`,
		`{"t":300000000,"conn":1,"dir":"in","type":"text","text":"one"}`,
		`{"t":310000000,"conn":1,"dir":"out","type":"text","text":"answer one"}`,
		`{"t":320000000,"conn":1,"dir":"in","type":"ping","data":""}`,
		`{"t":400000000,"conn":1,"dir":"in","type":"close","code":1006}`,
		`{"t":500000000,"conn":2,"dir":"in","type":"failure","status":429}`,
		`{"t":600000000,"conn":2,"dir":"out","type":"open","subprotocol":"chat"}`,
		`{"t":700000000,"conn":2,"dir":"in","type":"text","text":"two"}`,
		`{"t":700000000,"conn":2,"dir":"out","type":"text","text":"answer two"}`,
		`{"t":1500000000,"conn":2,"dir":"out","type":"close","code":1006,"silent":600000000}`,
		`{"t":1600000000,"conn":3,"dir":"out","type":"open","subprotocol":"chat"}`,
		`{"t":1700000000,"conn":3,"dir":"in","type":"close","code":4001,"reason":"over"}`,
		`{"t":1700000000,"conn":3,"dir":"out","type":"close","code":4001,"reason":"over"}`)
	play, url := replaying(t, "--replay", path)
	var saw []string
	var client *wsnotify.Client
	client = wsnotify.New(wsnotify.Config{
		Subprotocols:    []string{"chat"},
		BackOff:         wsnotify.Exponential(20*time.Millisecond, 20*time.Millisecond, -1),
		Heartbeat:       wsnotify.Heartbeat{Interval: 100 * time.Millisecond, Timeout: 300 * time.Millisecond},
		ShouldReconnect: func(f wsnotify.Failure) bool { return f.Code != 4001 },
		OnOpen:          func(ev wsnotify.OpenEvent) { saw = append(saw, "open "+ev.Subprotocol) },
		OnClose:         func(ev wsnotify.CloseEvent) { saw = append(saw, fmt.Sprint("close ", int(ev.Code))) },
		OnReconnecting: func(ev wsnotify.ReconnectEvent) {
			if ev.Failure.Phase != wsnotify.PhaseOpen {
				saw = append(saw, fmt.Sprint("refused ", ev.Failure.HTTPStatus))
			}
		},
		OnMessage: func(m wsnotify.Message) {
			saw = append(saw, string(m.Data))
			_ = client.Enqueue(wsnotify.MessageText, append([]byte("answer "), m.Data...))
		},
	})
	_ = client.Run(within(t), url, "ada")
	<-client.Done()
	play.wants(t, exitOK)
	want := []string{"refused 503", "refused 0", "open chat", "one", "close 1006", "refused 429", "open chat", "two", "close 1006", "open chat", "close 4001"}
	if !slices.Equal(saw, want) {
		t.Errorf("the client saw %q\nwant %q\n%s%s", saw, want, play.out.String(), play.err.String())
	}
	_, said, _ := strings.Cut(play.out.String(), "\n\n")
	if want := "! refused with 503\n! not answered\n+ connection 1\n- connection 1\n! refused with 429\n+ connection 2\n- connection 2\n+ connection 3\n- connection 3\n" +
		"the recording is over, and the client did what it did there\n"; said != want {
		t.Errorf("it said %q", said)
	}
}

// A recording that can't be written ends, and its end says why.
func TestRecorderRemembersWhatWentWrong(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "recording.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{file: file}
	if n, err := r.Write([]byte("a")); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	file.Close()
	_, failed := r.Write([]byte("b"))
	if !errors.Is(failed, os.ErrClosed) {
		t.Errorf("writing to a closed file: %v", failed)
	}
	if err := r.close(); err != failed {
		t.Errorf("its end says %v", err)
	}
}

// What a client does otherwise is said with both texts.
func TestReplayPrintsTheDifference(t *testing.T) {
	const open = `{"t":0,"conn":1,"dir":"out","type":"open"}`
	const question = `{"t":10000000,"conn":1,"dir":"out","type":"text","text":"question"}`
	for _, test := range []struct {
		lines []string
		args  []string
		want  string
	}{
		{[]string{open, question}, []string{"-x", "question"}, ""},
		{[]string{open, question}, []string{"-x", "answer"}, "at line 2, after 10ms on connection 1\nwsnotify: expected text \"question\"\nwsnotify: got      text \"answer\"\n"},
		{[]string{open, `{"t":10000000,"conn":1,"dir":"out","type":"binary","data":"aGk="}`}, []string{"-x", "hi"}, "expected binary \"hi\"\nwsnotify: got      text \"hi\"\n"},
		{[]string{open, question, question}, []string{"-x", "question", "--wait", "0s"}, "at line 3, after 10ms on connection 1\nwsnotify: expected text \"question\"\nwsnotify: got      close 1000\n"},
		{[]string{open, `{"t":900000000,"conn":1,"dir":"in","type":"text","text":"late"}`}, []string{"-x", "ping", "--wait", "0s"}, "expected the connection to go on\nwsnotify: got      close 1000\n"},
		{[]string{open, `{"t":100000000,"conn":1,"dir":"in","type":"close","code":1001}`}, []string{"-x", "more"}, "expected close 1001\nwsnotify: got      text \"more\"\n"},
		{[]string{open, `{"t":100000000,"conn":1,"dir":"out","type":"close","code":4000,"reason":"bye"}`}, []string{"-x", "ping", "--wait", "0s"}, "expected close 4000 \"bye\"\nwsnotify: got      close 1000\n"},
	} {
		play, url := replaying(t, "--replay", recordingFile(t, test.lines...))
		c := start(t, nil, append([]string{"connect", url + "ada", "--no-reconnect"}, test.args...)...)
		if test.want == "" {
			play.wants(t, exitOK)
		} else if play.wants(t, exitFailure); !strings.HasSuffix(play.err.String(), test.want) {
			t.Errorf("%q\n%s\nwant\n%s", test.args, play.err.String(), test.want)
		}
		<-c.code
	}
}

// A recording is played for one client at a time. One that comes meanwhile waits for two seconds: it may be the same, back
// before the end of its connection has been noticed.
func TestReplayIsForOneClientAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		p := &replay{busy: make(chan struct{}, 1), ended: make(chan error, 1), done: make(chan struct{}), over: true,
			say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
		ask := func(want string) (took time.Duration) {
			t.Helper()
			start, w := time.Now(), httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequest("GET", "/ws/ada", nil))
			if w.Code != http.StatusServiceUnavailable || strings.TrimSpace(w.Body.String()) != want {
				t.Errorf("it is answered with %d %s, want %s", w.Code, w.Body, want)
			}
			return time.Since(start)
		}
		p.busy <- struct{}{}
		p.playing.Store(7)
		if took := ask("a recording is played for one client at a time"); took != 2*time.Second {
			t.Errorf("it waited for %v", took)
		}
		if want := "! another connection is refused while connection 7 is played"; len(said) != 1 || said[0] != want {
			t.Errorf("it said %q, want %q", said, want)
		}
		time.AfterFunc(time.Second, func() { <-p.busy })
		if took := ask("the recording is over"); took != time.Second || len(p.busy) != 0 {
			t.Errorf("it had its turn after %v, and others have to wait: %v", took, len(p.busy) > 0)
		}
		p.busy <- struct{}{} // and there was nothing left to play
		<-p.busy
		p.done = make(chan struct{})
		p.busy <- struct{}{}
		time.AfterFunc(time.Second, func() { close(p.done) })
		if took := ask("the recording is over"); took != time.Second {
			t.Errorf("the end was noticed after %v", took)
		}
		if took := ask("the recording is over"); took != 0 {
			t.Errorf("it waited for %v", took)
		}
	})
}

// An attempt that failed without an answer does so again: the connection ends, and at once.
func TestReplayOfAnAttemptWithoutAnAnswer(t *testing.T) {
	play, address := replaying(t, "--replay", recordingFile(t,
		`{"v":1,"t":0,"conn":1,"dir":"in","type":"failure"}`,
		`{"t":10000000,"conn":1,"dir":"in","type":"failure","status":503}`))
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{0, http.StatusServiceUnavailable} {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, rawHandshake, u.Path+"ada", u.Host, "")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if want == 0 && !errors.Is(err, io.ErrUnexpectedEOF) || want != 0 && (err != nil || resp.StatusCode != want) {
			t.Errorf("the handshake ends with %v, %v, want %d", resp, err, want)
		}
	}
	play.wants(t, exitOK)
}

// How a client answers the server's close frame is not compared: it may have no code of its own, RFC 6455, section 5.5.1.
func TestReplayTakesAnyAnswerToAClose(t *testing.T) {
	play, address := replaying(t, "--replay", recordingFile(t,
		`{"v":1,"t":0,"conn":1,"dir":"out","type":"open"}`,
		`{"t":10000000,"conn":1,"dir":"in","type":"close","code":4001,"reason":"over"}`,
		`{"t":20000000,"conn":1,"dir":"out","type":"close","code":4001,"reason":"over"}`))
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, rawHandshake, u.Path+"ada", u.Host, "")
	c := &rawClient{conn, bufio.NewReader(conn)}
	if resp, err := http.ReadResponse(c.in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake ends with %v, %v", resp, err)
	}
	if op, payload, err := c.frame(); op != opClose || string(payload) != "\x0f\xa1over" {
		t.Errorf("frame %d %q, %v", op, payload, err)
	}
	io.WriteString(conn, mask(0x80|opClose, "\x03\xe8"))
	play.wants(t, exitOK)
}

// --from begins in the middle, also of a connection.
func TestReplayFrom(t *testing.T) {
	path := recordingFile(t,
		`{"t":0,"conn":1,"dir":"out","type":"open"}`,
		`{"t":100000000,"conn":1,"dir":"out","type":"text","text":"login"}`,
		`{"t":90000000000,"conn":1,"dir":"in","type":"text","text":"late"}`,
		`{"t":90100000000,"conn":1,"dir":"out","type":"close","code":1000}`)
	play, url := replaying(t, "--replay", path, "--from", "89.9s")
	c := start(t, strings.NewReader(""), "connect", url+"ada", "-1")
	c.wants(t, exitOK)
	if out := c.out.String(); out != "late\n" {
		t.Errorf("the client got %q", out)
	}
	play.wants(t, exitOK)
}

func TestReplayUsage(t *testing.T) {
	good := recordingFile(t, `{"t":0,"conn":1,"dir":"out","type":"open"}`)
	bad := recordingFile(t, `{"t":0,"conn":1,"dir":"out","type":"open"}`, `{"t":0,"conn":1,"dir":"out","type":"opened"}`)
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"serve --replay /no/such/file", exitFailure, "--replay: open /no/such/file: no such file"},
		{"serve --replay " + bad, exitFailure, "line 2: type: expected open, text, binary"},
		{"serve --replay " + good + " --from 1h", exitFailure, "nothing is left to be played from 1h0m0s on; it ends at 0s"},
		{"serve --replay " + good + " --echo --refuse 401", exitUsage, "--replay and --echo, --refuse exclude each other"},
		{"serve --replay " + good + " --speed -1", exitUsage, "--speed -1: expected a factor such as 10"},
		{"serve --replay " + good + " --addr nonsense", exitUsage, "--addr nonsense: expected a host and a port"},
		{"serve --speed 2", exitUsage, "--speed and --from are of use with --replay alone"},
		{"listen localhost:1 --keep-secrets", exitUsage, "--keep-secrets and --record-pings are of use with --record alone"},
		{"serve --from 1s", exitUsage, "--speed and --from are of use with --replay alone"},
		{"listen localhost:1 --record-pings", exitUsage, "--keep-secrets and --record-pings are of use with --record alone"},
		{"connect localhost:1 --record /no/such/file", exitFailure, "--record: open /no/such/file: no such file"},
		{"listen localhost:1 --record /no/such/file", exitFailure, "--record: open /no/such/file: no such file"},
	} {
		c := start(t, nil, strings.Fields(test.args)...)
		c.wants(t, test.code)
		if got := c.err.String(); !strings.Contains(got, test.want) {
			t.Errorf("%s: %s, want %s", test.args, got, test.want)
		}
	}
	p := &replay{path: bad}
	if err := p.open(); err == nil || p.file.Close() == nil {
		t.Errorf("a recording that can't be played is still open: %v", err)
	}
}

// What is known of a recording before it is played: the connections from a time on, which attempts fail before and
// behind each, and when the server falls silent for good.
func TestSurveyOfARecording(t *testing.T) {
	const (
		open1 = `{"t":1000,"conn":1,"dir":"out","type":"open","subprotocol":"a"}`
		text1 = `{"t":2000,"conn":1,"dir":"in","type":"text","text":"x"}`
		sent1 = `{"t":3000,"conn":1,"dir":"out","type":"text","text":"y"}`
		open2 = `{"t":7000,"conn":2,"dir":"out","type":"open","subprotocol":"b"}`
		text2 = `{"t":8000,"conn":2,"dir":"in","type":"text","text":"z"}`
	)
	failure := func(at, conn, status int) string {
		return fmt.Sprintf(`{"t":%d,"conn":%d,"dir":"in","type":"failure","status":%d}`, at, conn, status)
	}
	for _, test := range []struct {
		from  time.Duration
		lines []string
		want  string // of each connection: subprotocol, mute, failures
		fails string // before
		first string // what is played first
	}{
		{0, []string{open1, text1}, "[{a -1 []}]", "[]", "a connection at line 1"},
		{0, []string{failure(0, 1, 503), failure(0, 1, 0), open1, text1, failure(4000, 2, 429), `{"t":5000,"conn":2,"dir":"in","type":"lost","count":3}`, open2}, "[{a -1 [429]} {b -1 []}]", "[503 0]", "a connection at line 3"},
		{0, []string{failure(0, 1, 503)}, "[]", "[503]", "nothing"},
		{2000, []string{open1, text1, sent1}, "[{a -1 []}]", "[]", `text "x" at line 2`},
		{2001, []string{failure(0, 1, 503), open1, text1, sent1, open2}, "[{a -1 []} {b -1 []}]", "[]", `text "y" at line 4`},
		{4000, []string{failure(0, 1, 503), open1, text1, failure(4000, 2, 1), failure(5000, 2, 2), open2, text2, failure(9000, 3, 3)}, "[{b -1 [3]}]", "[1 2]", "a connection at line 6"},
		{7500, []string{open1, text1, open2, text2, failure(9000, 3, 3)}, "[{b -1 [3]}]", "[]", `text "z" at line 4`},
		{0, []string{open1, text1, sent1, `{"t":6000,"conn":1,"dir":"out","type":"close","code":1006,"silent":2500}`}, "[{a 3500 []}]", "[]", "a connection at line 1"},
		{0, []string{open1, text1, sent1, `{"t":6000,"conn":1,"dir":"out","type":"close","code":1006}`}, "[{a 2000 []}]", "[]", "a connection at line 1"},
		{0, []string{open1, `{"t":6000,"conn":1,"dir":"out","type":"close","code":1006}`, open2}, "[{a 1000 []} {b -1 []}]", "[]", "a connection at line 1"},
		{0, []string{open1, text1, `{"t":6000,"conn":1,"dir":"in","type":"close","code":1006}`}, "[{a -1 []}]", "[]", "a connection at line 1"},
		{0, []string{open1, text1, `{"t":6000,"conn":1,"dir":"out","type":"close","code":1000}`}, "[{a -1 []}]", "[]", "a connection at line 1"},
		{0, []string{open1, text1, `{"t":6000,"conn":1,"dir":"out","type":"open","subprotocol":"c"}`}, "[{a -1 []} {c -1 []}]", "[]", "a connection at line 1"},
	} {
		p := &replay{path: recordingFile(t, test.lines...), from: test.from}
		if err := p.open(); err != nil {
			t.Errorf("%q: %v", test.lines, err)
			continue
		}
		p.file.Close()
		first := "nothing"
		if !p.over {
			first = fmt.Sprintf("%s at line %d", &p.next, p.line)
		}
		if got, fails := fmt.Sprint(p.conns), fmt.Sprint(p.failures); got != test.want || fails != test.fails || first != test.first {
			t.Errorf("%q from %v: %s after %s, the first is %s, want %s after %s, %s", test.lines, test.from, got, fails, first, test.want, test.fails, test.first)
		}
	}
}

// A show is a recording that is played in virtual time for clients in memory.
type show struct {
	t     *testing.T
	l     *pipeListener
	said  testkit.Buffer
	ended chan error
	end   context.CancelFunc
}

func showing(t *testing.T, speed float64, lines ...string) *show {
	t.Helper()
	s := &show{t: t, l: &pipeListener{make(chan net.Conn), make(chan struct{})}, ended: make(chan error, 1)}
	p := &replay{path: recordingFile(t, lines...), speed: speed, say: func(format string, args ...any) { fmt.Fprintf(&s.said, format+"\n", args...) }}
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.end = cancel
	go func() { s.ended <- p.run(ctx, s.l, io.Discard) }()
	return s
}

// visits dials, and reads the answer to a handshake with more headers.
func (s *show) visits(status int, headers string) *rawClient {
	s.t.Helper()
	client, server := net.Pipe()
	s.t.Cleanup(func() { client.Close() })
	s.l.conns <- server
	fmt.Fprintf(client, rawHandshake, "/ws/ada", "localhost", headers)
	c := &rawClient{client, bufio.NewReader(client)}
	if resp, err := http.ReadResponse(c.in, nil); err != nil || resp.StatusCode != status {
		s.t.Fatalf("the handshake ends with %v, %v", resp, err)
	}
	return c
}

// ends waits for the end, and checks when it comes, and the difference.
func (s *show) ends(began time.Time, after time.Duration, want string) {
	s.t.Helper()
	err, took := <-s.ended, time.Since(began)
	got := ""
	if err != nil {
		got = err.Error()
		if f := (*failure)(nil); errors.As(err, &f) {
			got += ": " + strings.Join(f.details, ", ")
		}
	}
	if late := took - after; got != want || late < 0 || late > 100*time.Millisecond { // net/http asks now and then whether all is idle
		s.t.Errorf("it ends after %v: %s\nwant %v: %s\n%s", took, got, after, want, &s.said)
	}
}

const openLine = `{"t":0,"conn":1,"dir":"out","type":"open"}`

// The server does what it did, when it did it, or as many times faster.
func TestReplayIsOnTime(t *testing.T) {
	for speed, took := range map[float64]time.Duration{0: 0, 0.5: 6 * time.Second, 1: 3 * time.Second, 10: 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			s := showing(t, speed, openLine,
				`{"t":1000000000,"conn":1,"dir":"in","type":"text","text":"a"}`,
				`{"t":1500000000,"conn":1,"dir":"out","type":"text","text":"b"}`,
				`{"t":2500000000,"conn":1,"dir":"in","type":"binary","data":"Yw=="}`,
				`{"t":2600000000,"conn":1,"dir":"out","type":"pong","data":""}`,
				`{"t":2700000000,"conn":1,"dir":"in","type":"pong","data":""}`,
				`{"t":3000000000,"conn":1,"dir":"in","type":"close","code":4000,"reason":"bye"}`,
				`{"t":3100000000,"conn":1,"dir":"in","type":"close","code":1006}`)
			c, began := s.visits(101, ""), time.Now()
			gets := func(op byte, payload string, after time.Duration) {
				t.Helper()
				gotOp, got, err := c.frame()
				if at := time.Since(began); gotOp != op || string(got) != payload || err != nil || at != after {
					t.Errorf("%#x %q, %v comes after %v, want %#x %q after %v", gotOp, got, err, at, op, payload, after)
				}
			}
			gets(opText, "a", took/3)
			time.Sleep(took / 6)
			io.WriteString(c, mask(0x81, "ping")+mask(0x81, "b")) // pings are not compared
			gets(opBinary, "c", took*5/6)
			gets(opClose, "\x0f\xa0bye", took)
			io.WriteString(c, mask(0x88, "\x0f\xa0bye"))
			s.ends(began, took, "")
			if said := s.said.String(); said != "+ connection 1\n- connection 1\n" {
				t.Errorf("it said %q", said)
			}
		})
	}
}

// What a client does otherwise, or not within ten seconds, ends it; a ping is not compared.
func TestDifferencesOfAReplay(t *testing.T) {
	at := "the client differs from the recording at line 2, after 1s on connection 1: "
	for name, test := range map[string]struct {
		line   string // what comes after the connection
		client func(c *rawClient)
		after  time.Duration
		want   string
	}{
		"text in time": {`{"t":1000000000,"conn":1,"dir":"out","type":"text","text":"a"}`,
			func(c *rawClient) { time.Sleep(11*time.Second - 1); io.WriteString(c, mask(0x81, "a")) }, 11*time.Second - 1, ""},
		"text too late": {`{"t":1000000000,"conn":1,"dir":"out","type":"text","text":"a"}`,
			func(c *rawClient) { io.WriteString(c, mask(0x81, "ping")) }, 11 * time.Second, at + `expected text "a", got      nothing, 10s after it was due`},
		"binary": {`{"t":1000000000,"conn":1,"dir":"out","type":"binary","data":"YQ=="}`,
			func(c *rawClient) { io.WriteString(c, mask(0x82, "a")) }, 0, ""},
		"another binary": {`{"t":1000000000,"conn":1,"dir":"out","type":"binary","data":"YQ=="}`,
			func(c *rawClient) { io.WriteString(c, mask(0x82, "ping")) }, 0, at + `expected binary "a", got      binary "ping"`},
		"another text": {`{"t":1000000000,"conn":1,"dir":"out","type":"text","text":"a"}`,
			func(c *rawClient) { io.WriteString(c, mask(0x81, "ping")+mask(0x81, "b")) }, 0, at + `expected text "a", got      text "b"`},
		"binary for text": {`{"t":1000000000,"conn":1,"dir":"out","type":"text","text":"a"}`,
			func(c *rawClient) { io.WriteString(c, mask(0x82, "a")) }, 0, at + `expected text "a", got      binary "a"`},
		"nothing, as binary": {`{"t":1000000000,"conn":1,"dir":"out","type":"text","text":""}`,
			func(c *rawClient) { io.WriteString(c, mask(0x82, "")) }, 0, at + `expected text "", got      binary ""`},
		"an end for text": {`{"t":1000000000,"conn":1,"dir":"out","type":"text","text":"a"}`,
			func(c *rawClient) { c.Close() }, 0, at + `expected text "a", got      the client's end of the connection without a close frame`},
		"a close": {`{"t":1000000000,"conn":1,"dir":"out","type":"close","code":4000,"reason":"bye"}`,
			func(c *rawClient) { io.WriteString(c, mask(0x88, "\x0f\xa0bye")); c.frame() }, 0, ""},
		"another close": {`{"t":1000000000,"conn":1,"dir":"out","type":"close","code":4000,"reason":"bye"}`,
			func(c *rawClient) { io.WriteString(c, mask(0x88, "\x0f\xa0")); c.frame() }, 0, at + `expected close 4000 "bye", got      close 4000`},
		"an end": {`{"t":1000000000,"conn":1,"dir":"out","type":"close","code":1006}`,
			func(c *rawClient) { c.Close() }, 0, ""},
		"an end before the server's text": {`{"t":1000000000,"conn":1,"dir":"in","type":"text","text":"a"}`,
			func(c *rawClient) { c.Close() }, 0, at + `expected the connection to go on, got      the client's end of the connection without a close frame`},
		"text before the server's close": {`{"t":1000000000,"conn":1,"dir":"in","type":"close","code":1001}`,
			func(c *rawClient) { io.WriteString(c, mask(0x81, "ping")+mask(0x82, "a")) }, time.Second, at + `expected close 1001, got      binary "a"`},
		"pings before the server's end": {`{"t":1000000000,"conn":1,"dir":"in","type":"close","code":1006}`,
			func(c *rawClient) { io.WriteString(c, mask(0x81, "ping")); c.frame() }, time.Second, ""},
		"a client that does not read": {`{"t":1000000000,"conn":1,"dir":"in","type":"text","text":"a"}`,
			func(*rawClient) {}, 11 * time.Second, at + `expected to send text "a", got      failed to write msg: failed to write frame: context deadline exceeded`},
		"a ping that is not answered": {`{"t":1000000000,"conn":1,"dir":"in","type":"ping","data":""}` + "\n" + `{"t":2000000000,"conn":1,"dir":"in","type":"close","code":1006}`,
			func(c *rawClient) {
				if op, _, err := c.frame(); op != opPing || err != nil {
					c.Close()
				}
			}, 2 * time.Second, ""},
		"a large message": {`{"t":1000000000,"conn":1,"dir":"out","type":"text","text":"` + strings.Repeat("x", 100_000) + `"}`,
			func(c *rawClient) { io.WriteString(c, mask(0x81, strings.Repeat("x", 100_000))) }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := showing(t, 1, openLine, test.line)
				c, began := s.visits(101, ""), time.Now()
				go test.client(c)
				s.ends(began, test.after, test.want)
			})
		})
	}
}

// A server that fell silent does so again: it answers no ping from then on, and what it says is over.
func TestReplayFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := showing(t, 1, openLine, `{"t":8000000000,"conn":1,"dir":"out","type":"text","text":"hello?"}`,
			`{"t":9000000000,"conn":1,"dir":"out","type":"close","code":1006,"silent":4000000000}`)
		c, began := s.visits(101, ""), time.Now()
		pongs := make(chan time.Duration, 9)
		go func() {
			for {
				if op, _, err := c.frame(); err != nil {
					return
				} else if op == opPong {
					pongs <- time.Since(began)
				}
			}
		}()
		for range 9 {
			time.Sleep(time.Second - 1)
			io.WriteString(c, mask(0x89, "p"))
			time.Sleep(time.Nanosecond)
		}
		io.WriteString(c, mask(0x81, "hello?"))
		c.Close()
		s.ends(began, 9*time.Second, "")
		if len(pongs) != 5 {
			t.Errorf("%d pings were answered", len(pongs))
		}
	})
}

// What is no WebSocket, or a page from elsewhere, is no client, and takes no connection from the recording.
func TestReplayIsForClientsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := showing(t, 1, openLine)
		began := time.Now()
		s.visits(400, "Sec-WebSocket-Key: another\r\n").Close()
		s.visits(403, "Origin: http://evil.example\r\n").Close()
		s.visits(101, "Origin: http://localhost:3000\r\n")
		s.ends(began, 0, "")
		if said := s.said.String(); strings.Count(said, "! ") != 2 || !strings.HasSuffix(said, "\n+ connection 1\n- connection 1\n") {
			t.Errorf("it said %q", said)
		}
	})
}

// Ctrl-C ends it at once, whatever it waits for, and is no difference.
func TestReplayThatIsInterrupted(t *testing.T) {
	for _, line := range []string{
		`{"t":5000000000,"conn":1,"dir":"in","type":"text","text":"a"}`,
		`{"t":5000000000,"conn":1,"dir":"out","type":"text","text":"a"}`,
		`{"t":9000000000,"conn":1,"dir":"out","type":"close","code":1006,"silent":4000000000}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := showing(t, 1, openLine, line)
			s.visits(101, "")
			began := time.Now()
			time.AfterFunc(time.Second, s.end)
			s.ends(began, time.Second, "")
			if said := s.said.String(); said != "+ connection 1\n" {
				t.Errorf("it said %q", said)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // without a client
		s, began := showing(t, 1, openLine), time.Now()
		time.AfterFunc(time.Second, s.end)
		s.ends(began, time.Second, "")
	})
	synctest.Test(t, func(t *testing.T) { // a listener that fails
		s, began := showing(t, 1, openLine), time.Now()
		s.l.Close()
		s.ends(began, 0, net.ErrClosed.Error())
	})
}
