package main

import (
	"context"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// script is what the server does if the example is given none: one mail waits,
// one comes, the connection is lost, and meanwhile one is read elsewhere.
func script(ctx context.Context, srv *demo.Server) error {
	for _, step := range []struct {
		notifications []string
		drop          bool
	}{
		{[]string{`{"msgType":"unread","content":["1"]}`, `{"msgType":"mail","content":"2"}`}, true},
		{[]string{`{"msgType":"unread","content":["1","2"]}`, `{"msgType":"unread","content":["2"]}`}, false},
	} {
		ada, err := srv.Accept(ctx)
		if err != nil {
			return err
		}
		if _, err := ada.Receive(ctx); err != nil {
			return err
		}
		if err := ada.Send(ctx, step.notifications...); err != nil {
			return err
		}
		if step.drop {
			ada.Drop()
		}
	}
	return nil
}
