package wsnotify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestEnvelopeOfOtherFields(t *testing.T) {
	d := wsnotify.Envelope{Type: "t", Content: "d"}
	for _, test := range []struct {
		envelope      wsnotify.Envelope
		text          string
		typ, content  string
		fallback, err bool
	}{
		{envelope: d, text: `{"t":"a","d":"b"}`, typ: "a", content: "b"},
		{envelope: d, text: `{"d":{"n": 1},"t":"a"}`, typ: "a", content: `{"n": 1}`},
		{envelope: d, text: `{"t":"x","\u0074":"a","d":1,"d":2}`, typ: "a", content: "2"},
		{envelope: d, text: `{"t":"a"}`, typ: "a"},
		{envelope: d, text: `{"t":"a","d":""}`, typ: "a"},
		{envelope: d, text: `{"t":"a","d":null}`, typ: "a", content: "null"},
		{envelope: d, text: `{"t":"a","d":0}`, typ: "a", content: "0"},
		{envelope: d, text: `{"t":"a","d":false}`, typ: "a", content: "false"},
		{envelope: d, text: `{"t":7,"d":[]}`, typ: "7", content: "[]"},
		{envelope: d, text: `{"t":0,"d":1}`, typ: "0", content: "1"},
		{envelope: d, text: `{"t":{"x":1}}`, typ: `{"x":1}`},
		{envelope: d, text: `{"t":"","d":1}`, fallback: true},
		{envelope: d, text: `{"t":null,"d":1}`, fallback: true},
		{envelope: d, text: `{"t":false,"d":1}`, fallback: true},
		{envelope: d, text: `{"msgType":"a","content":"b"}`, fallback: true},
		{envelope: d, text: `["t","d"]`, fallback: true},
		{envelope: d, text: `7`, fallback: true},
		{envelope: d, text: `{"t":"a","d"}`, err: true},
		{envelope: wsnotify.Envelope{Type: "method"}, text: `{"method":"a","content":"b"}`, typ: "a", content: "b"},
		{envelope: wsnotify.Envelope{Content: "params"}, text: `{"msgType":"a","params":0}`, typ: "a", content: "0"},
		{envelope: wsnotify.Envelope{Type: "op", Content: "."}, text: ` {"op":"a"} `, typ: "a", content: ` {"op":"a"} `},
		{envelope: wsnotify.Envelope{Type: "op", Content: "."}, text: `{"no":1}`, fallback: true},
		{envelope: wsnotify.Envelope{Type: "id", Content: "d", ID: "d"}, text: `{"id":1,"d":2}`, typ: "1", content: "2"},
		{envelope: wsnotify.Envelope{Type: `a"\`, Content: "内容"}, text: `{"a\"\\":"a","内\u5bb9":"b"}`, typ: "a", content: "b"},
		// The store's own: what it names is as it was, and so are the words for what lacks it.
		{envelope: wsnotify.Envelope{Type: "msgType", Content: "content", ID: "n"}, text: `{"msgType":"a","content":0}`,
			typ: "您有新的通知", content: "您有新的通知，请前往消息列表查看", fallback: true},
	} {
		var got []wsnotify.Notification
		var errs []error
		inBubble(t, wsnotify.Config{
			Envelope:       test.envelope,
			OnNotification: func(n wsnotify.Notification) { got = append(got, n) },
			OnError:        func(err error) { errs = append(errs, err) },
		}, func(w *world) {
			got, errs = nil, nil
			conn := w.connect()
			w.must(conn.SendText(test.text))
			w.must(conn.SendBinary([]byte(test.text))) // is none
			synctest.Wait()
			if test.err {
				var parse *wsnotify.ParseError
				if len(got) != 0 || len(errs) != 1 || !errors.As(errs[0], &parse) || !strings.Contains(errs[0].Error(), "not JSON") {
					t.Errorf("%s: %+v %v", test.text, got, errs)
				}
				return
			}
			if len(got) != 1 || len(errs) != 0 {
				t.Fatalf("%s: %+v %v", test.text, got, errs)
			}
			n := got[0]
			if n.MsgType != test.typ || n.Content != test.content || n.Fallback != test.fallback || string(n.Raw) != test.text || n.Epoch != 1 {
				t.Errorf("%+v: %s gave %+v", test.envelope, test.text, n)
			}
		})
	}
}

func TestFallbackOfAnotherEnvelopeHasTheTextOfConfig(t *testing.T) {
	inBubble(t, wsnotify.Config{
		Envelope: wsnotify.Envelope{Type: "t"},
		Fallback: wsnotify.Notification{MsgType: "news", Content: "look"},
	}, func(w *world) {
		conn := w.connect()
		w.journal()
		w.must(conn.SendText(`{}`))
		w.expect("0s notification news: look")
	})
}

// decoded is what Decode makes of a notification, as several types.
func decoded(n wsnotify.Notification) string {
	var s string
	var i int
	var o order
	var v any
	var raw json.RawMessage
	return fmt.Sprintf("%v %q, %v %d, %v %v, %v %v, %v %s", n.Decode(&s) == nil, s, n.Decode(&i) == nil, i,
		n.Decode(&o) == nil, o, n.Decode(&v) == nil, v, n.Decode(&raw) == nil, raw)
}

// A notification decodes by the envelope of its client, wherever it was kept,
// and whatever was done to its Raw; On does the same.
func TestDecodeKnowsTheEnvelope(t *testing.T) {
	for envelope, format := range map[*wsnotify.Envelope]string{
		{}:                                       `{"msgType":"x","content":%s}`,
		{Type: "t", Content: "d"}:                `{"t":"x","d":%s,"content":"wrong","msgType":"wrong"}`,
		{Type: "content", Content: "msgType"}:    `{"content":"x","msgType":%s}`,
		{Parse: split}:                           `x %s`,
		{Type: "t", Content: "d", ID: "msgType"}: `{"msgType":1,"content":2,"t":"x","d":%s}`,
	} {
		for content, want := range map[string]string{
			`"text"`:            `true "text", false 0, false {0 []}, true text, true "text"`,
			`"7"`:               `true "7", true 7, false {0 []}, true 7, true "7"`,
			`7`:                 `false "", true 7, false {0 []}, true 7, true 7`,
			`{"ID":3}`:          `false "", false 0, true {3 []}, true map[ID:3], true {"ID":3}`,
			`"{\"ID\":3}"`:      `true "{\"ID\":3}", false 0, true {3 []}, true {"ID":3}, true "{\"ID\":3}"`,
			`"\u0041\"\ud83d!"`: `true "A\"�!", false 0, false {0 []}, true A"�!, `,
		} {
			var called, pulled, typed []string
			on := func(v any) { typed = append(typed, fmt.Sprint(v)) }
			var kept wsnotify.Notification
			inBubble(t, wsnotify.Config{Envelope: *envelope, OnNotification: func(n wsnotify.Notification) { kept = n }}, func(w *world) {
				called, pulled, typed = nil, nil, nil
				seq := w.c.Notifications(context.Background())
				wsnotify.On(w.c, "x", func(s string) { on(s) })
				wsnotify.On(w.c, "x", func(o order) { on(o) })
				wsnotify.On(w.c, "x", func(v any) { on(v) })
				conn := w.connect()
				w.must(conn.SendText(fmt.Sprintf(format, content)))
				for n := range seq {
					pulled = append(pulled, decoded(n))
					break
				}
				synctest.Wait()
				called = append(called, decoded(kept))
			})
			want, wantTyped := want, ""
			if envelope.Parse != nil { // a string takes whatever it is
				switch content {
				case `7`, `{"ID":3}`:
					want = strings.Replace(want, `false ""`, fmt.Sprintf("true %q", content), 1)
				}
			}
			for _, got := range []string{called[0], pulled[0]} {
				if !strings.HasPrefix(got, want) {
					t.Errorf("%+v: %s decodes as\n\t%s\nand not\n\t%s", *envelope, content, got, want)
				}
			}
			parts := strings.Split(want, ", ")
			for i, part := range []string{parts[0], parts[2], parts[3]} {
				ok, v, _ := strings.Cut(part, " ")
				if ok == "true" {
					if i == 0 {
						json.Unmarshal([]byte(v), &v)
					}
					wantTyped += v + "\n"
				}
			}
			if got := strings.Join(typed, "\n") + "\n"; got != wantTyped {
				t.Errorf("%+v: %s came as\n%sand not\n%s", *envelope, content, got, wantTyped)
			}
		}
	}
}

// split is the Parse of lines of a word and the rest.
func split(m wsnotify.Message) (string, []byte, error) {
	typ, rest, ok := bytes.Cut(m.Data, []byte(" "))
	if !ok {
		return "", nil, fmt.Errorf("no space in a message of type %v", m.Type)
	}
	return string(typ), rest, nil
}

func TestDecodeOfMissingContentChangesNothing(t *testing.T) {
	for _, envelope := range []wsnotify.Envelope{{Type: "t"}, {Parse: func(m wsnotify.Message) (string, []byte, error) { return "x", nil, nil }}} {
		var typed []string
		inBubble(t, wsnotify.Config{Envelope: envelope, OnNotification: func(n wsnotify.Notification) {
			o := order{ID: 7}
			if err := n.Decode(&o); err != nil || o.ID != 7 || n.Content != "" {
				t.Errorf("%+v: %v %v", n, o, err)
			}
		}}, func(w *world) {
			typed = nil
			wsnotify.On(w.c, "x", func(o order) { typed = append(typed, fmt.Sprint(o)) })
			wsnotify.On(w.c, "x", func(struct{}) { typed = append(typed, "nothing") })
			wsnotify.On(w.c, "x", func(s string) { typed = append(typed, "text "+s) })
			w.must(w.connect().SendText(`{"t":"x"}`))
			synctest.Wait()
			if got := fmt.Sprintf("%q", typed); got != `["{0 []}" "nothing" "text "]` {
				t.Error(got)
			}
		})
	}
}

func TestParseSeesTextAndBinary(t *testing.T) {
	var errs []error
	var seen []wsnotify.Message
	var bodies []string
	inBubble(t, wsnotify.Config{
		Envelope: wsnotify.Envelope{Parse: func(m wsnotify.Message) (string, []byte, error) {
			seen = append(seen, m)
			defer clear(m.Data) // is its own
			typ, content, err := split(m)
			return typ, bytes.Clone(content), err
		}},
		OnError: func(err error) { errs = append(errs, err) },
	}, func(w *world) {
		errs, seen, bodies = nil, nil, nil
		wsnotify.On(w.c, "b", func(s string) { bodies = append(bodies, s) })
		wsnotify.On(w.c, "b", func(raw json.RawMessage) { bodies = append(bodies, string(raw)) })
		conn := w.connect()
		w.journal()
		w.must(conn.SendText(`a {"n":1}`))
		w.must(conn.SendBinary([]byte("b \xff\x00 123")))
		w.must(conn.SendText("pong")) // answers the heartbeat
		w.must(conn.SendText("nothing"))
		w.must(conn.SendText(" typeless"))
		w.expect(`0s notification a: {"n":1}`, `0s message binary "b \xff\x00 123"`, "0s notification b: \xff\x00 123", "0s error parse", "0s notification : ")
		if len(seen) != 4 || seen[1].Type != wsnotify.MessageBinary || seen[1].Epoch != 1 {
			t.Errorf("Parse saw %v", seen)
		}
		if fmt.Sprintf("%q", bodies) != `["\xff\x00 123" "\xff\x00 123"]` {
			t.Errorf("the handlers saw %q", bodies)
		}
		var parse *wsnotify.ParseError
		if len(errs) != 1 || !errors.As(errs[0], &parse) || string(parse.Data) != "nothing" || strings.Contains(errs[0].Error(), "JSON") {
			t.Errorf("%v", errs)
		}
	})
}

// Inbox.Reuse overwrites what callbacks were given. Errors, answers, and what iterators yield may be kept.
func TestReuseLeavesAloneWhatMayBeKept(t *testing.T) {
	var kept [][]byte
	inBubble(t, wsnotify.Config{
		Inbox: wsnotify.Inbox{Reuse: true},
		OnError: func(err error) {
			var parse *wsnotify.ParseError
			if errors.As(err, &parse) {
				kept = append(kept, parse.Data)
			}
		},
		OnNotification: func(wsnotify.Notification) {},
	}, func(w *world) {
		kept = nil
		conn := w.connect()
		messages, notifications := w.c.Messages(w.Context()), w.c.Notifications(w.Context())
		pulled := make(chan []byte, 100)
		go func() {
			for m := range messages {
				pulled <- m.Data
			}
		}()
		go func() {
			for n := range notifications {
				pulled <- n.Raw
			}
		}()
		synctest.Wait()
		var want []string
		for i := range 20 {
			w.must(conn.SendText(fmt.Sprintf("%d is no JSON", i)))
			want = append(want, fmt.Sprintf("%d is no JSON", i), fmt.Sprintf("%d is no JSON", i)) // the error, and the loop
			w.must(conn.SendText(fmt.Sprintf(`{"msgType":"%d"}`, i)))
			want = append(want, fmt.Sprintf(`{"msgType":"%d"}`, i), fmt.Sprintf(`{"msgType":"%d"}`, i)) // two loops
			a := make(chan []byte, 1)
			go func() {
				m, err := w.c.Request(w.Context(), fmt.Sprint(i), wsnotify.MessageText, nil)
				if err != nil {
					t.Error(err)
				}
				a <- m.Data
			}()
			synctest.Wait()
			w.must(conn.SendText(fmt.Sprintf(`{"id":"%d"}`, i)))
			want = append(want, fmt.Sprintf(`{"id":"%d"}`, i))
			kept = append(kept, <-a)
			synctest.Wait()
		}
		for len(pulled) > 0 {
			kept = append(kept, <-pulled)
		}
		var got []string
		for _, data := range kept {
			got = append(got, string(data))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("kept %q, want %q", got, want)
		}
	})
}

// A loop alone, without a callback, gets messages of its own, too.
func TestReuseAndALoopAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bubbleWorld(t, wsnotify.Config{Inbox: wsnotify.Inbox{Reuse: true}})
		conn := w.connect()
		messages := w.c.Messages(t.Context())
		pulled := make(chan []byte, 100)
		go func() {
			for m := range messages {
				pulled <- m.Data
			}
		}()
		synctest.Wait()
		const n = 20
		for i := range n {
			w.must(conn.SendText(fmt.Sprintf("message %02d", i)))
			synctest.Wait()
		}
		for i := range n {
			if got, want := string(<-pulled), fmt.Sprintf("message %02d", i); got != want {
				t.Errorf("kept %q, want %q", got, want)
			}
		}
		w.must(w.c.Disconnect())
		<-w.c.Done()
	})
}

// scribble changes what a callback was given.
func scribble(b []byte) {
	for i := range b {
		b[i] = 'x'
	}
}

// Whatever one receiver does to a message, the others see it as it came.
func TestEachReceiverHasAMessageOfItsOwn(t *testing.T) {
	const text = `{"msgType":"a","content":{"ID":7}}`
	for _, envelope := range []wsnotify.Envelope{{}, {Type: "msgType", Content: "."}, {Parse: func(m wsnotify.Message) (string, []byte, error) {
		defer scribble(m.Data)
		return "a", []byte(`{"ID":7}`), nil
	}}} {
		for _, message := range []string{text, "not JSON"} {
			for pulls := range 3 {
				var seen, handled []string
				inBubble(t, wsnotify.Config{
					Envelope:       envelope,
					OnMessage:      func(m wsnotify.Message) { seen = append(seen, string(m.Data)); scribble(m.Data) },
					OnNotification: func(n wsnotify.Notification) { seen = append(seen, string(n.Raw)); scribble(n.Raw) },
					OnError: func(err error) {
						var parse *wsnotify.ParseError
						if errors.As(err, &parse) {
							seen = append(seen, string(parse.Data))
						}
					},
				}, func(w *world) {
					seen, handled = nil, nil
					results := make(chan string, 10)
					wanted := 2
					for range pulls {
						messages, notes := w.c.Messages(w.Context()), w.c.Notifications(w.Context())
						go func() {
							for m := range messages {
								results <- string(m.Data)
								scribble(m.Data)
							}
						}()
						go func() {
							for n := range notes {
								results <- string(n.Raw)
								scribble(n.Raw)
							}
						}()
						wanted++
						if message == text || envelope.Parse != nil {
							wanted++
						}
					}
					for range 2 {
						wsnotify.On(w.c, "a", func(raw json.RawMessage) { handled = append(handled, string(raw)); scribble(raw) })
					}
					w.must(w.connect().SendText(message))
					synctest.Wait()
					for len(results) > 0 {
						seen = append(seen, <-results)
					}
					if len(seen) != wanted || slices.ContainsFunc(seen, func(s string) bool { return s != message }) {
						t.Errorf("%d iterators of each kind: %q was seen as %q", pulls, message, seen)
					}
					for _, got := range handled {
						if got != `{"ID":7}` && got != message {
							t.Errorf("%q was handled as %q", message, handled)
						}
					}
				})
			}
		}
	}
}

// A handler that is added inside a callback sees nothing of what that did to
// the message.
func TestHandlerAddedInACallbackSeesTheMessageAsItCame(t *testing.T) {
	for _, envelope := range []wsnotify.Envelope{{}, {Type: "msgType", Content: "content", ID: "x"}, {Content: "."}} {
		for _, content := range []string{`{"ID":7}`, `"<text> \"\u00e9\ud83d\ude00"`, `[1]`} {
			for _, where := range []string{"OnMessage", "OnNotification"} {
				var c *wsnotify.Client
				var got []any
				add := func(callback string) {
					if where == callback && got == nil {
						got = []any{}
						wsnotify.On(c, "a", func(v any) { got = append(got, v) })
					}
				}
				inBubble(t, wsnotify.Config{
					Envelope:       envelope,
					OnMessage:      func(m wsnotify.Message) { scribble(m.Data); add("OnMessage") },
					OnNotification: func(n wsnotify.Notification) { scribble(n.Raw); add("OnNotification") },
				}, func(w *world) {
					c, got = w.c, nil
					text := `{"msgType":"a","content":` + content + `}`
					conn := w.connect()
					w.must(conn.SendText(text))
					w.must(conn.SendText(text))
					synctest.Wait()
					var want any
					if envelope.Content == "." {
						content = text
					}
					w.must(json.Unmarshal([]byte(content), &want))
					if fmt.Sprint(got) != fmt.Sprint([]any{want, want}) {
						t.Errorf("%s, %s: %v", where, content, got)
					}
				})
			}
		}
	}
}

// A handler begins with the message at hand, though OnMessage alone wanted it
// before, and changes it.
func TestFirstHandlerAddedInOnMessageBeginsWithThatMessage(t *testing.T) {
	for _, loop := range []bool{false, true} {
		testFirstHandler(t, loop)
	}
}

func testFirstHandler(t *testing.T, loop bool) {
	var c *wsnotify.Client
	var got []string
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: wsnotifytest.NewNetwork(t)}
		w.srv = w.net.NewServer()
		c = wsnotify.New(wsnotify.Config{HTTPClient: w.net.HTTPClient(), OnMessage: func(m wsnotify.Message) {
			if got == nil {
				got = []string{}
				wsnotify.On(c, "a", func(s string) { got = append(got, s) })
			}
			scribble(m.Data)
		}})
		w.c = c
		if loop {
			messages := c.Messages(w.Context())
			go func() {
				for m := range messages {
					scribble(m.Data)
				}
			}()
		}
		conn := w.connect()
		w.must(conn.Notify("a", "1"))
		w.must(conn.Notify("a", "2"))
		synctest.Wait()
		c.Disconnect()
		<-c.Done()
	})
	if fmt.Sprint(got) != "[1 2]" {
		t.Errorf("with a loop %v: %q", loop, got)
	}
}

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
	n = wsnotify.Notification{Fallback: true, Content: "fallback", Raw: json.RawMessage(`{"content":"none of it"}`)}
	if err := n.Decode(&s); err != nil || s != "fallback" {
		t.Errorf("%q %v", s, err)
	}
}

// What Parse has returned is a text where it is no JSON.
func TestDecodeOfTextThatIsNotJSON(t *testing.T) {
	var kept wsnotify.Notification
	var typed []string
	cfg := wsnotify.Config{Envelope: wsnotify.Envelope{Parse: split}, OnNotification: func(n wsnotify.Notification) { kept = n }}
	inBubble(t, cfg, func(w *world) {
		wsnotify.On(w.c, "x", func(v any) { typed = append(typed, fmt.Sprintf("%#v", v)) })
		wsnotify.On(w.c, "x", func(s string) { typed = append(typed, s) })
		wsnotify.On(w.c, "x", func(n int) { typed = append(typed, fmt.Sprint(n)) })
		w.must(w.connect().SendText(`x {not "JSON"`))
		w.pass(0)
	})
	var v any
	var s string
	var raw json.RawMessage
	var n int
	errs := []error{kept.Decode(&v), kept.Decode(&s), kept.Decode(&raw)}
	const content = `{not "JSON"`
	if fmt.Sprint(errs) != "[<nil> <nil> <nil>]" || v != content || s != content || string(raw) != content || kept.Decode(&n) == nil {
		t.Errorf("%v: %v, %q, %s", errs, v, s, raw)
	}
	if got := fmt.Sprintf("%q", typed); got != `["\"{not \\\"JSON\\\"\"" "{not \"JSON\""]` {
		t.Errorf("the handlers got %s", got)
	}
}
