package wsnotify_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// The code of the README stands here between lines of dashes, so that it
// compiles, and TestReadmeCode compares the two.

func Example() {
	// --- begin
	type Mail struct{ From, Subject string }

	client := wsnotify.New(wsnotify.Config{
		OnStateChange:  func(s wsnotify.StateChange) { log.Println(s.From, "→", s.To) },
		OnNotification: func(n wsnotify.Notification) { log.Println(n.MsgType, n.Content) },
		DrainTimeout:   10 * time.Second, // at the end callbacks finish, and what they send leaves
	})
	wsnotify.On(client, "mail", func(m Mail) { fmt.Println(m.From, "wrote:", m.Subject) })

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := client.Run(ctx, "wss://example.com/ws/", "ada") // dials wss://example.com/ws/ada
	<-client.Done()                                        // the last callback has returned
	if ctx.Err() == nil {
		log.Fatal(err) // the policy gave up
	}
	// --- end
}

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

// Shorter blocks are parts of a Config, or commands.
func TestReadmeCode(t *testing.T) {
	long := func(code string) bool { return strings.Count(code, "\n") >= 12 }
	var page []string
	for _, code := range fences(t, "README.md", "go") {
		if long(code) {
			page = append(page, code)
		}
	}
	compareCode(t, page, sourceBlocks(t, "example_readme_test.go"))
}
