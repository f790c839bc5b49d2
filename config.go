package wsnotify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/wsnotify/wsnotify/internal/extension"
	"github.com/wsnotify/wsnotify/internal/handshake"
)

// Config says how a Client behaves. The zero Config sends a text "ping" and a
// protocol ping every 6 s, and reconnects every 10 s, at most 6 times in a row.
// New copies it.
//
// If a value is wrong, Connect and Run return an error and dial nothing.
//
// # Callbacks
//
// The functions named On…, except OnHandshake, run one after another, in the
// order of the events, on one goroutine of the client that holds no lock.
// They may block, and they may call every method; while one runs, messages
// wait in the inbox, and so do events. Events have no limit, so the client drops
// some when more than 256 wait: all events of an attempt, from
// Connecting to OnReconnecting and the connection between them if it brought no
// message, when the next attempt begins. So the first attempts and the latest are
// reported, OnStateChange still sees legal steps alone, and each OnOpen has its OnClose.
// Status counts everything. Don't wait for Done in a callback: Done waits for the
// callback, so that blocks forever. A method that would wait for its own callback,
// such as Drain while the connection is open, returns an error at once. A panic is not
// recovered. A callback that ends its goroutine (runtime.Goexit, as testing.T.FailNow
// does) does not stop the client; what is behind it for the same message or event may
// be skipped.
//
// BeforeDial, OnHandshake, ShouldReconnect and the policy of BackOff run on a
// goroutine of their own, beside the callbacks. If one does not return, the client
// goes on without it when it is closed, and without the first two when DialTimeout
// has passed; only Done waits for them. So they should obey their ctx. If a
// ShouldReconnect ends its goroutine, that counts as true, and if a policy does, as
// Stop.
//
// Heartbeat.TextFunc also runs on a goroutine of its own. Heartbeat.Answer runs
// where messages are read, so it must not block.
type Config struct {
	// HTTPClient makes the request of the handshake: it sets proxies, TLS and
	// cookies. Of an *http.Transport the settings are used, but for those of
	// keep-alives and HTTP/2, and the request is made without it.
	// Redirects are never followed. Nil means a client of this package, which uses
	// HTTP_PROXY and the other variables. TLSClientConfig is used as it is,
	// versions included, except that h2 is never offered, since a WebSocket can't
	// be opened over it; without NextProtos, http/1.1 is offered. Any other
	// RoundTripper must pass on the Body of a 101 unchanged; in its request the
	// Sec-WebSocket- names are spelled as in RFC 6455, so Header.Get does not find
	// them. In a browser it must be nil.
	HTTPClient *http.Client

	// Header is sent with every handshake. "Host" sets the request's host.
	// Names may be written in any case. Don't set the Sec-WebSocket- headers. In a
	// browser it must be empty, since a page can't set headers.
	Header http.Header

	// Subprotocols are offered to the server, the preferred first. When there
	// are any, a server that chooses none of them fails the attempt.
	Subprotocols []string

	// Compression is the mode of permessage-deflate, RFC 7692. Zero means off.
	// With CompressionContextTakeover each message may refer to those before it: a
	// notification of 120 bytes becomes some 40, and a connection keeps the two
	// windows, some 80 KB. With CompressionNoContextTakeover each is compressed
	// alone and nothing is kept, unless the server does not agree to that: then its
	// window is kept. What was agreed on is in OpenEvent. In a browser, which
	// decides by itself, it must be zero.
	Compression CompressionMode

	// CompressionWindow is the window that is offered for both directions, in bits:
	// 12 means 4 KiB. A smaller one takes less memory and compresses less. Below 15,
	// a server that can't keep to it declines compression, or fails the attempt if
	// it agrees to something else (RFC 7692, section 7.1.2). It may be 9 to 15; zero
	// means 15.
	CompressionWindow int

	// ReadLimit is the size of the largest message accepted, in bytes. On a
	// larger one the connection is closed with code 1009. Zero means 1 MiB,
	// negative no limit.
	ReadLimit int64

	// DialTimeout bounds one attempt, both hooks included. Zero means 10 s,
	// negative no limit.
	DialTimeout time.Duration

	// DialLimiter is asked before each dial, and before BeforeDial: a Limiter that
	// clients share keeps a process from dialling with all of them at once. The
	// wait is no part of DialTimeout, the state meanwhile is Closed, and a Reconnect
	// does not pass it. An error is reported to OnError, and the Limiter is asked
	// again after 1 s. Nil means no limit.
	DialLimiter Limiter
	// WriteTimeout is how long a write may make no progress before the
	// connection is dropped. A slow line that moves is not cut. It works on every
	// net.Conn, also on one without deadlines. Time in which this process was
	// stopped, or in which nothing is read since callbacks are slow, does not count,
	// as with the heartbeat. Zero means 10 s, negative no limit.
	WriteTimeout time.Duration

	// MaxFrame is the payload of the longest frame sent, in bytes. A larger
	// message is sent in fragments, between which pings, pongs and the close frame
	// go (RFC 6455, section 5.4): they wait for one frame at most. Some gateways
	// close with 1009 on longer frames. Zero means 1 MiB, negative no limit: one
	// frame per message.
	MaxFrame int

	// CloseTimeout bounds the end of a connection by Disconnect, CloseWith and the
	// ctx of Run: the time to send what is queued and the close frame, and to get
	// the answer. Zero means 5 s. Negative means not to wait, and a missing answer
	// is then no error.
	CloseTimeout time.Duration

	// DrainTimeout is how long Run drains the connection, as Drain does, when its
	// ctx has ended: the callbacks handle what was received, and what they send is
	// sent. Zero or negative means that Run closes at once.
	DrainTimeout time.Duration

	// BeforeDial runs before every attempt and may change its URL, headers and
	// subprotocols: a fresh token, another host, a position to resume from. An
	// error fails the attempt. ctx ends with the attempt, and has the values of
	// the ctx of Connect or Run.
	BeforeDial func(ctx context.Context, req *DialRequest) error

	// OnHandshake runs on every new connection before it is Open, and may
	// write and read messages: log in, subscribe again. What it writes comes
	// before every queued message. An error fails the attempt. If the server
	// closed the connection or broke the protocol, the Failure has the close
	// code. ctx ends with the attempt, and has the values of the
	// ctx of Connect or Run.
	OnHandshake func(ctx context.Context, h *Handshake) error

	// BackOff makes the policy of reconnecting, one for each Connect or Run. The
	// policy says how long to wait before each attempt, and when to give up
	// (Stop). It is Reset together with the counter of reconnects, and
	// again when such a connection is lost, so that a MaxElapsedTime counts from
	// the loss. It is called like ShouldReconnect, one call at a time. Nil means
	// 10 s each, at most 6 times. Exponential is a policy for many clients.
	BackOff func() BackOff

	// StableAfter is how long a connection must be open before the counter of
	// reconnects goes back to 0. Zero means that Open resets it. Then a server that
	// accepts and drops is dialled forever.
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
	Resume    Resume

	Subscriptions Subscriptions

	// Fallback is the notification for a message without msgType or content.
	// Its Raw, Fallback and Epoch are filled in. Zero means a Chinese text, "You
	// have a new notification"; with other fields in the Envelope, no text.
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
	// JSON (*ParseError), content of the wrong type (*DecodeError), an error of a
	// handler (*HandlerError), and text of
	// Heartbeat's functions that is not UTF-8.
	//
	// It is not called for anything else: not when a connection simply breaks or
	// the peer closes it (OnClose, as in a browser), not for giving up (OnGiveUp)
	// or a message that is not sent (OnUndelivered), not for what Disconnect,
	// Close, Drain, Reconnect or ctx end, and not for errors that a method
	// returns.
	OnError func(error)
	// OnMessage gets every message, text and binary, before it is parsed.
	OnMessage func(Message)
	// OnNotification gets every text message that is JSON.
	OnNotification func(Notification)
	// OnUndelivered gets each message of Enqueue that will not be sent, once, with
	// the reason: ErrClosed, ErrExpired, ErrOutboxFull, or one that matches
	// ErrUnconfirmed, after which the peer may have it: ErrInterrupted or
	// ErrNotAcknowledged.
	OnUndelivered func(Message, error)

	// SlowCallback is how long a callback, a handler or the body of a loop may take
	// before Logger is told, once for each call, at the level Warn and from another
	// goroutine: with the name of the callback or the msgType of the handler, and
	// without content. Zero means 10 s, negative never. Status.CallbackSince shows a callback that
	// runs whatever this is.
	SlowCallback time.Duration
	// Record gets a recording of every connection: what came and what was sent, when, and how it ended, as
	// JSON Lines. docs/recordings.md describes the format; wsnotifytest plays recordings in tests, and
	// "wsnotify serve --replay" for any client. It is written in the background, on one goroutine at a time,
	// and complete when Done is closed, for which Done waits at most CloseTimeout longer. A writer that is too
	// slow costs events, never the connection: at most 4 MiB wait for it, and the recording says how many events
	// are missing. The first error of the writer is reported to OnError, and ends the recording. A writer must
	// not be shared by clients. Nil means no recording.
	//
	// Passwords, query values, headers that may hold a token, and what the server repeats of them are
	// replaced by xxxxx. Messages are recorded as they are, unless RecordMessage changes them.
	Record io.Writer
	// RecordMessage returns what is recorded of a message, in either direction, instead of the message itself: a
	// login without its password. A Type of 0 leaves the message out, and so does a call that ends its goroutine.
	// It may change Data, and must not block: messages are read and written once it has returned, several at a
	// time. Nil means the message itself.
	RecordMessage func(Message) Message
	// RecordPings also records ping and pong frames.
	RecordPings bool
	// RecordSecrets also records URLs, headers and close reasons as they are.
	RecordSecrets bool

	// Logger logs state changes, connections, failures and undelivered messages,
	// on the goroutine of the callbacks. Passwords and query values in URLs are
	// redacted. Nil means that nothing is logged.
	Logger *slog.Logger
}

// Heartbeat says how the client keeps a connection open and finds out that it
// is dead.
type Heartbeat struct {
	// Interval between two beats. Zero means 6 s, negative no heartbeat.
	Interval time.Duration
	// Timeout is how long after a beat the peer may be silent; any byte is a
	// sign of life. Zero means 6 s. Negative means no protocol pings, and dead
	// connections are not looked for. A browser sends no pings; there they are
	// looked for once the peer has answered the text of a beat: with one of
	// Replies, or, with TextFunc, with any message.
	Timeout time.Duration
	// Text is the text message of a beat. Zero means "ping".
	Text string
	// TextFunc makes the text of each beat, instead of Text, for instance with a
	// number in it. If it returns "", that beat has no text. It runs on a goroutine
	// of its own, never two at once, and may block: a beat that comes meanwhile has
	// no text, and protocol pings don't wait for it. Done waits for it, so waiting
	// for Done in TextFunc blocks forever. Text that is not UTF-8 is not sent, and
	// is reported to OnError, once per connection.
	TextFunc func() string
	// NoText leaves the text message out: protocol pings only.
	NoText bool
	// Replies are the text messages that answer Text; they are not delivered.
	// Nil means "pong" and Text itself; with TextFunc it means "pong" alone, and
	// with NoText, or on a connection without a heartbeat, none. An empty slice
	// means none.
	Replies []string
	// Answer answers servers that ping with messages of their own: "3" to "2", or
	// {"pong": 7} to {"ping": 7}. It gets every message first, also those that
	// OnHandshake would Receive. If ok, the message is not delivered to anything
	// else, and reply is sent as a text message, before everything that is queued;
	// if the socket is slow, the latest 64 replies are kept. An empty reply sends
	// nothing. A reply that is not UTF-8 is not sent, and is reported to OnError,
	// once per connection.
	//
	// It runs where messages are read, one call at a time, also while a callback
	// blocks, until the inbox is full. The client waits for it, so it must be
	// fast: it must not block, nor call a method of the client that may wait, such
	// as Close and Send. It must not keep or change Data.
	Answer func(Message) (reply string, ok bool)
}

// Inbox bounds the received messages that wait for a callback, over all
// connections. When it is full the client stops reading from the socket, and the
// server's pings are not answered. It still reconnects, but does not read from the
// new connection until there is capacity. If a connection ends meanwhile, what was read
// from it, at most 64 KiB, waits in addition, and what was not read is lost.
type Inbox struct {
	Messages int // zero means 1024, negative no limit

	// Bytes counts the memory that is kept: of a message that came compressed the
	// larger of what came and what it became, and at least 256 bytes of each. Zero
	// means 4 MiB, negative no limit. A larger message is taken alone. At most 64 KiB
	// and one message are decompressed before there is capacity for them.
	Bytes int

	// Reuse lets messages share memory: Message.Data and Notification.Raw are
	// overwritten after the callbacks of that message have returned, so a callback
	// that keeps them must copy them. Receiving then allocates nothing per message.
	// Iterators still get copies, and the strings of a Notification are copies.
	Reuse bool
}

const (
	defaultReadLimit    = 1 << 20
	defaultDialTimeout  = 10 * time.Second
	defaultWriteTimeout = 10 * time.Second
	defaultMaxFrame     = 1 << 20
	defaultCloseTimeout = 5 * time.Second
	defaultInterval     = 6 * time.Second
	defaultPongTimeout  = 6 * time.Second
	defaultReconnect    = 10 * time.Second
	defaultReconnects   = 6
	defaultMessages     = 1024
	defaultBytes        = 4 << 20
	defaultConfirm      = 30 * time.Second
	defaultSlow         = 10 * time.Second
	defaultSaveEvery    = time.Second

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
	setDefault(&cfg.CompressionWindow, extension.MaxWindow)
	setDefault(&cfg.SlowCallback, defaultSlow)
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
	setDefault(&cfg.MaxFrame, defaultMaxFrame)

	setDefault(&cfg.Inbox.Messages, defaultMessages)
	setDefault(&cfg.Inbox.Bytes, defaultBytes)
	setDefault(&cfg.Outbox.Messages, defaultMessages)
	setDefault(&cfg.Outbox.Bytes, defaultBytes)
	setDefault(&cfg.Outbox.ConfirmTimeout, defaultConfirm)

	setDefault(&cfg.Resume.SaveEvery, defaultSaveEvery)
	setDefault(&cfg.Subscriptions.Batch, 1)
	setDefault(&cfg.Subscriptions.ConfirmTimeout, defaultConfirm)
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
		bad("Compression: %d is none of the CompressionMode constants", int(cfg.Compression))
	}
	if w := cfg.CompressionWindow; w < 9 || w > extension.MaxWindow {
		bad("CompressionWindow: %d is not a number of bits from 9 to 15", w)
	}
	if cfg.StableAfter < 0 {
		bad("StableAfter: %v is negative; 0 resets the counter on Open", cfg.StableAfter)
	}
	if o := cfg.Outbox.Overflow; o != RejectNew && o != DropOldest {
		bad("Outbox.Overflow: %d is neither RejectNew nor DropOldest", int(o))
	}
	if err := cfg.Subscriptions.validate(); err != nil {
		bad("Subscriptions.%w", err)
	}
	if err := cfg.Resume.validate(); err != nil {
		bad("Resume.%w", err)
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

// CompressionMode is a mode of permessage-deflate, RFC 7692.
type CompressionMode int

const (
	// CompressionDisabled offers no compression.
	CompressionDisabled CompressionMode = iota
	// CompressionContextTakeover keeps a window for each direction of a connection,
	// so that a message costs little that resembles those before it.
	CompressionContextTakeover
	// CompressionNoContextTakeover compresses each message by itself, and keeps no
	// memory for an idle connection.
	CompressionNoContextTakeover
)

// String returns "disabled", "context-takeover" or "no-context-takeover".
func (m CompressionMode) String() string {
	return name(int(m), "CompressionMode", "disabled", "context-takeover", "no-context-takeover")
}
