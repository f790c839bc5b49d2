package h2_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/h2"
)

// A hundred clients, one connection and one TLS handshake. The server of the
// example sends back what it gets.
func ExampleTransport() {
	addr, roots, stop, err := h2.StartGoServer()
	if err != nil {
		log.Fatal(err)
	}
	defer stop()

	shared := &h2.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer shared.Close() // after the clients

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	got := make(chan string)
	for user := range 100 {
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: &http.Client{Transport: shared},
			OnNotification: func(n wsnotify.Notification) {
				got <- fmt.Sprintf("user %d got %s", user, n.Content)
			},
		})
		if err := client.Connect(ctx, "wss://"+addr+"/ws/", fmt.Sprint(user)); err != nil {
			log.Fatal(err)
		}
		defer client.Disconnect()
		if user == 99 {
			if err := client.SendJSON(ctx, map[string]string{"msgType": "mail", "content": "a letter"}); err != nil {
				log.Fatal(err)
			}
		}
	}
	fmt.Println(<-got)
	// Output: user 99 got a letter
}
