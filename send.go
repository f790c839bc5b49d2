package wsnotify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/wsnotify/wsnotify/internal/outbox"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// Sending: what users call, and what internal/outbox knows of the Client.

// SendText is Send of a text message.
func (c *Client) SendText(ctx context.Context, text string) error {
	return c.Send(ctx, MessageText, []byte(text))
}

// SendMessage is SendText, under the name that the browser store has for it.
func (c *Client) SendMessage(ctx context.Context, text string) error {
	return c.SendText(ctx, text)
}

// SendJSON is Send of the JSON of v.
func (c *Client) SendJSON(ctx context.Context, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	return c.Send(ctx, MessageText, data)
}

// marshal is json.Marshal with an error that says what could not be sent.
func marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("wsnotify: a message can't be made of a %T: %w", v, err)
	}
	return data, nil
}

// Send writes a message and waits for that. The answer is exact:
//
//   - nil: the socket took the whole message.
//   - ErrNotConnected, ErrClosed, ctx.Err() alone: it was certainly not sent.
//   - ErrInterrupted: the connection or ctx ended while it was being written,
//     so that the peer may or may not get it.
//
// ctx bounds the wait and never breaks the connection. Messages of one
// goroutine keep their order, those of Enqueue included; concurrent ones share
// writes. data is not used after Send has returned.
//
// In Subscriptions.Subscribe when a connection begins, Send would wait for that
// function, so it returns an error at once there, and nothing is sent.
func (c *Client) Send(ctx context.Context, typ MessageType, data []byte) error {
	if err := checkMessage(typ, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !c.made {
		return errNotMade
	}
	if c.inSubscribe() {
		return errQueueWaits("Send")
	}
	return c.whyNot(c.outbox.Send(ctx, wire.Op(typ), data))
}

// EnqueueJSON is Enqueue of the JSON of v as a text message.
func (c *Client) EnqueueJSON(v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	return c.Enqueue(MessageText, data)
}

// Enqueue copies a message to the outbox and returns at once, or, with an
// Outbox.Store, once that has it. It is written in order when the connection is
// open, or at the next one, and what will never be sent is reported to
// OnUndelivered. It may be called before Connect.
//
// It returns ErrOutboxFull when there is no capacity, a *MessageTooLargeError when
// there never will be, the error of the Store, and ErrClosed after the end of
// a Connect or Run; the message is then not reported.
func (c *Client) Enqueue(typ MessageType, data []byte) error {
	if err := checkMessage(typ, data); err != nil {
		return err
	}
	if !c.made {
		return errNotMade
	}
	return c.whyNot(c.outbox.Enqueue(wire.Op(typ), data))
}

// whyNot says more of why the outbox does not send: nobody has connected.
func (c *Client) whyNot(err error) error {
	if err == ErrNotConnected && c.current() == nil {
		return errNeverConnected
	}
	return err
}

// Flush waits until every message that was given to Enqueue before is written
// (or confirmed, with Outbox.ConfirmID) or was reported as undelivered,
// whatever comes behind them. It returns ctx.Err(), or ErrClosed when the
// client was closed, or gave up, with some of these messages left.
//
// With Outbox.ConfirmID, Flush returns an error at once in a callback while the
// outbox holds a message that is to be confirmed: a later callback has to do
// that. Call it on a goroutine of its own there. It also returns an error at once in
// Subscriptions.Subscribe when a connection begins, which what is queued waits for.
func (c *Client) Flush(ctx context.Context) error {
	if !c.made {
		return errNotMade
	}
	switch {
	case c.inSubscribe():
		return errQueueWaits("Flush")
	case c.outbox.AwaitsAcks() && c.inCallback():
		return errFlushInCallback
	}
	return c.outbox.Flush(ctx)
}

var errFlushInCallback = waitsForItself("Flush", "a callback", "confirmations that only a later callback can bring")

// Confirm says that the server has the messages with these ids, so that they
// leave the outbox: see Outbox.ConfirmID. It returns how many of them it knew.
// Ids that are unknown, or were confirmed before, do no harm; of several
// messages with the same id it ends the oldest. It does not block.
func (c *Client) Confirm(ids ...string) int {
	if !c.made {
		panic(prefix + "Confirm: " + useNew)
	}
	return c.outbox.Ack(ids)
}

func checkMessage(typ MessageType, data []byte) error {
	switch typ {
	case MessageText:
		if !utf8.Valid(data) {
			return errors.New("wsnotify: a text message must be UTF-8; send it as MessageBinary")
		}
	case MessageBinary:
	default:
		return fmt.Errorf("wsnotify: the message type %d is neither MessageText nor MessageBinary", int(typ))
	}
	return nil
}

// Outbox limits the messages of Enqueue that are not yet written, or not yet
// confirmed.
//
// Messages that wait for OnUndelivered take memory in addition: at most as many and
// as large again, or 1024 messages and 1 MiB if the outbox is smaller. If
// OnUndelivered is so slow that this is full, Enqueue returns ErrOutboxFull until
// there is capacity, with DropOldest too. Otherwise memory would grow without a
// limit, or messages would vanish without a report.
type Outbox struct {
	Messages int // zero means 1024, negative no limit
	// Bytes limits the data of all messages. Zero means 4 MiB, negative no limit.
	// It is a limit of memory: of more than 1024 messages, each counts as 128
	// bytes more than its data, and so do ids that are longer than that together.
	Bytes int
	// Limiter is asked before each message of Enqueue, Send, Request, Subscribe
	// and OnHandshake, for servers that close a connection which sends too fast.
	// Nothing else waits for it: no control frame, no heartbeat, no reply of
	// Heartbeat.Answer. The order stays, and the ctx of a Send bounds its wait.
	// Close does not wait for it, so what is left is reported as ErrClosed; Drain
	// and Flush do. An error is reported to OnError, and the Limiter is asked again
	// after 1 s. Nil means no limit.
	Limiter Limiter
	// MaxAge is how long a message may wait to be written; after that it is
	// reported as ErrExpired. It counts from Enqueue, over all connections, and
	// from New for what a Store held. A message that was written before and waits
	// to be redelivered is ErrUnconfirmed instead; one that waits for its
	// confirmation on the open connection does not expire. Zero or negative
	// means no limit.
	MaxAge time.Duration
	// Overflow says what a full outbox does.
	Overflow Overflow
	// Resend sends a message again if its connection ended while it was being
	// written. It may then arrive twice. Without Resend the message is reported as
	// ErrUnconfirmed. Messages with a ConfirmID are sent again in any case.
	Resend bool

	// ConfirmID returns the id under which the server will confirm a message,
	// or "" if it will not. The message stays in the outbox until
	// Client.Confirm is called with that id. If the connection ends first, it is
	// sent again over the next one, in order and before anything newer. So the
	// server may get it twice, and has to recognize its id. What is not confirmed
	// when the client ends is reported as ErrUnconfirmed.
	//
	// It runs on the goroutine of Enqueue, and on one of the client for what a
	// Store held; it must not keep Data. An id should not be used again
	// while a message with it is in the outbox. Nil means that a message is
	// done when it is written.
	ConfirmID func(Message) string
	// ConfirmTimeout is how long after its write the oldest message may wait for
	// its confirmation. After that the connection is dropped like a dead one, and
	// it is reported to OnError. Messages received before that are handled first,
	// so a slow callback does not count against the server. Neither does time in
	// which this process was stopped or a slow upload moves. Zero means 30 s,
	// negative no limit.
	ConfirmTimeout time.Duration

	// Store keeps messages when the process ends. Enqueue returns once the Store
	// has the message, and the message is removed when it is done: written, or
	// confirmed, or reported. What the Store holds when the client is made is sent
	// before anything newer. What is left when the client ends stays there and is
	// not reported; the next Connect or Run of this client, or of another process,
	// sends it. Its errors are returned by Enqueue or reported to OnError. Removals
	// that fail are tried again after 100 ms, and then after up to 10 s; of failures
	// in a row the first is reported. With DropOldest a message is dropped only once
	// the Store has the newer one. Nil means that the outbox is in memory only.
	Store Store
}

// Overflow says what a full outbox does.
type Overflow int

const (
	// RejectNew makes Enqueue return ErrOutboxFull.
	RejectNew Overflow = iota
	// DropOldest reports the oldest message as ErrOutboxFull to OnUndelivered,
	// or as ErrUnconfirmed if it was written and waits to be confirmed. What
	// is being written stays.
	DropOldest
)

// String returns "reject-new" or "drop-oldest".
func (o Overflow) String() string {
	return name(int(o), "Overflow", "reject-new", "drop-oldest")
}

// Store keeps the messages of an Outbox over the end of the process. It
// belongs to one Client at a time. The module wsnotify/spool has one that keeps
// them in a file.
//
// No method has to return soon. New and Connect wait for Load for a second, and
// Enqueue for 10 s; then messages that the Store holds are sent once it is loaded.
// An Append that hangs holds up its own Enqueue alone. Nothing waits for Remove but
// an end: for what is left of CloseTimeout, and Done until it has returned. A Load
// that panics does so in the call that began it, and a Remove that panics has
// failed.
//
// Append is called on the goroutine of Enqueue, by several at once, so that
// they can share what it costs to make them durable; Remove on a goroutine of
// the client, one call at a time; Load on another, before either. No lock is
// held meanwhile.
type Store interface {
	// Load calls yield for each message that was appended and not removed, in
	// the order of their seq, and returns the error of yield or its own. New
	// calls it, and, as long as it fails, each Enqueue, Connect and Run.
	Load(yield func(seq uint64, m Message) error) error

	// Append keeps a message under a number that is not in use. It is kept
	// when Append has returned nil, and not kept otherwise. It must not use
	// m.Data after that. Numbers grow, but for calls at the same time.
	Append(seq uint64, m Message) error

	// Remove forgets messages. A number that is not there does no harm.
	Remove(seqs ...uint64) error
}

// storeOf is a Store as internal/outbox knows it.
type storeOf struct{ Store }

func (s storeOf) Load(yield func(seq uint64, op wire.Op, data []byte) error) error {
	return s.Store.Load(func(seq uint64, m Message) error {
		if err := checkMessage(m.Type, m.Data); err != nil {
			return fmt.Errorf("message %d: %w", seq, err)
		}
		return yield(seq, wire.Op(m.Type), m.Data)
	})
}

func (s storeOf) Append(seq uint64, op wire.Op, data []byte) error {
	return s.Store.Append(seq, Message{Type: MessageType(op), Data: data})
}

// outboxConfig says what internal/outbox is to know of the client.
func (c *Client) outboxConfig() outbox.Config {
	from := &c.cfg.Outbox
	cfg := outbox.Config{
		Messages: from.Messages, Bytes: from.Bytes, MaxAge: from.MaxAge,
		DropOldest: from.Overflow == DropOldest, Resend: from.Resend, ConfirmTimeout: from.ConfirmTimeout,
		Errors: &sendErrors,
		Notify: c.inbox.Notify, Report: c.report, Lost: c.lost, Written: c.written,
	}
	if id := from.ConfirmID; id != nil {
		cfg.ConfirmID = func(op wire.Op, data []byte) string { return id(Message{Type: MessageType(op), Data: data}) }
	}
	if l := from.Limiter; l != nil {
		cfg.Limiter = l.Wait
		cfg.LimiterFailed = func(err error) {
			if err == nil {
				err = errGoexit
			}
			c.report(limiterError("Outbox.Limiter", err))
		}
	}
	if from.Store != nil {
		cfg.Store = storeOf{from.Store}
	}
	if c.cfg.OnUndelivered != nil || c.cfg.Logger != nil {
		cfg.KeepData = c.cfg.OnUndelivered != nil
		cfg.Undelivered = func(op wire.Op, data []byte, size int, reason error) {
			c.onUndelivered(Message{Type: MessageType(op), Data: data}, size, reason)
		}
	}
	return cfg
}

var sendErrors = outbox.Errors{
	ErrNotConnected: ErrNotConnected, ErrClosed: ErrClosed, ErrSuperseded: errSuperseded, ErrOutboxFull: ErrOutboxFull, ErrExpired: ErrExpired,
	ErrInterrupted: ErrInterrupted, ErrNotAcknowledged: ErrNotAcknowledged,
	TooLarge: func(size, limit int) error { return &MessageTooLargeError{Size: size, Limit: limit} },
}

// loadGrace is how long New waits for a Store, and Connect before it dials.
const loadGrace = time.Second

// load has the Store loaded for New. Connect reports a Load that fails, when it
// has tried again, and waits for one that takes long.
func (c *Client) load() {
	l := c.outbox.Load()
	if l == nil {
		return
	}
	select {
	case <-l.Over():
		if panicked, _ := l.Result(); panicked != nil {
			panic(panicked)
		}
	case <-time.After(loadGrace):
	}
}

func (c *Client) lost(messages int, reason error) { c.state.undelivered.add(reason, messages) }

func (c *Client) written(messages, bytes, again int) {
	c.state.messagesOut.Add(uint64(messages))
	c.state.bytesOut.Add(uint64(bytes))
	c.state.resent.Add(uint64(again))
}
