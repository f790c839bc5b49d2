package wsnotify_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
)

// counting answers {"ping": n} with {"pong": n}.
func counting(m wsnotify.Message) (string, bool) {
	n, ok := strings.CutPrefix(string(m.Data), `{"ping": `)
	return `{"pong": ` + n, ok
}

func inAnswerBubble(t *testing.T, cfg wsnotify.Config, answer func(wsnotify.Message) (string, bool), f func(w *world)) {
	t.Helper()
	cfg.Heartbeat.Answer = answer
	cfg.Heartbeat.NoText = true
	inBubble(t, cfg, func(w *world) {
		w.srv.OnMessage(nil)
		f(w)
	})
}

func TestAnswerRepliesWhileACallbackBlocks(t *testing.T) {
	for _, reuse := range []bool{false, true} {
		inAnswerBubble(t, wsnotify.Config{
			Inbox:          wsnotify.Inbox{Reuse: reuse},
			OnNotification: func(wsnotify.Notification) { time.Sleep(time.Hour) },
		}, counting, func(w *world) {
			conn := w.connect()
			w.must(conn.Notify("a", "b"))
			for i := range 3 {
				w.pass(time.Minute)
				w.must(conn.SendText(fmt.Sprintf(`{"ping": %d}`, i)))
				synctest.Wait()
			}
			w.wantMessages(`{"pong": 0}`, `{"pong": 1}`, `{"pong": 2}`)
			w.pass(time.Hour)
			w.expect("0s CONNECTING", "0s OPEN", "0s open 1", "0s notification a: b")
			if s := w.c.Status(); s.MessagesIn != 1 || s.MessagesOut != 0 {
				t.Errorf("answers were counted as messages: %+v", s)
			}
		})
	}
}

// What Answer does not answer is a message like any other, and in its place.
func TestAnswerLeavesOtherMessagesAlone(t *testing.T) {
	var seen []string
	inAnswerBubble(t, wsnotify.Config{}, func(m wsnotify.Message) (string, bool) {
		seen = append(seen, fmt.Sprint(int(m.Type), m.Epoch, string(m.Data)))
		return "3", string(m.Data) == "2"
	}, func(w *world) {
		seen = nil
		conn := w.connect()
		w.journal()
		w.must(conn.Notify("a", "1"))
		w.must(conn.SendText("2"))
		w.must(conn.SendBinary([]byte("3")))
		w.must(conn.Notify("a", "4"))
		w.expect("0s notification a: 1", `0s message binary "3"`, "0s notification a: 4")
		w.wantMessages("3")
		want := []string{`1 1{"msgType":"a","content":"1"}`, "1 12", "2 13", `1 1{"msgType":"a","content":"4"}`}
		if !slices.Equal(seen, want) {
			t.Errorf("Answer saw %q and not %q", seen, want)
		}
	})
}

// Answer comes before Replies, which swallow the "ping" of a server by default.
func TestAnswerComesBeforeReplies(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: time.Hour, Answer: func(m wsnotify.Message) (string, bool) {
		return "pong", string(m.Data) == "ping"
	}}}, func(w *world) {
		conn := w.connect()
		w.journal()
		w.must(conn.SendText("ping"))
		w.must(conn.SendText("pong"))
		w.expect()
		w.wantMessages("pong")
	})
}

func TestEmptyAnswerOnlySwallows(t *testing.T) {
	inAnswerBubble(t, wsnotify.Config{}, func(m wsnotify.Message) (string, bool) {
		return "", string(m.Data) == "ack"
	}, func(w *world) {
		conn := w.connect()
		w.journal()
		w.must(conn.SendText("ack"))
		w.expect()
		w.wantMessages()
	})
}

func TestAnswerThatIsNotUTF8(t *testing.T) {
	inAnswerBubble(t, wsnotify.Config{}, func(m wsnotify.Message) (string, bool) {
		return "\xff", string(m.Data) == "2"
	}, func(w *world) {
		conn := w.connect()
		w.journal()
		for range 10 {
			w.must(conn.SendText("2"))
		}
		got := w.journal()
		if len(got) != 1 || !strings.Contains(got[0], `0s error wsnotify: Heartbeat.Answer replied "\xff", which is not UTF-8`) {
			t.Errorf("the journal says %q", got)
		}
		w.wantMessages()
		if !w.c.IsConnected() {
			t.Error("the connection is gone")
		}
	})
}

// A server that numbers its own requests may use the id of one of ours.
func TestAnswerComesBeforeRequests(t *testing.T) {
	inAnswerBubble(t, wsnotify.Config{}, func(m wsnotify.Message) (string, bool) {
		return `{"id":1,"result":"pong"}`, strings.Contains(string(m.Data), `"method"`)
	}, func(w *world) {
		conn := w.connect()
		answer := make(chan string)
		go func() {
			m, err := w.c.Request(w.Context(), "1", wsnotify.MessageText, []byte(`{"id":1}`))
			answer <- fmt.Sprint(string(m.Data), err)
		}()
		synctest.Wait()
		w.must(conn.SendText(`{"id":1,"method":"ping"}`))
		w.must(conn.SendText(`{"id":1,"result":7}`))
		if got := <-answer; got != `{"id":1,"result":7}<nil>` {
			t.Errorf("the answer is %s", got)
		}
		w.wantMessages(`{"id":1}`, `{"id":1,"result":"pong"}`)
	})
}

// Replies leave before what is queued. Of those that wait for the socket the
// latest 64 do.
func TestRepliesOvertakeTheQueueAndAreLimited(t *testing.T) {
	inAnswerBubble(t, wsnotify.Config{}, counting, func(w *world) {
		conn := w.connect()
		conn.StopReading(true)
		for i := range 300 { // the socket takes some of them
			w.must(w.c.Enqueue(wsnotify.MessageText, []byte(fmt.Sprintf("%03d%01000d", i, 0))))
		}
		synctest.Wait()
		for i := range 200 {
			w.must(conn.SendText(fmt.Sprintf(`{"ping": %d}`, i)))
		}
		synctest.Wait()
		conn.StopReading(false)
		w.must(w.c.Flush(w.Context()))
		synctest.Wait()
		var order []string
		behind := 0 // messages behind the first reply
		for _, m := range w.srv.Messages("ada") {
			if strings.HasPrefix(m, "{") {
				order = append(order, m)
			} else if len(order) > 0 {
				behind++
			}
		}
		if len(order) < 64 || len(order) > 66 || order[len(order)-1] != `{"pong": 199}` || !slices.Contains(order, `{"pong": 136}`) {
			t.Errorf("%d replies: %q", len(order), order)
		}
		if behind < 100 {
			t.Errorf("%d messages were behind the replies", behind)
		}
	})
}

// The inbox is full: nothing is read, as with the server's protocol pings. The
// replies come as soon as it is not.
func TestAnswerWaitsForTheInbox(t *testing.T) {
	inAnswerBubble(t, wsnotify.Config{
		Inbox:          wsnotify.Inbox{Messages: 1},
		OnNotification: func(wsnotify.Notification) { time.Sleep(time.Minute) },
	}, counting, func(w *world) {
		conn := w.connect()
		w.must(conn.Notify("a", "1"))
		w.must(conn.Notify("a", "2"))
		w.must(conn.SendText(`{"ping": 1}`))
		w.pass(30 * time.Second)
		w.wantMessages()
		w.pass(31 * time.Second)
		w.wantMessages(`{"pong": 1}`)
	})
}

// An Answer that ends its goroutine, as testing.T.FailNow does, has not
// answered; nothing is lost, and the reader goes on.
func TestAnswerThatEndsItsGoroutine(t *testing.T) {
	inAnswerBubble(t, wsnotify.Config{}, func(m wsnotify.Message) (string, bool) {
		if strings.Contains(string(m.Data), "odd") {
			runtime.Goexit()
		}
		return counting(m)
	}, func(w *world) {
		conn := w.connect()
		w.journal()
		for i := range 3 {
			w.must(conn.Notify("even", i+1))
			w.must(conn.Notify("odd", i+1))
			w.must(conn.SendText(fmt.Sprintf(`{"ping": %d}`, i)))
		}
		w.expect("0s notification even: 1", "0s notification odd: 1", "0s notification even: 2", "0s notification odd: 2",
			"0s notification even: 3", "0s notification odd: 3")
		w.wantMessages(`{"pong": 0}`, `{"pong": 1}`, `{"pong": 2}`)
		w.must(conn.Notify("odd", "last"))
		conn.Close(1001, "bye")
		w.expect("0s notification odd: last", "0s CLOSED", `0s close 1 code=1001 reason="bye" clean=true again=true`, "0s reconnect 1 in 10s")
	})
}

// A server that asks while OnHandshake talks to it is answered, and the hook
// sees nothing of it.
func TestAnswerInOnHandshake(t *testing.T) {
	var got []string
	inAnswerBubble(t, wsnotify.Config{OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
		for range 2 {
			m, err := h.Receive(ctx)
			if err != nil {
				return err
			}
			got = append(got, string(m.Data))
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := h.Receive(short); err == nil {
			return fmt.Errorf("there was a third message")
		}
		return nil
	}}, func(m wsnotify.Message) (string, bool) {
		if strings.Contains(string(m.Data), "second") {
			runtime.Goexit()
		}
		return counting(m)
	}, func(w *world) {
		got = nil
		connected := make(chan error)
		go func() { connected <- w.c.Connect(w.Context(), w.srv.URL(), "ada") }()
		conn := w.conn()
		for i, text := range []string{"first", "second"} {
			w.must(conn.SendText(fmt.Sprintf(`{"ping": %d}`, i)))
			w.must(conn.SendText(text))
		}
		synctest.Wait()
		w.must(conn.SendText(`{"ping": 2}`))
		w.must(<-connected)
		w.must(conn.Notify("a", "third")) // for the Receive whose time was up
		w.must(conn.Notify("a", "second"))
		w.must(conn.Notify("a", "fourth"))
		w.expect("0s CONNECTING", "1s OPEN", "1s open 1", "1s notification a: third", "1s notification a: second", "1s notification a: fourth")
		w.wantMessages(`{"pong": 0}`, `{"pong": 1}`, `{"pong": 2}`)
		if fmt.Sprint(got) != "[first second]" {
			t.Errorf("OnHandshake received %q", got)
		}
	})
}

// Answer is asked once about each message, also about one that a Receive had
// begun to wait for.
func TestAnswerIsAskedOnce(t *testing.T) {
	var asked []string
	inAnswerBubble(t, wsnotify.Config{OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		h.Receive(ctx)
		return nil
	}}, func(m wsnotify.Message) (string, bool) {
		asked = append(asked, string(m.Data))
		return "", false
	}, func(w *world) {
		asked = nil
		conn := w.connect()
		w.must(conn.SendText("1"))
		w.must(conn.SendText("2"))
		synctest.Wait()
		if fmt.Sprint(asked) != "[1 2]" {
			t.Errorf("Answer was asked about %q", asked)
		}
	})
}

// What comes once this side has begun to close is for nobody.
func TestAnswerIsNotAskedWhileClosing(t *testing.T) {
	inAnswerBubble(t, wsnotify.Config{}, func(m wsnotify.Message) (string, bool) {
		t.Errorf("Answer was asked about %q", m.Data)
		return "", false
	}, func(w *world) {
		w.srv.AnswerClose(false)
		conn := w.connect()
		closed := make(chan error)
		go func() { closed <- w.c.Disconnect() }()
		synctest.Wait()
		w.must(conn.SendText("2"))
		<-closed
	})
}
