//go:build !js

package wsnotifytest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	. "github.com/wsnotify/wsnotify/wsnotifytest" // a script reads better without the package's name

	"github.com/wsnotify/wsnotify/internal/testkit"
)

func TestScript(t *testing.T) {
	inMemory(t, func(t *testing.T, n *Network, s *Server) {
		wait := s.Script(t.Context(),
			RefuseWith(503),
			Accept(), Say("hello"), Expect("hello yourself"),
			Wait(10*time.Second), DropConn(),
			RefuseWith(401),
			Accept(), SayNotification("a", 1), ExpectClose(1000),
		)
		start := time.Now()
		if err := tryDial(t.Context(), s); err == nil {
			t.Error("not refused")
		}
		c := dial(t, s, "ada")
		if _, b, err := c.Read(t.Context()); string(b) != "hello" {
			t.Error(string(b), err)
		}
		_ = c.Write(t.Context(), websocket.MessageText, []byte("hello yourself"))
		if _, b, err := c.Read(t.Context()); err == nil || time.Since(start) != 10*time.Second {
			t.Error(string(b), err, time.Since(start))
		}
		if err := tryDial(t.Context(), s); err == nil {
			t.Error("not refused")
		}
		c = dial(t, s, "ada")
		if _, b, err := c.Read(t.Context()); string(b) != `{"msgType":"a","content":1}` {
			t.Error(string(b), err)
		}
		_ = c.Close(1000, "")
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

// A client with a heartbeat keeps a bubble alive, and a wait for what does not come does not go on as long as it does.
func TestWaitInVain(t *testing.T) {
	inMemory(t, func(t *testing.T, n *Network, s *Server) {
		c := dial(t, s, "ada")
		go func() {
			for c.Write(t.Context(), websocket.MessageText, []byte("ping")) == nil {
				time.Sleep(6 * time.Second)
			}
		}()
		start := time.Now()
		_, err := s.NthConn(t.Context(), 2)
		if err == nil || !strings.Contains(err.Error(), "waiting for connection 2, have 1: a day has passed") {
			t.Errorf("it ended with %v", err)
		}
		if d := time.Since(start); d != 24*time.Hour {
			t.Errorf("it ended after %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
		defer cancel()
		if err := s.WaitLive(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a deadline it ended with %v", err)
		}
		if d := time.Since(start); d != 72*time.Hour {
			t.Errorf("with a deadline it ended after %v in all", d)
		}
		_ = c.CloseNow()
		time.Sleep(6 * time.Second) // the next write fails
	})
}

func TestScriptThatIsNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		n := NewNetwork(r)
		s := n.NewServer()
		wait := s.Script(t.Context(), Accept(), Expect("a"))
		c := dial(t, s, "ada")
		_ = c.Write(t.Context(), websocket.MessageText, []byte("b"))
		if err := wait(); err == nil || !strings.Contains(err.Error(), `step 2, Expect("a"): got "b"`) {
			t.Error(err)
		}
		_ = s.Script(t.Context(), Accept())
		_ = s.Script(t.Context(), Wait(time.Hour))
		_ = c.CloseNow()
		if errs := r.End(); len(errs) != 3 {
			t.Error(errs)
		}
	})
}

// Every step does what it says: what the client sees of it is the same story.
func TestStepsOfAScript(t *testing.T) {
	everywhere(t, func(t *testing.T, s *Server) {
		ctx, cancel := context.WithTimeout(t.Context(), long)
		defer cancel()
		called := ""
		wait := s.Script(ctx,
			HangHandshake(),
			RefuseWith(429, http.Header{"Retry-After": {"3"}}),
			RefuseWith(302, http.Header{"Location": {"ws://elsewhere.test/"}}),
			AcceptUser("ada"), SayBinary([]byte{7}), Expect("seven"), ResetConn(),
			Accept(), BlackHoleConn(), Say("held"), Wait(2*short), ComeBack(), Expect("got it"), CloseConn(1012, "back", "soon"),
			Accept(), MuteConn(), Say("muted"), Do("note the user", func(_ context.Context, c *Conn) error { called = c.User(); return nil }),
			ExpectClose(4000), Wait(2*short), DropConn(),
			Accept(), StopMidFrame("half of this is enough"), Wait(2*short), DropConn(),
			Accept(), Expect("here"), RestartServer(short),
			Accept(), Say("back again"), CloseConn(1000),
		)
		dialled := make(chan error, 1)
		tryCtx, giveUp := context.WithCancel(ctx)
		go func() { dialled <- tryDial(tryCtx, s) }()
		if err := s.WaitHandshakes(ctx, 1); err != nil {
			t.Fatal(err)
		}
		giveUp()
		if err := <-dialled; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		client := *s.HTTPClient()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for _, want := range []string{"429 3 ", "302 ws://elsewhere.test/ "} {
			_, resp, err := websocket.Dial(ctx, s.URL(), &websocket.DialOptions{HTTPClient: &client})
			if err == nil {
				t.Fatal("not refused")
			}
			b, _ := io.ReadAll(resp.Body)
			if got := strings.Join([]string{resp.Status[:3], resp.Header.Get("Retry-After") + resp.Header.Get("Location"), string(b)}, " "); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		check := func(c *websocket.Conn, want string) {
			t.Helper()
			if got := read(t, c, timeoutFor(want)); got != want {
				t.Errorf("the client sees %q, want %q", got, want)
			}
		}
		c := dial(t, s, "ada")
		check(c, "\a")
		say(t, c, "seven")
		check(c, "RST")
		c = dial(t, s, "ada")
		check(c, "held")
		say(t, c, "got it")
		check(c, "StatusServiceRestart back soon")
		c = dial(t, s, "ada")
		check(c, "muted")
		if got := closes(t, c, short); got != "no answer" {
			t.Error(got)
		}
		c = dial(t, s, "ada")
		check(c, "FIN")
		c = dial(t, s, "ada")
		say(t, c, "here")
		check(c, "FIN")
		for err := errors.New(""); err != nil && ctx.Err() == nil; time.Sleep(short / 10) {
			if c, _, err = websocket.Dial(ctx, s.URL()+"ada", &websocket.DialOptions{HTTPClient: s.HTTPClient()}); err == nil {
				t.Cleanup(func() { _ = c.CloseNow() })
			}
		}
		check(c, "back again")
		check(c, "StatusNormalClosure ")
		if err := wait(); err != nil || called != "ada" {
			t.Error(err, called)
		}
	})
}

// A script that can't work fails the test before anything happens.
func TestImpossibleScripts(t *testing.T) {
	inMemory(t, func(t *testing.T, n *Network, _ *Server) {
		for want, steps := range map[string][]Step{
			`step 1, Say("a"): needs an Accept before it`:                {Say("a"), Accept()},
			`step 2, Expect("a"): needs an Accept before it`:             {RefuseWith(503), Expect("a")},
			`step 3, : is a zero Step`:                                   {Accept(), DropConn(), {}},
			`step 1, RefuseWith(101): a handshake can't be refused with`: {RefuseWith(101)},
			`step 2, RefuseWith(0): a handshake can't be refused with`:   {Accept(), RefuseWith(0)},
		} {
			r := &testkit.Recorder{TB: t}
			s := NewNetwork(r).NewServer()
			if err := s.Script(t.Context(), steps...)(); err == nil {
				t.Error("played")
			}
			wantErrors(t, r.End(), want)
		}
	})
}

func TestScriptForSomebodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		s := NewNetwork(r).NewServer()
		wait := s.Script(t.Context(), AcceptUser("ada"), Say("hello"))
		_ = dial(t, s, "bob").CloseNow()
		if err := wait(); err == nil {
			t.Error("bob is not ada")
		}
		wantErrors(t, r.End(), `step 1, AcceptUser("ada"): user "bob" came`)
		if err := s.Script(t.Context(), Accept())(); !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
	})
}

// A step on a connection that is over says so.
func TestStepsBehindTheEnd(t *testing.T) {
	for _, step := range []Step{Say("a"), SayBinary([]byte("a")), SayNotification("a", 1), StopMidFrame("a"), CloseConn(1000)} {
		synctest.Test(t, func(t *testing.T) {
			r := &testkit.Recorder{TB: t}
			s := NewNetwork(r).NewServer()
			wait := s.Script(t.Context(), Accept(), DropConn(), step)
			c := dial(t, s, "ada")
			if err := wait(); !errors.Is(err, ErrConnClosed) {
				t.Errorf("%s: %v", step, err)
			}
			_ = c.CloseNow()
			wantErrors(t, r.End(), "wsnotifytest: step 3, "+step.String()+": ")
		})
	}
}

// What a Do returns is the script's, and a plan is ended by one of its kind alone.
func TestDoThatFailsAndPlansThatStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		s := NewNetwork(r).NewServer()
		no := errors.New("no")
		if err := s.Script(t.Context(), Do("ask", func(context.Context, *Conn) error { return no }))(); !errors.Is(err, no) {
			t.Error(err)
		}
		for _, stays := range []struct {
			end  func()
			want string
		}{
			{func() { s.WrongKey(0) }, "503"}, {func() { s.HangHandshake(0) }, "503"}, {func() { s.RefuseRaw(0, "") }, "503"}, {func() { s.Refuse(0, 0, nil, "") }, ""},
		} {
			s.Refuse(-1, 503, nil, "")
			stays.end()
			if err := tryDial(t.Context(), s); (err == nil) != (stays.want == "") || err != nil && !strings.Contains(err.Error(), stays.want) {
				t.Errorf("%v, want %s", err, stays.want)
			}
		}
		wantErrors(t, r.End(), "wsnotifytest: step 1, ask: no")
	})
}
