package main

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// start returns a server in memory and a client that is connected to it.
func start(t *testing.T) (*wsnotifytest.Server, *wsnotify.Client) {
	srv := wsnotifytest.NewNetwork(t).NewServer()
	fetched := 0
	fetch := func(context.Context) (string, error) {
		fetched++
		return "token " + strconv.Itoa(fetched), nil
	}
	client := newClient(slog.New(slog.DiscardHandler), srv.HTTPClient(), fetch)
	t.Cleanup(func() { client.Disconnect() })
	if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
		t.Fatal(err)
	}
	return srv, client
}

func TestMailsAreAnsweredAcrossARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time is virtual in here
		srv, client := start(t)
		if _, err := srv.WaitMessages(t.Context(), "ada", 1); err != nil {
			t.Fatal(err)
		}
		srv.Stop()                   // connections are dropped, dials are refused
		time.Sleep(25 * time.Second) // takes no time
		srv.Start()
		if err := client.WaitFor(t.Context(), wsnotify.Open); err != nil {
			t.Fatal(err)
		}
		srv.Notify("ada", "mail", Mail{ID: 7})
		got, err := srv.WaitMessages(t.Context(), "ada", 3)
		subscribe := `{"op":"subscribe","topics":["mail","deploy"]}`
		if want := []string{subscribe, subscribe, `{"read":7}`}; err != nil || !slices.Equal(got, want) {
			t.Errorf("expected %q, got %q, %v", want, got, err)
		}
	})
}

func TestRefusedTokenIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client := start(t)
		srv.Refuse(1, http.StatusUnauthorized, nil, "the token has expired")
		srv.User("ada").Drop()
		if err := client.WaitFor(t.Context(), wsnotify.Closed); err != nil {
			t.Fatal(err)
		}
		if err := client.WaitFor(t.Context(), wsnotify.Open); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range srv.Handshakes() {
			got = append(got, h.Header.Get("Authorization"))
		}
		if want := []string{"Bearer token 1", "Bearer token 1", "Bearer token 2"}; !slices.Equal(got, want) {
			t.Errorf("expected the tokens %q, got %q", want, got)
		}
	})
}
