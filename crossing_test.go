package wsnotify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// Resume, Subscriptions, Request, confirmations, a Limiter, Heartbeat.Answer and handlers that fail, all
// at once, with a server that numbers every message of its own, whatever that is for: through random
// losses nothing is missed or handled twice, no gap is reported, each connection gets each key once and
// before anything queued, and in the end all is acknowledged.
func TestFeaturesTogether(t *testing.T) {
	for seed := range uint64(30) {
		for _, order := range []wsnotify.PositionOrder{wsnotify.PositionConsecutive, wsnotify.PositionIncreasing, wsnotify.PositionOpaque} {
			t.Run(fmt.Sprint(order, " ", seed), func(t *testing.T) {
				c := &crossing{T: t, random: rand.New(rand.NewPCG(seed, 7)), handled: map[int]int{}, hooked: map[int]int{}, undelivered: map[string]int{}}
				inBubble(t, c.config(order), c.run)
			})
		}
	}
}

type crossing struct {
	*testing.T
	w         *world
	redeliver bool // what a handler fails to handle
	inclusive bool // the server resumes at the position that it is asked for

	mu          sync.Mutex
	random      *rand.Rand
	log         []string // message n of the server is log[n-1]
	more        chan struct{}
	joined      map[*wsnotifytest.Conn]map[string]bool
	latest      map[*wsnotifytest.Conn]int // message of Enqueue
	arrived     map[string]bool
	undelivered map[string]int
	handled     map[int]int // by handlers
	hooked      map[int]int // by OnHandshake
	last        int         // handled by a handler
	requests    int
}

func (c *crossing) intn(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

func (c *crossing) config(order wsnotify.PositionOrder) wsnotify.Config {
	hook := c.intn(2) == 0
	c.redeliver, c.inclusive = c.intn(4) > 0, !hook && c.intn(2) == 0
	cfg := wsnotify.Config{
		BackOff:       wsnotify.Exponential(time.Millisecond, 200*time.Millisecond, -1),
		Heartbeat:     wsnotify.Heartbeat{Interval: 3 * time.Second, Timeout: time.Second, NoText: true},
		Inbox:         wsnotify.Inbox{Messages: 1 + c.intn(20), Reuse: c.intn(2) == 0},
		Outbox:        wsnotify.Outbox{Messages: -1},
		Subscriptions: joins(),
		Resume: wsnotify.Resume{
			Position: wsnotify.PositionField("seq"), Query: "after", Order: order, Store: &memoryStore{}, SaveEvery: 50 * time.Millisecond,
			OnGap: func(g wsnotify.Gap) { c.Error(g) },
		},
		OnError: func(err error) {
			if behind := (*wsnotify.ResumeError)(nil); errors.As(err, &behind) {
				c.Error(err)
			}
		},
		OnUndelivered: func(m wsnotify.Message, _ error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.undelivered[string(m.Data)]++
		},
	}
	if c.redeliver {
		cfg.Resume.OnHandlerError = wsnotify.HandlerErrorRedeliver
	}
	if hook {
		cfg.OnHandshake = c.login
	}
	if c.intn(2) == 0 {
		cfg.Outbox.Limiter = &oneEach{interval: 3 * time.Millisecond}
	}
	cfg.Outbox.ConfirmID = func(m wsnotify.Message) string {
		id, _ := strings.CutPrefix(string(m.Data), "order ")
		return id
	}
	cfg.Heartbeat.Answer = func(m wsnotify.Message) (string, bool) {
		return "yes", strings.Contains(string(m.Data), "are you there")
	}
	cfg.Subscriptions.Batch = 1 + c.intn(3)
	cfg.Subscriptions.Confirm = func(m wsnotify.Message) (keys []string, err error) {
		var answer struct{ Joined string }
		if json.Unmarshal(m.Data, &answer); answer.Joined != "" {
			keys = []string{answer.Joined}
		}
		return keys, nil
	}
	return cfg
}

// login handles what comes before the answer.
func (c *crossing) login(ctx context.Context, h *wsnotify.Handshake) error {
	if err := h.SendText(ctx, "login"); err != nil {
		return err
	}
	for {
		m, err := h.Receive(ctx)
		if err != nil {
			return err
		}
		var event struct {
			Seq     int
			MsgType string
			Welcome bool
		}
		switch json.Unmarshal(m.Data, &event); {
		case event.Welcome && c.intn(5) == 0:
			return errors.New("not today")
		case event.Welcome:
			return nil
		case event.MsgType == "event":
			c.mu.Lock()
			c.hooked[event.Seq]++
			c.mu.Unlock()
		}
	}
}

// say adds a message of the server. mu is held.
func (c *crossing) say(fields string) {
	c.log = append(c.log, fmt.Sprintf(`{"seq":%d,%s}`, len(c.log)+1, fields))
	close(c.more)
	c.more = make(chan struct{})
}

// feed sends a connection what it asks for, and what comes later.
func (c *crossing) feed(conn *wsnotifytest.Conn) {
	next, _ := strconv.Atoi(askedAfter(conn))
	if c.inclusive && next > 0 {
		next--
	}
	for {
		c.mu.Lock()
		log, more := c.log, c.more
		c.mu.Unlock()
		for ; next < len(log); next++ {
			if conn.SendText(log[next]) != nil {
				return
			}
		}
		select {
		case <-more:
		case <-conn.Done():
			return
		}
	}
}

// receive is the server's.
func (c *crossing) receive(conn *wsnotifytest.Conn, _ byte, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	has := c.joined[conn]
	if has == nil {
		has = map[string]bool{}
		c.joined[conn] = has
	}
	text := string(data)
	what, rest, _ := strings.Cut(text, " ")
	switch what {
	case "login":
		c.say(`"welcome":true`)
	case "join":
		for key := range strings.SplitSeq(rest, ",") {
			if has[key] {
				c.Errorf("connection %d: %s was joined twice", conn.ID(), key)
			}
			has[key] = true
			c.say(`"joined":"` + key + `"`)
		}
	case "leave":
		for key := range strings.SplitSeq(rest, ",") {
			if !has[key] {
				c.Errorf("connection %d: %s was left and not joined", conn.ID(), key)
			}
			delete(has, key)
		}
	case "order":
		n, _ := strconv.Atoi(rest)
		if !has["a"] || !has["b"] || n <= c.latest[conn] {
			c.Errorf("connection %d: %s behind order %d and the keys %v", conn.ID(), text, c.latest[conn], has)
		}
		c.latest[conn], c.arrived[text] = n, true
		c.say(`"msgType":"ack","content":"` + rest + `"`)
	case "ask":
		c.say(`"id":"` + rest + `"`)
	}
}

// ask makes a request.
func (c *crossing) ask(timeout time.Duration) {
	c.mu.Lock()
	c.requests++
	id := strconv.Itoa(c.requests)
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.w.Context(), timeout)
	defer cancel()
	c.w.c.Request(ctx, id, wsnotify.MessageText, []byte("ask "+id))
}

// handle is the handler of events.
func (c *crossing) handle(_ context.Context, n wsnotify.Typed[bool]) error {
	var event struct{ Seq int }
	if err := json.Unmarshal(n.Raw, &event); err != nil {
		c.Error(err)
	}
	switch c.intn(30) {
	case 0:
		time.Sleep(time.Duration(c.intn(400)) * time.Millisecond)
	case 1:
		c.ask(time.Second)
	case 2:
		if c.redeliver {
			return errors.New("database is gone")
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if event.Seq <= c.last {
		c.Errorf("event %d behind %d", event.Seq, c.last)
	}
	c.last = event.Seq
	c.handled[event.Seq]++
	return nil
}

// disturb does something to the connection, now and then.
func (c *crossing) disturb() {
	w := c.w
	switch c.intn(40) {
	case 0, 1:
		w.srv.DropAll()
	case 2:
		for _, conn := range w.srv.LiveConns() {
			conn.BlackHole(true)
		}
	case 3:
		go w.c.Reconnect()
	case 4:
		for _, conn := range w.srv.LiveConns() {
			go conn.Close(1012, "")
		}
	case 5:
		w.srv.Refuse(1, 503, nil, "")
		w.srv.DropAll()
	case 6, 7, 8:
		go c.ask(time.Duration(c.intn(3000)) * time.Millisecond)
	case 9:
		w.c.Subscribe(fmt.Sprint("k", c.intn(5)))
	case 10:
		w.c.Unsubscribe(fmt.Sprint("k", c.intn(5)))
	case 11:
		go w.c.Connect(w.Context(), w.srv.URL(), "ada")
	case 12:
		w.c.Disconnect()
		<-w.c.Done()
		go w.c.Connect(w.Context(), w.srv.URL(), "ada")
	}
}

func (c *crossing) run(w *world) {
	c.w, c.more = w, make(chan struct{})
	c.joined, c.latest, c.arrived = map[*wsnotifytest.Conn]map[string]bool{}, map[*wsnotifytest.Conn]int{}, map[string]bool{}
	w.srv.OnConn(func(conn *wsnotifytest.Conn) { go c.feed(conn) })
	w.srv.OnMessage(c.receive)
	wsnotify.Handle(w.c, "event", c.handle)
	wsnotify.On(w.c, "ack", func(id string) { w.c.Confirm(id) })
	if c.intn(2) == 0 {
		loop := w.c.Notifications(w.Context())
		go func() {
			for range loop {
				if c.intn(20) == 0 {
					time.Sleep(time.Duration(c.intn(300)) * time.Millisecond)
				}
			}
		}()
	}
	w.must(w.c.Subscribe("a", "b"))
	w.must(w.c.Connect(w.Context(), w.srv.URL(), "ada"))
	orders := 0
	for range 150 {
		events := c.intn(4)
		c.mu.Lock()
		for range events {
			if c.random.IntN(8) == 0 {
				c.say(`"are you there":true`)
			} else {
				c.say(`"msgType":"event","content":true`)
			}
		}
		c.mu.Unlock()
		for range c.intn(3) {
			if orders++; w.c.Enqueue(wsnotify.MessageText, fmt.Append(nil, "order ", orders)) != nil {
				orders--
			}
		}
		c.disturb()
		w.pass(time.Duration(c.intn(60)) * time.Millisecond)
	}
	var end string
	var s wsnotify.Status
	for range 100 {
		w.pass(2 * time.Second)
		c.mu.Lock()
		end = strconv.Itoa(len(c.log))
		c.mu.Unlock()
		if s = w.c.Status(); w.c.Position("") == end && s.Queued == 0 && s.Subscriptions.Active == s.Subscriptions.Wanted {
			break
		}
	}
	if w.c.Position("") != end || s.Queued != 0 || s.Subscriptions.Active != s.Subscriptions.Wanted {
		c.Errorf("handled %s of %s, %+v", w.c.Position(""), end, s)
	}
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, m := range c.log {
		// What OnHandshake has handled comes again if what was received before it fails.
		handled, hooked := c.handled[i+1], c.hooked[i+1]
		if strings.Contains(m, `"event"`) && (handled > 1 || handled+hooked == 0 || handled+hooked > 1 && !c.redeliver) {
			c.Errorf("%s was handled %d times, and %d times by OnHandshake", m, handled, hooked)
		}
	}
	for i := range orders {
		order := fmt.Sprint("order ", i+1)
		if n := c.undelivered[order]; n > 1 || n == 0 && !c.arrived[order] {
			c.Errorf("%s has arrived: %v, and was reported %d times", order, c.arrived[order], n)
		}
	}
}
