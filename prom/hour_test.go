package wsnotifyprom_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/wsnotify/wsnotify"
	wsnotifyprom "github.com/wsnotify/wsnotify/prom"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// An hour of three clients of one service, in virtual time, in which each
// panel of the dashboard gets something to show:
//
//	mail    its server restarts at :20 and is busy for a while after that;
//	        a callback blocks at :12, and callbacks are slow from :40 to :43;
//	        at :35 the server sends a type that nobody handles; at :52 it no
//	        longer takes the token, and the client gives up
//	orders  its server confirms nothing for a moment at :08, is cut off from
//	        :24 to :26, and restarts in a rush at :32; at :25 there is no token
//	        for the next attempts; from :44 to :49 the line is slow
//	prices  subscribes at the pace that its server allows; is dropped at :17,
//	        cut off at :29, gets an invalid frame at :47 and is told to
//	        reconnect at :56; some prices come twice at :30, and some are
//	        missing at :33 and :37
//
// The hour begins at 09:00 on the day that every bubble begins.
const (
	scrapeInterval = 15 * time.Second
	hourLength     = time.Hour
)

// hour is what the clients of an hour share.
type hour struct {
	ctx      context.Context
	start    time.Time
	net      *wsnotifytest.Network
	registry prometheus.Registerer
	running  sync.WaitGroup
	clients  []*wsnotify.Client
}

// anHour returns what Prometheus would have scraped, as OpenMetrics with
// timestamps, when the hour began, and the Status of each client at its end.
func anHour(t *testing.T) (metrics []byte, start time.Time, ends []wsnotify.Status) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(9 * time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		registry := prometheus.NewPedanticRegistry()
		h := &hour{
			ctx:   ctx,
			start: time.Now(),
			net:   wsnotifytest.NewNetwork(t),
			// The labels that Prometheus adds to what it scrapes.
			registry: prometheus.WrapRegistererWith(prometheus.Labels{"job": "shop", "instance": "app:80"}, registry),
		}
		h.mail(t)
		h.orders(t)
		h.prices(t)

		scraped := map[string]*dto.MetricFamily{}
		for {
			synctest.Wait()
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now().UnixMilli()
			for _, f := range families {
				for _, m := range f.Metric {
					m.TimestampMs = &now
				}
				if all := scraped[f.GetName()]; all != nil {
					all.Metric = append(all.Metric, f.Metric...)
				} else {
					scraped[f.GetName()] = f
				}
			}
			if time.Since(h.start) >= hourLength {
				break
			}
			time.Sleep(scrapeInterval)
		}
		for _, c := range h.clients {
			ends = append(ends, c.Status())
		}
		metrics, start = openMetrics(t, scraped), h.start

		cancel()
		h.running.Wait()
		for _, c := range h.clients {
			c.Close()
			<-c.Done()
		}
	})
	return metrics, start, ends
}

// openMetrics writes families with all samples of a series together, as the
// format wants it.
func openMetrics(t *testing.T, families map[string]*dto.MetricFamily) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, f := range families {
		samples := map[string][]*dto.Metric{} // by series
		for _, m := range f.Metric {
			key := fmt.Sprint(m.Label)
			samples[key] = append(samples[key], m)
		}
		f.Metric = slices.Concat(slices.Collect(maps.Values(samples))...)
		if _, err := expfmt.MetricFamilyToOpenMetrics(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := expfmt.FinalizeOpenMetrics(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// client makes one that is scraped as name, and connects it a second after
// the first scrape.
func (h *hour) client(name string, srv *wsnotifytest.Server, cfg wsnotify.Config) *wsnotify.Client {
	cfg.HTTPClient = h.net.HTTPClient()
	cfg.BackOff = wsnotify.Exponential(2*time.Second, 15*time.Second, -1)
	cfg.StableAfter = 30 * time.Second
	cfg.DialTimeout = 20 * time.Second // longer than an interval: a scrape finds the client CONNECTING
	cfg.Heartbeat = wsnotify.Heartbeat{Interval: 30 * time.Second, Timeout: 30 * time.Second, NoText: true}
	c := wsnotify.New(cfg)
	h.registry.MustRegister(wsnotifyprom.NewCollector(name, c))
	h.clients = append(h.clients, c)
	h.at(1.0/60, func() { c.Connect(h.ctx, srv.URL(), "shop") })
	return c
}

// at runs f at a minute of the hour.
func (h *hour) at(minute float64, f func()) {
	h.running.Go(func() {
		select {
		case <-time.After(time.Until(h.start.Add(minutes(minute)))):
			f()
		case <-h.ctx.Done():
		}
	})
}

// every runs f again and again between two minutes of the hour.
func (h *hour) every(d time.Duration, from, to float64, f func()) {
	h.at(from, func() {
		for time.Since(h.start) < minutes(to) {
			f()
			select {
			case <-time.After(d):
			case <-h.ctx.Done():
				return
			}
		}
	})
}

func minutes(n float64) time.Duration {
	return time.Duration(math.Round(n * float64(time.Minute)))
}

// mail is a client that is notified and says which notifications it has seen.
func (h *hour) mail(t *testing.T) {
	srv := h.net.NewServer()
	srv.Latency(30 * time.Millisecond)
	client := h.client("mail", srv, wsnotify.Config{ShouldReconnect: wsnotify.FailFast})
	var took atomic.Int64 // what a callback takes
	took.Store(int64(50 * time.Millisecond))
	wsnotify.On(client, "mail", func(text string) {
		time.Sleep(time.Duration(took.Load()))
		client.EnqueueJSON(map[string]string{"seen": text[:8]})
	})
	wsnotify.On(client, "report", func(string) { time.Sleep(150 * time.Second) })

	// Nobody is there while the server is down.
	notify := func(msgType, text string) { srv.Notify("shop", msgType, text) }
	n := 0
	h.every(1500*time.Millisecond, 0.1, 60, func() {
		n++
		notify("mail", fmt.Sprintf("mail%04d %s", n, strings.Repeat("x", 100+n*37%200)))
	})
	h.at(12, func() { notify("report", "a long one") })
	h.at(20, func() {
		srv.Everybody().Close(1012, "restart")
		srv.Restart(75 * time.Second)
		srv.Refuse(4, http.StatusServiceUnavailable, nil, "starting")
	})
	h.every(2*time.Second, 35, 37.5, func() { notify("offer", "not for this version") })
	h.at(40, func() { took.Store(int64(3 * time.Second)) })
	h.at(43, func() { took.Store(int64(50 * time.Millisecond)) })
	h.at(52, func() {
		srv.Refuse(-1, http.StatusUnauthorized, nil, "the token has expired")
		srv.Restart(40 * time.Second)
	})
	h.at(52.5, func() {
		for i := range 5 {
			client.EnqueueJSON(map[string]int{"late": i})
		}
	})
}

// orders is a client whose messages are confirmed.
func (h *hour) orders(t *testing.T) {
	type order struct{ ID, Text string }
	srv := h.net.NewServer()
	var silent atomic.Bool
	srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
		var o order
		if err := json.Unmarshal(data, &o); err != nil {
			t.Error(err)
		} else if !silent.Load() {
			c.Notify("accepted", o.ID)
		}
	})
	var noToken atomic.Bool
	client := h.client("orders", srv, wsnotify.Config{
		BeforeDial: func(context.Context, *wsnotify.DialRequest) error {
			if noToken.Load() {
				return errors.New("no token: 502 Bad Gateway")
			}
			return nil
		},
		Outbox: wsnotify.Outbox{
			Messages: 50,
			Overflow: wsnotify.DropOldest,
			MaxAge:   time.Minute,
			ConfirmID: func(m wsnotify.Message) string {
				var o order
				if err := json.Unmarshal(m.Data, &o); err != nil {
					t.Error(err)
				}
				return o.ID
			},
		},
	})
	wsnotify.On(client, "accepted", func(id string) { client.Confirm(id) })

	var placed atomic.Int64 // by the usual orders and by the rush
	place := func() {
		client.EnqueueJSON(order{strconv.FormatInt(placed.Add(1), 10), strings.Repeat("x", 120)})
	}
	h.every(2*time.Second, 0.1, 60, place)
	minute := 0
	h.every(time.Minute, 0, 60, func() {
		latency := time.Duration(20+minute*7%11) * time.Millisecond
		if minute >= 44 && minute < 49 {
			latency *= 5
		}
		srv.Latency(latency)
		minute++
	})
	h.at(8, func() { silent.Store(true) })
	h.at(8.4, func() {
		// The next connection will redeliver what was not confirmed.
		silent.Store(false)
		srv.Everybody().Drop()
	})
	h.at(24, func() { srv.BlackHole(true) })
	// A dial that begins before :25:30 has failed when the line is back.
	h.at(25.5, func() { noToken.Store(true) })
	h.at(26, func() { srv.BlackHole(false) })
	h.at(26.5, func() { noToken.Store(false) })
	h.every(500*time.Millisecond, 32, 33, place)
	h.at(32, func() { srv.Restart(45 * time.Second) })
}

// prices is a client with subscriptions to numbered messages.
func (h *hour) prices(t *testing.T) {
	srv := h.net.NewServer()
	srv.Latency(8 * time.Millisecond)
	var sent sync.Mutex // also keeps the numbers in order
	var all []string
	price := func(c interface{ SendText(string) error }, n int) { c.SendText(all[n-1]) }
	srv.OnConn(func(c *wsnotifytest.Conn) {
		sent.Lock()
		defer sent.Unlock()
		if after, err := strconv.Atoi(c.Request().URL.Query().Get("after")); err == nil {
			for n := after + 1; n <= len(all); n++ {
				price(c, n)
			}
		}
	})
	srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
		switch op, key, _ := strings.Cut(string(data), " "); {
		case op != "subscribe":
		case strings.HasPrefix(key, "OLD"):
			c.Notify("refused", key)
		default:
			c.Notify("subscribed", key)
		}
	})
	message := func(op string, keys []string) (wsnotify.Message, error) {
		return wsnotify.Message{Data: []byte(op + " " + keys[0])}, nil
	}
	client := h.client("prices", srv, wsnotify.Config{
		Outbox: wsnotify.Outbox{Limiter: after(750 * time.Millisecond)},
		Resume: wsnotify.Resume{Position: wsnotify.PositionField("seq"), Query: "after", Order: wsnotify.PositionConsecutive},
		Subscriptions: wsnotify.Subscriptions{
			Subscribe: func(keys []string, _ func(string) string) (wsnotify.Message, error) {
				return message("subscribe", keys)
			},
			Unsubscribe: func(keys []string) (wsnotify.Message, error) { return message("unsubscribe", keys) },
			Confirm: func(m wsnotify.Message) ([]string, error) {
				var answer struct{ MsgType, Content string }
				switch json.Unmarshal(m.Data, &answer); answer.MsgType {
				case "subscribed":
					return []string{answer.Content}, nil
				case "refused":
					return []string{answer.Content}, errors.New("no longer traded")
				}
				return nil, nil
			},
		},
		OnNotification: func(wsnotify.Notification) {},
	})
	symbols := func(prefix string, n int) (keys []string) {
		for i := range n {
			keys = append(keys, fmt.Sprintf("%s%d", prefix, i))
		}
		return keys
	}
	client.Subscribe(append(symbols("EQ", 36), "OLD1", "OLD2")...)

	skip := 0
	h.every(500*time.Millisecond, 0.1, 60, func() {
		sent.Lock()
		defer sent.Unlock()
		for ; skip >= 0; skip-- {
			all = append(all, fmt.Sprintf(`{"msgType":"price","seq":%d,"content":{"key":"EQ%d","price":%d}}`, len(all)+1, len(all)%36, 100+len(all)*7%50))
		}
		skip = 0
		price(srv.Everybody(), len(all))
	})
	h.at(10, func() { client.Subscribe(symbols("FX", 12)...) })
	h.at(17, func() { srv.Everybody().Drop() })
	h.at(29, func() { srv.Everybody().BlackHole(true) })
	h.at(30.5, func() {
		sent.Lock()
		defer sent.Unlock()
		for n := len(all) - 11; n <= len(all); n++ {
			price(srv.Everybody(), n)
		}
	})
	for _, minute := range []float64{33, 33.2, 37} {
		h.at(minute, func() {
			sent.Lock()
			defer sent.Unlock()
			skip = 5
		})
	}
	h.at(38, func() { client.Unsubscribe(symbols("FX", 8)...) })
	h.at(47, func() {
		for _, c := range srv.LiveConns() {
			c.WriteFrame(true, 0x3, nil) // a reserved opcode: RFC 6455, section 5.2
		}
	})
	h.at(56, func() { client.Reconnect() })
}

// after is a Limiter that has each message wait for as long.
type after time.Duration

func (d after) Wait(ctx context.Context) error {
	select {
	case <-time.After(time.Duration(d)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
