package main

import (
	"context"
	"fmt"
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

// The page in a real browser: it shows who is there, notifies and drops him.
func TestPageInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	news := make(chan wsnotify.Notification, 1)
	closed := make(chan wsnotify.CloseEvent, 2)
	_, srv, _ := served(t, wsnotify.Config{
		BackOff:        wsnotify.Exponential(time.Hour, time.Hour, -1),
		OnNotification: func(n wsnotify.Notification) { news <- n },
		OnClose:        func(ev wsnotify.CloseEvent) { closed <- ev },
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	text := func(selector string) string {
		t.Helper()
		text, err := chromedp.Run(ctx, chromedp.Text(selector))
		if err != nil {
			t.Fatalf("%s: %v", selector, err)
		}
		return text
	}
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	do(chromedp.Navigate(srv.URL))
	user := text("#clients td")
	do(
		chromedp.SetValue("#user", "ada"),
		chromedp.SetValue("[name=content]", "from the page"),
		chromedp.Click("#notify button"),
		chromedp.WaitVisible("#result:not(:empty)"),
	)
	result := text("#result")
	do(
		chromedp.Click("[aria-label='drop ada']"),
		chromedp.WaitVisible("#nobody"),
	)
	nobody := text("#try")
	if user != "ada" || result != "sent to 1" || !strings.HasPrefix(nobody, "wsnotify listen ws://127.0.0.1:") {
		t.Errorf("the page shows %q, %q, %q", user, result, nobody)
	}
	if n := next(t, news); fmt.Sprint(n.MsgType, n.Content) != "mailfrom the page" {
		t.Errorf("it notified with %+v", n)
	}
	if ev := next(t, closed); ev.Code != 1006 {
		t.Errorf("it ended with %d", ev.Code)
	}
}
