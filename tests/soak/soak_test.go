package soak

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// One day of virtual time, with a fault every few minutes: every message that
// was enqueued is delivered or reported once, every notification of an open
// connection comes, and nothing grows.
func TestOneDay(t *testing.T) {
	ledger := newLedger(1, 30_000)
	news := 0
	cfg := wsnotify.Config{
		BackOff:        wsnotify.Exponential(time.Second, time.Minute, -1),
		OnUndelivered:  func(m wsnotify.Message, err error) { ledger.reported(m.Data) },
		OnNotification: func(wsnotify.Notification) { news++ },
	}
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(24, 60))
		network := wsnotifytest.NewNetwork(t)
		srv := network.NewServer()
		srv.RecordMessages(false)
		srv.OnMessage(func(_ *wsnotifytest.Conn, typ byte, data []byte) {
			if typ == wsnotifytest.OpBinary {
				ledger.delivered(data)
			}
		})
		var end func()
		cfg.HTTPClient, end = harness.Carried(network.HTTPClient())
		defer end()
		c := wsnotify.New(cfg)
		if err := c.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		enqueued, notified, faults := 0, 0, 0
		var early, late gauge
		for time.Since(start) < 24*time.Hour {
			for range rnd.IntN(40) {
				if c.Enqueue(wsnotify.MessageBinary, message(0, enqueued)) == nil {
					enqueued++
				}
			}
			if conn, err := srv.Conn(context.Background(), "ada"); err == nil && c.IsConnected() && conn.Notify("news", notified) == nil {
				notified++
			}
			synctest.Wait() // what the kernel has arrives
			faults++
			switch rnd.IntN(8) {
			case 0:
				srv.DropAll()
			case 1:
				srv.Broadcast("bye")
				for _, conn := range srv.LiveConns() {
					conn.Close(1012, "restart")
				}
			case 2:
				srv.Restart(time.Duration(rnd.IntN(600)) * time.Second)
			case 3:
				srv.Refuse(rnd.IntN(5), 503, http.Header{"Retry-After": {"20"}}, "")
				srv.DropAll()
			case 4:
				srv.HangHandshake(1)
				srv.DropAll()
			case 5:
				for _, conn := range srv.LiveConns() {
					conn.BlackHole(true) // for good
				}
			case 6:
				c.Reconnect()
			case 7:
				faults--
			}
			time.Sleep(time.Duration(60+rnd.IntN(240)) * time.Second)
			synctest.Wait()
			if c.WaitFor(context.Background(), wsnotify.Open) != nil {
				t.Fatal("the client is over")
			}
			switch d := time.Since(start); {
			case d < 6*time.Hour:
				early.take(t)
			case d > 18*time.Hour:
				late.take(t)
			}
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		s := c.Status()
		c.Disconnect()
		<-c.Done()
		synctest.Wait()
		ledger.check(t, enqueued)
		if news < notified {
			t.Errorf("%d of %d notifications came", news, notified)
		}
		early.compare(t, late, 2<<20) // the server remembers each of its connections
		t.Logf("%d faults, %d reconnects, %d messages out, %d notifications in", faults, s.Reconnects, enqueued, notified)
	})
}

// Many clients against a server that restarts every 10 s, on real sockets, or as streams to a
// gateway that has them, for as long as WSNOTIFY_SOAK says. The server closes politely and reads to
// the end, so that every message is delivered or reported once.
func TestSoak(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("WSNOTIFY_SOAK"))
	if err != nil {
		t.Skip("WSNOTIFY_SOAK is not set to a duration such as 10m")
	}
	const clients, pause = 200, 50 * time.Millisecond
	ledger := newLedger(clients, int(duration/pause)+1000)
	srv := &soakServer{ledger: ledger, addr: "127.0.0.1:0"}
	srv.start(t)
	carried, end := harness.Carried(&http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext}})
	defer end()
	start := time.Now()

	var wg sync.WaitGroup
	enqueued := make([]int, clients)
	var reconnects, full atomic.Int64
	for i := range clients {
		c := wsnotify.New(wsnotify.Config{
			HTTPClient:    carried,
			BackOff:       wsnotify.Exponential(100*time.Millisecond, 2*time.Second, -1),
			OnUndelivered: func(m wsnotify.Message, err error) { ledger.reported(m.Data) },
		})
		wg.Go(func() {
			if err := c.Connect(t.Context(), "ws://"+srv.addr+"/", fmt.Sprint(i)); err != nil {
				t.Error(err)
				return
			}
			tick := time.NewTicker(pause) // this is load, and waits for nothing
			defer tick.Stop()
			for range tick.C {
				if time.Since(start) > duration {
					break
				}
				if c.Enqueue(wsnotify.MessageBinary, message(i, enqueued[i])) == nil {
					enqueued[i]++
				} else {
					full.Add(1)
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if err := c.Flush(ctx); err != nil {
				t.Errorf("client %d: %v, %d queued", i, err, c.Status().Queued)
			}
			reconnects.Add(int64(c.Status().Reconnects))
			if err := c.Disconnect(); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
			<-c.Done()
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()

	var early, late gauge
	restart := time.NewTicker(10 * time.Second)
	defer restart.Stop()
	restarts := 0
	for running := true; running; {
		select {
		case <-ended:
			running = false
			continue
		case <-restart.C:
		}
		if d := time.Since(start); d < duration/3 {
			early.take(t)
		} else if d > duration*2/3 && d < duration {
			late.take(t)
		}
		if time.Since(start) < duration-10*time.Second {
			restarts++
			srv.stop()
			srv.start(t)
		}
	}
	srv.stop()
	total := 0
	for _, n := range enqueued {
		total += n
	}
	ledger.check(t, enqueued...)
	early.compare(t, late, 0)
	t.Logf("%v: %d clients, %d restarts, %d reconnects, %d messages; %d found the outbox full; at first %v, at last %v",
		duration, clients, restarts, reconnects.Load(), total, full.Load(), early, late)
}

// ledger counts what became of each message of each client.
type ledger struct{ fates [][]atomic.Int32 }

func newLedger(clients, messages int) *ledger {
	l := &ledger{fates: make([][]atomic.Int32, clients)}
	for i := range l.fates {
		l.fates[i] = make([]atomic.Int32, messages)
	}
	return l
}

// message is what a client sends as its nth one.
func message(client, n int) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(client)<<32|uint64(n))
}

func (l *ledger) fate(data []byte) *atomic.Int32 {
	v := binary.BigEndian.Uint64(data)
	return &l.fates[v>>32][v&(1<<32-1)]
}

func (l *ledger) delivered(data []byte) { l.fate(data).Add(1) }
func (l *ledger) reported(data []byte)  { l.fate(data).Add(1 << 16) }

// check wants that each of so many messages was delivered or reported once.
func (l *ledger) check(t *testing.T, enqueued ...int) {
	t.Helper()
	for client, n := range enqueued {
		for i := range n {
			if f := l.fates[client][i].Load(); f != 1 && f != 1<<16 {
				t.Errorf("message %d of client %d was delivered %d times and reported %d times", i, client, f&(1<<16-1), f>>16)
			}
		}
	}
}

// gauge is the least that there was of what must not grow.
type gauge struct {
	heap       uint64
	goroutines int
	files      int
}

func (g *gauge) take(t *testing.T) {
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	now := gauge{heap: mem.HeapAlloc, goroutines: runtime.NumGoroutine(), files: harness.OpenFiles(t)}
	if g.goroutines == 0 {
		*g = now
		return
	}
	g.heap = min(g.heap, now.heap)
	g.goroutines = min(g.goroutines, now.goroutines)
	g.files = min(g.files, now.files)
}

// compare lets memory grow by what the runtime keeps, and so many bytes; and
// goroutines by those that happen to be writing.
func (g gauge) compare(t *testing.T, late gauge, bytes uint64) {
	t.Helper()
	if late.heap > g.heap*6/5+bytes || late.goroutines > g.goroutines*11/10+5 || late.files > g.files+10 {
		t.Errorf("it grew from %v to %v", g, late)
	}
}

func (g gauge) String() string {
	return fmt.Sprintf("%d KiB, %d goroutines, %d files", g.heap>>10, g.goroutines, g.files)
}

type soakConn struct{}

// soakServer counts messages, and closes politely.
type soakServer struct {
	ledger *ledger
	addr   string
	server *http.Server

	mu     sync.Mutex
	conns  map[net.Conn]bool
	ending bool
	reads  sync.WaitGroup
}

func (s *soakServer) start(t *testing.T) {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		t.Error(err)
		return
	}
	s.addr = l.Addr().String()
	s.conns, s.ending = map[net.Conn]bool{}, false
	s.server = &http.Server{
		Handler:     http.HandlerFunc(s.serve),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, soakConn{}, c) },
	}
	go s.server.Serve(l)
}

// stop sends close frames, and reads until each is answered.
func (s *soakServer) stop() {
	s.mu.Lock()
	s.ending = true
	for conn := range s.conns {
		s.goingAway(conn)
	}
	s.mu.Unlock()
	s.reads.Wait()
	s.server.Close()
}

// bye writes a close frame past the transport, which would read no messages
// after one of its own.
func (s *soakServer) goingAway(conn net.Conn) { conn.Write([]byte{0x88, 2, 1012 >> 8, 1012 & 0xff}) }

func (s *soakServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.ending {
		s.mu.Unlock()
		http.Error(w, "restarting", http.StatusServiceUnavailable)
		return
	}
	s.reads.Add(1)
	s.mu.Unlock()
	defer s.reads.Done()
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	under := r.Context().Value(soakConn{}).(net.Conn)
	s.mu.Lock()
	if s.conns[under] = true; s.ending {
		s.goingAway(under)
	}
	s.mu.Unlock()
	for {
		typ, data, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		if typ == websocket.MessageBinary {
			s.ledger.delivered(data)
		}
	}
}
