package wsnotify

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/wsnotify/wsnotify/internal/envelope"
)

// MessageType is the kind of a message. Its numbers are the opcodes of RFC 6455,
// section 5.2.
type MessageType int

const (
	// MessageText is UTF-8 text.
	MessageText MessageType = 1
	// MessageBinary is bytes.
	MessageBinary MessageType = 2
)

// String returns "MessageText" or "MessageBinary".
func (t MessageType) String() string {
	switch t {
	case MessageText:
		return "MessageText"
	case MessageBinary:
		return "MessageBinary"
	}
	return fmt.Sprintf("MessageType(%d)", int(t))
}

// Message is a message as it came, or as it was given to Enqueue.
type Message struct {
	Type  MessageType
	Data  []byte // the receiver's to keep
	Epoch uint64 // of the connection it came over; 0 for one that was to be sent
}

// Notification is a message {"msgType": …, "content": …}, or what Config.Envelope
// says that one is.
type Notification struct {
	MsgType string
	Content string          // the text, or the JSON of a content that is not a string
	Raw     json.RawMessage // the whole message, the receiver's to keep; of Envelope.Parse it may be no JSON

	// Fallback says that msgType or content was missing, or falsy in the sense
	// of JavaScript; with a Config.Envelope, that there was no type. MsgType and
	// Content are then those of Config.Fallback.
	Fallback bool
	form     form   // of Content
	Epoch    uint64 // of the connection it came over
}

// form says how Content stands for the content of the message, where the
// envelope is not the store's.
type form uint8

const (
	inRaw  form = iota // content is in Raw, as the store names it, or Content is all there is
	isJSON             // Content is the JSON
	isText             // Content is what a JSON string says
	isOwn              // Content is what Envelope.Parse made of it, and may be JSON
	isNone             // there is no content
)

// formOf is the form of a content that was found in a message.
func formOf(content json.RawMessage) form {
	switch {
	case content == nil:
		return isNone
	case content[0] == '"':
		return isText
	}
	return isJSON
}

// Decode stores content in the value that v points to, as json.Unmarshal
// does. When content is a string that does not fit v but holds JSON, that is
// decoded. It knows the Config.Envelope of the client that the notification came from, and
// leaves v as it is when a message of another envelope has no content.
//
// What Envelope.Parse returned is taken for a text when it is not JSON. A
// *string or *json.RawMessage gets it as it is, but for a JSON string, which a
// *string gets the text of.
func (n Notification) Decode(v any) error {
	if n.form == isNone {
		return nil
	}
	if n.form == isOwn {
		switch v := v.(type) {
		case *string:
			*v = n.Content
			return nil
		case *json.RawMessage:
			*v = json.RawMessage(n.Content)
			return nil
		}
	}
	return envelope.Decode(n.rawContent(), v)
}

// rawContent is content as JSON. It stands in Raw, or is made from Content,
// which is all there is of a Notification that was made by hand.
func (n Notification) rawContent() json.RawMessage {
	switch n.form {
	case isJSON:
		return json.RawMessage(n.Content)
	case isOwn:
		if raw := json.RawMessage(n.Content); json.Valid(raw) {
			return raw
		}
	case inRaw:
		if n.Fallback {
			break
		}
		if _, content, err := storeFields.Find(n.Raw); err == nil && content != nil {
			return content
		}
	}
	raw, _ := json.Marshal(n.Content)
	return raw
}

// Envelope says where a message keeps what, for servers with a protocol of their
// own: the names of fields of its outermost JSON object. They are compared as
// JavaScript does, exactly, and of several with one name the last counts. The
// zero Envelope is the store's, {"msgType": …, "content": …}, in which both must
// be truthy.
//
// In any other a message needs only a type, which is missing when it is not
// there, null, false or "". Content that is missing is empty, and content that
// is falsy is as it came. A message without a type is a Notification with
// Fallback.
type Envelope struct {
	// Type names the field with the type of a notification. Zero means
	// "msgType". A field whose name is empty can't be named, here and below:
	// use Parse.
	Type string
	// Content names the field with the content. Zero means "content", and "."
	// the whole message. It can't be the same as Type.
	Content string
	// ID names the field that says which request a message answers, for
	// Client.Request. Zero means "id". It may be the same as another.
	ID string
	// Parse takes over from Type and Content where a message is no JSON object:
	// arrays, binary formats, lines of text. It sees text and binary messages, on
	// the goroutine of the callbacks, when there is anybody who wants
	// notifications. content is mostly JSON, and may be any bytes: see
	// Notification.Decode. An empty msgType makes the message a Fallback, an error
	// is reported to OnError as a *ParseError.
	Parse func(Message) (msgType string, content []byte, err error)
}

// isStore reports whether an Envelope with its defaults is the store's.
func (e *Envelope) isStore() bool {
	return e.Parse == nil && e.Type == defaultType && e.Content == defaultContent
}

// validate expects the defaults to be set.
func (e *Envelope) validate() error {
	if e.Parse != nil && (e.Type != "" || e.Content != "") {
		return fmt.Errorf("%s takes over from Type and Content: set either Parse or these", "Parse")
	}
	if e.Parse == nil && e.Type == e.Content {
		return fmt.Errorf("%s and %s are both %q: name two fields, or \".\" as Content for the whole message", "Type", "Content", e.Type)
	}
	for _, field := range [][2]string{{"Type", e.Type}, {"ID", e.ID}, {"Content", e.Content}} {
		switch name, value := field[0], field[1]; {
		case !utf8.ValidString(value):
			return fmt.Errorf("%s: %q is not UTF-8, as the name of a field must be", name, value)
		case value == envelope.Whole && name != "Content":
			return fmt.Errorf(`%s: "." stands for the whole message, which only Content can be; name a field`, name)
		}
	}
	return nil
}

// On calls handler with the content of each notification of a msgType,
// decoded as Notification.Decode does. Content that does not fit T goes to
// Config.OnError as a *DecodeError. Handlers run after Config.OnNotification,
// in the order in which they were added, on the goroutine of the callbacks. For
// a message without content, which only a Config.Envelope lets through, it is
// the zero T.
//
// off removes the handler: it is not called any more for a later message, nor for
// the one at hand if off is called in a callback. A call under way is not waited
// for. Both may be called from anywhere. A handler that is added in OnMessage
// begins with the message at hand.
//
// On panics if handler is nil or c was not made by New.
func On[T any](c *Client, msgType string, handler func(T)) (off func()) {
	c.mustRegister("On", msgType, handler == nil)
	d := envelope.NewDecoder(reflect.TypeFor[T]())
	return c.handlers.add(msgType, &typedHandler{call: func(c *Client, n Notification, content json.RawMessage) {
		if v, ok := decodeFor[T](c, d, n, content); ok {
			handler(v)
		}
	}})
}

// Handle is On for handlers that need the whole notification or a context, or can
// fail. An error goes to Config.OnError as a *HandlerError, and changes nothing
// else.
//
// ctx has the values of the ctx of the Connect or Run that received the
// notification, and ends when that is over: not when a drain begins, so that the
// handler can finish. n is the handler's own to change; with Inbox.Reuse its Raw is
// overwritten after the handler has returned.
func Handle[T any](c *Client, msgType string, handler func(ctx context.Context, n Typed[T]) error) (off func()) {
	c.mustRegister("Handle", msgType, handler == nil)
	d := envelope.NewDecoder(reflect.TypeFor[T]())
	return c.handlers.add(msgType, &typedHandler{raw: true, call: func(c *Client, n Notification, content json.RawMessage) {
		v, ok := decodeFor[T](c, d, n, content)
		if !ok {
			return
		}
		if err := handler(c.contextOf(n.Epoch), Typed[T]{Notification: n, Value: v}); err != nil {
			c.resume.handlerFailed()
			c.onError(&HandlerError{MsgType: n.MsgType, Err: err})
		}
	}})
}

// Typed is a notification with its content as a value of type T.
type Typed[T any] struct {
	Notification
	Value T
}

// decodeFor returns the content as a T, or reports why it is none.
func decodeFor[T any](c *Client, d *envelope.Decoder, n Notification, content json.RawMessage) (v T, ok bool) {
	var err error
	if content == nil {
		err = n.Decode(&v)
	} else {
		v, err = envelope.DecodeAs[T](d, content)
	}
	if err != nil {
		c.onError(&DecodeError{MsgType: n.MsgType, Content: n.Content, Err: err})
	}
	return v, err == nil
}

// mustRegister panics where a handler could never be called.
func (c *Client) mustRegister(function, msgType string, isNil bool) {
	switch {
	case c == nil || !c.made:
		panic("wsnotify: " + function + ": " + useNew)
	case isNil:
		panic(fmt.Sprintf("wsnotify: %s: the handler of %q is nil; it must be a function", function, msgType))
	}
}

type typedHandler struct {
	call    func(c *Client, n Notification, content json.RawMessage) // nil: as n says
	raw     bool                                                     // it is given n.Raw
	removed atomic.Bool
	name    *callbackName
}

// handlers holds the handlers of On and Handle: copied when changed, so that they can be
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

func (hs *handlers) add(msgType string, h *typedHandler) (off func()) {
	h.name = &callbackName{msgType: msgType}
	hs.change(msgType, func(list []*typedHandler) []*typedHandler { return append(list, h) })
	return func() { hs.remove(msgType, h) }
}

func (hs *handlers) remove(msgType string, h *typedHandler) {
	h.removed.Store(true)
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
