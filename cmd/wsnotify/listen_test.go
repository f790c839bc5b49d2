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
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// everything is a message of each kind.
func everything(t *testing.T, srv *wsnotifytest.Server) {
	t.Helper()
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	conn.Notify("mail", "3 new")
	conn.SendText(`{"price": 1.50}`)
	conn.SendText("no JSON")
	conn.SendText("ping")
	conn.SendText("pong")
	conn.SendText(`{"msgType":"mail","content":""}`)
	conn.SendBinary([]byte{0, 255})
}

func TestListenHidesNothing(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	c := start(t, nil, "listen", srv.URL(), "-u", "ada", "--count", "7")
	everything(t, srv)
	c.wants(t, exitOK)
	var got []string
	for line := range strings.Lines(c.out.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		delete(r, "time")
		again, _ := json.Marshal(r)
		got = append(got, string(again))
	}
	want := []string{
		`{"content":"3 new","epoch":1,"fallback":false,"msgType":"mail"}`,
		`{"content":null,"epoch":1,"fallback":true,"msgType":"","raw":{"price":1.5}}`,
		`{"content":null,"epoch":1,"fallback":true,"msgType":"","raw":"no JSON"}`,
		`{"content":null,"epoch":1,"fallback":true,"msgType":"","raw":"ping"}`,
		`{"content":null,"epoch":1,"fallback":true,"msgType":"","raw":"pong"}`,
		`{"content":null,"epoch":1,"fallback":true,"msgType":"","raw":{"content":"","msgType":"mail"}}`,
		`{"binary":"AP8=","content":null,"epoch":1,"fallback":true,"msgType":""}`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("it printed\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(c.out.String(), `"raw":{"price": 1.50}`) && !strings.Contains(c.out.String(), `"raw":{"price":1.50}`) {
		t.Errorf("the number is another in %s", &c.out)
	}
}

func TestListenRaw(t *testing.T) {
	for args, want := range map[string]string{
		"--raw":             "{\"msgType\":\"mail\",\"content\":\"3 new\"}\n{\"price\": 1.50}\nno JSON\nping\npong\n{\"msgType\":\"mail\",\"content\":\"\"}\n\x00\xff\n",
		"--raw --base64 -0": "{\"msgType\":\"mail\",\"content\":\"3 new\"}\x00{\"price\": 1.50}\x00no JSON\x00ping\x00pong\x00{\"msgType\":\"mail\",\"content\":\"\"}\x00AP8=\x00",
	} {
		srv := wsnotifytest.NewServer(t)
		c := start(t, nil, append([]string{"listen", srv.URL(), "-u", "ada", "--count", "7"}, strings.Fields(args)...)...)
		everything(t, srv)
		c.wants(t, exitOK)
		if c.out.String() != want {
			t.Errorf("%s printed %q and not %q", args, &c.out, want)
		}
	}
}

// The text of the library's default is for those who can read it.
func TestListenOnATerminalShowsWhatCame(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	cmd, tty := onTerminal(t, "listen", srv.URL(), "--user", "ada", "--count", "7", "--color", "never")
	everything(t, srv)
	output, _ := io.ReadAll(tty)
	cmd.Wait()
	screen := string(output)
	for _, want := range []string{"mail      3 new", "\"price\": 1.50\r\n", "-         no JSON", "-         ping", "-         pong", "binary    2 bytes: 00 ff"} {
		if !strings.Contains(screen, want) {
			t.Errorf("%q is missing in %q", want, screen)
		}
	}
	if strings.Contains(screen, "您") {
		t.Errorf("there is a text of the library in %q", screen)
	}
}

// Servers that know JSON alone take the text for an error.
func TestTextPingIsSentOnlyIfAskedFor(t *testing.T) {
	for _, test := range []struct {
		args  []string
		texts bool
	}{
		{nil, false},
		{[]string{"--ping-text", "ping"}, true},
	} {
		srv := wsnotifytest.NewServer(t)
		srv.AnswerText("pong")
		c := start(t, nil, append(test.args, "listen", srv.URL(), "-u", "ada", "--heartbeat", "20ms")...)
		if err := srv.WaitHeartbeats(within(t), "ada", 0, 3); err != nil {
			t.Fatal(err)
		}
		texts, _ := srv.Heartbeats("ada")
		if (texts > 0) != test.texts {
			t.Errorf("%v: %d texts were sent", test.args, texts)
		}
		c.cancel()
		c.wants(t, exitOK)
		if c.out.String() != "" {
			t.Errorf("%v: it printed %s", test.args, &c.out)
		}
	}
}

func TestShowPings(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.AnswerText("pong")
	srv.OnConn(func(c *wsnotifytest.Conn) {
		c.Ping("")
		c.Ping("are\x1byou there?")
	})
	file := filepath.Join(t.TempDir(), "recording")
	c := start(t, nil, "listen", srv.URL(), "-u", "ada", "--heartbeat", "20ms", "--ping-text", "ping", "--show-pings", "--raw", "--record", file)
	c.out.Await(within(t), t, "pong\n")
	for _, part := range []string{"pong after ", "ping from the server\n", `ping from the server: "are\x1byou there?"`} {
		c.err.Await(within(t), t, part)
	}
	c.cancel()
	c.wants(t, exitOK)
	if text, err := os.ReadFile(file); err != nil || !bytes.Contains(text, []byte(`"text":"pong"`)) || bytes.Contains(text, []byte(`"type":"p`)) {
		t.Errorf("the recording, %v: %s", err, text)
	}
}

// Each ping is told of, whether it was answered within its time or not, and none while there is no connection.
func TestPingsThatAreToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := wsnotifytest.NewNetwork(t).NewServer()
		client := wsnotify.New(wsnotify.Config{HTTPClient: srv.HTTPClient(), Heartbeat: wsnotify.Heartbeat{Interval: -1}})
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		told := make(chan string, 10)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			defer close(over)
			o := &connection{showPings: true, heartbeat: time.Second}
			o.pings(ctx, client, func(format string, args ...any) { told <- fmt.Sprintf(format, args...) })
		}()
		expect := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			var said []string
			for len(told) > 0 {
				said = append(said, <-told)
			}
			if len(said) != len(want) {
				t.Fatalf("it said %q, want %q", said, want)
			}
			for i := range want {
				if !strings.HasPrefix(said[i], want[i]) {
					t.Errorf("it said %q, want %q", said, want)
				}
			}
		}
		expect(2500*time.Millisecond, "pong after ", "pong after ")
		srv.Everybody().Mute(true)
		expect(2*time.Second, "no pong: ")
		srv.Everybody().Mute(false)
		expect(2*time.Second, "no pong: ", "pong after ", "pong after ") // the first was sent before
		client.Disconnect()
		<-client.Done()
		expect(2 * time.Second)
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		expect(time.Second, "pong after ")
		client.Disconnect()
		<-client.Done()
		cancel()
		<-over
		new(connection).pings(t.Context(), client, nil)
		(&connection{showPings: true, heartbeat: -1}).pings(t.Context(), client, nil)
	})
}

// A message is shown, handed to the command and counted; one that is filtered out, comes too late or can't be printed is not.
func TestMessagesThatListenShows(t *testing.T) {
	full := errors.New("no space left")
	for _, test := range []struct {
		l        listener
		over     bool // before it comes
		msgType  string
		print    error
		printed  bool
		said     string
		seen     int
		canceled bool
	}{
		{l: listener{}, printed: true, seen: 1},
		{l: listener{limit: 2}, printed: true, seen: 1},
		{l: listener{limit: 1}, printed: true, seen: 1, canceled: true},
		{l: listener{limit: 2, seen: 1}, printed: true, seen: 2, canceled: true},
		{l: listener{filter: []string{"a", "b"}}, msgType: "b", printed: true, seen: 1},
		{l: listener{filter: []string{"a", "b"}}, msgType: "c"},
		{l: listener{filter: []string{"a", "b"}}},
		{l: listener{limit: 1}, over: true, canceled: true},
		{l: listener{command: "exit 3"}, printed: true, said: "wsnotify: --exec: exit status 3\n", seen: 1},
		{l: listener{command: "exit 3", limit: 1}, print: full, printed: true, canceled: true},
	} {
		if test.l.command != "" && runtime.GOOS == "windows" {
			continue
		}
		var said bytes.Buffer
		printed := false
		l := &test.l
		l.out = newDisplay(io.Discard, &said, looks{}, false)
		l.ctx, l.cancel = context.WithCancel(t.Context())
		if test.over {
			l.cancel()
		}
		l.show(record{MsgType: test.msgType}, func() error { printed = true; return test.print })
		if printed != test.printed || said.String() != test.said || l.seen != test.seen || l.broken != test.print || (l.ctx.Err() != nil) != test.canceled {
			t.Errorf("%+v: printed %v, it said %q, %d were seen, broken %v, %v", test, printed, &said, l.seen, l.broken, l.ctx.Err())
		}
		l.cancel()
	}
}

// In a pipe, listen prints for programs, unless somebody wants colours.
func TestLooksOfListen(t *testing.T) {
	for args, want := range map[string]string{
		"":                      `{"time":TIME,"msgType":"mail","content":"x","fallback":false,"epoch":1}` + "\n",
		"--color never":         `{"time":TIME,"msgType":"mail","content":"x","fallback":false,"epoch":1}` + "\n",
		"--color always":        "\x1b[2mTIME\x1b[22m  \x1b[1;36mmail    \x1b[22;0m  x\n",
		"--color always --json": `{"time":TIME,"msgType":"mail","content":"x","fallback":false,"epoch":1}` + "\n",
		"--raw --timestamps":    `TIME {"msgType":"mail","content":"x"}` + "\n",
	} {
		inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
			srv := n.NewServer()
			srv.OnConn(func(c *wsnotifytest.Conn) { c.Notify("mail", "x") })
			c := start(t, nil, append([]string{"listen", srv.URL() + "ada", "--count", "1"}, strings.Fields(args)...)...)
			c.ends(t, time.Now(), exitOK, 0, "")
			got := regexp.MustCompile(`"?\d{4}-\d\d-\d\dT[^ ,]*"?|\d\d:\d\d:\d\d`).ReplaceAllString(c.out.String(), "TIME")
			if got != want {
				t.Errorf("%q: %q, want %q", args, got, want)
			}
		})
	}
}

// Of what a client records, the pings of the server are printed, and the file gets what its flags want.
func TestLogOfPings(t *testing.T) {
	const text, in, out, pong = `{"dir":"in","type":"text","text":"x"}` + "\n", `{"dir":"in","type":"ping","data":"aGk="}` + "\n",
		`{"dir":"out","type":"ping","data":"aGk="}` + "\n", `{"dir":"in","type":"pong","data":""}` + "\n"
	for _, frames := range []bool{false, true} {
		var said []string
		var file bytes.Buffer
		cfg := wsnotify.Config{Record: &file, RecordPings: frames}
		(&connection{showPings: true}).serverPings(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }, &cfg)
		if !cfg.RecordPings {
			t.Error("pings are not recorded")
		}
		want := text + text
		if frames {
			want = text + in + out + pong + text + in
		}
		for _, p := range []string{text + in + out, pong, text + in} {
			if n, err := cfg.Record.Write([]byte(p)); n != len(p) || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
		cfg.Record.(*pingLog).print([]byte(`{"dir":"in","type":"ping"}`))
		cfg.Record.(*pingLog).print([]byte(`{"dir":"in","type":"ping"`)) // not all of it
		if got := strings.Join(said, ", "); got != `ping from the server: "hi", ping from the server: "hi", ping from the server` || file.String() != want {
			t.Errorf("frames %v: it said %s, and the file has %q", frames, got, &file)
		}
	}
	var cfg wsnotify.Config
	new(connection).serverPings(nil, &cfg)
	if cfg.Record != nil || cfg.RecordPings {
		t.Errorf("without the flag: %+v", cfg)
	}
	broken := &pingLog{file: brokenFile{}}
	if n, err := broken.Write([]byte(pong)); n != len(pong) || err != nil {
		t.Errorf("nothing for the file: %d, %v", n, err)
	}
	if n, err := broken.Write([]byte(text)); n != 0 || err != io.ErrShortWrite {
		t.Errorf("a file that can't be written: %d, %v", n, err)
	}
}

type brokenFile struct{}

func (brokenFile) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// A server that accepts and closes does not count as one that is there.
func TestServerThatAcceptsAndClosesIsGivenUp(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.OnConn(func(c *wsnotifytest.Conn) { c.Close(1011, "no database") })
	c := start(t, nil, "listen", srv.URL(), "-u", "ada", "--attempts", "2", "--interval", "1ms")
	c.wants(t, exitGaveUp)
	if !strings.Contains(c.err.String(), "no connection after 3 attempts: the server closed with 1011, no database") || srv.Total() != 3 {
		t.Errorf("after %d connections it said %s", srv.Total(), &c.err)
	}
}

// What waiting won't fix ends at once, unless it is asked to go on.
func TestRefusalIsFinal(t *testing.T) {
	for _, status := range []int{200, 302, 401, 403, 404} {
		srv := wsnotifytest.NewServer(t)
		srv.Refuse(-1, status, map[string][]string{"Location": {"https://example.com/login?token=secret"}}, "who are you?")
		c := start(t, nil, "listen", srv.URL(), "-u", "ada")
		c.wants(t, exitRefused)
		says := c.err.String()
		if strings.Contains(says, "secret") || !strings.Contains(says, "who are you?") && status > 400 || status == 302 && !strings.Contains(says, "https://example.com/login") {
			t.Errorf("%d: it said %s", status, says)
		}
		c = start(t, nil, "listen", srv.URL(), "-u", "ada", "--fail-fast=false", "--interval", "1ms", "--attempts", "2")
		c.wants(t, exitRefused)
		if n := len(srv.Handshakes()); n != 4 {
			t.Errorf("%d: there were %d handshakes, and not 1 and 3", status, n)
		}
	}
}

func TestQuietAndVerbose(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Subprotocols("v2")
	for args, want := range map[string]string{
		"-q": "",
		"-v": "subprotocol v2\n",
	} {
		c := start(t, nil, append(strings.Fields(args), "listen", srv.URL(), "-u", "ada", "--count", "1", "--insecure", "-s", "v2", "--interval", "1ms")...)
		conn, err := srv.Conn(within(t), "ada")
		if err != nil {
			t.Fatal(err)
		}
		conn.Drop()
		if conn, err = srv.NthConn(within(t), srv.Total()+1); err != nil {
			t.Fatal(err)
		}
		conn.Notify("mail", "x")
		c.wants(t, exitOK)
		if says := c.err.String(); want == "" && says != "" || !strings.Contains(says, want) {
			t.Errorf("%s: it said %q", args, says)
		}
	}
}

// --verbose shows both sides of a handshake, and no secret of either, also when the server repeats it.
func TestVerboseShowsHandshakes(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.OnHandshake(func(r *http.Request) (int, http.Header) {
		return 0, http.Header{"X-Echo": {"you said " + r.Header.Get("Authorization") + r.URL.RawQuery}, "Set-Cookie": {"s=secret"}}
	})
	srv.Refuse(1, 503, http.Header{"X-Refused": {"yes"}}, "")
	c := start(t, nil, "listen", srv.URL()+"ada?token=secret", "-v", "--interval", "10ms", "--header", "Authorization: Bearer secret",
		"--header", "X-Key: secret", "--origin", "https://page.example", "--count", "1")
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	conn.Notify("mail", "x")
	c.wants(t, exitOK)
	for _, want := range []string{
		"> GET /ws/ada?token=xxxxx HTTP/1.1\n", "> Host: " + srv.Addr(), "> Authorization: xxxxx\n", "> X-Key: xxxxx\n", "> Origin: https://page.example\n",
		"< HTTP/1.1 503 Service Unavailable\n", "< X-Refused: yes\n", "< HTTP/1.1 101 Switching Protocols\n", "< X-Echo: you said xxxxx", "< Set-Cookie: xxxxx\n", "connected to ws://",
	} {
		if !strings.Contains(c.err.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if t.Failed() || strings.Contains(c.err.String(), "secret") {
		t.Errorf("it said %s", &c.err)
	}
}
