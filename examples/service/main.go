// Service is a daemon that works on orders as they come, and stays up: it
// reconnects, exposes its health and metrics, logs with slog, and on SIGTERM
// finishes the orders that it has begun, sends their receipts and closes.
// Without an address it has a server of its own, which sends an order every 5 s
// until you stop the service with Ctrl-C.
//
//	go run -C examples/service .
//	go run -C examples/service . wss://example.com/ws/
//
//	curl localhost:8081/livez    # 503 when it should be started anew
//	curl localhost:8081/readyz   # 503 while there is no connection
//	curl localhost:8081/metrics
package main

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
	wsnotifyprom "github.com/wsnotify/wsnotify/prom"
)

// grace is how long the service may take to end.
const grace = 10 * time.Second

// run is the service. It ends with ctx, and with an error when it can't go on.
func run(ctx context.Context, url string, web net.Listener, log *slog.Logger) error {
	client := wsnotify.New(wsnotify.Config{
		// As long as it takes, and from many instances not at once. A refusal that no
		// waiting changes ends the service, which says so to whoever started it.
		BackOff:         wsnotify.Exponential(time.Second, time.Minute, -1),
		ShouldReconnect: wsnotify.FailFast,
		Logger:          log,
		OnUndelivered: func(m wsnotify.Message, err error) {
			log.Error("receipt not sent", "receipt", string(m.Data), "err", err)
		},
	})
	orders := &orders{client: client, log: log}
	wsnotify.On(client, "order", orders.take)

	registry := prometheus.NewRegistry()
	registry.MustRegister(wsnotifyprom.NewCollector("orders", client))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	health(mux, client)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}

	// Whichever of these ends first ends the others.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		// Not with ctx, which would end it before the orders are done: Drain ends it.
		return client.Run(context.WithoutCancel(ctx), url, "worker-1")
	})
	group.Go(func() error {
		if err := server.Serve(web); err != http.ErrServerClosed {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		log.Info("ending")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		orders.stop(ctx)
		if err := client.Drain(ctx); err != nil { // the receipts leave
			log.Warn("not all is done", "err", err)
		}
		<-client.Done()             // the last callback has returned
		return server.Shutdown(ctx) // last, so that probes are answered until then
	})
	return group.Wait()
}

func main() {
	// SIGTERM is how systemd and Kubernetes ask a service to end.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one ends it at once
	addr := flag.String("web", "127.0.0.1:8081", "`address` of health and metrics")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	web, err := net.Listen("tcp", *addr)
	if err == nil {
		log.Info("health and metrics", "addr", web.Addr())
		// With the address in the arguments, or else a server that plays a script.
		err = demo.Serve(ctx, flag.Args(), io.Discard, func(ctx context.Context, url string, _ io.Writer) error {
			return run(ctx, url, web, log)
		}, script)
	}
	if err != nil {
		log.Error("the service ends", "err", err)
		os.Exit(1)
	}
}
