package main

import (
	"context"
	"fmt"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// script is what the server does if the example is given none.
func script(ctx context.Context, srv *demo.Server) error {
	var ada *demo.Peer
	accept := func() (err error) { ada, err = srv.Accept(ctx); return err }
	expect := func(want string) func() error {
		return func() error {
			got, err := ada.Receive(ctx)
			if err == nil && got != want {
				err = fmt.Errorf("in the place of %s came %s", want, got)
			}
			return err
		}
	}
	tick := func(kind, symbol string, seq, price int) func() error {
		return func() error {
			return ada.Send(ctx, fmt.Sprintf(`{"type":%q,"data":{"symbol":%q,"seq":%d,"price":%d}}`, kind, symbol, seq, price))
		}
	}
	for _, step := range []func() error{
		accept,
		expect(`{"op":"subscribe","symbols":["BTC","ETH"]}`),
		tick("snapshot", "BTC", 7, 100),
		tick("snapshot", "ETH", 3, 10),
		func() error { return ada.Send(ctx, "ping") },
		expect("pong"),
		tick("update", "BTC", 7, 100), // is in the snapshot
		tick("update", "BTC", 8, 101),
		tick("update", "BTC", 10, 103),
		tick("update", "BTC", 11, 104),
		expect(`{"op":"unsubscribe","symbols":["BTC"]}`),
		expect(`{"op":"subscribe","symbols":["BTC"]}`),
		tick("snapshot", "BTC", 11, 104),
		tick("update", "BTC", 12, 105),
		func() error { ada.Drop(); return nil },
		accept,
		expect(`{"op":"subscribe","symbols":["ETH","BTC"]}`), // BTC was subscribed again since
		tick("snapshot", "ETH", 9, 12),
		tick("snapshot", "BTC", 20, 120),
		tick("update", "ETH", 10, 13),
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
