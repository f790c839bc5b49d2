package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
	"golang.org/x/time/rate"
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

// What goes wrong with subscriptions and positions is reported in the words of the flags, also to whom it was reported before.
func TestNotesOfStreams(t *testing.T) {
	gap := wsnotify.Gap{After: "3", Next: "7"}
	for _, test := range []struct {
		s    streams
		cfg  wsnotify.Config
		want []string // nil: nothing is watched
	}{
		{streams{}, wsnotify.Config{}, nil},
		{streams{keys: []string{"a"}}, wsnotify.Config{}, []string{`subscription "a": no`}},
		{streams{field: "seq", order: "consecutive"}, wsnotify.Config{Resume: wsnotify.Resume{Order: wsnotify.PositionConsecutive}}, []string{"the messages between 3 and 7 are missing"}},
		{streams{field: "seq", order: "increasing"}, wsnotify.Config{Resume: wsnotify.Resume{Order: wsnotify.PositionIncreasing}}, []string{}},
	} {
		var said []string
		heard := 0
		test.cfg.OnError = func(error) { heard++ }
		test.s.notes(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }, &test.cfg)
		if test.cfg.Resume.OnGap != nil {
			test.cfg.Resume.OnGap(gap)
		}
		want := test.want
		test.cfg.OnError(errors.New("x"))
		if test.s.keys != nil {
			test.cfg.OnError(&wsnotify.SubscriptionError{Key: "a", Err: errors.New("no")})
		} else {
			test.cfg.OnError(fmt.Errorf("x: %w", &wsnotify.ResumeError{Asked: "9", Got: "5"}))
			test.cfg.OnError(errors.New("wsnotify: Resume.Position: no number"))
			want = append(slices.Clone(want), "asked for what is behind 9, the server began with 5: its messages are dropped until they are past that; if it counts anew, start again",
				"--resume-field seq: a message has no decimal number there, which --resume-order "+test.s.order+" needs")
		}
		if test.want == nil {
			want = nil
		}
		if heardWant := map[bool]int{true: 2, false: 3}[test.s.keys != nil]; !slices.Equal(said, want) || heard != heardWant {
			t.Errorf("%+v: it said %q, and %d were heard, want %q", test.s, said, heard, want)
		}
		test.cfg.OnError = nil // and if nobody is
		test.s.notes(func(string, ...any) {}, &test.cfg)
		if test.cfg.OnError != nil {
			test.cfg.OnError(errors.New("x"))
		}
	}
}

// The flags of streams are fields of Config.
func TestFlagsOfStreams(t *testing.T) {
	for _, test := range []struct {
		args  []string
		want  string // order, query and keys of a message
		wrong string
	}{
		{nil, "opaque  0", ""},
		{[]string{"--subscribe", "a", "--subscribe", "b"}, "opaque  2", ""},
		{[]string{"--subscribe", "a", "--subscribe", "b", "--subscribe-message", "KEY of KEYS"}, "opaque  1", ""},
		{[]string{"--resume-field", "seq"}, "opaque after 0", ""},
		{[]string{"--resume-field", "seq", "--resume-query", "since", "--resume-order", "increasing"}, "increasing since 0", ""},
		{[]string{"--resume-field", "seq", "--resume-order", "consecutive"}, "consecutive after 0", ""},
		{[]string{"--subscribe-message", "KEY"}, "", "--subscribe-message is of no use without --subscribe"},
		{[]string{"--resume-query", "x"}, "", "--resume-query is of no use without --resume-field"},
		{[]string{"--resume-order", "increasing"}, "", "--resume-order is of no use without --resume-field"},
		{[]string{"--resume-field", ""}, "", "--resume-field: the name of the field is empty"},
		{[]string{"--subscribe", "a", "--subscribe-message", "MONKEY"}, "", `--subscribe-message MONKEY: expected KEY or KEYS in it, as in {"op":"subscribe","channels":[KEYS]}`},
		{[]string{"--subscribe", "a", "--subscribe-message", strings.Repeat("x", 201)}, "",
			"--subscribe-message " + strings.Repeat("x", 200) + `…: expected KEY or KEYS in it, as in {"op":"subscribe","channels":[KEYS]}`},
	} {
		var s streams
		var cfg wsnotify.Config
		cmd := &cobra.Command{Use: "x"}
		s.flags(cmd)
		if err := cmd.ParseFlags(test.args); err != nil {
			t.Fatal(err)
		}
		if err := s.config(cmd, &cfg); err != nil || test.wrong != "" {
			if fmt.Sprint(err) != test.wrong {
				t.Errorf("%q: %v, want %s", test.args, err, test.wrong)
			}
			continue
		}
		order := map[wsnotify.PositionOrder]string{wsnotify.PositionOpaque: "opaque", wsnotify.PositionIncreasing: "increasing", wsnotify.PositionConsecutive: "consecutive"}
		got := fmt.Sprintf("%s %s %d", order[cfg.Resume.Order], cfg.Resume.Query, cfg.Subscriptions.Batch)
		if got != test.want || (cfg.Subscriptions.Subscribe != nil) != (s.keys != nil) || (cfg.Resume.Position != nil) != (s.field != "") || cfg.Outbox.Limiter != nil {
			t.Errorf("%q: %s, want %s", test.args, got, test.want)
		}
	}
}

// A rate is N at once, and then one each N-th part of the time.
func TestRateOfTheFlag(t *testing.T) {
	var f frequency
	var cfg wsnotify.Config
	if f.limit(&cfg); cfg.Outbox.Limiter != nil || f.String() != "" {
		t.Errorf("without the flag: %v %q", cfg.Outbox.Limiter, &f)
	}
	if err := f.Set("4/2s"); err != nil {
		t.Fatal(err)
	}
	f.limit(&cfg)
	if l, ok := cfg.Outbox.Limiter.(*rate.Limiter); !ok || l.Burst() != 4 || l.Limit() != 2 {
		t.Errorf("%v", cfg.Outbox.Limiter)
	}
	for text, ok := range map[string]bool{"2147483647/3s": true, "2147483648/3s": false, "1/1ns": true, "2/1ns": false, "1/s": true, "0/s": false, "1/": false, "1/2": false, "1/2h": true} {
		if err := new(frequency).Set(text); (err == nil) != ok || err != nil && err.Error() != "expected a number of messages and a time, such as 5/s, 100/10s or 20/m" {
			t.Errorf("%s: %v", text, err)
		}
	}
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

// The bounds of what is kept are exact, and so is what those get who ask.
func TestBoundsOfNumbers(t *testing.T) {
	nobody := func(string) bool { return false }
	texts := func(frames []*outgoingFrame) (texts []string) {
		for _, f := range frames {
			texts = append(texts, string(f.data))
		}
		return texts
	}
	n := numbers{field: `a"b`}
	n.join("ada", "", nobody)
	n.join("bob", "", nobody)
	for range 3 {
		n.next("ada", []byte(`{"a":1}`))
		n.next("bob", []byte(`{"a":1}`))
	}
	for after, want := range map[string][]string{
		"1": {`{"a":1,"a\"b":2}`, `{"a":1,"a\"b":3}`}, "2": {`{"a":1,"a\"b":3}`}, "3": nil, "": nil, "x": nil, "-1": nil, "+1": {`{"a":1,"a\"b":2}`, `{"a":1,"a\"b":3}`},
	} {
		if got := texts(n.join("ada", after, nobody)); !slices.Equal(got, want) {
			t.Errorf("behind %q are %q, want %q", after, got, want)
		}
	}
	// A number from another server is gone on from, if JavaScript knows it.
	for after, next := range map[string]int64{"9007199254740992": 9007199254740993, "9007199254740993": 1, "17": 18, "0": 1} {
		n := numbers{field: "seq"}
		n.join("ada", after, nobody)
		if n.next("ada", []byte(`{"a":1}`)); n.last["ada"] != next {
			t.Errorf("behind %s comes %d, want %d", after, n.last["ada"], next)
		}
	}
	// So many users are remembered, and then none who is away, nor what was kept for them.
	n = numbers{field: "seq"}
	for i := range maxNumbered {
		user := strconv.Itoa(i)
		n.join(user, "", nobody)
		n.next(user, []byte(`{"a":1}`))
	}
	n.join("7", "0", nobody) // who is known
	if len(n.last) != maxNumbered || len(n.recent) != maxNumbered || n.bytes != maxNumbered*len(`{"a":1,"seq":1}`) {
		t.Errorf("%d users, %d messages and %d bytes", len(n.last), len(n.recent), n.bytes)
	}
	n.join("new", "", func(user string) bool { return user == "3" || user == "5" })
	if len(n.last) != 3 || !n.knows("3") || !n.knows("5") || !n.knows("new") || len(n.recent) != 2 || n.recent[0].user != "3" || n.recent[1].user != "5" || n.bytes != 30 {
		t.Errorf("%v, %v, %d bytes", n.last, n.recent, n.bytes)
	}
	// Bytes, too, are counted exactly; the last message is kept however large it is.
	n = numbers{field: "seq"}
	n.join("ada", "", nobody)
	message := func(bytes int) []byte { return []byte(`{"a":"` + strings.Repeat("x", bytes-16) + `"}`) } // with ,"seq":1
	n.next("ada", message(maxRecentBytes/2))
	n.next("ada", message(maxRecentBytes/2))
	if len(n.recent) != 2 || n.bytes != maxRecentBytes {
		t.Errorf("%d messages of %d bytes", len(n.recent), n.bytes)
	}
	n.next("ada", message(16))
	if len(n.recent) != 2 || n.bytes != maxRecentBytes/2+16 || n.recent[0].number != 2 {
		t.Errorf("%d messages of %d bytes", len(n.recent), n.bytes)
	}
	n.next("ada", message(maxRecentBytes+1))
	if len(n.recent) != 1 || n.bytes != maxRecentBytes+1 || n.recent[0].number != 4 {
		t.Errorf("%d messages of %d bytes", len(n.recent), n.bytes)
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
