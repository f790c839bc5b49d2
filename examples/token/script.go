package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// issuer hands out tokens, of which the latest is good until it is revoked.
type issuer struct {
	issued atomic.Int64 // so many
	good   atomic.Int64 // the number of the good one; 0 if there is none
}

func (i *issuer) issue(w http.ResponseWriter, _ *http.Request) {
	n := i.issued.Add(1)
	i.good.Store(n)
	fmt.Fprintf(w, "token-%d", n)
}

func (i *issuer) check(r *http.Request) int {
	if n := i.good.Load(); n > 0 && r.Header.Get("Authorization") == fmt.Sprintf("Bearer token-%d", n) {
		return http.StatusSwitchingProtocols
	}
	return http.StatusUnauthorized
}

// script is what the server does if the example is given none.
func script(ctx context.Context, srv *demo.Server) error {
	var tokens issuer
	srv.Handle("POST /token", tokens.issue)
	srv.Answer(tokens.check)
	for _, then := range []func(*demo.Peer){
		func(p *demo.Peer) { tokens.good.Store(0); p.Drop() }, // the token expires
		func(p *demo.Peer) { p.Drop() },                       // the network fails
		func(*demo.Peer) {},
	} {
		ada, err := srv.Accept(ctx)
		if err != nil {
			return err
		}
		if err := ada.Send(ctx); err != nil {
			return err
		}
		then(ada)
	}
	return nil
}
