// Tutorial is the service that docs/getting-started.md writes step by step.
// Start its server and the service in two terminals:
//
//	go run -C examples/tutorial ./server
//	go run -C examples/tutorial .
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/wsnotify/wsnotify"
)

func main() {
	server := flag.String("server", "localhost:8080", "`host` and port of the server")
	web := flag.String("web", "localhost:8081", "`address` of metrics and health")
	flag.Parse()

	// SIGTERM is how systemd and Kubernetes ask a service to end.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	client := newClient(slog.Default(), nil, fetchFrom("http://"+*server+"/token"))
	if err := run(ctx, client, "ws://"+*server+"/ws/", *web); err != nil {
		slog.Error("the service ends", "err", err)
		os.Exit(1)
	}
}

// run keeps the client connected until ctx ends or it gives up.
func run(ctx context.Context, client *wsnotify.Client, url, web string) error {
	listener, err := net.Listen("tcp", web)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: newWeb(client), ReadHeaderTimeout: 5 * time.Second}
	go srv.Serve(listener)
	defer srv.Close() // last, so that probes are answered until the end

	err = client.Run(ctx, url, "ada") // when ctx ends, it drains for up to DrainTimeout
	<-client.Done()                   // the last callback has returned
	if errors.Is(err, context.Canceled) {
		return nil // it was asked to end, and nothing was lost
	}
	return err
}
