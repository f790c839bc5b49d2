package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// TestMain is the service itself when a test has started it as one.
func TestMain(m *testing.M) {
	if os.Getenv("SERVICE") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is the service as a process of its own.
type process struct {
	*exec.Cmd
	log *bufio.Reader
	web string // http://…
}

func start(t *testing.T, srv *wsnotifytest.Server) *process {
	p := &process{Cmd: exec.CommandContext(t.Context(), os.Args[0], "-web", "127.0.0.1:0", srv.URL())}
	p.Env = append(os.Environ(), "SERVICE=1")
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	p.log = bufio.NewReader(stderr)
	addr := regexp.MustCompile(`addr=(\S+)`).FindStringSubmatch(p.says(t, "health and metrics"))
	p.web = "http://" + addr[1]
	return p
}

// says waits for a line of the log.
func (p *process) says(t *testing.T, part string) string {
	t.Helper()
	for {
		line, err := p.log.ReadString('\n')
		if err != nil {
			t.Fatalf("the log has no %q: %v", part, err)
		}
		if strings.Contains(line, part) {
			return line
		}
	}
}

func (p *process) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(p.web + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// until asks again until the answer is that.
func (p *process) until(t *testing.T, path string, status int) string {
	t.Helper()
	for t.Context().Err() == nil {
		if got, body := p.get(t, path); got == status {
			return body
		}
		runtime.Gosched()
	}
	return ""
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestTerminates(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM")
	}
	srv := wsnotifytest.NewServer(t)
	p := start(t, srv)
	conn, err := srv.Conn(within(t), "worker-1")
	if err != nil {
		t.Fatal(err)
	}
	var state report
	if err := json.Unmarshal([]byte(p.until(t, "/readyz", 200)), &state); err != nil || state.State != "OPEN" || state.OpenSince == nil {
		t.Errorf("it reports %+v, %v", state, err)
	}
	if _, metrics := p.get(t, "/metrics"); !strings.Contains(metrics, `wsnotify_connection_state{client="orders",state="open"} 1`) {
		t.Errorf("the metrics are\n%s", metrics)
	}

	conn.Notify("order", order{ID: 7, Item: "tea"})
	conn.Notify("order", order{ID: 8, Item: "cake"})
	p.says(t, "order=8")
	p.Process.Signal(syscall.SIGTERM)
	got, err := srv.WaitMessages(within(t), "worker-1", 2)
	if err != nil || !strings.Contains(strings.Join(got, " "), `{"done":7}`) || !strings.Contains(strings.Join(got, " "), `{"done":8}`) {
		t.Errorf("the receipts are %q, %v", got, err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if code := conn.CloseCode(); code != 1000 {
		t.Errorf("it closed with %d", code)
	}
}

func TestLivesWithoutAConnection(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	p := start(t, srv)
	p.until(t, "/readyz", 200)
	srv.Stop()
	body := p.until(t, "/readyz", 503)
	if status, _ := p.get(t, "/livez"); status != 200 {
		t.Errorf("/livez answers %d", status)
	}
	if !strings.Contains(body, "lastFailure") {
		t.Errorf("it reports %s", body)
	}
}

func TestEndsWhenItIsRefused(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Refuse(-1, http.StatusForbidden, nil, "")
	p := start(t, srv)
	if err := p.Wait(); p.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
}

// stopAt collects a log, and stops the service when a line has that part.
type stopAt struct {
	bytes.Buffer
	part string
	stop func()
}

func (s *stopAt) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(s.part)) {
		s.stop()
	}
	return s.Buffer.Write(line)
}

// Without an address it works on what the script sends until it is stopped.
func TestDemo(t *testing.T) {
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	out := &stopAt{part: "order=2", stop: stop}
	log := slog.New(slog.NewTextHandler(out, nil)) // which writes one line at a time
	err = demo.Serve(ctx, nil, io.Discard, func(ctx context.Context, url string, _ io.Writer) error {
		return run(ctx, url, web, log)
	}, script)
	if err != nil {
		t.Error(err)
	}
	for _, want := range []string{"msg=working order=1", "epoch=2", "msg=ending", "code=1000"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}
