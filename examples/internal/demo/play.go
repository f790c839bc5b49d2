package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Run runs the client of an example with the address in args. If there is
// none, it starts a server and plays the script on it. The client begins when
// the script first waits for it, and its ctx ends when the script is over.
func Run(ctx context.Context, args []string, out io.Writer,
	client func(ctx context.Context, url string, out io.Writer) error,
	script func(ctx context.Context, srv *Server) error,
) error {
	return RunMany(ctx, args, out, 1,
		func(ctx context.Context, urls []string, out io.Writer) error { return client(ctx, urls[0], out) },
		func(ctx context.Context, servers []*Server) error { return script(ctx, servers[0]) })
}

// RunMany is Run with n servers.
func RunMany(ctx context.Context, args []string, out io.Writer, n int,
	client func(ctx context.Context, urls []string, out io.Writer) error,
	script func(ctx context.Context, servers []*Server) error,
) error {
	if len(args) > 0 {
		return client(ctx, args, out)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second) // whatever happens
	defer cancel()
	return play(ctx, cancel, out, n, client, script)
}

// Serve is Run for a client that runs until ctx ends: the script is played
// until then, and has to return once its ctx has ended. What it returns after
// that does not count.
func Serve(ctx context.Context, args []string, out io.Writer,
	client func(ctx context.Context, url string, out io.Writer) error,
	script func(ctx context.Context, srv *Server) error,
) error {
	if len(args) > 0 {
		return client(ctx, args[0], out)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return play(ctx, cancel, out, 1,
		func(ctx context.Context, urls []string, out io.Writer) error { return client(ctx, urls[0], out) },
		func(ctx context.Context, servers []*Server) error {
			err := script(ctx, servers[0])
			if ctx.Err() != nil {
				return nil
			}
			return err
		})
}

// play starts n servers, plays the script on them, and runs the client.
func play(ctx context.Context, cancel context.CancelFunc, out io.Writer, n int,
	client func(ctx context.Context, urls []string, out io.Writer) error,
	script func(ctx context.Context, servers []*Server) error,
) error {
	begin := make(chan struct{})
	waits := sync.OnceFunc(func() { close(begin) })
	var servers []*Server
	var urls []string
	for range n {
		srv := NewServer()
		srv.waits = waits
		if err := srv.Start(); err != nil {
			return err
		}
		defer srv.Stop() // so that it is there when the client takes its leave
		servers, urls = append(servers, srv), append(urls, srv.URL())
	}

	played := make(chan error, 1)
	clientCtx, over := context.WithCancel(ctx)
	defer over()
	go func() {
		defer over()
		defer waits()
		played <- script(ctx, servers)
	}()
	<-begin
	err := client(clientCtx, urls, out)
	if clientCtx.Err() == nil { // the client has had enough, whatever the script still wants
		cancel()
		<-played
		return err
	}
	if scriptErr := <-played; scriptErr != nil && !errors.Is(scriptErr, context.Canceled) {
		return fmt.Errorf("the demo's server: %w", scriptErr)
	}
	return err
}
