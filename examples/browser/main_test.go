package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// The page and its program are served, and its server does as it says.
func TestPageIsServed(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles a program")
	}
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	over := make(chan error, 1)
	go func() {
		err := run(ctx, "127.0.0.1:0", writer)
		writer.CloseWithError(io.EOF)
		over <- err
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatal(<-over)
	}
	url := strings.Fields(line)[1]
	for path, begins := range map[string]string{"/": "<!doctype html>", "/page.wasm": "\x00asm", "/wasm_exec.js": "// Copyright"} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.HasPrefix(string(body), begins) {
			t.Errorf("%s: %s, %.40q", path, resp.Status, body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	came := make(chan wsnotify.Notification, 10)
	closed := make(chan wsnotify.CloseEvent, 1)
	client := wsnotify.New(wsnotify.Config{
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
