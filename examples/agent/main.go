// Agent reports a measurement each second and whenever the server commands one. It
// loses none: what it has measured is in a file before it is sent, and stays there
// until the server has confirmed it. It misses no command either: the server keeps
// and numbers them, and the number of the last one that was carried out is in the
// same file.
//
//	go run -C examples/agent .
//	go run -C examples/agent . -spool /var/lib/agent/spool wss://example.com/ws/
//
// Without an address it plays a script: it starts an agent and a server as
// processes of their own, and kills them. It prints:
//
//	an agent measures, by itself and on command, and a server confirms
//	the server loses the connection
//	the server is killed, and the agent goes on measuring
//	the server is back
//	the agent is killed, misses commands, and starts again
//	both are killed; the agent is back before the server is
//	the server is back
//	the agent ends
//	each measurement arrived, and was counted once
//	each command was carried out
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/spool"
)

type measurement struct {
	ID    string  `json:"id"` // by which the server confirms it, and knows it if it comes again
	Value float64 `json:"value"`
}

// idOf says which confirmation a message waits for.
func idOf(m wsnotify.Message) string {
	var reading measurement
	json.Unmarshal(m.Data, &reading)
	return reading.ID
}

// run measures until ctx ends. It writes the id of each measurement that is kept, on more than one goroutine.
func run(ctx context.Context, url, path string, every time.Duration, out io.Writer) (err error) {
	store, err := spool.Open(path, spool.Options{LockTimeout: 10 * time.Second})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	client := wsnotify.New(wsnotify.Config{
		BackOff:      wsnotify.Exponential(every/10, 10*every, -1), // forever
		DrainTimeout: 10 * time.Second,                             // what is left then stays in the file
		Outbox: wsnotify.Outbox{
			Store:     store,
			ConfirmID: idOf,
		},
		Resume: wsnotify.Resume{
			Position:       wsnotify.PositionField("seq"), // of the commands
			Query:          "after",
			Order:          wsnotify.PositionConsecutive,
			OnGap:          func(g wsnotify.Gap) { log.Println("agent: the server lost commands:", g) },
			OnHandlerError: wsnotify.HandlerErrorRedeliver,
			Store:          store.Positions(),
		},
		OnError: func(err error) { log.Println("agent:", err) },
	})
	wsnotify.On(client, "confirmed", func(id string) { client.Confirm(id) })
	// A process that is killed may carry out its last commands twice. So the id of
	// the measurement is that of the command, by which the server knows it.
	wsnotify.Handle(client, "measure", func(_ context.Context, n wsnotify.Typed[string]) error {
		return measure(client, n.Value, out) // an error: the command comes again
	})

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		measureEach(ctx, client, every, out)
	}()
	err = client.Run(ctx, url, "agent")
	<-client.Done() // nothing uses the file any more
	<-ended
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func measureEach(ctx context.Context, client *wsnotify.Client, every time.Duration, out io.Writer) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	life := time.Now().UnixNano() // ids of another process are other ones
	for n := 1; ; n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := measure(client, fmt.Sprintf("%d-%d", life, n), out); err != nil { // such as a full disk: the next one may be kept
			log.Println("agent:", err)
		}
	}
}

// measure returns when the measurement is on the disk.
func measure(client *wsnotify.Client, id string, out io.Writer) error {
	data, err := json.Marshal(measurement{ID: id, Value: 20 + rand.Float64()})
	if err == nil {
		err = client.Enqueue(wsnotify.MessageText, data)
	}
	if err != nil {
		return fmt.Errorf("measurement %s is not kept: %w", id, err)
	}
	fmt.Fprintln(out, id)
	return nil
}

func main() {
	path := flag.String("spool", "agent.spool", "keep what is not confirmed in `FILE`")
	every := flag.Duration("every", time.Second, "measure after each `DURATION`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch role := os.Getenv(roleEnv); {
	case role != "":
		err = play(ctx, role, flag.Args(), *path, *every)
	case flag.NArg() > 0:
		err = run(ctx, flag.Arg(0), *path, *every, os.Stdout)
	default:
		err = script(ctx, *every, os.Stdout)
	}
	if err != nil {
		log.Fatal(err)
	}
}
