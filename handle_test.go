package wsnotify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
)

func TestHandleGetsTheNotificationAndItsContext(t *testing.T) {
	type key struct{}
	type mail struct{ From string }
	refused := errors.New("the database is read-only")
	var errs []error
	inBubble(t, wsnotify.Config{OnError: func(err error) { errs = append(errs, err) }}, func(w *world) {
		var got []string
		wsnotify.Handle(w.c, "mail", func(ctx context.Context, n wsnotify.Typed[mail]) error {
			got = append(got, fmt.Sprint(n.Value.From, " ", n.MsgType, " ", n.Content, " ", string(n.Raw), " ", n.Epoch, " ", ctx.Value(key{}), " ", ctx.Err()))
			if n.Value.From == "eve" {
				return refused
			}
			return nil
		})
		off := wsnotify.Handle(w.c, "mail", func(context.Context, wsnotify.Typed[mail]) error { got = append(got, "and"); return nil })
		ctx, cancel := context.WithCancel(context.WithValue(bg, key{}, "value"))
		w.must(w.c.Connect(ctx, w.srv.URL(), "ada"))
		cancel() // Connect has returned, so that this changes nothing
		for _, content := range []string{`{"from":"bob"}`, `{"from":"eve"}`, `{"from":1}`} {
			w.must(w.conn().SendText(`{"msgType":"mail","content":` + content + `}`))
		}
		synctest.Wait()
		off()
		w.must(w.conn().SendText(`{"msgType":"mail","content":{"from":"amy"}}`))
		synctest.Wait()
		want := []string{
			`bob mail {"from":"bob"} {"msgType":"mail","content":{"from":"bob"}} 1 value <nil>`, "and",
			`eve mail {"from":"eve"} {"msgType":"mail","content":{"from":"eve"}} 1 value <nil>`, "and",
			`amy mail {"from":"amy"} {"msgType":"mail","content":{"from":"amy"}} 1 value <nil>`,
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the handlers got\n\t%s", strings.Join(got, "\n\t"))
		}
		var failed *wsnotify.HandlerError
		var decode *wsnotify.DecodeError
		if len(errs) != 3 || !errors.As(errs[0], &failed) || failed.MsgType != "mail" || !errors.Is(errs[0], refused) ||
			!errors.As(errs[1], &decode) || !errors.As(errs[2], &decode) {
			t.Fatalf("OnError: %v", errs)
		}
		if text := errs[0].Error(); text != `wsnotify: the handler of "mail" notifications: the database is read-only` {
			t.Error(text)
		}
	})
}

// The context ends with the Connect or Run that received the message: not when a
// drain begins, and also for a message that is handled after the end.
func TestContextOfHandleEndsWithItsRun(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		took := make(chan string, 10)
		wsnotify.Handle(w.c, "work", func(ctx context.Context, n wsnotify.Typed[time.Duration]) error {
			began := time.Now()
			select {
			case <-ctx.Done():
				took <- fmt.Sprint("ended after ", time.Since(began))
			case <-time.After(n.Value):
				took <- "done"
			}
			return nil
		})
		work := func(d time.Duration) { w.srv.Notify("ada", "work", d) }
		workTwice := func() {
			work(time.Hour)
			work(time.Hour)
			synctest.Wait()
		}
		w.connect()
		work(time.Second)
		synctest.Wait()
		w.must(w.drainWithin(time.Minute)) // waits for the handler
		if got := <-took; got != "done" {
			t.Errorf("the handler %s while the client drained", got)
		}

		w.connect()
		workTwice()
		time.AfterFunc(3*time.Second, func() { w.c.Disconnect() })
		if got := <-took; got != "ended after 3s" {
			t.Errorf("the handler %s", got)
		}
		if got := <-took; got != "ended after 0s" {
			t.Errorf("the second handler %s", got)
		}

		w.connect()
		workTwice()
		w.connect() // takes over
		if first, second := <-took, <-took; first != "ended after 0s" || second != first {
			t.Errorf("the handlers of the Connect before: %s, %s", first, second)
		}
		work(time.Second)
		if got := <-took; got != "done" {
			t.Errorf("the handler of the later Connect %s", got)
		}
	})
}

// What a handler does to its notification is not seen by others.
func TestHandleOwnsItsNotification(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		var got []string
		seq := w.c.Notifications(w.Context())
		for range 2 {
			wsnotify.Handle(w.c, "a", func(_ context.Context, n wsnotify.Typed[string]) error {
				got = append(got, string(n.Raw)+n.Value)
				clear(n.Raw)
				return nil
			})
		}
		wsnotify.On(w.c, "a", func(s string) { got = append(got, s) })
		go func() {
			for n := range seq {
				got = append(got, string(n.Raw))
			}
		}()
		w.must(w.connect().SendText(`{"msgType":"a","content":"b"}`))
		synctest.Wait()
		if want := fmt.Sprint([]string{`{"msgType":"a","content":"b"}b`, `{"msgType":"a","content":"b"}b`, "b", `{"msgType":"a","content":"b"}`}); fmt.Sprint(got) != want {
			t.Errorf("they got %s", got)
		}
	})
}

// In a callback no other is under way, so that off is the end.
func TestOffInAnotherHandlerOfTheSameMessage(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		var off func()
		calls := 0
		wsnotify.On(w.c, "a", func(string) { off() })
		off = wsnotify.On(w.c, "a", func(string) { calls++ })
		w.must(w.connect().SendText(`{"msgType":"a","content":"1"}`))
		synctest.Wait()
		if calls != 0 {
			t.Errorf("the handler was called %d times after its off had returned", calls)
		}
	})
}

// Two loops over one sequence each get everything.
func TestOneSequenceInTwoLoops(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		seq := w.c.Notifications(w.Context())
		var wg sync.WaitGroup
		var got [2]int
		for i := range got {
			wg.Go(func() {
				for range seq {
					got[i]++
				}
			})
		}
		synctest.Wait()
		conn := w.connect()
		for range 3 {
			w.must(conn.SendText(`{"msgType":"a","content":"1"}`))
		}
		synctest.Wait()
		w.must(w.c.Disconnect())
		wg.Wait()
		if got != [2]int{3, 3} {
			t.Errorf("the loops got %v", got)
		}
	})
}

func TestRegisteringNothingPanics(t *testing.T) {
	c := wsnotify.New(wsnotify.Config{})
	for name, test := range map[string]struct {
		register func()
		says     []string
	}{
		"On, nil":         {func() { wsnotify.On[int](c, "mail", nil) }, []string{"wsnotify: On:", `"mail"`, "nil"}},
		"Handle, nil":     {func() { wsnotify.Handle[int](c, "mail", nil) }, []string{"wsnotify: Handle:", `"mail"`, "nil"}},
		"On, zero Client": {func() { wsnotify.On(new(wsnotify.Client), "mail", func(int) {}) }, []string{"On:", "use New"}},
		"On, no Client":   {func() { wsnotify.On(nil, "mail", func(int) {}) }, []string{"On:", "use New"}},
		"Handle, zero Client": {func() {
			wsnotify.Handle(new(wsnotify.Client), "mail", func(context.Context, wsnotify.Typed[int]) error { return nil })
		}, []string{"Handle:", "use New"}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				text := fmt.Sprint(recover())
				for _, want := range test.says {
					if !strings.Contains(text, want) {
						t.Errorf("it panics with %q, which does not say %q", text, want)
					}
				}
			}()
			test.register()
		})
	}
}

// Every method of a Client that New did not make says so, and the getters answer
// as for a client that was never connected.
func TestZeroClientSaysUseNew(t *testing.T) {
	getters := map[string]any{
		"ReadyState": wsnotify.Closed, "IsConnected": false, "ReconnectAttempts": 0, "Status": wsnotify.Status{ReadyState: wsnotify.Closed}, "Err": nil, "Done": nil,
	}
	client := reflect.TypeFor[*wsnotify.Client]()
	for i := range client.NumMethod() {
		method := client.Method(i)
		t.Run(method.Name, func(t *testing.T) {
			args := []reflect.Value{reflect.ValueOf(new(wsnotify.Client))}
			for i := 1; i < method.Type.NumIn(); i++ {
				switch in := method.Type.In(i); {
				case in == reflect.TypeFor[context.Context]():
					args = append(args, reflect.ValueOf(bg))
				case in == reflect.TypeFor[wsnotify.MessageType]():
					args = append(args, reflect.ValueOf(wsnotify.MessageText))
				case in == reflect.TypeFor[wsnotify.StatusCode]():
					args = append(args, reflect.ValueOf(wsnotify.StatusNormalClosure))
				case in.Kind() == reflect.String:
					args = append(args, reflect.ValueOf("x"))
				default:
					args = append(args, reflect.Zero(in))
				}
			}
			var results []reflect.Value
			said := func() (text string) {
				defer func() {
					if p := recover(); p != nil {
						text = fmt.Sprint(p)
					}
				}()
				call := method.Func.Call
				if method.Type.IsVariadic() {
					call = method.Func.CallSlice
				}
				results = call(args)
				if last := len(results) - 1; last >= 0 && results[last].Type() == reflect.TypeFor[error]() {
					return fmt.Sprint(results[last].Interface())
				}
				return ""
			}()
			want, isGetter := getters[method.Name]
			switch {
			case method.Name == "Done":
				<-results[0].Interface().(<-chan struct{})
			case isGetter && (len(results) != 1 || results[0].Interface() != want):
				t.Errorf("it returns %v", results)
			case !isGetter && !strings.Contains(said, "use New"):
				t.Errorf("it says %q", said)
			}
		})
	}
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
