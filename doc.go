// Package wsnotify is a WebSocket client that stays connected. It dials, sends
// heartbeats, notices dead connections, reconnects, and hands you messages and
// parsed notifications until you tell it to stop.
//
//	client := wsnotify.New(wsnotify.Config{
//		Logger:         slog.Default(),
//		OnNotification: func(n wsnotify.Notification) { fmt.Println(n.MsgType, n.Content) },
//	})
//	err := client.Run(ctx, "wss://example.com/ws/", "ada")
//
// The zero [Config] works: a text "ping" and a protocol ping every 6 s, a silent
// link dropped within 12 s, a reconnect every 10 s, at most 6 in a row. The
// defaults are those of a small browser store for notifications, without its
// bugs.
//
// # Starting and ending
//
// [Client.Connect] returns once the first connection is Open, or with the
// reason why there is none. After that the client keeps itself connected.
// [Client.Run] stays until everything is over; use it where a goroutine of yours
// owns the client. [Client.Disconnect] and [Client.CloseWith] end either one, from
// anywhere, whatever the client is doing, and no reconnect follows them.
// [Client.Drain], and Config.DrainTimeout for the ctx of Run, first let callbacks
// finish and what they send leave, as a service wants on SIGTERM. If messages were
// lost at the end, Run and Drain return a [DrainError]. When the channel of
// [Client.Done] is closed, the last callback has returned, and no goroutine, timer
// or file of the client is left. Connect starts again, then or at any time before.
//
// # States
//
// [Client.ReadyState] is the state of the current socket, with the names and
// numbers of the WHATWG WebSocket interface: Connecting during an attempt, Open,
// Closing from Disconnect until it is done, and otherwise Closed, also while the
// client waits for its next attempt. [Client.Status] says the rest in one
// consistent snapshot: when the next attempt begins, what the last failure was,
// how long a ping took. Connections are numbered: the epoch of an event, a message
// or a notification is the number of its connection, 1 the first.
//
// # Callbacks
//
// The On… functions of a Config and the handlers of [On] and [Handle] run one
// after another, in the order of the events, on one goroutine of the client,
// without a lock.
// They may block, and they may call every method. Don't wait for Done in one: that
// blocks forever. Drain in one returns an error at once. A slow callback is not
// mistaken for a dead peer: messages wait in the bounded [Inbox], and then in the
// network. A panic in a callback is not recovered.
//
// The hooks BeforeDial, OnHandshake and ShouldReconnect run on a goroutine of
// their own, so that a slow one delays an attempt and nothing else.
//
// If you prefer a loop to callbacks, range over [Client.Notifications] or
// [Client.Messages].
//
// # What Send promises
//
// [Client.Send] returns nil when the operating system has taken the whole
// message. [ErrNotConnected] and [ErrClosed] mean that it was certainly not
// sent, [ErrInterrupted] that it may have been: the connection or ctx ended in
// the middle of it. ctx bounds the wait and never breaks the connection.
//
// Use [Client.Enqueue] when the message must survive a reconnect and you don't
// want to wait. It goes into the bounded [Outbox], and is either written, in
// order, or reported once to OnUndelivered. Neither Send nor Enqueue can know
// whether the peer has read what was written just before a link broke: only an
// answer from the peer can tell. With Outbox.ConfirmID a message stays in the
// outbox until you pass that answer to [Client.Confirm], and is redelivered over
// the next connection if it does not come. A [Store] keeps messages when the
// process ends.
//
// # Other message formats
//
// A notification is {"msgType": …, "content": …} unless Config.Envelope says
// otherwise: other fields, the whole message as content, or a function for
// messages that are not JSON objects. [On], [Handle], [Notification.Decode] and the iterators
// follow it. [Client.Request] and [RequestJSON] send a request and wait for the
// message with its id. Each has exactly one outcome: the reply, an error that says
// that nothing was sent, or one that matches ErrUnconfirmed if the connection or
// ctx ended first.
//
// # Choosing a policy
//
// A policy is any [BackOff], as those of github.com/cenkalti/backoff are. The default
// suits a command line: it gives up after a minute. A service should use
// [Exponential] without a limit. Its waits are random, so that clients that lost the
// same server don't come back together. [FailFast] as ShouldReconnect stops on what
// retrying won't fix, such as 404 or a certificate that can't be verified.
// [RetryOnce] allows one more attempt with a fresh token. Set StableAfter, or a
// server that accepts and drops at once is dialled forever. A Retry-After in a
// refusal is honoured with every policy.
//
// # Tokens
//
// BeforeDial runs before every attempt and may change its URL and headers, so
// a token is never older than the attempt. It sees how the last one ended: on a
// [Failure] with HTTPStatus 401, get a new token. Secrets in the userinfo or the
// query of a URL are not shown in errors and logs.
//
// # Proxies and timeouts
//
// Config.HTTPClient sets proxies, TLS, cookies and dialers; nil uses HTTP_PROXY
// and the other variables. Proxies cut idle connections, nginx after 60 s by
// default: the heartbeat keeps them open. Each wait has its own limit: DialTimeout
// for an attempt with its hooks, WriteTimeout for a write to a peer that does not
// read, CloseTimeout for the end, and the Heartbeat's Interval and Timeout for
// silence.
//
// # Testing
//
// Package wsnotifytest has a mock server and a network in memory. Inside a bubble
// of testing/synctest the whole client runs in virtual time: reconnects of ten
// seconds and heartbeats of six take microseconds, and come at exact times.
package wsnotify
