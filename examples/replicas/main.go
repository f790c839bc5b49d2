// Replicas is a service that runs as several processes, of which one has the
// socket. What arrives goes into a stream of NATS JetStream, and workers handle it
// from there; what is to be sent waits in a queue until the server has confirmed it.
// When the process with the socket dies, hangs or ends, another one takes over.
//
//	go run -C examples/replicas .
//
// shows that with all of it on this machine, and ends by itself after some 15 s. It
// stops and continues a process, as Windows can't. With -nats it uses your NATS, and
// removes what it has made there. For your own servers there are the parts:
//
//	replicas -role replica -name $HOSTNAME -nats nats://… -server wss://…/ws
//	replicas -role worker -nats nats://…
//
// Start with replica.go. The stream and its fence are in journal.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	role, name, nats, server, prefix string
	lease                            time.Duration
	copies                           int
	leash                            bool
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("replicas", flag.ContinueOnError)
	flags.StringVar(&o.role, "role", "demo", "demo, replica or worker")
	flags.StringVar(&o.name, "name", "", "`name` of this replica, for logs")
	flags.StringVar(&o.nats, "nats", "", "comma-separated `URLs` of NATS servers, 2.12 or newer; empty, the demo starts one")
	flags.StringVar(&o.server, "server", "", "`URL` of the WebSocket server")
	flags.StringVar(&o.prefix, "prefix", "replicas", "begins the `name` of each stream, subject and bucket")
	flags.DurationVar(&o.lease, "lease", 0, "how long a silent replica keeps the socket; 0: 15 s, and 2 s in the demo")
	flags.IntVar(&o.copies, "copies", 1, "on how many NATS servers each message is kept: 1 or 3")
	flags.BoolVar(&o.leash, "leash", false, "end when stdin does")
	return o, flags.Parse(args)
}

func run(ctx context.Context, o options) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("name", o.name)
	if o.role == "demo" {
		return demo(ctx, o, os.Stdout)
	}
	if o.lease == 0 {
		o.lease = 15 * time.Second // longer than NATS needs to elect a leader
	}
	b, err := connect(o.nats, o.prefix)
	if err != nil {
		return err
	}
	defer b.nc.Close()
	for err := b.setUp(ctx, o.copies); err != nil; err = b.setUp(ctx, o.copies) {
		log.Warn("the broker is not ready", "err", err)
		if err := pause(ctx); err != nil {
			return err
		}
	}
	switch o.role {
	case "replica":
		return (&replica{b: b, name: o.name, server: o.server, ttl: o.lease, log: log}).run(ctx)
	case "worker":
		return work(ctx, b, log, func(ev event) { log.Info("handled", "event", ev.ID, "user", ev.User, "text", ev.Text) })
	}
	return fmt.Errorf("the role is %q; it must be demo, replica or worker", o.role)
}

func main() {
	// SIGTERM is how Kubernetes asks a process to end.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one ends it at once
	o, err := parse(os.Args[1:])
	if err != nil {
		os.Exit(2)
	}
	if o.leash { // whatever becomes of the demo, its processes end with it
		go func() {
			io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "replicas:", err)
		os.Exit(1)
	}
}
