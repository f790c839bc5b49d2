package wsnotify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cenkalti/backoff/v4"

	"github.com/wsnotify/wsnotify/internal/handshake"
)

// Config says how a Client behaves. The zero Config behaves as the browser
// store that this package mirrors: a text "ping" every 6 s, a reconnect every
// 10 s, at most 6 of them. New copies it.
//
// A wrong value is reported by Connect and Run, which then dial nothing.
//
// # Callbacks
//
// The functions named On…, except OnHandshake, run one after another, in the
// order of the events, on one goroutine of the client that holds no lock.
// They may block, and they may call every method; while one runs, messages
// wait in the inbox. Only waiting for Done inside a callback blocks for ever,
// since Done waits for the callback; Drain waits there until its ctx ends. A
// panic in one is not recovered. One that ends its goroutine (runtime.Goexit, as
// testing.T.FailNow does) keeps nothing behind it from being told.
//
// BeforeDial, OnHandshake, ShouldReconnect and the policy of BackOff run on a
// goroutine of their own, beside the callbacks. When the client is closed, or,
// for the first two, DialTimeout has passed, it goes on without one that does not
// return; only Done waits for it. So they should heed their ctx. A ShouldReconnect
// that ends its goroutine is taken for a yes, and a policy for backoff.Stop.
//
// Of the functions of Heartbeat, TextFunc runs on a goroutine of its own, too.
// Answer runs where messages are read, so that it must not block.
type Config struct {
	// HTTPClient makes the handshake's request: proxies, TLS, cookies. Of an
	// *http.Transport a copy is used, without keep-alives. Redirects are
	// never followed. Nil means one of our own, which obeys HTTP_PROXY and
	// its like. What TLSClientConfig says holds, of versions too, but h2 is
	// never offered, since a WebSocket can't be opened over it; without
	// NextProtos http/1.1 is. Any other RoundTripper must pass the Body of a
	// 101 on as it is; the request has the Sec-WebSocket- names in the
	// spelling of RFC 6455, which Header.Get does not find. In a browser it must
	// be nil.
	HTTPClient *http.Client

	// Header is sent with every handshake. "Host" sets the request's host.
	// Names may be written in any case. The Sec-WebSocket- headers are the
	// transport's. In a browser, which lets a page set none, it must be empty.
	Header http.Header

	// Subprotocols are offered to the server, the preferred first. When there
	// are any, a server that chooses none of them fails the attempt.
	Subprotocols []string

	// Compression is the mode of permessage-deflate, RFC 7692. Zero means off.
	// In a browser, which decides by itself, it must be zero.
	Compression CompressionMode

	// ReadLimit is the size of the largest message taken, in bytes. A larger
	// one is answered with close code 1009. Zero means 1 MiB, negative no
	// limit.
	ReadLimit int64

	// DialTimeout bounds one attempt, both hooks included. Zero means 10 s,
	// negative no limit.
	DialTimeout time.Duration

	// WriteTimeout is how long the socket may take nothing of what there is to
	// write; past it the connection is dropped. A line that moves, however
	// slowly, is not cut by it. Zero means 10 s, negative no limit.
	WriteTimeout time.Duration

	// MaxFrame is the payload of the longest frame sent, in bytes. A larger
	// message leaves in fragments, RFC 6455, section 5.4, for gateways that close
	// with 1009 on a frame that is longer than theirs. Zero or negative means no
	// limit: one frame a message.
	MaxFrame int

	// CloseTimeout bounds the end of a connection by Disconnect, Close and
	// the ctx of Run: what was queued is sent, and the close frame is sent
	// and answered. Zero means 5 s; negative means that none of it is waited
	// for, and that a missing answer is no error.
	CloseTimeout time.Duration

	// DrainTimeout is how long Run drains the connection when its ctx has
	// ended, as Drain does: what was received is handled, and what the callbacks
	// send meanwhile is sent. Zero or negative means that Run closes at once.
	DrainTimeout time.Duration

	// BeforeDial runs before every attempt and may change its URL, headers and
	// subprotocols: a fresh token, another host, a position to resume from. An
	// error fails the attempt. ctx ends with the attempt, and has the values of
	// the ctx of Connect or Run.
	BeforeDial func(ctx context.Context, req *DialRequest) error

	// OnHandshake runs on every new connection before it is Open, and may
	// write and read messages: log in, subscribe again. What it writes comes
	// before every queued message. An error fails the attempt; if the server
	// has closed the connection meanwhile, or broken the protocol, the Failure
	// has the close code. ctx ends with the attempt, and has the values of the
	// ctx of Connect or Run.
	OnHandshake func(ctx context.Context, h *Handshake) error

	// BackOff makes the policy of reconnecting, one for each Connect or Run:
	// how long to wait before each attempt, and after which to give up
	// (backoff.Stop). It is Reset when the counter of reconnects is, and again
	// when a connection is lost that has reset the counter, so that a
	// MaxElapsedTime counts from there. It is called as ShouldReconnect is, one
	// call at a time. Nil means 10 s each, at most 6 times. See Exponential for a
	// policy that spreads a herd.
	BackOff func() backoff.BackOff

	// StableAfter is how long a connection must have been open for the
	// counter of reconnects to go back to 0. Zero means that Open itself
	// resets it; then a server that accepts and drops is dialled for ever.
	StableAfter time.Duration

	// ShouldReconnect says whether to try again after a failure. Nil means
	// always, within what BackOff allows. A Reconnect that is called meanwhile
	// overrules it. The client waits for its answer, so it must not wait for a
	// connection. See FailFast and RetryOnce.
	ShouldReconnect func(Failure) bool

	Heartbeat Heartbeat
	Inbox     Inbox
	Outbox    Outbox
	Envelope  Envelope

	// Fallback is the notification that stands for a message without msgType
	// or content. Its Raw, Fallback and Epoch are filled in. Zero means the
	// store's text, in Chinese; with an Envelope of other fields, no text.
	Fallback Notification

	// OnStateChange reports every change of the ReadyState.
	OnStateChange func(StateChange)
	// OnOpen reports a new connection.
	OnOpen func(OpenEvent)
	// OnClose reports the end of a connection, once for each OnOpen.
	OnClose func(CloseEvent)
	// OnReconnecting reports that a further attempt was scheduled.
	OnReconnecting func(ReconnectEvent)
	// OnGiveUp reports that no further attempt will be made.
	OnGiveUp func(*GiveUpError)
	// OnError reports a failed attempt, a protocol violation of the peer, a
	// heartbeat that was not answered (ErrHeartbeatTimeout), a confirmation
	// that did not come, an error of the Outbox.Store, a message that is not
	// JSON (*ParseError), content of the wrong type (*DecodeError), and text of
	// Heartbeat's functions that is not UTF-8. It is
	// not called for anything else: not for a connection that simply breaks or
	// that the peer closes, which, as in a browser, OnClose alone sees, nor for
	// giving up (OnGiveUp), a message that is not sent (OnUndelivered), what ends
	// by Disconnect, Close, Drain, Reconnect or ctx, or an error that a method
	// returns.
	OnError func(error)
	// OnMessage sees every message, text and binary, before it is parsed.
	OnMessage func(Message)
	// OnNotification sees every text message that is JSON.
	OnNotification func(Notification)
	// OnUndelivered sees each message given to Enqueue that will not be sent,
	// once, with the reason: ErrClosed, ErrExpired, ErrOutboxFull, or
	// ErrUnconfirmed, in which case the peer may have got it.
	OnUndelivered func(Message, error)

	// Logger is told of state changes, failures and undelivered messages, on
	// the goroutine of the callbacks. Passwords and query values in URLs are
	// redacted. Nil means silence.
	Logger *slog.Logger
}

// Heartbeat says how the client keeps a connection alive and finds out that
// it is not.
type Heartbeat struct {
	// Interval between two beats. Zero means 6 s, negative no heartbeat.
	Interval time.Duration
	// Timeout is how long after a beat the peer may be silent; any frame
	// counts as life. Zero means 6 s. Negative means no protocol pings, and
	// that life is not watched. In a browser, which sends no pings, life is
	// watched once the peer has answered the text of a beat: with one of
	// Replies, or, where TextFunc made it, with any message.
	Timeout time.Duration
	// Text is the text message of a beat. Zero means "ping".
	Text string
	// TextFunc makes the text of each beat, instead of Text: with a number in it,
	// for instance. An empty one leaves the text out of that beat. It runs on a
	// goroutine of its own, never two at once, and may block: a beat that comes
	// meanwhile has no text, and protocol pings don't wait for it. Done does, so
	// waiting for that in TextFunc blocks for ever. Text that is not UTF-8 is not
	// sent, and told to OnError, once a connection.
	TextFunc func() string
	// NoText leaves the text message out: protocol pings only.
	NoText bool
	// Replies are the text messages that are swallowed as answers to Text.
	// Nil means "pong" and Text itself, empty none. With NoText, and on a
	// connection without a heartbeat, nil means none, and with TextFunc "pong"
	// alone.
	Replies []string
	// Answer answers what the server asks as a message: "3" to its "2", or
	// {"pong": 7} to its {"ping": 7}. It is shown every message, before anybody
	// else, also those that OnHandshake would Receive. If ok, the message goes to
	// nobody else, and reply is sent as a text message, before all that is queued:
	// of replies that wait for the socket, the latest 64. An empty one sends
	// nothing. A reply that is not UTF-8 is not sent, and told to OnError, once
	// a connection.
	//
	// It runs where messages are read, one call at a time, also while a callback
	// blocks, until the inbox is full. So it must be fast: it must not block, nor
	// call a method of the client that may wait, as Close and Send do; the client
	// waits for it. It must not keep or change Data.
	Answer func(Message) (reply string, ok bool)
}

// Inbox bounds what was received and waits for its callback, over all
// connections. When it is full the client stops reading from the socket: the
// server's pings are not answered then, and a next connection, which is made all
// the same, is not read from until there is room. When a connection ends
// meanwhile, what had been read from it, which is at most 64 KiB, waits past the
// bound, and what had not been read is lost with it.
type Inbox struct {
	Messages int // zero means 1024, negative no limit
	Bytes    int // zero means 4 MiB, negative no limit; a larger message is taken alone

	// Reuse makes Message.Data and Notification.Raw parts of the memory that was
	// read into, which is used again once the callbacks of that message have
	// returned: a callback that keeps them copies them. Receiving then takes no
	// memory per message. Iterators, and what a Notification holds as strings, are
	// copies as ever.
	Reuse bool
}

const (
	defaultReadLimit    = 1 << 20
	defaultDialTimeout  = 10 * time.Second
	defaultWriteTimeout = 10 * time.Second
	defaultCloseTimeout = 5 * time.Second
	defaultInterval     = 6 * time.Second
	defaultPongTimeout  = 6 * time.Second
	defaultReconnect    = 10 * time.Second
	defaultReconnects   = 6
	defaultMessages     = 1024
	defaultBytes        = 4 << 20
	defaultConfirm      = 30 * time.Second

	defaultType    = "msgType"
	defaultContent = "content"
	defaultID      = "id"

	fallbackTitle = "您有新的通知"
	fallbackText  = "您有新的通知，请前往消息列表查看"
)

// withDefaults returns a deep copy in which no zero stands for a default any
// more; a negative still says "off" or "no limit".
func (cfg Config) withDefaults() Config {
	if cfg.HTTPClient != nil {
		c := *cfg.HTTPClient
		cfg.HTTPClient = &c
	}
	cfg.Header = handshake.CanonicalHeader(cfg.Header)
	cfg.Subprotocols = slices.Clone(cfg.Subprotocols)
	setDefault(&cfg.ReadLimit, defaultReadLimit)
	setDefault(&cfg.DialTimeout, defaultDialTimeout)
	setDefault(&cfg.WriteTimeout, defaultWriteTimeout)
	setDefault(&cfg.CloseTimeout, defaultCloseTimeout)
	if cfg.BackOff == nil {
		cfg.BackOff = defaultBackOff
	}

	hb := &cfg.Heartbeat
	setDefault(&hb.Interval, defaultInterval)
	setDefault(&hb.Timeout, defaultPongTimeout)
	setDefault(&hb.Text, "ping")
	switch {
	case hb.Replies != nil:
		hb.Replies = slices.Clone(hb.Replies)
	case hb.NoText:
		hb.Replies = []string{}
	case hb.TextFunc != nil:
		hb.Replies = []string{"pong"}
	default:
		hb.Replies = []string{"pong", hb.Text}
	}
	cfg.MaxFrame = max(cfg.MaxFrame, 0)

	setDefault(&cfg.Inbox.Messages, defaultMessages)
	setDefault(&cfg.Inbox.Bytes, defaultBytes)
	setDefault(&cfg.Outbox.Messages, defaultMessages)
	setDefault(&cfg.Outbox.Bytes, defaultBytes)
	setDefault(&cfg.Outbox.ConfirmTimeout, defaultConfirm)

	setDefault(&cfg.Envelope.ID, defaultID)
	if cfg.Envelope.Parse == nil {
		setDefault(&cfg.Envelope.Type, defaultType)
		setDefault(&cfg.Envelope.Content, defaultContent)
	}
	if cfg.Envelope.isStore() && cfg.Fallback.MsgType == "" && cfg.Fallback.Content == "" {
		cfg.Fallback.MsgType, cfg.Fallback.Content = fallbackTitle, fallbackText
	}
	return cfg
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate says what is wrong with a Config that has its defaults, and what
// would be right.
func (cfg *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("wsnotify: Config."+format, args...))
	}
	if err := handshake.CheckHeader(cfg.Header); err != nil {
		bad("Header: %w", err)
	}
	if err := handshake.CheckSubprotocols(cfg.Subprotocols); err != nil {
		bad("Subprotocols%w", err)
	}
	if !validCompression(cfg.Compression) {
		bad("Compression: %d is none of the CompressionMode constants", cfg.Compression)
	}
	if cfg.StableAfter < 0 {
		bad("StableAfter: %v is negative; 0 resets the counter on Open", cfg.StableAfter)
	}
	if o := cfg.Outbox.Overflow; o != RejectNew && o != DropOldest {
		bad("Outbox.Overflow: %d is neither RejectNew nor DropOldest", int(o))
	}
	if err := cfg.Envelope.validate(); err != nil {
		bad("Envelope.%w", err)
	}
	if !utf8.ValidString(cfg.Heartbeat.Text) {
		bad("Heartbeat.Text: %q is not UTF-8, as a text message must be", cfg.Heartbeat.Text)
	}
	return errors.Join(errs...)
}

func validCompression(m CompressionMode) bool {
	return m == CompressionDisabled || m == CompressionContextTakeover || m == CompressionNoContextTakeover
}
