package wsnotify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// ask sends {"id":id} and waits for the answer.
func (w *world) ask(ctx context.Context, id string) (string, error) {
	m, err := w.c.Request(ctx, id, wsnotify.MessageText, []byte(`{"id":"`+id+`"}`))
	return string(m.Data), err
}

// asked is a request under way.
type asked struct {
	id, answer string
	err        error
	done       chan struct{}
}

func (w *world) askLater(ctx context.Context, id string) *asked {
	a := &asked{id: id, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.answer, a.err = w.ask(ctx, id)
	}()
	synctest.Wait()
	return a
}

// over fails the test unless the request has ended.
func (a *asked) over(w *world) *asked {
	w.Helper()
	synctest.Wait()
	select {
	case <-a.done:
	default:
		w.Fatalf("the request %q still waits", a.id)
	}
	return a
}

func TestRequestsFindTheirAnswers(t *testing.T) {
	for _, envelope := range []wsnotify.Envelope{{}, {ID: "re\"f"}, {Type: "id", Content: "msgType"}, {Parse: split}} {
		inBubble(t, wsnotify.Config{Envelope: envelope}, func(w *world) {
			conn := w.connect()
			w.journal()
			field := envelope.ID
			if field == "" {
				field = "id"
			}
			name, _ := json.Marshal(field)
			message := func(id string) string { return fmt.Sprintf(`{"x":[],%s:%s,"msgType":"a","content":"b"}`, name, id) }
			ids := map[string]string{"one": `"one"`, "2": `2`, "3": `"3"`, "-1.50e+3": `-1.50e+3`, `fo"ur`: `"f\u006fu\"r"`, "fünf": `"f\u00fcnf"`}
			ids[`fo"ur`] = `"f\u006f\"\u0075r"`
			requests := map[string]*asked{}
			for id := range ids {
				a := &asked{id: id, done: make(chan struct{})}
				go func() {
					defer close(a.done)
					var m wsnotify.Message
					m, a.err = w.c.Request(bg, id, wsnotify.MessageText, []byte("question"))
					if a.answer = string(m.Data); m.Epoch != 1 || m.Type != wsnotify.MessageText {
						t.Errorf("%+v", m)
					}
				}()
				requests[id] = a
			}
			synctest.Wait()
			for _, other := range []string{`"on"`, `"two"`, `2.0`, `null`, `{"one":1}`, `"fo\\\"ur"`} {
				w.must(conn.SendText(message(other)))
			}
			synctest.Wait()
			for id, a := range requests {
				select {
				case <-a.done:
					t.Errorf("%q has %s, %v", id, a.answer, a.err)
				default:
				}
			}
			if n := len(w.journal()); n != 6 {
				t.Errorf("%d of 6 messages for nobody reached the callbacks", n)
			}
			for id, raw := range ids {
				w.must(conn.SendText(message(raw)))
				if a := requests[id].over(w); a.err != nil || a.answer != message(raw) {
					t.Errorf("%q has %s, %v", id, a.answer, a.err)
				}
			}
			w.expect()
			w.must(conn.SendText(message(`"one"`))) // nobody waits any more
			if n := len(w.journal()); n != 1 {
				t.Errorf("%d callbacks", n)
			}
			if s := w.c.Status(); s.MessagesIn != 13 {
				t.Errorf("%d messages came in", s.MessagesIn)
			}
		})
	}
}

func TestAnswersGoToNobodyElse(t *testing.T) {
	var seen atomic.Int32
	inBubble(t, wsnotify.Config{OnMessage: func(wsnotify.Message) { seen.Add(1) }}, func(w *world) {
		seen.Store(0)
		wsnotify.On(w.c, "a", func(any) { seen.Add(1) })
		messages, notes := w.c.Messages(w.Context()), w.c.Notifications(w.Context())
		go func() {
			for range messages {
				seen.Add(1)
			}
		}()
		go func() {
			for range notes {
				seen.Add(1)
			}
		}()
		conn := w.connect()
		a := w.askLater(bg, "7")
		w.must(conn.SendBinary([]byte(`{"id":7,"msgType":"a","content":"b"}`))) // JSON all the same
		if a.over(w).err != nil || seen.Load() != 0 {
			t.Errorf("%v, and %d others saw it", a.err, seen.Load())
		}
		w.journal()
	})
}

func TestRequestAnswersAsSendDoes(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		_, err := w.ask(bg, "1")
		w.wantErr(err, wsnotify.ErrNotConnected)
		w.net.Hang(true)
		go w.c.Connect(bg, w.srv.URL(), "ada")
		synctest.Wait()
		_, err = w.ask(bg, "1")
		w.wantErr(err, wsnotify.ErrNotConnected)
		w.net.Hang(false)
		w.must(w.c.WaitFor(bg, wsnotify.Open))
		for _, bad := range []func() (wsnotify.Message, error){
			func() (wsnotify.Message, error) { return w.c.Request(bg, "", wsnotify.MessageText, nil) },
			func() (wsnotify.Message, error) { return w.c.Request(bg, "\xff", wsnotify.MessageText, nil) },
			func() (wsnotify.Message, error) { return w.c.Request(bg, "1", wsnotify.MessageText, []byte("\xff")) },
			func() (wsnotify.Message, error) { return w.c.Request(bg, "1", 9, nil) },
		} {
			if _, err := bad(); err == nil || errors.Is(err, wsnotify.ErrNotConnected) || errors.Is(err, wsnotify.ErrUnconfirmed) {
				t.Errorf("%v", err)
			}
		}
		ctx, cancel := context.WithCancel(bg)
		cancel()
		if _, err = w.ask(ctx, "1"); err != context.Canceled {
			t.Error(err)
		}
		synctest.Wait()
		if got := w.srv.Messages("ada"); len(got) != 0 {
			t.Errorf("the server got %q", got)
		}
		w.conn().Drop()
		synctest.Wait()
		_, err = w.ask(bg, "1")
		if w.wantErr(err, wsnotify.ErrNotConnected); errors.Is(err, wsnotify.ErrClosed) {
			t.Error(err)
		}
		w.must(w.c.Disconnect())
		_, err = w.ask(bg, "1")
		w.wantErr(err, wsnotify.ErrClosed)
	})
}

func TestRequestThatGivesUp(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		w.journal()
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		a, other := w.askLater(ctx, "1"), w.askLater(bg, "other")
		for range 2 { // both kinds: waited for, and given up
			_, err := w.ask(bg, "1")
			if err == nil || !strings.Contains(err.Error(), `"1"`) || errors.Is(err, wsnotify.ErrNotConnected) || errors.Is(err, wsnotify.ErrUnconfirmed) {
				t.Errorf("the id was taken: %v", err)
			}
			w.pass(time.Second)
		}
		w.wantErr(a.over(w).err, wsnotify.ErrUnconfirmed)
		w.wantErr(a.err, context.DeadlineExceeded)
		if want := `wsnotify: no answer to request "1", which was written, so that the server may or may not have got it: context deadline exceeded`; a.err.Error() != want {
			t.Error(a.err)
		}
		w.must(conn.SendText(`{"id":1,"msgType":"late","content":"x"}`))
		w.expect() // is dropped, once
		w.must(conn.SendText(`{"id":1,"msgType":"twice","content":"x"}`))
		w.expect("2s notification twice: x")
		w.must(conn.SendText(`{"id":"other"}`))
		w.must(other.over(w).err)
		if _, err := w.ask(bg, "1"); err == nil || errors.Is(err, wsnotify.ErrUnconfirmed) {
			t.Errorf("the id was taken: %v", err)
		}
		conn.Drop()
		w.pass(10 * time.Second)
		a = w.askLater(bg, "1") // another connection, another matter
		w.must(w.conn().SendText(`{"id":"1"}`))
		w.must(a.over(w).err)
		w.journal()
	})
}

// The ids of the last 4096 are kept, and with them what is dropped.
func TestIDsOfAbandonedRequestsAreLimited(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		w.journal()
		const all = 4096 + 100
		ctx, cancel := context.WithCancel(bg)
		var wait sync.WaitGroup
		for i := range all {
			synctest.Wait()
			if i > 100 {
				wait.Go(func() { w.ask(ctx, fmt.Sprint(i)) })
				continue
			}
			short, end := context.WithTimeout(bg, time.Nanosecond)
			w.ask(short, fmt.Sprint(i))
			end()
		}
		synctest.Wait()
		cancel()
		wait.Wait()
		for _, id := range []int{100, all - 1} {
			if _, err := w.ask(bg, fmt.Sprint(id)); err == nil {
				t.Errorf("%d was taken again", id)
			}
		}
		for id := range all {
			w.must(conn.SendText(fmt.Sprintf(`{"id":%d,"msgType":"late","content":"x"}`, id)))
		}
		if n := len(w.journal()); n != 100 {
			t.Errorf("%d answers reached the callbacks, and not 100", n)
		}
		a := w.askLater(bg, "99")
		w.must(conn.SendText(`{"id":"99"}`))
		w.must(a.over(w).err)
	})
}

// What was certainly not sent keeps no id.
func TestRequestThatWasNotSentKeepsNoID(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.net.Buffer(1024)
		conn := w.connect()
		conn.StopReading(true)
		go w.c.Send(bg, wsnotify.MessageBinary, make([]byte, 100_000))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		_, err := w.ask(ctx, "1")
		if err != context.DeadlineExceeded {
			t.Errorf("%v", err)
		}
		conn.StopReading(false)
		w.pass(time.Second)
		a := w.askLater(bg, "1")
		w.must(conn.SendText(`{"id":"1"}`))
		w.must(a.over(w).err)
	})
}

func TestRequestEndsWithItsConnection(t *testing.T) {
	for name, end := range map[string]func(*world, *wsnotifytest.Conn){
		"FIN":         func(_ *world, c *wsnotifytest.Conn) { c.Drop() },
		"RST":         func(_ *world, c *wsnotifytest.Conn) { c.Reset() },
		"close frame": func(_ *world, c *wsnotifytest.Conn) { c.Close(1012, "") },
		"violation":   func(_ *world, c *wsnotifytest.Conn) { c.WriteFrame(true, 3, nil) },
		"silence":     func(_ *world, c *wsnotifytest.Conn) { c.BlackHole(true) },
		"Reconnect":   func(w *world, _ *wsnotifytest.Conn) { w.c.Reconnect() },
		"Disconnect":  func(w *world, _ *wsnotifytest.Conn) { w.c.Disconnect() },
		"Connect":     func(w *world, _ *wsnotifytest.Conn) { w.c.Connect(bg, w.srv.URL(), "eve") },
		"in silence":  func(w *world, c *wsnotifytest.Conn) { c.BlackHole(true); w.c.Disconnect() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{}, func(w *world) {
				conn := w.connect()
				a := w.askLater(bg, "1")
				end(w, conn)
				w.pass(12 * time.Second)
				w.wantErr(a.over(w).err, wsnotify.ErrUnconfirmed)
				if errors.Is(a.err, wsnotify.ErrNotConnected) {
					t.Errorf("it says that nothing was sent: %v", a.err)
				}
				w.pass(10 * time.Second)
				w.journal()
				for _, c := range w.srv.LiveConns() { // an answer of another connection is none
					w.must(c.SendText(`{"id":"1","msgType":"a","content":"b"}`))
					w.expect(fmt.Sprintf("%v notification a: b", time.Since(w.start)))
				}
			})
		})
	}
}

// An answer that came just before the end is the answer.
func TestAnswerJustBeforeTheEnd(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		a := w.askLater(bg, "1")
		w.must(conn.WriteRaw(append(wsnotifytest.AppendFrame(nil, true, wsnotifytest.OpText, []byte(`{"id":1}`)), 0xff)))
		w.must(a.over(w).err)
	})
}

func TestRequestInCallbacks(t *testing.T) {
	var w *world
	var answers []string
	ask := func(where string) {
		answer, err := w.ask(bg, where)
		answers = append(answers, fmt.Sprint(answer, err))
	}
	once := false
	inBubble(t, wsnotify.Config{
		OnOpen:         func(wsnotify.OpenEvent) { ask("open") },
		OnMessage:      func(wsnotify.Message) { ask("message") },
		OnNotification: func(wsnotify.Notification) { ask("notification") },
		OnError: func(error) {
			if !once {
				once = true
				ask("error")
			}
		},
	}, func(world *world) {
		w, answers, once = world, nil, false
		wsnotify.On(w.c, "a", func(string) { ask("handler") })
		wsnotify.On(w.c, "a", func(int) {})
		w.srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
			if strings.Contains(string(data), "id") {
				c.SendText(string(data))
			}
		})
		conn := w.connect()
		synctest.Wait()
		w.must(conn.Notify("a", "b"))
		synctest.Wait()
		if got := fmt.Sprint(answers); got != `[{"id":"open"}<nil> {"id":"message"}<nil> {"id":"notification"}<nil> {"id":"handler"}<nil> {"id":"error"}<nil>]` {
			t.Error(got)
		}
	})
}

// The body of a loop holds up the callbacks as one of them does.
func TestRequestInALoopWhileTheInboxIsFull(t *testing.T) {
	inBubble(t, wsnotify.Config{Inbox: wsnotify.Inbox{Messages: 2}}, func(w *world) {
		messages := w.c.Messages(w.Context())
		result := make(chan error, 1)
		go func() {
			for range messages {
				time.Sleep(time.Second) // until the inbox is full
				_, err := w.ask(bg, "inside")
				result <- err
				return
			}
		}()
		conn := w.connect()
		for range 10 {
			w.must(conn.Notify("a", "b"))
		}
		if err := <-result; err == nil || !strings.Contains(err.Error(), "inbox is full") {
			t.Errorf("Request: %v", err)
		}
	})
}

// In a callback that the reader waits for no answer can be read: an error at
// once, whether the inbox was full before the request or became so later. A
// request of another goroutine waits as before.
func TestRequestInACallbackWhileTheInboxIsFull(t *testing.T) {
	for _, later := range []bool{false, true} {
		var w *world
		var err error
		var took time.Duration
		called := false
		inBubble(t, wsnotify.Config{
			Inbox: wsnotify.Inbox{Messages: 4},
			OnMessage: func(wsnotify.Message) {
				if called {
					return
				}
				called = true
				if !later {
					time.Sleep(time.Second) // until the inbox is full
				}
				begin := time.Now()
				_, err = w.ask(bg, "inside")
				took = time.Since(begin)
				time.Sleep(time.Second)
			},
		}, func(world *world) {
			w, called = world, false
			conn := w.connect()
			outside := w.askLater(bg, "outside")
			w.must(conn.Notify("a", "b"))
			synctest.Wait()
			for range 20 {
				w.must(conn.Notify("a", "b"))
			}
			w.must(conn.SendText(`{"id":"outside"}`))
			w.must(conn.SendText(`{"id":"inside","msgType":"answer","content":"x"}`))
			w.pass(500 * time.Millisecond)
			during := w.askLater(bg, "during")
			w.must(conn.SendText(`{"id":"during"}`))
			for _, a := range []*asked{outside, during} {
				select {
				case <-a.done:
					t.Errorf("the request %s has ended: %v", a.id, a.err)
				default:
				}
			}
			w.pass(3 * time.Second)
			w.must(outside.over(w).err)
			w.must(during.over(w).err)
			if err == nil || !strings.Contains(err.Error(), "callback") || took != 0 {
				t.Errorf("after %v: %v", took, err)
			}
			if errors.Is(err, wsnotify.ErrUnconfirmed) != later {
				t.Errorf("later %v: %v", later, err)
			}
			sent := strings.Contains(fmt.Sprint(w.srv.Messages("ada")), "inside")
			answered := strings.Contains(fmt.Sprint(w.journal()), "answer: x")
			if sent != later || answered == later {
				t.Errorf("later %v: it was sent %v, and what looks like an answer reached a callback %v", later, sent, answered)
			}
		})
	}
}

func TestTenThousandRequestsAtOnce(t *testing.T) {
	const all = 10_000
	inBubble(t, wsnotify.Config{}, func(w *world) {
		questions := make(chan string, all)
		w.srv.RecordMessages(false)
		w.srv.OnMessage(func(_ *wsnotifytest.Conn, _ byte, data []byte) {
			if data[0] == '{' {
				questions <- string(data)
			}
		})
		conn := w.connect()
		var wait sync.WaitGroup
		var wrong atomic.Int32
		for i := range all {
			wait.Go(func() {
				id := fmt.Sprint(i)
				if answer, err := w.ask(bg, id); err != nil || answer != `{"id":"`+id+`"}` {
					wrong.Add(1)
				}
			})
		}
		synctest.Wait()
		if len(questions) != all {
			t.Fatalf("%d questions", len(questions))
		}
		late := []string{}
		for len(questions) > 0 {
			late = append(late, <-questions)
		}
		for i := range late { // the last first
			w.must(conn.SendText(late[all-1-i]))
		}
		wait.Wait()
		if n := wrong.Load(); n > 0 {
			t.Errorf("%d of them have another's answer, or none", n)
		}
	})
}

func TestRequestJSON(t *testing.T) {
	type question struct {
		ID     int    `json:"id"`
		Method string `json:"method"`
	}
	type reply struct {
		ID     int
		Result []string
	}
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
			switch string(data) {
			case `{"id":7,"method":"list"}`:
				c.SendText(`{"id":7,"result":["a","b"]}`)
			case `{"id":8,"method":"list"}`:
				c.SendText(`{"id":8,"result":"none\u001b"}`)
			}
		})
		w.connect()
		got, err := wsnotify.RequestJSON[reply](bg, w.c, "7", question{7, "list"})
		if err != nil || fmt.Sprint(got) != "{7 [a b]}" {
			t.Errorf("%v %v", got, err)
		}
		got, err = wsnotify.RequestJSON[reply](bg, w.c, "8", question{8, "list"})
		var typ *json.UnmarshalTypeError
		if !errors.As(err, &typ) || got.ID != 0 || !strings.Contains(err.Error(), `"8"`) {
			t.Errorf("%v %v", got, err)
		}
		if _, err = wsnotify.RequestJSON[reply](bg, w.c, "9", func() {}); err == nil || errors.Is(err, wsnotify.ErrUnconfirmed) {
			t.Error(err)
		}
		w.must(w.c.Disconnect())
		_, err = wsnotify.RequestJSON[reply](bg, w.c, "9", 1)
		w.wantErr(err, wsnotify.ErrClosed)
	})
}

// A request ends with its connection also when the user's net.Conn does not end.
func TestRequestEndsThoughItsConnDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := wsnotifytest.NewNetwork(t)
		release := make(chan struct{})
		w := &world{T: t, net: network, srv: network.NewServer(), start: time.Now()}
		w.c = wsnotify.New(wsnotify.Config{
			CloseTimeout: time.Second, Envelope: wsnotify.Envelope{ID: "id"},
			HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, n, addr string) (net.Conn, error) {
				conn, err := network.DialContext(ctx, n, addr)
				return &stubbornConn{Conn: conn, release: release}, err
			}}},
		})
		conn := w.connect()
		conn.AnswerClose(false)
		asked := w.askLater(bg, "7")
		w.c.Disconnect()
		w.wantErr(asked.over(w).err, wsnotify.ErrNotAcknowledged)
		close(release)
		<-w.c.Done()
	})
}

// An answer may come as binary, if it is JSON in UTF-8.
func TestBinaryAnswers(t *testing.T) {
	for answer, want := range map[string]bool{`{"id":"1","x":"ü"}`: true, "{\"id\":\"1\",\"x\":\"\xfc\"}": false} {
		inBubble(t, wsnotify.Config{Heartbeat: noText}, func(w *world) {
			conn := w.connect()
			ctx, cancel := context.WithTimeout(w.Context(), time.Second)
			defer cancel()
			w.srv.OnMessage(func(*wsnotifytest.Conn, byte, []byte) { conn.SendBinary([]byte(answer)) })
			got, err := w.c.Request(ctx, "1", wsnotify.MessageText, []byte(`{"id":"1"}`))
			if (err == nil) != want || want && string(got.Data) != answer {
				t.Errorf("%q: %q, %v", answer, got.Data, err)
			}
			if delivered := fmt.Sprintf("0s message binary %q", answer); slices.Contains(w.journal(), delivered) == want {
				t.Errorf("%q was delivered: %v", answer, !want)
			}
		})
	}
}

// slowToEnd is a context that says only a second later that it has ended.
type slowToEnd struct{ context.Context }

func (c slowToEnd) Err() error {
	err := c.Context.Err()
	if err != nil {
		time.Sleep(time.Second)
	}
	return err
}

// What comes at the moment at which ctx ends is the answer all the same.
func TestAnswerThatComesWithTheEndOfCtx(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: -1}}, func(w *world) {
		w.srv.Latency(100 * time.Millisecond)
		conn := w.connect()
		ctx, cancel := context.WithTimeout(w.Context(), 150*time.Millisecond)
		defer cancel()
		a := make(chan error, 1)
		go func() { _, err := w.ask(slowToEnd{ctx}, "1"); a <- err }()
		go func() {
			rtt, err := w.c.Ping(slowToEnd{ctx})
			if rtt != 200*time.Millisecond {
				err = fmt.Errorf("a pong after %v, %w", rtt, err)
			}
			a <- err
		}()
		w.pass(100 * time.Millisecond)
		w.must(conn.SendText(`{"id":"1"}`))
		w.must(<-a)
		w.must(<-a)
		w.journal()
		w.must(conn.SendText(`{"id":"1","msgType":"again","content":"x"}`)) // nobody waits any more
		w.pass(time.Second)
		w.expect("1.65s notification again: x")
	})
}
