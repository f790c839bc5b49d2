// Package wsnotify is a WebSocket client that stays connected. It dials, sends
// heartbeats, notices dead connections, reconnects, and hands over what comes
// as messages and parsed notifications, until it is told to stop.
//
//	client := wsnotify.New(wsnotify.Config{
//		OnNotification: func(n wsnotify.Notification) { fmt.Println(n.MsgType, n.Content) },
//	})
//	err := client.Run(ctx, "wss://example.com/ws/", "ada")
//
// The zero [Config] is a policy that works: a text "ping" and a protocol ping
// every 6 s, a link that has gone silent dropped within 12 s, a reconnect every
// 10 s, at most 6 in a row. It is that of a small browser store for
// notifications, whose behaviour this package mirrors and whose faults it has
// not.
//
// # Starting and ending
//
// [Client.Connect] returns once the first connection is Open, or with the
// reason why there is none. After that the client goes on by itself.
// [Client.Run] stays until all is over; use it where a goroutine of yours owns
// the client. [Client.Disconnect] and [Client.Close] end either, from anywhere,
// whatever the client is doing, and are never followed by a reconnect.
// [Client.Drain], and Config.DrainTimeout for the ctx of Run, let callbacks finish
// and what they send leave before that, as a service wants on SIGTERM. When
// the channel of [Client.Done] is closed the last callback has returned, and
// no goroutine, timer or file of the client is left. Then, or at any time
// before, Connect starts afresh.
//
// # States
//
// [Client.ReadyState] is that of the current socket, with the names and numbers
// of the WHATWG WebSocket interface: Connecting while an attempt is under way,
// Open, Closing from Disconnect until it is done, and otherwise Closed, also
// while the client waits for its next attempt. [Client.Status] tells the rest
// in one consistent snapshot: when the next attempt is due, what the last
// failure was, how long a ping took. Connections are numbered: the epoch of an
// event, a message or a notification is the number of its connection, 1 the
// first.
//
// # Callbacks
//
// The On… functions of a Config and the handlers of [On] run one after another,
// in the order of the events, on one goroutine of the client, without a lock.
// They may block and may call every method; only waiting for Done in one blocks
// for ever, and Drain until its ctx ends. A slow one is not mistaken for a dead peer: what comes meanwhile
// waits in the bounded [Inbox], and then in the network. A callback that panics
// ends the program, as its author would expect.
//
// The hooks BeforeDial, OnHandshake and ShouldReconnect run on a goroutine of
// their own, so that a slow one delays an attempt and nothing else.
//
// Those who would rather pull range over [Client.Notifications] or
// [Client.Messages].
//
// # What Send promises
//
// [Client.Send] returns nil when the operating system has taken the whole
// message. [ErrNotConnected] and [ErrClosed] mean that it was certainly not
// sent, [ErrUnconfirmed] that it may have been: the connection or ctx ended in
// the middle of it. ctx bounds the wait and never breaks the connection.
//
// [Client.Enqueue] is for those who would rather not wait or lose. The message
// goes into the bounded [Outbox], survives reconnects, and is either written,
// in order, or reported once to OnUndelivered. Neither can know whether the
// peer has read what was written just before a link broke: only an answer of
// the peer can tell. With Outbox.ConfirmID a message stays in the outbox until
// that answer is given to [Client.Confirm], and is sent again over the next
// connection if it does not come. A [Store] keeps it over the end of the
// process.
//
// # Protocols of their own
//
// A notification is {"msgType": …, "content": …} unless Config.Envelope says
// otherwise: other fields, the whole message as content, or a function for what is
// no JSON object. [On], [Notification.Decode] and the iterators go by it.
// [Client.Request] and [RequestJSON] send a question and wait for the message
// with its id. Each has exactly one outcome: the answer, an error that says that
// nothing was sent, or ErrUnconfirmed when the connection or ctx ended first.
//
// # Choosing a policy
//
// A policy is any backoff.BackOff of github.com/cenkalti/backoff/v4. For a
// command line the default will do: it gives up after a minute. A service
// wants [Exponential] without a limit, whose jitter keeps clients that lost the
// same server from coming back together. [FailFast] as ShouldReconnect stops on
// what waiting can't cure, such as 404 or a certificate that can't be verified.
// StableAfter keeps a server that accepts and drops at once from being dialled
// for ever. [RetryOnce] allows a fresh token one more attempt. A Retry-After of a refusal is honoured with every policy.
//
// # Tokens
//
// BeforeDial runs before every attempt and may change its URL and headers, so
// a token is never older than the attempt. It sees how the last one ended: a
// [Failure] with HTTPStatus 401 is the moment to get a new one. Secrets in the
// userinfo or the query of a URL are not shown in errors and logs.
//
// # Proxies and timeouts
//
// Config.HTTPClient brings proxies, TLS, cookies and dialers; nil obeys
// HTTP_PROXY and its like. Proxies cut connections on which nothing happens,
// after 60 s by default with nginx: the heartbeat keeps them. Each wait has a
// bound of its own: DialTimeout for an attempt with its hooks, WriteTimeout for
// a write to a peer that does not read, CloseTimeout for an end, and the
// Heartbeat's Interval and Timeout for silence.
//
// # Testing
//
// Package wsnotifytest has a server that behaves as it is told to, and a network
// in memory. Inside a bubble of testing/synctest the whole client runs in
// virtual time: reconnects of ten seconds and heartbeats of six take
// microseconds, and come at exact times.
package wsnotify
