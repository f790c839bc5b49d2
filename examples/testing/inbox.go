package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/wsnotify/wsnotify"
)

// inbox counts a user's unread mail. It is the code under test.
type inbox struct {
	client *wsnotify.Client
	show   func(text string)

	mu     sync.Mutex
	unread map[string]bool // by the id of a mail
}

// newInbox takes the Config from outside, so that a test can put the mock
// server's HTTPClient into it. show is called with each new text to show.
func newInbox(cfg wsnotify.Config, show func(text string)) *inbox {
	in := &inbox{show: show, unread: map[string]bool{}}
	cfg.OnHandshake = func(ctx context.Context, h *wsnotify.Handshake) error {
		return h.SendMessage(ctx, `{"list":"unread"}`) // whatever was missed
	}
	cfg.OnClose = func(ev wsnotify.CloseEvent) {
		if ev.WillReconnect {
			in.show(fmt.Sprintf("offline, %d unread when last seen", in.count()))
		}
	}
	in.client = wsnotify.New(cfg)
	wsnotify.On(in.client, "unread", func(ids []string) {
		in.change(func() {
			clear(in.unread)
			for _, id := range ids {
				in.unread[id] = true
			}
		})
	})
	wsnotify.On(in.client, "mail", func(id string) {
		in.change(func() { in.unread[id] = true })
	})
	return in
}

// run keeps the inbox up to date until ctx ends, or there is no hope.
func (in *inbox) run(ctx context.Context, url, user string) error {
	err := in.client.Run(ctx, url, user)
	<-in.client.Done() // the last callback has returned
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// read marks a mail as read, here at once and on the server when it can be
// reached.
func (in *inbox) read(id string) error {
	in.change(func() { delete(in.unread, id) })
	return in.client.Enqueue(wsnotify.MessageText, fmt.Appendf(nil, `{"read":%q}`, id))
}

func (in *inbox) count() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.unread)
}

// change shows the count when f has changed something.
func (in *inbox) change(f func()) {
	in.mu.Lock()
	f()
	n := len(in.unread)
	in.mu.Unlock()
	in.show(fmt.Sprintf("%d unread", n))
}
