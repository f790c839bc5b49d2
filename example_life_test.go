package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// A client that runs until its context ends.
func Example() {
	withServer(func(srv *wsnotifytest.Server) {
		ctx, stop := context.WithCancel(context.Background()) // of a program: signal.NotifyContext
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: srv.HTTPClient(),
			OnNotification: func(n wsnotify.Notification) {
				fmt.Println(n.MsgType, n.Content)
				stop()
			},
			OnReconnecting: func(e wsnotify.ReconnectEvent) { fmt.Println(e) },
		})
		go func() {
			if _, err := srv.Conn(ctx, "ada"); err == nil {
				srv.Notify("ada", "mail", "3 new")
			}
		}()
		err := client.Run(ctx, srv.URL(), "ada")
		<-client.Done() // the last callback has returned
		fmt.Println(errors.Is(err, context.Canceled))
	})
	// Output:
	// mail 3 new
	// true
}

// Run returns when everything is over. A refusal that waiting does not change ends
// it here.
func ExampleClient_Run() {
	withServer(func(srv *wsnotifytest.Server) {
		srv.Refuse(-1, http.StatusForbidden, nil, "ada is blocked")
		client := wsnotify.New(wsnotify.Config{
			HTTPClient:      srv.HTTPClient(),
			BackOff:         wsnotify.Exponential(time.Second, time.Minute, -1), // as long as it takes
			ShouldReconnect: wsnotify.FailFast,
		})
		err := client.Run(context.Background(), srv.URL(), "ada")
		var gaveUp *wsnotify.GiveUpError
		if errors.As(err, &gaveUp) {
			fmt.Println("status", gaveUp.Failure.HTTPStatus, "after", gaveUp.Attempts, "attempt")
		}
	})
	// Output:
	// status 403 after 1 attempt
}

// Connect returns once the connection is open. Its ctx does not matter after that.
func ExampleClient_Connect() {
	withServer(func(srv *wsnotifytest.Server) {
		srv.Echo()
		replies := make(chan string)
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: srv.HTTPClient(),
			OnMessage:  func(m wsnotify.Message) { replies <- string(m.Data) },
		})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := client.Connect(ctx, srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		if err := client.SendText(ctx, "hello"); err != nil {
			log.Fatal(err)
		}
		fmt.Println(<-replies)
	})
	// Output:
	// hello
}

// A token that expires is fetched before each attempt. A refusal is retried once,
// with a fresh one.
func ExampleConfig_beforeDial() {
	withServer(func(srv *wsnotifytest.Server) {
		srv.Refuse(1, http.StatusUnauthorized, nil, "")
		tokens := []string{"stale", "fresh"}
		client := wsnotify.New(wsnotify.Config{
			HTTPClient:      srv.HTTPClient(),
			BackOff:         wsnotify.Exponential(10*time.Millisecond, time.Minute, -1),
			ShouldReconnect: wsnotify.RetryOnce(http.StatusUnauthorized),
			BeforeDial: func(ctx context.Context, req *wsnotify.DialRequest) error {
				if req.Last != nil && req.Last.HTTPStatus == http.StatusUnauthorized {
					tokens = tokens[1:] // a program asks its token server, with ctx
				}
				req.Header.Set("Authorization", "Bearer "+tokens[0])
				return nil
			},
		})
		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		for _, h := range srv.Handshakes() {
			fmt.Println(h.Header.Get("Authorization"))
		}
	})
	// Output:
	// Bearer stale
	// Bearer fresh
}

// A server that wants a login before anything else gets it on every connection,
// before what is queued.
func ExampleConfig_onHandshake() {
	withServer(func(srv *wsnotifytest.Server) {
		srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
			if string(data) == "login ada" {
				c.SendText("welcome")
			}
		})
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: srv.HTTPClient(),
			OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
				if err := h.SendText(ctx, "login ada"); err != nil {
					return err
				}
				reply, err := h.Receive(ctx)
				if err == nil && string(reply.Data) != "welcome" {
					err = fmt.Errorf("the login was answered with %q", reply.Data)
				}
				return err // an error fails the attempt
			},
		})
		if err := client.Enqueue(wsnotify.MessageText, []byte("queued before")); err != nil {
			log.Fatal(err)
		}
		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		if err := client.Flush(context.Background()); err != nil {
			log.Fatal(err)
		}
		client.Close()
		fmt.Printf("%q\n", srv.Messages("ada"))
	})
	// Output:
	// ["login ada" "queued before"]
}

// A message stays in the outbox until the server has acknowledged it.
func ExampleClient_Confirm() {
	withServer(func(srv *wsnotifytest.Server) {
		srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
			c.SendText(`{"msgType":"ack","content":"` + string(data) + `"}`)
		})
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: srv.HTTPClient(),
			Outbox:     wsnotify.Outbox{ConfirmID: func(m wsnotify.Message) string { return string(m.Data) }},
		})
		wsnotify.On(client, "ack", func(id string) { fmt.Println(id, client.Confirm(id)) })
		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		if err := client.Enqueue(wsnotify.MessageText, []byte("order-1")); err != nil {
			log.Fatal(err)
		}
		if err := client.Flush(context.Background()); err != nil { // until it is acknowledged
			log.Fatal(err)
		}
		client.Close()
		<-client.Done()
		fmt.Println(client.Status().Queued, "left")
	})
	// Output:
	// order-1 1
	// 0 left
}

// Drain waits until callbacks have handled what was received and what they send
// is sent.
func ExampleClient_Drain() {
	withServer(func(srv *wsnotifytest.Server) {
		began := make(chan bool)
		var client *wsnotify.Client
		client = wsnotify.New(wsnotify.Config{
			HTTPClient: srv.HTTPClient(),
			OnMessage: func(m wsnotify.Message) {
				close(began)
				time.Sleep(10 * time.Millisecond) // work
				client.Enqueue(wsnotify.MessageText, append([]byte("done: "), m.Data...))
			},
		})
		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			log.Fatal(err)
		}
		srv.SendText("ada", "order-1")
		<-began
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := client.Drain(ctx)
		var lost *wsnotify.DrainError
		if errors.As(err, &lost) {
			fmt.Println(lost.Unhandled, "not handled,", lost.Unsent, "not sent")
		}
		fmt.Println(err, srv.Messages("ada"))
	})
	// Output:
	// <nil> [done: order-1]
}
