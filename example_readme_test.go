package wsnotify_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// The code of docs/testing.md stands here between lines of dashes, so that it
// compiles and runs. The program of the README is examples/first. Both are
// compared with their pages.

// --- begin
func TestClientComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		srv := net.NewServer()
		client := wsnotify.New(wsnotify.Config{HTTPClient: net.HTTPClient()})
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		defer client.Disconnect()

		srv.Stop() // every connection is dropped, and dials are refused
		time.Sleep(25 * time.Second)
		if got := client.ReconnectAttempts(); got != 3 {
			t.Errorf("after 25 s attempt %d is waited for, and not the third", got)
		}
		srv.Start()
		if err := client.WaitFor(t.Context(), wsnotify.Open); err != nil {
			t.Fatal(err)
		}
	})
}

// --- end

// --- begin
func TestMailsOfTheBugReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := wsnotifytest.NewNetwork(t).NewServer()
		srv.Replay(readRecording(t, "testdata/recording.jsonl"))
		mails := make(chan string, 10)
		client := newMailClient(srv.HTTPClient(), mails)
		defer client.Disconnect()
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		if first, second := <-mails, <-mails; first != "1 new" || second != "2 new" {
			t.Errorf("got %q and %q", first, second)
		}
	})
}

func readRecording(t *testing.T, path string) *wsnotifytest.Recording {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rec, err := wsnotifytest.ReadRecording(file)
	if err != nil {
		t.Fatal(err) // it names the line
	}
	return rec
}

// --- end

// --- begin
func TestMailsAfterADrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := wsnotifytest.NewNetwork(t).NewServer()
		rec := readRecording(t, "testdata/recording.jsonl")
		rec.Message(2).Do = (*wsnotifytest.Conn).Drop // behind the first mail
		srv.Refuse(2, 429, nil, "slow down")          // before the first connection
		srv.Latency(200 * time.Millisecond)
		srv.Replay(rec)
		mails := make(chan string, 10)
		client := newMailClient(srv.HTTPClient(), mails)
		defer client.Disconnect()
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		<-mails
		<-mails
		if err := srv.WaitReplay(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// --- end

// newMailClient is the code under test of the bug report.
func newMailClient(httpClient *http.Client, mails chan<- string) *wsnotify.Client {
	client := wsnotify.New(wsnotify.Config{
		HTTPClient: httpClient,
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			return h.Send(ctx, wsnotify.MessageText, []byte(`{"op":"subscribe","topic":"mail"}`))
		},
	})
	wsnotify.On(client, "mail", func(text string) { mails <- text })
	return client
}

func TestTestingCode(t *testing.T) {
	compareCode(t, fences(t, "docs/testing.md", "go"), sourceBlocks(t, "example_readme_test.go"))
}

func TestReadmeProgram(t *testing.T) {
	source, err := os.ReadFile("examples/first/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(source), "\npackage main\n") // below its doc comment
	compareCode(t, fences(t, "README.md", "go"), []string{"package main\n" + strings.TrimRight(program, "\n")})
}
