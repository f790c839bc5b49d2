package migrating

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify/tests/migrating/internal/after"
	"github.com/wsnotify/wsnotify/tests/migrating/internal/coder"
	"github.com/wsnotify/wsnotify/tests/migrating/internal/gorilla"
	"github.com/wsnotify/wsnotify/tests/migrating/internal/nhooyr"
	"github.com/wsnotify/wsnotify/tests/migrating/internal/recws"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// programs are the columns of the table.
var programs = []struct {
	name string
	run  func(ctx context.Context, url, token string, handle func([]byte)) error
}{
	{"gorilla", gorilla.Run},
	{"coder", coder.Run},
	{"nhooyr", nhooyr.Run},
	{"wsnotify: `stayConnected`", after.Run},
	{"recws", recws.Run},
	{"wsnotify: `pullMessages`", after.Pull},
}

const (
	programEnv = "WSNOTIFY_MIGRATING_PROGRAM"
	urlEnv     = "WSNOTIFY_MIGRATING_URL"
)

// TestMain is a program of the table if a test has started it as one: it says
// what it gets, and what it returns, and its ctx ends with its standard input.
func TestMain(m *testing.M) {
	name := os.Getenv(programEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	for _, p := range programs {
		if p.name == name {
			err := p.run(ctx, os.Getenv(urlEnv), "token", func(data []byte) { fmt.Println("got", short(data)) })
			fmt.Println("returned", err)
		}
	}
}

func short(data []byte) string {
	if len(data) > 20 {
		return fmt.Sprint(len(data), " bytes")
	}
	return fmt.Sprintf("%q", data)
}

// What becomes of a program. It has shown the answer of "gone" only when the
// time for it is over, so timeout is longer than any of them needs for the
// others: the heartbeats find a dead link within 25 s.
const timeout = 30 * time.Second

// subject is a program under way.
type subject struct {
	srv   *wsnotifytest.Server
	stdin io.Closer

	mu       sync.Mutex
	lines    []string
	returned bool
	exited   bool
	changed  chan struct{}
}

func (s *subject) note(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// sees waits until the program has said a line, or has ended, or timeout has passed.
func (s *subject) sees(line string) bool {
	return s.until(func() bool { return slices.Contains(s.lines, line) })
}

func (s *subject) until(is func() bool) bool { return s.within(timeout, is) }

func (s *subject) within(d time.Duration, is func() bool) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		s.mu.Lock()
		done, over, changed := is(), s.returned || s.exited, s.changed
		s.mu.Unlock()
		if done || over {
			return done
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

// ending is how the program has ended, or what it does instead.
func (s *subject) ending(otherwise string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.returned:
		return "returns"
	case s.exited:
		return "**ends the process**"
	}
	return otherwise
}

// comesBack says whether the program gets a message over another connection.
func comesBack(s *subject) string {
	if s.sees(`got "again"`) {
		return "connects again"
	}
	return s.ending("**gets nothing any more**")
}

// arrives says whether a message of a size reaches the program.
func arrives(size int) func(*subject) string {
	return func(s *subject) string {
		go s.srv.LiveConns()[0].SendText(strings.Repeat("x", size)) // fails if the client closes meanwhile
		large := fmt.Sprintf("got %d bytes", size)
		if s.until(func() bool { return slices.Contains(s.lines, large) || slices.Contains(s.lines, `got "again"`) }) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if slices.Contains(s.lines, large) {
				return "arrives"
			}
			return "loses the connection"
		}
		return s.ending("gets nothing any more")
	}
}

// faults are the rows of the table. before is done to the server before the
// program dials; then, if first is not set, happens once it has got a message.
var faults = []struct {
	does   string
	before func(*wsnotifytest.Server)
	url    string
	first  bool // there is no connection before then
	then   func(*subject) string
}{
	{does: "the server is not there, and comes 3 s later", first: true,
		before: func(srv *wsnotifytest.Server) { srv.Stop() },
		then:   func(s *subject) string { time.Sleep(3 * time.Second); s.srv.Start(); return greeted(s) }},
	{does: "the first handshake is answered with 503", first: true,
		before: func(srv *wsnotifytest.Server) { srv.Refuse(1, http.StatusServiceUnavailable, nil, "") }, then: greeted},
	{does: "every handshake is answered with 401", first: true,
		before: func(srv *wsnotifytest.Server) { srv.Refuse(-1, http.StatusUnauthorized, nil, "") },
		then: func(s *subject) string {
			for range 200 {
				if len(s.srv.Handshakes()) > 1 {
					return "tries again"
				}
				if end := s.ending(""); end != "" {
					return end
				}
				time.Sleep(timeout / 200)
			}
			return "waits"
		}},
	{does: "the first handshake is answered with a redirect", first: true,
		before: func(srv *wsnotifytest.Server) {
			srv.Refuse(1, http.StatusFound, http.Header{"Location": {"/elsewhere"}}, "")
		},
		then: func(s *subject) string {
			switch got := greeted(s); {
			case got != "connects":
				return got
			case strings.Contains(s.srv.Handshakes()[1].URL.Path, "elsewhere"):
				return "follows it"
			}
			return "connects at the next attempt"
		}},
	{does: "the address has the scheme `htp://`", url: "htp://localhost/", first: true,
		then: func(s *subject) string { s.until(func() bool { return false }); return s.ending("tries again") }},
	{does: "the connection is dropped (FIN)", then: func(s *subject) string { s.srv.LiveConns()[0].Drop(); return comesBack(s) }},
	{does: "the link goes dead (half-open)", then: func(s *subject) string { s.srv.LiveConns()[0].BlackHole(true); return comesBack(s) }},
	{does: "the server closes with 1000", then: closes(1000)},
	{does: "the server closes with 1001", then: closes(1001)},
	{does: "the server closes with 1008", then: closes(1008)},
	{does: "text that is not UTF-8", then: func(s *subject) string {
		_ = s.srv.LiveConns()[0].WriteFrame(true, wsnotifytest.OpText, []byte{0xff})
		if s.until(func() bool { return slices.Contains(s.lines, `got "\xff"`) || slices.Contains(s.lines, `got "again"`) }) && s.sees(`got "\xff"`) {
			return "arrives"
		}
		return s.ending("loses the connection")
	}},
	{does: "a message of 100 KiB", then: arrives(100 << 10)},
	{does: "a message of 2 MiB", then: arrives(2 << 20)},
	{does: "ctx ends while nothing comes, and 3 s later", then: func(s *subject) string {
		s.stdin.Close()
		s.within(3*time.Second, func() bool { return false }) // well before recws pings for the first time, and drops a connection that is well
		return s.ending("**goes on**")
	}},
}

func closes(code int) func(*subject) string {
	return func(s *subject) string { go s.srv.LiveConns()[0].Close(code, ""); return comesBack(s) }
}

// greeted says whether the program connects for the first time.
func greeted(s *subject) string {
	if s.sees(`got "hello"`) {
		return "connects"
	}
	return s.ending("**gets nothing**")
}

// try runs one program against one fault.
func try(t *testing.T, program string, fault int) (result string) {
	f := faults[fault]
	err := wsnotifytest.Run(func(tb wsnotifytest.TB) {
		srv := wsnotifytest.NewServer(tb)
		srv.AllowViolations() // recws closes without a close frame, for one
		srv.AllowOpenConns()
		greetings := []string{"hello", "again"}
		var mu sync.Mutex
		srv.OnConn(func(c *wsnotifytest.Conn) {
			mu.Lock()
			text := greetings[0]
			greetings = greetings[len(greetings)-1:]
			mu.Unlock()
			_ = c.SendText(text)
		})
		if f.before != nil {
			f.before(srv)
		}
		url := f.url
		if url == "" {
			url = srv.URL()
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), programEnv+"="+program, urlEnv+"="+url)
		cmd.Stderr = io.Discard
		stdin, err := cmd.StdinPipe()
		if err != nil {
			tb.Fatalf("%v", err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			tb.Fatalf("%v", err)
		}
		if err := cmd.Start(); err != nil {
			tb.Fatalf("%v", err)
		}
		s := &subject{srv: srv, stdin: stdin, changed: make(chan struct{})}
		read := make(chan struct{})
		go func() {
			defer close(read)
			for lines := bufio.NewScanner(stdout); lines.Scan(); {
				s.note(func() {
					s.lines = append(s.lines, lines.Text())
					s.returned = s.returned || strings.HasPrefix(lines.Text(), "returned")
				})
			}
			s.note(func() { s.exited = true })
		}()
		if f.first || s.sees(`got "hello"`) {
			result = f.then(s)
		} else {
			result = "did not connect"
		}
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	if err != nil {
		t.Errorf("%s, %s: %v", program, f.does, err)
	}
	return result
}

// together is how many programs run at once: they mostly wait.
const together = 24

// table runs every program against every fault.
func table(t *testing.T) string {
	results := make([][]string, len(faults))
	var wg sync.WaitGroup
	slots := make(chan bool, together)
	for i := range faults {
		results[i] = make([]string, len(programs))
		for j, p := range programs {
			slots <- true
			wg.Go(func() {
				defer func() { <-slots }()
				results[i][j] = try(t, p.name, i)
			})
		}
	}
	wg.Wait()
	var b strings.Builder
	b.WriteString("|")
	for _, p := range programs {
		b.WriteString(" | " + p.name)
	}
	b.WriteString(" |\n|" + strings.Repeat(" --- |", len(programs)+1) + "\n")
	for i, f := range faults {
		fmt.Fprintf(&b, "| %s | %s |\n", f.does, strings.Join(results[i], " | "))
	}
	return b.String()
}

const (
	page       = "../../docs/migrating.md"
	tableBegin = "<!-- The table is written by: (cd tests/migrating && go test . -run TestMigratingTable -update) -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

var update = flag.Bool("update", false, "write the table of docs/migrating.md anew")

// The page says of each program what it does, and nothing else.
func TestMigratingTable(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(text, []byte(tableBegin))
	old, tail, ok2 := bytes.Cut(rest, []byte(tableEnd))
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", page)
	}
	now := "\n" + table(t) + "\n"
	if *update {
		if err := os.WriteFile(page, slices.Concat(head, []byte(tableBegin+now+tableEnd), tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if now != string(old) {
		t.Errorf("the page says\n%s\nand the programs did\n%s", old, now)
	}
}

// coder and nhooyr differ in the name of the library, as the page says.
func TestNhooyrIsCoder(t *testing.T) {
	var programs []string
	for _, file := range []string{"internal/coder/coder.go", "internal/nhooyr/nhooyr.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, program, _ := strings.Cut(string(source), "\n)\n")
		programs = append(programs, program)
	}
	if programs[0] != programs[1] || len(programs[0]) < 500 {
		t.Errorf("the programs are\n%s", strings.Join(programs, "\n---\n"))
	}
}

// The page shows the programs that run here.
func TestMigratingCode(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for i, part := range strings.Split(string(text), "```") {
		if body, ok := strings.CutPrefix(part, "go\n"); i%2 == 1 && ok {
			shown = append(shown, strings.TrimSpace(body))
		}
	}
	for _, file := range []string{"internal/gorilla/gorilla.go", "internal/coder/coder.go", "internal/recws/recws.go", "internal/after/after.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(source), "// --- begin\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s has no code for the page", file)
		}
		for _, block := range blocks {
			code, _, _ := strings.Cut(block, "// --- end")
			if !slices.Contains(shown, strings.TrimSpace(code)) {
				t.Errorf("%s does not show this of %s:\n%s", page, file, code)
			}
		}
	}
}
