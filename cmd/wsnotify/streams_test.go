package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestSubscribeOnEachConnection(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	for _, test := range []struct {
		message string // "": the one that is set
		want    []string
	}{
		{"", []string{`{"op":"subscribe","channels":["a","<b> \"c\""]}`}},
		{`{"sub":KEY}`, []string{`{"sub":"a"}`, `{"sub":"<b> \"c\""}`}},
		{"SUB KEY", []string{"SUB a", `SUB <b> "c"`}},
		{"MONKEYS KEYS", []string{`MONKEYS a,<b> "c"`}},
	} {
		args := []string{"listen", srv.URL(), "-u", "ada", "--interval", "10ms", "--subscribe", "a", "--subscribe", `<b> "c"`}
		if test.message != "" {
			args = append(args, "--subscribe-message", test.message)
		}
		before := len(srv.Handshakes())
		c := start(t, nil, args...)
		for i := range 2 {
			conn, err := srv.NthConn(within(t), before+i+1)
			if err != nil {
				t.Fatal(err)
			}
			until(t, func() bool { return len(conn.Messages()) >= len(test.want) })
			if got := conn.Messages(); !slices.Equal(got, test.want) {
				t.Errorf("%s, connection %d: it sent %q and not %q", test.message, i+1, got, test.want)
			}
			conn.Drop()
		}
		c.cancel()
		c.wants(t, exitOK)
	}
}

func TestSubscribeBeforeTheInput(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Echo()
	c := start(t, nil, "connect", srv.URL(), "--subscribe", "a", "-x", "hello", "--wait", "300ms")
	c.wants(t, exitOK)
	if want := `{"op":"subscribe","channels":["a"]}` + "\nhello\n"; c.out.String() != want {
		t.Errorf("it sent %q and not %q", &c.out, want)
	}
}

func TestRate(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Echo()
	began := time.Now()
	c := start(t, strings.NewReader("1\n2\n3\n4\n"), "connect", srv.URL(), "--rate", "2/200ms", "--wait", "50ms")
	c.wants(t, exitOK)
	if took := time.Since(began); c.out.String() != "1\n2\n3\n4\n" || took < 200*time.Millisecond {
		t.Errorf("it printed %q after %v", &c.out, took)
	}
	began = time.Now()
	c = start(t, strings.NewReader("1\n2\n3\n4\n"), "send", srv.URL(), "-u", "ada", "--rate", "2/200ms")
	c.wants(t, exitOK)
	if took := time.Since(began); srv.Received("ada") != 4 || took < 200*time.Millisecond {
		t.Errorf("send has sent %d after %v", srv.Received("ada"), took)
	}
	for _, text := range []string{"5", "5/", "/s", "0/s", "-1/s", "5/s/s", "5/x", "2/1ns", "9999999999/s"} {
		if err := new(frequency).Set(text); err == nil {
			t.Errorf("--rate %s is taken", text)
		}
	}
	for text, want := range map[string]string{"5/s": "5/1s", "100/10s": "100/10s", "20/m": "20/1m0s", "1/.5s": "1/500ms"} {
		var f frequency
		if err := f.Set(text); err != nil || f.String() != want {
			t.Errorf("--rate %s is %v, %v and not %s", text, &f, err, want)
		}
	}
}

func TestStreamFlagsThatAreOfNoUse(t *testing.T) {
	for _, args := range [][]string{
		{"listen", "--subscribe", "a", "--subscribe-message", "no place"},
		{"listen", "--subscribe-message", "KEY"},
		{"listen", "--resume-query", "from"},
		{"connect", "--resume-order", "increasing"},
		{"connect", "--resume-field", ""},
	} {
		c := start(t, nil, append(args, "localhost:1")...)
		c.wants(t, exitUsage)
	}
	for _, args := range [][]string{
		{"serve", "--number", "content"}, {"serve", "--number", ""}, {"serve", "--number", "seq", "--replay", "feed.jsonl"},
	} {
		c := start(t, nil, args...)
		c.wants(t, exitUsage)
	}
}

// What is numbered and missed comes once, in order, from a server that was started again, too.
func TestServeNumbersAndListenResumes(t *testing.T) {
	h, at := numbering(t)
	c := start(t, nil, "listen", at+"/ws/ada", "--interval", "10ms", "--resume-field", "seq", "--resume-order", "consecutive", "--raw")
	arrived(t, h, 1)
	sent := 0
	send := func(n int) (want string) {
		for range n {
			sent++
			if got := notified(t, at, "ada", fmt.Sprint(sent)); got != http.StatusOK {
				t.Fatalf("notify answers %d", got)
			}
		}
		for i := range sent {
			want += fmt.Sprintf(`{"msgType":"mail","content":"%d","seq":%[1]d}`+"\n", i+1)
		}
		return want
	}
	prints := func(want string) {
		t.Helper()
		c.out.Await(within(t), t, want)
		if got := c.out.String(); got != want {
			t.Errorf("it printed %q and not %q", got, want)
		}
	}
	prints(send(3))
	for id := 1; id < 4; id++ {
		h.control(id, func(g *guest) { closeOnce(g.drop) })
		prints(send(100)) // more than wait in the queue of one client
		arrived(t, h, id+1)
	}
	if s := c.err.String(); strings.Contains(s, "missing") {
		t.Errorf("it said %s", s)
	}
	// A number that this server has not come to goes on.
	h.mu.Lock()
	h.numbers = numbers{field: "seq"}
	h.mu.Unlock()
	h.control(4, func(g *guest) { closeOnce(g.drop) })
	arrived(t, h, 5)
	prints(send(1))
	c.cancel()
	c.wants(t, exitOK)
}

func TestListenReportsAGap(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.OnConn(func(c *wsnotifytest.Conn) {
		c.SendText(`{"seq":1}`)
		c.SendText(`{"seq":4}`)
		c.SendText(`{"seq":"x"}`)
	})
	c := start(t, nil, "listen", srv.URL(), "--raw", "--resume-field", "seq", "--resume-order", "consecutive", "--count", "3")
	c.wants(t, exitOK)
	for _, want := range []string{"the messages between 1 and 4 are missing", "--resume-field seq: a message has no decimal number there"} {
		if !strings.Contains(c.err.String(), want) {
			t.Errorf("it said %q, without %q", &c.err, want)
		}
	}

	srv = wsnotifytest.NewServer(t)
	srv.OnConn(func(c *wsnotifytest.Conn) { c.SendText(fmt.Sprintf(`{"seq":%d}`, 10-len(srv.Handshakes()))) })
	c = start(t, nil, "listen", srv.URL(), "--raw", "--resume-field", "seq", "--resume-order", "increasing", "--interval", "10ms")
	conn, err := srv.NthConn(within(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	c.out.Await(within(t), t, "\n")
	conn.Drop()
	c.err.Await(within(t), t, "asked for what is behind 9, the server began with 8")
	if got := srv.Handshakes()[1].URL.Query().Get("after"); got != "9" {
		t.Errorf("it asked for what is behind %q", got)
	}
	c.cancel()
	c.wants(t, exitOK)
}

// numbering is a server with numbers.
func numbering(t *testing.T) (*hub, string) {
	h := newHub(t.Logf)
	h.numbers.field = "seq"
	srv := httptest.NewServer(handler(h))
	t.Cleanup(srv.Close)
	t.Cleanup(h.close)
	return h, strings.TrimPrefix(srv.URL, "http://")
}

func notified(t *testing.T, at, user, content string) int {
	t.Helper()
	resp, err := http.PostForm(strings.TrimSuffix("http://"+at+"/notify/"+user, "/"), url.Values{"msgType": {"mail"}, "content": {content}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestServeNumbersEachUserAlone(t *testing.T) {
	h, at := numbering(t)
	got := make(chan string, 100)
	connect := func(user, query string) *wsnotify.Client {
		c := wsnotify.New(wsnotify.Config{OnMessage: func(m wsnotify.Message) { got <- user + string(m.Data) }})
		t.Cleanup(func() { c.Disconnect(); <-c.Done() })
		before := h.last
		if err := c.Connect(within(t), "ws://"+at+"/ws/"+user+query, ""); err != nil {
			t.Fatal(err)
		}
		arrived(t, h, before+1)
		return c
	}
	wants := func(want string) {
		t.Helper()
		if text := next(t, got); text != want {
			t.Errorf("%s came, and not %s", text, want)
		}
	}
	if notified(t, at, "ada", "unknown") != http.StatusNotFound {
		t.Error("a user that was never here gets something")
	}
	ada := connect("ada", "")
	notified(t, at, "ada", "x")
	wants(`ada{"msgType":"mail","content":"x","seq":1}`)
	connect("bob", "")
	notified(t, at, "", "all")
	all := []string{next(t, got), next(t, got)}
	slices.Sort(all)
	if want := []string{`ada{"msgType":"mail","content":"all","seq":2}`, `bob{"msgType":"mail","content":"all","seq":1}`}; !slices.Equal(all, want) {
		t.Errorf("%q came, and not %q", all, want)
	}
	ada.Disconnect()
	<-ada.Done()
	until(t, func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.clients) == 1 })
	if notified(t, at, "ada", "kept") != http.StatusOK {
		t.Error("nothing is kept for a user who is away")
	}
	for _, query := range []string{"", "?after=", "?after=x", "?after=-1", "?after=99999999999999999999", "?after=3"} {
		connect("ada", query).Disconnect()
	}
	connect("ada", "?after=1")
	wants(`ada{"msgType":"mail","content":"all","seq":2}`)
	wants(`ada{"msgType":"mail","content":"kept","seq":3}`)
}

// However much is sent, only so much is kept.
func TestNumbersAreBounded(t *testing.T) {
	everybody := func(string) bool { return true }
	n := numbers{field: "seq"}
	n.join("ada", "", everybody)
	for range 3 * maxRecent {
		n.next("ada", []byte(`{"a":1}`))
	}
	if got := n.join("ada", "0", everybody); len(got) != maxRecent || string(got[0].data) != fmt.Sprintf(`{"a":1,"seq":%d}`, 2*maxRecent+1) {
		t.Errorf("%d are kept, from %s", len(got), got[0].data)
	}
	large := []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)
	for range 40 {
		n.next("ada", large)
	}
	bytes := 0
	for _, k := range n.recent {
		bytes += len(k.frame.data)
	}
	if bytes > maxRecentBytes || bytes < maxRecentBytes/2 || bytes != n.bytes {
		t.Errorf("%d bytes are kept, and %d counted", bytes, n.bytes)
	}
	for i := range 3 * maxNumbered {
		user := fmt.Sprint("user", i)
		n.join(user, "", func(user string) bool { return user == "user0" })
		n.next(user, []byte(`{"a":1}`))
	}
	if len(n.last) > maxNumbered || !n.knows("user0") || n.knows("ada") || n.bytes > maxRecent*100 {
		t.Errorf("%d users are known, and %d bytes kept", len(n.last), n.bytes)
	}
}

// A page of another site can't read a recording by a name of its own.
func TestReplayAnswersToItsHostsAlone(t *testing.T) {
	path := recordingFile(t, `{"v":1,"t":0,"conn":1,"dir":"out","type":"open"}`, `{"t":1,"conn":1,"dir":"in","type":"text","text":"secret"}`)
	for _, test := range []struct {
		args   []string
		status int
	}{{nil, http.StatusForbidden}, {[]string{"--host", "devbox.example"}, 0}} {
		c, at := replaying(t, append(test.args, "--replay", path)...)
		req, _ := http.NewRequest("GET", "http"+strings.TrimPrefix(at, "ws"), nil)
		req.Host = "devbox.example"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if forbidden := resp.StatusCode == http.StatusForbidden; forbidden != (test.status == http.StatusForbidden) {
			t.Errorf("%v: it answers %d", test.args, resp.StatusCode)
		}
		c.cancel()
		<-c.code
	}
}
