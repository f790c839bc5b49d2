package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// script is what the server does if the example is given none: it has no time
// for the first two handshakes, and then confirms what it gets.
func script(ctx context.Context, srv *demo.Server) error {
	var handshakes atomic.Int64
	srv.Answer(func(*http.Request) int {
		if handshakes.Add(1) <= 2 {
			return http.StatusServiceUnavailable
		}
		return http.StatusSwitchingProtocols
	})
	sensor, err := srv.Accept(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		reading, err := sensor.Receive(ctx)
		if err != nil {
			return err
		}
		if err := sensor.Send(ctx, fmt.Sprintf(`{"msgType":"stored","content":%s}`, reading)); err != nil {
			return err
		}
	}
	return nil
}
