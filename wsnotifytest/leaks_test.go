//go:build !js

package wsnotifytest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// TestMain fails if a goroutine of this package or its users is left when all tests have run.
func TestMain(m *testing.M) {
	testkit.Main(m, "wsnotifytest.")
}

func wantErrors(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d errors %q, want %q", len(got), got, want)
	}
	for i := range got {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("error %q, want %q", got[i], want[i])
		}
	}
}

func TestOpenConnectionsAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		n := wsnotifytest.NewNetwork(r)
		s := n.NewServer()
		dial(t, s, "ada")
		dial(t, s, "bob")
		newest(t, s, "bob").Drop() // the client's end is open all the same
		closed := dial(t, s, "eve")
		newest(t, s, "eve").BlackHole(true)
		_ = closed.CloseNow()
		raw, err := n.DialContext(t.Context(), "tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		late := dial(t, s, "late")
		time.AfterFunc(time.Second/2, func() { _ = late.CloseNow() })
		wantErrors(t, r.End(), `connection 1 of user "ada" was left open`, `connection 2 of user "bob" was left open`,
			"a connection to server-1.test:80 that never became a WebSocket was left open")
	})
	r := &testkit.Recorder{TB: t}
	s := wsnotifytest.NewServer(r)
	c := dial(t, s, "ada")
	wantErrors(t, r.End(), `connection 1 of user "ada" was left open`)
	_ = c.CloseNow()
}

func TestOpenConnectionsAreAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		n := wsnotifytest.NewNetwork(r)
		s := n.NewServer()
		n.Latency(time.Hour)
		dial(t, s, "ada")
		s.AllowOpenConns()
		start := time.Now()
		wantErrors(t, r.End())
		if time.Since(start) != 0 {
			t.Error("waited for nothing")
		}
	})
}

func TestOpenConnectionsOfANetworkAreAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		n := wsnotifytest.NewNetwork(r)
		dial(t, n.NewServer(), "ada")
		dial(t, n.NewServer(), "bob")
		n.AllowOpenConns()
		wantErrors(t, r.End())
	})
}
