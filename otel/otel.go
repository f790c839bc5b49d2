// Package wsnotifyotel shows a wsnotify.Client to OpenTelemetry:
//
//	client := wsnotify.New(cfg)
//	registration, err := wsnotifyotel.Observe("mail", client)
//
// Every metric has the attribute wsnotify.client.name. Heartbeats do not count
// as messages. Counters begin at 0 with wsnotify.New and go on over every Connect
// and Run.
//
//	wsnotify.connection.state          {client}      1 for the ready state that the client is in, 0 for the others:
//	                                                 wsnotify.connection.state = connecting, open, closing, closed
//	wsnotify.gave_up                   {client}      1 once the policy has ended the last Connect or Run
//	wsnotify.connections               {connection}  connections that were opened
//	wsnotify.failures                  {failure}     attempts that failed, and connections that ended other than by Disconnect,
//	                                                 CloseWith, Drain and ctx, by wsnotify.failure.cause
//	wsnotify.reconnects                {reconnect}   those of them for which a reconnect was scheduled, by wsnotify.failure.cause
//	wsnotify.reconnect.attempts        {attempt}     reconnects in a row, since the counter was last reset
//	wsnotify.connection.round_trip     s             of the last ping that was answered; only while open
//	wsnotify.connection.silence        s             since the last byte of the server; only while open
//	wsnotify.messages                  {message}     messages, by network.io.direction = receive, transmit
//	wsnotify.io                        By            their payload, by network.io.direction
//	wsnotify.outbox.messages           {message}     messages in the outbox
//	wsnotify.outbox.unconfirmed        {message}     those of them that were written and wait for their confirmation
//	wsnotify.messages.resent           {message}     messages that were written again over a later connection
//	wsnotify.undelivered               {message}     messages of the outbox that were not sent, by
//	                                                 wsnotify.undelivered.reason = closed, expired, outbox_full, unconfirmed
//	wsnotify.inbox.messages            {message}     received messages whose callbacks have not all returned
//	wsnotify.inbox.size                By            their bytes, as Inbox.Bytes counts them
//	wsnotify.callback.running          s             how long the callback has run that runs now; 0 if none does
//	wsnotify.unhandled                 {notification} notifications that no callback, handler or iterator took
//	wsnotify.subscriptions.wanted      {key}         keys that are to be subscribed
//	wsnotify.subscriptions.active      {key}         those of them that are
//	wsnotify.subscriptions.refused     {key}         those of them that the server has refused
//	wsnotify.duplicates                {message}     received messages that Config.Resume has dropped
//	wsnotify.gaps                      {gap}         gaps that Config.Resume has seen between received messages
//	wsnotify.limited                   {client}      1 while messages wait for the Outbox.Limiter
//
// The causes are: hook (BeforeDial or OnHandshake failed), dial (no
// response came), refused (the handshake was answered with something else),
// lost (the connection broke without a close frame, or a write or a confirmation
// took too long), heartbeat (it was silent for too long), closed (the server sent
// a close frame), violation (the server broke the protocol) and requested
// (Reconnect was called).
//
// # Many clients
//
// No instrument has more than 8 attribute sets for each client. The SDK limits an
// instrument to 2000 by default, and adds up what is beyond that under the
// attribute otel.metric.overflow, so a MeterProvider takes 249 clients as it is.
// For a thousand, either raise its limit, 8 for each client and 1 more:
//
//	metric.NewMeterProvider(metric.WithReader(reader), metric.WithCardinalityLimit(8*1000+1))
//
// or have it add all clients up, which leaves 8 attribute sets altogether. Of the
// gauges, round_trip, silence and callback.running, it then shows any one client:
//
//	metric.NewMeterProvider(metric.WithReader(reader), metric.WithView(metric.NewView(
//		metric.Instrument{Name: "wsnotify.*"},
//		metric.Stream{AttributeFilter: attribute.NewDenyKeysFilter("wsnotify.client.name")})))
//
// # Spans
//
// There are no spans: a connection that lasts for weeks is not an operation
// that begins and ends.
package wsnotifyotel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/observe"
)

const scope = "github.com/wsnotify/wsnotify/otel"

// Option changes what Observe does.
type Option func(*options)

type options struct {
	provider metric.MeterProvider
}

// WithMeterProvider sets where the metrics go. Without it, and with nil, that
// is the global MeterProvider.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return func(o *options) { o.provider = provider }
}

// Observe registers metrics of the client. The name tells clients apart that
// share a MeterProvider; no two may have the same. A client may be observed by
// several MeterProviders, and have metrics of other kinds, too.
//
// No goroutine is started: when metrics are collected, the client's Status is
// read, which does not block. Unregister the Registration when the client is
// no longer used; until then the MeterProvider keeps it. The error is that of
// the MeterProvider, or says that client is nil.
func Observe(name string, client *wsnotify.Client, opts ...Option) (metric.Registration, error) {
	if client == nil {
		return nil, errors.New("wsnotifyotel: Observe: the client is nil; make it with wsnotify.New")
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if o.provider == nil {
		o.provider = otel.GetMeterProvider()
	}
	registration, err := new(instruments).register(o.provider.Meter(scope), client, attribute.String("wsnotify.client.name", name))
	if err != nil {
		return nil, fmt.Errorf("wsnotifyotel: %w", err)
	}
	return registration, nil
}

// instruments are those of one client.
type instruments struct {
	state, gaveUp, attempts, queued, unconfirmed                         metric.Int64ObservableUpDownCounter
	connections, failures, reconnects, messages, resent, io, undelivered metric.Int64ObservableCounter
	roundTrip, silence, callback                                         metric.Float64ObservableGauge
	inboxMessages, inboxSize                                             metric.Int64ObservableUpDownCounter
	wanted, active, refused, limited                                     metric.Int64ObservableUpDownCounter
	unhandled, duplicates, gaps                                          metric.Int64ObservableCounter
}

func (in *instruments) register(meter metric.Meter, client *wsnotify.Client, name attribute.KeyValue) (metric.Registration, error) {
	var failed error
	var all []metric.Observable
	current := func(to *metric.Int64ObservableUpDownCounter, name, unit, description string) {
		i, err := meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		*to, all, failed = i, append(all, i), cmp.Or(failed, err)
	}
	total := func(to *metric.Int64ObservableCounter, name, unit, description string) {
		i, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		*to, all, failed = i, append(all, i), cmp.Or(failed, err)
	}
	gauge := func(to *metric.Float64ObservableGauge, name, unit, description string) {
		i, err := meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
		*to, all, failed = i, append(all, i), cmp.Or(failed, err)
	}
	current(&in.state, "wsnotify.connection.state", "{client}", "1 for the ready state that the client is in.")
	current(&in.gaveUp, "wsnotify.gave_up", "{client}", "1 once the reconnect policy has given up.")
	current(&in.attempts, "wsnotify.reconnect.attempts", "{attempt}", "Reconnects in a row.")
	current(&in.queued, "wsnotify.outbox.messages", "{message}", "Messages in the outbox.")
	current(&in.unconfirmed, "wsnotify.outbox.unconfirmed", "{message}", "Messages in the outbox that were written and wait for their confirmation.")
	total(&in.connections, "wsnotify.connections", "{connection}", "Connections that were opened.")
	total(&in.failures, "wsnotify.failures", "{failure}", "Attempts that failed and connections that were lost, by cause.")
	total(&in.reconnects, "wsnotify.reconnects", "{reconnect}", "Reconnects that were scheduled, by what made them necessary.")
	total(&in.messages, "wsnotify.messages", "{message}", "Messages, heartbeats not counted.")
	total(&in.resent, "wsnotify.messages.resent", "{message}", "Messages that were written again over a later connection.")
	total(&in.io, "wsnotify.io", "By", "Payload of the messages.")
	total(&in.undelivered, "wsnotify.undelivered", "{message}", "Messages of the outbox that were not sent.")
	gauge(&in.roundTrip, "wsnotify.connection.round_trip", "s", "Round-trip time of the last ping that was answered.")
	gauge(&in.silence, "wsnotify.connection.silence", "s", "Time since the last byte of the server.")
	current(&in.inboxMessages, "wsnotify.inbox.messages", "{message}", "Received messages whose callbacks have not all returned.")
	current(&in.inboxSize, "wsnotify.inbox.size", "By", "Bytes of the messages in the inbox.")
	gauge(&in.callback, "wsnotify.callback.running", "s", "How long the callback has run that runs now; 0 if none does.")
	total(&in.unhandled, "wsnotify.unhandled", "{notification}", "Notifications that no callback, handler or iterator took.")
	current(&in.wanted, "wsnotify.subscriptions.wanted", "{key}", "Keys that are to be subscribed.")
	current(&in.active, "wsnotify.subscriptions.active", "{key}", "Wanted keys that are subscribed.")
	current(&in.refused, "wsnotify.subscriptions.refused", "{key}", "Wanted keys that the server has refused.")
	total(&in.duplicates, "wsnotify.duplicates", "{message}", "Received messages that were dropped as duplicates.")
	total(&in.gaps, "wsnotify.gaps", "{gap}", "Gaps between received messages.")
	current(&in.limited, "wsnotify.limited", "{client}", "1 while messages wait for the limiter of the outbox.")
	if failed != nil {
		return nil, failed
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		in.observe(o, client.Status(), name)
		return nil
	}, all...)
}

func (in *instruments) observe(o metric.Observer, s wsnotify.Status, name attribute.KeyValue) {
	with := func(attrs ...attribute.KeyValue) metric.ObserveOption {
		return metric.WithAttributes(append(attrs, name)...)
	}
	for state, value := range observe.States {
		o.ObserveInt64(in.state, truth(s.ReadyState == state), with(attribute.String("wsnotify.connection.state", value)))
	}
	o.ObserveInt64(in.gaveUp, truth(s.GaveUp), with())
	o.ObserveInt64(in.attempts, int64(s.ReconnectAttempts), with())
	o.ObserveInt64(in.queued, int64(s.Queued), with())
	o.ObserveInt64(in.unconfirmed, int64(s.Unconfirmed), with())

	o.ObserveInt64(in.connections, int64(s.Connections), with())
	for cause, n := range observe.Causes(s.Failures) {
		o.ObserveInt64(in.failures, int64(n), with(attribute.String("wsnotify.failure.cause", cause)))
	}
	for cause, n := range observe.Causes(s.FailuresRetried) {
		o.ObserveInt64(in.reconnects, int64(n), with(attribute.String("wsnotify.failure.cause", cause)))
	}
	receive, transmit := attribute.String("network.io.direction", "receive"), attribute.String("network.io.direction", "transmit")
	o.ObserveInt64(in.messages, int64(s.MessagesIn), with(receive))
	o.ObserveInt64(in.messages, int64(s.MessagesOut), with(transmit))
	o.ObserveInt64(in.resent, int64(s.Resent), with())
	o.ObserveInt64(in.io, int64(s.BytesIn), with(receive))
	o.ObserveInt64(in.io, int64(s.BytesOut), with(transmit))
	for reason, n := range observe.Reasons(s.UndeliveredBy) {
		o.ObserveInt64(in.undelivered, int64(n), with(attribute.String("wsnotify.undelivered.reason", reason)))
	}
	o.ObserveInt64(in.inboxMessages, int64(s.InboxQueued), with())
	o.ObserveInt64(in.inboxSize, int64(s.InboxBytes), with())
	running := 0.0
	if !s.CallbackSince.IsZero() {
		running = time.Since(s.CallbackSince).Seconds()
	}
	o.ObserveFloat64(in.callback, running, with())
	o.ObserveInt64(in.unhandled, int64(s.Unhandled), with())
	o.ObserveInt64(in.wanted, int64(s.Subscriptions.Wanted), with())
	o.ObserveInt64(in.active, int64(s.Subscriptions.Active), with())
	o.ObserveInt64(in.refused, int64(s.Subscriptions.Refused), with())
	o.ObserveInt64(in.duplicates, int64(s.Duplicates), with())
	o.ObserveInt64(in.gaps, int64(s.Gaps), with())
	o.ObserveInt64(in.limited, truth(s.Limited), with())

	if s.ReadyState != wsnotify.Open {
		return
	}
	if s.RTT > 0 {
		o.ObserveFloat64(in.roundTrip, s.RTT.Seconds(), with())
	}
	since := s.OpenSince // the handshake's response was heard then
	if s.LastReceived.After(since) {
		since = s.LastReceived
	}
	o.ObserveFloat64(in.silence, time.Since(since).Seconds(), with())
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
