package wsnotify

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"
)

// The transport's own types, so that nothing needs to be converted.
type (
	MessageType     = websocket.MessageType
	StatusCode      = websocket.StatusCode
	CloseError      = websocket.CloseError
	CompressionMode = websocket.CompressionMode
)

// The kinds of messages of RFC 6455, section 5.6.
const (
	MessageText   = websocket.MessageText
	MessageBinary = websocket.MessageBinary
)

// Modes of permessage-deflate, RFC 7692. Off is the default. They are the
// transport's, which numbers them in another way for js/wasm, where zero would
// not be off.
const (
	CompressionDisabled CompressionMode = iota
	CompressionContextTakeover
	CompressionNoContextTakeover
)

// Close codes of RFC 6455, section 7.4, and the IANA registry.
const (
	StatusNormalClosure           = websocket.StatusNormalClosure
	StatusGoingAway               = websocket.StatusGoingAway
	StatusProtocolError           = websocket.StatusProtocolError
	StatusUnsupportedData         = websocket.StatusUnsupportedData
	StatusNoStatusRcvd            = websocket.StatusNoStatusRcvd
	StatusAbnormalClosure         = websocket.StatusAbnormalClosure
	StatusInvalidFramePayloadData = websocket.StatusInvalidFramePayloadData
	StatusPolicyViolation         = websocket.StatusPolicyViolation
	StatusMessageTooBig           = websocket.StatusMessageTooBig
	StatusMandatoryExtension      = websocket.StatusMandatoryExtension
	StatusInternalError           = websocket.StatusInternalError
	StatusServiceRestart          = websocket.StatusServiceRestart
	StatusTryAgainLater           = websocket.StatusTryAgainLater
	StatusBadGateway              = websocket.StatusBadGateway
	StatusTLSHandshake            = websocket.StatusTLSHandshake
)

// Message is a message as it came, or as it was given to Enqueue.
type Message struct {
	Type  MessageType
	Data  []byte // the receiver's to keep
	Epoch uint64 // of the connection it came over; 0 for one that was to be sent
}

// Notification is a text message {"msgType": …, "content": …}.
type Notification struct {
	MsgType string
	Content string          // the text, or the JSON of a content that is not a string
	Raw     json.RawMessage // the whole message, the receiver's to keep

	// Fallback says that msgType or content was missing, or falsy in the sense
	// of JavaScript. MsgType and Content are then those of Config.Fallback.
	Fallback bool
	Epoch    uint64 // of the connection it came over
}

// Decode stores content in the value that v points to, as json.Unmarshal
// does. When content is a string that does not fit v but holds JSON, that is
// decoded.
func (n Notification) Decode(v any) error {
	return decodeContent(n.rawContent(), v)
}

// rawContent is content as it stands in Raw. A Notification that was made by
// hand has none, so that Content is all there is.
func (n Notification) rawContent() json.RawMessage {
	if !n.Fallback {
		if _, content, _, err := rawEnvelope(n.Raw); err == nil && content != nil {
			return content
		}
	}
	raw, _ := json.Marshal(n.Content)
	return raw
}

// On calls handler with the content of each notification of a msgType,
// decoded as Notification.Decode does. Content that does not fit T goes to
// Config.OnError as a *DecodeError. Handlers run after Config.OnNotification,
// in the order in which they were added, on the goroutine of the callbacks.
//
// off removes the handler; a call under way is not waited for. Both may be
// called from anywhere.
func On[T any](c *Client, msgType string, handler func(T)) (off func()) {
	d := newDecoder(reflect.TypeFor[T]())
	h := &typedHandler{call: func(c *Client, n Notification, content json.RawMessage) {
		if content == nil {
			content = n.rawContent()
		}
		v, err := decodeAs[T](d, content)
		if err != nil {
			c.onError(&DecodeError{MsgType: n.MsgType, Content: n.Content, Err: err})
			return
		}
		handler(v)
	}}
	c.handlers.add(msgType, h)
	return func() { c.handlers.remove(msgType, h) }
}

type typedHandler struct {
	call func(c *Client, n Notification, content json.RawMessage) // nil for a Fallback
}

// handlers holds the handlers of On: copied when changed, so that they can be
// read without a lock.
type handlers struct {
	mu     sync.Mutex
	byType atomic.Pointer[map[string][]*typedHandler]
}

func (hs *handlers) of(msgType string) []*typedHandler {
	if m := hs.byType.Load(); m != nil {
		return (*m)[msgType]
	}
	return nil
}

func (hs *handlers) any() bool {
	m := hs.byType.Load()
	return m != nil && len(*m) > 0
}

func (hs *handlers) add(msgType string, h *typedHandler) {
	hs.change(msgType, func(list []*typedHandler) []*typedHandler { return append(list, h) })
}

func (hs *handlers) remove(msgType string, h *typedHandler) {
	hs.change(msgType, func(list []*typedHandler) []*typedHandler {
		return slices.DeleteFunc(list, func(other *typedHandler) bool { return other == h })
	})
}

func (hs *handlers) change(msgType string, f func([]*typedHandler) []*typedHandler) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	next := map[string][]*typedHandler{}
	if m := hs.byType.Load(); m != nil {
		for t, list := range *m {
			next[t] = list
		}
	}
	if list := f(slices.Clone(next[msgType])); len(list) > 0 {
		next[msgType] = list
	} else {
		delete(next, msgType)
	}
	hs.byType.Store(&next)
}

// deliver runs the callbacks of one message, on their goroutine.
func (c *Client) deliver(msg Message) {
	raw := msg.Data
	if c.cfg.OnMessage != nil || c.messageSubs.any() {
		if msg.Type == MessageText && c.parses() {
			raw = bytes.Clone(raw) // Data is the receiver's, who may change it
		}
		if f := c.cfg.OnMessage; f != nil {
			f(msg)
		}
		c.messageSubs.send(msg)
	}
	if msg.Type != MessageText || !c.parses() {
		return
	}
	n := Notification{Raw: raw, Epoch: msg.Epoch}
	msgType, content, ok, err := rawEnvelope(raw)
	switch {
	case err != nil:
		c.onError(&ParseError{Data: raw, Err: err})
		return
	case ok:
		n.MsgType, n.Content = envelopeText(msgType, content)
	default:
		content = nil
		n.MsgType, n.Content, n.Fallback = c.cfg.Fallback.MsgType, c.cfg.Fallback.Content, true
	}
	if f := c.cfg.OnNotification; f != nil {
		f(n)
	}
	for _, h := range c.handlers.of(n.MsgType) {
		h.call(c, n, content)
	}
	c.notificationSubs.send(n)
}

// parses reports whether anybody would learn what a text message says.
func (c *Client) parses() bool {
	return c.cfg.OnNotification != nil || c.cfg.OnError != nil || c.cfg.Logger != nil ||
		c.handlers.any() || c.notificationSubs.any()
}
