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
	// With this one the client has what it wants, and may be gone before Send
	// has seen that it arrived.
	ada.Send(ctx, `{"msgType":"built","content":"wsnotify-1.0.tar.gz"}`)
	<-ctx.Done()
	return ctx.Err()
}
