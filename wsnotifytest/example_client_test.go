package wsnotifytest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// inVirtualTime is what synctest.Test is in a test. An example has no *testing.T of its own, so it
// runs a test in it, once and quietly whatever -count and -v say.
func inVirtualTime(f func(t *testing.T)) {
	for name, value := range map[string]string{"test.v": "false", "test.count": "1"} {
		old := flag.Lookup(name).Value.String()
		flag.Set(name, value)
		defer flag.Set(name, old)
	}
	testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{
		{Name: "example", F: func(t *testing.T) { synctest.Test(t, f) }},
	})
}

// My handler gets the notification.
func Example_notification() {
	inVirtualTime(func(t *testing.T) {
		n := wsnotifytest.NewNetwork(t)
		srv := n.NewServer()

		// The code under test.
		type Mail struct{ From, Subject string }
		client := wsnotify.New(wsnotify.Config{HTTPClient: n.HTTPClient()})
		wsnotify.On(client, "mail", func(m Mail) { fmt.Println(m.From, "wrote:", m.Subject) })
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		defer client.Disconnect()

		if err := srv.Notify("ada", "mail", Mail{"Charles", "The engine"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the handler has returned
	})
	// Output: Charles wrote: The engine
}

// My code survives a restart: half a minute in which the server is away takes no time.
func Example_restart() {
	inVirtualTime(func(t *testing.T) {
		n := wsnotifytest.NewNetwork(t)
		srv := n.NewServer()
		begin := time.Now()

		// The code under test.
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: n.HTTPClient(),
			OnOpen: func(ev wsnotify.OpenEvent) {
				fmt.Printf("connection %d, opened after %v by attempt %d\n", ev.Epoch, time.Since(begin), ev.Attempt)
			},
		})
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		defer client.Disconnect()

		srv.Restart(25 * time.Second) // it goes, and comes back
		time.Sleep(time.Minute)
		fmt.Println("state:", client.ReadyState())
		synctest.Wait()
	})
	// Output:
	// connection 1, opened after 0s by attempt 0
	// connection 2, opened after 30s by attempt 3
	// state: OPEN
}

// My code refreshes its token on 401.
func Example_token() {
	inVirtualTime(func(t *testing.T) {
		n := wsnotifytest.NewNetwork(t)
		srv := n.NewServer()

		// The code under test.
		token := "expired"
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: n.HTTPClient(),
			BeforeDial: func(_ context.Context, req *wsnotify.DialRequest) error {
				if req.Last != nil && req.Last.HTTPStatus == http.StatusUnauthorized {
					token = "fresh"
				}
				req.Header.Set("Authorization", "Bearer "+token)
				return nil
			},
		})

		srv.Refuse(1, http.StatusUnauthorized, nil, "token expired")
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		defer client.Disconnect()
		for _, h := range srv.Handshakes() {
			fmt.Println(h.Header.Get("Authorization"), "→", h.Status)
		}
	})
	// Output:
	// Bearer expired → 401
	// Bearer fresh → 101
}

// My code gives up and says so.
func Example_givingUp() {
	inVirtualTime(func(t *testing.T) {
		n := wsnotifytest.NewNetwork(t)
		srv := n.NewServer()
		begin := time.Now()

		// The code under test.
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: n.HTTPClient(),
			OnGiveUp:   func(err *wsnotify.GiveUpError) { fmt.Println("gave up after", err.Attempts, "attempts") },
		})

		srv.Refuse(-1, http.StatusServiceUnavailable, nil, "down for good")
		err := client.Connect(t.Context(), srv.URL(), "ada")
		<-client.Done() // the callback has returned

		var refused *wsnotify.HandshakeError
		if errors.As(err, &refused) {
			fmt.Printf("after %v: %d %s\n", time.Since(begin), refused.StatusCode, refused.Body)
		}
	})
	// Output:
	// gave up after 7 attempts
	// after 1m0s: 503 down for good
}

// Nothing I queued is lost.
func Example_queue() {
	inVirtualTime(func(t *testing.T) {
		n := wsnotifytest.NewNetwork(t)
		srv := n.NewServer()

		// The code under test.
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: n.HTTPClient(),
			OnUndelivered: func(m wsnotify.Message, err error) {
				fmt.Printf("not delivered: %s\n", m.Data)
			},
		})
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		defer client.Disconnect()

		conn, err := srv.Conn(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		conn.Drop()
		synctest.Wait() // the client knows
		for i := range 3 {
			if err := client.Enqueue(wsnotify.MessageText, fmt.Appendf(nil, "message %d", i)); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Println("while away:", srv.Messages("ada"))
		if err := client.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		fmt.Println("once back:", srv.Messages("ada"))
	})
	// Output:
	// while away: []
	// once back: [message 0 message 1 message 2]
}

// A recording of Config.Record, or of "wsnotify connect --record", is played in virtual time, and the client
// has to do what it did there.
func Example_replay() {
	recording := `{"v":1,"t":0,"conn":1,"dir":"out","type":"open","url":"wss://example.com/ws/ada"}
{"t":1000000000,"conn":1,"dir":"in","type":"text","text":"{\"msgType\":\"question\",\"content\":\"6 x 7?\"}"}
{"t":1200000000,"conn":1,"dir":"out","type":"text","text":"42"}
{"t":9000000000,"conn":1,"dir":"in","type":"close","code":1001,"reason":"bye"}
{"t":9000000000,"conn":1,"dir":"out","type":"close","code":1001,"reason":"bye"}
`
	inVirtualTime(func(t *testing.T) {
		rec, err := wsnotifytest.ReadRecording(strings.NewReader(recording))
		if err != nil {
			t.Fatal(err)
		}
		s := wsnotifytest.NewNetwork(t).NewServer()
		s.Replay(rec)

		client := wsnotify.New(wsnotify.Config{
			HTTPClient: s.HTTPClient(),
			OnClose:    func(ev wsnotify.CloseEvent) { fmt.Println("closed with", int(ev.Code), ev.Reason) },
		})
		wsnotify.On(client, "question", func(text string) {
			fmt.Println(text)
			_ = client.Enqueue(wsnotify.MessageText, []byte("42"))
		})
		if err := client.Connect(t.Context(), s.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		err = s.WaitReplay(t.Context())
		client.Disconnect()
		<-client.Done()
		fmt.Println("different:", err)
	})
	// Output:
	// 6 x 7?
	// closed with 1001 bye
	// different: <nil>
}
