// Package wsnotifyprom shows a wsnotify.Client to Prometheus:
//
//	client := wsnotify.New(cfg)
//	prometheus.MustRegister(wsnotifyprom.NewCollector("mail", client))
//
// Every metric has the label client, whose value is that name. Durations are
// in seconds, sizes in bytes of application payload; heartbeats do not count.
// Counters begin at 0 with wsnotify.New and go on over every Connect and Run.
//
//	wsnotify_connection_state{state}     1 for the ready state that the client is in, 0 for the others:
//	                                     connecting, open, closing, closed
//	wsnotify_gave_up                     1 once the policy has ended the last Connect or Run
//	wsnotify_connections_total           connections that were opened
//	wsnotify_failures_total{cause}       attempts that failed, and connections that ended other than by
//	                                     Disconnect, CloseWith, Drain and ctx
//	wsnotify_reconnects_total{cause}     those of them for which a reconnect was scheduled
//	wsnotify_reconnect_attempts          reconnects in a row, since the counter was last reset
//	wsnotify_round_trip_seconds          of the last ping that was answered; only while open
//	wsnotify_last_received_timestamp_seconds
//	                                     when the last byte came from the server; not before the first
//	wsnotify_messages_received_total     messages received
//	wsnotify_messages_sent_total         messages written
//	wsnotify_received_bytes_total        their payload
//	wsnotify_sent_bytes_total            their payload
//	wsnotify_outbox_messages             messages in the outbox
//	wsnotify_outbox_unconfirmed_messages those of them that were written and wait for their confirmation
//	wsnotify_messages_resent_total       messages that were written again over a later connection
//	wsnotify_undelivered_total{reason}   messages of the outbox that were not sent:
//	                                     closed, expired, outbox_full, unconfirmed
//	wsnotify_inbox_messages              received messages whose callbacks have not all returned
//	wsnotify_inbox_bytes                 their bytes, as Inbox.Bytes counts them
//	wsnotify_callback_running_seconds    how long the callback has run that runs now; 0 if none does
//	wsnotify_unhandled_total             notifications that no callback, handler or iterator took
//	wsnotify_subscriptions_wanted        keys that are to be subscribed
//	wsnotify_subscriptions_active        those of them that are
//	wsnotify_subscriptions_refused       those of them that the server has refused
//	wsnotify_duplicates_total            received messages that Config.Resume has dropped
//	wsnotify_gaps_total                  gaps that Config.Resume has seen between received messages
//	wsnotify_limited                     1 while messages wait for the Outbox.Limiter
//
// The causes are: hook (BeforeDial or OnHandshake failed), dial (no
// response came), refused (the handshake was answered with something else),
// lost (the connection broke without a close frame, or a write or a confirmation
// took too long), heartbeat (it was silent for too long), closed (the server sent
// a close frame), violation (the server broke the protocol) and requested
// (Reconnect was called).
//
// The file dashboard.json beside this package is a Grafana dashboard of them, and
// alerts.yml has alerts.
package wsnotifyprom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/observe"
)

// NewCollector returns a Collector of the client's metrics. The name tells
// clients apart that share a registry: registering a second Collector of the
// same name fails. A client may have several Collectors, and metrics of other
// kinds, too. NewCollector panics if client is nil.
func NewCollector(name string, client *wsnotify.Client) *Collector {
	if client == nil {
		panic("wsnotifyprom: NewCollector: the client is nil; make it with wsnotify.New")
	}
	c := &Collector{client: client}
	desc := func(metric, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("wsnotify_"+metric, help, labels, prometheus.Labels{"client": name})
	}
	c.state = desc("connection_state", "1 for the ready state that the client is in.", "state")
	c.gaveUp = desc("gave_up", "1 once the reconnect policy has given up.")
	c.connections = desc("connections_total", "Connections that were opened.")
	c.failures = desc("failures_total", "Attempts that failed and connections that were lost, by cause.", "cause")
	c.reconnects = desc("reconnects_total", "Reconnects that were scheduled, by what made them necessary.", "cause")
	c.attempts = desc("reconnect_attempts", "Reconnects in a row.")
	c.roundTrip = desc("round_trip_seconds", "Round-trip time of the last ping that was answered.")
	c.lastReceived = desc("last_received_timestamp_seconds", "When the last byte came from the server, in Unix time.")
	c.messagesIn = desc("messages_received_total", "Messages received, heartbeats not counted.")
	c.messagesOut = desc("messages_sent_total", "Messages written, heartbeats not counted.")
	c.bytesIn = desc("received_bytes_total", "Payload of the messages received.")
	c.bytesOut = desc("sent_bytes_total", "Payload of the messages written.")
	c.queued = desc("outbox_messages", "Messages in the outbox.")
	c.unconfirmed = desc("outbox_unconfirmed_messages", "Messages in the outbox that were written and wait for their confirmation.")
	c.resent = desc("messages_resent_total", "Messages that were written again over a later connection.")
	c.undelivered = desc("undelivered_total", "Messages of the outbox that were not sent.", "reason")
	c.inboxMessages = desc("inbox_messages", "Received messages whose callbacks have not all returned.")
	c.inboxBytes = desc("inbox_bytes", "Bytes of the messages in the inbox.")
	c.callback = desc("callback_running_seconds", "How long the callback has run that runs now; 0 if none does.")
	c.unhandled = desc("unhandled_total", "Notifications that no callback, handler or iterator took.")
	c.wanted = desc("subscriptions_wanted", "Keys that are to be subscribed.")
	c.active = desc("subscriptions_active", "Wanted keys that are subscribed.")
	c.refused = desc("subscriptions_refused", "Wanted keys that the server has refused.")
	c.duplicates = desc("duplicates_total", "Received messages that were dropped as duplicates.")
	c.gaps = desc("gaps_total", "Gaps between received messages.")
	c.limited = desc("limited", "1 while messages wait for the limiter of the outbox.")
	return c
}

// Collector is a prometheus.Collector of one client. It starts no goroutine
// and keeps no time series: a scrape reads the client's Status, which does
// not block. Unregister it when the client is no longer used; until then its
// registry keeps both.
type Collector struct {
	client *wsnotify.Client

	state, gaveUp                              *prometheus.Desc
	connections, failures, reconnects          *prometheus.Desc
	attempts                                   *prometheus.Desc
	roundTrip, lastReceived                    *prometheus.Desc
	messagesIn, messagesOut, bytesIn, bytesOut *prometheus.Desc
	queued, unconfirmed, resent, undelivered   *prometheus.Desc
	inboxMessages, inboxBytes                  *prometheus.Desc
	callback, unhandled                        *prometheus.Desc
	wanted, active, refused                    *prometheus.Desc
	duplicates, gaps, limited                  *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		c.state, c.gaveUp, c.connections, c.failures, c.reconnects, c.attempts, c.roundTrip, c.lastReceived,
		c.messagesIn, c.messagesOut, c.bytesIn, c.bytesOut, c.queued, c.unconfirmed, c.resent, c.undelivered,
		c.inboxMessages, c.inboxBytes, c.callback, c.unhandled,
		c.wanted, c.active, c.refused, c.duplicates, c.gaps, c.limited,
	} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	counter := func(desc *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), labels...)
	}
	s := c.client.Status()

	for state, name := range observe.States {
		gauge(c.state, truth(s.ReadyState == state), name)
	}
	gauge(c.gaveUp, truth(s.GaveUp))
	gauge(c.attempts, float64(s.ReconnectAttempts))
	gauge(c.queued, float64(s.Queued))
	gauge(c.unconfirmed, float64(s.Unconfirmed))
	gauge(c.wanted, float64(s.Subscriptions.Wanted))
	gauge(c.active, float64(s.Subscriptions.Active))
	gauge(c.refused, float64(s.Subscriptions.Refused))
	gauge(c.limited, truth(s.Limited))
	gauge(c.inboxMessages, float64(s.InboxQueued))
	gauge(c.inboxBytes, float64(s.InboxBytes))
	running := 0.0
	if !s.CallbackSince.IsZero() {
		running = time.Since(s.CallbackSince).Seconds()
	}
	gauge(c.callback, running)
	if s.ReadyState == wsnotify.Open && s.RTT > 0 {
		gauge(c.roundTrip, s.RTT.Seconds())
	}
	if !s.LastReceived.IsZero() {
		gauge(c.lastReceived, float64(s.LastReceived.UnixMilli())/1000)
	}

	counter(c.connections, s.Connections)
	for cause, n := range observe.Causes(s.Failures) {
		counter(c.failures, n, cause)
	}
	for cause, n := range observe.Causes(s.FailuresRetried) {
		counter(c.reconnects, n, cause)
	}
	counter(c.messagesIn, s.MessagesIn)
	counter(c.messagesOut, s.MessagesOut)
	counter(c.unhandled, s.Unhandled)
	counter(c.duplicates, s.Duplicates)
	counter(c.gaps, s.Gaps)
	counter(c.resent, s.Resent)
	counter(c.bytesIn, s.BytesIn)
	counter(c.bytesOut, s.BytesOut)
	for reason, n := range observe.Reasons(s.UndeliveredBy) {
		counter(c.undelivered, n, reason)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
