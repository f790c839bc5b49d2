//go:build linux

package interop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// way is how a client comes to a server: straight, or through a proxy.
type way struct {
	server *server
	url    string
	config wsnotify.Config // HTTP client, compression, subprotocols
}

type mail struct{ From, Subject string }

// all is everything that holds on every way.
func (w way) all(t *testing.T) {
	w.conversation(t)
	w.midstream(t, false)
	w.midstream(t, true)
}

// conversation goes through the life of one client.
func (w way) conversation(t *testing.T) {
	cfg := w.config
	cfg.BackOff = quick
	cfg.Heartbeat = wsnotify.Heartbeat{Interval: 200 * time.Millisecond, Timeout: 10 * time.Second}
	c := newClient(t, cfg)
	mails := make(chan mail, 1)
	wsnotify.On(c.Client, "mail", func(m mail) { mails <- m })
	c.connect(w.url)
	open := c.opened(1)
	if deflated := strings.Contains(open.Header.Get("Sec-Websocket-Extensions"), "permessage-deflate"); deflated != w.server.Deflate {
		t.Errorf("compressed: %v", deflated)
	}
	if open.Subprotocol != w.server.Subprotocol {
		t.Errorf("the subprotocol is %q", open.Subprotocol)
	}
	w.server.await(t, 0, waitLimit, "the address", func(l line) bool { return l.Event == "open" && l.Text == "/ws/ada" })

	w.notifications(c, mails)
	w.heartbeat(c)

	// Queued while the server is down: delivered once each, in order.
	from, opens := 0, 1
	for _, polite := range []bool{false, true} {
		if polite {
			w.server.stop(t)
			wantClosed(t, c.closed(opens), wsnotify.StatusGoingAway, w.server.goodbye())
		} else {
			w.server.kill()
			wantLost(t, c.closed(opens))
		}
		c.enqueue(from, from+500)
		w.server.start()
		opens++
		c.opened(opens)
		w.server.await(t, 0, waitLimit, "the last message", func(l line) bool { return l.Text == numbered(from+499) })
		c.say(`{"msgType":"again","content":"1"}`) // nothing is behind what was queued
		n := fmt.Sprintf("say {%q", "msgType")
		w.server.await(t, 0, waitLimit, "what came behind it", func(l line) bool { return strings.HasPrefix(l.Text, n) })
		if got, want := w.server.numbered(), numbers(from, from+500); !slices.Equal(got, want) {
			t.Errorf("500 messages queued while the server was down; it got %d: %s", len(got), difference(got, want))
		}
		from += 500
	}
	if s := c.Status(); s.Epoch != 3 || s.Reconnects != 2 || s.Undelivered != 0 || s.ReconnectAttempts != 0 {
		t.Errorf("after two restarts: %+v", s)
	}

	// The server's own close.
	if err := c.SendMessage(context.Background(), "close 4001 token expired"); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, c.closed(3), 4001, "token expired")
	c.opened(4)

	// Ours, which no reconnect follows.
	if err := c.Disconnect(); err != nil {
		t.Errorf("Disconnect: %v", err)
	}
	if e := c.closed(4); e.Code != wsnotify.StatusNormalClosure || !e.WasClean || e.WillReconnect || e.Failure.Initiator != wsnotify.Local {
		t.Errorf("Disconnect: %+v", e)
	}
	w.server.await(t, 0, waitLimit, "our close frame", func(l line) bool { return l.Event == "close" && l.Conn == 2 && l.Code == 1000 })
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range c.errors { // failed attempts are meant to be there
		var parse *wsnotify.ParseError
		var decode *wsnotify.DecodeError
		if errors.As(err, &parse) || errors.As(err, &decode) || errors.Is(err, wsnotify.ErrHeartbeatTimeout) ||
			strings.Contains(err.Error(), "protocol") {
			t.Errorf("OnError: %v", err)
		}
	}
}

// notifications has the server send all that there is.
func (w way) notifications(c *client, mails <-chan mail) {
	t := c.t
	c.say(`{"msgType":"mail","content":{"from":"Grace","subject":"nanoseconds"}}`)
	if n := c.notification(0); n.MsgType != "mail" || n.Fallback || n.Epoch != 1 {
		t.Errorf("%+v", n)
	}
	select {
	case m := <-mails:
		if m != (mail{"Grace", "nanoseconds"}) {
			t.Errorf("typed: %+v", m)
		}
	case <-time.After(waitLimit):
		t.Error("the typed handler was not called")
	}
	c.say(`{"msgType":"系统","content":"您有 1 条消息 🛎 é"}`)
	if n := c.notification(1); n.MsgType != "系统" || n.Content != "您有 1 条消息 🛎 é" || n.Fallback {
		t.Errorf("%+v", n)
	}
	c.say(`{"other":1}`)
	if n := c.notification(2); !n.Fallback || n.Content != "您有新的通知，请前往消息列表查看" {
		t.Errorf("%+v", n)
	}
	large := strings.Repeat("0123456789", 20_000)
	c.say(`{"msgType":"large","content":"` + large + `"}`)
	if n := c.notification(3); n.MsgType != "large" || n.Content != large {
		t.Errorf("a notification of 200 kB came as %q with %d bytes", n.MsgType, len(n.Content))
	}
	binary := []byte{0, 255, 128, 1}
	if err := c.Send(context.Background(), wsnotify.MessageBinary, binary); err != nil {
		t.Fatal(err)
	}
	c.until("the binary message", waitLimit, func() bool {
		return slices.ContainsFunc(c.messages, func(m wsnotify.Message) bool {
			return m.Type == wsnotify.MessageBinary && slices.Equal(m.Data, binary)
		})
	})
}

// heartbeat waits for both kinds of it and their answers.
func (w way) heartbeat(c *client) {
	t := c.t
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	rtt, err := c.Ping(ctx)
	if err != nil || rtt <= 0 {
		t.Errorf("Ping: %v, %v", rtt, err)
	}
	if c.Status().RTT <= 0 {
		t.Error("Status has no round-trip time")
	}
	_, i, _ := w.server.await(t, 0, waitLimit, "a heartbeat", func(l line) bool { return l.Text == "ping" })
	w.server.await(t, i+1, waitLimit, "another", func(l line) bool { return l.Text == "ping" })
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.messages {
		if string(m.Data) == "pong" {
			t.Error("an answer to the heartbeat was taken for a message")
		}
	}
}

// midstream kills the server while messages flow. What the kernel had taken
// may be lost, and nothing else: the first server got a beginning, the second
// an end, each without a gap, and nothing twice but what Resend sends again.
func (w way) midstream(t *testing.T, resend bool) {
	cfg := w.config
	cfg.BackOff = quick
	cfg.Outbox = wsnotify.Outbox{Resend: resend}
	c := newClient(t, cfg)
	c.connect(w.url)
	_, skip, _ := w.server.await(t, 0, waitLimit, "the connection", event("open"))

	enough, total := make(chan struct{}), make(chan int)
	go func() {
		padding := strings.Repeat(" ", 1000)
		for i := 0; ; {
			select {
			case <-enough:
				total <- i
				return
			default:
			}
			switch err := c.Enqueue(wsnotify.MessageText, []byte(numbered(i)+padding)); {
			case err == nil:
				i++
			case errors.Is(err, wsnotify.ErrOutboxFull):
				time.Sleep(time.Millisecond) // the server sets the pace
			default:
				t.Error(err)
			}
		}
	}()
	w.server.await(t, skip, waitLimit, "the 1000th message", func(l line) bool { return strings.HasPrefix(l.Text, numbered(1000)) })
	first := w.server.process
	w.server.kill()
	w.server.start()
	received := 0
	w.server.await(t, 0, waitLimit, "1000 messages more", func(l line) bool {
		if strings.HasPrefix(l.Text, "n ") {
			received++
		}
		return received == 1000
	})
	close(enough)
	n := <-total
	w.server.await(t, 0, waitLimit, "the last message", func(l line) bool { return strings.HasPrefix(l.Text, numbered(n-1)) })
	before, after := first.numbered(), w.server.numbered()

	if i := slices.Index(before, numbered(0)); i < 0 || !slices.Equal(before[i:], numbers(0, len(before)-i)) {
		t.Errorf("the first server got %d messages that are no beginning", len(before))
	} else {
		before = before[i:]
	}
	next := n - len(after)
	if !slices.Equal(after, numbers(next, n)) {
		t.Errorf("the second server got %d messages that are no end: %s", len(after), difference(after, numbers(next, n)))
	}
	if next < len(before) {
		t.Errorf("it got message %d, and so did the first one, which had %d", next, len(before))
	}
	c.mu.Lock()
	undelivered := slices.Clone(c.undelivered)
	c.mu.Unlock()
	if len(undelivered) > 1 || resend && len(undelivered) > 0 {
		t.Errorf("%.8q are reported as unconfirmed", undelivered)
	}
	if len(undelivered) == 1 && undelivered[0][:8] != numbered(next-1) {
		t.Errorf("%.8q is reported as unconfirmed, and what came next begins with %d", undelivered[0], next)
	}
	t.Logf("resend %v: killed at %d, went on at %d, reported %.8q", resend, len(before), next, undelivered)
	if err := c.Disconnect(); err != nil {
		t.Errorf("Disconnect: %v", err)
	}
	if s := c.Status(); s.MessagesOut+s.Undelivered != uint64(n) {
		t.Errorf("of %d messages %d were written and %d were not", n, s.MessagesOut, s.Undelivered)
	}
}

// goodbye is the reason that a server gives when it is stopped.
func (s *server) goodbye() string {
	if s.kind == "python websockets" {
		return "" // chosen by the library
	}
	return "restart"
}

func numbers(from, to int) (texts []string) {
	for i := from; i < to; i++ {
		texts = append(texts, numbered(i))
	}
	return texts
}

// difference says where two lists begin to differ.
func difference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("in the place of %q came %q", want[i], got[i])
		}
	}
	return fmt.Sprintf("%d in the place of %d", len(got), len(want))
}

// cutByReload is a reload that ends the connections after a second: the client comes back.
func cutByReload(t *testing.T, url string, reload func()) {
	c := newClient(t, wsnotify.Config{BackOff: quick})
	c.connect(url)
	c.opened(1)
	begin := time.Now()
	reload()
	wantLost(t, c.closed(1))
	t.Logf("cut %v after the reload: %v", time.Since(begin), c.Status().LastFailure.Err)
	c.opened(2)
	c.say(`{"msgType":"a","content":"b"}`)
	c.notification(0)
}

// staysOverReload is a reload that leaves the connections alone: the client keeps its own,
// for 3 s of heartbeats.
func staysOverReload(t *testing.T, s *server, url string, reload func()) *client {
	c := newClient(t, wsnotify.Config{BackOff: quick, Heartbeat: wsnotify.Heartbeat{Interval: 200 * time.Millisecond}})
	c.connect(url)
	reload()
	beats := 0
	s.await(t, 0, waitLimit, "15 heartbeats", func(l line) bool {
		if l.Text == "ping" {
			beats++
		}
		return beats == 15
	})
	if st := c.Status(); st.Epoch != 1 || st.ReadyState != wsnotify.Open {
		t.Errorf("3 s after the reload: %+v", st)
	}
	return c
}

// backendIsKilled has a proxy answer with status while its backend is away.
func backendIsKilled(t *testing.T, s *server, url string, status int) {
	c := newClient(t, wsnotify.Config{BackOff: quick})
	c.connect(url)
	s.kill()
	wantLost(t, c.closed(1))
	wantRefused(t, c.status(status).Failure)
	s.start()
	c.opened(2)
}

// backendHangs has a proxy answer with 504 below /hang/.
func backendHangs(t *testing.T, url string) {
	c := afterwards(t)
	c.connect(strings.Replace(url, "/ws/", "/hang/", 1))
	wantRefused(t, c.status(504).Failure)
	c.opened(1)
}

// proxyEnds ends a proxy by a signal, and waits until the client has tried to dial it.
func proxyEnds(t *testing.T, proxy *daemon, signal syscall.Signal) *client {
	c := newClient(t, wsnotify.Config{BackOff: quick})
	c.connect(proxy.url())
	proxy.end(signal)
	wantLost(t, c.closed(1))
	c.failed("a refused dial", func(f wsnotify.Failure) bool {
		return f.Phase == wsnotify.PhaseDial && f.Initiator == wsnotify.Network
	})
	return c
}

// asksOverADrop has one request answered, one lost with the connection, and one answered
// on the next, while a stream of numbers goes on. reopened is called once that is open.
func asksOverADrop(t *testing.T, s *server, c *client, numbers *sequence, ask func(n int, hold bool) (int, error), reopened func()) {
	asked(t, 1, ask)
	s.held(t, 2, ask, s.drop)
	wantLost(t, c.closed(1))
	c.opened(2)
	reopened()
	asked(t, 3, ask)
	numbers.reach(t, numbers.next()+20)
	wantDone(t, s.process, 1, 2, 3)
	if n := len(s.events("open")); n != 2 {
		t.Errorf("there were %d connections and not 2", n)
	}
}

// answering is a heartbeat without a text that answers the server's.
func answering(question, answer string) wsnotify.Heartbeat {
	return wsnotify.Heartbeat{NoText: true, Answer: func(m wsnotify.Message) (string, bool) {
		return answer, string(m.Data) == question
	}}
}
