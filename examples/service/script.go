package main

import (
	"context"
	"fmt"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// script is what the server does if the example is given none: it is killed
// while an order is worked on, gets the receipt when it is back, and ends the
// service while another is worked on.
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
	return worker.Send(ctx, `{"msgType":"order","content":{"id":2,"item":"cake"}}`)
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
