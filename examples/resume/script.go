package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// script is what the server does if the example is given none. It keeps its
// events, and sends them again from where a client asks it to.
func script(ctx context.Context, srv *demo.Server) error {
	events := []string{"ordered", "paid", "packed", "shipped", "delivered"}

	// Two events happen, and the connection is lost. Two more happen before the
	// client is back, and the last one after that.
	for _, happened := range []int{2, 5} {
		ada, err := srv.Accept(ctx)
		if err != nil {
			return err
		}
		after, _ := strconv.Atoi(ada.Query.Get("after")) // 0 without one
		// The last one is sent once more, as by a server that is not sure.
		for i := max(after-1, 0); i < happened; i++ {
			text := fmt.Sprintf(`{"seq":%d,"msgType":"event","content":%q}`, i+1, events[i])
			if err := ada.Send(ctx, text); err != nil {
				return err
			}
		}
		if happened < len(events) {
			ada.Drop()
		}
	}
	return nil
}
