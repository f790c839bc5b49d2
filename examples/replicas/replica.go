package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/wsnotify/wsnotify"
)

// replica is one of several processes, of which one at a time has the socket.
type replica struct {
	b      *broker
	name   string
	server string // ws://…
	ttl    time.Duration
	log    *slog.Logger
}

// grace is how long an orderly end may take.
const grace = 5 * time.Second

// run competes for the lease, and has the socket while it holds it, until ctx ends.
func (r *replica) run(ctx context.Context) error {
	kv, err := r.b.js.KeyValue(ctx, r.b.bucket())
	if err != nil {
		return err
	}
	for {
		l, err := acquire(ctx, kv, r.name, r.ttl)
		if err != nil {
			return nil // ctx has ended
		}
		r.log.Info("has the lease", "token", l.token)
		err = r.hold(ctx, l)
		r.log.Info("no longer the holder", "err", err)
		if ctx.Err() != nil {
			return nil
		}
		// Whatever went wrong here, another one may be luckier.
		select {
		case <-ctx.Done():
		case <-time.After(r.ttl / 2):
		}
	}
}

// hold has the socket until ctx ends or the lease is lost.
func (r *replica) hold(ctx context.Context, l *lease) error {
	held, lose := context.WithCancelCause(context.WithoutCancel(ctx))
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		lose(l.keep(held))
	}()
	defer func() { // gives the lease up, if it is still ours
		lose(nil)
		<-kept
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.ttl)
		defer cancel()
		if err := l.release(ctx); err != nil {
			r.log.Info("the lease was not given up", "err", err)
		}
	}()

	// From here on nobody who had the lease before can store or acknowledge anything.
	j, err := openJournal(held, r.b, l.token, &l.since)
	if err != nil {
		return err
	}
	s, err := openSender(held, r.b, l.token, r.log)
	if err != nil {
		return err
	}
	s.client = r.client(held, j, s)
	var parts sync.WaitGroup
	for _, run := range []func(context.Context) error{j.run, s.run} {
		parts.Go(func() {
			if err := run(held); err != nil {
				lose(err)
			}
		})
	}
	if err := r.connected(ctx, held, s); err != nil {
		lose(err)
	}
	close(j.queue) // no callback runs any more
	parts.Wait()   // all is stored, or the lease is lost
	return context.Cause(held)
}

// connected has a connection until ctx ends or the lease is lost.
func (r *replica) connected(ctx, held context.Context, s *sender) error {
	defer s.stop()
	dial, cancel := context.WithCancel(held)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if err := s.client.Connect(dial, r.server, ""); err != nil {
		<-s.client.Done()
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	select {
	case <-ctx.Done():
		// No more is taken from the queue. What was received is stored, and what was
		// sent is confirmed.
		s.stop()
		end, cancel := context.WithTimeout(held, grace)
		defer cancel()
		if err := s.client.Drain(end); err != nil {
			r.log.Warn("not all is done", "err", err)
		}
	case <-held.Done():
		s.client.CloseWith(held, wsnotify.StatusNormalClosure, "") // at once: another one sends what is left
	case <-s.client.Done():
	}
	<-s.client.Done()
	return s.client.Err()
}

// client returns the client of one hold.
func (r *replica) client(held context.Context, j *journal, s *sender) *wsnotify.Client {
	client := wsnotify.New(wsnotify.Config{
		// After so many failed attempts another replica has a try.
		BackOff:   wsnotify.Exponential(100*time.Millisecond, 2*time.Second, 10),
		Heartbeat: wsnotify.Heartbeat{Interval: 2 * time.Second, Timeout: 2 * time.Second},
		Inbox:     wsnotify.Inbox{Messages: batchSize},
		Outbox:    wsnotify.Outbox{ConfirmID: confirmID},
		Logger:    r.log,
		// What is on its way into the stream need not come again.
		Resume: wsnotify.Resume{Position: positionOf, Query: "since"},
	})
	client.SetPosition("", strconv.FormatInt(j.since.Load(), 10)) // the stream has all up to there
	wsnotify.On(client, "event", func(ev event) {
		// While the stream is slow this waits, the inbox fills, and the client stops
		// reading: the server is pushed back.
		select {
		case j.queue <- ev:
		case <-held.Done():
		}
	})
	wsnotify.On(client, "confirm", s.confirmed)
	return client
}

// positionOf returns the number of an event. Answers of the server have none.
func positionOf(m wsnotify.Message) (stream, position string) {
	var message struct {
		MsgType string
		Content json.RawMessage
	}
	var ev event
	if json.Unmarshal(m.Data, &message) != nil || message.MsgType != "event" || json.Unmarshal(message.Content, &ev) != nil {
		return "", ""
	}
	return "", strconv.FormatInt(ev.ID, 10)
}
