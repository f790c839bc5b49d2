package wsnotifyotel_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/observe/observetest"
	wsnotifyotel "github.com/wsnotify/wsnotify/otel"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// TestCollects follows a client from its birth over a lost server to its end.
func TestCollects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		srv := net.NewServer()
		srv.Latency(10 * time.Millisecond)
		reader := sdk.NewManualReader()
		opened := 0
		cfg := wsnotify.Config{
			HTTPClient: net.HTTPClient(), OnOpen: func(wsnotify.OpenEvent) { opened++ },
			Outbox: wsnotify.Outbox{ConfirmID: func(m wsnotify.Message) string { return string(m.Data) }},
		}
		client := wsnotify.New(cfg)
		registration, err := wsnotifyotel.Observe("mail", client, provider(reader))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{
			"wsnotify.connection.state{client} wsnotify.client.name=mail wsnotify.connection.state=connecting": 0,
			"wsnotify.connection.state{client} wsnotify.client.name=mail wsnotify.connection.state=open":       0,
			"wsnotify.connection.state{client} wsnotify.client.name=mail wsnotify.connection.state=closing":    0,
			"wsnotify.connection.state{client} wsnotify.client.name=mail wsnotify.connection.state=closed":     1,
			"wsnotify.gave_up{client} wsnotify.client.name=mail":                                               0,
			"wsnotify.connections{connection} wsnotify.client.name=mail":                                       0,
			"wsnotify.reconnect.attempts{attempt} wsnotify.client.name=mail":                                   0,
			"wsnotify.messages{message} network.io.direction=receive wsnotify.client.name=mail":                0,
			"wsnotify.messages{message} network.io.direction=transmit wsnotify.client.name=mail":               0,
			"wsnotify.io[By] network.io.direction=receive wsnotify.client.name=mail":                           0,
			"wsnotify.io[By] network.io.direction=transmit wsnotify.client.name=mail":                          0,
			"wsnotify.outbox.messages{message} wsnotify.client.name=mail":                                      0,
			"wsnotify.outbox.unconfirmed{message} wsnotify.client.name=mail":                                   0,
			"wsnotify.messages.resent{message} wsnotify.client.name=mail":                                      0,
			"wsnotify.inbox.messages{message} wsnotify.client.name=mail":                                       0,
			"wsnotify.inbox.size[By] wsnotify.client.name=mail":                                                0,
			"wsnotify.callback.running[s] wsnotify.client.name=mail":                                           0,
			"wsnotify.unhandled{notification} wsnotify.client.name=mail":                                       0,
			"wsnotify.subscriptions.wanted{key} wsnotify.client.name=mail":                                     0,
			"wsnotify.subscriptions.active{key} wsnotify.client.name=mail":                                     0,
			"wsnotify.subscriptions.refused{key} wsnotify.client.name=mail":                                    0,
			"wsnotify.duplicates{message} wsnotify.client.name=mail":                                           0,
			"wsnotify.gaps{gap} wsnotify.client.name=mail":                                                     0,
			"wsnotify.limited{client} wsnotify.client.name=mail":                                               0,
		}
		for _, cause := range strings.Fields("hook dial refused lost heartbeat closed violation requested") {
			want["wsnotify.failures{failure} wsnotify.client.name=mail wsnotify.failure.cause="+cause] = 0
			want["wsnotify.reconnects{reconnect} wsnotify.client.name=mail wsnotify.failure.cause="+cause] = 0
		}
		for _, reason := range strings.Fields("closed expired outbox_full unconfirmed") {
			want["wsnotify.undelivered{message} wsnotify.client.name=mail wsnotify.undelivered.reason="+reason] = 0
		}
		collect := func(when string, changes map[string]float64) {
			t.Helper()
			synctest.Wait()
			maps.Copy(want, changes)
			got := collected(t, reader)
			for key, v := range want {
				if g, ok := got[key]; !ok || g != v {
					t.Errorf("%s: %s is %v (there: %t), and not %v", when, key, g, ok, v)
				}
			}
			for key, v := range got {
				if _, ok := want[key]; !ok {
					t.Errorf("%s: %s is there, as %v", when, key, v)
				}
			}
		}
		collect("before the first Connect", nil)

		observetest.Exchange(t, client, srv)
		collect("while open", map[string]float64{
			"wsnotify.connection.state{client} wsnotify.client.name=mail wsnotify.connection.state=open":   1,
			"wsnotify.connection.state{client} wsnotify.client.name=mail wsnotify.connection.state=closed": 0,
			"wsnotify.unhandled{notification} wsnotify.client.name=mail":                                   1,
			"wsnotify.connections{connection} wsnotify.client.name=mail":                                   1,
			"wsnotify.messages{message} network.io.direction=receive wsnotify.client.name=mail":            1,
			"wsnotify.messages{message} network.io.direction=transmit wsnotify.client.name=mail":           1,
			"wsnotify.io[By] network.io.direction=receive wsnotify.client.name=mail":                       3,
			"wsnotify.io[By] network.io.direction=transmit wsnotify.client.name=mail":                      4,
			"wsnotify.connection.round_trip[s] wsnotify.client.name=mail":                                  0.02,
			"wsnotify.connection.silence[s] wsnotify.client.name=mail":                                     3.98,
		})

		if err := client.Enqueue(wsnotify.MessageText, []byte("id")); err != nil {
			t.Fatal(err)
		}
		collect("while unconfirmed", map[string]float64{
			"wsnotify.messages{message} network.io.direction=transmit wsnotify.client.name=mail": 2,
			"wsnotify.io[By] network.io.direction=transmit wsnotify.client.name=mail":            6,
			"wsnotify.outbox.messages{message} wsnotify.client.name=mail":                        1,
			"wsnotify.outbox.unconfirmed{message} wsnotify.client.name=mail":                     1,
		})
		client.Confirm("id")
		want["wsnotify.outbox.messages{message} wsnotify.client.name=mail"] = 0
		want["wsnotify.outbox.unconfirmed{message} wsnotify.client.name=mail"] = 0

		srv.Stop()
		time.Sleep(12 * time.Second)
		if err := client.Enqueue(wsnotify.MessageText, []byte("late")); err != nil {
			t.Fatal(err)
		}
		delete(want, "wsnotify.connection.round_trip[s] wsnotify.client.name=mail")
		delete(want, "wsnotify.connection.silence[s] wsnotify.client.name=mail")
		collect("while waiting", map[string]float64{
			"wsnotify.connection.state{client} wsnotify.client.name=mail wsnotify.connection.state=open":   0,
			"wsnotify.connection.state{client} wsnotify.client.name=mail wsnotify.connection.state=closed": 1,
			"wsnotify.outbox.messages{message} wsnotify.client.name=mail":                                  1,
			"wsnotify.reconnect.attempts{attempt} wsnotify.client.name=mail":                               2,
			"wsnotify.failures{failure} wsnotify.client.name=mail wsnotify.failure.cause=dial":             1,
			"wsnotify.failures{failure} wsnotify.client.name=mail wsnotify.failure.cause=lost":             1,
			"wsnotify.reconnects{reconnect} wsnotify.client.name=mail wsnotify.failure.cause=dial":         1,
			"wsnotify.reconnects{reconnect} wsnotify.client.name=mail wsnotify.failure.cause=lost":         1,
		})

		<-client.Done()
		collect("after giving up", map[string]float64{
			"wsnotify.gave_up{client} wsnotify.client.name=mail":                                         1,
			"wsnotify.outbox.messages{message} wsnotify.client.name=mail":                                0,
			"wsnotify.reconnect.attempts{attempt} wsnotify.client.name=mail":                             6,
			"wsnotify.failures{failure} wsnotify.client.name=mail wsnotify.failure.cause=dial":           6, // no reconnect followed the last
			"wsnotify.reconnects{reconnect} wsnotify.client.name=mail wsnotify.failure.cause=dial":       5,
			"wsnotify.undelivered{message} wsnotify.client.name=mail wsnotify.undelivered.reason=closed": 1,
		})
		if opened != 1 {
			t.Errorf("OnOpen of the Config was called %d times", opened)
		}
		if err := registration.Unregister(); err != nil {
			t.Error(err)
		}
		if got := collected(t, reader); len(got) != 0 {
			t.Errorf("after Unregister there are still %v", got)
		}
	})
}

// A connection that is new is silent since it is open, whatever was heard in the handshake, and has no round trip yet.
func TestSilenceOfANewConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		client := wsnotify.New(wsnotify.Config{
			HTTPClient:  net.HTTPClient(),
			OnHandshake: func(context.Context, *wsnotify.Handshake) error { time.Sleep(3 * time.Second); return nil },
		})
		reader := sdk.NewManualReader()
		observing(t, reader)(client)
		observetest.Connect(t, client, net.NewServer())
		time.Sleep(time.Second)
		got := collected(t, reader)
		if v, ok := got["wsnotify.connection.silence[s] wsnotify.client.name=mail"]; !ok || v != 1 {
			t.Errorf("the silence is %v (there: %v)", v, ok)
		}
		if v, ok := got["wsnotify.connection.round_trip[s] wsnotify.client.name=mail"]; ok {
			t.Errorf("there is a round trip of %v", v)
		}
		client.Disconnect()
		<-client.Done()
	})
}

func TestClientsShareAProviderByName(t *testing.T) {
	reader := sdk.NewManualReader()
	with := provider(reader)
	for _, name := range []string{"mail", "chat"} {
		if _, err := wsnotifyotel.Observe(name, wsnotify.New(wsnotify.Config{}), with); err != nil {
			t.Fatal(err)
		}
	}
	got := collected(t, reader)
	for _, name := range []string{"mail", "chat"} {
		if _, ok := got["wsnotify.gave_up{client} wsnotify.client.name="+name]; !ok {
			t.Errorf("the client %s is missing in %v", name, got)
		}
	}
}

func TestGlobalProviderIsTheDefault(t *testing.T) {
	reader := sdk.NewManualReader()
	before := otel.GetMeterProvider()
	otel.SetMeterProvider(sdk.NewMeterProvider(sdk.WithReader(reader)))
	t.Cleanup(func() { otel.SetMeterProvider(before) })
	if _, err := wsnotifyotel.Observe("mail", wsnotify.New(wsnotify.Config{}), wsnotifyotel.WithMeterProvider(nil)); err != nil {
		t.Fatal(err)
	}
	if got := collected(t, reader); len(got) == 0 {
		t.Error("the global provider has no metrics")
	}
}

func TestErrorOfTheProviderIsReturned(t *testing.T) {
	broken := errors.New("no more instruments")
	registration, err := wsnotifyotel.Observe("mail", wsnotify.New(wsnotify.Config{}),
		wsnotifyotel.WithMeterProvider(brokenProvider{err: broken}))
	if registration != nil || !errors.Is(err, broken) {
		t.Errorf("Observe returned %v, %v", registration, err)
	}
	if err == nil || err.Error() != "wsnotifyotel: no more instruments" {
		t.Errorf("the error is %v", err)
	}
	if registration, err := wsnotifyotel.Observe("mail", nil); registration != nil || err == nil || !strings.Contains(err.Error(), "wsnotify.New") {
		t.Errorf("without a client Observe returned %v, %v", registration, err)
	}
}

// observing attaches reader to a client that it is given.
func observing(t *testing.T, reader sdk.Reader) func(*wsnotify.Client) {
	return func(c *wsnotify.Client) {
		if _, err := wsnotifyotel.Observe("mail", c, provider(reader)); err != nil {
			t.Fatal(err)
		}
	}
}

// A callback that blocks is seen with what waits for it, and so is a type that
// nobody handles.
func TestInboxIsObserved(t *testing.T) {
	reader := sdk.NewManualReader()
	observetest.Inbox(t, observing(t, reader), func() {
		got := collected(t, reader)
		for key, least := range map[string]float64{
			"wsnotify.inbox.messages{message} wsnotify.client.name=mail": 2, "wsnotify.inbox.size[By] wsnotify.client.name=mail": 60,
			"wsnotify.callback.running[s] wsnotify.client.name=mail": 29, "wsnotify.unhandled{notification} wsnotify.client.name=mail": 1,
		} {
			if got[key] < least {
				t.Errorf("%s is %v", key, got[key])
			}
		}
	}, func() {
		got := collected(t, reader)
		for _, name := range []string{"inbox.messages{message}", "inbox.size[By]", "callback.running[s]"} {
			if v := got["wsnotify."+name+" wsnotify.client.name=mail"]; v != 0 {
				t.Errorf("after that: %s is %v", name, v)
			}
		}
	})
}

// What the package says of many clients is so.
func TestAThousandClients(t *testing.T) {
	const clients = 1000
	filter := sdk.NewView(sdk.Instrument{Name: "wsnotify.*"},
		sdk.Stream{AttributeFilter: attribute.NewDenyKeysFilter("wsnotify.client.name")})
	for name, test := range map[string]struct {
		clients  int
		option   sdk.Option
		overflow bool
		closed   int // the sum over all clients that are shown by themselves
	}{
		"the SDK's default, few clients": {249, sdk.WithCardinalityLimit(2000), false, 249},
		"one more":                       {250, sdk.WithCardinalityLimit(2000), true, 250},
		"a limit for all":                {clients, sdk.WithCardinalityLimit(8*clients + 1), false, clients},
		"added up":                       {clients, sdk.WithView(filter), false, clients},
	} {
		t.Run(name, func(t *testing.T) {
			reader := sdk.NewManualReader()
			with := wsnotifyotel.WithMeterProvider(sdk.NewMeterProvider(sdk.WithReader(reader), test.option))
			for i := range test.clients {
				if _, err := wsnotifyotel.Observe(fmt.Sprint("client", i), wsnotify.New(wsnotify.Config{}), with); err != nil {
					t.Fatal(err)
				}
			}
			overflow, closed := false, 0
			for key, v := range collected(t, reader) {
				overflow = overflow || strings.Contains(key, "otel.metric.overflow")
				if strings.HasSuffix(key, "wsnotify.connection.state=closed") {
					closed += int(v)
				}
			}
			if overflow != test.overflow || closed != test.closed {
				t.Errorf("overflow: %v, and %d clients are shown as closed", overflow, closed)
			}
		})
	}
}

// One client has the metrics of two packages and its own callbacks.
func TestMetricsBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		opened := 0
		client := wsnotify.New(wsnotify.Config{HTTPClient: net.HTTPClient(), OnOpen: func(wsnotify.OpenEvent) { opened++ }})
		readers := []sdk.Reader{sdk.NewManualReader(), sdk.NewManualReader()}
		for _, reader := range readers {
			if _, err := wsnotifyotel.Observe("mail", client, provider(reader)); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.Connect(t.Context(), net.NewServer().URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		synctest.Wait()
		for i, reader := range readers {
			if n := collected(t, reader)["wsnotify.connections{connection} wsnotify.client.name=mail"]; n != 1 || opened != 1 {
				t.Errorf("reader %d shows %v connections, and OnOpen was called %d times", i, n, opened)
			}
		}
	})
}

type brokenProvider struct {
	noop.MeterProvider
	err error
}

func (p brokenProvider) Meter(string, ...metric.MeterOption) metric.Meter {
	return brokenMeter{err: p.err}
}

type brokenMeter struct {
	noop.Meter
	err error
}

func (m brokenMeter) Float64ObservableGauge(string, ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	return noop.Float64ObservableGauge{}, m.err
}

func provider(reader sdk.Reader) wsnotifyotel.Option {
	return wsnotifyotel.WithMeterProvider(sdk.NewMeterProvider(sdk.WithReader(reader)))
}

var word = regexp.MustCompile(`^[a-z]+(\.[a-z]+(_[a-z]+)*)+$`)

// collected returns each value under its metric's name, unit and attributes.
func collected(t *testing.T, reader sdk.Reader) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Description == "" || !word.MatchString(m.Name) {
				t.Errorf("%s is a wrong name, or has no description", m.Name)
			}
			unit := m.Unit
			if !strings.HasPrefix(unit, "{") {
				unit = "[" + unit + "]"
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					values[key(m.Name+unit, p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					values[key(m.Name+unit, p.Attributes)] = p.Value
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	return values
}

func key(name string, attributes attribute.Set) string {
	for _, a := range attributes.ToSlice() {
		name += fmt.Sprintf(" %s=%s", a.Key, a.Value.Emit())
	}
	return name
}

func TestStreamsAreObserved(t *testing.T) {
	reader := sdk.NewManualReader()
	check := func(when string, want map[string]float64) {
		t.Helper()
		got := collected(t, reader)
		for name, v := range want {
			if key := "wsnotify." + name + " wsnotify.client.name=mail"; got[key] != v {
				t.Errorf("%s: %s is %v, and not %v", when, key, got[key], v)
			}
		}
	}
	observetest.Streams(t, observing(t, reader), func() {
		check("while the second waits", map[string]float64{"limited{client}": 1,
			"subscriptions.wanted{key}": 3, "subscriptions.active{key}": 1, "subscriptions.refused{key}": 0})
	}, func() {
		check("after that", map[string]float64{"limited{client}": 0, "subscriptions.wanted{key}": 3, "subscriptions.active{key}": 2,
			"subscriptions.refused{key}": 1, "duplicates{message}": 7, "gaps{gap}": 1})
	})
}
