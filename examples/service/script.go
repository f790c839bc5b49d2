package main

import (
	"context"
	"fmt"
	"time"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// pause is the time between two orders of the script.
const pause = 5 * time.Second

// script is what the server does if the example is given none: it is killed
// while an order is worked on, gets the receipt when it is back, and then sends
// an order after each pause until the service is stopped.
func script(ctx context.Context, srv *demo.Server) error {
	worker, err := srv.Accept(ctx)
	if err != nil {
		return err
	}
	if err := worker.Send(ctx, `{"msgType":"order","content":{"id":1,"item":"tea"}}`); err != nil {
		return err
	}
	srv.Stop()
	if err := srv.Start(); err != nil {
		return err
	}
	if worker, err = srv.Accept(ctx); err != nil {
		return err
	}
	if err := receipt(ctx, worker, 1); err != nil {
		return err
	}
	for id := 2; ; id++ {
		if err := worker.Send(ctx, fmt.Sprintf(`{"msgType":"order","content":{"id":%d,"item":"cake"}}`, id)); err != nil {
			return err
		}
		if err := receipt(ctx, worker, id); err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func receipt(ctx context.Context, worker *demo.Peer, id int) error {
	got, err := worker.Receive(ctx)
	if err != nil {
		return err
	}
	if want := fmt.Sprintf(`{"done":%d}`, id); got != want {
		return fmt.Errorf("the receipt is %s and not %s", got, want)
	}
	return nil
}
