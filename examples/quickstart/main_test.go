package main

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestDemo(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-interval", "30ms"}, &stdout, &stderr); code != exitOK {
		t.Errorf("the exit code is %d, and stderr says %s", code, &stderr)
	}
	wantInOrder(t, stdout.String(),
		"server   up at ws://127.0.0.1:",
		"open     connection 1",
		"mail     Charles: The engine is ready",
		"notify   deploy: the server restarts soon",
		"notify   notification: you have something new (Config.Fallback",
		"close    code 1006",
		"wait     reconnect 1 of 6 in 30ms",
		"error    wsnotify: dialling ws://127.0.0.1:",
		"wait     reconnect 2 of 6 in 30ms",
		"open     connection 2",
		"mail     Charles: Did you miss me?",
		"close    code 1000",
		"summary  messages in: 5, out: 1; reconnects: 1; connected for ",
	)
	wantInOrder(t, stdout.String(),
		"state    CLOSED → CONNECTING", "state    CONNECTING → OPEN", "state    OPEN → CLOSED",
		"state    CLOSED → CONNECTING", "state    CONNECTING → CLOSED",
		"state    CLOSED → CONNECTING", "state    CONNECTING → OPEN",
		"state    OPEN → CLOSING", "state    CLOSING → CLOSED")
	wantInOrder(t, stdout.String(),
		"server   gone",
		`enqueue  "written while the server was away"`,
		`server   got "written while the server was away" from ada`)
}

func TestCtrlCClosesCleanly(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	ctx, interrupt := context.WithCancel(t.Context())
	stdout := &output{seen: map[string]func(){
		"open     connection 1":  func() { srv.Notify("bob", "mail", mail{From: "Ada", Subject: "Stop now"}) },
		"mail     Ada: Stop now": interrupt,
	}}
	var stderr bytes.Buffer
	if code := run(ctx, []string{"-url", srv.URL(), "-user", "bob"}, stdout, &stderr); code != exitOK {
		t.Errorf("the exit code is %d, and stderr says %s", code, &stderr)
	}
	conn, err := srv.NthConn(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	<-conn.Done()
	if got := conn.CloseCode(); got != 1000 {
		t.Errorf("the server got close code %d", got)
	}
	wantInOrder(t, stdout.String(), "OPEN → CLOSING", "CLOSING → CLOSED", "close    code 1000", "summary  ")
}

func TestGivesUp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"-url", "ws://" + unusedAddress(t), "-interval", "1ms", "-attempts", "2"}
	if code := run(t.Context(), args, &stdout, &stderr); code != exitFailed {
		t.Errorf("the exit code is %d", code)
	}
	wantInOrder(t, stdout.String(), "wait     reconnect 1 of 2", "wait     reconnect 2 of 2", "give up  after 3 dials", "summary  ")
	wantInOrder(t, stderr.String(), "quickstart: wsnotify: giving up after 3 attempts: ")
}

func TestWrongFlags(t *testing.T) {
	for _, args := range [][]string{{"-interval", "-1s"}, {"-attempts", "-1"}, {"-nonsense"}, {"ws://example.com"}} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code != exitUsage {
			t.Errorf("%q: the exit code is %d", args, code)
		}
		if stdout.Len() > 0 || !strings.Contains(stderr.String(), "Usage of quickstart") {
			t.Errorf("%q: stdout says %q, stderr %q", args, &stdout, &stderr)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-url", "ftp://example.com"}, &stdout, &stderr); code != exitFailed {
		t.Errorf("a wrong url: the exit code is %d", code)
	}
	wantInOrder(t, stderr.String(), `it must be ws, wss, http or https`)
}

// output keeps what was printed and reacts to the first line that holds a key
// of seen.
type output struct {
	bytes.Buffer
	seen map[string]func()
}

func (o *output) Write(line []byte) (int, error) {
	for part, react := range o.seen {
		if bytes.Contains(line, []byte(part)) {
			delete(o.seen, part)
			react()
		}
	}
	return o.Buffer.Write(line)
}

// wantInOrder fails the test unless some lines of the output hold parts, in
// their order.
func wantInOrder(t *testing.T, output string, parts ...string) {
	t.Helper()
	rest := strings.Split(output, "\n")
	for _, part := range parts {
		i := slices.IndexFunc(rest, func(line string) bool { return strings.Contains(line, part) })
		if i < 0 {
			t.Errorf("%q is missing, or not in its place, in\n%s", part, output)
			return
		}
		rest = rest[i+1:]
	}
}

// unusedAddress returns an address of loopback at which nothing listens.
func unusedAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
