package main

import (
	"context"
	"fmt"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// script is what the server does if the example is given none.
func script(ctx context.Context, srv *demo.Server) error {
	var ada *demo.Peer
	accept := func() (err error) {
		if ada, err = srv.Accept(ctx); err != nil {
			return err
		}
		return ada.Send(ctx, `{"op":10,"d":{"heartbeat_interval":50}}`)
	}
	expect := func(want string) error { // beats of other numbers may come before it
		for {
			got, err := ada.Receive(ctx)
			switch {
			case err != nil:
				return fmt.Errorf("waiting for %s: %w", want, err)
			case got == want:
				return nil
			case len(got) < 8 || got[:7] != `{"op":1`:
				return fmt.Errorf("in the place of %s came %s", want, got)
			}
		}
	}
	event := func(seq int, kind, data string) error {
		return ada.Send(ctx, fmt.Sprintf(`{"op":0,"t":%q,"s":%d,"d":%s}`, kind, seq, data))
	}
	for _, step := range []func() error{
		accept,
		func() error { return expect(`{"op":2,"d":{"token":"secret"}}`) },
		func() error { return event(1, "READY", `{"session_id":"s1"}`) },
		func() error { return event(2, "MESSAGE", `{"from":"ada","text":"hello"}`) },
		func() error { return expect(`{"op":1,"d":2}`) },
		func() error { return ada.Send(ctx, `{"op":11}`) },
		func() error { return event(3, "MESSAGE", `{"from":"grace","text":"hi"}`) },
		func() error { return ada.Send(ctx, `{"op":1}`) }, // a beat at once
		func() error { return expect(`{"op":1,"d":3}`) },
		func() error { ada.Drop(); return nil },
		accept,
		func() error { return expect(`{"op":6,"d":{"token":"secret","session_id":"s1","seq":3}}`) },
		func() error { return event(3, "MESSAGE", `{"from":"grace","text":"hi"}`) }, // to be sure
		func() error { return event(4, "MESSAGE", `{"from":"ada","text":"are you there?"}`) },
		func() error { return event(5, "RESUMED", `{}`) },
		func() error { return event(6, "MESSAGE", `{"from":"grace","text":"yes"}`) },
		func() error { return expect(`{"op":1,"d":6}`) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
