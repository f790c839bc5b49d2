//go:build !js

package wsnotifytest_test

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestMisuseIsReported(t *testing.T) {
	type S = wsnotifytest.Server
	tests := []struct {
		name string
		do   func(s *S)
		want []string
	}{
		{"close code", func(s *S) { _ = s.User("ada").Close(1005, "") }, []string{"Close: close code 1005 must not be sent (section 7.4); CloseFrame sends anything"}},
		{"close reason", func(s *S) { _ = s.User("ada").Close(1000, strings.Repeat("x", 124)) }, []string{"Close: a reason of 124 bytes, and at most 123"}},
		{"status", func(s *S) { s.Refuse(1, 101, nil, "") }, []string{"can't be refused with status 101"}},
		{"status of a user", func(s *S) { s.User("ada").Refuse(-1, 0, nil, "") }, []string{"can't be refused with status 0"}},
		{"latency", func(s *S) { s.Latency(-1) }, []string{"Latency(-1ns) is negative"}},
		{"rate", func(s *S) { s.User("ada").BytesPerSecond(-1) }, []string{"BytesPerSecond(-1) is negative"}},
		{"of a connection", func(s *S) { c := s.LiveConns()[0]; c.Latency(-1); c.BytesPerSecond(-1) },
			[]string{"Latency(-1ns) is negative", "BytesPerSecond(-1) is negative"}},
		{"after the end", func(s *S) { s.Close(); s.Start(); s.Restart(0); s.Refuse(1, 503, nil, "") },
			[]string{"Start of a server that is closed", "Restart of a server that is closed", "handshakes of a server that is closed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, newServer func(wsnotifytest.TB) *wsnotifytest.Server) {
				r := &testkit.Recorder{TB: t}
				s := newServer(r)
				c := dial(t, s, "ada")
				tt.do(s)
				_ = c.CloseNow()
				if strings.HasPrefix(tt.name, "status") { // and nobody is refused
					if err := tryDial(t.Context(), s); err != nil {
						t.Error(err)
					}
				}
				wantErrors(t, r.End(), tt.want...)
			})
		})
	}
	t.Run("dials on loopback", func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		wsnotifytest.NewServer(r).HangDials(true)
		wantErrors(t, r.End(), "HangDials needs a server of NewNetwork")
	})
	t.Run("network", func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		n := wsnotifytest.NewNetwork(r)
		n.Latency(-1)
		n.BytesPerSecond(-1)
		n.Buffer(-1)
		r.End()
		n.NewServer()
		wantErrors(t, r.End(), "Latency(-1ns)", "BytesPerSecond(-1)", "Buffer(-1)", "NewServer on a network whose test is over")
	})
}

// What is sent after the end says that this was the end.
func TestPushingToAClosedServer(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		s.Close()
		if err := s.Notify("ada", "x", 1); !errors.Is(err, wsnotifytest.ErrNoConn) || !errors.Is(err, wsnotifytest.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func TestNilTest(t *testing.T) {
	for name, f := range map[string]func(){
		"NewNetwork":   func() { wsnotifytest.NewNetwork(nil) },
		"NewServer":    func() { wsnotifytest.NewServer((*testing.T)(nil)) },
		"NewTLSServer": func() { wsnotifytest.NewTLSServer(nil) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); got != "wsnotifytest: "+name+" needs the t of the test, and got nil; outside of a test there is Run" {
					t.Error(got)
				}
			}()
			f()
		}()
	}
}

func TestBubbles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		wsnotifytest.NewServer(r)
		wantErrors(t, r.End(), "use NewNetwork(t).NewServer()")
	})
	r := &testkit.Recorder{TB: t}
	n := wsnotifytest.NewNetwork(r)
	s := n.NewServer()
	synctest.Test(t, func(t *testing.T) {
		if _, err := n.DialContext(t.Context(), "tcp", s.Addr()); err == nil {
			t.Error("dialled out of the bubble")
		}
	})
	wantErrors(t, r.End(), "made outside of the synctest bubble")
	if err := s.WaitLive(context.Background(), 1); !errors.Is(err, wsnotifytest.ErrServerClosed) {
		t.Error(err)
	}
}

// A program that imports this package by mistake gets no flags of testing.
func TestTestingIsNotImported(t *testing.T) {
	for name, f := range testkit.Sources(t, ".", parser.ImportsOnly) {
		for _, spec := range f.Imports {
			if path := strings.Trim(spec.Path.Value, `"`); path == "testing" || strings.HasPrefix(path, "testing/") || path == "flag" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

var _ = []wsnotifytest.TB{(*testing.T)(nil), (*testing.B)(nil), (*testing.F)(nil)}

// What can't be made a notification is an error, and nothing is sent.
func TestContentThatCannotBeSent(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *wsnotifytest.Network, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		if err := s.Notify("ada", "x", func() {}); err == nil {
			t.Error("a function is no error")
		}
		s.Envelope("", ".")
		for content, want := range map[any]bool{7: false, struct{}{}: true} {
			if err := s.Notify("ada", "x", content); (err == nil) != want {
				t.Errorf("%v: %v", content, err)
			}
		}
		if got := read(t, c, long); got != `{"msgType":"x"}` {
			t.Error(got)
		}
	})
}
