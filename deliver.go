// This file reads messages by the Envelope of the client and gives each to
// those who want it. All of it runs on the goroutine of the callbacks.

package wsnotify

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"github.com/wsnotify/wsnotify/internal/envelope"
	"github.com/wsnotify/wsnotify/internal/handshake"
	"github.com/wsnotify/wsnotify/internal/inbox"
)

// reading is how a client reads notifications: its Config.Envelope.
type reading struct {
	id     *envelope.IDField
	fields *envelope.Fields
	store  bool // the fields, and the meaning of what is missing, are the store's
	parse  func(Message) (msgType string, content []byte, err error)
}

// Those of the browser store, which most clients share.
var (
	storeFields = envelope.NewFields(defaultType, defaultContent)
	storeID     = envelope.NewIDField(defaultID)
)

func newReading(e Envelope) reading {
	r := reading{id: storeID, fields: storeFields, store: e.isStore(), parse: e.Parse}
	if !r.store {
		r.fields = envelope.NewFields(e.Type, e.Content)
	}
	if e.ID != defaultID {
		r.id = envelope.NewIDField(e.ID)
	}
	return r
}

// notification reads a message. It returns content as it stands in the
// message, for those who know what to do with that; nil means that the
// notification says it all. Nothing but content refers to the message.
func (r *reading) notification(msg Message) (n Notification, content json.RawMessage, err error) {
	n = Notification{Raw: msg.Data, Epoch: msg.Epoch}
	if r.parse != nil {
		return r.parsed(n, msg)
	}
	msgType, content, err := r.fields.Find(msg.Data)
	switch {
	case err != nil:
		return n, nil, err
	case r.store && !(envelope.Truthy(msgType) && envelope.Truthy(content)), !r.store && !envelope.IsType(msgType):
		n.Fallback = true
		return n, nil, nil
	}
	n.MsgType, n.Content = envelope.Text(msgType, content)
	if !r.store {
		n.form = formOf(content)
	}
	return n, content, nil
}

// parsed has Parse read a message. It has memory of its own, so that Parse may
// change it and content may be a part of it.
func (r *reading) parsed(n Notification, msg Message) (Notification, json.RawMessage, error) {
	msg.Data = bytes.Clone(msg.Data)
	msgType, content, err := r.parse(msg)
	if err != nil {
		return n, nil, err
	}
	if n.Fallback = msgType == ""; n.Fallback {
		return n, nil, nil
	}
	n.MsgType, n.form = msgType, isNone
	if len(content) > 0 {
		n.Content, n.form = string(content), isOwn
		if text, ok := envelope.StringText(content); ok {
			n.Content, n.form = text, isText
		}
	}
	return n, nil, nil
}

// dispatch runs the callbacks of a message that the inbox held.
func (c *Client) dispatch(m *inbox.Item) {
	msg := Message{Type: MessageType(m.Op), Data: m.Data, Epoch: m.Epoch}
	rs := c.resume
	if rs != nil && !rs.beginMessage(m) {
		return
	}
	if m.Duplicate {
		c.subscriptions.received(msg)
		return
	}
	if m.Mark.Gap() != nil {
		rs.gap(m.Mark, m.Epoch)
	}
	c.confirm(msg)
}

// confirm finds answers to subscriptions, and then runs the callbacks.
func (c *Client) confirm(msg Message) {
	answer := false
	if s := c.subscriptions; s != nil && s.Confirm != nil {
		answer = s.received(msg)
	}
	c.deliver(msg, answer)
}

// deliver runs the callbacks of one message, on their goroutine. Each receiver
// may change what it is given, so all get copies but the last; and that one too
// if it is to keep a message whose memory is used again. taken says that somebody
// has got the message before.
func (c *Client) deliver(msg Message, taken bool) {
	parsable := msg.Type == MessageText || c.reading.parse != nil
	parse := parsable && c.parses()
	subs := c.messageSubs.load()
	f := c.cfg.OnMessage
	switch {
	case f == nil && len(subs) == 0 && parsable: // whether anybody is there or not: see Status.Unhandled
		c.notify(msg, taken)
	case f == nil && len(subs) == 0:
		c.callbacks.idle()
	case f == nil:
		c.deliverOn(msg, subs, parse)
	case parse || len(subs) > 0:
		c.callbacks.enter(nameOnMessage)
		f(msg.clone())
		c.deliverOn(msg, subs, parse || parsable && c.parses())
	case parsable:
		c.callbacks.enter(nameOnMessage)
		c.deliverAlone(f, msg)
	default:
		c.callbacks.enter(nameOnMessage)
		f(msg)
	}
}

// deliverAlone gives OnMessage a message that nobody else wants, unless f adds
// a handler. So there is a copy all the same, in memory for the moment.
func (c *Client) deliverAlone(f func(Message), msg Message) {
	copied := copies.Get().(*[]byte)
	*copied = append((*copied)[:0], msg.Data...)
	f(msg)
	if c.parses() {
		msg.Data = bytes.Clone(*copied)
		c.notify(msg, true)
	}
	if cap(*copied) <= keepCopies {
		copies.Put(copied)
	}
}

const keepCopies = 64 << 10

var copies = sync.Pool{New: func() any { return new([]byte) }}

// deliverOn is deliver behind OnMessage.
func (c *Client) deliverOn(msg Message, subs []*subscription[Message], parse bool) {
	c.messageSubs.send(subs, msg, parse || c.cfg.Inbox.Reuse, Message.clone)
	if parse {
		c.notify(msg, true)
	}
}

// notify is the part of deliver that is about what a message says. taken says that
// somebody got the message itself.
func (c *Client) notify(msg Message, taken bool) {
	if c.reading.parse != nil {
		c.callbacks.enter(nameParse)
	}
	n, content, err := c.reading.notification(msg)
	if err != nil {
		if c.cfg.Inbox.Reuse {
			msg = msg.clone() // an error is kept
		}
		c.callbacks.idle()
		c.onError(&ParseError{Data: msg.Data, Err: err})
		return
	}
	if n.Fallback {
		n.MsgType, n.Content = c.cfg.Fallback.MsgType, c.cfg.Fallback.Content
	}
	subs, handlers := c.notificationSubs.load(), c.handlers.of(n.MsgType)
	f := c.cfg.OnNotification
	if f == nil {
		if !taken && len(subs) == 0 && len(handlers) == 0 {
			c.unhandled(n)
			return
		}
		c.notifyOn(n, content, subs, handlers)
		return
	}
	c.callbacks.enter(nameOnNotification)
	alone, later := len(subs) == 0 && len(handlers) == 0, n.form
	if content != nil {
		later = formOf(content) // which f may change
	}
	if alone {
		f(n)
	} else {
		f(n.clone())
	}
	if handlers = c.handlers.of(n.MsgType); len(handlers) == 0 && len(subs) == 0 {
		return
	}
	if alone { // the message was f's, so a handler that it has added gets what was copied
		n.form, content = later, nil
	}
	c.notifyOn(n, content, subs, handlers)
}

// notifyOn is notify behind OnNotification.
func (c *Client) notifyOn(n Notification, content json.RawMessage, subs []*subscription[Notification], handlers []*typedHandler) {
	for i, h := range handlers {
		c.callHandler(h, n, content, len(subs) > 0 || i < len(handlers)-1)
	}
	c.notificationSubs.send(subs, n, c.cfg.Inbox.Reuse, Notification.clone)
}

// callHandler calls a handler of On or Handle. needed says that somebody behind it gets the
// message, too.
func (c *Client) callHandler(h *typedHandler, n Notification, content json.RawMessage, needed bool) {
	if h.removed.Load() { // by a callback of this message
		return
	}
	if h.raw && needed {
		n = n.clone() // content stays that of the message
	}
	c.callbacks.enter(h.name)
	h.call(c, n, content)
}

// unhandled counts a notification that has no handler.
func (c *Client) unhandled(n Notification) {
	c.callbacks.idle()
	c.state.unhandled.Add(1)
	if n.Fallback && c.reading.store && c.handlers.any() && !c.state.unnamed.Swap(true) {
		c.log(slog.LevelInfo, "a message has no msgType and content, so no handler of On gets it; if the server names them otherwise, set Config.Envelope; this is said once")
	}
	if l := c.cfg.Logger; l != nil && l.Enabled(context.Background(), slog.LevelDebug) {
		c.log(slog.LevelDebug, "nobody handles a notification of this type", "msgType", handshake.Printable(n.MsgType))
	}
}

func (m Message) clone() Message {
	m.Data = bytes.Clone(m.Data)
	return m
}

func (n Notification) clone() Notification {
	n.Raw = bytes.Clone(n.Raw)
	return n
}

// parses reports whether anybody would learn what a message says.
func (c *Client) parses() bool {
	return c.cfg.OnNotification != nil || c.cfg.OnError != nil || c.cfg.Logger != nil ||
		c.handlers.any() || c.notificationSubs.any()
}
