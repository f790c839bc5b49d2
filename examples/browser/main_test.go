package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// The page and its program are served, over http and https, under a policy that has no exceptions for inline
// code, and the server does as it says. tests/browser opens the page in a browser.
func TestPageIsServed(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles a program")
	}
	for _, https := range []bool{false, true} {
		var cert, key string
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if https {
			made, pool := testkit.CertificateOfNow(t, "127.0.0.1")
			cert, key = testkit.CertificateFiles(t, made)
			client.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
		}
		pageIsServed(t, client, cert, key)
	}
}

func pageIsServed(t *testing.T, browser *http.Client, cert, key string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, writer := io.Pipe()
	over := make(chan error, 1)
	go func() {
		err := run(ctx, "127.0.0.1:0", cert, key, writer)
		writer.CloseWithError(io.EOF)
		over <- err
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatal(<-over)
	}
	url := strings.Fields(line)[1]
	for path, begins := range map[string]string{"/": "<!doctype html>", "/page.css": ":root", "/page.js": "const go", "/page.wasm": "\x00asm", "/wasm_exec.js": "// Copyright"} {
		resp, err := browser.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.HasPrefix(string(body), begins) {
			t.Errorf("%s: %s, %.40q", path, resp.Status, body)
		}
		if got := resp.Header.Get("Content-Security-Policy"); got != policy || strings.Contains(got, "unsafe-inline") || !strings.HasPrefix(got, "default-src 'none';") {
			t.Errorf("%s: the policy is %s", path, got)
		}
		if path == "/" && (strings.Contains(string(body), "<style") || regexp.MustCompile(`<script>| on[a-z]+=| style=`).Match(body)) {
			t.Errorf("the page has inline code, which its policy forbids:\n%s", body)
		}
	}
	came := make(chan wsnotify.Notification, 10)
	closed := make(chan wsnotify.CloseEvent, 1)
	client := wsnotify.New(wsnotify.Config{
		HTTPClient:      browser,
		Heartbeat:       wsnotify.Heartbeat{Interval: 10 * time.Millisecond},
		ShouldReconnect: func(wsnotify.Failure) bool { return false },
		OnNotification:  func(n wsnotify.Notification) { came <- n },
		OnClose:         func(ev wsnotify.CloseEvent) { closed <- ev },
	})
	if err := client.Connect(ctx, url+"/ws/", "ada"); err != nil {
		t.Fatal(err)
	}
	client.Enqueue(wsnotify.MessageText, []byte("news"))
	for _, want := range []string{"hello", "news"} {
		if n := <-came; n.MsgType != want {
			t.Errorf("%+v came, and not %s", n, want)
		}
	}
	cancel()
	if ev := <-closed; ev.Code != wsnotify.StatusGoingAway {
		t.Errorf("%+v", ev)
	}
	<-client.Done()
	if err := <-over; err != nil {
		t.Error(err)
	}
}
