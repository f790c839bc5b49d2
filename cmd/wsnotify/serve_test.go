package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/wsnotify/wsnotify"
)

// served is a server and a client of it.
func served(t *testing.T, cfg wsnotify.Config) (*hub, *httptest.Server, *wsnotify.Client) {
	h := newHub(t.Logf)
	srv := httptest.NewServer(handler(h))
	t.Cleanup(srv.Close)
	t.Cleanup(h.close)
	c := wsnotify.New(cfg)
	t.Cleanup(func() { c.Disconnect(); <-c.Done() })
	if err := c.Connect(within(t), srv.URL+"/ws/", "ada"); err != nil {
		t.Fatal(err)
	}
	arrived(t, h, 1)
	return h, srv, c
}

// arrived waits until the server has entered a client in its list, which is
// after the client has seen the handshake's answer.
func arrived(t *testing.T, h *hub, id int) {
	t.Helper()
	ctx := within(t)
	for {
		h.mu.Lock()
		there := slices.ContainsFunc(h.clients, func(g *guest) bool { return g.ID == id })
		changed := h.changed
		h.mu.Unlock()
		if there {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("client %d does not come", id)
		}
	}
}

func TestServe(t *testing.T) {
	news := make(chan wsnotify.Notification, 10)
	closed := make(chan wsnotify.CloseEvent, 10)
	h, srv, c := served(t, wsnotify.Config{
		BackOff:        wsnotify.Exponential(time.Millisecond, time.Millisecond, -1),
		Heartbeat:      wsnotify.Heartbeat{Interval: 20 * time.Millisecond, Timeout: 2 * time.Second},
		OnNotification: func(n wsnotify.Notification) { news <- n },
		OnClose:        func(ev wsnotify.CloseEvent) { closed <- ev },
	})
	post := func(path, contentType, body string, header ...string) int {
		req, _ := http.NewRequest("POST", srv.URL+path, strings.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		if len(header) > 0 {
			req.Header.Set(header[0], header[1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	const form, asJSON = "application/x-www-form-urlencoded", "application/json"
	for _, test := range []struct {
		path, contentType, body string
		status                  int
		content                 string
	}{
		{"/notify/ada", form, url.Values{"msgType": {"mail"}, "content": {"3 new"}}.Encode(), 200, "3 new"},
		{"/notify", form, "msgType=mail&content=all", 200, "all"},
		{"/notify/ada", asJSON, `{"msgType":"mail","content":{"n":1}}`, 200, `{"n":1}`},
		{"/notify/bob", form, "msgType=mail&content=x", 404, ""},
		{"/notify/ada", form, "msgType=mail", 400, ""},
		{"/notify/ada", asJSON, `{"content":1}`, 400, ""},
		{"/notify/ada", asJSON, `{`, 400, ""},
		{"/clients/77/drop", form, "", 404, ""},
		{"/clients/1/nonsense", form, "", 404, ""},
		{"/clients/1/close", form, "code=1006", 400, ""},
		{"/clients/1/close", form, "code=x", 400, ""},
		{"/clients/1/close", form, "code=4000&reason=" + strings.Repeat("x", 124), 400, ""},
	} {
		if got := post(test.path, test.contentType, test.body); got != test.status {
			t.Errorf("%s %s answers %d and not %d", test.path, test.body, got, test.status)
		} else if got == 200 {
			if n := next(t, news); n.MsgType != "mail" || n.Content != test.content {
				t.Errorf("%s %s brought %+v", test.path, test.body, n)
			}
		}
	}
	if got := post("/clients/1/drop", form, "", "Sec-Fetch-Site", "cross-site"); got != 403 {
		t.Errorf("a page from elsewhere gets %d", got)
	}
	if got := post("/clients/1/drop", form, ""); got != 200 {
		t.Errorf("drop answers %d", got)
	}
	if ev := next(t, closed); ev.Code != 1006 {
		t.Errorf("dropped with %d", ev.Code)
	}
	if err := c.WaitFor(within(t), wsnotify.Open); err != nil {
		t.Fatal(err)
	}
	arrived(t, h, 2)
	if got := post("/clients/2/mute", form, ""); got != 200 {
		t.Errorf("mute answers %d", got)
	}
	if ev := next(t, closed); ev.Failure.Err != wsnotify.ErrHeartbeatTimeout {
		t.Errorf("muted, it ended with %v", ev.Failure.Err)
	}
	arrived(t, h, 3)
	if post("/clients/3/mute", form, "") != 200 || post("/clients/3/unmute", form, "") != 200 {
		t.Error("mute or unmute does not answer 200")
	}
	if err := c.WaitFor(within(t), wsnotify.Open); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Ping(within(t)); err != nil {
		t.Errorf("unmuted, it answers %v", err)
	}
	if got := post("/clients/3/send", form, "text="+url.QueryEscape(`{"msgType":"mail","content":"an answer"}`)); got != 200 {
		t.Errorf("send answers %d", got)
	}
	if n := next(t, news); n.Content != "an answer" {
		t.Errorf("send brought %+v", n)
	}
	if got := post("/clients/3/close", form, "code=4001&reason=enough"); got != 200 {
		t.Errorf("close answers %d", got)
	}
	if ev := next(t, closed); ev.Code != 4001 || ev.Reason != "enough" {
		t.Errorf("it ended with %d, %s", ev.Code, ev.Reason)
	}
}

// What is wrong with a notification is said in the words of JSON.
func TestNotificationsOfTheWrongKind(t *testing.T) {
	_, srv, _ := served(t, wsnotify.Config{})
	for body, want := range map[string]string{
		`"text"`:                     "the body is a JSON string; expected an object with msgType and content",
		`[1]`:                        "the body is a JSON array; expected an object with msgType and content",
		`{"msgType":1,"content":""}`: "msgType is a JSON number; expected a string",
	} {
		resp, err := http.Post(srv.URL+"/notify/ada", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || strings.TrimSpace(string(text)) != want {
			t.Errorf("%s gets %d, %s and not %s", body, resp.StatusCode, text, want)
		}
	}
}

func TestCodesOfCloseFrames(t *testing.T) {
	var may []int
	for code := range 6000 {
		if mayClose(code) && (len(may) == 0 || !mayClose(code-1) || !mayClose(code+1)) {
			may = append(may, code)
		}
	}
	if want := "[1000 1003 1007 1014 3000 4999]"; fmt.Sprint(may) != want {
		t.Errorf("the ends of the ranges are %d, want %s", may, want)
	}
	if errStalled.code != int(wsnotify.StatusPolicyViolation) {
		t.Errorf("a client that stalls is closed with %d", errStalled.code)
	}
}

// A request's body takes no more than a MiB, and no more than so many pages are open.
func TestServeBoundsItsPages(t *testing.T) {
	_, srv, _ := served(t, wsnotify.Config{ReadLimit: -1}) // which takes what is a little longer as JSON than as a form
	for size, want := range map[int]int{maxBody: http.StatusOK, maxBody + 1: http.StatusBadRequest} {
		for kind, body := range map[string]string{
			"application/json":                  `{"msgType":"a","content":"` + strings.Repeat("x", size-28) + `"}`,
			"application/x-www-form-urlencoded": "msgType=a&content=" + strings.Repeat("x", size-18),
		} {
			resp, err := http.Post(srv.URL+"/notify/ada", kind, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%d bytes of %s: %s", len(body), kind, resp.Status)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	page := func(ctx context.Context) int {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/events", nil)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp.StatusCode
	}
	for i := range maxPages {
		if code := page(ctx); code != http.StatusOK {
			t.Fatalf("page %d gets %d", i+1, code)
		}
	}
	if code := page(t.Context()); code != http.StatusServiceUnavailable {
		t.Errorf("page %d gets %d", maxPages+1, code)
	}
	cancel() // all are closed, and there is room again
	until(t, func() bool { return page(t.Context()) == http.StatusOK })
}

// running starts wsnotify serve, and returns its address.
func running(t *testing.T, args ...string) (*command, string) {
	c := start(t, nil, append([]string{"serve", "--addr", "0"}, args...)...)
	c.out.Await(within(t), t, "\n\n")
	_, rest, _ := strings.Cut(c.out.String(), "http://")
	at, _, _ := strings.Cut(rest, "/")
	t.Cleanup(func() {
		c.cancel()
		if code := <-c.code; code != exitOK {
			t.Errorf("serve ended with %d", code)
		}
	})
	return c, at
}

// Where it listens is what was asked for, on the loopback address if that was a port.
func TestAddressesOfServe(t *testing.T) {
	for addr, want := range map[string]string{
		"0": "127.0.0.1:", "127.0.0.1:0": "127.0.0.1:", "": "usage", "1.2.3.4": "usage", "a:b:c": "usage",
	} {
		l, err := listenAt(addr)
		if want == "usage" {
			if want := "--addr " + addr + ": expected a host and a port such as 127.0.0.1:8080, or a port"; err == nil || err.Error() != want {
				t.Errorf("%q: %v, want %s", addr, err, want)
			}
			continue
		}
		if err != nil || !strings.HasPrefix(l.Addr().String(), want) {
			t.Fatalf("%q: %v", addr, err)
		}
		taken := l.Addr().String()
		if _, err := listenAt(taken); err == nil || err.Error() != "something listens on "+taken+" already; choose another port with --addr" {
			t.Errorf("%s: %v", taken, err)
		}
		l.Close()
	}
	if _, err := listenAt("127.0.0.1:99999"); err == nil || strings.Contains(err.Error(), "already") {
		t.Errorf("a port that can't be: %v", err)
	}
	_, at := running(t, "--host", "devbox.example")
	for host, want := range map[string]int{"devbox.example": 200, "another.example": 403} {
		req, _ := http.NewRequest("GET", "http://"+at+"/", nil)
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("as %s it answers %d", host, resp.StatusCode)
		}
	}
	ending, at := running(t)
	closed := make(chan wsnotify.CloseEvent, 1)
	client := wsnotify.New(wsnotify.Config{OnClose: func(ev wsnotify.CloseEvent) { closed <- ev }})
	if err := client.Connect(within(t), "ws://"+at+"/ws/", "ada"); err != nil {
		t.Fatal(err)
	}
	ending.out.Await(within(t), t, "+ ada\n")
	ending.cancel()
	if ev := next(t, closed); ev.Code != wsnotify.StatusGoingAway || ev.Reason != "the server ends" {
		t.Errorf("at its end, a client gets %d %s", ev.Code, ev.Reason)
	}
	client.Disconnect()
	<-client.Done()

	c, at := running(t)
	want := "page       http://" + at + "/\nWebSocket  ws://" + at + "/ws/{user}\nnotify     curl -d msgType=mail -d content='3 new' http://" + at + "/notify/{user}\n" +
		"talk       wsnotify " + at + "/ws/ada\n\n"
	if got := c.out.String(); got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

// The flags of serve are checked before it listens.
func TestFlagsOfServe(t *testing.T) {
	for args, want := range map[string]string{
		"--refuse 199":     "--refuse 199: expected an HTTP status from 200 to 599, such as 401",
		"--refuse 600":     "--refuse 600: expected an HTTP status from 200 to 599, such as 401",
		"--number msgType": "--number msgType: notifications have that field already; expected another one, such as seq",
		"--number content": "--number content: notifications have that field already; expected another one, such as seq",
		"--number=":        "--number: the name of the field is empty",
		"--max-clients 0":  "--max-clients 0: expected a whole number such as 6",
		"--confirm a..b":   "--confirm a..b: expected the name of a field, such as id or meta.id",
		"--refuse 200 -x":  "unknown flag -x: it is a flag of connect, and not of serve",
	} {
		c := start(t, nil, append([]string{"serve", "--addr", "nonsense"}, strings.Fields(args)...)...)
		c.wants(t, exitUsage)
		if first, _, _ := strings.Cut(c.err.String(), "\n"); first != "wsnotify: "+want {
			t.Errorf("%s: it says %s, want %s", args, first, want)
		}
	}
	for _, args := range []string{"--refuse 200", "--refuse 599", "--max-clients 1", "--number seq"} {
		c := start(t, nil, append([]string{"serve", "--addr", "nonsense"}, strings.Fields(args)...)...)
		c.wants(t, exitUsage)
		if !strings.Contains(c.err.String(), "--addr nonsense") {
			t.Errorf("%s: it says %s", args, &c.err)
		}
	}
}

// What the project serves is what it sends to.
func TestServeAndTheOtherCommands(t *testing.T) {
	echo, at := running(t, "--echo")
	c := start(t, nil, "connect", at, "-x", "hello", "-x", "ping", "--wait", "500ms")
	c.wants(t, exitOK)
	if c.out.String() != "hello\nping\n" || !strings.Contains(echo.out.String(), "guest: hello\n") || strings.Contains(echo.out.String(), "guest: ping") {
		t.Errorf("it printed %q, and the server %q", &c.out, &echo.out)
	}
	c = start(t, strings.NewReader(strings.Repeat("x", 1<<20+1)), "send", at+"/ws/ada")
	c.wants(t, exitOK)

	_, at = running(t, "--refuse", "401")
	c = start(t, nil, "connect", at+"/ws/ada", "-x", "hello")
	c.wants(t, exitRefused)

	small, at := running(t, "--read-limit", "1K")
	c = start(t, strings.NewReader(strings.Repeat("x", 1025)), "send", at+"/ws/ada")
	if code := next(t, c.code); code == exitOK || c.err.String() == "" {
		t.Errorf("a line over the limit ends with %d: %s", code, &c.err)
	}
	small.out.Await(within(t), t, "ada: sent a message of more than 1K, and was closed with 1009")
}

func TestServeSaysGoodBye(t *testing.T) {
	closed := make(chan wsnotify.CloseEvent, 1)
	h, srv, _ := served(t, wsnotify.Config{OnClose: func(ev wsnotify.CloseEvent) { closed <- ev }})
	h.close()
	if resp, err := http.Get(srv.URL + "/ws/late"); err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("who comes later gets %v, %v", resp, err)
	}
	if ev := next(t, closed); ev.Code != wsnotify.StatusGoingAway {
		t.Errorf("it ended with %d", ev.Code)
	}
}

// The page in a real browser: it shows who is there and what they send,
// notifies, answers, mutes, unmutes and closes, and says when the server is gone.
func TestPageInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	got := make(chan string, 9)
	closed := make(chan wsnotify.CloseEvent, 2)
	_, srv, c := served(t, wsnotify.Config{
		BackOff:   wsnotify.Exponential(time.Hour, time.Hour, -1),
		OnMessage: func(m wsnotify.Message) { got <- string(m.Data) },
		OnClose:   func(ev wsnotify.CloseEvent) { closed <- ev },
	})
	if err := c.SendMessage(within(t), "<b>from the client</b>"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(text string) {
		t.Helper()
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool](fmt.Sprintf("document.body.innerText.includes(%q)", text))); err != nil {
			t.Fatalf("the page does not show %s: %v", text, err)
		}
	}
	receives := func(want string) {
		t.Helper()
		if text := next(t, got); text != want {
			t.Errorf("the client got %s and not %s", text, want)
		}
	}
	do(chromedp.Navigate(srv.URL))
	shows("<b>from the client</b>") // and not in bold
	do(
		chromedp.SetValue("#user", "ada"),
		chromedp.SetValue("[name=content]", "from the page"),
		chromedp.Click("#notify button"),
	)
	shows("sent to 1")
	receives(`{"msgType":"mail","content":"from the page"}`)
	do(
		chromedp.Click("[aria-label='send ada']"),
		chromedp.SetValue("form.send [name=text]", "an answer"),
		chromedp.Click("form.send button"),
	)
	receives("an answer")
	shows("→ an answer")
	do(
		chromedp.Click("[aria-label='mute ada']"),
		chromedp.Click("[aria-label='unmute ada']"),
		chromedp.WaitVisible("[aria-label='mute ada']"),
	)
	// Nothing is wider than a telephone.
	do(chromedp.EmulateViewport(400, 800), chromedp.Click("[aria-label='close ada']"))
	if width, err := chromedp.Run(ctx, chromedp.Evaluate[int]("document.documentElement.scrollWidth")); err != nil || width > 400 {
		t.Errorf("the page is %d wide: %v", width, err)
	}
	do(
		chromedp.SetValue("form.close [name=code]", "4000"),
		chromedp.SetValue("form.close [name=reason]", "bye"),
		chromedp.Click("form.close button"),
		chromedp.WaitVisible("#nobody"),
	)
	if ev := next(t, closed); ev.Code != 4000 || ev.Reason != "bye" {
		t.Errorf("it ended with %d, %s", ev.Code, ev.Reason)
	}
	shows("closed with 4000")
	srv.Listener.Close()
	srv.CloseClientConnections()
	shows("The server is gone.")
}
