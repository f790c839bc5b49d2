package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestChromium(t *testing.T) {
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: nothing of a browser is tested; apt-get install chromium")
	}
	p := open(t, func(ctx context.Context, url, dir string) *exec.Cmd {
		return exec.CommandContext(ctx, program,
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
			"--user-data-dir="+dir, "--remote-debugging-port=0", "--enable-logging=stderr", url)
	})
	all(t, p)
	t.Run("page events", func(t *testing.T) { pageEvents(t, p) })
	t.Run("states", func(t *testing.T) { states(t, p) })
	t.Run("nothing is left", func(t *testing.T) { nothingLeft(t, p) })
}

func TestNode(t *testing.T) {
	program, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: its WebSocket is not tested")
	}
	var flags []string
	for _, f := range [][]string{nil, {"--experimental-websocket"}} {
		if exec.Command(program, append(f, "-e", "if (!globalThis.WebSocket) process.exit(1)")...).Run() == nil {
			flags = append(f, flags...)
			goto found
		}
	}
	t.Skip("this node has no WebSocket")
found:
	glue := glueFile(t)
	p := open(t, func(ctx context.Context, url, dir string) *exec.Cmd {
		main := filepath.Join(dir, "main.js")
		os.WriteFile(main, fmt.Appendf(nil, "require(%q)\n%s\ndrive(%q).then(() => process.exit())\n", glue, script, url), 0o600)
		return exec.CommandContext(ctx, program, append(flags, main)...)
	})
	all(t, p)
	t.Run("nothing is left", func(t *testing.T) { nothingLeft(t, p) })
}

// all is what holds wherever there is a WebSocket.
func all(t *testing.T, p *page) {
	for _, test := range []struct {
		name string
		run  func(*scene)
	}{
		{"lifecycle", lifecycle},
		{"Close tells the server why", closeTells},
		{"the server's code and reason", serverCloses},
		{"the server drops", serverDrops},
		{"CloseTimeout bounds the end", closeTimeout},
		{"what came before a close is delivered before it", backlogBeforeClose},
		{"refusals", refusals},
		{"FailFast goes by close codes", failFast},
		{"fields of no use", uselessFields},
		{"hooks", hooks},
		{"silent server", silentServer},
		{"large messages both ways", largeMessages},
		{"text as it is", textAsItIs},
		{"ReadLimit", readLimit},
		{"more comes than is taken", flood},
		{"reconnects and Enqueue while away", reconnects},
		{"back-pressure", backPressure},
		{"WriteTimeout", writeTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			begun := time.Now()
			test.run(&scene{T: t, p: p, srv: wsnotifytest.NewServer(t)})
			if d := time.Since(begun); d > 5*time.Second {
				t.Logf("it took %v", d)
			}
		})
	}
}

// scene is a server, and the page.
type scene struct {
	*testing.T
	p   *page
	srv *wsnotifytest.Server
}

// connect returns a client that is connected as ada, and the server's side.
func (s *scene) connect(cfg config) (*client, *wsnotifytest.Conn) {
	s.Helper()
	c := s.p.client(s.T, cfg)
	c.must(order{Do: "connect", URL: s.srv.URL(), User: "ada"})
	c.expect("CONNECTING", "OPEN", "open…")
	return c, s.conn(1)
}

func (s *scene) conn(n int) *wsnotifytest.Conn {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
	defer cancel()
	conn, err := s.srv.NthConn(ctx, n)
	if err != nil {
		s.Fatal(err)
	}
	return conn
}

func (s *scene) ended(conn *wsnotifytest.Conn) {
	s.Helper()
	select {
	case <-conn.Done():
	case <-time.After(10 * time.Second):
		s.Fatal("the server's side of the connection does not end")
	}
}

func lifecycle(s *scene) {
	c, conn := s.connect(config{})
	if !strings.HasSuffix(conn.Request().URL.Path, "ada") {
		s.Errorf("it dialled %v", conn.Request().URL)
	}
	conn.Notify("mail", "3 new")
	c.expect(`message MessageText {"msgType":"mail","content":"3 new"}`)
	c.must(order{Do: "send", Text: "hello"})
	c.must(order{Do: "disconnect"})
	c.expect("CLOSING", "CLOSED", `close 1000 "" true local`)
	s.ended(conn)
	if got := conn.Messages(); !slices.Equal(got, []string{"hello"}) || conn.CloseCode() != 1000 {
		s.Errorf("the server got %q and %d", got, conn.CloseCode())
	}
	if st := c.status(); st.MessagesIn != 1 || st.MessagesOut != 1 || st.LastReceived.IsZero() {
		s.Errorf("%+v", st)
	}
}

func closeTells(s *scene) {
	c, conn := s.connect(config{})
	c.must(order{Do: "enqueue", Text: "last"})
	c.must(order{Do: "close", Code: 4001, Reason: "enough"})
	c.expect("CLOSING", "CLOSED", `close 4001 "enough" true local`)
	s.ended(conn)
	if conn.CloseCode() != 4001 || !slices.Equal(conn.Messages(), []string{"last"}) {
		s.Errorf("the server got %q and %d", conn.Messages(), conn.CloseCode())
	}
	if a := c.do(order{Do: "close", Code: 1001}); a.Err == "" {
		s.Error("1001 was taken")
	}
}

func serverCloses(s *scene) {
	for i, test := range []struct {
		code   int
		reason string
		want   string
	}{
		{4000, "done", `close 4000 "done" true remote`},
		{1001, "", `close 1001 "" true remote`},
		{0, "", `close 1005 "" true remote`},
	} {
		c := s.p.client(s.T, config{Never: true})
		c.must(order{Do: "connect", URL: s.srv.URL(), User: fmt.Sprint("ada", i)})
		s.conn(i+1).Close(test.code, test.reason)
		c.expect("CONNECTING", "OPEN", "open…", "CLOSED", test.want, "give up…")
	}
}

func serverDrops(s *scene) {
	c, conn := s.connect(config{Never: true})
	conn.Drop()
	c.expect("CLOSED", `close 1006 "" false network`, "give up…")
}

func closeTimeout(s *scene) {
	s.srv.AnswerClose(false)
	c, conn := s.connect(config{CloseTimeout: 200 * time.Millisecond})
	begun := time.Now()
	a := c.do(order{Do: "disconnect"})
	if d := time.Since(begun); d > 3*time.Second || !strings.Contains(a.Err, "did not answer the close frame") {
		s.Errorf("after %v: %q", d, a.Err)
	}
	c.expect("CLOSING", "CLOSED", `close 1006 "" false local`)
	conn.Reset()
}

func backlogBeforeClose(s *scene) {
	c, conn := s.connect(config{Never: true, Inbox: wsnotify.Inbox{Messages: 2}, Heartbeat: struct{ Interval, Timeout time.Duration }{Interval: 100 * time.Millisecond}})
	c.must(order{Do: "hold"})
	want := []string{}
	for i := range 50 {
		conn.SendText(fmt.Sprintf("%d", i))
		want = append(want, fmt.Sprintf("message MessageText %d", i))
	}
	conn.Close(4000, "done")
	s.ended(conn)
	time.Sleep(1500 * time.Millisecond) // more than the owner waits after a write that failed
	c.must(order{Do: "release"})
	// The owner may have seen the end before the callbacks went on.
	var got []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && !slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, "give up") }); {
		got = append(got, c.journal()...)
	}
	got = slices.DeleteFunc(got, func(l string) bool { return l == "CLOSED" || strings.HasPrefix(l, "give up") })
	if want = append(want, `close 4000 "done" true remote`); !slices.Equal(got, want) {
		s.Errorf("the journal says %q", got)
	}
}

func refusals(s *scene) {
	dial := func(url string) {
		s.Helper()
		c := s.p.client(s.T, config{Retries: 1, Delay: 10 * time.Millisecond})
		a := c.do(order{Do: "connect", URL: url, User: "ada?x=secret"})
		if !strings.Contains(a.Err, "the browser made no connection") || strings.Contains(a.Err, "token") {
			s.Errorf("%s: %s", url, a.Err)
		}
		c.expect("CONNECTING", "CLOSED", "error wsnotify: dialling…", "reconnect 1", "CONNECTING", "CLOSED", "error wsnotify: dialling…", "give up after 2")
		var st struct {
			GaveUp      bool
			LastFailure struct {
				Phase, Initiator string
				Code, HTTPStatus int
			}
		}
		json.Unmarshal(c.must(order{Do: "status"}).Value, &st)
		if f := st.LastFailure; !st.GaveUp || f.Phase != "dial" || f.Initiator != "network" || f.Code != 0 || f.HTTPStatus != 0 {
			s.Errorf("%+v", st)
		}
	}
	s.srv.Refuse(-1, 401, nil, "no")
	s.srv.AllowOpenConns() // Node keeps the connection of a handshake that was refused
	dial(s.srv.URL())
	gone := wsnotifytest.NewServer(s.T)
	gone.Stop()
	dial(gone.URL())
	hangs := wsnotifytest.NewServer(s.T)
	hangs.AllowOpenConns()
	hangs.HangHandshake(-1)
	c := s.p.client(s.T, config{DialTimeout: 200 * time.Millisecond})
	if a := c.do(order{Do: "connect", URL: hangs.URL(), User: "ada"}); !a.is("timeout") {
		s.Errorf("%+v", a)
	}
	c = s.p.client(s.T, config{})
	connected := c.begin(order{Do: "connect", URL: hangs.URL(), User: "ada"})
	c.expect("CONNECTING")
	c.must(order{Do: "disconnect"})
	c.expect("CLOSING", "CLOSED")
	if a := s.p.wait(s.T, connected); !a.is("closed") {
		s.Errorf("%+v", a)
	}
}

func failFast(s *scene) {
	c, conn := s.connect(config{FailFast: true, Retries: 9})
	conn.Close(1008, "go away")
	c.expect("CLOSED", `close 1008 "go away" true remote`, "give up after 0")
}

func uselessFields(s *scene) {
	c := s.p.client(s.T, config{Header: true})
	if a := c.do(order{Do: "connect", URL: s.srv.URL(), User: "ada"}); !strings.Contains(a.Err, "Config.Header is of no use in a browser") {
		s.Error(a.Err)
	}
	c, _ = s.connect(config{})
	if a := c.do(order{Do: "ping", Within: time.Second}); !a.is("unsupported") {
		s.Errorf("%+v", a)
	}
}

func hooks(s *scene) {
	s.srv.Subprotocols("b")
	s.srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
		if string(data) == "login" {
			c.SendText("welcome")
			c.SendText("first")
		}
	})
	c := s.p.client(s.T, config{Subprotocols: []string{"a", "b"}, Token: "1", Login: "login"})
	c.must(order{Do: "connect", URL: s.srv.URL(), User: "ada"})
	c.expect("CONNECTING", "login welcome", "OPEN", `open 1 "b"`, "message MessageText first")
	if q := s.conn(1).Request().URL.RawQuery; q != "token=1" {
		s.Errorf("the query was %q", q)
	}
}

func silentServer(s *scene) {
	s.srv.AnswerText("pong")
	cfg := config{Never: true}
	cfg.Heartbeat.Interval, cfg.Heartbeat.Timeout = 100*time.Millisecond, 300*time.Millisecond
	c, conn := s.connect(cfg)
	for deadline := time.Now().Add(5 * time.Second); c.status().RTT == 0; {
		if time.Now().After(deadline) {
			s.Fatal("there is no RTT")
		}
	}
	s.Logf("a round trip takes %v", c.status().RTT)
	conn.Mute(true)
	c.expect("CLOSED", "error wsnotify: no answer to the heartbeat", `close 1006 "" false network`, "give up…")
	conn.Reset()
}

// The network is back, or the page is shown again.
func pageEvents(t *testing.T, p *page) {
	s := &scene{T: t, p: p, srv: wsnotifytest.NewServer(t)}
	s.srv.AnswerText("pong")
	cfg := config{Delay: time.Hour, Retries: 100}
	cfg.Heartbeat.Interval = time.Hour
	c, conn := s.connect(cfg)
	for i, event := range []string{
		"window.dispatchEvent(new Event('online'))",
		"window.dispatchEvent(new Event('pageshow'))",
		"document.dispatchEvent(new Event('visibilitychange'))",
	} {
		eval[bool](t, p, "window.dispatchEvent(new Event('offline'))")
		if c.status().ReadyState != wsnotify.Open {
			t.Fatal("offline has ended something")
		}
		eval[bool](t, p, event)
		for deadline := time.Now().Add(5 * time.Second); ; {
			if texts, _ := s.srv.Heartbeats("ada"); texts >= 2*i+1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s asks for no sign of life", event)
			}
		}
		conn.Drop()
		c.expect("CLOSED", "close…", "reconnect 1")
		eval[bool](t, p, event)
		c.expect("CONNECTING", "OPEN", "open…")
		conn = s.conn(i + 2)
		eval[bool](t, p, event) // so that the count above goes on
	}
}

// nothingLeft makes 100 connections and looks for what they have left.
func nothingLeft(t *testing.T, p *page) {
	s := &scene{T: t, p: p, srv: wsnotifytest.NewServer(t)}
	type left struct{ Goroutines, Functions, Values, Listeners int }
	count := func() (l left) {
		a := p.wait(t, p.ask(t, map[string]any{"order": order{Do: "left"}}))
		l = eval[left](t, p, `({
			Functions: goProgram._values.filter(v => typeof v === 'function').length,
			Values: goProgram._values.length - goProgram._idPool.length,
			Listeners: listening,
		})`)
		fmt.Sscan(string(a.Value), &l.Goroutines)
		return l
	}
	before := count()
	func() {
		c := p.client(t, config{Delay: time.Millisecond, Retries: 1000})
		c.must(order{Do: "connect", URL: s.srv.URL(), User: "ada"})
		for i := range 100 {
			conn := s.conn(i + 1)
			c.must(order{Do: "wait", State: int(wsnotify.Open), Within: 10 * time.Second})
			c.must(order{Do: "send", Text: "hello"})
			conn.SendText("hello")
			switch i % 3 {
			case 0:
				conn.Drop()
			case 1:
				conn.Close(1000, "")
			default:
				c.must(order{Do: "reconnect"})
			}
			s.ended(conn)
		}
		c.do(order{Do: "disconnect"})
		if st := c.status(); st.Reconnects < 99 {
			t.Errorf("%+v", st)
		}
	}()
	for deadline := time.Now().Add(5 * time.Second); len(s.srv.LiveConns()) > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := len(s.srv.LiveConns()); n != 0 {
		t.Errorf("%d sockets are left", n)
	}
	after := count()
	slack := 50 // values wait for Go's garbage collector; one for each connection would be 100
	if after.Goroutines > before.Goroutines || after.Functions > before.Functions+5 || after.Listeners > before.Listeners || after.Values > before.Values+slack {
		t.Errorf("before it there are %+v, and after it %+v", before, after)
	}
	t.Logf("before it there are %+v, and after it %+v", before, after)
}
