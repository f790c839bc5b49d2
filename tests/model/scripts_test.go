package model

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
)

const (
	scripts      = 1000
	shortScripts = 50
	scriptSteps  = 40
)

// Random scripts of calls and faults, each step done to a client and to the
// model. After every step the callbacks, the status and what the server saw
// must be those of the model, to the nanosecond. With -short, which is for many
// runs, there are few, and other ones each time.
func TestClientDoesWhatTheModelDoes(t *testing.T) {
	first, n := uint64(0), uint64(scripts)
	if testing.Short() {
		first, n = rand.Uint64(), shortScripts
	}
	for seed := first; seed != first+n && !t.Failed(); seed++ {
		runScript(t, seed)
	}
}

// fields are those of an Envelope.
type fields struct{ Type, Content string }

// envelopes are what a script's server may speak.
var envelopes = []fields{{}, {}, {Type: "type", Content: "payload"}, {Type: "t"}, {Content: `"d\`}}

// script is a client and its model, and the steps that were done to both.
type script struct {
	*harness.World
	cfg   wsnotify.Config
	m     model
	rnd   *rand.Rand
	steps []string
	texts int
	life  context.Context // of the script

	mu      sync.Mutex
	results []string
	cancels []context.CancelFunc // of the calls, the latest last
}

func runScript(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 6))
	m := model{phase: off, up: true}
	m.delay = time.Duration(1+rnd.IntN(12)) * time.Second
	m.retries = rnd.IntN(5) - 1
	if rnd.IntN(2) == 0 {
		m.stable = time.Duration(1+rnd.IntN(20))*time.Second + 300*time.Millisecond
	}
	env := envelopes[rnd.IntN(len(envelopes))]
	m.store = env == (fields{})
	b := &m.box
	b.capacity, b.drops, b.confirms, b.stores = 1+rnd.IntN(8), rnd.IntN(2) == 0, rnd.IntN(3) > 0, rnd.IntN(3) == 0
	b.within = time.Duration(1+rnd.IntN(40))*time.Second + 123*time.Microsecond
	if rnd.IntN(3) == 0 {
		b.maxAge = time.Duration(1+rnd.IntN(30))*time.Second + 77*time.Microsecond
	}
	cfg := wsnotify.Config{
		StableAfter: m.stable,
		Envelope:    wsnotify.Envelope{Type: env.Type, Content: env.Content},
		Outbox:      wsnotify.Outbox{Messages: b.capacity, MaxAge: b.maxAge, ConfirmTimeout: b.within},
		BackOff: func() wsnotify.BackOff {
			b := backoff.BackOff(backoff.NewConstantBackOff(m.delay))
			if m.retries >= 0 {
				b = backoff.WithMaxRetries(b, uint64(m.retries))
			}
			return b
		},
	}
	if b.drops {
		cfg.Outbox.Overflow = wsnotify.DropOldest
	}
	if b.confirms {
		cfg.Outbox.ConfirmID = func(m wsnotify.Message) string {
			if bytes.HasPrefix(m.Data, []byte(plain)) {
				return ""
			}
			return string(m.Data)
		}
	}
	if b.stores {
		cfg.Outbox.Store = harness.NewShelf(t)
	}
	harness.InBubble(t, cfg, func(w *harness.World) {
		w.Server.Envelope(env.Type, env.Content)
		life, end := context.WithCancel(context.Background())
		defer end()
		s := &script{World: w, cfg: cfg, m: m, rnd: rnd, life: life}
		for range scriptSteps {
			if s.step(); t.Failed() {
				t.Fatalf("seed %d, envelope %+v, retries %d, delay %v, stable %v, outbox %+v; the steps:\n\t%s",
					seed, env, m.retries, m.delay, m.stable, m.box, strings.Join(s.steps, "\n\t"))
			}
		}
		s.do("Disconnect", w.Client.Disconnect, func() string { return s.m.close(1000, "") })
		s.compareServer()
		for _, cancel := range s.cancels {
			cancel()
		}
	})
}

// step does one thing to the client and to its model.
func (s *script) step() {
	if s.m.phase == isOpen && s.m.conn.hole && s.rnd.IntN(3) > 0 {
		s.stepInHole()
		return
	}
	switch s.rnd.IntN(21) {
	case 20:
		if len(s.m.box.unconfirmed) == 0 { // else it would wait for the server's confirmations
			s.do("Drain", func() error { return s.Client.Drain(context.Background()) }, s.m.drain)
		}
	case 0:
		s.begin(&call{name: fmt.Sprint("Connect ", len(s.steps))}, s.Client.Connect)
	case 1:
		s.begin(&call{name: fmt.Sprint("Run ", len(s.steps)), stays: true}, s.Client.Run)
	case 2:
		s.do("cancel", func() error { s.cancelLatest(); return nil }, func() string { s.m.cancel(); return "" })
	case 3:
		s.do("Disconnect", s.Client.Disconnect, func() string { return s.m.close(1000, "") })
	case 4:
		s.do("Close", func() error { return s.Client.CloseWith(context.Background(), 4001, "bye") }, func() string { return s.m.close(4001, "bye") })
	case 5:
		s.do("Reconnect", s.Client.Reconnect, s.m.reconnect)
	case 6, 7:
		text := s.text()
		s.do("Enqueue "+text, func() error { return s.Client.Enqueue(wsnotify.MessageText, []byte(text)) },
			func() string { return s.m.box.enqueue(&s.m, text) })
	case 8:
		text := s.text()
		s.do("SendMessage "+text, func() error { return s.Client.SendMessage(context.Background(), text) },
			func() string { return s.m.sendMessage(text) })
	case 9:
		h := []handshake{{503, 0}, {503, 17 * time.Second}, {401, 0}, {}}[s.rnd.IntN(4)]
		s.do(fmt.Sprint("refuse ", h), func() error { s.refuse(h); return nil },
			func() string { s.m.handshakes = append(s.m.handshakes, h); return "" })
	case 10, 11:
		s.fault()
	case 12, 13:
		s.confirm()
	case 14:
		s.flush()
	case 15:
		if s.m.box.stores && s.m.begun { // else there is nothing that would end
			s.restart()
		}
	default:
		s.pass()
	}
}

// stepInHole does what makes sense while nothing arrives.
func (s *script) stepInHole() {
	switch s.rnd.IntN(4) {
	case 0:
		conn := s.Conn()
		s.do("lift", func() error { conn.BlackHole(false); return nil }, func() string { s.m.lift(); return "" })
	case 1:
		s.notify()
	default:
		s.pass()
	}
}

// fault is something that the server or the network does.
func (s *script) fault() {
	m := &s.m
	switch {
	case m.phase != isOpen && m.up:
		s.do("stop", func() error { s.Server.Stop(); return nil }, func() string { m.stop(); return "" })
		return
	case m.phase != isOpen:
		s.do("start", func() error { s.Server.Start(); return nil }, func() string { m.up = true; return "" })
		return
	case m.conn.hole:
		s.pass()
		return
	}
	conn := s.Conn()
	switch s.rnd.IntN(8) {
	case 0:
		s.do("drop", func() error { conn.Drop(); return nil }, func() string { m.broke(""); return "" })
	case 1:
		s.do("reset", func() error { conn.Reset(); return nil }, func() string { m.broke(""); return "" })
	case 2:
		s.do("close", func() error { return conn.Close(1012, "restart") }, func() string { m.serverCloses(1012, "restart"); return "" })
	case 3:
		s.do("violate", func() error { return conn.WriteFrame(true, 0x3, nil) }, func() string { m.serverErrs(); return "" })
	case 4:
		s.do("stop", func() error { s.Server.Stop(); return nil }, func() string { m.stop(); return "" })
	case 5:
		s.notify()
	default:
		s.do("hole", func() error { conn.BlackHole(true); return nil }, func() string { m.conn.hole = true; return "" })
	}
}

func (s *script) notify() {
	text, conn := s.text(), s.Conn()
	real := func() error { return conn.Notify("news", text) }
	switch s.rnd.IntN(6) {
	case 0:
		text = "" // which the store does not take for content
	case 1:
		text, real = noType, func() error { return conn.SendText(`{"content":"x","payload":"x"}`) }
	}
	s.do("notify "+text, real, func() string { s.m.notify(text); return "" })
}

// pass lets some time go by. Its nanoseconds keep it from meeting an event.
func (s *script) pass() {
	d := time.Duration(s.rnd.Int64N(int64(20 * time.Second)))
	s.do(fmt.Sprint("pass ", d), func() error { return nil }, func() string { s.m.pass(d); return "" })
}

func (s *script) text() string {
	s.texts++
	if s.rnd.IntN(4) == 0 {
		return fmt.Sprint(plain, s.texts)
	}
	return fmt.Sprint("text ", s.texts)
}

// confirm confirms some of the messages that there were so far.
func (s *script) confirm() {
	var ids []string
	for range 1 + s.rnd.IntN(3) {
		ids = append(ids, fmt.Sprint("text ", 1+max(0, s.texts-s.rnd.IntN(6))))
	}
	known := 0
	s.do(fmt.Sprintf("Confirm %q", ids), func() error { known = s.Client.Confirm(ids...); return nil }, func() string {
		want := 0
		for _, id := range ids {
			want += s.m.box.confirm(&s.m, id)
		}
		synctest.Wait()
		if known != want {
			s.Errorf("%d of %q were known, and not %d", known, ids, want)
		}
		return ""
	})
}

// flush calls Flush, which returns in its time.
func (s *script) flush() {
	name := fmt.Sprint("Flush ", len(s.steps))
	s.do(name, func() error {
		go func() { s.result(name, s.Client.Flush(s.life)) }()
		return nil
	}, func() string { s.m.box.flush(&s.m, name); return "" })
}

// restart ends the process, and starts another with the same store.
func (s *script) restart() {
	s.do("restart", func() error {
		s.Client.Disconnect()
		<-s.Client.Done()
		s.Client = wsnotify.New(s.Config(s.cfg))
		return nil
	}, func() string { s.m.restart(); return "" })
}

func (s *script) result(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results = append(s.results, name+": "+answer(err, "nil"))
}

func (s *script) refuse(h handshake) {
	switch {
	case h.status == 0:
		s.Server.HangHandshake(1)
	case h.after > 0:
		s.Server.Refuse(1, h.status, http.Header{"Retry-After": {fmt.Sprint(int(h.after.Seconds()))}}, "")
	default:
		s.Server.Refuse(1, h.status, nil, "")
	}
}

// begin calls Connect or Run, which return in their time.
func (s *script) begin(c *call, f func(context.Context, string, string) error) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancels = append(s.cancels, cancel)
	s.do(c.name, func() error {
		go func() {
			s.result(c.name, f(ctx, s.Server.URL(), "ada"))
		}()
		return nil
	}, func() string { s.m.begin(c); return "" })
}

func (s *script) cancelLatest() {
	if n := len(s.cancels); n > 0 {
		s.cancels[n-1]()
	}
}

// do does a step, lets the time pass that it takes, and compares.
func (s *script) do(name string, real func() error, modelled func() string) {
	s.Helper()
	s.steps = append(s.steps, fmt.Sprintf("%v %s", s.m.now, name))
	result := make(chan error, 1)
	go func() { result <- real() }()
	want := modelled()
	if d := s.m.now - time.Since(s.Start); d > 0 {
		time.Sleep(d)
	}
	synctest.Wait()
	select {
	case err := <-result:
		if got := answer(err, ""); got != want {
			s.Errorf("%s answers %v and not %q", name, err, want)
		}
	default:
		s.Errorf("%s does not return", name)
	}
	got, expected := closedFirst(s.Journal()), closedFirst(s.m.journal)
	if !slices.Equal(got, expected) {
		s.Errorf("the journal says\n\t%s\nand not\n\t%s", strings.Join(got, "\n\t"), strings.Join(expected, "\n\t"))
	}
	s.m.journal = nil
	s.compareStatus()
}

// closedFirst puts CLOSED before what expired in the same moment: whether the
// writer or the reader is the first to see the end of a connection is open.
func closedFirst(journal []string) []string {
	for i := 1; i < len(journal); i++ {
		at, closed := strings.CutSuffix(journal[i], " CLOSED")
		for j := i; closed && j > 0 && strings.HasPrefix(journal[j-1], at+" undelivered"); j-- {
			journal[j-1], journal[j] = journal[j], journal[j-1]
		}
	}
	return journal
}

// answer names an error as the model does.
func answer(err error, none string) string {
	var gaveUp *wsnotify.GiveUpError
	var lost *wsnotify.DrainError
	switch {
	case err == nil:
		return none
	case errors.As(err, &lost):
		if errors.Is(err, context.Canceled) || lost.Unhandled != 0 {
			return err.Error()
		}
		why := answer(lost.Err, none)
		if strings.Contains(lost.Err.Error(), context.Canceled.Error()) {
			why = "canceled"
		}
		return lostText(lost.Unsent, lost.Unconfirmed, why)
	case errors.As(err, &gaveUp):
		return "gave up"
	case errors.Is(err, wsnotify.ErrClosed):
		return "ErrClosed"
	case errors.Is(err, wsnotify.ErrNotConnected):
		return "ErrNotConnected"
	case errors.Is(err, wsnotify.ErrOutboxFull):
		return "ErrOutboxFull"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "other"
}

func (s *script) compareStatus() {
	s.Helper()
	m, st := &s.m, s.Client.Status()
	state, epoch, next := wsnotify.Closed, m.opened, time.Time{}
	switch m.phase {
	case dials:
		state, epoch = wsnotify.Connecting, m.opened+1
	case isOpen:
		state = wsnotify.Open
	case waiting:
		next = s.Start.Add(m.scheduled)
	}
	check := func(what string, got, want any) {
		s.Helper()
		if got != want {
			s.Errorf("%s is %v and not %v", what, got, want)
		}
	}
	check("ReadyState", st.ReadyState, state)
	check("Epoch", st.Epoch, uint64(epoch))
	check("ReconnectAttempts", st.ReconnectAttempts, m.attempts)
	check("NextAttempt", st.NextAttempt.Equal(next), true)
	check("GaveUp", st.GaveUp, m.gaveUp)
	check("Reconnects", st.Reconnects, uint64(max(0, m.opened-1)))
	unconfirmed := 0
	for _, l := range m.box.all() {
		if l.sent {
			unconfirmed++
		}
	}
	check("Queued", st.Queued, len(m.box.all()))
	check("Unconfirmed", st.Unconfirmed, unconfirmed)
	check("Resent", st.Resent, uint64(m.box.resent))
	check("Undelivered", st.Undelivered, uint64(m.box.lost))
	check("MessagesOut", st.MessagesOut, uint64(m.box.sent))
	check("MessagesIn", st.MessagesIn, uint64(m.received))
	check("Err", answer(s.Client.Err(), ""), m.err)
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.results)
	slices.Sort(m.results)
	check("what Connect and Run returned", fmt.Sprint(s.results), fmt.Sprint(m.results))
}

// compareServer compares what the server saw of each connection.
func (s *script) compareServer() {
	if n := s.Server.Total(); n != len(s.m.seen) {
		s.Errorf("the server saw %d connections and not %d", n, len(s.m.seen))
		return
	}
	for i, want := range s.m.seen {
		conn, err := s.Server.NthConn(context.Background(), i+1)
		s.Must(err)
		if got := conn.Messages(); fmt.Sprint(got) != fmt.Sprint(want.got) {
			s.Errorf("connection %d brought %q and not %q", i+1, got, want.got)
		}
		if got := conn.CloseCode(); got != want.code && want.code != inHole {
			s.Errorf("connection %d ended with %d and not %d", i+1, got, want.code)
		}
	}
}
