package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"sync"
	"time"
)

// Client is the run function of an example, and Script what its server does when it is
// given no address.
type (
	Client func(ctx context.Context, url string, out io.Writer) error
	Script func(ctx context.Context, srv *Server) error
)

// Clients and Scripts are those of an example with several servers.
type (
	Clients func(ctx context.Context, urls []string, out io.Writer) error
	Scripts func(ctx context.Context, servers []*Server) error
)

func (client Client) ofMany() Clients {
	return func(ctx context.Context, urls []string, out io.Writer) error { return client(ctx, urls[0], out) }
}

func (script Script) ofMany() Scripts {
	return func(ctx context.Context, servers []*Server) error { return script(ctx, servers[0]) }
}

// Main is the main function of an example: Run with the arguments of the process, until
// it is interrupted.
func Main(client Client, script Script) { MainMany(1, client.ofMany(), script.ofMany()) }

// MainMany is Main with n servers.
func MainMany(n int, client Clients, script Scripts) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := RunMany(ctx, os.Args[1:], os.Stdout, n, client, script); err != nil {
		log.Fatal(err)
	}
}

// Run runs the client of an example with the address in args. If there is
// none, it starts a server and plays the script on it. The client begins when
// the script first waits for it, and its ctx ends when the script is over. The error of
// a client whose ctx has ended does not count.
func Run(ctx context.Context, args []string, out io.Writer, client Client, script Script) error {
	return RunMany(ctx, args, out, 1, client.ofMany(), script.ofMany())
}

// RunMany is Run with n servers.
func RunMany(ctx context.Context, args []string, out io.Writer, n int, client Clients, script Scripts) error {
	untilEnded := func(ctx context.Context, urls []string, out io.Writer) error {
		return unlessEnded(ctx, client(ctx, urls, out))
	}
	if len(args) > 0 {
		return untilEnded(ctx, args, out)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second) // whatever happens
	defer cancel()
	return play(ctx, cancel, out, n, untilEnded, script)
}

// unlessEnded is err, or nil if ctx has ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Serve is Run for a client that runs until ctx ends, and whose error counts then, too:
// the script is played until then, and has to return once its ctx has ended. What it
// returns after that does not count.
func Serve(ctx context.Context, args []string, out io.Writer, client Client, script Script) error {
	if len(args) > 0 {
		return client(ctx, args[0], out)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return play(ctx, cancel, out, 1, client.ofMany(), func(ctx context.Context, servers []*Server) error {
		return unlessEnded(ctx, script(ctx, servers[0]))
	})
}

// play starts n servers, plays the script on them, and runs the client.
func play(ctx context.Context, cancel context.CancelFunc, out io.Writer, n int, client Clients, script Scripts) error {
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
