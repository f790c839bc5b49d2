//go:build linux

package interop

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// daemon is a proxy in the foreground, with a folder and a port of its own.
type daemon struct {
	t    testing.TB
	dir  string
	addr string
	cmd  *exec.Cmd
	done chan struct{}
}

// newDaemon writes a configuration, in which DIR and ADDR stand for the
// folder and the address to listen on.
func newDaemon(t testing.TB, config string) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir(), addr: localPort(t)}
	host, port, _ := net.SplitHostPort(d.addr)
	config = strings.NewReplacer("DIR", d.dir, "ADDR", d.addr, "HOST", host, "PORT", port).Replace(config)
	if err := os.WriteFile(d.config(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.cmd != nil {
			d.end(syscall.SIGTERM)
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			t.Logf("%s says\n%s", d.cmd, log)
		}
	})
	return d
}

func (d *daemon) config() string { return filepath.Join(d.dir, "config") }

// start starts the program and waits until it listens.
func (d *daemon) start(program string, args ...string) {
	t := d.t
	t.Helper()
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// Its workers are in a group of their own, to be ended with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	d.cmd, d.done = cmd, done
	for deadline := time.Now().Add(waitLimit); ; {
		conn, err := net.Dial("tcp", d.addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", program, err)
		}
		time.Sleep(20 * time.Millisecond) // nothing tells when another program listens
	}
}

// end sends a signal and waits for the end.
func (d *daemon) end(s syscall.Signal) {
	d.cmd.Process.Signal(s)
	select {
	case <-d.done:
	case <-time.After(waitLimit):
		d.t.Errorf("%s did not end", d.cmd)
	}
	syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) // workers that were left
	<-d.done
}

func (d *daemon) url() string { return "ws://" + d.addr + "/ws/" }

// idle shows what a proxy does that cuts idle connections after 1.5 s: without
// a heartbeat it cuts, and with any kind of it does not.
func idle(t *testing.T, s *server, url string, hc wsnotify.Config) {
	with := func(hb wsnotify.Heartbeat) *client {
		cfg := hc
		cfg.BackOff, cfg.Heartbeat = quick, hb
		c := newClient(t, cfg)
		c.connect(url)
		return c
	}
	none := with(wsnotify.Heartbeat{Interval: -1})
	beat := 400 * time.Millisecond
	both := with(wsnotify.Heartbeat{Interval: beat})
	pings := with(wsnotify.Heartbeat{Interval: beat, NoText: true})
	oneWay := with(wsnotify.Heartbeat{Interval: beat, Timeout: -1, Text: "unanswered"})
	e := none.closed(1)
	wantLost(t, e)
	t.Logf("an idle connection was cut after %v: %v", e.Failure.Uptime, e.Failure.Err)
	if e.Failure.Uptime < 1300*time.Millisecond || e.Failure.Uptime > 4*time.Second {
		t.Errorf("after %v", e.Failure.Uptime)
	}
	beats := 0
	s.await(t, 0, waitLimit, "12 heartbeats", func(l line) bool {
		if l.Text == "unanswered" {
			beats++
		}
		return beats == 12
	})
	for name, c := range map[string]*client{"text and ping": both, "ping": pings, "text without an answer": oneWay} {
		if st := c.Status(); st.ReadyState != wsnotify.Open || st.Epoch != 1 {
			t.Errorf("with a heartbeat (%s): %+v", name, st)
		}
	}
}

// hang accepts connections and says nothing.
func hang(t testing.TB) (addr string) {
	t.Helper()
	return testkit.Listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
}
