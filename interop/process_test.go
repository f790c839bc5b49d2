//go:build linux

package interop

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	asServer = "WSNOTIFY_INTEROP_SERVER" // starts this test binary as that server
	asClient = "WSNOTIFY_INTEROP_CLIENT" // starts it as a client of that address
	must     = "WSNOTIFY_INTEROP"        // "must": what is missing is a failure

	waitLimit = 20 * time.Second // for what comes at once unless something is wrong
)

func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv(asServer) != "":
		err = serveGo(os.Getenv(asServer), os.Args[1])
	case os.Getenv(asClient) != "":
		err = runClient(os.Getenv(asClient))
	default:
		flag.Parse()
		if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
			f.Value.Set("16") // most of them wait, and not for a core
		}
		code := m.Run()
		os.RemoveAll(programs.dir)
		os.Exit(code)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// missing skips the test, or fails it where everything has to be there.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(must) == "must" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// need returns the path of a program.
func need(t testing.TB, program, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(t, "%s is not installed: %s", program, install)
	}
	return path
}

// process is a child that tells what it does in lines.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and all its lines were read

	mu    sync.Mutex
	lines []line
	times []time.Time
	news  chan struct{} // closed and replaced at each line
}

// start starts a child, which ends with the test at the latest.
func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, done: make(chan struct{}), news: make(chan struct{})}
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var l line
			if json.Unmarshal(lines.Bytes(), &l) == nil { // the last one of a killed process may be torn
				p.mu.Lock()
				p.lines, p.times = append(p.lines, l), append(p.times, time.Now())
				close(p.news)
				p.news = make(chan struct{})
				p.mu.Unlock()
			}
		}
		cmd.Wait()
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGCONT)
		p.kill()
		if t.Failed() {
			lines := p.history()
			t.Logf("%s reported at last %v\n%s", cmd, lines[max(0, len(lines)-20):], stderr.String())
		}
	})
	return p
}

func (p *process) signal(s syscall.Signal) { p.cmd.Process.Signal(s) }

// kill ends it without a word.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// stop asks it to end and waits for that.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(waitLimit):
		t.Errorf("%s did not end", p.cmd)
		p.kill()
	}
}

func (p *process) history() []line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]line(nil), p.lines...)
}

// numbered returns the numbered messages that a server got, without what is
// behind their numbers.
func (p *process) numbered() (texts []string) {
	for _, l := range p.history() {
		if l.Event == "text" && strings.HasPrefix(l.Text, "n ") {
			texts = append(texts, l.Text[:len(numbered(0))])
		}
	}
	return texts
}

// await waits for a line after the first skip of them, and returns it with
// its place and time.
func (p *process) await(t testing.TB, skip int, within time.Duration, what string, is func(line) bool) (line, int, time.Time) {
	t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		p.mu.Lock()
		lines, times, news := p.lines, p.times, p.news
		p.mu.Unlock()
		for ; skip < len(lines); skip++ {
			if is(lines[skip]) {
				return lines[skip], skip, times[skip]
			}
		}
		select {
		case <-news:
		case <-p.done:
			if p.mu.Lock(); len(p.lines) == skip {
				p.mu.Unlock()
				t.Fatalf("%s ended before it reported %s", p.cmd, what)
			}
			p.mu.Unlock()
		case <-timer.C:
			t.Fatalf("%s did not report %s within %v", p.cmd, what, within)
		}
	}
}

func event(name string) func(line) bool {
	return func(l line) bool { return l.Event == name }
}

// server is a test server that can come back on its port.
type server struct {
	t    testing.TB
	kind string
	options
	netns string // where it runs; empty for here
	*process
}

// kinds are the servers that speak WebSocket to the client.
var kinds = []string{"gorilla", "gws", "gobwas", "node ws", "python websockets"}

// serve starts a server on loopback.
func serve(t testing.TB, kind string, o options) *server {
	t.Helper()
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Port == 0 {
		o.Port = freePort(t)
	}
	s := &server{t: t, kind: kind, options: o}
	s.start()
	return s
}

// start starts it again.
func (s *server) start() {
	t := s.t
	t.Helper()
	s.HTTP2 = s.kind == "node http2"
	o, err := json.Marshal(s.options)
	if err != nil {
		t.Fatal(err)
	}
	var command []string
	if s.netns != "" {
		command = []string{"ip", "netns", "exec", s.netns}
	}
	env := os.Environ()
	switch s.kind {
	case "node ws", "node http2":
		command = append(append(command, node(t, "ws", "server.js")...), string(o))
	case "graphql-ws":
		command = append(append(command, node(t, "graphql-ws", "graphql.js")...), string(o))
	case "socket.io":
		command = append(append(command, node(t, "socket.io", "socketio.js")...), string(o))
	case "rpc", "centrifuge":
		command = append(command, build(t, s.kind), string(o))
	case "python websockets":
		// Debian's, which another python3 in the PATH would not find.
		const python = "/usr/bin/python3"
		if err := exec.Command(python, "-c", "import websockets").Run(); err != nil {
			missing(t, "the package websockets is not installed: apt-get install python3-websockets")
		}
		command = append(command, python, "testdata/server.py", string(o))
	default:
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		command = append(command, self, string(o))
		env = append(env, asServer+"="+s.kind)
		if s.kind == "go http2" {
			env = append(env, "GODEBUG=http2xconnect=1") // extended CONNECT is off otherwise
		}
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = env
	s.process = start(t, cmd)
	s.await(t, 0, waitLimit, "listening", event("listening"))
}

func (s *server) addr() string { return net.JoinHostPort(s.Host, fmt.Sprint(s.Port)) }

func (s *server) url() string {
	if s.Cert != "" {
		return "wss://" + s.addr() + "/ws/"
	}
	return "ws://" + s.addr() + "/ws/"
}

var lastPort atomic.Int32

func init() { lastPort.Store(int32(os.Getpid()%6000) * 2) }

// freePort returns a port that nobody listens on, below those that the kernel
// gives to outgoing connections: one of those could take it while its server
// is down, or even be connected to itself.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 20000 + int(lastPort.Add(1))%12000
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("there is no free port")
	return 0
}

func localPort(t testing.TB) (addr string) {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", freePort(t))
}
