package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wsnotify/wsnotify"
)

// A client with a token gets what it has subscribed to; one without is refused.
func TestServesSubscribersWithAToken(t *testing.T) {
	srv := httptest.NewServer(newServer().handler())
	defer srv.Close()
	post := func(path, body string) string {
		resp, err := http.Post(srv.URL+path, "", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text := make([]byte, 100)
		n, _ := resp.Body.Read(text)
		return string(text[:n])
	}

	refused := wsnotify.New(wsnotify.Config{ShouldReconnect: wsnotify.FailFast})
	if err := refused.Connect(t.Context(), srv.URL+"/ws/", "ada"); err == nil || !strings.Contains(err.Error(), "got 401") {
		t.Errorf("expected 401, got %v", err)
	}

	got := make(chan string, 1)
	client := wsnotify.New(wsnotify.Config{Header: http.Header{"Authorization": {"Bearer " + post("/token", "")}}})
	wsnotify.On(client, "mail", func(text string) { got <- text })
	if err := client.Connect(t.Context(), srv.URL+"/ws/", "ada"); err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect()
	if err := client.SendText(t.Context(), `{"op":"subscribe","topics":["mail"]}`); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Ping(t.Context()); err != nil { // the subscription has been read
		t.Fatal(err)
	}
	post("/publish?topic=news", "not for us")
	post("/publish?topic=mail", "hello")
	if text := <-got; text != "hello" {
		t.Errorf("expected hello, got %q", text)
	}
}
