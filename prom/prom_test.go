package wsnotifyprom_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/observe/observetest"
	wsnotifyprom "github.com/wsnotify/wsnotify/prom"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// TestScrapes follows a client from its birth over a lost server to its end.
func TestScrapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		srv := net.NewServer()
		srv.Latency(10 * time.Millisecond)
		client := wsnotify.New(wsnotify.Config{HTTPClient: net.HTTPClient()})
		registry, observe := collecting()
		observe(client)

		scrape(t, registry, "before the first Connect", `
			# HELP wsnotify_callback_running_seconds How long the callback has run that runs now; 0 if none does.
			# TYPE wsnotify_callback_running_seconds gauge
			wsnotify_callback_running_seconds{client="mail"} 0
			# HELP wsnotify_connection_state 1 for the ready state that the client is in.
			# TYPE wsnotify_connection_state gauge
			wsnotify_connection_state{client="mail",state="closed"} 1
			wsnotify_connection_state{client="mail",state="closing"} 0
			wsnotify_connection_state{client="mail",state="connecting"} 0
			wsnotify_connection_state{client="mail",state="open"} 0
			# HELP wsnotify_connections_total Connections that were opened.
			# TYPE wsnotify_connections_total counter
			wsnotify_connections_total{client="mail"} 0
			# HELP wsnotify_failures_total Attempts that failed and connections that were lost, by cause.
			# TYPE wsnotify_failures_total counter
			wsnotify_failures_total{cause="closed",client="mail"} 0
			wsnotify_failures_total{cause="dial",client="mail"} 0
			wsnotify_failures_total{cause="heartbeat",client="mail"} 0
			wsnotify_failures_total{cause="hook",client="mail"} 0
			wsnotify_failures_total{cause="lost",client="mail"} 0
			wsnotify_failures_total{cause="refused",client="mail"} 0
			wsnotify_failures_total{cause="requested",client="mail"} 0
			wsnotify_failures_total{cause="violation",client="mail"} 0
			# HELP wsnotify_gave_up 1 once the reconnect policy has given up.
			# TYPE wsnotify_gave_up gauge
			wsnotify_gave_up{client="mail"} 0
			# HELP wsnotify_inbox_bytes Bytes of the messages in the inbox.
			# TYPE wsnotify_inbox_bytes gauge
			wsnotify_inbox_bytes{client="mail"} 0
			# HELP wsnotify_inbox_messages Received messages whose callbacks have not all returned.
			# TYPE wsnotify_inbox_messages gauge
			wsnotify_inbox_messages{client="mail"} 0
			# HELP wsnotify_messages_received_total Messages received, heartbeats not counted.
			# TYPE wsnotify_messages_received_total counter
			wsnotify_messages_received_total{client="mail"} 0
			# HELP wsnotify_messages_resent_total Messages that were written again over a later connection.
			# TYPE wsnotify_messages_resent_total counter
			wsnotify_messages_resent_total{client="mail"} 0
			# HELP wsnotify_messages_sent_total Messages written, heartbeats not counted.
			# TYPE wsnotify_messages_sent_total counter
			wsnotify_messages_sent_total{client="mail"} 0
			# HELP wsnotify_outbox_messages Messages in the outbox.
			# TYPE wsnotify_outbox_messages gauge
			wsnotify_outbox_messages{client="mail"} 0
			# HELP wsnotify_outbox_unconfirmed_messages Messages in the outbox that were written and wait for their confirmation.
			# TYPE wsnotify_outbox_unconfirmed_messages gauge
			wsnotify_outbox_unconfirmed_messages{client="mail"} 0
			# HELP wsnotify_received_bytes_total Payload of the messages received.
			# TYPE wsnotify_received_bytes_total counter
			wsnotify_received_bytes_total{client="mail"} 0
			# HELP wsnotify_reconnect_attempts Reconnects in a row.
			# TYPE wsnotify_reconnect_attempts gauge
			wsnotify_reconnect_attempts{client="mail"} 0
			# HELP wsnotify_reconnects_total Reconnects that were scheduled, by what made them necessary.
			# TYPE wsnotify_reconnects_total counter
			wsnotify_reconnects_total{cause="closed",client="mail"} 0
			wsnotify_reconnects_total{cause="dial",client="mail"} 0
			wsnotify_reconnects_total{cause="heartbeat",client="mail"} 0
			wsnotify_reconnects_total{cause="hook",client="mail"} 0
			wsnotify_reconnects_total{cause="lost",client="mail"} 0
			wsnotify_reconnects_total{cause="refused",client="mail"} 0
			wsnotify_reconnects_total{cause="requested",client="mail"} 0
			wsnotify_reconnects_total{cause="violation",client="mail"} 0
			# HELP wsnotify_sent_bytes_total Payload of the messages written.
			# TYPE wsnotify_sent_bytes_total counter
			wsnotify_sent_bytes_total{client="mail"} 0
			# HELP wsnotify_undelivered_total Messages of the outbox that were not sent.
			# TYPE wsnotify_undelivered_total counter
			wsnotify_undelivered_total{client="mail",reason="closed"} 0
			wsnotify_undelivered_total{client="mail",reason="expired"} 0
			wsnotify_undelivered_total{client="mail",reason="outbox_full"} 0
			wsnotify_undelivered_total{client="mail",reason="unconfirmed"} 0
			# HELP wsnotify_duplicates_total Received messages that were dropped as duplicates.
			# TYPE wsnotify_duplicates_total counter
			wsnotify_duplicates_total{client="mail"} 0
			# HELP wsnotify_gaps_total Gaps between received messages.
			# TYPE wsnotify_gaps_total counter
			wsnotify_gaps_total{client="mail"} 0
			# HELP wsnotify_limited 1 while messages wait for the limiter of the outbox.
			# TYPE wsnotify_limited gauge
			wsnotify_limited{client="mail"} 0
			# HELP wsnotify_subscriptions_wanted Keys that are to be subscribed.
			# TYPE wsnotify_subscriptions_wanted gauge
			wsnotify_subscriptions_wanted{client="mail"} 0
			# HELP wsnotify_subscriptions_active Wanted keys that are subscribed.
			# TYPE wsnotify_subscriptions_active gauge
			wsnotify_subscriptions_active{client="mail"} 0
			# HELP wsnotify_subscriptions_refused Wanted keys that the server has refused.
			# TYPE wsnotify_subscriptions_refused gauge
			wsnotify_subscriptions_refused{client="mail"} 0
			# HELP wsnotify_unhandled_total Notifications that no callback, handler or iterator took.
			# TYPE wsnotify_unhandled_total counter
			wsnotify_unhandled_total{client="mail"} 0
		`)

		observetest.Exchange(t, client, srv)
		wantValues(t, registry, "while open",
			`wsnotify_connection_state{client="mail",state="closed"} 0`,
			`wsnotify_connection_state{client="mail",state="open"} 1`,
			`wsnotify_connections_total{client="mail"} 1`,
			`wsnotify_last_received_timestamp_seconds{client="mail"} 9.4668480606e+08`, // the bubble begins at 946684800
			`wsnotify_messages_received_total{client="mail"} 1`,
			`wsnotify_messages_sent_total{client="mail"} 1`,
			`wsnotify_received_bytes_total{client="mail"} 3`,
			`wsnotify_round_trip_seconds{client="mail"} 0.02`,
			`wsnotify_sent_bytes_total{client="mail"} 4`,
		)

		srv.Stop()
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if err := client.Enqueue(wsnotify.MessageText, []byte("late")); err != nil {
			t.Fatal(err)
		}
		wantValues(t, registry, "while waiting",
			`wsnotify_connection_state{client="mail",state="closed"} 1`,
			`wsnotify_connection_state{client="mail",state="open"} 0`,
			`wsnotify_outbox_messages{client="mail"} 1`,
			`wsnotify_reconnect_attempts{client="mail"} 2`,
			`wsnotify_reconnects_total{cause="dial",client="mail"} 1`,
			`wsnotify_reconnects_total{cause="lost",client="mail"} 1`,
		)
		if n, err := testutil.GatherAndCount(registry, "wsnotify_round_trip_seconds"); err != nil || n != 0 {
			t.Errorf("a client that is not open has %d round-trip times, %v", n, err)
		}

		<-client.Done()
		wantValues(t, registry, "after giving up",
			`wsnotify_gave_up{client="mail"} 1`,
			`wsnotify_failures_total{cause="dial",client="mail"} 6`, // no reconnect followed the last
			`wsnotify_failures_total{cause="lost",client="mail"} 1`,
			`wsnotify_outbox_messages{client="mail"} 0`,
			`wsnotify_reconnects_total{cause="dial",client="mail"} 5`,
			`wsnotify_undelivered_total{client="mail",reason="closed"} 1`,
		)
	})
}

// Before the first pong there is no round-trip time, nor a callback that runs.
func TestNewConnectionHasNoRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		client := wsnotify.New(wsnotify.Config{HTTPClient: net.HTTPClient()})
		registry, observe := collecting()
		observe(client)
		observetest.Connect(t, client, net.NewServer())
		if n, err := testutil.GatherAndCount(registry, "wsnotify_round_trip_seconds"); err != nil || n != 0 {
			t.Errorf("%d round-trip times, %v", n, err)
		}
		wantValues(t, registry, "while open", `wsnotify_connection_state{client="mail",state="open"} 1`, `wsnotify_callback_running_seconds{client="mail"} 0`)
		client.Disconnect()
		<-client.Done()
	})
}

// TestConfirmationsAreShown follows a message that is sent twice and then
// confirmed.
func TestConfirmationsAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		srv := net.NewServer()
		client := wsnotify.New(wsnotify.Config{
			HTTPClient: net.HTTPClient(),
			Outbox:     wsnotify.Outbox{ConfirmID: func(wsnotify.Message) string { return "1" }},
		})
		registry, observe := collecting()
		observe(client)
		defer func() { client.Disconnect(); <-client.Done() }()
		observetest.Connect(t, client, srv)
		if err := client.Enqueue(wsnotify.MessageText, []byte("x")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		srv.DropAll()
		time.Sleep(11 * time.Second)
		wantValues(t, registry, "while unconfirmed",
			`wsnotify_outbox_messages{client="mail"} 1`,
			`wsnotify_outbox_unconfirmed_messages{client="mail"} 1`,
			`wsnotify_messages_resent_total{client="mail"} 1`,
			`wsnotify_messages_sent_total{client="mail"} 2`,
		)
		client.Confirm("1")
		wantValues(t, registry, "when it is confirmed",
			`wsnotify_outbox_messages{client="mail"} 0`,
			`wsnotify_outbox_unconfirmed_messages{client="mail"} 0`,
		)
	})
}

func TestNamesAndUnitsFollowPrometheus(t *testing.T) {
	metrics := wsnotifyprom.NewCollector("mail", wsnotify.New(wsnotify.Config{}))
	problems, err := testutil.CollectAndLint(metrics)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestClientsShareARegistryByName(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	client := wsnotify.New(wsnotify.Config{})
	mail, chat := wsnotifyprom.NewCollector("mail", client), wsnotifyprom.NewCollector("chat", wsnotify.New(wsnotify.Config{}))
	again := wsnotifyprom.NewCollector("mail", client)
	registry.MustRegister(mail, chat)
	if err := registry.Register(again); err == nil {
		t.Error("a second client of the same name was registered")
	}
	wantValues(t, registry, "of two clients",
		`wsnotify_connections_total{client="mail"} 0`, `wsnotify_connections_total{client="chat"} 0`)
	if !registry.Unregister(mail) {
		t.Error("the client can't be unregistered")
	}
	registry.MustRegister(again)
}

// A client that failed once and was not to try again has one failure and no
// reconnect.
func TestFailureThatNoReconnectFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		srv := net.NewServer()
		srv.Refuse(1, 404, nil, "")
		client := wsnotify.New(wsnotify.Config{HTTPClient: net.HTTPClient(), ShouldReconnect: wsnotify.FailFast})
		registry, observe := collecting()
		observe(client)
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err == nil {
			t.Fatal("it is connected")
		}
		wantValues(t, registry, "after a 404",
			`wsnotify_failures_total{cause="refused",client="mail"} 1`,
			`wsnotify_reconnects_total{cause="refused",client="mail"} 0`,
		)
	})
}

// collecting is a registry, and what attaches a client to it.
func collecting() (*prometheus.Registry, func(*wsnotify.Client)) {
	registry := prometheus.NewPedanticRegistry()
	return registry, func(c *wsnotify.Client) { registry.MustRegister(wsnotifyprom.NewCollector("mail", c)) }
}

// A callback that blocks is seen with what waits for it, and so is a type that
// nobody handles.
func TestInboxIsShown(t *testing.T) {
	registry, observe := collecting()
	observetest.Inbox(t, observe, func() {
		wantValues(t, registry, "while a callback blocks", `wsnotify_inbox_messages{client="mail"} 2`, `wsnotify_unhandled_total{client="mail"} 1`)
		for name, least := range map[string]float64{"wsnotify_inbox_bytes": 60, "wsnotify_callback_running_seconds": 29} {
			if v := value(t, registry, name); v < least {
				t.Errorf("%s is %v", name, v)
			}
		}
	}, func() {
		wantValues(t, registry, "after that", `wsnotify_inbox_messages{client="mail"} 0`, `wsnotify_inbox_bytes{client="mail"} 0`,
			`wsnotify_callback_running_seconds{client="mail"} 0`)
	})
}

func TestStreamsAreShown(t *testing.T) {
	registry, observe := collecting()
	observetest.Streams(t, observe, func() {
		wantValues(t, registry, "while the second waits", `wsnotify_limited{client="mail"} 1`,
			`wsnotify_subscriptions_wanted{client="mail"} 3`, `wsnotify_subscriptions_active{client="mail"} 1`)
	}, func() {
		wantValues(t, registry, "after that", `wsnotify_limited{client="mail"} 0`,
			`wsnotify_subscriptions_wanted{client="mail"} 3`, `wsnotify_subscriptions_active{client="mail"} 2`,
			`wsnotify_subscriptions_refused{client="mail"} 1`,
			`wsnotify_duplicates_total{client="mail"} 7`, `wsnotify_gaps_total{client="mail"} 1`)
	})
}

// value is that of a metric with one series.
func value(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Errorf("there is no %s", name)
	return 0
}

func TestNoClientPanics(t *testing.T) {
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "wsnotify.New") {
			t.Errorf("it panics with %q", text)
		}
	}()
	wsnotifyprom.NewCollector("mail", nil)
}

// scrape compares all of a registry.
func scrape(t *testing.T, registry *prometheus.Registry, when, want string) {
	t.Helper()
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Errorf("%s: %v", when, err)
	}
}
