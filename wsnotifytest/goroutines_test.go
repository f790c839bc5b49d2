//go:build !js

package wsnotifytest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// An app is code under test that forgets a goroutine when it is told to.
type app struct{ quit chan struct{} }

func (a *app) start() {
	var wg sync.WaitGroup
	wg.Go(func() { go a.poll() }) // the one that starts it is no more when it is looked for
	wg.Wait()
}

func (a *app) poll() { <-a.quit }

const leftPoll = "a goroutine is left in github.com/wsnotify/wsnotify/wsnotifytest_test.(*app).poll (goroutines_test.go:29), " +
	"started by github.com/wsnotify/wsnotify/wsnotifytest_test.(*app).start"

// kinds makes a server of each kind.
func kinds(t *testing.T, f func(t *testing.T, newServer func(wsnotifytest.TB) *wsnotifytest.Server)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, func(t wsnotifytest.TB) *wsnotifytest.Server { return wsnotifytest.NewNetwork(t).NewServer() })
		})
	})
	t.Run("loopback", func(t *testing.T) { f(t, wsnotifytest.NewServer) })
}

func TestGoroutinesThatAreLeftAreNamed(t *testing.T) {
	kinds(t, func(t *testing.T, newServer func(wsnotifytest.TB) *wsnotifytest.Server) {
		before := &app{make(chan struct{})}
		go func() { <-before.quit }()
		r := &testkit.Recorder{TB: t}
		newServer(r)
		newServer(r) // a second one of the same test changes nothing
		a := &app{make(chan struct{})}
		a.start()
		slow := &app{make(chan struct{})}
		slow.start()
		time.AfterFunc(leaveTime/4, func() { close(slow.quit) })
		wantErrors(t, r.End(), leftPoll)
		close(a.quit)
		close(before.quit)
	})
}

// leaveTime is how long what is under way when a test ends may take.
const leaveTime = time.Second

func TestGoroutinesCanBeAllowed(t *testing.T) {
	kinds(t, func(t *testing.T, newServer func(wsnotifytest.TB) *wsnotifytest.Server) {
		for _, allow := range []func(*wsnotifytest.Server){(*wsnotifytest.Server).AllowGoroutines, (*wsnotifytest.Server).AllowOpenConns} {
			r := &testkit.Recorder{TB: t}
			allow(newServer(r))
			a := &app{make(chan struct{})}
			a.start()
			wantErrors(t, r.End())
			close(a.quit)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		n := wsnotifytest.NewNetwork(r)
		n.AllowGoroutines()
		a := &app{make(chan struct{})}
		a.start()
		wantErrors(t, r.End())
		close(a.quit)
	})
}

// Tests that run at the same time are not blamed for each other, and an idle connection of a pool
// is nobody's.
func TestNobodyElseIsBlamed(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for range 5 {
				r := &testkit.Recorder{TB: t}
				s := wsnotifytest.NewServer(r)
				a := &app{make(chan struct{})}
				a.start()
				web := httptest.NewServer(http.NotFoundHandler())
				client := &http.Client{Transport: &http.Transport{}}
				resp, err := client.Get(web.URL)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err := tryDial(t.Context(), s); err != nil {
					t.Error(err)
				}
				defer client.CloseIdleConnections()
				defer web.Close()
				s.AllowOpenConns()
				if i%2 == 0 {
					s = wsnotifytest.NewServer(&testkit.Recorder{TB: t}) // of another test, so to say
					defer s.Close()
					close(a.quit)
				} else {
					defer close(a.quit)
				}
				wantErrors(t, r.End())
			}
		})
	}
}

func TestRun(t *testing.T) {
	var order []string
	err := wsnotifytest.Run(func(t wsnotifytest.TB) {
		t.Cleanup(func() { order = append(order, "first") })
		t.Cleanup(func() {
			order = append(order, "last")
			t.Cleanup(func() { order = append(order, "of a cleanup") })
			t.Fatalf("worse")
		})
		t.Helper()
		t.Logf("not seen")
		t.Errorf("bad: %d", 1)
		t.Fatalf("bad: %d", 2)
		t.Errorf("not reached")
	})
	if err == nil || err.Error() != "bad: 1\nbad: 2\nworse" || strings.Join(order, ", ") != "last, of a cleanup, first" {
		t.Error(err, order)
	}
	err = wsnotifytest.Run(func(r wsnotifytest.TB) {
		s := wsnotifytest.NewServer(r)
		s.Echo()
		if err := tryDial(t.Context(), s); err != nil {
			r.Errorf("%v", err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	err = wsnotifytest.Run(func(r wsnotifytest.TB) { dial(t, wsnotifytest.NewNetwork(r).NewServer(), "ada") })
	if err == nil || !strings.Contains(err.Error(), `connection 1 of user "ada" was left open by the client at 198.51.100.1:32769`) {
		t.Error(err)
	}
}
