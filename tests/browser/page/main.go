//go:build js

// The page of the tests: clients that do as they are told, and write down what
// happens to them. See ../driver_test.go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall/js"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/tests/browser/internal/orders"
)

type client struct {
	*wsnotify.Client
	hold sync.Mutex // held while callbacks must not go on

	mu      sync.Mutex
	journal []string
}

func (c *client) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.journal = append(c.journal, fmt.Sprintf(format, args...))
}

func newClient(cfg orders.Config) *client {
	c := &client{}
	conf := wsnotify.Config{
		Subprotocols: cfg.Subprotocols,
		CloseTimeout: cfg.CloseTimeout, WriteTimeout: cfg.WriteTimeout, DialTimeout: cfg.DialTimeout,
		Heartbeat: wsnotify.Heartbeat{Interval: cfg.Heartbeat.Interval, Timeout: cfg.Heartbeat.Timeout},
		ReadLimit: cfg.ReadLimit, Inbox: cfg.Inbox, Outbox: wsnotify.Outbox{Bytes: cfg.Outbox},
		BackOff: func() wsnotify.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(cfg.Delay), cfg.Retries)
		},
		OnStateChange:  func(ev wsnotify.StateChange) { c.note("%v", ev.To) },
		OnOpen:         func(ev wsnotify.OpenEvent) { c.note("open %d %q", ev.Epoch, ev.Subprotocol) },
		OnReconnecting: func(ev wsnotify.ReconnectEvent) { c.note("reconnect %d", ev.Attempt) },
		OnGiveUp:       func(err *wsnotify.GiveUpError) { c.note("give up after %d", err.Attempts) },
		OnClose: func(ev wsnotify.CloseEvent) {
			c.note("close %d %q %v %v", ev.Code, ev.Reason, ev.WasClean, ev.Failure.Initiator)
		},
		OnError: func(err error) {
			var parse *wsnotify.ParseError
			if !errors.As(err, &parse) {
				c.note("error %v", err)
			}
		},
		OnMessage: func(m wsnotify.Message) {
			c.hold.Lock()
			defer c.hold.Unlock()
			c.note("message %s", describe(m.Type, m.Data))
		},
		OnUndelivered: func(m wsnotify.Message, err error) { c.note("undelivered %s: %v", describe(m.Type, m.Data), err) },
	}
	if cfg.FailFast {
		conf.ShouldReconnect = wsnotify.FailFast
	}
	if cfg.Never {
		conf.ShouldReconnect = func(wsnotify.Failure) bool { return false }
	}
	if cfg.Header {
		conf.Header = http.Header{"A": {"b"}}
	}
	if cfg.Token != "" {
		conf.BeforeDial = func(_ context.Context, req *wsnotify.DialRequest) error {
			req.URL.RawQuery = "token=" + cfg.Token
			return nil
		}
	}
	if cfg.Login != "" {
		conf.OnHandshake = func(ctx context.Context, h *wsnotify.Handshake) error {
			if err := h.SendMessage(ctx, cfg.Login); err != nil {
				return err
			}
			m, err := h.Receive(ctx)
			c.note("login %s", m.Data)
			return err
		}
	}
	c.Client = wsnotify.New(conf)
	return c
}

func describe(typ wsnotify.MessageType, data []byte) string {
	if len(data) < 100 {
		return fmt.Sprintf("%v %s", typ, data)
	}
	return fmt.Sprintf("%v of %d bytes, %08x", typ, len(data), crc32.ChecksumIEEE(data))
}

// do does as it is told.
func (c *client) do(o orders.Order) (any, error) {
	ctx := context.Background()
	if o.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Within)
		defer cancel()
	}
	data, typ := []byte(o.Text), wsnotify.MessageText
	if o.Size > 0 {
		data = []byte(strings.Repeat("0123456789abcdef", o.Size/16))
	}
	if o.Text == "binary" {
		typ = wsnotify.MessageBinary
	}
	switch o.Do {
	case "connect":
		return nil, c.Connect(ctx, o.URL, o.User)
	case "disconnect":
		defer func() { <-c.Done() }()
		return nil, c.Disconnect()
	case "close":
		return nil, c.CloseWith(ctx, wsnotify.StatusCode(o.Code), o.Reason)
	case "reconnect":
		return nil, c.Reconnect()
	case "send":
		for range max(o.Times, 1) {
			if err := c.Send(ctx, typ, data); err != nil {
				return nil, err
			}
		}
		return nil, nil
	case "enqueue":
		for range max(o.Times, 1) {
			if err := c.Enqueue(typ, data); err != nil {
				return nil, err
			}
		}
		return nil, nil
	case "flush":
		return nil, c.Flush(ctx)
	case "ping":
		_, err := c.Ping(ctx)
		return nil, err
	case "wait":
		return nil, c.WaitFor(ctx, wsnotify.ReadyState(o.State))
	case "done":
		select {
		case <-c.Done():
		case <-ctx.Done():
		}
		return nil, ctx.Err()
	case "status":
		return c.Status(), nil
	case "journal":
		c.mu.Lock()
		defer c.mu.Unlock()
		journal := c.journal
		c.journal = nil
		return journal, nil
	case "hold":
		c.hold.Lock()
		return nil, nil
	case "release":
		c.hold.Unlock()
		return nil, nil
	}
	return nil, fmt.Errorf("nobody knows how to %s", o.Do)
}

var clients []*client

func obey(o orders.Order) (any, error) {
	switch o.Do {
	case "new":
		clients = append(clients, newClient(o.Config))
		return len(clients) - 1, nil
	case "left":
		time.Sleep(50 * time.Millisecond)
		for range 3 {
			runtime.GC() // JavaScript's values are given back by finalizers
			time.Sleep(10 * time.Millisecond)
		}
		return runtime.NumGoroutine(), nil
	}
	return clients[o.Client].do(o)
}

// answer is what a test gets.
type answer struct {
	Value any
	Err   string
	Is    []string // the sentinels that Err is
}

func main() {
	js.Global().Set("obey", js.FuncOf(func(_ js.Value, args []js.Value) any {
		text, answered := args[0].String(), args[1]
		go func() {
			var o orders.Order
			err := json.Unmarshal([]byte(text), &o)
			var a answer
			if err == nil {
				a.Value, err = obey(o)
			}
			if err != nil {
				a.Err = err.Error()
			}
			for name, target := range map[string]error{
				"closed": wsnotify.ErrClosed, "not connected": wsnotify.ErrNotConnected, "unconfirmed": wsnotify.ErrUnconfirmed,
				"full": wsnotify.ErrOutboxFull, "unsupported": errors.ErrUnsupported, "timeout": context.DeadlineExceeded,
			} {
				if errors.Is(err, target) {
					a.Is = append(a.Is, name)
				}
			}
			out, _ := json.Marshal(a)
			answered.Invoke(string(out))
		}()
		return nil
	}))
	select {}
}
