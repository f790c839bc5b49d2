package wsnotify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// event is the text of message n of a server that numbers them.
func event(n int) string { return fmt.Sprintf(`{"seq":%d,"msgType":"n","content":"%d"}`, n, n) }

func bySeq() wsnotify.Resume {
	return wsnotify.Resume{Position: wsnotify.PositionField("seq"), Query: "after", Order: wsnotify.PositionConsecutive}
}

// asked returns what a connection asked for in the parameter "after".
func askedAfter(c *wsnotifytest.Conn) string { return c.Request().URL.Query().Get("after") }

// A position is a field of JSON text. What a binary message has there is none.
func TestPositionFieldReadsTextAlone(t *testing.T) {
	position := wsnotify.PositionField("seq")
	for data, want := range map[string]string{`{"seq":7}`: "7", `{"a":{"seq":6},"seq":"x-7"}`: "x-7", `[{"seq":7}]`: "", `{"seq":null}`: "", `{}`: ""} {
		if stream, got := position(wsnotify.Message{Type: wsnotify.MessageText, Data: []byte(data)}); stream != "" || got != want {
			t.Errorf("text %s: stream %q, position %q, want %q", data, stream, got, want)
		}
		if stream, got := position(wsnotify.Message{Type: wsnotify.MessageBinary, Data: []byte(data)}); stream != "" || got != "" {
			t.Errorf("binary %s: stream %q, position %q", data, stream, got)
		}
	}
}

func (w *world) send(c *wsnotifytest.Conn, texts ...string) {
	w.Helper()
	for _, text := range texts {
		w.must(c.SendText(text))
	}
	synctest.Wait()
}

// A reconnect asks for what comes behind the inbox, not behind the callbacks.
func TestReconnectResumesBehindTheInbox(t *testing.T) {
	var release chan struct{}
	var handled []string
	cfg := wsnotify.Config{Resume: bySeq(), OnMessage: func(m wsnotify.Message) {
		<-release
		handled = append(handled, string(m.Data))
	}}
	inBubble(t, cfg, func(w *world) {
		release = make(chan struct{})
		conn := w.connect()
		if got := askedAfter(conn); got != "" {
			t.Errorf("the first connection asks for what is behind %q", got)
		}
		w.send(conn, event(1), event(2), event(3))
		if got := w.c.Position(""); got != "" {
			t.Errorf("handled %q, though no callback has returned", got)
		}
		conn.Drop()
		w.pass(time.Minute)
		again := w.conn()
		if got := askedAfter(again); got != "3" {
			t.Errorf("asked for what is behind %q, not 3", got)
		}
		w.send(again, event(2), event(3), event(4)) // inclusive, and one more
		close(release)
		synctest.Wait()
		if want := []string{event(1), event(2), event(3), event(4)}; !slices.Equal(handled, want) {
			t.Errorf("handled %v", handled)
		}
		if s := w.c.Status(); s.Duplicates != 2 || s.Gaps != 0 || w.c.Position("") != "4" {
			t.Errorf("%d duplicates, %d gaps, position %s", s.Duplicates, s.Gaps, w.c.Position(""))
		}
	})
}

func TestGapsComeBeforeTheMessageBehindThem(t *testing.T) {
	var w *world
	cfg := wsnotify.Config{Resume: bySeq()}
	cfg.Resume.OnGap = func(g wsnotify.Gap) { w.note("%v epoch %d", g, g.Epoch) }
	inBubble(t, cfg, func(world *world) {
		w = world
		conn := w.connect()
		w.journal()
		w.send(conn, event(5), event(6), `{"msgType":"n","content":"no position"}`, event(9), event(10))
		w.expect("0s notification n: 5", "0s notification n: 6", "0s notification n: no position", "0s the messages between 6 and 9 are missing epoch 1",
			"0s notification n: 9", "0s notification n: 10")
		if got := w.c.Status().Gaps; got != 1 {
			t.Errorf("%d gaps", got)
		}
	})
}

// A server that counts anew is reported once for each connection, until
// SetPosition says that its numbers are new.
func TestServerThatDoesNotResume(t *testing.T) {
	var errs []error
	cfg := wsnotify.Config{Resume: bySeq(), OnError: func(err error) { errs = append(errs, err) }}
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		w.send(conn, event(7), event(8))
		conn.Drop()
		w.pass(time.Minute)
		conn = w.conn()
		w.journal()
		w.must(conn.WriteRaw(append(text(`{"msgType":"n","content":"hello"}`), text(event(1))...)))
		w.send(conn, event(2))
		var wrong *wsnotify.ResumeError
		if len(errs) != 1 || !errors.As(errs[0], &wrong) || *wrong != (wsnotify.ResumeError{Asked: "8", Got: "1"}) {
			t.Fatalf("OnError got %v", errs)
		}
		if got := w.c.Status().Duplicates; got != 2 {
			t.Errorf("%d duplicates", got)
		}
		w.c.SetPosition("", "")
		w.send(conn, event(3), event(4))
		w.expect("1m0s notification n: hello", "1m0s error "+errs[0].Error(), "1m0s notification n: 3", "1m0s notification n: 4")
		if len(errs) != 1 || w.c.Position("") != "4" {
			t.Errorf("OnError got %v, position %s", errs, w.c.Position(""))
		}
	})
}

// docs/resuming.md: from a server that counts anew nothing is missed if BeforeDial
// sets the position, since no message of the old connection comes between.
func TestResumeFromAServerThatCountsAnew(t *testing.T) {
	var w *world
	var anew atomic.Bool
	var asked []string
	cfg := wsnotify.Config{
		Resume: bySeq(),
		OnError: func(err error) {
			var behind *wsnotify.ResumeError
			if errors.As(err, &behind) {
				anew.Store(true)
				w.c.Reconnect()
			}
		},
		BeforeDial: func(_ context.Context, req *wsnotify.DialRequest) error {
			if anew.Swap(false) {
				w.c.SetPosition("", "0")
			}
			asked = append(asked, req.Position(""))
			return nil
		},
	}
	inBubble(t, cfg, func(world *world) {
		w = world
		conn := w.connect()
		w.send(conn, event(7), event(8))
		conn.Drop()
		w.pass(time.Minute)
		conn = w.conn()
		for n := range 5 {
			conn.SendText(event(n + 1)) // an error if the client is gone already
		}
		w.pass(time.Minute)
		w.journal()
		w.send(w.conn(), event(1), event(2))
		w.expect("2m0s notification n: 1", "2m0s notification n: 2")
		if want := []string{"", "8", "0"}; !slices.Equal(asked, want) {
			t.Errorf("asked for what is behind %q, and not %q", asked, want)
		}
	})
}

// The server may resume at the very position that was asked for.
func TestInclusiveResumeIsNoError(t *testing.T) {
	inBubble(t, wsnotify.Config{Resume: bySeq()}, func(w *world) {
		conn := w.connect()
		w.send(conn, event(1))
		conn.Drop()
		w.pass(time.Minute)
		w.journal()
		w.send(w.conn(), event(1), event(2))
		w.expect("1m0s notification n: 2")
	})
}

func TestOpaquePositions(t *testing.T) {
	cfg := wsnotify.Config{Resume: wsnotify.Resume{Query: "since", Position: func(m wsnotify.Message) (stream, position string) {
		return "", string(m.Data[:1])
	}}}
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		w.journal()
		for _, id := range []string{"a", "b", "a", "c", "b"} {
			w.must(conn.SendBinary([]byte(id)))
		}
		synctest.Wait()
		w.expect(`0s message binary "a"`, `0s message binary "b"`, `0s message binary "c"`)
		conn.Drop()
		w.pass(time.Minute)
		if got := w.conn().Request().URL.RawQuery; got != "since=c" {
			t.Errorf("asked with %q: a duplicate has moved the position", got)
		}
	})
}

// BeforeDial and OnHandshake see the position of every stream.
func TestPositionsOfStreamsInHooks(t *testing.T) {
	var seen []string
	cfg := wsnotify.Config{
		Resume: wsnotify.Resume{Order: wsnotify.PositionIncreasing, Position: func(m wsnotify.Message) (stream, position string) {
			return string(m.Data[:1]), string(m.Data[1:])
		}},
		BeforeDial: func(_ context.Context, r *wsnotify.DialRequest) error {
			seen = append(seen, r.Position("a")+" "+r.Position("b"))
			return nil
		},
		OnHandshake: func(_ context.Context, h *wsnotify.Handshake) error {
			seen = append(seen, h.Position("a")+" "+h.Position("b"))
			return nil
		},
	}
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		for _, m := range []string{"a1.5", "b-7", "a10", "b-6.5", "a9.99"} {
			w.must(conn.SendBinary([]byte(m)))
		}
		synctest.Wait()
		conn.Drop()
		w.pass(time.Minute)
		w.conn()
		if want := []string{" ", " ", "10 -6.5", "10 -6.5"}; !slices.Equal(seen, want) {
			t.Errorf("the hooks saw %q", seen)
		}
	})
}

// The position stays before a message while a loop body handles it.
func TestLoopBodyDelaysItsPosition(t *testing.T) {
	inBubble(t, wsnotify.Config{Resume: bySeq()}, func(w *world) {
		conn := w.connect()
		next := make(chan struct{})
		loop := w.c.Messages(w.Context())
		go func() {
			for range loop {
				<-next
			}
		}()
		w.send(conn, event(1))
		w.must(conn.SendText(`{"msgType":"x","content":"without a position"}`))
		synctest.Wait()
		if got := w.c.Position(""); got != "" {
			t.Errorf("handled %q while the loop is at 1", got)
		}
		next <- struct{}{}
		synctest.Wait()
		if got := w.c.Position(""); got != "1" {
			t.Errorf("handled %q, not 1", got)
		}
		close(next)
		w.send(conn, event(2), event(3))
		if got := w.c.Position(""); got != "3" {
			t.Errorf("handled %q, not 3", got)
		}
	})
}

// A message that several loops have is handled when the last of them has asked for the next, or has ended.
func TestPositionOfAMessageThatTwoLoopsHave(t *testing.T) {
	store := &memoryStore{}
	cfg := wsnotify.Config{Resume: bySeq()}
	cfg.Resume.Store = store
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		var next [2]chan bool
		for i, loop := range []func(func(wsnotify.Notification) bool){w.c.Notifications(w.Context()), w.c.Notifications(w.Context())} {
			next[i] = make(chan bool)
			go loop(func(wsnotify.Notification) bool { return <-next[i] })
		}
		w.send(conn, event(1), event(2))
		for step, want := range []string{"", "1", "1", "2"} {
			next[step%2] <- step < 2
			synctest.Wait()
			if got := w.c.Position(""); got != want {
				t.Errorf("handled %q, not %q, when %d bodies have returned", got, want, step+1)
			}
		}
		w.pass(time.Second)
		if s := w.c.Status(); s.InboxQueued != 0 || store.get("") != "2" {
			t.Errorf("%d messages are in the inbox, saved %q", s.InboxQueued, store.get(""))
		}
	})
}

// An answer counts as received and handled, behind what came before it.
func TestAnswersHavePositions(t *testing.T) {
	var release chan struct{}
	cfg := wsnotify.Config{Resume: bySeq(), OnMessage: func(wsnotify.Message) { <-release }}
	inBubble(t, cfg, func(w *world) {
		release = make(chan struct{})
		conn := w.connect()
		w.send(conn, event(1))
		a := w.askLater(w.Context(), "q")
		w.send(conn, `{"id":"q","seq":2}`)
		a.over(w)
		if got := w.c.Position(""); got != "" {
			t.Errorf("handled %q before the callback of message 1 has returned", got)
		}
		close(release)
		synctest.Wait()
		if got := w.c.Position(""); got != "2" {
			t.Errorf("handled %q, not 2", got)
		}
		conn.Drop()
		w.pass(time.Minute)
		conn = w.conn()
		if got := askedAfter(conn); got != "2" {
			t.Errorf("asked for what is behind %q, not 2", got)
		}
		a = w.askLater(w.Context(), "again")
		w.send(conn, `{"id":"again","seq":1}`) // which is behind, and no duplicate
		a.over(w)
		if s := w.c.Status(); s.Duplicates != 0 || w.c.Position("") != "2" {
			t.Errorf("%d duplicates, handled %q", s.Duplicates, w.c.Position(""))
		}
	})
}

// What nobody dispatches may have a gap before it, too: an answer to a Request, a message that
// Receive returned, one that Heartbeat.Answer took.
func TestGapsBeforeMessagesWithoutCallbacks(t *testing.T) {
	cfg := wsnotify.Config{Resume: bySeq(), Heartbeat: noText}
	cfg.Heartbeat.Answer = func(m wsnotify.Message) (string, bool) { return "", strings.Contains(string(m.Data), "are you there") }
	cfg.OnHandshake = func(ctx context.Context, h *wsnotify.Handshake) error {
		m, err := h.Receive(ctx)
		if err == nil && !strings.Contains(string(m.Data), "welcome") {
			err = fmt.Errorf("the first message is %s", m.Data)
		}
		return err
	}
	var gaps []string
	cfg.Resume.OnGap = func(g wsnotify.Gap) { gaps = append(gaps, g.After+"-"+g.Next) }
	inBubble(t, cfg, func(w *world) {
		gaps = nil
		welcome := 1
		w.srv.OnConn(func(c *wsnotifytest.Conn) { c.SendText(fmt.Sprintf(`{"seq":%d,"welcome":true}`, welcome)) })
		conn := w.connect()
		w.send(conn, event(2))
		a := w.askLater(w.Context(), "q")
		w.send(conn, `{"id":"q","seq":4}`)
		a.over(w)
		w.send(conn, event(5), `{"are you there":true,"seq":7}`, `{"are you there":true,"seq":8}`, event(9))
		if got := w.c.Position(""); got != "9" {
			t.Errorf("handled %q, not 9", got)
		}
		welcome = 11
		conn.Drop()
		w.pass(time.Minute)
		if want := []string{"2-4", "5-7", "9-11"}; !slices.Equal(gaps, want) || w.c.Status().Gaps != 3 {
			t.Errorf("the gaps are %q and not %q, and Status.Gaps is %d", gaps, want, w.c.Status().Gaps)
		}
	})
}

// An answer that came behind a message whose handler fails is none of what was handled: the
// message is redelivered all the same.
func TestAnswerBehindAMessageThatFails(t *testing.T) {
	for _, order := range []wsnotify.PositionOrder{wsnotify.PositionOpaque, wsnotify.PositionConsecutive} {
		t.Run(order.String(), func(t *testing.T) {
			release, failures := make(chan struct{}), 1
			var got []string
			cfg := wsnotify.Config{Resume: bySeq(), Heartbeat: noText}
			cfg.Resume.OnHandlerError, cfg.Resume.Order = wsnotify.HandlerErrorRedeliver, order
			inBubble(t, cfg, func(w *world) {
				release = make(chan struct{})
				wsnotify.Handle(w.c, "n", func(_ context.Context, n wsnotify.Typed[string]) error {
					got = append(got, n.Value)
					if n.Value == "2" && failures > 0 {
						failures--
						<-release
						return errors.New("database is gone")
					}
					return nil
				})
				conn := w.connect()
				w.send(conn, event(1), event(2))
				a := w.askLater(w.Context(), "q")
				w.send(conn, `{"id":"q","seq":3}`)
				a.over(w)
				close(release)
				w.pass(time.Minute)
				conn = w.conn()
				if asked := askedAfter(conn); asked != "1" {
					t.Errorf("asked for what is behind %q, not 1", asked)
				}
				w.send(conn, event(2), `{"id":"q","seq":3}`, event(4))
				if want := []string{"1", "2", "2", "4"}; !slices.Equal(got, want) || w.c.Position("") != "4" {
					t.Errorf("the handler got %q and not %q; handled %q", got, want, w.c.Position(""))
				}
			})
		})
	}
}

// memoryStore is a PositionStore whose faults a test sets.
type memoryStore struct {
	mu    sync.Mutex
	saved map[string]string
	times []time.Time
	err   error
	block chan struct{}
}

func (s *memoryStore) Load() (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.saved), s.err
}

func (s *memoryStore) Save(positions map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if block := s.block; block != nil {
		s.mu.Unlock()
		<-block
		s.mu.Lock()
	}
	s.times = append(s.times, time.Now())
	if s.err != nil {
		return s.err
	}
	if s.saved == nil {
		s.saved = map[string]string{}
	}
	maps.Copy(s.saved, positions)
	return nil
}

func (s *memoryStore) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *memoryStore) get(stream string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved[stream]
}

func TestStoreIsAskedOnceForAUser(t *testing.T) {
	store := &memoryStore{saved: map[string]string{"": "41"}}
	cfg := wsnotify.Config{Resume: bySeq()}
	cfg.Resume.Store = store
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		if got := askedAfter(conn); got != "41" {
			t.Errorf("asked for what is behind %q, not 41", got)
		}
		w.send(conn, event(41), event(42))
		w.must(w.c.Disconnect())
		<-w.c.Done()
		if got := store.get(""); got != "42" {
			t.Errorf("the store has %q behind the end, not 42", got)
		}
		store.set(func() { store.saved = map[string]string{"": "100"} })
		w.must(w.c.Connect(w.Context(), w.srv.URL(), "ada")) // the same user: what is in memory is newer
		if got := askedAfter(w.conn()); got != "42" {
			t.Errorf("asked for what is behind %q, not 42", got)
		}
		w.must(w.c.Connect(w.Context(), w.srv.URL(), "bob"))
		bob, err := w.srv.Conn(w.Context(), "bob")
		w.must(err)
		if got := askedAfter(bob); got != "100" {
			t.Errorf("another user asks for what is behind %q, not 100", got)
		}
		w.c.SetPosition("", "7")
		w.must(w.c.Disconnect())
		<-w.c.Done()
		w.c.SetPosition("", "8")
		w.must(w.c.Connect(w.Context(), w.srv.URL(), "eve"))
		eve, err := w.srv.Conn(w.Context(), "eve")
		w.must(err)
		if got := askedAfter(eve); got != "8" {
			t.Errorf("asked for what is behind %q, not what SetPosition said", got)
		}
	})
}

func TestAnotherUserBeginsWithoutPositions(t *testing.T) {
	inBubble(t, wsnotify.Config{Resume: bySeq()}, func(w *world) {
		w.send(w.connect(), event(9))
		w.must(w.c.Connect(w.Context(), w.srv.URL(), "bob"))
		bob, err := w.srv.Conn(w.Context(), "bob")
		w.must(err)
		if got := askedAfter(bob); got != "" {
			t.Errorf("asked for what is behind %q of another user", got)
		}
		w.send(bob, event(3))
		if got := w.c.Position(""); got != "3" {
			t.Errorf("position %q, not 3", got)
		}
	})
}

func TestLoadThatFails(t *testing.T) {
	store := &memoryStore{err: errors.New("no such table")}
	cfg := wsnotify.Config{Resume: bySeq()}
	cfg.Resume.Store = store
	inBubble(t, cfg, func(w *world) {
		err := w.c.Connect(w.Context(), w.srv.URL(), "ada")
		w.wantErr(err, store.err)
		if n := w.net.Dials(); n != 0 {
			t.Errorf("%d dials", n)
		}
		store.set(func() { store.err = nil })
		w.connect()
	})
}

// A Load that panics does so in the call that began it, and a Save that panics, or ends its
// goroutine, has failed and is called again.
func TestPositionStoreThatPanics(t *testing.T) {
	store := &faultyStore{}
	cfg := wsnotify.Config{Resume: bySeq()}
	cfg.Resume.Store = store
	inBubble(t, cfg, func(w *world) {
		fault := func(f func()) { store.set(func() { store.fault = f }) }
		for name, connect := range map[string]func(context.Context, string, string) error{"Connect": w.c.Connect, "Run": w.c.Run} {
			fault(func() { panic("a bug of the user's") })
			func() {
				defer func() {
					if v := recover(); v != "a bug of the user's" {
						t.Errorf("%s: the panic is %v", name, v)
					}
				}()
				connect(w.Context(), w.srv.URL(), "ada")
			}()
			fault(runtime.Goexit)
			if err := connect(w.Context(), w.srv.URL(), "ada"); err == nil || !strings.Contains(err.Error(), "Goexit") {
				t.Errorf("%s, where Load ends its goroutine: %v", name, err)
			}
		}
		if n := w.net.Dials(); n != 0 {
			t.Errorf("%d dials", n)
		}
		fault(nil)
		conn := w.connect()
		w.journal()
		fault(func() { panic("a bug of the user's") })
		w.send(conn, event(1))
		w.pass(1500 * time.Millisecond)
		fault(runtime.Goexit)
		w.pass(time.Second)
		fault(nil)
		w.pass(time.Second)
		failed := "error wsnotify: Resume.Store can't save the positions; they are saved again later: "
		w.expect("0s notification n: 1", "1s "+failed+"its Save panicked: a bug of the user's",
			"2s "+failed+"it ended its goroutine (runtime.Goexit, which a test's FailNow calls too) instead of returning")
		if got := store.get(""); got != "1" {
			t.Errorf("the store has %q, not 1", got)
		}
	})
}

// faultyStore is one whose methods do something else first.
type faultyStore struct {
	memoryStore
	fault func()
}

func (s *faultyStore) fail() {
	var f func()
	if s.set(func() { f = s.fault }); f != nil {
		f()
	}
}

func (s *faultyStore) Load() (map[string]string, error) { s.fail(); return s.memoryStore.Load() }
func (s *faultyStore) Save(p map[string]string) error   { s.fail(); return s.memoryStore.Save(p) }

// A Load that hangs holds up neither the ctx of Connect nor Disconnect.
func TestLoadThatHangs(t *testing.T) {
	store := &hangingLoad{}
	cfg := wsnotify.Config{Resume: bySeq()}
	cfg.Resume.Store = store
	inBubble(t, cfg, func(w *world) {
		store.release = make(chan struct{})
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		w.wantErr(w.c.Connect(ctx, w.srv.URL(), "ada"), context.DeadlineExceeded)
		began := time.Now()
		w.must(w.c.Disconnect())
		if took := time.Since(began); took > 0 {
			t.Errorf("Disconnect took %v", took)
		}
		close(store.release)
	})
}

type hangingLoad struct {
	release chan struct{}
	saved   map[string]string
}

func (s *hangingLoad) Load() (map[string]string, error) { <-s.release; return nil, nil }
func (s *hangingLoad) Save(positions map[string]string) error {
	s.saved = positions
	return nil
}

// What is set while Load hangs is saved behind it. Done waits for Load in any case, as for all code of the user.
func TestEndWhileLoadHangs(t *testing.T) {
	for _, set := range []bool{false, true} {
		store := &hangingLoad{}
		cfg := wsnotify.Config{Resume: bySeq()}
		cfg.Resume.Store = store
		inBubble(t, cfg, func(w *world) {
			store.release, store.saved = make(chan struct{}), nil
			ctx, cancel := context.WithTimeout(w.Context(), time.Second)
			defer cancel()
			w.wantErr(w.c.Connect(ctx, w.srv.URL(), "ada"), context.DeadlineExceeded)
			if set {
				w.c.SetPosition("", "41")
			}
			w.must(w.c.Disconnect())
			synctest.Wait()
			select {
			case <-w.c.Done():
				t.Errorf("set %v: it was done before Load returned", set)
			default:
			}
			close(store.release)
			<-w.c.Done()
			if got := store.saved[""]; (got == "41") != set {
				t.Errorf("set %v: saved %q", set, got)
			}
		})
	}
}

// What is set before Connect is saved like what is handled.
func TestSetPositionBeforeConnectIsSaved(t *testing.T) {
	store := &memoryStore{}
	cfg := wsnotify.Config{Resume: bySeq()}
	cfg.Resume.Store = store
	inBubble(t, cfg, func(w *world) {
		w.c.SetPosition("", "41")
		w.connect()
		w.pass(time.Second)
		if got := store.get(""); got != "41" {
			t.Errorf("saved %q, not 41", got)
		}
		w.c.SetPosition("", "50") // nor does it take a message while one is connected
		w.pass(time.Second)
		if got := store.get(""); got != "50" {
			t.Errorf("saved %q, not 50", got)
		}
	})
}

// A Save that fails is reported and tried again; one that hangs holds up
// nothing but Done.
func TestSaveThatFailsAndHangs(t *testing.T) {
	store := &memoryStore{err: errors.New("disk full")}
	cfg := wsnotify.Config{Resume: bySeq(), CloseTimeout: 3 * time.Second}
	cfg.Resume.Store = store
	inBubble(t, cfg, func(w *world) {
		store.set(func() { store.err = nil })
		conn := w.connect()
		w.journal()
		store.set(func() { store.err = errors.New("disk full") })
		w.send(conn, event(1), event(2))
		w.pass(2500 * time.Millisecond)
		failed := "error wsnotify: Resume.Store can't save the positions; they are saved again later: disk full"
		w.expect("0s notification n: 1", "0s notification n: 2", "1s "+failed, "2s "+failed)
		store.set(func() { store.err = nil })
		w.pass(time.Second)
		if got := store.get(""); got != "2" {
			t.Errorf("the store has %q, not 2", got)
		}
		block := make(chan struct{})
		store.set(func() { store.block = block })
		w.send(conn, event(3))
		w.pass(5 * time.Second)
		w.send(conn, event(4))
		w.expect("3.5s notification n: 3", "8.5s notification n: 4")
		began := time.Now()
		w.must(w.c.Disconnect())
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("Disconnect took %v", took)
		}
		store.set(func() { store.block = nil })
		close(block)
		<-w.c.Done()
		if got := store.get(""); got != "4" {
			t.Errorf("the store has %q behind the end, not 4", got)
		}
	})
}

func TestSaveEveryMessage(t *testing.T) {
	store := &memoryStore{}
	var w *world
	cfg := wsnotify.Config{Resume: bySeq(), OnMessage: func(m wsnotify.Message) { w.note("saved %q", store.get("")) }}
	cfg.Resume.Store, cfg.Resume.SaveEvery = store, -1
	inBubble(t, cfg, func(world *world) {
		w = world
		conn := w.connect()
		w.journal()
		w.send(conn, event(1), event(2), event(3))
		w.expect(`0s saved ""`, "0s notification n: 1", `0s saved "1"`, "0s notification n: 2", `0s saved "2"`, "0s notification n: 3")
		if got := store.get(""); got != "3" {
			t.Errorf("the store has %q, not 3", got)
		}
	})
}

// What is handled while a Save with less is under way is saved before the next message, too.
func TestSaveBehindASaveWithLess(t *testing.T) {
	store := &memoryStore{}
	var w *world
	cfg := wsnotify.Config{Resume: bySeq(), OnMessage: func(m wsnotify.Message) { w.note("saved %q", store.get("")) }}
	cfg.Resume.Store, cfg.Resume.SaveEvery = store, -1
	inBubble(t, cfg, func(world *world) {
		w = world
		conn := w.connect()
		w.journal()
		block := make(chan struct{})
		store.set(func() { store.block = block })
		go w.c.SetPosition("another stream", "7")
		synctest.Wait()
		w.send(conn, event(1), event(2))
		w.expect(`0s saved ""`, "0s notification n: 1")
		store.set(func() { store.block = nil })
		close(block)
		w.expect(`0s saved "1"`, "0s notification n: 2")
		if got := store.get("") + " " + store.get("another stream"); got != "2 7" {
			t.Errorf("the store has %q, not 2 and 7", got)
		}
	})
}

// A server that sends numbered messages from where it is asked to: through
// drops and half-open links none is missed, none comes twice.
func TestNothingIsMissedAndNothingComesTwice(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			const messages = 2000
			next, gaps := 1, 0
			cfg := wsnotify.Config{
				Resume: bySeq(), BackOff: wsnotify.Exponential(time.Millisecond, 100*time.Millisecond, -1),
				Inbox: wsnotify.Inbox{Messages: 64},
				OnNotification: func(n wsnotify.Notification) {
					if n.Content != strconv.Itoa(next) {
						t.Errorf("message %s, not %d", n.Content, next)
					}
					if next++; next%100 == 0 {
						time.Sleep(50 * time.Millisecond)
					}
				},
			}
			cfg.Resume.OnGap = func(wsnotify.Gap) { gaps++ }
			cfg.Resume.Store = &memoryStore{}
			inBubble(t, cfg, func(w *world) {
				w.srv.OnConn(func(c *wsnotifytest.Conn) {
					random := rand.New(rand.NewPCG(seed, uint64(c.ID())))
					after, _ := strconv.Atoi(askedAfter(c))
					for n := max(after, 1); n <= messages && c.SendText(event(n)) == nil; n++ {
						switch random.IntN(100) {
						case 0:
							c.Drop()
							return
						case 1:
							c.BlackHole(true)
							return
						case 2:
							time.Sleep(20 * time.Millisecond)
						}
					}
				})
				w.must(w.c.Connect(w.Context(), w.srv.URL(), "ada"))
				for w.c.Position("") != strconv.Itoa(messages) {
					w.pass(time.Minute)
					if t.Failed() || time.Since(w.start) > 24*time.Hour {
						break
					}
				}
				if next != messages+1 || gaps != 0 {
					t.Errorf("%d messages and %d gaps", next-1, gaps)
				}
			})
		})
	}
}

// A message whose handler failed comes again, on another connection, with all
// that was behind it; and the policy gives up on one that never succeeds.
func TestHandlerErrorRedelivers(t *testing.T) {
	for _, order := range []wsnotify.PositionOrder{wsnotify.PositionOpaque, wsnotify.PositionConsecutive} {
		t.Run(order.String(), func(t *testing.T) {
			failures := 2
			var w *world
			cfg := wsnotify.Config{Resume: bySeq(), Heartbeat: noText}
			cfg.Resume.OnHandlerError, cfg.Resume.Order = wsnotify.HandlerErrorRedeliver, order
			inBubble(t, cfg, func(world *world) {
				w = world
				wsnotify.Handle(w.c, "n", func(_ context.Context, n wsnotify.Typed[string]) error {
					if n.Value == "3" && failures > 0 {
						failures--
						return errors.New("database is gone")
					}
					w.note("handled %s", n.Value)
					return nil
				})
				w.srv.OnConn(func(c *wsnotifytest.Conn) {
					after, _ := strconv.Atoi(askedAfter(c))
					for n := after + 1; n <= 5 && c.SendText(event(n)) == nil; n++ {
					}
				})
				w.must(w.c.Connect(w.Context(), w.srv.URL(), "ada"))
				w.pass(5 * time.Second)
				if got := w.c.Position(""); got != "2" {
					t.Errorf("handled up to %q, not 2", got)
				}
				w.pass(time.Minute)
				var handled []string
				for _, entry := range w.journal() {
					if at, number, ok := strings.Cut(entry, " handled "); ok {
						handled = append(handled, at+" "+number)
					}
				}
				if want := []string{"0s 1", "0s 2", "20s 3", "20s 4", "20s 5"}; !slices.Equal(handled, want) {
					t.Errorf("handled %v, not %v", handled, want)
				}
				if s := w.c.Status(); s.Duplicates > 0 || s.ReconnectAttempts > 0 || w.c.Position("") != "5" {
					t.Errorf("%+v, position %s", s, w.c.Position(""))
				}
			})
		})
	}
}

// A message that comes again has not been handled before the body of a loop has returned: the counter of reconnects
// stays until then, and until StableAfter.
func TestLoopOverARedeliveredMessage(t *testing.T) {
	for _, stable := range []time.Duration{0, time.Minute} {
		failures := 1
		cfg := wsnotify.Config{Resume: bySeq(), Heartbeat: noText, StableAfter: stable}
		cfg.Resume.OnHandlerError = wsnotify.HandlerErrorRedeliver
		inBubble(t, cfg, func(w *world) {
			wsnotify.Handle(w.c, "n", func(context.Context, wsnotify.Typed[string]) error {
				if failures--; failures == 0 {
					return errors.New("database is gone")
				}
				return nil
			})
			loop, next := w.c.Notifications(w.Context()), make(chan struct{})
			go func() {
				for range loop {
					<-next
				}
			}()
			w.send(w.connect(), event(1))
			next <- struct{}{}
			w.pass(11 * time.Second)
			w.send(w.conn(), event(1))
			want := func(attempts int, when string) {
				t.Helper()
				if got := w.c.ReconnectAttempts(); got != attempts {
					t.Errorf("StableAfter %v: ReconnectAttempts is %d, not %d, %s", stable, got, attempts, when)
				}
			}
			want(1, "while the body runs")
			next <- struct{}{}
			w.pass(0)
			if stable > 0 {
				want(1, "before StableAfter")
				w.pass(59 * time.Second)
			}
			want(0, "at the end")
		})
	}
}

// A handler that fails once the connection of its message is lost costs no other one: that which follows asks for the
// message.
func TestHandlerErrorBehindItsConnection(t *testing.T) {
	var release chan struct{}
	cfg := wsnotify.Config{Resume: bySeq(), Heartbeat: noText}
	cfg.Resume.OnHandlerError = wsnotify.HandlerErrorRedeliver
	inBubble(t, cfg, func(w *world) {
		release = make(chan struct{})
		wsnotify.Handle(w.c, "n", func(_ context.Context, n wsnotify.Typed[string]) error {
			if n.Value == "2" {
				<-release
				return errors.New("database is gone")
			}
			return nil
		})
		conn := w.connect()
		w.send(conn, event(1), event(2))
		conn.Drop()
		w.pass(5 * time.Second)
		close(release)
		w.pass(time.Minute)
		if got := askedAfter(w.conn()); got != "1" {
			t.Errorf("asked for what is behind %q, not 1", got)
		}
		if got := w.c.Status().Connections; got != 2 {
			t.Errorf("%d connections", got)
		}
	})
}

func TestMessageThatNeverSucceedsIsGivenUp(t *testing.T) {
	cfg := wsnotify.Config{Resume: bySeq(), Heartbeat: noText}
	cfg.Resume.OnHandlerError = wsnotify.HandlerErrorRedeliver
	inBubble(t, cfg, func(w *world) {
		calls := 0
		wsnotify.Handle(w.c, "n", func(context.Context, wsnotify.Typed[string]) error { calls++; return errors.New("poison") })
		w.srv.OnConn(func(c *wsnotifytest.Conn) { c.SendText(event(1)); c.SendText(event(2)) })
		var gaveUp *wsnotify.GiveUpError
		if err := w.c.Run(w.Context(), w.srv.URL(), "ada"); !errors.As(err, &gaveUp) {
			t.Errorf("Run returned %v", err)
		}
		<-w.c.Done()
		if calls != 7 {
			t.Errorf("the handler was called %d times, not once for each of 7 connections", calls)
		}
	})
}

// The end of a Connect does not end the saving for the next one, which has begun
// while its last callback ran.
func TestSaveEveryAfterAQuickConnect(t *testing.T) {
	store := &memoryStore{}
	var release chan struct{}
	cfg := wsnotify.Config{Heartbeat: noText, Resume: bySeq(), OnMessage: func(wsnotify.Message) { <-release }}
	cfg.Resume.Store = store
	inBubble(t, cfg, func(w *world) {
		release = make(chan struct{})
		w.send(w.connect(), event(1))
		w.must(w.c.Disconnect())
		conn := w.connect()
		close(release)
		w.pass(time.Minute)
		store.set(func() { store.times = nil })
		w.send(conn, event(2), event(3), event(4))
		store.set(func() {
			if len(store.times) != 0 {
				t.Errorf("%d positions were saved before SaveEvery", len(store.times))
			}
		})
		w.pass(time.Second)
		store.set(func() {
			if len(store.times) != 1 {
				t.Errorf("saved %d times", len(store.times))
			}
		})
	})
}

// What a callback sets stays in the Store, whatever message is being handled.
func TestSetPositionInACallbackIsSaved(t *testing.T) {
	store := &memoryStore{}
	cfg := wsnotify.Config{Heartbeat: noText, Resume: bySeq()}
	cfg.Resume.Store = store
	var w *world
	cfg.OnMessage = func(m wsnotify.Message) {
		if string(m.Data) == event(1) {
			w.c.SetPosition("", "100")
		}
	}
	inBubble(t, cfg, func(world *world) {
		w = world
		conn := w.connect()
		w.send(conn, event(1))
		w.pass(time.Minute)
		if got := store.get(""); got != "100" || w.c.Position("") != "100" {
			t.Errorf("saved %q, position %q, not 100", got, w.c.Position(""))
		}
		w.send(conn, event(101))
		w.pass(time.Minute)
		if got := store.get(""); got != "101" {
			t.Errorf("saved %q, not 101", got)
		}
	})
}

// A message of the user before is handled, and its position is not saved as one of
// the next user.
func TestPositionOfTheUserBeforeIsNotSaved(t *testing.T) {
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprint("fails=", fails), func(t *testing.T) {
			store := &memoryStore{}
			var release chan struct{}
			cfg := wsnotify.Config{Heartbeat: noText, Resume: bySeq()}
			cfg.Resume.OnHandlerError = wsnotify.HandlerErrorRedeliver
			cfg.Resume.Store = store
			inBubble(t, cfg, func(w *world) {
				release = make(chan struct{})
				wsnotify.Handle(w.c, "n", func(_ context.Context, n wsnotify.Typed[string]) error {
					if n.Value == "7" {
						<-release
						if fails {
							return errors.New("no")
						}
					}
					return nil
				})
				w.send(w.connect(), event(7), event(8))
				w.must(w.c.Connect(w.Context(), w.srv.URL(), "bob"))
				bob, err := w.srv.Conn(w.Context(), "bob")
				w.must(err)
				close(release)
				w.pass(time.Minute)
				if got := store.get(""); got != "" || w.c.Position("") != "" {
					t.Errorf("saved %q, position %q", got, w.c.Position(""))
				}
				if got := w.c.Status().Connections; got != 2 {
					t.Errorf("%d connections", got)
				}
				w.send(bob, event(3))
				if got := w.c.Position(""); got != "3" {
					t.Errorf("position %q, not 3", got)
				}
				w.pass(time.Minute)
				if got := store.get(""); got != "3" {
					t.Errorf("saved %q, not 3", got)
				}
			})
		})
	}
}

// oneAtATime is a PositionStore that counts overlapping calls.
type oneAtATime struct {
	memoryStore
	calls, overlaps atomic.Int32
}

func (s *oneAtATime) call() func() {
	if s.calls.Add(1) > 1 {
		s.overlaps.Add(1)
	}
	return func() { s.calls.Add(-1) }
}
func (s *oneAtATime) Load() (map[string]string, error) {
	defer s.call()()
	return s.memoryStore.Load()
}
func (s *oneAtATime) Save(m map[string]string) error {
	defer s.call()()
	return s.memoryStore.Save(m)
}

func TestLoadWaitsForTheSaveBefore(t *testing.T) {
	store := &oneAtATime{}
	cfg := wsnotify.Config{Heartbeat: noText, Resume: bySeq(), CloseTimeout: time.Second}
	cfg.Resume.Store = store
	inBubble(t, cfg, func(w *world) {
		block := make(chan struct{})
		conn := w.connect()
		store.set(func() { store.block = block })
		w.send(conn, event(1))
		w.pass(5 * time.Second)
		w.must(w.c.Disconnect())
		time.AfterFunc(time.Minute, func() {
			store.set(func() { store.block = nil })
			close(block)
		})
		w.must(w.c.Connect(w.Context(), w.srv.URL(), "bob"))
		w.pass(2 * time.Minute)
		if n := store.overlaps.Load(); n != 0 {
			t.Errorf("%d calls while another one ran", n)
		}
	})
}

// A Save that takes longer than SaveEvery is followed by another one, with what was
// handled meanwhile.
func TestSlowSaveIsFollowedByAnother(t *testing.T) {
	store := &memoryStore{}
	cfg := wsnotify.Config{Heartbeat: noText, Resume: bySeq()}
	cfg.Resume.Store = store
	inBubble(t, cfg, func(w *world) {
		conn := w.connect()
		block := make(chan struct{})
		store.set(func() { store.block = block })
		w.send(conn, event(1))
		w.pass(5 * time.Second)
		w.send(conn, event(2))
		w.pass(5 * time.Second)
		store.set(func() { store.block = nil })
		close(block)
		w.pass(5 * time.Second)
		if got := store.get(""); got != "2" {
			t.Errorf("saved %q, not 2", got)
		}
		w.send(conn, event(3))
		w.pass(5 * time.Second)
		if got := store.get(""); got != "3" {
			t.Errorf("saved %q, not 3", got)
		}
	})
}

// A handler that fails in a drain can't have its message back: what is queued is
// sent all the same, and the loss is reported.
func TestHandlerErrorInADrain(t *testing.T) {
	cfg := wsnotify.Config{Resume: bySeq(), Heartbeat: noText}
	cfg.Resume.OnHandlerError = wsnotify.HandlerErrorRedeliver
	cfg.Outbox.Limiter = &oneEach{interval: time.Second}
	inBubble(t, cfg, func(w *world) {
		wsnotify.Handle(w.c, "n", func(_ context.Context, n wsnotify.Typed[string]) error {
			time.Sleep(time.Second)
			if n.Value == "2" {
				return errors.New("no")
			}
			return nil
		})
		conn := w.connect()
		w.send(conn, event(1), event(2), event(3), event(4))
		for _, text := range strings.Split("abcdefgh", "") {
			w.must(w.c.Enqueue(wsnotify.MessageText, []byte(text)))
		}
		err := w.c.Drain(w.Context())
		<-w.c.Done()
		var lost *wsnotify.DrainError
		if !errors.As(err, &lost) || lost.Unhandled != 3 || lost.Unsent != 0 || !strings.HasSuffix(err.Error(), ": a handler returned an error, and its message is to be redelivered") {
			t.Errorf("Drain returned %v", err)
		}
		w.wantOn(conn, strings.Split("abcdefgh", "")...)
		if got := w.c.Position(""); got != "1" {
			t.Errorf("position %q", got)
		}
		again := w.connect()
		if got := askedAfter(again); got != "1" {
			t.Errorf("asked for what is behind %q, not 1", got)
		}
	})
}

func TestGapNamesItsStream(t *testing.T) {
	for want, v := range map[string]fmt.Stringer{
		"the messages between 7 and 12 are missing":                    wsnotify.Gap{After: "7", Next: "12"},
		`stream "a\nb": the messages between 7\t and \r12 are missing`: wsnotify.Gap{Stream: "a\nb", After: "7\t", Next: "\r12"},
	} {
		if got := v.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPositionsWithoutResume(t *testing.T) {
	var positions []string
	inBubble(t, wsnotify.Config{
		BeforeDial: func(_ context.Context, r *wsnotify.DialRequest) error {
			positions = append(positions, r.Position(""))
			return nil
		},
		OnHandshake: func(_ context.Context, h *wsnotify.Handshake) error {
			positions = append(positions, h.Position(""))
			return nil
		},
	}, func(w *world) {
		positions = nil
		w.c.SetPosition("", "7")
		w.connect()
		if positions = append(positions, w.c.Position("")); fmt.Sprintf("%q", positions) != `["" "" ""]` {
			t.Errorf("%q", positions)
		}
	})
}

// A position that is no number is reported once for each connection, and its message comes.
func TestPositionThatIsNoNumber(t *testing.T) {
	cfg := wsnotify.Config{Heartbeat: noText, Resume: wsnotify.Resume{Order: wsnotify.PositionConsecutive, Position: func(m wsnotify.Message) (stream, position string) {
		return "orders", string(m.Data)
	}}, OnMessage: func(wsnotify.Message) {}}
	inBubble(t, cfg, func(w *world) {
		for range 2 {
			conn := w.connect()
			w.journal()
			w.send(conn, "x", "y")
			var reports []string
			for _, line := range w.journal() {
				if strings.Contains(line, "no decimal number") {
					reports = append(reports, line)
				}
			}
			if len(reports) != 1 || !strings.Contains(reports[0], `stream "orders": Resume.Position returned "x", which is no decimal number`) || w.c.Status().MessagesIn != 2 {
				t.Errorf("%q, %d received", reports, w.c.Status().MessagesIn)
			}
			w.must(w.c.Disconnect())
			w.c = wsnotify.New(w.config(cfg))
		}
	})
}

// With a field there is nothing in a binary message that could be a position.
func TestBinaryMessagesHaveNoPosition(t *testing.T) {
	inBubble(t, wsnotify.Config{Heartbeat: noText, Resume: bySeq()}, func(w *world) {
		conn := w.connect()
		w.must(conn.SendBinary([]byte(event(7))))
		w.pass(0)
		w.must(conn.SendBinary([]byte(event(7)))) // is no duplicate
		w.pass(0)
		if got := w.c.Position(""); got != "" {
			t.Errorf("the position is %q", got)
		}
		w.expect("0s CONNECTING", "0s OPEN", "0s open 1", fmt.Sprintf("0s message binary %q", event(7)), fmt.Sprintf("0s message binary %q", event(7)))
	})
}
