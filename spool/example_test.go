package spool_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/spool"
)

// A message that one client accepted is there for the next one that has the
// file.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "outbox")

	file, err := spool.Open(path, spool.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := wsnotify.New(wsnotify.Config{Outbox: wsnotify.Outbox{Store: file}})
	ctx, cancel := context.WithCancel(context.Background())
	go client.Run(ctx, "ws://127.0.0.1:1/", "") // nothing listens there
	client.WaitFor(ctx, wsnotify.Connecting)
	fmt.Println(client.Enqueue(wsnotify.MessageText, []byte("hello")))
	cancel()
	<-client.Done()
	file.Close()

	file, err = spool.Open(path, spool.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	file.Load(func(_ uint64, m wsnotify.Message) error {
		fmt.Printf("%s is still there\n", m.Data)
		return nil
	})
	// Output:
	// <nil>
	// hello is still there
}
