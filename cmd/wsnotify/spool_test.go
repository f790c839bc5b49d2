package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// confirming has a server answer lines with their id.
func confirming(srv *wsnotifytest.Server) {
	srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
		c.SendText(fmt.Sprintf(`{"id":%q}`, fieldPath{"id"}.in(data)))
	})
}

// Lines survive the end of the program, however it ends, and the next start
// sends what is left, in order and before its own lines.
func TestSendKeepsLinesOverItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	silent := wsnotifytest.NewServer(t)
	args := func(srv *wsnotifytest.Server, more ...string) []string {
		return append([]string{"send", srv.URL(), "-u", "ada", "--confirm", "id", "--spool", path}, more...)
	}
	p := program(t, args(silent)...)
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "{\"id\":\"a\"}\n{\"id\":\"b\"}\n")
	until(t, func() bool { return silent.Received("ada") == 2 })
	silent.AllowViolations()
	p.Process.Kill()
	p.Wait()

	c := start(t, strings.NewReader("{\"id\":\"c\"}\n"), args(silent, "--timeout", "500ms")...)
	c.wants(t, exitTimeout)
	if want := "kept in " + path + " for the next start: 3 messages"; !strings.Contains(c.err.String(), want) {
		t.Errorf("%q is missing in %s", want, &c.err)
	}

	srv := wsnotifytest.NewServer(t)
	confirming(srv)
	c = start(t, strings.NewReader("{\"id\":\"d\"}\n"), args(srv)...)
	c.wants(t, exitOK)
	if got, want := srv.Messages("ada"), []string{`{"id":"a"}`, `{"id":"b"}`, `{"id":"c"}`, `{"id":"d"}`}; !slices.Equal(got, want) {
		t.Errorf("the server has %q, expected %q", got, want)
	}
	c = start(t, strings.NewReader(""), args(srv)...)
	c.wants(t, exitOK)
	if n := srv.Received("ada"); n != 4 {
		t.Errorf("%d lines were sent, expected 4", n)
	}
}

func TestSpoolNeedsConfirmations(t *testing.T) {
	c := start(t, strings.NewReader(""), "send", "localhost:1", "--spool", filepath.Join(t.TempDir(), "spool"))
	c.wants(t, exitUsage)
	c = start(t, strings.NewReader(""), "send", "localhost:1", "--confirm", "id", "--spool", t.TempDir())
	c.wants(t, exitFailure)
	if !strings.Contains(c.err.String(), "not a spool") {
		t.Errorf("it said %s", &c.err)
	}
}
