package wsnotify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// Keys are subscribed on each connection, in their order. The server's answers say
// which of them are active, and why another one is refused.
func ExampleClient_Subscribe() {
	withServer(func(srv *wsnotifytest.Server) {
		srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
			var m struct{ Subscribe string }
			if json.Unmarshal(data, &m); m.Subscribe == "payroll" {
				c.SendText(`{"refused":"payroll","why":"not for ada"}`)
			} else if m.Subscribe != "" {
				c.SendText(`{"subscribed":"` + m.Subscribe + `"}`)
			}
		})
		answers := make(chan bool, 3)
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: srv.HTTPClient(),
			Subscriptions: wsnotify.Subscriptions{
				Subscribe: func(keys []string, _ func(string) string) (wsnotify.Message, error) {
					data, err := json.Marshal(map[string]string{"subscribe": keys[0]})
					return wsnotify.Message{Data: data}, err
				},
				Confirm: func(m wsnotify.Message) (keys []string, err error) {
					var answer struct{ Subscribed, Refused, Why string }
					switch json.Unmarshal(m.Data, &answer); {
					case answer.Refused != "":
						return []string{answer.Refused}, errors.New(answer.Why)
					case answer.Subscribed != "":
						return []string{answer.Subscribed}, nil
					}
					return nil, nil
				},
			},
			OnMessage: func(wsnotify.Message) { answers <- true },
		})
		client.Subscribe("orders", "payroll", "prices")
		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			fmt.Println(err)
			return
		}
		for range 3 {
			<-answers
		}
		for _, s := range client.Subscriptions() {
			fmt.Println(s.Key, s.State, s.Err)
		}
		client.Disconnect()
	})
	// Output:
	// orders active <nil>
	// payroll refused not for ada
	// prices active <nil>
}

// The server numbers its messages in the field "seq", and sends those behind the
// number in the parameter "after". What it sends twice is handled once.
func ExampleResume() {
	withServer(func(srv *wsnotifytest.Server) {
		srv.OnConn(func(c *wsnotifytest.Conn) {
			after, _ := strconv.Atoi(c.Request().URL.Query().Get("after"))
			fmt.Println("the server is asked for what is behind", after)
			for n := max(after, 1); n <= after+3; n++ { // it begins with the very message
				c.SendText(fmt.Sprintf(`{"seq":%d,"msgType":"story","content":"number %[1]d"}`, n))
			}
		})
		stories := make(chan string, 10)
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: srv.HTTPClient(),
			BackOff:    wsnotify.Exponential(0, 0, -1),
			Resume: wsnotify.Resume{
				Position: wsnotify.PositionField("seq"),
				Query:    "after",
				Order:    wsnotify.PositionConsecutive,
			},
			OnNotification: func(n wsnotify.Notification) { stories <- n.Content },
		})
		if err := client.Connect(context.Background(), srv.URL(), "ada"); err != nil {
			fmt.Println(err)
			return
		}
		for range 3 {
			fmt.Println(<-stories)
		}
		srv.DropAll()
		for range 3 {
			fmt.Println(<-stories)
		}
		client.Disconnect()
		<-client.Done()
		fmt.Println("handled up to", client.Position(""))
	})
	// Output:
	// the server is asked for what is behind 0
	// number 1
	// number 2
	// number 3
	// the server is asked for what is behind 3
	// number 4
	// number 5
	// number 6
	// handled up to 6
}
