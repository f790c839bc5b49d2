package wsnotifyotel_test

import (
	"context"
	"log"

	"github.com/wsnotify/wsnotify"
	wsnotifyotel "github.com/wsnotify/wsnotify/otel"
)

func ExampleObserve() {
	client := wsnotify.New(wsnotify.Config{})
	registration, err := wsnotifyotel.Observe("mail", client) // with the global MeterProvider
	if err != nil {
		log.Fatal(err)
	}
	defer registration.Unregister()
	if err := client.Run(context.Background(), "ws://localhost:8080/ws/ada", ""); err != nil {
		log.Print(err)
	}
}
