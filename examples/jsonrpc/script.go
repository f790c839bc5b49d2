package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// script is what the server does if the example is given none.
func script(ctx context.Context, srv *demo.Server) error {
	var ada *demo.Peer
	next := func(method string) (r request, err error) {
		text, err := ada.Receive(ctx)
		if err == nil {
			err = json.Unmarshal([]byte(text), &r)
		}
		if err == nil && r.Method != method {
			err = fmt.Errorf("in the place of %s came %s", method, text)
		}
		return r, err
	}
	answer := func(method, result string) error {
		r, err := next(method)
		if err != nil {
			return err
		}
		return ada.Send(ctx, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%s}`, r.ID, result))
	}
	begin := func(name string) (err error) {
		if ada, err = srv.Accept(ctx); err != nil {
			return err
		}
		return answer("chain_subscribe", `"`+name+`"`)
	}
	block := func(name string, number int) error {
		return ada.Send(ctx, fmt.Sprintf(`{"jsonrpc":"2.0","method":"chain_subscription","params":{"subscription":%q,"result":{"block":%d}}}`, name, number))
	}
	for _, step := range []func() error{
		func() error { return begin("0xa1") },
		func() error { return block("0xa1", 7) },
		func() error { return answer("balance", "40") },
		func() error { return block("0xa1", 8) },
		func() error { // it is done, and the answer is lost
			_, err := next("transfer")
			ada.Drop()
			return err
		},
		func() error { return begin("0xa2") },
		func() error { return block("0xa2", 9) },
		func() error { return answer("balance", "30") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
