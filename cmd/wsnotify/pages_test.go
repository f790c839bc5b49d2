package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// waiting adds a guest to whom nothing is sent, so that its queue shows what would be.
func waiting(h *hub, id int, user string) *guest {
	g := newGuest(h, user, newSocket(&stream{}, nil))
	g.ID = id
	h.clients = append(h.clients, g)
	return g
}

// queued is what waits for a guest.
func queued(g *guest) (frames []string) {
	for len(g.out) > 0 {
		f := <-g.out
		if f.op == opClose {
			frames = append(frames, fmt.Sprintf("close %d %s", f.code, f.reason))
		} else {
			frames = append(frames, string(f.data))
		}
	}
	return frames
}

func isClosed(ch chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// What those who notify are answered, and who is notified.
func TestAnswersToThoseWhoNotify(t *testing.T) {
	for _, test := range []struct {
		number     string // the field
		user, body string
		full       bool // the queue of ada
		status     int
		says       string
		ada, bob   string
		drops      bool // ada, who comes back for what is missing
		enters     string
	}{
		{user: "ada", body: "msgType=a&content=b", status: 200, says: "sent to 1\n", ada: `[{"msgType":"a","content":"b"}]`, bob: "[]", enters: "ada out"},
		{user: "", body: "msgType=a&content=b", status: 200, says: "sent to 2\n", ada: `[{"msgType":"a","content":"b"}]`, bob: `[{"msgType":"a","content":"b"}]`, enters: " out"},
		{user: "eve", body: "msgType=a&content=b", status: 404, says: "nobody is connected under this name, or does not read\n", ada: "[]", bob: "[]"},
		{user: "ada", body: "msgType=a&content=b", full: true, status: 404, says: "nobody is connected under this name, or does not read\n", bob: "[]"},
		{user: "ada", body: "msgType=a", status: 400, says: "msgType or content is missing\n", ada: "[]", bob: "[]"},
		{user: "ada", body: "content=a", status: 400, says: "msgType or content is missing\n", ada: "[]", bob: "[]"},
		{user: "ada", body: "%", status: 400, says: "invalid URL escape \"%\"\n", ada: "[]", bob: "[]"},
		{number: "seq", user: "ada", body: "msgType=a&content=b", status: 200, says: "sent to 1\n", ada: `[{"msgType":"a","content":"b","seq":1}]`, bob: "[]", enters: "ada out"},
		{number: "seq", user: "away", body: "msgType=a&content=b", status: 200, says: "sent to nobody, and kept\n", ada: "[]", bob: "[]", enters: "away out"},
		{number: "seq", user: "eve", body: "msgType=a&content=b", status: 404, says: "nobody is connected under this name, or does not read\n", ada: "[]", bob: "[]"},
		{number: "seq", user: "ada", body: "msgType=a&content=b", full: true, status: 200, says: "sent to nobody, and kept\n", bob: "[]", drops: true, enters: "ada out"},
		{number: "seq", user: "", body: "msgType=a&content=b", full: true, status: 200, says: "sent to 1\n", bob: `[{"msgType":"a","content":"b","seq":1}]`, drops: true, enters: " out"},
	} {
		h := newHub(func(string, ...any) {})
		ada, bob := waiting(h, 1, "ada"), waiting(h, 2, "bob")
		if h.numbers.field = test.number; test.number != "" {
			for _, user := range []string{"ada", "bob", "away"} {
				h.numbers.join(user, "", h.online)
			}
		}
		for test.full && ada.queue(&outgoingFrame{op: opText}) {
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", strings.TrimSuffix("/notify/"+test.user, "/"), strings.NewReader(test.body))
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		handler(h).ServeHTTP(w, r)
		if test.full {
			test.ada = fmt.Sprint(make([]string, maxQueue))
		}
		entered := ""
		if len(h.log) > 0 {
			entered = h.log[0].User + " " + h.log[0].Kind
		}
		if a, b := fmt.Sprint(queued(ada)), fmt.Sprint(queued(bob)); w.Code != test.status || w.Body.String() != test.says || a != test.ada || b != test.bob ||
			isClosed(ada.drop) != test.drops || isClosed(bob.drop) || entered != test.enters || len(h.posts) != 0 {
			t.Errorf("%+v: %d %q, ada %s, bob %s, dropped %v, entered %q", test, w.Code, w.Body, a, b, isClosed(ada.drop), entered)
		}
	}
}

// What a page can do to a client.
func TestActionsOfThePage(t *testing.T) {
	const code = `; expected 1000 to 1014 without 1004 to 1006, or 3000 to 4999`
	for _, test := range []struct {
		verb, form string
		muted      bool // before
		full       bool // its queue
		wrong      string
		queued     string
		mutes      bool
		drops      bool
		enters     string
	}{
		{verb: "drop", queued: "[]", drops: true},
		{verb: "mute", queued: "[]", mutes: true},
		{verb: "unmute", muted: true, queued: "[]"},
		{verb: "send", form: "text=hello", queued: "[hello]", enters: "ada out hello"},
		{verb: "send", form: "text=hello", muted: true, mutes: true, queued: "[hello]", enters: "ada out hello"},
		{verb: "send", form: "text=hello", full: true},
		{verb: "send", form: "text=%ff", wrong: "text is not UTF-8: byte 1 is 0xff"},
		{verb: "close", form: "code=4000&reason=bye", queued: "[close 4000 bye]"},
		{verb: "close", form: "code=1000", muted: true, queued: "[close 1000 ]"},
		{verb: "close", form: "code=1000", full: true, drops: true},
		{verb: "close", form: "code=1000&reason=" + strings.Repeat("x", 123), queued: "[close 1000 " + strings.Repeat("x", 123) + "]"},
		{verb: "close", form: "code=1000&reason=" + strings.Repeat("x", 124), wrong: "the reason has 124 bytes; 123 is the most"},
		{verb: "close", form: "code=1000&reason=%ff", wrong: "reason is not UTF-8: byte 1 is 0xff"},
		{verb: "close", form: "code=1006", wrong: `the code is "1006"` + code},
		{verb: "close", form: "code=x", wrong: `the code is "x"` + code},
		{verb: "close", form: "code=" + strings.Repeat("9", 41), wrong: `the code is "` + strings.Repeat("9", 40) + `…"` + code},
	} {
		h := newHub(func(string, ...any) {})
		g := waiting(h, 1, "ada")
		for test.full && g.queue(&outgoingFrame{op: opText}) {
		}
		g.Muted = test.muted
		form, err := url.ParseQuery(test.form)
		if err != nil {
			t.Fatal(err)
		}
		do, err := action(h, test.verb, form)
		if test.wrong != "" {
			if do != nil || err == nil || err.Error() != test.wrong {
				t.Errorf("%s %s: %v, want %s", test.verb, test.form, err, test.wrong)
			}
			continue
		}
		if err != nil || !h.control(1, do) {
			t.Fatalf("%s %s: %v", test.verb, test.form, err)
		}
		if test.full {
			test.queued = fmt.Sprint(make([]string, maxQueue))
		}
		entered := ""
		if len(h.log) > 0 {
			entered = h.log[0].User + " " + h.log[0].Kind + " " + h.log[0].Text
		}
		if got := fmt.Sprint(queued(g)); got != test.queued || g.Muted != test.mutes || isClosed(g.drop) != test.drops || entered != test.enters {
			t.Errorf("%+v: %s, muted %v, dropped %v, entered %q", test, got, g.Muted, isClosed(g.drop), entered)
		}
	}
	h := newHub(func(string, ...any) {})
	waiting(h, 1, "ada")
	if do, err := action(h, "nonsense", nil); do != nil || err != nil || h.control(2, func(*guest) { t.Error("another client") }) {
		t.Errorf("nothing of that name: %v", err)
	}
}

// pageWriter is a page that notes when it gets what; broken, it gets nothing.
type pageWriter struct {
	began  time.Time
	header http.Header
	text   string
	told   []string
	broken bool
}

func (w *pageWriter) Header() http.Header              { return w.header }
func (w *pageWriter) WriteHeader(int)                  {}
func (w *pageWriter) Write(p []byte) (int, error)      { w.text += string(p); return len(p), nil }
func (w *pageWriter) SetWriteDeadline(time.Time) error { return nil }
func (w *pageWriter) FlushError() error {
	if w.told = append(w.told, fmt.Sprintf("%v %s", time.Since(w.began), w.text)); w.broken {
		return errors.New("gone")
	}
	w.text = ""
	return nil
}

// A page gets what happens at once, and then no more than each 50 ms; who is connected, when that has changed.
func TestPagesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(func(string, ...any) {})
		w := &pageWriter{began: time.Now(), header: http.Header{}}
		over := make(chan struct{})
		go func() { h.stream(w, httptest.NewRequest("GET", "/events", nil).WithContext(t.Context())); close(over) }()
		note := func(after time.Duration, text string) {
			time.Sleep(after)
			h.change(func() { h.note("ada", "in", text) })
		}
		note(100*time.Millisecond, "a")
		note(0, "b")
		note(20*time.Millisecond, "c")
		note(time.Second, "d")
		time.Sleep(time.Second)
		h.change(func() { waiting(h, 7, "bob") })
		time.Sleep(time.Second)
		h.change(func() { h.closing = true })
		<-over
		event := func(texts ...string) string { // each has its time
			entries := []string{}
			for _, text := range texts {
				at, text, _ := strings.Cut(text, " ")
				after, _ := time.ParseDuration(at)
				entries = append(entries, fmt.Sprintf(`{"time":"%s","user":"ada","kind":"in","text":"%s"}`, w.began.Add(after).Format(time.RFC3339Nano), text))
			}
			return fmt.Sprintf("event: log\ndata: {\"entries\":[%s],\"server\":%q}\n\n", strings.Join(entries, ","), h.name)
		}
		joined := h.clients[0].Since.Format(time.RFC3339Nano)
		for i, want := range []string{
			"0s event: clients\ndata: []\n\nid: " + h.name + "-0\n" + event(),
			"150ms id: " + h.name + "-3\n" + event("100ms a", "100ms b", "120ms c"),
			"1.17s id: " + h.name + "-4\n" + event("1.12s d"),
			"2.17s event: clients\ndata: [{\"id\":7,\"user\":\"bob\",\"since\":\"" + joined + "\",\"muted\":false}]\n\nid: " + h.name + "-4\n" + event(),
		} {
			if i >= len(w.told) || w.told[i] != want {
				t.Errorf("notice %d is\n%q, want\n%q", i, w.told[min(i, len(w.told)-1)], want)
			}
		}
		if len(w.told) != 4 || w.text != "" || time.Since(w.began) != 3120*time.Millisecond+pageWait {
			t.Errorf("%d notices, and at the end %q after %v", len(w.told), w.text, time.Since(w.began))
		}
		if w.header.Get("Content-Type") != "text/event-stream" || w.header.Get("Cache-Control") != "no-store" || h.pages != 0 {
			t.Errorf("the header is %v, and %d pages are open", w.header, h.pages)
		}
	})
	synctest.Test(t, func(t *testing.T) { // one that is closed is not waited for
		h := newHub(func(string, ...any) {})
		for _, busy := range []bool{false, true} {
			w := &pageWriter{began: time.Now(), header: http.Header{}}
			ctx, cancel := context.WithCancel(t.Context())
			if busy {
				time.AfterFunc(100*time.Millisecond, func() { h.change(func() {}) })
			}
			time.AfterFunc(110*time.Millisecond, cancel)
			h.stream(w, httptest.NewRequest("GET", "/events", nil).WithContext(ctx))
			if took := time.Since(w.began); took != 110*time.Millisecond || len(w.told) != 1 {
				t.Errorf("busy %v: it ends after %v, and got %d updates", busy, took, len(w.told))
			}
		}
	})
	h := newHub(func(string, ...any) {})
	gone := &pageWriter{header: http.Header{}, broken: true}
	if h.stream(gone, httptest.NewRequest("GET", "/events", nil)); len(gone.told) != 1 {
		t.Errorf("a page that is gone got %d updates", len(gone.told))
	}
}

// hijacked is the answer to a handshake, and does something while that is under way.
type hijacked struct {
	http.ResponseWriter
	conn   net.Conn
	during func()
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.during()
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), nil), nil
}

func handshakeRequest(path string) *http.Request {
	r := httptest.NewRequest("GET", path, nil)
	r.Host = "localhost"
	for name, value := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
		r.Header.Set(name, value)
	}
	return r
}

// A client that does not read the answer to its handshake is given up.
func TestHandshakeThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		begun := time.Now()
		s, err := accept(&hijacked{httptest.NewRecorder(), server, func() {}}, handshakeRequest("/ws"))
		if s != nil || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != writeWait {
			t.Errorf("%v, %v after %v", s, err, time.Since(begun))
		}
		if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("the connection goes on: %d, %v", n, err)
		}
	})
}

// A client that was let in, and comes when the server says good-bye to the others, gets that close frame, too, and is waited for.
func TestClientThatComesAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		h := newHub(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		client, server := net.Pipe()
		defer client.Close()
		over := make(chan struct{})
		w := &hijacked{httptest.NewRecorder(), server, func() {
			go func() { h.close(); close(over) }()
			synctest.Wait()
			if isClosed(over) {
				t.Error("the end does not wait")
			}
		}}
		go handler(h).ServeHTTP(w, handshakeRequest("/ws"))
		c := &rawClient{client, bufio.NewReader(client)}
		if resp, err := http.ReadResponse(c.in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols ||
			resp.Header.Get("Sec-WebSocket-Accept") != "ICX+Yqv66kxgM0FcWaLWlFLwTAI=" {
			t.Fatalf("the handshake ends with %v, %v", resp, err)
		}
		if op, payload, err := c.frame(); op != opClose || string(payload) != "\x03\xe9the server ends" {
			t.Errorf("frame %d %q, %v", op, payload, err)
		}
		client.Close()
		<-over
		if got, want := fmt.Sprintf("%q", said), `["+ guest" "- guest: the server ends"]`; got != want {
			t.Errorf("it says %s, want %s", got, want)
		}
		if e := fmt.Sprint(h.log[0].Kind, h.log[0].User, h.log[1].Kind, h.log[1].Text); len(h.log) != 2 || e != "joinedguestleftthe server ends" || len(h.clients) != 0 || h.coming != 0 {
			t.Errorf("%v, %d clients, %d coming", h.log, len(h.clients), h.coming)
		}
	})
}

// A client that is gone before it has its answer is none.
func TestClientThatIsGoneInTheHandshake(t *testing.T) {
	var said []string
	h := newHub(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
	client, server := net.Pipe()
	client.Close()
	handler(h).ServeHTTP(&hijacked{httptest.NewRecorder(), server, func() {}}, handshakeRequest("/ws/ada"))
	if got, want := fmt.Sprint(said, h.last, h.coming), "[! ada: io: read/write on closed pipe] 0 0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, err := server.Read(nil); err != io.ErrClosedPipe {
		t.Errorf("its connection: %v", err)
	}
}

// So many POSTs are handled at once; another one waits, and no longer than who asks.
func TestPostsThatWait(t *testing.T) {
	h := newHub(func(string, ...any) {})
	for range maxPosts {
		h.posts <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.post(func(http.ResponseWriter, *http.Request) { t.Error("it is handled") })(httptest.NewRecorder(), httptest.NewRequest("POST", "/notify", nil).WithContext(ctx))
	<-h.posts
	handled := 0
	h.post(func(http.ResponseWriter, *http.Request) { handled = len(h.posts) })(httptest.NewRecorder(), httptest.NewRequest("POST", "/notify", nil))
	if handled != maxPosts || len(h.posts) != maxPosts-1 {
		t.Errorf("%d while it is handled, and %d then", handled, len(h.posts))
	}
}

// What serve answers where.
func TestPathsOfServe(t *testing.T) {
	var said []string
	h := newHub(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
	h.refuse = 418
	for _, test := range []struct {
		method, path string
		upgrade      bool
		status       int
		says         string
	}{
		{"GET", "/", false, 200, string(page)},
		{"GET", "/", true, 418, "refused, as serve --refuse says\n"},
		{"GET", "/ws", true, 418, "refused, as serve --refuse says\n"},
		{"GET", "/ws/", true, 418, "refused, as serve --refuse says\n"},
		{"GET", "/ws/ada", true, 418, "refused, as serve --refuse says\n"},
		{"GET", "/other", false, 404, "404 page not found\n"},
		{"GET", "/notify", false, 405, "Method Not Allowed\n"},
		{"POST", "/clients/1/mute", false, 404, "there is no such client, or nothing of that name to be done to it\n"},
		{"POST", "/clients/x/mute", false, 404, "there is no such client, or nothing of that name to be done to it\n"},
		{"POST", "/clients/1/mute?%", false, 400, "invalid URL escape \"%\"\n"},
		{"POST", "/notify/" + strings.Repeat("x", maxUser+1), false, 400, "the user's name has 257 bytes; 256 are allowed\n"},
	} {
		r := httptest.NewRequest(test.method, "/", nil)
		if test.upgrade {
			r = handshakeRequest("/")
		}
		var err error
		if r.URL, err = url.Parse(test.path); err != nil {
			t.Fatal(err)
		}
		r.Host = "localhost"
		w := httptest.NewRecorder()
		if handler(h).ServeHTTP(w, r); w.Code != test.status || w.Body.String() != test.says {
			t.Errorf("%s %.40s: %d %.100q", test.method, test.path, w.Code, w.Body)
		}
		if policy := w.Header().Get("Content-Security-Policy"); test.status == 200 && (policy == "" || w.Header().Get("Content-Type") != "text/html; charset=utf-8") {
			t.Errorf("the page comes with %v", w.Header())
		}
	}
	var users []string
	for _, e := range h.log {
		users = append(users, e.User+" "+e.Kind+" "+e.Text)
	}
	if got, want := fmt.Sprint(users), "[guest refused I'm a teapot guest refused I'm a teapot guest refused I'm a teapot ada refused I'm a teapot]"; got != want {
		t.Errorf("the log has %s", got)
	}
	if got, want := fmt.Sprint(said), "[! guest: refused with 418 ! guest: refused with 418 ! guest: refused with 418 ! ada: refused with 418]"; got != want {
		t.Errorf("it says %s", got)
	}
}

// pipeListener accepts what it is sent.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { closeOnce(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// Who says nothing, or not all, has so much time; and a header so many bytes.
func TestServeBoundsTheTimeOfRequests(t *testing.T) {
	const get = "GET /ws HTTP/1.1\r\nHost: localhost\r\n"
	for name, test := range map[string]struct {
		sends string
		gets  string // the first line
		after time.Duration
	}{
		"nothing":                 {"", "", 10 * time.Second},
		"half a header":           {get, "", 10 * time.Second},
		"half a body":             {"POST /notify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nmsgType=", "HTTP/1.1 400 Bad Request", 10 * time.Second},
		"a request, and no other": {get + "\r\n", "HTTP/1.1 426 Upgrade Required", time.Minute},
		"a long header":           {get + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "HTTP/1.1 426 Upgrade Required", time.Minute},
		"too long a header":       {get + "X: " + strings.Repeat("x", 72<<10) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &pipeListener{make(chan net.Conn), make(chan struct{})}
				srv := newServer(newHub(func(string, ...any) {}))
				go srv.Serve(l)
				defer srv.Close()
				client, server := net.Pipe()
				defer client.Close()
				l.conns <- server
				began := time.Now()
				go io.WriteString(client, test.sends)
				text, _ := io.ReadAll(client)
				line, _, _ := strings.Cut(string(text), "\r\n")
				if took := time.Since(began).Round(time.Second); line != test.gets || took != test.after && test.after != 0 {
					t.Errorf("it answers %q, and ends after %v, want %q after %v", line, took, test.gets, test.after)
				}
			})
		})
	}
}
