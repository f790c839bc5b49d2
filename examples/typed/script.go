package main

import (
	"context"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// script is what the server does if the example is given none.
func script(ctx context.Context, srv *demo.Server) error {
	ada, err := srv.Accept(ctx)
	if err != nil {
		return err
	}
	return ada.Send(ctx,
		`{"msgType":"mail","content":{"from":"Charles","subject":"The engine is ready"}}`,
		`{"msgType":"deploy","content":{"service":"web","version":"1.4.2","seconds":41}}`,
		`{"msgType":"alert","content":"db-1: 97 % of the disk is used"}`,
		`{"msgType":"survey","content":"How was it?"}`,
		`{"msgType":"mail","content":"no object"}`,
	)
}
