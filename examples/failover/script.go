package main

import (
	"context"
	"strings"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// script is what the servers do if the example is given none.
func script(ctx context.Context, servers []*demo.Server) error {
	first, second := servers[0], servers[1]
	ada, err := first.Accept(ctx)
	if err != nil {
		return err
	}
	if err := ada.Send(ctx, `{"msgType":"news","content":"all is well on the first floor"}`); err != nil {
		return err
	}
	first.Stop() // for good

	if ada, err = second.Accept(ctx); err != nil {
		return err
	}
	if err := ada.Send(ctx, `{"msgType":"news","content":"all is well on the second floor"}`); err != nil {
		return err
	}
	ada.Drop()

	if ada, err = second.Accept(ctx); err != nil {
		return err
	}
	return ada.Send(ctx)
}

// number is 1 for the first server, and so on.
func number(servers []string, url string) int {
	for i, s := range servers {
		if strings.HasPrefix(url, s) {
			return i + 1
		}
	}
	return 0
}
