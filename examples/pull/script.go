package main

import (
	"context"
	"fmt"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// script is what the server does if the example is given none.
func script(ctx context.Context, srv *demo.Server) error {
	ada, err := srv.Accept(ctx)
	if err != nil {
		return err
	}
	if _, err := ada.Receive(ctx); err != nil {
		return err
	}
	for _, step := range []string{"compiling", "testing", "packing"} {
		if err := ada.Send(ctx, fmt.Sprintf(`{"msgType":"progress","content":%q}`, step)); err != nil {
			return err
		}
	}
	if err := ada.Send(ctx, `{"msgType":"built","content":"wsnotify-1.0.tar.gz"}`); err != nil {
		return err
	}
	<-ctx.Done() // it is the client that ends this
	return ctx.Err()
}
