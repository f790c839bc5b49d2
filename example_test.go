package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// withServer gives an example a server to talk to, where a program has one of
// its own.
func withServer(f func(srv *wsnotifytest.Server)) {
	err := wsnotifytest.Run(func(t wsnotifytest.TB) { f(wsnotifytest.NewNetwork(t).NewServer()) })
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleOn() {
	withServer(func(srv *wsnotifytest.Server) {
		type Mail struct{ From, Subject string }
		client := wsnotify.New(wsnotify.Config{HTTPClient: srv.HTTPClient()})
		done := make(chan bool)
		wsnotify.On(client, "mail", func(m Mail) { fmt.Println(m.From, "wrote:", m.Subject) })
		wsnotify.On(client, "unread", func(n int) { fmt.Println(n, "unread"); close(done) })

		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		defer client.Disconnect()
		srv.Notify("ada", "mail", Mail{"Charles", "The engine"})
		srv.Notify("ada", "unread", 3)
		<-done
	})
	// Output:
	// Charles wrote: The engine
	// 3 unread
}

func ExampleHandle() {
	withServer(func(srv *wsnotifytest.Server) {
		type Order struct{ ID, Amount int }
		done := make(chan bool)
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: srv.HTTPClient(),
			OnError:    func(err error) { fmt.Println(err); close(done) },
		})
		wsnotify.Handle(client, "order", func(ctx context.Context, n wsnotify.Typed[Order]) error {
			if n.Value.Amount < 0 {
				return fmt.Errorf("order %d has a negative amount", n.Value.ID)
			}
			fmt.Println("order", n.Value.ID, "over connection", n.Epoch)
			return ctx.Err() // nil while the client runs, also while it drains
		})

		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		srv.Notify("ada", "order", Order{1, 10})
		srv.Notify("ada", "order", Order{2, -3})
		<-done
	})
	// Output:
	// order 1 over connection 1
	// wsnotify: the handler of "order" notifications: order 2 has a negative amount
}

func ExampleClient_Notifications() {
	withServer(func(srv *wsnotifytest.Server) {
		client := wsnotify.New(wsnotify.Config{HTTPClient: srv.HTTPClient()})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		news := client.Notifications(ctx) // from here on, nothing is missed

		if err := client.Connect(ctx, srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		defer client.Disconnect()
		srv.Notify("ada", "mail", "one")
		srv.Notify("ada", "mail", "two")
		for n := range news {
			fmt.Println(n.MsgType, n.Content)
			if n.Content == "two" {
				break
			}
		}
	})
	// Output:
	// mail one
	// mail two
}

func ExampleClient_Enqueue() {
	withServer(func(srv *wsnotifytest.Server) {
		client := wsnotify.New(wsnotify.Config{HTTPClient: srv.HTTPClient()})
		// There is no connection yet, so they wait.
		client.Enqueue(wsnotify.MessageText, []byte("one"))
		client.Enqueue(wsnotify.MessageText, []byte("two"))
		fmt.Println("queued:", client.Status().Queued)

		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		if err := client.Flush(context.Background()); err != nil {
			log.Fatal(err)
		}
		client.Disconnect()
		fmt.Println(srv.Messages("ada"))
	})
	// Output:
	// queued: 2
	// [one two]
}

func ExampleClient_SendMessage() {
	client := wsnotify.New(wsnotify.Config{})
	err := client.SendMessage(context.Background(), "hello")
	fmt.Println(err)
	fmt.Println(errors.Is(err, wsnotify.ErrNotConnected))
	// Output:
	// wsnotify: WebSocket is not connected: the client was never connected; call Connect or Run first
	// true
}

func ExampleClient_CloseWith() {
	client := wsnotify.New(wsnotify.Config{})
	fmt.Println(client.CloseWith(context.Background(), 1006, ""))
	fmt.Println(client.CloseWith(context.Background(), 4001, "signed out"))
	// Output:
	// wsnotify: the close code 1006 is not for applications; it must be 1000 or 3000 to 4999
	// <nil>
}

func ExampleNotification_Decode() {
	n := wsnotify.Notification{MsgType: "mail", Content: `{"from": "Charles"}`}
	var mail struct{ From string }
	if err := n.Decode(&mail); err != nil {
		log.Fatal(err)
	}
	fmt.Println(mail.From)
	// Output: Charles
}

// Give up on what waiting can't cure, but not on a token that has expired:
// BeforeDial gets a new one.
func ExampleFailFast() {
	retries := func(f wsnotify.Failure) bool { return f.HTTPStatus == 401 || wsnotify.FailFast(f) }
	fmt.Println("401:", retries(wsnotify.Failure{HTTPStatus: 401}))
	fmt.Println("404:", retries(wsnotify.Failure{HTTPStatus: 404}))
	fmt.Println("503:", retries(wsnotify.Failure{HTTPStatus: 503}))
	// Output:
	// 401: true
	// 404: false
	// 503: true
}

func ExampleExponential() {
	policy := wsnotify.Exponential(time.Second, time.Minute, 3)()
	policy.Reset()
	for {
		wait := policy.NextBackOff()
		if wait < 0 {
			break
		}
		fmt.Println("less than a minute:", wait < time.Minute)
	}
	fmt.Println("gives up")
	// Output:
	// less than a minute: true
	// less than a minute: true
	// less than a minute: true
	// gives up
}
