package main

import (
	"context"
	"fmt"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
)

// demo shows a client whose server goes away and comes back.
func (a *app) demo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 14*time.Second+2*a.interval) // whatever happens
	defer cancel()
	srv := demo.NewServer()
	if err := a.up(srv); err != nil {
		return err
	}
	defer a.down(srv)
	defer func() {
		a.client.Disconnect()
		<-a.client.Done()
	}()

	if err := a.client.Connect(ctx, srv.URL(), a.user); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	if err := a.before(ctx, srv); err != nil {
		return fmt.Errorf("before the server went away: %w", err)
	}
	a.down(srv)
	if err := a.meanwhile(ctx); err != nil {
		return fmt.Errorf("while the server was away: %w", err)
	}
	if err := a.up(srv); err != nil {
		return err
	}
	if err := a.after(ctx, srv); err != nil {
		return fmt.Errorf("after the server came back: %w", err)
	}
	return a.client.Disconnect()
}

func (a *app) up(srv *demo.Server) error {
	if err := srv.Start(); err != nil {
		return err
	}
	a.line("server", "up at %s", srv.URL())
	return nil
}

func (a *app) down(srv *demo.Server) {
	if srv.Stop() {
		a.line("server", "gone")
	}
}

// before is what happens on the first connection.
func (a *app) before(ctx context.Context, srv *demo.Server) error {
	p, err := srv.Accept(ctx)
	if err != nil {
		return err
	}
	return a.notify(ctx, p,
		`{"msgType": "mail", "content": {"from": "Charles", "subject": "The engine is ready"}}`,
		`{"msgType": "deploy", "content": "the server restarts soon"}`,
		`{"id": 7}`, // neither msgType nor content: the standard notification
	)
}

// meanwhile is what happens while there is no server.
func (a *app) meanwhile(ctx context.Context) error {
	if err := a.client.WaitFor(ctx, wsnotify.Closed); err != nil {
		return err
	}
	const text = "written while the server was away"
	if err := a.client.Enqueue(wsnotify.MessageText, []byte(text)); err != nil {
		return err
	}
	a.line("enqueue", "%q", text)

	// One attempt is made that fails, so that there is something to see.
	if err := a.client.WaitFor(ctx, wsnotify.Connecting); err != nil {
		return err
	}
	return a.client.WaitFor(ctx, wsnotify.Closed)
}

// after is what happens on the second connection.
func (a *app) after(ctx context.Context, srv *demo.Server) error {
	if err := a.client.WaitFor(ctx, wsnotify.Open); err != nil {
		return err
	}
	p, err := srv.Accept(ctx)
	if err != nil {
		return err
	}
	text, err := p.Receive(ctx)
	if err != nil {
		return err
	}
	a.line("server", "got %q from %s", text, p.User)
	if err := a.notify(ctx, p,
		`{"msgType": "deploy", "content": "the server is back"}`,
		`{"msgType": "mail", "content": {"from": "Charles", "subject": "Did you miss me?"}}`,
	); err != nil {
		return err
	}
	// The pong comes behind the notifications, so that they have arrived.
	_, err = a.client.Ping(ctx)
	return err
}

// notify sends notifications with pauses between them, for the eye.
func (a *app) notify(ctx context.Context, p *demo.Peer, notifications ...string) error {
	pause := time.NewTicker(max(min(a.interval/4, 700*time.Millisecond), time.Millisecond))
	defer pause.Stop()
	for _, n := range notifications {
		if err := p.Send(ctx, n); err != nil {
			return err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
