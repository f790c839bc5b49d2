package wsnotify_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
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
	})
	wsnotify.On(client, "mail", func(m Mail) { fmt.Println(m.From, "wrote:", m.Subject) })

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
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

func TestReadmeCode(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code []string
	for i, part := range strings.Split(string(readme), "```") {
		if body, ok := strings.CutPrefix(part, "go\n"); i%2 == 1 && ok && strings.Count(body, "\n") > 12 {
			code = append(code, strings.TrimSpace(body))
		}
	}
	var want []string
	for _, part := range strings.Split(string(source), "// --- "+"begin\n")[1:] {
		body, _, _ := strings.Cut(part, "// --- "+"end")
		body = strings.TrimRight(body, "\t\n")
		if strings.HasPrefix(body, "\t") {
			body = strings.ReplaceAll("\n"+body, "\n\t", "\n")
		}
		want = append(want, strings.TrimSpace(body))
	}
	if len(want) != 2 || !slices.Equal(code, want) {
		t.Errorf("the README has the code\n%s\n\nand not\n%s", strings.Join(code, "\n---\n"), strings.Join(want, "\n---\n"))
	}
}
