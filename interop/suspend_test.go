//go:build linux

package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// A process that is stopped for a minute, as by SIGSTOP or a debugger, keeps
// its sockets and misses its timers.
const nap = time.Minute

// runClient is a client process: it connects with the defaults but for a
// quick reconnect, and tells what happens.
func runClient(url string) error {
	c := wsnotify.New(wsnotify.Config{
		BackOff: quick,
		OnOpen:  func(e wsnotify.OpenEvent) { emit(line{Event: "open", Conn: int(e.Epoch)}) },
		OnClose: func(e wsnotify.CloseEvent) {
			text := e.Failure.Initiator.String()
			if errors.Is(e.Failure.Err, wsnotify.ErrHeartbeatTimeout) {
				text = "heartbeat"
			}
			emit(line{Event: "close", Conn: int(e.Epoch), Code: int(e.Code), Text: text})
		},
		OnNotification: func(n wsnotify.Notification) { emit(line{Event: "notification", Text: n.Content}) },
	})
	go func() { // as long as it lives
		for range time.Tick(100 * time.Millisecond) {
			emit(line{Event: "rtt", Code: int(c.Status().RTT)})
		}
	}()
	return c.Run(context.Background(), url, "ada")
}

// spawn starts a client process that is open for long enough to have had its
// first heartbeat answered.
func spawn(t testing.TB, s *server) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asClient+"="+s.url())
	p := start(t, cmd)
	p.await(t, 0, waitLimit, "the connection", event("open"))
	p.await(t, 0, waitLimit, "an answered heartbeat", func(l line) bool { return l.Event == "rtt" && l.Code > 0 })
	return p
}

// sleep stops a process for so long, does something meanwhile, and lets it go
// on. It returns the moment of that, and how many lines there were before.
func (p *process) sleep(t testing.TB, d time.Duration, meanwhile func()) (woken time.Time, skip int) {
	t.Helper()
	p.halt(t)
	begin := time.Now()
	if meanwhile != nil {
		meanwhile()
	}
	time.Sleep(d - time.Since(begin)) // what is measured is what real time does
	skip = len(p.history())
	woken = time.Now()
	p.signal(syscall.SIGCONT)
	return woken, skip
}

// halt stops a process, and returns when all of its threads have stopped.
func (p *process) halt(t testing.TB) {
	t.Helper()
	p.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the process did not stop: %v, %v", status, err)
	}
}

// still says that a client keeps its connection for so long.
func (p *process) still(t testing.TB, skip int, d time.Duration) {
	t.Helper()
	until := time.Now().Add(d)
	p.await(t, skip, d+waitLimit, "life", func(l line) bool { return l.Event == "close" || !time.Now().Before(until) })
	for _, l := range p.history() {
		if l.Event == "close" {
			t.Errorf("a connection that lives was given up: %+v", l)
		}
	}
}

func TestSuspendedClient(t *testing.T) {
	t.Parallel()
	t.Run("the server lives", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		p := spawn(t, s)
		before := len(s.history())
		woken, skip := p.sleep(t, nap, nil)
		_, _, at := s.await(t, before, 2*time.Second, "a heartbeat", func(l line) bool { return l.Text == "ping" })
		t.Logf("asked %v after it woke", at.Sub(woken))
		if d := at.Sub(woken); d > time.Second {
			t.Errorf("the first heartbeat came %v after waking", d)
		}
		p.still(t, skip, 13*time.Second)
	})
	t.Run("an answer comes meanwhile", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		p := spawn(t, s)
		// A beat that nobody answers is under way when the client is stopped,
		// and would have been overdue for long when it wakes.
		s.halt(t)
		time.Sleep(7 * time.Second)
		_, skip := p.sleep(t, 20*time.Second, func() { s.signal(syscall.SIGCONT) })
		p.still(t, skip, 13*time.Second)
	})
	t.Run("the server talks", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "gorilla", options{})
		p := spawn(t, s)
		// The other client has the server say something to all, each second.
		const n = 50
		other := newClient(t, wsnotify.Config{BackOff: quick})
		other.connect(s.url())
		woken, skip := p.sleep(t, nap, func() {
			for i := range n {
				if err := other.SendMessage(context.Background(), fmt.Sprintf(`all {"msgType":"n","content":"%d"}`, i)); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
			}
		})
		_, _, at := p.await(t, skip, waitLimit, "the last notification", func(l line) bool { return l.Event == "notification" && l.Text == itoa(n-1) })
		t.Logf("all of them reported %v after it woke", at.Sub(woken))
		var got []string
		for _, l := range p.history() {
			if l.Event == "notification" {
				got = append(got, l.Text)
			}
		}
		if len(got) != n || got[0] != "0" {
			t.Errorf("of %d notifications %d came: %v", n, len(got), got)
		}
		p.still(t, skip, 13*time.Second)
	})
	for name, end := range map[string]struct {
		do   func(*server)
		code int
		text string
	}{
		"the server was killed":  {func(s *server) { s.kill() }, 1006, "network"},
		"the server was stopped": {func(s *server) { s.stop(s.t) }, 1001, "remote"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "gorilla", options{})
			p := spawn(t, s)
			woken, skip := p.sleep(t, nap, func() { end.do(s) })
			l, _, at := p.await(t, skip, waitLimit, "the end", event("close"))
			t.Logf("noticed %v after it woke: %+v", at.Sub(woken), l)
			if at.Sub(woken) > time.Second || l.Code != end.code || l.Text != end.text || l.Conn != 1 {
				t.Errorf("%v after waking: %+v", at.Sub(woken), l)
			}
			s.start()
			p.await(t, skip, waitLimit, "the next connection", func(l line) bool { return l.Event == "open" && l.Conn == 2 })
		})
	}
	t.Run("the link died", func(t *testing.T) {
		t.Parallel()
		n := newNetns(t)
		s := n.serve(t)
		p := spawn(t, s)
		woken, skip := p.sleep(t, nap, func() { n.drop(t, "input", "output") })
		l, _, at := p.await(t, skip, waitLimit, "the end", event("close"))
		t.Logf("noticed %v after it woke: %+v", at.Sub(woken), l)
		if at.Sub(woken) > 13*time.Second || l.Text != "heartbeat" {
			t.Errorf("%v after waking: %+v", at.Sub(woken), l)
		}
		n.restore(t)
		p.await(t, skip, waitLimit, "the next connection", func(l line) bool { return l.Event == "open" && l.Conn == 2 })
	})
}

// A server that is stopped keeps its connections, which the kernel goes on to
// acknowledge; nobody answers.
func TestSuspendedServer(t *testing.T) {
	t.Parallel()
	s := serve(t, "gorilla", options{})
	c := newClient(t, wsnotify.Config{})
	c.connect(s.url())
	s.halt(t)
	stopped := time.Now()
	c.wantNoticed(stopped)
	// While it is stopped the kernel takes connections for it; the attempts
	// are bounded by DialTimeout.
	s.signal(syscall.SIGCONT)
	c.opened(2)
	c.say(`{"msgType":"a","content":"b"}`)
	c.notification(0)
}

// A server whose process has stopped says nothing, though its host acknowledges
// whatever comes. It is noticed as a dead link is.
func TestServerThatHasStopped(t *testing.T) {
	t.Parallel()
	s := serve(t, "gorilla", options{})
	c := newClient(t, wsnotify.Config{}) // the defaults
	c.connect(s.url())
	c.opened(1)
	s.signal(syscall.SIGSTOP)
	stopped := time.Now()
	e := c.closed(1)
	noticed := time.Since(stopped)
	s.signal(syscall.SIGCONT)
	wantLost(t, e)
	t.Logf("noticed after %v: %v", noticed.Round(time.Millisecond), e.Failure.Err)
	if noticed > 13*time.Second || !errors.Is(e.Failure.Err, wsnotify.ErrHeartbeatTimeout) {
		t.Errorf("noticed after %v: %v", noticed, e.Failure.Err)
	}
	c.opened(2)
}
