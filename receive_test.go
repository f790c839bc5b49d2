package wsnotify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestNotificationsOfTheStore(t *testing.T) {
	var got []wsnotify.Notification
	inBubble(t, wsnotify.Config{OnNotification: func(n wsnotify.Notification) { got = append(got, n) }}, func(w *world) {
		got = nil
		conn := w.connect()
		fallback := [2]string{"您有新的通知", "您有新的通知，请前往消息列表查看"}
		tests := []struct {
			text     string
			want     [2]string
			fallback bool
		}{
			{`{"msgType":"a","content":"b"}`, [2]string{"a", "b"}, false},
			{`{"msgType":"a","content":"b","MsgType":"x","CONTENT":"y"}`, [2]string{"a", "b"}, false},
			{`{"msgType":"x","msgType":"a","content":"y","content":"b"}`, [2]string{"a", "b"}, false},
			{`{"msgType":"a","content":{"n": 1}}`, [2]string{"a", `{"n": 1}`}, false},
			{`{"msgType":7,"content":[]}`, [2]string{"7", "[]"}, false},
			{`{"MSGTYPE":"a","content":"b"}`, fallback, true},
			{`{"msgType":"a","content":""}`, fallback, true},
			{`{"msgType":"a","content":0}`, fallback, true},
			{`{"msgType":"a","content":false}`, fallback, true},
			{`{"msgType":"a","content":null}`, fallback, true},
			{`{"content":"b"}`, fallback, true},
			{`{}`, fallback, true},
			{`[1]`, fallback, true},
			{`null`, fallback, true},
			{`"text"`, fallback, true},
		}
		for _, test := range tests {
			w.must(conn.SendText(test.text))
		}
		synctest.Wait()
		if len(got) != len(tests) {
			t.Fatalf("%d notifications", len(got))
		}
		for i, test := range tests {
			n := got[i]
			if [2]string{n.MsgType, n.Content} != test.want || n.Fallback != test.fallback || string(n.Raw) != test.text || n.Epoch != 1 {
				t.Errorf("%s gave %+v", test.text, n)
			}
		}
	})
}

func TestFallbackCanBeChanged(t *testing.T) {
	inBubble(t, wsnotify.Config{Fallback: wsnotify.Notification{MsgType: "news", Content: "look"}}, func(w *world) {
		conn := w.connect()
		w.journal()
		w.must(conn.SendText(`{}`))
		w.expect("0s notification news: look")
	})
}

func TestWhatIsNotJSONIsAnErrorAndNoMore(t *testing.T) {
	var got error
	inBubble(t, wsnotify.Config{OnError: func(err error) { got = err }}, func(w *world) {
		conn := w.connect()
		w.journal()
		w.must(conn.SendText(`hello`))
		w.must(conn.Notify("a", "b"))
		w.expect("0s error parse", "0s notification a: b")
		var parse *wsnotify.ParseError
		if !errors.As(got, &parse) || string(parse.Data) != "hello" {
			t.Errorf("%v", got)
		}
	})
}

func TestBinaryMessagesGoToOnMessageOnly(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		w.journal()
		w.must(conn.SendBinary([]byte(`{"msgType":"a","content":"b"}`)))
		w.expect(`0s message binary "{\"msgType\":\"a\",\"content\":\"b\"}"`)
	})
}

type order struct {
	ID    int
	Items []string
}

func TestTypedHandlers(t *testing.T) {
	var orders []order
	var texts []string
	var raws []string
	var failed *wsnotify.DecodeError
	inBubble(t, wsnotify.Config{OnError: func(err error) { errors.As(err, &failed) }}, func(w *world) {
		orders, texts, raws = nil, nil, nil
		offOrders := wsnotify.On(w.c, "order", func(o order) { orders = append(orders, o) })
		wsnotify.On(w.c, "text", func(s string) { texts = append(texts, s) })
		wsnotify.On(w.c, "order", func(raw json.RawMessage) { raws = append(raws, string(raw)) })
		conn := w.connect()
		w.must(conn.SendText(`{"msgType":"order","content":{"ID":7,"Items":["a"]}}`))
		w.must(conn.SendText(`{"msgType":"order","content":"{\"ID\":8}"}`)) // JSON in a string
		w.must(conn.SendText(`{"msgType":"text","content":"{\"ID\":8}"}`))
		w.must(conn.SendText(`{"msgType":"order","content":"eight"}`))
		w.must(conn.SendText(`{"msgType":"ORDER","content":{"ID":9}}`))
		synctest.Wait()
		if fmt.Sprint(orders) != "[{7 [a]} {8 []}]" || fmt.Sprint(texts) != `[{"ID":8}]` || len(raws) != 3 {
			t.Errorf("%v %v %v", orders, texts, raws)
		}
		if failed == nil || failed.MsgType != "order" || failed.Content != "eight" {
			t.Errorf("%+v", failed)
		}
		offOrders()
		offOrders()
		w.must(conn.SendText(`{"msgType":"order","content":{"ID":10}}`))
		synctest.Wait()
		if len(orders) != 2 || len(raws) != 4 {
			t.Errorf("after off: %v %v", orders, raws)
		}
	})
}

func TestHandlersMayChangeHandlers(t *testing.T) {
	calls := 0
	inBubble(t, wsnotify.Config{}, func(w *world) {
		var off func()
		off = wsnotify.On(w.c, "a", func(string) {
			calls++
			off()
			wsnotify.On(w.c, "a", func(string) { calls += 10 })
		})
		conn := w.connect()
		w.must(conn.Notify("a", "1"))
		w.must(conn.Notify("a", "2"))
		synctest.Wait()
		if calls != 11 {
			t.Errorf("calls: %d", calls)
		}
	})
}

func TestDecode(t *testing.T) {
	var o order
	n := wsnotify.Notification{MsgType: "order", Content: `{"ID":3}`} // made by hand, in a user's test
	if err := n.Decode(&o); err != nil || o.ID != 3 {
		t.Errorf("%v %v", o, err)
	}
	n.Raw = json.RawMessage(`{"msgType":"order","content":{"ID":4}}`)
	if err := n.Decode(&o); err != nil || o.ID != 4 {
		t.Errorf("%v %v", o, err)
	}
	var s string
	n = wsnotify.Notification{MsgType: "a", Content: "plain"}
	if err := n.Decode(&s); err != nil || s != "plain" {
		t.Errorf("%q %v", s, err)
	}
	if n.Decode(&o) == nil {
		t.Error("text was decoded as a struct")
	}
}

func TestViolationsOfThePeer(t *testing.T) {
	frame := func(b0 byte, payload string) []byte {
		return append([]byte{b0, byte(len(payload))}, payload...)
	}
	for name, test := range map[string]struct {
		raw  []byte
		code wsnotify.StatusCode
	}{
		"not UTF-8":            {frame(0x81, "\xff\xfe"), 1007},
		"reserved opcode":      {frame(0x83, "x"), 1002},
		"reserved bit":         {frame(0xC1, "x"), 1002},
		"fragmented ping":      {frame(0x09, "x"), 1002},
		"continuation of none": {frame(0x80, "x"), 1002},
		"new message inside":   {append(frame(0x01, "a"), frame(0x81, "b")...), 1002},
		"close code 999":       {frame(0x88, "\x03\xe7"), 1002},
		"close code 1005":      {frame(0x88, "\x03\xed"), 1002},
		"close of one byte":    {frame(0x88, "x"), 1002},
		"reason not UTF-8":     {frame(0x88, "\x03\xe8\xff"), 1007},
		"masked":               {[]byte{0x81, 0x81, 1, 2, 3, 4, 'a' ^ 1}, 1002},
		"too long":             {wsnotifytest.AppendFrame(nil, true, wsnotifytest.OpText, make([]byte, 101)), 1009},
		"length too wide":      {[]byte{0x81, 126, 0, 1, 'a'}, 1002},
		"much too wide":        {[]byte{0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 1002},
		"negative length":      {[]byte{0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 1}, 1002},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{ReadLimit: 100}, func(w *world) {
				conn := w.connect()
				w.journal()
				w.must(conn.SendText(`{"msgType":"a","content":"before"}`))
				w.must(conn.WriteRaw(test.raw))
				synctest.Wait()
				w.expect("0s notification a: before", "0s CLOSED", "0s error violation",
					`0s close 1 code=1006 reason="" clean=false again=true`, "0s reconnect 1 in 10s")
				if f := w.c.Status().LastFailure; f.Code != test.code || f.Initiator != wsnotify.Remote || f.Phase != wsnotify.PhaseOpen {
					t.Errorf("%+v", f)
				}
				if codes := w.srv.CloseCodes(); len(codes) != 1 || codes[0] != int(test.code) {
					t.Errorf("the server got the close codes %v", codes)
				}
				w.pass(10 * time.Second)
				if !w.c.IsConnected() {
					t.Error("it did not reconnect")
				}
			})
		})
	}
}

func TestReadLimit(t *testing.T) {
	for limit, size := range map[int64]int{0: 1 << 20, 100: 100, -1: 3 << 20} {
		got := 0
		inBubble(t, wsnotify.Config{ReadLimit: limit, OnMessage: func(m wsnotify.Message) { got = len(m.Data) }}, func(w *world) {
			conn := w.connect()
			w.must(conn.SendBinary(make([]byte, size)))
			synctest.Wait()
			if got != size || !w.c.IsConnected() {
				t.Errorf("limit %d: got %d bytes of %d", limit, got, size)
			}
		})
	}
}

// What came before the end is delivered before OnClose, and a message that is
// not whole is not delivered at all.
func TestWhatWasReceivedBeforeTheEndIsDelivered(t *testing.T) {
	for name, end := range map[string]func(*wsnotifytest.Conn){
		"FIN":            func(c *wsnotifytest.Conn) { c.Drop() },
		"half a header":  func(c *wsnotifytest.Conn) { c.WriteRaw([]byte{0x81}); c.Drop() },
		"half a frame":   func(c *wsnotifytest.Conn) { c.WriteRaw([]byte{0x81, 10, '{', '}'}); c.Drop() },
		"half a message": func(c *wsnotifytest.Conn) { c.WriteFrame(false, wsnotifytest.OpText, []byte("{}")); c.Drop() },
		"a close frame":  func(c *wsnotifytest.Conn) { c.Close(1000, "") },
		"between frames": func(c *wsnotifytest.Conn) {
			c.WriteFrame(false, wsnotifytest.OpText, []byte("{"))
			c.WriteFrame(false, 0, []byte("}"))
			c.Drop()
		},
		"an empty start":   func(c *wsnotifytest.Conn) { c.WriteFrame(false, wsnotifytest.OpText, nil); c.Drop() },
		"a ping and a FIN": func(c *wsnotifytest.Conn) { c.Ping(""); c.Drop() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{}, func(w *world) {
				conn := w.connect()
				w.journal()
				for i := range 3 {
					w.must(conn.Notify("n", i+1))
				}
				end(conn)
				log := w.journal()
				if len(log) != 6 || !strings.Contains(log[2], "notification n: 3") || !strings.HasSuffix(log[3], "CLOSED") ||
					!strings.Contains(log[4], "close 1") || !strings.Contains(log[5], "reconnect") {
					t.Errorf("%q", log)
				}
			})
		})
	}
}

func TestFullInboxStopsTheReader(t *testing.T) {
	var release chan struct{}
	got := 0
	inBubble(t, wsnotify.Config{
		Inbox:     wsnotify.Inbox{Messages: 10, Bytes: -1},
		OnMessage: func(wsnotify.Message) { <-release; got++ },
	}, func(w *world) {
		release, got = make(chan struct{}), 0
		w.net.Buffer(1024)
		conn := w.connect()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range 1000 {
				conn.SendBinary(make([]byte, 100))
			}
		}()
		w.pass(5 * time.Second)
		select {
		case <-sent:
			t.Error("the server could write all of it")
		default:
		}
		if n := w.c.Status().MessagesIn; n != 11 {
			t.Errorf("%d messages were read with an inbox of 10", n)
		}
		close(release)
		<-sent
		synctest.Wait()
		if got != 1000 {
			t.Errorf("%d messages were delivered", got)
		}
	})
}

func TestInboxLimitsBytes(t *testing.T) {
	var release chan struct{}
	delivered := 0
	inBubble(t, wsnotify.Config{
		Inbox:     wsnotify.Inbox{Bytes: 1000},
		OnMessage: func(wsnotify.Message) { <-release; delivered++ },
	}, func(w *world) {
		release = make(chan struct{})
		conn := w.connect()
		for range 5 {
			w.must(conn.SendBinary(make([]byte, 400)))
		}
		w.must(conn.SendBinary(make([]byte, 5000))) // alone, once there is capacity
		synctest.Wait()
		if n := w.c.Status().MessagesIn; n != 3 {
			t.Errorf("%d messages were read", n)
		}
		close(release)
		synctest.Wait()
		if delivered != 6 {
			t.Errorf("%d messages were delivered", delivered)
		}
	})
}

func TestCallbackThatSendsWhileTheConnectionIsDown(t *testing.T) {
	var w *world
	var errs []error
	inBubble(t, wsnotify.Config{
		OnClose: func(wsnotify.CloseEvent) {
			errs = append(errs, w.c.SendMessage(context.Background(), "now"), w.c.Enqueue(wsnotify.MessageText, []byte("later")))
		},
	}, func(world *world) {
		w, errs = world, nil
		w.connect().Drop()
		w.pass(10 * time.Second)
		w.wantErr(errs[0], wsnotify.ErrNotConnected)
		if errors.Is(errs[0], wsnotify.ErrClosed) {
			t.Error("it is ErrClosed")
		}
		w.must(errs[1])
		if got := fmt.Sprint(w.srv.Messages("ada")); got != "[later]" {
			t.Errorf("the server got %s", got)
		}
	})
}

func TestEveryMethodInEveryCallback(t *testing.T) {
	var w *world
	var calls atomic.Int32 // hooks run beside the callbacks
	all := func() {
		calls.Add(1)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.c.ReadyState()
		w.c.IsConnected()
		w.c.Status()
		w.c.Err()
		w.c.Done()
		w.c.ReconnectAttempts()
		w.c.SendMessage(ctx, "x")
		w.c.SendJSON(ctx, 1)
		w.c.Enqueue(wsnotify.MessageText, []byte("y"))
		w.c.Flush(ctx)
		w.c.Ping(ctx)
		w.c.WaitFor(ctx, wsnotify.Open)
		wsnotify.On(w.c, "q", func(string) {})()
	}
	inBubble(t, wsnotify.Config{
		OnStateChange:  func(wsnotify.StateChange) { all() },
		OnOpen:         func(wsnotify.OpenEvent) { all() },
		OnClose:        func(wsnotify.CloseEvent) { all() },
		OnReconnecting: func(wsnotify.ReconnectEvent) { all(); w.c.Reconnect() },
		OnGiveUp:       func(*wsnotify.GiveUpError) { all() },
		OnError:        func(error) { all() },
		OnMessage:      func(wsnotify.Message) { all() },
		OnNotification: func(wsnotify.Notification) { all() },
		BeforeDial:     func(context.Context, *wsnotify.DialRequest) error { all(); return nil },
		OnHandshake:    func(context.Context, *wsnotify.Handshake) error { all(); return nil },
	}, func(world *world) {
		w = world
		conn := w.connect()
		w.must(conn.SendText("not JSON"))
		w.must(conn.Notify("q", "x"))
		w.pass(time.Minute)
		w.srv.Stop()
		<-w.c.Done()
		if n := calls.Load(); n < 30 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestIterators(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		seq := w.c.Notifications(context.Background())
		for i := range 5 {
			w.must(conn.Notify("n", i+1))
		}
		var got []string
		for n := range seq {
			if got = append(got, n.Content); len(got) == 3 {
				break
			}
		}
		if fmt.Sprint(got) != "[1 2 3]" {
			t.Errorf("%v", got)
		}
		synctest.Wait()
		messages := make(chan int)
		go func() {
			count := 0
			for range w.c.Messages(context.Background()) {
				count++
			}
			messages <- count
		}()
		synctest.Wait()
		w.must(conn.SendBinary([]byte("x")))
		w.must(conn.SendText("{}"))
		synctest.Wait()
		w.must(w.c.Disconnect())
		if n := <-messages; n != 2 {
			t.Errorf("%d messages", n)
		}
		for range w.c.Messages(context.Background()) {
			t.Error("a message after the end")
		}
	})
}

func TestIteratorEndsWithItsContext(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		conn := w.connect()
		ctx, cancel := context.WithCancel(context.Background())
		seq := w.c.Messages(ctx)
		w.must(conn.SendText("{}")) // nobody takes it
		synctest.Wait()
		cancel()
		for range seq {
			break
		}
		w.journal()
		w.must(conn.Notify("a", "b"))
		w.expect("0s notification a: b")
	})
}

// Data and Raw are the receiver's to keep and to change.
func TestReceivedMemoryIsTheReceivers(t *testing.T) {
	var kept []wsnotify.Message
	var notes []wsnotify.Notification
	inBubble(t, wsnotify.Config{
		OnMessage: func(m wsnotify.Message) {
			kept = append(kept, m)
			for i := range m.Data {
				m.Data[i] = 'x'
			}
		},
		OnNotification: func(n wsnotify.Notification) { notes = append(notes, n) },
	}, func(w *world) {
		kept, notes = nil, nil
		conn := w.connect()
		for i := range 100 {
			w.must(conn.Notify("n", fmt.Sprint("content ", i)))
		}
		synctest.Wait()
		if len(notes) != 100 {
			t.Fatalf("%d notifications", len(notes))
		}
		for i, n := range notes {
			want := fmt.Sprint("content ", i)
			if n.Content != want || !strings.Contains(string(n.Raw), want) || strings.Trim(string(kept[i].Data), "x") != "" {
				t.Fatalf("%d: %+v %s", i, n, kept[i].Data)
			}
		}
	})
}
