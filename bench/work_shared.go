package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/h2"
)

// shared has many clients connect over TLS, as streams of one HTTP/2 connection
// or with a connection each, and looks at what that takes; then all of them send,
// and at last one does whose neighbour is slow.
func shared(clients int, overHTTP2 bool) func(*measurement) (Result, error) {
	return func(m *measurement) (Result, error) {
		if limit := raiseFileLimit(); limit < uint64(clients)+100 {
			return Result{Skipped: fmt.Sprintf("only %d files may be open", limit)}, nil
		}
		if m.smokes() {
			clients = clients / 50
		}
		c, err := m.crowdOf(overHTTP2)
		if err != nil {
			return Result{}, err
		}
		// One client first: what is allocated once is not per client. Its connection
		// is not that of the others.
		first, err := c.open("/echo")
		if err != nil {
			return Result{}, err
		}
		first.Disconnect()
		c.end()
		if c, err = m.crowdOf(overHTTP2); err != nil {
			return Result{}, err
		}
		before := footprint()
		began, cpu := time.Now(), cpuTime()
		var all []*wsnotify.Client
		var mu sync.Mutex
		err = openMany(clients, func() (client, error) {
			one, err := c.open("/echo")
			mu.Lock()
			defer mu.Unlock()
			all = append(all, one)
			return nil, err
		})
		if err != nil {
			return Result{}, err
		}
		opened, busy := time.Since(began), cpuTime()-cpu
		each := float64(clients)
		r := Result{Back: float64(opened), CPU: float64(busy) / each, Connections: float64(c.dials.Load())}
		if !m.smokes() {
			time.Sleep(7 * time.Second) // each has sent a heartbeat
		}
		after := footprint()
		if err := m.heapProfile(); err != nil {
			return Result{}, err
		}
		r.Memory = (after.memory - before.memory) / each
		r.Resident = (after.resident - before.resident) / each
		if r.Rate, r.Messages, err = c.exchange(m, all); err != nil {
			return Result{}, err
		}
		if r.P50, err = c.roundTrip(m, all[0]); err != nil {
			return Result{}, err
		}
		free, err := c.slowNeighbour(m)
		if err != nil {
			return Result{}, err
		}
		defer free()
		r.P99, err = c.roundTrip(m, all[0])
		return r, err
	}
}

// crowdOfClients is what clients of one kind have in common.
type crowdOfClients struct {
	addr  string
	http  *http.Client
	end   func()
	dials atomic.Int64
	came  atomic.Int64 // messages of all
}

func (m *measurement) crowdOf(overHTTP2 bool) (*crowdOfClients, error) {
	to, err := m.target("", true)
	if err != nil {
		return nil, err
	}
	config := to.tls
	c := &crowdOfClients{addr: m.Endpoints.TLS, end: func() {}}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c.dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	if overHTTP2 {
		tr := &h2.Transport{TLSClientConfig: config, DialContext: dial}
		c.addr, c.http, c.end = m.Endpoints.HTTP2, &http.Client{Transport: tr}, func() { tr.Close() }
	} else {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1) // as fast as it can be
		c.http = &http.Client{Transport: &http.Transport{TLSClientConfig: config, DialContext: dial}}
	}
	return c, nil
}

func (c *crowdOfClients) open(path string) (*wsnotify.Client, error) {
	client := wsnotify.New(wsnotify.Config{
		HTTPClient: c.http, DialTimeout: time.Minute,
		OnMessage: func(wsnotify.Message) { c.came.Add(1) },
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return client, client.Connect(ctx, "wss://"+c.addr+path, "")
}

// exchange has every client send a message over and over, and counts what comes
// back. Heartbeats come back, too, and are few.
func (c *crowdOfClients) exchange(m *measurement, all []*wsnotify.Client) (rate float64, messages int64, err error) {
	payload := make([]byte, 64)
	ctx := context.Background()
	c.came.Store(0)
	var sent atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	const atOnce = 64
	for w := range atOnce {
		wg.Go(func() {
			for i := w; time.Since(began) < m.Time; i += atOnce {
				if err := all[i%len(all)].Send(ctx, wsnotify.MessageBinary, payload); err != nil {
					failed.Store(&err)
					return
				}
				sent.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, 0, *err
	}
	for deadline := time.Now().Add(drainTime); c.came.Load() < sent.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return 0, 0, fmt.Errorf("of %d messages %d came back", sent.Load(), c.came.Load())
		}
	}
	return float64(sent.Load()) / time.Since(began).Seconds(), sent.Load(), nil
}

// roundTrip is the median time of a ping.
func (c *crowdOfClients) roundTrip(m *measurement, client *wsnotify.Client) (float64, error) {
	var times []float64
	for began := time.Now(); time.Since(began) < m.Time || len(times) == 0; {
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		rtt, err := client.Ping(ctx)
		cancel()
		if err != nil {
			return 0, err
		}
		times = append(times, float64(rtt))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// slowNeighbour is one more client, to which the server sends as fast as it may,
// and whose callback does not return. free ends it.
func (c *crowdOfClients) slowNeighbour(m *measurement) (free func(), err error) {
	stuck, full := make(chan struct{}), make(chan struct{})
	var once sync.Once
	client := wsnotify.New(wsnotify.Config{
		HTTPClient: c.http, Heartbeat: wsnotify.Heartbeat{Interval: -1},
		OnMessage: func(wsnotify.Message) { once.Do(func() { close(full) }); <-stuck },
	})
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := client.Connect(ctx, "wss://"+c.addr+"/blast?payload=4096&id="+sessionID, ""); err != nil {
		return nil, err
	}
	body, err := m.command("/start", url.Values{"id": {sessionID}})
	if err != nil {
		return nil, err
	}
	body.Close()
	<-full
	time.Sleep(min(m.Time, time.Second/2)) // until inbox and windows are full
	return func() { close(stuck) }, nil
}
