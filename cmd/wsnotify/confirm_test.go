package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/spool"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// A line is kept until the server has answered it, over any number of losses.
func TestSendUntilConfirmed(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.AllowViolations()
	var seen atomic.Int64
	srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
		if seen.Add(1) <= 3 {
			c.Drop() // it has the line, and dies before it says so
			return
		}
		c.SendText(fmt.Sprintf(`{"ok":true,"meta":{"id":%s}}`, fieldPath{"meta", "id"}.in(data)))
	})
	in := "{\"meta\":{\"id\":1}}\n{\"meta\":{\"id\":2}}\n{\"meta\":{\"id\":3}}\n"
	c := start(t, strings.NewReader(in), "send", srv.URL(), "-u", "ada", "--confirm", "meta.id", "--interval", "5ms")
	c.wants(t, exitOK)
	got := strings.Join(srv.Messages("ada"), "\n") + "\n"
	for line := range strings.Lines(in) {
		if !strings.Contains(got, line) {
			t.Errorf("%s is missing in %s", line, got)
		}
	}
}

func TestSendSaysWhatWasNotConfirmed(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	c := start(t, strings.NewReader("{\"id\":\"a\"}\nno id\n"), "send", srv.URL(), "-u", "ada", "--confirm", "id", "--timeout", "300ms")
	c.wants(t, exitTimeout)
	for _, want := range []string{`line 2 has no "id"`, `may be lost: {"id":"a"}`} {
		if !strings.Contains(c.err.String(), want) {
			t.Errorf("%s is missing in %s", want, &c.err)
		}
	}
	c = start(t, strings.NewReader(""), "send", srv.URL(), "--confirm", "meta..id")
	c.wants(t, exitUsage)
}

// An id is a text or a number that stands where the path says; its answer has nothing but that.
func TestIDsOfMessages(t *testing.T) {
	for _, test := range []struct{ path, message, id, answer string }{
		{"id", `{"a":1,"id":"x"}`, "x", `{"id":"x"}`},
		{".id", `{"id":"\u0041\""}`, `A"`, `{"id":"\u0041\""}`},
		{"id", `{"id":-1.50}`, "-1.50", `{"id":-1.50}`},
		{"meta.id", `{"meta":{"id":7,"x":1}}`, "7", `{"meta":{"id":7}}`},
		{"id", `{"id":""}`, "", ""},
		{"id", `{"id":null}`, "", ""},
		{"id", `{"id":{"x":1}}`, "", ""},
		{"id", `{"id":[1]}`, "", ""},
		{"id", `{"id":true}`, "", ""},
		{"meta.id", `{"meta":7}`, "", ""},
		{"id", `[{"id":1}]`, "", ""},
		{"id", `{"id":1`, "", ""},
		{"id", "{\"id\":\"\xff\"}", "", ""},
		{"id", "", "", ""},
	} {
		path, err := parsePath("--confirm", test.path)
		if err != nil {
			t.Fatal(err)
		}
		if id, answer := path.in([]byte(test.message)), path.answer([]byte(test.message)); id != test.id || string(answer) != test.answer {
			t.Errorf("%s in %s: %q and %q, want %q and %q", test.path, test.message, id, answer, test.id, test.answer)
		}
	}
	if path, err := parsePath("--confirm", ""); path != nil || err != nil {
		t.Errorf("%v, %v", path, err)
	}
}

func TestServeConfirms(t *testing.T) {
	_, at := running(t, "--confirm", ".id")
	c := start(t, strings.NewReader("{\"id\":\"a\"}\n{\"id\":7.50}\n"), "send", at+"/ws/ada", "--confirm", "id", "--timeout", "10s")
	c.wants(t, exitOK)
	c = start(t, nil, "connect", at, "-x", `{"id":7.50}`, "-x", "no JSON", "--wait", "300ms")
	c.wants(t, exitOK)
	if c.out.String() != "{\"id\":7.50}\n" {
		t.Errorf("it answered %s", &c.out)
	}
}

// Lines survive the end of the program, and the next start sends them.
func TestSpool(t *testing.T) {
	file := filepath.Join(t.TempDir(), "spool")
	srv := wsnotifytest.NewServer(t)
	srv.Stop()
	c := start(t, strings.NewReader("one\ntwo\n"), "send", srv.URL(), "-u", "ada", "--spool", file)
	c.wants(t, exitGaveUp)
	if !strings.Contains(c.err.String(), "2 messages in "+file+" for the next start") {
		t.Errorf("it said %s", &c.err)
	}
	srv.Start()
	c = start(t, strings.NewReader("three\n"), "send", srv.URL(), "-u", "ada", "--spool", file)
	c.wants(t, exitOK)
	if got := fmt.Sprint(srv.Messages("ada")); got != "[one two three]" || c.err.String() != "" {
		t.Errorf("the server got %s: %s", got, &c.err)
	}
	os.WriteFile(file+".txt", []byte("something else, and long enough to be looked at"), 0o600)
	c = start(t, strings.NewReader(""), "send", srv.URL(), "--spool", file+".txt")
	c.wants(t, exitFailure)
}

// Lines of an earlier start count as those of the input: a server that is gone before it has said that
// it has read them may not have them.
func TestSpooledLinesThatMayBeLost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "spool")
	srv := wsnotifytest.NewServer(t)
	srv.Stop()
	c := start(t, strings.NewReader("one\ntwo\nthree\n"), "send", srv.URL(), "-u", "ada", "--spool", file)
	c.wants(t, exitGaveUp)
	srv.Start()
	srv.AnswerPings(false)
	go func() {
		if _, err := srv.WaitMessages(within(t), "ada", 3); err != nil {
			t.Error(err)
		}
		srv.AnswerPings(true)
		srv.Everybody().Reset()
	}()
	c = start(t, strings.NewReader(""), "send", srv.URL(), "-u", "ada", "--spool", file, "--attempts", "3", "--interval", "10ms")
	c.wants(t, exitFailure)
	if !strings.Contains(c.err.String(), "3 messages may be lost") {
		t.Errorf("it said %s", &c.err)
	}
}

// What can't be removed from the file is reported once for each cause, whoever else gets the errors; and so is a file that can't be read at the end.
func TestSpoolThatFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "spool")
	lines, err := spool.Open(file, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for id := range uint64(2) {
		if err := lines.Append(id+1, wsnotify.Message{Type: wsnotify.MessageText, Data: []byte("a")}); err != nil {
			t.Fatal(err)
		}
	}
	g, cfg, said := sending()
	heard := 0
	cfg.OnError = func(error) { heard++ }
	if err := g.storeIn(cfg, lines); err != nil || g.given != 2 || cfg.Outbox.Store != lines {
		t.Errorf("%d were given: %v", g.given, err)
	}
	for _, err := range []error{io.EOF, spool.ErrDiskFull, fmt.Errorf("wsnotify: %w", spool.ErrDiskFull), spool.ErrReadOnly, spool.ErrFailed, spool.ErrDamaged, spool.ErrClosed} {
		cfg.OnError(err)
	}
	g.reportStored(lines, file)
	lines.Close()
	g.reportStored(lines, file)
	var want []string
	for _, err := range []error{spool.ErrDiskFull, spool.ErrReadOnly, spool.ErrFailed, spool.ErrDamaged} {
		want = append(want, "--spool: what was sent can't be removed: "+err.Error())
	}
	want = append(want, "2 messages in "+file+" for the next start", "--spool "+file+": "+spool.ErrClosed.Error()+": "+file)
	if heard != 7 || !slices.Equal(*said, want) {
		t.Errorf("%d were heard, and it said\n%q, want\n%q", heard, *said, want)
	}
	if err := g.storeIn(cfg, lines); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("a file that can't be read: %v", err)
	}
}
