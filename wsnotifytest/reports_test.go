//go:build !js

package wsnotifytest_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// A mistake is reported at the line of the test that makes it, and what is left at the end at the line that
// made the server or the network. Only a test that fails shows that, so it runs as a program of its own.
func TestReportsNameALineOfTheTest(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run", "^TestMistakes$")
	cmd.Env = append(os.Environ(), "WSNOTIFYTEST_MISTAKES=1")
	out, _ := cmd.CombinedOutput()
	reports := regexp.MustCompile(`(?m)^ +(\S+):\d+: wsnotifytest: .*`).FindAllSubmatch(out, -1)
	for _, report := range reports {
		if string(report[1]) != "reports_test.go" {
			t.Errorf("%s", report[0])
		}
	}
	if n := bytes.Count(out, []byte("--- FAIL: TestMistakes/")); n != len(mistakes) || len(reports) < n {
		t.Errorf("of %d mistakes %d failed, with %d reports:\n%s", len(mistakes), n, len(reports), out)
	}
}

func TestMistakes(t *testing.T) {
	if os.Getenv("WSNOTIFYTEST_MISTAKES") == "" {
		t.Skip("it fails: TestReportsNameALineOfTheTest runs it")
	}
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mistake(t)
		})
	}
}

var mistakes = map[string]func(t *testing.T){
	"closes": func(t *testing.T) {
		s := wsnotifytest.NewServer(t)
		c := dial(t, s, "ada")
		_ = s.User("ada").Close(1005, "")
		_ = s.LiveConns()[0].Close(1005, "")
		_ = c.CloseNow()
	},
	"handshakes": func(t *testing.T) {
		s := wsnotifytest.NewServer(t)
		s.Refuse(1, 101, nil, "")
		s.User("ada").Refuse(1, 101, nil, "")
		s.Close()
		s.Refuse(1, 503, nil, "")
		s.RefuseRaw(1, "")
		s.WrongKey(1)
		s.HangHandshake(1)
	},
	"speed": func(t *testing.T) {
		s := wsnotifytest.NewServer(t)
		c := dial(t, s, "ada")
		s.Latency(-1)
		s.BytesPerSecond(-1)
		s.LiveConns()[0].Latency(-1)
		s.User("ada").BytesPerSecond(-1)
		_ = c.CloseNow()
	},
	"network": func(t *testing.T) {
		n := wsnotifytest.NewNetwork(t)
		n.Latency(-1)
		n.BytesPerSecond(-1)
		n.Buffer(-1)
	},
	"availability": func(t *testing.T) {
		s := wsnotifytest.NewServer(t)
		s.HangDials(true)
		s.Close()
		s.Start()
		s.Restart(0)
		s.Replay(&wsnotifytest.Recording{})
	},
	"script": func(t *testing.T) {
		wsnotifytest.NewServer(t).Script(t.Context(), wsnotifytest.RefuseWith(101))
	},
	"server in a bubble": func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { wsnotifytest.NewServer(t) })
	},
	"TLS server in a bubble": func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { wsnotifytest.NewTLSServer(t) })
	},
	"server of a network that is over": func(t *testing.T) {
		var n *wsnotifytest.Network
		t.Cleanup(func() { n.NewServer() })
		n = wsnotifytest.NewNetwork(t)
	},
	"TLS server of a network that is over": func(t *testing.T) {
		var n *wsnotifytest.Network
		t.Cleanup(func() { n.NewTLSServer() })
		n = wsnotifytest.NewNetwork(t)
	},
	"open connections in memory": func(t *testing.T) {
		// In a bubble, Go 1.26 does not attribute what a Cleanup reports.
		n := wsnotifytest.NewNetwork(t)
		leave(t, n.NewServer(), n.DialContext)
	},
	"open connections on loopback": func(t *testing.T) {
		leave(t, wsnotifytest.NewServer(t), new(net.Dialer).DialContext)
	},
	"goroutine": func(t *testing.T) {
		wsnotifytest.NewServer(t)
		go func() { select {} }()
	},
	"function that does not return": func(t *testing.T) {
		s := wsnotifytest.NewServer(t)
		called := make(chan bool)
		s.OnConn(func(*wsnotifytest.Conn) { close(called); select {} })
		c := dial(t, s, "ada")
		<-called
		_ = c.CloseNow()
		s.Close()
	},
}

// leave leaves two connections open, one before its handshake.
func leave(t *testing.T, s *wsnotifytest.Server, dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	if _, _, err := websocket.Dial(t.Context(), s.URL(), &websocket.DialOptions{HTTPClient: s.HTTPClient()}); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t.Context(), "tcp", s.Addr()); err != nil {
		t.Fatal(err)
	}
}
