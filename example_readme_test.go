package wsnotify_test

import (
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
