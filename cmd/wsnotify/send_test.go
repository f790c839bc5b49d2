package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// What a server refuses in the middle is no success, whatever it says.
func TestSendIsNotASuccessWhenTheServerRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *wsnotifytest.Conn)
		code int
		says string
	}{
		{"1009", func(c *wsnotifytest.Conn) { c.CloseFrame(1009, "") }, exitRefused, "closed with 1009 (message too big)"},
		{"4001", func(c *wsnotifytest.Conn) { c.Close(4001, "no more") }, exitFailure, "closed with 4001, no more"},
		{"1011", func(c *wsnotifytest.Conn) { c.Close(1011, "oops") }, exitFailure, "closed with 1011, oops"},
		{"FIN", func(c *wsnotifytest.Conn) { c.Drop() }, exitFailure, "may be lost"},
		{"RST", func(c *wsnotifytest.Conn) { c.Reset() }, exitFailure, "may be lost"},
	} {
		srv := wsnotifytest.NewServer(t)
		srv.AllowViolations()
		srv.AnswerPings(false) // the line has not been read
		srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, _ []byte) { test.end(c) })
		c := start(t, strings.NewReader("a line\n"), "send", srv.URL(), "-u", "ada")
		if got := next(t, c.code); got != test.code || !strings.Contains(c.err.String(), test.says) {
			t.Errorf("%s: it ended with %d and not %d: %s", test.name, got, test.code, &c.err)
		}
	}
}

// A close that only ends what is done is a success.
func TestSendIsASuccessWhenAllWasRead(t *testing.T) {
	for _, name := range []string{"answers", "never answers a close", "big replies", "a reply over the limit of a listener"} {
		srv := wsnotifytest.NewServer(t)
		switch name {
		case "never answers a close":
			srv.AnswerClose(false)
		case "big replies":
			srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, _ []byte) { c.SendText(strings.Repeat("x", 3<<20)) })
		}
		c := start(t, strings.NewReader("a line\n"), "send", srv.URL(), "-u", "ada")
		c.wants(t, exitOK)
		if c.err.String() != "" || srv.Received("ada") != 1 {
			t.Errorf("%s: it said %s, and %d arrived", name, &c.err, srv.Received("ada"))
		}
	}
}

// A server that takes the first line and no more, time after time.
func TestSendTellsOfLinesAfterAClose(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.AllowViolations()
	srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, _ []byte) { c.CloseFrame(4001, "one is enough") })
	c := start(t, strings.NewReader("one\ntwo\nthree\n"), "send", srv.URL(), "-u", "ada", "--interval", "5ms")
	c.wants(t, exitFailure)
	if says := c.err.String(); !strings.Contains(says, "closed with 4001, one is enough") || !strings.Contains(says, "may be lost") {
		t.Errorf("it said %s", &c.err)
	}
}

// Nothing to send is no reason not to look.
func TestSendOfNothingDials(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	c := start(t, strings.NewReader(""), "send", srv.URL(), "-u", "ada")
	c.wants(t, exitOK)
	if srv.Total() != 1 {
		t.Errorf("it dialled %d times", srv.Total())
	}
	srv.Stop()
	for _, stdin := range []io.Reader{strings.NewReader(""), nil} {
		c = start(t, stdin, "send", srv.URL(), "-u", "ada")
		if stdin == nil {
			null, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			defer null.Close()
			c = start(t, null, "send", srv.URL(), "-u", "ada")
		}
		c.wants(t, exitGaveUp)
	}
}

// That Ctrl-C, or the end of the client, ended a wait is no failure of its own.
func TestInterruptedWaitIsNoFailure(t *testing.T) {
	for _, err := range []error{context.Canceled, wsnotify.ErrClosed} {
		if got := new(outgoing).result(t.Context(), nil, err); got != nil {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// A pipe that has not ended is one that somebody relies on.
func TestFirstFailureIsFinalWhenTheInputHasEnded(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	srv.Stop()
	c := start(t, strings.NewReader("a line\n"), "send", srv.URL(), "-u", "ada")
	c.wants(t, exitGaveUp) // the default interval is 10 s, and this waits for 20 s
	if says := c.err.String(); !strings.Contains(says, "nothing listens at") || !strings.Contains(says, "not delivered: a line") ||
		strings.Index(says, "nothing listens") > strings.Index(says, "not delivered") {
		t.Errorf("it said %s", says)
	}

	in, out := io.Pipe()
	c = start(t, in, "send", srv.URL(), "-u", "ada", "--interval", "10ms", "--attempts", "-1")
	fmt.Fprintln(out, "first")
	c.err.Await(within(t), t, "attempt 2")
	srv.Start()
	out.Close()
	c.wants(t, exitOK)

	srv.Stop()
	in, out = io.Pipe()
	c = start(t, in, "send", srv.URL(), "-u", "ada")
	fmt.Fprintln(out, "a line")
	c.err.Await(within(t), t, "attempt 1 in 10s")
	out.Close() // now it is final
	c.wants(t, exitGaveUp)
}

func TestLinesThatCannotBeSent(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	for _, test := range []struct {
		args, in string
		says     string
		got      string
	}{
		{"", "ok\nbad \xff\nok too\n", "line 2: it is not UTF-8 text: byte 5 is 0xff; send such with --binary or --base64", "[ok ok too]"},
		{"--base64", "b2s=\nno!\n", "line 2: it is not base64", "[ok]"},
		{"--max-line 4", "ok\nfar too long\nfour\n", "line 2 is longer than 4: --max-line raises that", "[ok four]"},
		{"--max-line 4 --whole", "far too long", "message 1 is longer than 4", "[]"},
	} {
		user := fmt.Sprintf("user%d", len(test.in))
		c := start(t, strings.NewReader(test.in), append([]string{"send", srv.URL(), "-u", user}, strings.Fields(test.args)...)...)
		c.wants(t, exitFailure)
		if got := fmt.Sprint(srv.Messages(user)); got != test.got || !strings.Contains(c.err.String(), test.says) {
			t.Errorf("send %s: the server got %s and not %s; it said %s", test.args, got, test.got, &c.err)
		}
	}
	c := start(t, strings.NewReader("\xff\n\x00"), "send", srv.URL(), "-u", "eve", "--whole", "--binary")
	c.wants(t, exitOK)
	if got := srv.Messages("eve"); len(got) != 1 || got[0] != "\xff\n\x00" {
		t.Errorf("the whole input arrived as %q", got)
	}
	big := strings.Repeat("x", 4<<20)
	c = start(t, strings.NewReader(big+"\n"+big), "send", srv.URL(), "-u", "bob")
	c.wants(t, exitOK)
}
