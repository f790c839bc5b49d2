package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
	"github.com/wsnotify/wsnotify/examples/internal/demotest"
)

func TestOutput(t *testing.T) {
	demotest.Output(t, func(ctx context.Context, out io.Writer) error {
		return demo.Run(ctx, nil, out, run, script)
	})
}

// TestRefusedFreshTokenEndsIt checks that a 401 is retried only as long as
// another token may help.
func TestRefusedFreshTokenEndsIt(t *testing.T) {
	var tokens issuer
	err := demo.Run(t.Context(), nil, io.Discard, run, func(ctx context.Context, srv *demo.Server) error {
		srv.Handle("POST /token", tokens.issue)
		srv.Answer(func(*http.Request) int { return http.StatusUnauthorized })
		_, err := srv.Accept(ctx)
		return err
	})
	var gaveUp *wsnotify.GiveUpError
	if !errors.As(err, &gaveUp) || gaveUp.Failure.HTTPStatus != http.StatusUnauthorized || gaveUp.Attempts != 1 {
		t.Errorf("it ended with %v", err)
	}
	if n := tokens.issued.Load(); n != 1 {
		t.Errorf("%d tokens were fetched", n)
	}
}
