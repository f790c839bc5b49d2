package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// joins are the subscriptions of a server that knows "join a,b" and "leave a,b",
// and answers "ok a,b" and "no a".
func joins() wsnotify.Subscriptions {
	text := func(verb string, keys []string) (wsnotify.Message, error) {
		return wsnotify.Message{Data: []byte(verb + " " + strings.Join(keys, ","))}, nil
	}
	return wsnotify.Subscriptions{
		Subscribe: func(keys []string, position func(string) string) (wsnotify.Message, error) {
			return text("join", keys)
		},
		Unsubscribe: func(keys []string) (wsnotify.Message, error) { return text("leave", keys) },
	}
}

var errNoRoom = errors.New("no such room")

// confirmed makes answers count.
func confirmed(s wsnotify.Subscriptions) wsnotify.Subscriptions {
	s.Confirm = func(m wsnotify.Message) (keys []string, err error) {
		verb, list, _ := strings.Cut(string(m.Data), " ")
		switch verb {
		case "ok":
			return strings.Split(list, ","), nil
		case "no":
			return strings.Split(list, ","), errNoRoom
		}
		return nil, nil
	}
	return s
}

// states are the keys of the set with their states.
func (w *world) states() string {
	var list []string
	for _, s := range w.c.Subscriptions() {
		list = append(list, fmt.Sprintf("%s %v", s.Key, s.State))
	}
	return strings.Join(list, ", ")
}

func (w *world) wantStates(want string) {
	w.Helper()
	synctest.Wait()
	if got := w.states(); got != want {
		w.Errorf("the set is %q, not %q", got, want)
	}
}

// wantNoOtherKeys fails the test if something is kept of keys that are not in the set.
func (w *world) wantNoOtherKeys() {
	w.Helper()
	if kept, want := wsnotify.KeysKept(w.c), len(w.c.Subscriptions()); kept != want {
		w.Errorf("%d keys are kept, and %d are in the set", kept, want)
	}
}

func (w *world) wantOn(c *wsnotifytest.Conn, want ...string) {
	w.Helper()
	synctest.Wait()
	if got := c.Messages(); !slices.Equal(got, want) {
		w.Errorf("the server got %q, not %q", got, want)
	}
}

var noText = wsnotify.Heartbeat{NoText: true}

// Every key is subscribed on every connection, in order, after OnHandshake and
// before what is queued.
func TestSubscriptionsComeBeforeTheQueue(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: joins(), OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
		return h.SendMessage(ctx, "login")
	}}
	cfg.Subscriptions.Batch = 2
	inBubble(t, cfg, func(w *world) {
		w.must(w.c.Subscribe("a", "b", "c"))
		w.must(w.c.Subscribe("b", "d", "e"))
		w.must(w.c.Unsubscribe("d", "x"))
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("queued")))
		w.wantStates("a wanted, b wanted, c wanted, e wanted")
		conn := w.connect()
		w.wantOn(conn, "login", "join a,b", "join c,e", "queued")
		w.wantStates("a active, b active, c active, e active")

		w.must(w.c.Unsubscribe("a"))
		synctest.Wait()
		w.must(w.c.Subscribe("a", "f"))
		w.wantOn(conn, "login", "join a,b", "join c,e", "queued", "leave a", "join a,f")
		conn.Drop()
		synctest.Wait()
		w.wantStates("b wanted, c wanted, e wanted, a wanted, f wanted")
		w.must(w.c.Unsubscribe("e"))
		w.pass(time.Minute)
		w.wantOn(w.conn(), "login", "join b,c", "join a,f")
		if s := w.c.Status(); s.MessagesOut != 9 { // all of them, whatever they were for
			t.Errorf("%d messages were sent", s.MessagesOut)
		}
	})
}

func TestAnswersToSubscriptions(t *testing.T) {
	var errs []error
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: confirmed(joins()), OnError: func(err error) { errs = append(errs, err) }}
	cfg.Envelope.Parse = func(m wsnotify.Message) (string, []byte, error) { return "x", nil, nil }
	inBubble(t, cfg, func(w *world) {
		w.must(w.c.Subscribe("a", "b", "c"))
		conn := w.connect()
		w.wantStates("a sent, b sent, c sent")
		w.send(conn, "ok a,nobody", "no b", "ok")
		w.wantStates("a active, b refused, c sent")
		var refused *wsnotify.SubscriptionError
		if len(errs) != 1 || !errors.As(errs[0], &refused) || refused.Key != "b" || !errors.Is(errs[0], errNoRoom) {
			t.Errorf("OnError got %v", errs)
		}
		if got := w.c.Status().Subscriptions; got.Wanted != 3 || got.Active != 1 || got.Refused != 1 {
			t.Errorf("%+v", got)
		}
		w.send(conn, "ok c", "no c") // the last one wins
		w.wantStates("a active, b refused, c refused")
		conn.Drop()
		w.pass(time.Minute)
		again := w.conn()
		w.wantOn(again, "join a")
		w.send(again, "ok b") // which was not sent on this connection
		w.wantStates("a sent, b refused, c refused")
		w.must(w.c.Unsubscribe("c"))
		w.must(w.c.Subscribe("b"))
		w.wantOn(again, "join a", "join b")
		w.wantStates("a sent, b sent")
	})
}

// Confirm sees an answer whose number is behind the received one, and nobody else does: a
// server that counts anew would never be seen to answer.
func TestAnswerThatIsADuplicate(t *testing.T) {
	var got []string
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: joins(), Resume: bySeq(), OnMessage: func(m wsnotify.Message) { got = append(got, string(m.Data)) }}
	cfg.Subscriptions.Confirm = func(m wsnotify.Message) (keys []string, err error) {
		if strings.Contains(string(m.Data), "joined") {
			return []string{"a"}, nil
		}
		return nil, nil
	}
	inBubble(t, cfg, func(w *world) {
		got = nil
		w.must(w.c.Subscribe("a"))
		conn := w.connect()
		w.send(conn, `{"seq":7}`, `{"seq":8,"joined":"a"}`)
		w.wantStates("a active")
		conn.Drop()
		w.pass(11 * time.Second)
		w.send(w.conn(), `{"seq":1}`, `{"seq":2,"joined":"a"}`)
		w.wantStates("a active")
		w.pass(time.Minute)
		s := w.c.Status()
		if s.Connections != 2 || s.Duplicates != 2 || s.MessagesIn != 2 || s.InboxQueued != 0 || len(got) != 2 {
			t.Errorf("%d connections, %d duplicates, %d messages in, %d queued, OnMessage got %q", s.Connections, s.Duplicates, s.MessagesIn, s.InboxQueued, got)
		}
	})
}

// Without a Confirm nobody sees a duplicate.
func TestDuplicatesWithoutConfirm(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: noText, Subscriptions: joins(), Resume: bySeq()}, func(w *world) {
		w.must(w.c.Subscribe("a"))
		conn := w.connect()
		w.journal()
		w.send(conn, event(2), event(1), event(2), event(3))
		w.expect("0s notification n: 2", "0s notification n: 3")
		if s := w.c.Status(); s.Duplicates != 2 || s.MessagesIn != 2 {
			t.Errorf("%d duplicates, %d messages in", s.Duplicates, s.MessagesIn)
		}
	})
}

// An answer of an older connection counts for nothing.
func TestAnswerOfAnOlderConnection(t *testing.T) {
	var block chan struct{}
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: confirmed(joins()), OnMessage: func(m wsnotify.Message) {
		if string(m.Data) == "block" {
			<-block
		}
	}}
	inBubble(t, cfg, func(w *world) {
		block = make(chan struct{})
		w.must(w.c.Subscribe("a"))
		conn := w.connect()
		w.send(conn, "block", "ok a")
		conn.Drop()
		w.pass(20 * time.Second)
		w.wantStates("a sent")
		close(block)
		w.wantStates("a sent")
	})
}

func TestUnansweredSubscriptionDropsTheConnection(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: confirmed(joins())}
	cfg.Subscriptions.ConfirmTimeout = 5 * time.Second
	cfg.Envelope.Parse = func(m wsnotify.Message) (string, []byte, error) { return "x", nil, nil }
	inBubble(t, cfg, func(w *world) {
		w.must(w.c.Subscribe("a", "b"))
		conn := w.connect()
		w.pass(4 * time.Second)
		w.send(conn, "ok a")
		w.journal()
		w.pass(2 * time.Second)
		w.expect("5s CLOSED", `5s error wsnotify: subscription "b": the server does not answer: no answer within 5s`,
			`5s close 1 code=1006 reason="" clean=false again=true`, "5s reconnect 1 in 10s")
	})
}

// Each key has its own time.
func TestTimeOfEachKey(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: confirmed(joins())}
	cfg.Subscriptions.ConfirmTimeout = 5 * time.Second
	inBubble(t, cfg, func(w *world) {
		w.must(w.c.Subscribe("a", "b"))
		conn := w.connect()
		w.pass(3 * time.Second)
		w.must(w.c.Subscribe("c", "d"))
		w.send(conn, "ok a,b")
		w.pass(4 * time.Second)
		w.send(conn, "ok c")
		w.journal()
		w.pass(2 * time.Second)
		w.expect("8s CLOSED", `8s error wsnotify: subscription "d": the server does not answer: no answer within 5s`,
			`8s close 1 code=1006 reason="" clean=false again=true`, "8s reconnect 1 in 10s")
		w.pass(16 * time.Second) // and on the next connection, which is open since 18 s
		w.expect("18s CONNECTING", "18s OPEN", "18s open 2", "23s CLOSED", `23s error wsnotify: subscription "a": the server does not answer: no answer within 5s`,
			`23s close 2 code=1006 reason="" clean=false again=true`, "23s reconnect 1 in 10s")
	})
}

// Time in which the reader waits for callbacks does not count for the answers.
func TestFullInboxDoesNotCountForSubscriptions(t *testing.T) {
	var block chan struct{}
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: confirmed(joins()), Inbox: wsnotify.Inbox{Messages: 1}}
	cfg.OnMessage = func(m wsnotify.Message) {
		if string(m.Data) == "block" {
			<-block
		}
	}
	cfg.Subscriptions.ConfirmTimeout = 5 * time.Second
	cfg.Envelope.Parse = func(m wsnotify.Message) (string, []byte, error) { return "x", nil, nil }
	inBubble(t, cfg, func(w *world) {
		block = make(chan struct{})
		w.must(w.c.Subscribe("a"))
		conn := w.connect()
		w.send(conn, "block", "1", "2", "ok a")
		w.pass(time.Minute)
		close(block)
		w.wantStates("a active")
		if got := w.srv.Total(); got != 1 {
			t.Errorf("%d connections", got)
		}
	})
}

// Without a message that unsubscribes, the server has a key until the
// connection ends.
func TestUnsubscribeWithoutAMessage(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: joins()}
	cfg.Subscriptions.Unsubscribe = nil
	inBubble(t, cfg, func(w *world) {
		w.must(w.c.Subscribe("a", "b"))
		conn := w.connect()
		synctest.Wait()
		w.must(w.c.Unsubscribe("a"))
		w.wantStates("b active")
		w.must(w.c.Subscribe("a"))
		w.wantStates("b active, a active")
		w.must(w.c.Unsubscribe("b"))
		w.wantOn(conn, "join a", "join b")
		conn.Drop()
		w.pass(time.Minute)
		w.wantOn(w.conn(), "join a")
	})
}

// Keys without a message don't affect the others.
func TestSubscribeFunctionThatFails(t *testing.T) {
	broken := errors.New("unknown symbol")
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: joins()}
	cfg.Subscriptions.Batch = 3
	subscribe := cfg.Subscriptions.Subscribe
	cfg.Subscriptions.Subscribe = func(keys []string, position func(string) string) (wsnotify.Message, error) {
		if slices.Contains(keys, "bad") {
			return wsnotify.Message{}, broken
		}
		return subscribe(keys, position)
	}
	inBubble(t, cfg, func(w *world) {
		w.must(w.c.Subscribe("a", "bad", "b", "c"))
		conn := w.connect()
		w.wantOn(conn, "join a", "join b", "join c")
		w.wantStates("a active, bad wanted, b active, c active")
		if err := w.c.Subscriptions()[1].Err; !errors.Is(err, broken) {
			t.Errorf("the error of the key is %v", err)
		}
		w.expect("0s CONNECTING", "0s OPEN", "0s open 1", `0s error wsnotify: subscription "bad": unknown symbol`)
	})
}

// The server does not have a key whose message could not be made: no answer counts for
// it, Unsubscribe sends nothing, and Subscribe tries again. So it is where the key is
// unsubscribed, or subscribed again as well, while Subscriptions.Subscribe runs.
func TestKeyWhoseMessageFailed(t *testing.T) {
	nothing := func(*world) {}
	subscribe := func(w *world) { w.must(w.c.Subscribe("a")) }
	unsubscribe := func(w *world) { w.must(w.c.Unsubscribe("a")) }
	both := func(w *world) { unsubscribe(w); subscribe(w) }
	for name, test := range map[string]struct {
		fails     int          // this many messages
		meanwhile func(*world) // while the first one does
		then      func(*world)
		states    string
		sent      []string
	}{
		"an answer":              {1, nothing, func(w *world) { w.conn().SendText("ok a") }, "a wanted", nil},
		"unsubscribed":           {1, nothing, unsubscribe, "", nil},
		"subscribed again":       {1, nothing, subscribe, "a sent", []string{"join a"}},
		"unsubscribed meanwhile": {1, unsubscribe, nothing, "", nil},
		"unsubscribed meanwhile, then subscribed":  {1, unsubscribe, subscribe, "a sent", []string{"join a"}},
		"subscribed again meanwhile":               {1, both, nothing, "a sent", []string{"join a"}},
		"subscribed again meanwhile, fails":        {2, both, nothing, "a wanted", nil},
		"subscribed again meanwhile, fails, again": {2, both, subscribe, "a sent", []string{"join a"}},
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			calls := 0
			cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: confirmed(joins())}
			join := cfg.Subscriptions.Subscribe
			cfg.Subscriptions.Subscribe = func(keys []string, position func(string) string) (wsnotify.Message, error) {
				if calls++; calls == 1 {
					test.meanwhile(w)
				}
				if calls <= test.fails {
					return wsnotify.Message{}, errNoRoom
				}
				return join(keys, position)
			}
			inBubble(t, cfg, func(in *world) {
				w = in
				conn := w.connect()
				subscribe(w)
				synctest.Wait()
				test.then(w)
				w.wantStates(test.states)
				w.wantOn(conn, test.sent...)
				w.wantNoOtherKeys()
			})
		})
	}
}

// A key that is unsubscribed while its message waits for the socket is not
// sent.
func TestUnsubscribeBeforeItWasSent(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: noText, Subscriptions: joins(), WriteTimeout: -1}, func(w *world) {
		conn := w.connect()
		conn.StopReading(true)
		go w.c.Send(context.Background(), wsnotify.MessageBinary, make([]byte, 1<<20)) // more than the link holds
		synctest.Wait()
		w.must(w.c.Subscribe("a", "b"))
		synctest.Wait()
		w.must(w.c.Unsubscribe("a"))
		synctest.Wait()
		conn.StopReading(false)
		synctest.Wait()
		if got := conn.Messages(); len(got) != 2 || got[1] != "join b" {
			t.Errorf("the server got %d messages: %.40q", len(got), got)
		}
		w.wantStates("b active")
		w.wantNoOtherKeys()
	})
}

func TestSubscribeGetsThePosition(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: joins()}
	cfg.Resume = wsnotify.Resume{Position: func(m wsnotify.Message) (stream, position string) {
		stream, position, _ = strings.Cut(string(m.Data), ":")
		return stream, position
	}}
	cfg.Subscriptions.Subscribe = func(keys []string, position func(string) string) (wsnotify.Message, error) {
		return wsnotify.Message{Type: wsnotify.MessageBinary, Data: []byte(keys[0] + " from " + position(keys[0]))}, nil
	}
	inBubble(t, cfg, func(w *world) {
		w.must(w.c.Subscribe("a"))
		conn := w.connect()
		w.must(conn.SendBinary([]byte("a:17")))
		synctest.Wait()
		conn.Drop()
		w.pass(time.Minute)
		w.wantOn(w.conn(), "a from 17")
	})
}

// The set survives the end of a run and the connection to another server.
func TestSubscriptionsSurviveDisconnect(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: noText, Subscriptions: joins()}, func(w *world) {
		w.connect()
		w.must(w.c.Subscribe("a"))
		synctest.Wait()
		w.must(w.c.Disconnect())
		w.wantStates("a wanted")
		w.must(w.c.Subscribe("b"))
		w.must(w.c.Connect(w.Context(), w.srv.URL(), "bob"))
		bob, err := w.srv.Conn(w.Context(), "bob")
		w.must(err)
		w.wantOn(bob, "join a", "join b")
	})
}

func TestSubscribeWithoutConfig(t *testing.T) {
	c := wsnotify.New(wsnotify.Config{})
	for _, err := range []error{c.Subscribe("a"), c.Unsubscribe("a")} {
		if err == nil || !strings.Contains(err.Error(), "Config.Subscriptions.Subscribe") {
			t.Errorf("%v", err)
		}
	}
	if got := c.Subscriptions(); got != nil {
		t.Errorf("%v", got)
	}
}

// Many keys hold up nobody who does something else.
func TestManyKeys(t *testing.T) {
	const keys = 20_000
	inBubble(t, wsnotify.Config{Heartbeat: noText, Subscriptions: joins()}, func(w *world) {
		for i := range keys {
			w.must(w.c.Subscribe(strconv.Itoa(i)))
		}
		conn := w.connect()
		w.must(w.c.SendMessage(w.Context(), "behind"))
		synctest.Wait()
		if got := conn.Messages(); len(got) != keys+1 || got[0] != "join 0" || got[keys] != "behind" {
			t.Errorf("%d messages", len(got))
		}
	})
}

// room is what a server of the model knows of one connection.
type room struct {
	mu   sync.Mutex
	have map[*wsnotifytest.Conn]map[string]bool
}

// Random changes, drops and refusals: each connection sees each key at most
// once, and in the end the server has what the client wants.
func TestSubscriptionModel(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			random, hook := rand.New(rand.NewPCG(seed, 2)), rand.New(rand.NewPCG(seed, 3))
			cfg := wsnotify.Config{
				Heartbeat: noText, Subscriptions: confirmed(joins()),
				BackOff: wsnotify.Exponential(time.Millisecond, 10*time.Millisecond, -1),
				OnHandshake: func(context.Context, *wsnotify.Handshake) error {
					if hook.IntN(3) == 0 {
						return errors.New("not yet")
					}
					return nil
				},
			}
			cfg.Subscriptions.Batch = 1 + random.IntN(3)
			cfg.Envelope.Parse = func(m wsnotify.Message) (string, []byte, error) { return "x", nil, nil }
			inBubble(t, cfg, func(w *world) {
				r := &room{have: map[*wsnotifytest.Conn]map[string]bool{}}
				w.srv.Latency(time.Duration(random.IntN(3)) * time.Millisecond)
				w.srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) { r.serve(w, c, string(data)) })
				want := map[string]bool{}
				w.must(w.c.Connect(w.Context(), w.srv.URL(), "ada"))
				for range 200 {
					k := fmt.Sprint("k", random.IntN(12))
					switch random.IntN(8) {
					case 0, 1, 2:
						w.must(w.c.Subscribe(k))
						want[k] = true
					case 3, 4:
						w.must(w.c.Unsubscribe(k))
						delete(want, k)
					case 5:
						w.srv.Everybody().Drop()
					default:
						time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
					}
				}
				w.must(w.c.WaitFor(w.Context(), wsnotify.Open))
				w.pass(time.Minute)
				conns := w.srv.LiveConns()
				if len(conns) != 1 {
					t.Fatalf("%d connections", len(conns))
				}
				w.wantNoOtherKeys()
				refused := w.c.Status().Subscriptions.Refused
				delete(want, "k7") // which the server refuses
				r.mu.Lock()
				defer r.mu.Unlock()
				if have := r.have[conns[0]]; !maps.Equal(have, want) && len(have)+len(want) > 0 {
					t.Errorf("the server has %v, not %v", have, want)
				}
				if got := w.c.Status().Subscriptions; got.Active != len(want) || got.Wanted != len(want)+refused {
					t.Errorf("%+v with %d keys", got, len(want))
				}
			})
		})
	}
}

func (r *room) serve(w *world, c *wsnotifytest.Conn, text string) {
	verb, list, _ := strings.Cut(text, " ")
	r.mu.Lock()
	defer r.mu.Unlock()
	have := r.have[c]
	if have == nil {
		have = map[string]bool{}
		r.have[c] = have
	}
	for _, k := range strings.Split(list, ",") {
		switch {
		case verb == "join" && have[k]:
			w.Errorf("%s twice on one connection", k)
		case verb == "join" && k == "k7":
			c.SendText("no k7")
		case verb == "join":
			have[k] = true
			c.SendText("ok " + k)
		case !have[k] && k != "k7": // whose refusal may still be under way
			w.Errorf("%s was left and not joined", k)
		default:
			delete(have, k)
		}
	}
}

// What the Subscribe function of a lost connection returns late does not touch
// the current one.
func TestSubscribeFunctionThatOutlivesItsConnection(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: joins()}
	var release chan struct{}
	calls := 0
	limiter := &oneEach{}
	cfg.Outbox.Limiter = limiter
	subscribe := cfg.Subscriptions.Subscribe
	cfg.Subscriptions.Subscribe = func(keys []string, position func(string) string) (wsnotify.Message, error) {
		if calls++; calls == 1 {
			<-release
			return wsnotify.Message{}, errors.New("late")
		}
		return subscribe(keys, position)
	}
	inBubble(t, cfg, func(w *world) {
		release = make(chan struct{})
		w.must(w.c.Subscribe("a"))
		conn := w.connect()
		synctest.Wait()
		conn.Drop()
		w.pass(5 * time.Second)
		limiter.mu.Lock()
		limiter.next = time.Now().Add(10 * time.Second)
		limiter.mu.Unlock()
		w.pass(5 * time.Second)
		conn = w.conn()
		w.wantStates("a wanted")
		close(release)
		w.pass(5 * time.Second)
		w.wantStates("a active")
		w.must(w.c.Unsubscribe("a"))
		w.wantOn(conn, "join a", "leave a")
	})
}

// The time in which answers wait for callbacks does not count.
func TestConfirmTimeoutOfSubscriptionsExcusesAFullInbox(t *testing.T) {
	var release chan struct{}
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: confirmed(joins()), OnMessage: func(wsnotify.Message) { <-release }}
	cfg.Subscriptions.ConfirmTimeout = 5 * time.Second
	cfg.Inbox.Messages = 1
	cfg.Envelope.Parse = func(m wsnotify.Message) (string, []byte, error) { return "x", nil, nil }
	inBubble(t, cfg, func(w *world) {
		release = make(chan struct{})
		conn := w.connect()
		w.send(conn, "x", "y", "z")
		w.must(w.c.Subscribe("a"))
		synctest.Wait()
		go conn.SendText("ok a")
		w.pass(time.Minute)
		close(release)
		w.wantStates("a active")
		if got := w.c.Status().Connections; got != 1 {
			t.Errorf("%d connections", got)
		}
	})
}

// A key that is dropped leaves the order of the others alone.
func TestOrderOfKeysThatAreSentAlone(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: joins()}
	cfg.Subscriptions.Batch = 4
	subscribe := cfg.Subscriptions.Subscribe
	cfg.Subscriptions.Subscribe = func(keys []string, position func(string) string) (wsnotify.Message, error) {
		if len(keys) > 1 {
			return wsnotify.Message{}, errors.New("one at a time")
		}
		return subscribe(keys, position)
	}
	cfg.Outbox.Limiter = &oneEach{interval: time.Second}
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		w.must(w.c.SendText(w.Context(), "x"))
		w.must(w.c.Subscribe("a", "b", "c", "d"))
		synctest.Wait()
		w.must(w.c.Unsubscribe("c"))
		w.pass(time.Minute)
		w.wantOn(conn, "x", "join a", "join b", "join d")
	})
}

// Nothing that is queued is sent before the Subscribe functions of a new connection
// have returned. What would wait for that in one of them is an error at once.
func TestSubscribeFunctionCannotWaitForTheQueue(t *testing.T) {
	for name, wait := range map[string]func(*wsnotify.Client) error{
		"Drain": func(c *wsnotify.Client) error { return c.Drain(bg) },
		"Flush": func(c *wsnotify.Client) error { return c.Flush(bg) },
		"Send":  func(c *wsnotify.Client) error { return c.SendText(bg, "x") },
		"Request": func(c *wsnotify.Client) error {
			_, err := c.Request(bg, "7", wsnotify.MessageText, []byte(`{"id":"7"}`))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			var errs []error
			subs := joins()
			join := subs.Subscribe
			subs.Subscribe = func(keys []string, position func(string) string) (wsnotify.Message, error) {
				errs = append(errs, wait(w.c))
				return join(keys, position)
			}
			inBubble(t, wsnotify.Config{Subscriptions: subs}, func(world *world) {
				w = world
				w.must(w.c.Subscribe("a", "b"))
				w.must(w.c.Enqueue(wsnotify.MessageText, []byte("first")))
				w.connect()
				w.pass(time.Second)
				if len(errs) != 2 || errs[0] == nil || !strings.Contains(errs[0].Error(), name+" in Subscriptions.Subscribe") {
					t.Errorf("%v", errs)
				}
				if got := fmt.Sprint(w.srv.Messages("ada")); got != "[join a join b first]" {
					t.Errorf("the server got %s", got)
				}
			})
		})
	}
}

// Once what was queued is sent, a Subscribe function holds up nothing, and may wait.
func TestSubscribeFunctionOfALaterKeyMaySend(t *testing.T) {
	var w *world
	subs := joins()
	join := subs.Subscribe
	subs.Subscribe = func(keys []string, position func(string) string) (wsnotify.Message, error) {
		if keys[0] == "later" {
			w.must(w.c.SendText(bg, "x"))
			w.must(w.c.Flush(bg))
		}
		return join(keys, position)
	}
	inBubble(t, wsnotify.Config{Subscriptions: subs}, func(world *world) {
		w = world
		w.must(w.c.Subscribe("a"))
		w.connect()
		w.must(w.c.Subscribe("later"))
		w.pass(time.Second)
		if got := fmt.Sprint(w.srv.Messages("ada")); got != "[join a x join later]" {
			t.Errorf("the server got %s", got)
		}
	})
}

// What is queued does not come before the subscriptions, either, when the connection is closed before
// those have been sent: they come first, or it is reported.
func TestDisconnectBeforeTheSubscriptionsAreSent(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*wsnotify.Config)
		want   string
		took   time.Duration
	}{
		"": {func(*wsnotify.Config) {}, "[join a join b x]", 0},
		"a Subscribe that hangs": {func(cfg *wsnotify.Config) {
			cfg.Subscriptions.Subscribe = func([]string, func(string) string) (m wsnotify.Message, err error) {
				time.Sleep(time.Minute)
				return m, nil
			}
		}, "[]", time.Second},
		"a Limiter": {func(cfg *wsnotify.Config) {
			cfg.Outbox.Limiter = &oneEach{interval: time.Hour, next: time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)}
		}, "[]", 0},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				cfg := wsnotify.Config{Subscriptions: joins()}
				test.change(&cfg)
				var lost []error
				cfg.OnUndelivered = func(_ wsnotify.Message, err error) { lost = append(lost, err) }
				inBubble(t, cfg, func(w *world) {
					w.must(w.c.Subscribe("a", "b"))
					w.must(w.c.Enqueue(wsnotify.MessageText, []byte("x")))
					w.must(w.c.Connect(w.Context(), w.srv.URL(), "ada"))
					began := time.Now()
					w.must(w.c.Disconnect())
					took := time.Since(began)
					<-w.c.Done()
					synctest.Wait()
					if got := fmt.Sprint(w.srv.Messages("ada")); got != test.want || took != test.took {
						t.Errorf("the server got %s, and Disconnect took %v", got, took)
					}
					if want := test.want == "[]"; want != (len(lost) == 1 && lost[0] == wsnotify.ErrClosed) {
						t.Errorf("undelivered: %v", lost)
					}
				})
			}
		})
	}
}

// Every method may be called in the Subscribe function and in Confirm.
func TestMethodsInSubscribeFunctions(t *testing.T) {
	for name, f := range map[string]func(*wsnotify.Client){
		"Disconnect":  func(c *wsnotify.Client) { c.Disconnect() },
		"Subscribe":   func(c *wsnotify.Client) { c.Subscribe("other") },
		"Unsubscribe": func(c *wsnotify.Client) { c.Unsubscribe("a") },
		"Reconnect":   func(c *wsnotify.Client) { c.Reconnect() },
		"Enqueue":     func(c *wsnotify.Client) { c.Enqueue(wsnotify.MessageText, []byte("x")) },
		"Drain":       func(c *wsnotify.Client) { c.Drain(context.Background()) },
		"Status":      func(c *wsnotify.Client) { c.Status(); c.Subscriptions() },
		"SetPosition": func(c *wsnotify.Client) { c.SetPosition("a", "7") },
		"Connect": func(c *wsnotify.Client) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			c.Connect(ctx, "ws://nowhere.test", "")
		},
		"Send": func(c *wsnotify.Client) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			c.SendText(ctx, "x")
		},
	} {
		for _, where := range []string{"Subscribe", "Confirm", "Unsubscribe", "OnGap", "Position"} {
			t.Run(name+" in "+where, func(t *testing.T) {
				calls := 0
				var c *wsnotify.Client
				call := func(here string) {
					if here == where {
						if calls++; calls == 1 {
							f(c)
						}
					}
				}
				cfg := wsnotify.Config{Heartbeat: noText, CloseTimeout: time.Second, Subscriptions: confirmed(joins()), Resume: bySeq()}
				s, u, cf := cfg.Subscriptions.Subscribe, cfg.Subscriptions.Unsubscribe, cfg.Subscriptions.Confirm
				cfg.Subscriptions.Subscribe = func(keys []string, p func(string) string) (wsnotify.Message, error) {
					call("Subscribe")
					return s(keys, p)
				}
				cfg.Subscriptions.Unsubscribe = func(keys []string) (wsnotify.Message, error) { call("Unsubscribe"); return u(keys) }
				cfg.Subscriptions.Confirm = func(m wsnotify.Message) ([]string, error) { call("Confirm"); return cf(m) }
				cfg.Resume.OnGap = func(wsnotify.Gap) { call("OnGap") }
				p := cfg.Resume.Position
				cfg.Resume.Position = func(m wsnotify.Message) (string, string) {
					if where == "Position" && (name == "Status" || name == "SetPosition" || name == "Enqueue" || name == "Subscribe") {
						call("Position")
					}
					return p(m)
				}
				inBubble(t, cfg, func(w *world) {
					c = w.c
					w.srv.OnMessage(func(conn *wsnotifytest.Conn, _ byte, data []byte) {
						if keys, ok := strings.CutPrefix(string(data), "join "); ok {
							conn.SendText("ok " + keys)
						}
					})
					w.must(w.c.Subscribe("a", "b", "c"))
					w.must(w.c.Connect(w.Context(), w.srv.URL(), "ada"))
					w.pass(time.Minute)
					w.c.Unsubscribe("b")
					synctest.Wait()
					if w.c.IsConnected() {
						cn := w.conn()
						cn.SendText(event(1))
						cn.SendText(event(3))
					}
					w.pass(time.Minute)
					w.must(w.c.Disconnect())
					w.must(w.c.Unsubscribe("other"))
					ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
					defer cancel()
					w.must(w.c.Connect(ctx, w.srv.URL(), "ada"))
					w.pass(time.Minute)
					for _, s := range w.c.Subscriptions() {
						if s.State != wsnotify.SubscriptionActive {
							t.Errorf("%+v", s)
						}
					}
				})
			})
		}
	}
}

// A message that waits, and of which a key is not wanted any more, is made anew without it, and stays where it was: the
// first ones of a connection are before what is queued.
func TestUnsubscribeBeforeTheFirstWereSent(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*world)
		states string
		sent   []string
	}{
		"unsubscribed": {func(w *world) { w.must(w.c.Unsubscribe("b")) },
			"a %[1]s, c %[1]s, d %[1]s", []string{"join a,c", "join d", "queued"}},
		"both": {func(w *world) { w.must(w.c.Unsubscribe("b", "a")) },
			"c %[1]s, d %[1]s", []string{"join c,d", "queued"}},
		"subscribed again": {func(w *world) { w.must(w.c.Unsubscribe("a")); w.must(w.c.Subscribe("a")) }, // behind what is queued
			"b %[1]s, c %[1]s, d %[1]s, a %[1]s", []string{"join b,c", "join d", "queued", "join a"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: joins()}
			cfg.Subscriptions.Batch = 2
			limiter := &oneEach{interval: 10 * time.Second}
			cfg.Outbox.Limiter = limiter
			inBubble(t, cfg, func(w *world) {
				limiter.next = w.start.Add(10 * time.Second)
				w.must(w.c.Subscribe("a", "b", "c", "d"))
				w.must(w.c.Enqueue(wsnotify.MessageText, []byte("queued")))
				conn := w.connect()
				w.pass(time.Second)
				test.change(w)
				w.wantStates(fmt.Sprintf(test.states, "wanted"))
				w.pass(9 * time.Second)
				w.wantOn(conn, test.sent[0])
				w.pass(time.Minute)
				w.wantOn(conn, test.sent...)
				w.wantStates(fmt.Sprintf(test.states, "active"))
				w.wantNoOtherKeys()
			})
		})
	}
}

// What answers a subscription that is about to end does not answer the one that follows it.
func TestAnswerToTheSubscriptionBefore(t *testing.T) {
	var release chan struct{}
	cfg := wsnotify.Config{Heartbeat: noText, Subscriptions: confirmed(joins())}
	leave := cfg.Subscriptions.Unsubscribe
	cfg.Subscriptions.Unsubscribe = func(keys []string) (wsnotify.Message, error) {
		if keys[0] == "b" {
			<-release
		}
		return leave(keys)
	}
	inBubble(t, cfg, func(w *world) {
		release = make(chan struct{})
		w.must(w.c.Subscribe("a", "b"))
		conn := w.connect()
		w.wantStates("a sent, b sent")
		w.must(w.c.Unsubscribe("b", "a"))
		w.must(w.c.Subscribe("a"))
		w.send(conn, "ok a")
		close(release)
		w.wantOn(conn, "join a", "join b", "leave b", "leave a", "join a")
		w.wantStates("a sent")
		w.send(conn, "ok a")
		w.wantStates("a active")
		w.wantNoOtherKeys()
	})
}
